"""What the page asks: one observable in bins, of the events that a cut leaves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Self, get_args

import numpy as np

from omnifold_pub.errors import ObservableError
from omnifold_pub.messages import shorten, suggest
from omnifold_pub.observables.binning import Axis
from omnifold_pub.observables.events import NanRule

__all__ = ["MOST_BINS", "BinsKind", "Question"]

BinsKind = Literal["suggested", "equal", "edges"]

MOST_BINS = 100
"""Bins that the page draws; Python takes any number."""

_SUGGESTED = 12


@dataclass(frozen=True)
class Question:
    """A histogram that somebody wants to see. Equal questions have equal answers.

    Attributes
    ----------
    observable : str
        A column, or an expression of columns.
    kind : {"suggested", "equal", "edges"}
        What ``bins`` says.
    bins : str
        As it was typed: how many at most, ``number, low, high``, or the edges.
    where : str
        The cut; empty: none.
    nan : {"error", "drop"}
        What to do with undefined values.
    density, normalise : bool
        Divide by the widths of the bins; by the sum over them.
    """

    observable: str
    kind: BinsKind = "suggested"
    bins: str = ""
    where: str = ""
    nan: NanRule = "error"
    density: bool = True
    normalise: bool = False

    @classmethod
    def from_document(cls, document: object) -> Self:
        """Read it from JSON; what is left out has its default.

        Raises
        ------
        ObservableError
            If it is anything else than the fields of a question.

        Examples
        --------
        >>> Question.from_document({"observable": " pT_ll ", "kind": "equal", "bins": "4, 200, 400"}).edges()
        (200.0, 250.0, 300.0, 350.0, 400.0)
        """
        if not isinstance(document, Mapping):
            msg = f"question: expected an object with an observable; found {shorten(document)}"
            raise ObservableError(msg)
        types = {field.name: bool if isinstance(field.default, bool) else str for field in fields(cls)}
        given: dict[str, Any] = {}
        for name, value in document.items():
            if name not in types:
                msg = f"question: expected {', '.join(types)}; found {shorten(name)}; {suggest(name, list(types))}"
                raise ObservableError(msg)
            if type(value) is not types[name]:
                what = "true or false" if types[name] is bool else "a text"
                msg = f"question: {name}: expected {what}; found {shorten(value)}"
                raise ObservableError(msg)
            given[name] = value.strip() if isinstance(value, str) else value
        if not given.get("observable"):
            msg = "observable: expected a column or an expression of columns, such as pT_l1 / pT_l2; found nothing"
            raise ObservableError(msg)
        question = cls(**given)
        question._check("kind", question.kind, get_args(BinsKind))
        question._check("nan", question.nan, get_args(NanRule))
        return question

    @staticmethod
    def _check(name: str, value: str, allowed: tuple[str, ...]) -> None:
        if value not in allowed:
            msg = f"question: {name}: expected {' or '.join(allowed)}; found {shorten(value)}"
            raise ObservableError(msg)

    def _numbers(self) -> list[float]:
        try:
            numbers = [float(part) for part in self.bins.replace(";", ",").strip("[](), ").split(",")]
        except ValueError:
            numbers = []
        if not numbers or not all(map(math.isfinite, numbers)):
            example = "200, 300, 450, 1000" if self.kind == "edges" else "20, 0, 100 (number, low, high)"
            msg = f"bins: expected numbers such as {example}; found {shorten(self.bins)}"
            raise ObservableError(msg)
        return numbers

    def number(self) -> int:
        """Return how many bins are to be suggested at most.

        Raises
        ------
        ObservableError
            If that is no number from 1 to `MOST_BINS`.
        """
        if not self.bins:
            return _SUGGESTED
        if not (self.bins.isascii() and self.bins.isdigit() and 1 <= int(self.bins[:9]) <= MOST_BINS):
            msg = f"bins: expected how many at most, from 1 to {MOST_BINS}; found {shorten(self.bins)}"
            raise ObservableError(msg)
        return int(self.bins)

    def edges(self) -> tuple[float, ...]:
        """Return the edges of the bins that are given: equal ones, or as they were typed.

        Raises
        ------
        ObservableError
            If they are none, or more than `MOST_BINS`.
        """
        numbers = self._numbers()
        if self.kind == "equal":
            if len(numbers) != 3 or numbers[0] != int(numbers[0]):
                msg = f"bins: expected a number of bins, low and high, such as 20, 0, 100; found {shorten(self.bins)}"
                raise ObservableError(msg)
            self._check_number(numbers[0])
            # numpy.linspace may miss a round edge by its last digit, which the page would show
            low, high = numbers[1:]
            step = (high - low) / numbers[0]
            numbers = [low, *(float(f"{low + step * i:.12g}") for i in range(1, int(numbers[0]))), high]
        else:
            self._check_number(len(numbers) - 1)
        return tuple(Axis.from_bins(np.array(numbers)).edges.tolist())

    def _check_number(self, bins: float) -> None:
        if not 1 <= bins <= MOST_BINS:
            msg = f"bins: expected 1 to {MOST_BINS} to draw; found {bins:g}; measure more with Python"
            raise ObservableError(msg)

    def options(self) -> dict[str, Any]:
        """Return what `omnifold_pub.Release.measure` takes beside observable and edges, where it is not the default."""
        found: dict[str, Any] = {"where": self.where} if self.where else {}
        if self.nan != "error":
            found["nan"] = self.nan
        return found | {name: True for name in ("density", "normalise") if getattr(self, name)}

    def selecting(self) -> dict[str, Any]:
        """Return the part of these options that says which events count."""
        return {name: value for name, value in self.options().items() if name in ("where", "nan")}
