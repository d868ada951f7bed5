"""Symbols and units of what is measured in a release: as its metadata declare them, or as they follow from those."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from omnifold_pub.observables.binning import Axis
from omnifold_pub.observables.events import Definition, definition_text
from omnifold_pub.observables.expressions import parse
from omnifold_pub.observables.formulas import formula_of
from omnifold_pub.observables.units import unit_of

__all__ = ["Symbols"]


@dataclass(frozen=True)
class Symbols:
    """What pictures and tables call the observables of a release.

    Attributes
    ----------
    latex, units : mapping
        Of the columns by name: LaTeX without dollar signs, and units (``"1"`` for pure numbers).
    """

    latex: Mapping[str, str]
    units: Mapping[str, str]

    @classmethod
    def of(cls, observables: Sequence[Mapping[str, Any]]) -> Self:
        """Take them from ``observables`` of the metadata."""
        return cls(
            latex={one["name"]: str(one["latex"]) for one in observables},
            units={one["name"]: str(one["unit"]) for one in observables},
        )

    def unit(self, definition: Definition) -> str:
        """Return the unit of a column or of an expression; empty if nobody knows it, as of a function.

        Raises
        ------
        ObservableError
            If it is an expression that cannot be read.

        Examples
        --------
        >>> symbols = Symbols({"a": r"p_1", "b": "p_2"}, {"a": "GeV", "b": "GeV"})
        >>> symbols.unit("a"), symbols.unit("a / b"), symbols.unit(lambda events: events["a"])
        ('GeV', '1', '')
        """
        if not isinstance(definition, str):
            return ""
        return self.units[definition] if definition in self.units else unit_of(parse(definition), self.units)

    def unit_or_name(self, definition: Definition) -> str:
        """Return the unit, or what is measured in brackets where nobody knows it."""
        return self.unit(definition) or f"[{definition_text(definition)}]"

    def label(self, definition: Definition, axis: Axis) -> Axis:
        r"""Put symbol and unit of an observable on its axis, where it has none of its own.

        An axis whose unit nobody knows stays as it is: a formula without a unit reads as a pure number.

        Examples
        --------
        >>> symbols = Symbols({"a": r"p_1", "b": "p_2"}, {"a": "GeV", "b": "GeV"})
        >>> for text in ("a", "a / b", "a * b", "exp(a)"):
        ...     symbols.label(text, Axis.from_bins([0, 1], name=text)).label
        '$p_1$ [GeV]'
        '$p_1 / p_2$'
        '$p_1\\,p_2$ [GeV^2]'
        'exp(a)'
        """
        if axis.label != axis.name or not isinstance(definition, str):
            return axis
        unit = axis.unit or self.unit(definition)
        if not unit:
            return axis
        formula = self.latex[definition] if definition in self.latex else formula_of(parse(definition), self.latex)
        label = f"${formula}$" if formula else axis.label
        return replace(axis, label=label if unit == "1" else f"{label} [{unit}]", unit=unit)
