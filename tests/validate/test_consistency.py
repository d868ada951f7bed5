"""What the metadata say about the statistics, against each other and against what readers do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omnifold_pub import validate
from omnifold_pub.validate import CHECKS
from omnifold_pub.validate.consistency import CONSISTENCY_CHECKS
from omnifold_pub.validate.structure import STRUCTURE_CHECKS

AFTER_STRUCTURE = ("readable", *STRUCTURE_CHECKS, *CONSISTENCY_CHECKS)


def component(metadata: dict[str, Any], name: str) -> dict[str, Any]:
    return next(entry for entry in metadata["components"] if entry["name"] == name)


def without(name: str) -> Callable[[Any, dict[str, Any]], object]:
    return lambda a, m: m["components"].remove(component(m, name))


def convention(name: str, **words: str) -> Callable[[Any, dict[str, Any]], object]:
    return lambda a, m: component(m, name)["covariance"].update(words)


def selection(expression: str) -> Callable[[Any, dict[str, Any]], object]:
    return lambda a, m: m["fiducial"]["selection"][0].update(expression=expression)


def validity(**limits: Any) -> Callable[[Any, dict[str, Any]], object]:
    return lambda a, m: m["validity"].update(limits)


def interval(expression: str, minimum: float | None = None, maximum: float | None = None) -> dict[str, Any]:
    return {"expression": expression, "minimum": minimum, "maximum": maximum}


def momentum(units: dict[str, str] | None = None, **change: Any) -> Callable[[Any, dict[str, Any]], object]:
    """Declare a four-momentum of y, x, z and n, once these columns have the units that it asks for."""

    def edit(arrays: dict[str, Any], metadata: dict[str, Any]) -> None:
        of = {"y": "GeV", "z": "rad", "n": "GeV"} | (units or {})
        for observable in metadata["observables"]:
            observable["unit"] = of.get(observable["name"], observable["unit"])
        entry = {"name": "jet", "description": "d", "pt": "y", "rapidity": "x", "phi": "z", "mass": "n"}
        metadata["four_momenta"] = [entry | change]

    return edit


def renamed(**names: str) -> Callable[[dict[str, Any], dict[str, Any]], object]:
    def change(arrays: dict[str, Any], metadata: dict[str, Any]) -> None:
        for old, new in names.items():
            component(metadata, old)["name"] = new
            arrays[f"weights/{new}"] = arrays.pop(f"weights/{old}")

    return change


NOT_AS_READERS_DO = ("convention", "required")
SELECTION = ("selection", "required", "/metadata fiducial.selection[0].expression")

CASES: dict[str, tuple[Any, ...]] = {
    "bootstrap over N": (
        convention("data_bootstrap", divisor="R"),
        *(*NOT_AS_READERS_DO, "/metadata components data_bootstrap covariance.divisor"),
        *("'R - 1', as readers do for kind 'bootstrap'", "'R'"),
    ),
    "bootstrap centred on the nominal": (
        convention("mc_bootstrap", centre="nominal"),
        *(*NOT_AS_READERS_DO, "/metadata components mc_bootstrap covariance.centre"),
        *("'mean of the members', as readers do for kind 'bootstrap'", "'nominal'"),
    ),
    "ensemble by the formula of another rule": (
        convention("ensemble", divisor="K - 1"),
        *(*NOT_AS_READERS_DO, "/metadata components ensemble covariance.divisor"),
        *("'K (K - 1)', as readers do for kind 'ensemble'", "'K - 1'"),
    ),
    "pair counted in full": (
        convention("up_down", divisor="1"),
        *(*NOT_AS_READERS_DO, "/metadata components up_down covariance.divisor"),
        *("'4', as readers do for kind 'variation'", "'1'"),
    ),
    "variation bin by bin": (
        convention("shift", correlation="none"),
        *(*NOT_AS_READERS_DO, "/metadata components shift covariance.correlation"),
        *("'full', as readers do for kind 'variation'", "'none'"),
    ),
    "another estimator": (
        convention("pdf", estimator="(max - min) / 2"),
        *(*NOT_AS_READERS_DO, "/metadata components pdf covariance.estimator"),
        *("(T_m - centre)(T_m - centre)^T", "'(max - min) / 2'"),
    ),
    "names that continue another's": (
        renamed(data_bootstrap="bootstrap_mc", mc_bootstrap="bootstrap_mc_test"),
        *("prefix_names", "recommended", "/metadata components bootstrap_mc"),
        *("no family whose name continues another's", "bootstrap_mc_test"),
    ),
    "no event sampling": (
        without("event_sampling"),
        *("event_sampling", "recommended", "/metadata components"),
        *("a bootstrap that includes event sampling, or the component 'event_sampling'", "neither"),
    ),
    "event sampling in a bootstrap and apart": (
        lambda a, m: component(m, "mc_bootstrap").update(includes_event_sampling=True),
        *("event_sampling", "required", "/metadata components"),
        *("one component that stands for the finite number", "mc_bootstrap, event_sampling"),
    ),
    "two components of event sampling": (
        lambda a, m: m["components"].append({**component(m, "event_sampling"), "name": "again"}),
        *("event_sampling", "required", "/metadata components", "one component", "event_sampling, again"),
    ),
    "luminosity left out of the covariance": (
        without("luminosity"),
        *("luminosity", "recommended", "/metadata components"),
        *("kind 'scale' for the luminosity's relative uncertainty of 0.02", "none"),
    ),
    "another scale than the luminosity's": (
        lambda a, m: component(m, "luminosity").update(relative_uncertainty=0.05),
        *("luminosity", "recommended", "/metadata components", "uncertainty of 0.02", "scales of 0.05"),
    ),
    "selection of an unknown column": (selection("x + nowhere"), *SELECTION, "columns of the release", "nowhere"),
    "selection of a detector-level column": (selection("reco_x"), *SELECTION, "columns of the release", "reco_x"),
    "selection that calls": (
        selection("__import__('os').system('true')"),
        *(*SELECTION, "an expression of columns", "quotes are not allowed"),
    ),
    "selection with an attribute": (
        selection("x.real"),
        *(*SELECTION, "an expression of columns", "Attribute is not allowed"),
    ),
    "selection of no column": (selection("1 < 2"), *SELECTION, "an expression of columns", "uses no column"),
    "selection that is no expression": (selection("x >"), *SELECTION, "an expression of columns", "cannot be read"),
    "range of an unknown column": (
        validity(ranges=[interval("x"), interval("x / nowhere", 0, 1)]),
        *("selection", "required", "/metadata validity.ranges[1].expression", "columns of the release", "nowhere"),
    ),
    "range that calls": (
        validity(ranges=[interval("__import__('os').system('true')")]),
        *("selection", "required", "/metadata validity.ranges[0].expression"),
        *("an expression of columns", "quotes are not allowed"),
    ),
    "range the wrong way round": (
        validity(ranges=[interval("x", 2, -1)]),
        *("selection", "required", "/metadata validity.ranges[0]", "a minimum of at most the maximum", "2 and -1"),
    ),
    "data events that nothing counts": (
        lambda a, m: (
            validity(minimum_effective_data_events_per_bin=10)(a, m),
            component(m, "data_bootstrap").update(resampled="both"),
        ),
        *("effective_events", "required", "/metadata validity.minimum_effective_data_events_per_bin"),
        *("kind 'bootstrap' that resampled the data", "none"),
    ),
    "four-momentum of an unknown column": (
        momentum(phi="nowhere", mass="m"),
        *("four_momenta", "required", "/metadata four_momenta jet", "columns of the release", "nowhere, m"),
    ),
    "transverse momentum in MeV": (
        momentum({"y": "MeV"}),
        *("four_momenta", "required", "/metadata four_momenta jet.pt", "a column in GeV", "'MeV'"),
    ),
    "mass in MeV": (
        momentum({"n": "MeV"}),
        *("four_momenta", "required", "/metadata four_momenta jet.mass", "a column in GeV", "'MeV'"),
    ),
    "azimuth in degrees": (
        momentum({"z": "degree"}),
        *("four_momenta", "required", "/metadata four_momenta jet.phi", "a column in rad", "'degree'"),
    ),
    "two four-momenta of one name": (
        lambda a, m: (momentum()(a, m), m["four_momenta"].extend(m["four_momenta"])),
        *("names", "required", "/metadata four_momenta", "unique names", "'jet' more than once"),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_defect_is_found_and_nothing_else(assert_only: Callable[..., None], name: str) -> None:
    assert_only(*CASES[name])


def test_a_selection_that_cannot_be_read_stops_before_the_content(rewritten: Callable[..., Path]) -> None:
    def spoil(arrays: dict[str, Any], metadata: dict[str, Any]) -> None:
        selection("nowhere")(arrays, metadata)
        arrays["prior"][0] = float("nan")

    report = validate(rewritten(spoil))
    assert [finding.code for finding in report.findings] == ["selection"]
    assert report.checks == AFTER_STRUCTURE == ("readable", *CHECKS[: len(AFTER_STRUCTURE) - 1])


def test_every_part_of_the_selection_is_looked_at(rewritten: Callable[..., Path]) -> None:
    def spoil(arrays: dict[str, Any], metadata: dict[str, Any]) -> None:
        free = {"minimum": None, "maximum": None, "tolerance": 0}
        metadata["fiducial"]["selection"] += [free | {"expression": "a + x + b"}, free | {"expression": "y +"}]

    assert [(f.path, f.found.split(":")[0]) for f in validate(rewritten(spoil)).findings] == [
        ("/metadata fiducial.selection[1].expression", "a, b"),
        ("/metadata fiducial.selection[2].expression", "expression 'y +'"),
    ]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda a, m: component(m, "luminosity").update(relative_uncertainty=0.0206), id="rounded scale"),
        pytest.param(lambda a, m: m["luminosity"].update(relative_uncertainty=0), id="luminosity without error"),
        pytest.param(convention("model", correlation="full"), id="two-point in full"),
        pytest.param(renamed(mc_bootstrap="data_bootstraps"), id="names that begin alike"),
        pytest.param(momentum(), id="four-momentum"),
        pytest.param(momentum({"n": "MeV"}, mass=0.1), id="four-momentum with a mass of its own"),
        pytest.param(validity(ranges=[interval("x", 1, 1), interval("y / n"), interval("z", None, 3)]), id="ranges"),
        pytest.param(validity(minimum_effective_data_events_per_bin=10), id="data events that a bootstrap counts"),
        pytest.param(
            lambda a, m: (
                validity(minimum_effective_data_events_per_bin=0)(a, m),
                component(m, "data_bootstrap").update(resampled="both"),
            ),
            id="no limit on data events",
        ),
        pytest.param(
            lambda a, m: (
                without("event_sampling")(a, m),
                component(m, "mc_bootstrap").update(includes_event_sampling=True),
            ),
            id="event sampling in a bootstrap",
        ),
    ],
)
def test_what_is_sound_is_not_reported(
    rewritten: Callable[..., Path], change: Callable[[dict[str, Any], dict[str, Any]], object]
) -> None:
    assert validate(rewritten(change)).findings == ()


def test_a_scale_of_something_else_does_not_stand_for_the_luminosity(rewritten: Callable[..., Path]) -> None:
    def change(arrays: dict[str, Any], metadata: dict[str, Any]) -> None:
        component(metadata, "luminosity").update(relative_uncertainty=0.05)
        metadata["components"].append({**component(metadata, "luminosity"), "name": "b", "relative_uncertainty": 0.001})

    (finding,) = validate(rewritten(change)).findings
    assert (finding.code, finding.found) == ("luminosity", "scales of 0.05, 0.001")
