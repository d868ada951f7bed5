"""What the page is told, as JSON can hold it."""

from __future__ import annotations

import math
from typing import Any

from omnifold_pub.estimators import Histogram
from omnifold_pub.explorer.desk import Confronted, Desk, Measured
from omnifold_pub.explorer.snippets import commands, python
from omnifold_pub.measurement import Measurement
from omnifold_pub.observables.expressions import FUNCTIONS
from omnifold_pub.observables.units import divisor
from omnifold_pub.release import Release

__all__ = ["about", "answer", "correlation", "facts", "verdicts"]

_DIGITS = 4  # of a correlation


def facts(release: Release) -> dict[str, Any]:
    """Return what the page says of a release before anything is asked."""
    metadata = release.metadata
    collision, luminosity = metadata["collision"], metadata["luminosity"]
    return {
        "name": release.path.name,
        "title": metadata["title"],
        "data_kind": metadata["data_kind"],
        "process": metadata["process"],
        "collision": f"{collision['system']} at {collision['energy_tev']:g} TeV",
        "luminosity": f"{luminosity['value']:.6g} {luminosity['unit']}",
        "region": metadata["fiducial"]["description"],
        "events": metadata["events"],
        "unit": release.unit,
        "notes": list(metadata["validity"].get("notes", [])),
        "columns": [
            {"name": one["name"], "unit": one["unit"], "description": one["description"]}
            for one in metadata["observables"]
        ],
        "components": [
            {"name": one["name"], "kind": one["kind"], "description": one["description"]}
            for one in metadata["components"]
        ],
    }


def about(desk: Desk) -> dict[str, Any]:
    """Return the same with the theories that are offered and the functions that an expression may call."""
    return facts(desk.release) | {
        "theories": [one.name for one in desk.theories],
        "functions": [f"{name}({', '.join('xyz'[:count])})" for name, (_, count) in FUNCTIONS.items()],
    }


def _unit(measurement: Measurement, shown: Histogram) -> str:
    """Return the unit of the values; empty for pure numbers."""
    base = "" if shown.normalise else measurement.weight_unit
    if not shown.density:
        return base
    unit = shown.axes[0].unit
    below = divisor(unit) if unit else "unit of x"  # where it does not follow from those of the columns
    return base if unit == "1" else f"{base or 1} / {below}"


def answer(desk: Desk, found: Measured) -> dict[str, Any]:
    """Return a measurement bin by bin: values, uncertainties by component, correlation, what is not vouched for.

    Bands are not in it: the page adds up the components that are switched on, in quadrature. The total of all is the
    square root of the covariance's diagonal, to rounding.
    """
    measurement = found.measurement
    shown = measurement.statistic
    assert isinstance(shown, Histogram)  # noqa: S101 - questions are about nothing else
    axis = measurement.axes[0]
    return {
        "observable": found.question.observable,
        "axis_unit": "" if axis.unit in ("", "1") else axis.unit,
        "unit": _unit(measurement, shown),
        "density": shown.density,
        "normalise": shown.normalise,
        "edges": list(found.edges),
        "values": measurement.values().tolist(),
        "total": measurement.uncertainties().tolist(),
        "components": [
            {"name": one.name, "errors": measurement.uncertainties(one.name).tolist()} for one in measurement.components
        ],
        "correlation": correlation(found),
        "effective_events": [None if math.isnan(n) else n for n in measurement.effective_events.tolist()],
        "warnings": [list(found.violations.get(i, ())) for i in range(len(measurement.nominal))],
        "theories": [
            {"name": one.name, "values": one.values.tolist(), "errors": one.errors.tolist(), "problem": one.problem}
            for one in found.overlays
        ],
        "python": python(desk, found),
        "commands": commands(desk, found),
    }


def correlation(found: Measured, component: str | None = None) -> list[list[float]]:
    """Return ``correlation[bin][bin]`` of one component, or of all of them together.

    Raises
    ------
    ObservableError
        If there is no such component.
    """
    rows: list[list[float]] = found.measurement.correlation(component).round(_DIGITS).tolist()
    return rows


def verdicts(confronted: tuple[Confronted, ...]) -> list[dict[str, Any]]:
    """Return chi2 and p-value of each theory."""
    found: list[dict[str, Any]] = []
    for one in confronted:
        if one.comparison is None:
            found.append({"name": one.name, "problem": one.problem})
            continue
        test = one.comparison.test
        found.append(
            {
                "name": one.name,
                "problem": "",
                "chi2": test.chi2,
                "dof": test.dof,
                "p_value": test.p_value,
                "method": test.method,
                "shape_only": one.comparison.shape_only,
            }
        )
    return found
