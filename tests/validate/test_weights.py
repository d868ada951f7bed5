"""Weights: finite, of one scale, replicas that are replicas, a nominal that follows its rule."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from omnifold_pub import UnfoldingResult, publish, validate
from omnifold_pub.format import layout
from omnifold_pub.validate.findings import Finding

Change = Callable[[dict[str, Any], dict[str, Any]], object]


def put(name: str, where: Any, value: float) -> Change:
    return lambda a, m: a[name].__setitem__(where, value)


def scaled(name: str, factor: float, where: Any = ...) -> Change:
    return lambda a, m: a[name].__setitem__(where, a[name][where] * np.float32(factor))


def copied(name: str, member: int, source: str, column: int | None = None) -> Change:
    """Put a column of a family, or a nominal, in the place of a member."""
    return lambda a, m: a[name].__setitem__(np.s_[:, member], a[source] if column is None else a[source][:, column])


def component(metadata: dict[str, Any], name: str) -> dict[str, Any]:
    return next(entry for entry in metadata["components"] if entry["name"] == name)


def many_negative(arrays: dict[str, Any], metadata: dict[str, Any]) -> None:
    arrays["weights/pdf"][:100] *= np.float32(-0.1)


def rounded(bits: int) -> Change:
    precision = {"mantissa_bits": bits, "worst_relative_error": 2.0 ** -(bits + 1), "worst_covariance_error": 0.0}
    return lambda a, m: component(m, "mc_bootstrap").update(precision=precision)


BOOTSTRAP = "/weights/data_bootstrap"
REPEATED = "members that differ"

CASES: dict[str, tuple[Any, ...]] = {
    "NaN in a family": (
        put("weights/mc_bootstrap", (3, 2), np.nan),
        *("finite_weights", "required", "/weights/mc_bootstrap", "finite weights", "1 of 6000 are not"),
    ),
    "infinity in a family": (
        put("weights/pdf", (slice(5), 0), np.inf),
        *("finite_weights", "required", "/weights/pdf", "finite weights", "5 of 1500 are not"),
    ),
    "NaN in the central family": (
        put("weights/ensemble", (499, 3), np.nan),
        *("finite_weights", "required", "/weights/ensemble", "finite weights", "1 of 2000 are not"),
    ),
    "NaN in the prior": (
        put("prior", 3, np.nan),
        *("finite_weights", "required", "/prior", "finite weights", "1 of 500 are not"),
    ),
    "infinity in closure weights": (
        put("closure/dd/unfolded", 3, np.inf),
        *("finite_weights", "required", "/closure/dd/unfolded", "finite weights", "1 of 500 are not"),
    ),
    "NaN in a family of a canvas": (
        put("canvases/other/weights/replicas", (0, 2), np.nan),
        *("finite_weights", "required", "/canvases/other/weights/replicas", "finite weights", "1 of 1050 are not"),
    ),
    "a negative weight": (
        scaled("weights/pdf", -1, (3, 2)),
        *("negative_weights", "optional", "/weights/pdf", "no negative weight", "1 of 1500 (0.00067)"),
    ),
    "a negative prior": (
        scaled("prior", -1, 3),
        *("negative_weights", "optional", "/prior", "no negative weight", "1 of 500 (0.002)"),
    ),
    "a negative weight of a canvas": (
        scaled("canvases/other/weights/nominal", -1, 3),
        *("negative_weights", "optional", "/canvases/other/weights/nominal", "no negative", "1 of 350 (0.0029)"),
    ),
    "a tenth negative": (
        scaled("closure/dd/target", -1, slice(50)),
        *("negative_weights", "optional", "/closure/dd/target", "no negative weight", "50 of 500 (0.1)"),
    ),
    "many negative": (
        many_negative,
        *("negative_weights", "recommended", "/weights/pdf", "no negative weight", "300 of 1500 (0.2)"),
    ),
    "canvas without weight": (
        lambda a, m: [a[f"canvases/other/weights/{name}"].fill(0) for name in ("nominal", "replicas")],
        *("nominal_total", "required", "/canvases/other/weights/nominal", "a sum above 0", "0"),
    ),
    "cross section off": (
        lambda a, m: m["cross_section"].update(value=m["cross_section"]["value"] * 1.02),
        *("cross_section", "required", "/weights/nominal", "weights that sum to the stated fiducial cross section"),
        " pb, 0.9804 times as much",
    ),
    "weights in pb, cross section in fb": (
        lambda a, m: m["cross_section"].update(unit="fb"),
        *("cross_section", "required", "/weights/nominal", " fb", " pb, 1000 times as much"),
    ),
    "cross section in pb, weights in fb": (
        lambda a, m: m["weights"].update(unit="fb"),
        *("cross_section", "required", "/weights/nominal", " pb", " fb, 0.001 times as much"),
    ),
    "no bin has as many events": (
        lambda a, m: m["validity"].update(minimum_effective_events_per_bin=5000),
        *("effective_events", "recommended", "/weights/nominal", "at least the 5000 effective events"),
        "in the whole release",
    ),
    "bootstrap in another unit": (
        scaled("weights/data_bootstrap", 26.5),
        *("family_total", "required", BOOTSTRAP, "members that sum to the nominal's", ", 26."),
    ),
    "bootstrap of a canvas in another unit": (
        scaled("canvases/other/weights/replicas", 26.5),
        *("family_total", "required", "/canvases/other/weights/replicas", "members that sum to", " times as much"),
    ),
    "bootstrap halved": (
        scaled("weights/mc_bootstrap", 0.5),
        *("family_total", "required", "/weights/mc_bootstrap", "members that sum to the nominal's", ", 0."),
    ),
    "bootstrap a fifth too large": (
        scaled("weights/mc_bootstrap", 1.2),
        *("family_total", "required", "/weights/mc_bootstrap", "members that sum to the nominal's", ", 1."),
    ),
    "variation three times": (
        scaled("weights/shift", 3),
        *("family_total", "required", "/weights/shift[:, 0]", "a sum within a factor 2 of the nominal's", "3."),
    ),
    "down variation a third": (
        scaled("weights/up_down", 1 / 3, np.s_[:, 1]),
        *("family_total", "required", "/weights/up_down[:, 1]", "a factor 2", "0.3267 times as much"),
    ),
    "variation of the other sign": (
        scaled("weights/up_down", 0, np.s_[:, 0]),
        *("family_total", "required", "/weights/up_down[:, 0]", "a factor 2", "0, 0 times as much"),
    ),
    "one eigenvector three times": (
        scaled("weights/pdf", 3, np.s_[:, 2]),
        *("family_total", "required", "/weights/pdf[:, 2]", "a factor 2", "times as much"),
    ),
    "replicas of something else": (
        scaled("weights/data_bootstrap", 1.07),
        *("replica_bias", "recommended", BOOTSTRAP, "within their scatter", ", a pull of "),
    ),
    "a replica twice": (
        copied("weights/data_bootstrap", 5, "weights/data_bootstrap", 2),
        *("constant_replicas", "required", BOOTSTRAP, REPEATED, "1 that repeat another, such as members 2 and 5"),
    ),
    "a variation of which up is down": (
        copied("weights/up_down", 1, "weights/up_down", 0),
        *("constant_replicas", "required", "/weights/up_down", REPEATED, "members 0 and 1"),
    ),
    "a replica that is the nominal": (
        copied("weights/data_bootstrap", 4, "weights/nominal"),
        *("constant_replicas", "required", BOOTSTRAP, "members that differ from the nominal"),
        "1 that repeat it, the first is member 4",
    ),
    "a variation that is the nominal": (
        copied("weights/shift", 0, "weights/nominal"),
        *("constant_replicas", "recommended", "/weights/shift", "differ from the nominal", "the first is member 0"),
    ),
    "a replica of a canvas that is its nominal": (
        copied("canvases/other/weights/replicas", 1, "canvases/other/weights/nominal"),
        *("constant_replicas", "required", "/canvases/other/weights/replicas", "differ from", "the first is member 1"),
    ),
    "one nominal weight off": (
        scaled("weights/nominal", 1.001, 11),
        *("central_value", "required", "/weights/nominal", "the mean of /weights/ensemble", "events off by up to 0.00"),
    ),
    "a nominal that is not the median": (
        lambda a, m: (
            m["weights"]["central_value"].update(rule="median"),
            component(m, "ensemble")["covariance"].update(divisor="(2 / pi) K (K - 1)"),
        ),
        *("central_value", "required", "/weights/nominal", "the median of /weights/ensemble", "off by up to 0.0"),
    ),
    "more bits than declared": (
        rounded(10),
        *("precision", "required", "/weights/mc_bootstrap", "10 bits of significand", "more"),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_defect_is_found_and_nothing_else(assert_only: Callable[..., None], name: str) -> None:
    assert_only(*CASES[name])


def only(path: Path) -> Finding:
    (finding,) = validate(path).findings
    return finding


def total(weights: NDArray[Any]) -> float:
    return math.fsum(weights.astype(float).ravel())


# Numbers in messages


@pytest.mark.parametrize(
    ("change", "thousand"),
    [
        (lambda a, m: m["cross_section"].update(unit="fb"), True),
        (lambda a, m: m["cross_section"].update(value=m["cross_section"]["value"] * 1000), True),
        (lambda a, m: m["cross_section"].update(value=m["cross_section"]["value"] * 900), False),
    ],
)
def test_a_factor_of_a_thousand_is_named(rewritten: Callable[..., Path], change: Change, *, thousand: bool) -> None:
    hint = only(rewritten(change)).hint
    assert (hint == "A factor of 1000: the weights are in the other unit.") == thousand


def test_the_cross_section_found_is_the_sum_of_the_weights(
    rewritten: Callable[..., Path], sound_result: UnfoldingResult
) -> None:
    finding = only(rewritten(lambda a, m: m["cross_section"].update(value=7.5)))
    found = total(sound_result.nominal[:])
    assert finding.expected == "weights that sum to the stated fiducial cross section, 7.5 pb"
    assert finding.found == f"{found:.6g} pb, {found / 7.5:.4g} times as much"


def test_the_effective_events_found_are_those_of_kish(
    rewritten: Callable[..., Path], sound_result: UnfoldingResult
) -> None:
    weights = sound_result.nominal[:].astype(float)
    effective = total(weights) ** 2 / math.fsum(weights**2)
    assert 300 < effective < 400
    report = validate(rewritten(lambda a, m: m["validity"].update(minimum_effective_events_per_bin=int(effective))))
    assert report.findings == ()
    more = math.ceil(effective)
    finding = only(rewritten(lambda a, m: m["validity"].update(minimum_effective_events_per_bin=more)))
    assert finding.found == f"{effective:.0f} in the whole release"
    assert f"at least the {more} effective" in finding.expected


def test_the_total_of_a_family_is_the_mean_of_its_members_with_its_error(
    rewritten: Callable[..., Path], sound_result: UnfoldingResult
) -> None:
    nominal = total(sound_result.nominal[:])
    family = sound_result.families["data_bootstrap"][:] * np.float32(26.5)
    sums = [total(family[:, member]) for member in range(12)]
    mean, error = np.mean(sums), np.std(sums, ddof=1) / math.sqrt(12)
    finding = only(rewritten(scaled("weights/data_bootstrap", 26.5)))
    assert finding.expected == f"members that sum to the nominal's {nominal:.6g}"
    assert finding.found == f"{mean:.6g} +- {error:.2g}, {mean / nominal:.4g} times as much"
    assert finding.found.split(", ")[1].startswith("26.")


def test_the_pull_of_replicas_is_counted_in_standard_errors(
    rewritten: Callable[..., Path], sound_result: UnfoldingResult
) -> None:
    nominal = total(sound_result.nominal[:])
    family = sound_result.families["data_bootstrap"][:] * np.float32(1.07)
    sums = [total(family[:, member]) for member in range(12)]
    pull = (np.mean(sums) - nominal) / (np.std(sums, ddof=1) / math.sqrt(12))
    finding = only(rewritten(scaled("weights/data_bootstrap", 1.07)))
    assert finding.found.endswith(f", a pull of {pull:.1f}")
    assert 5 < pull < 30


def test_a_variations_ratio_is_that_of_the_sums(rewritten: Callable[..., Path], sound_result: UnfoldingResult) -> None:
    ratio = total(4 * sound_result.families["model"][:]) / total(sound_result.nominal[:])
    assert f", {ratio:.4g} times as much" in only(rewritten(scaled("weights/model", 4))).found


# The nominal


@pytest.mark.parametrize(("factor", "found"), [(0.0, "0"), (-1.0, "-")])
def test_a_nominal_without_a_positive_sum_is_found(rewritten: Callable[..., Path], factor: float, found: str) -> None:
    report = validate(rewritten(scaled("weights/nominal", factor)))
    finding = next(finding for finding in report.findings if finding.code == "nominal_total")
    assert (finding.level, finding.path, finding.expected) == ("required", "/weights/nominal", "a sum above 0")
    assert finding.found.startswith(found)
    assert {finding.code for finding in report.findings} <= {"nominal_total", "negative_weights"}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_nominal_that_is_not_finite_is_found_and_not_blamed_on_the_families(
    rewritten: Callable[..., Path], value: float
) -> None:
    report = validate(rewritten(put("weights/nominal", 3, value)))
    finding = report.findings[0]
    assert (finding.code, finding.path, finding.found) == ("finite_weights", "/weights/nominal", "1 of 500 are not")
    assert {finding.path for finding in report.findings} == {"/weights/nominal"}
    assert not report.valid


def test_a_rescaled_ensemble_breaks_its_total_and_the_central_value(rewritten: Callable[..., Path]) -> None:
    report = validate(rewritten(scaled("weights/ensemble", 2)))
    assert [finding.code for finding in report.findings] == ["family_total", "central_value"]


def with_central_value(result: UnfoldingResult, nominal: NDArray[Any], rule: dict[str, str]) -> UnfoldingResult:
    weights = {**result.metadata["weights"], "central_value": rule}
    cross_section = {"value": total(nominal), "unit": "pb"}
    return replace(
        result, nominal=nominal, metadata={**result.metadata, "weights": weights, "cross_section": cross_section}
    )


def test_a_nominal_that_is_the_median_is_valid_under_the_median_rule(
    tmp_path: Path, sound_result: UnfoldingResult, rewritten: Callable[..., Path]
) -> None:
    median = np.median(sound_result.families["ensemble"][:].astype(float), axis=1).astype(np.float32)
    rule = {"rule": "median", "family": "ensemble"}
    path = publish(with_central_value(sound_result, median, rule), tmp_path / "median.h5")
    assert validate(path).findings == ()

    def call_it_mean(arrays: dict[str, Any], metadata: dict[str, Any]) -> None:
        metadata["weights"]["central_value"]["rule"] = "mean"
        component(metadata, "ensemble")["covariance"]["divisor"] = "K (K - 1)"

    finding = only(rewritten(call_it_mean, of=path))
    assert (finding.code, finding.expected) == ("central_value", "the mean of /weights/ensemble")


def test_a_single_run_needs_no_family_of_its_central_value(tmp_path: Path, sound_result: UnfoldingResult) -> None:
    first = sound_result.families["ensemble"][:][:, 0] * np.float32(1.001)
    path = publish(with_central_value(sound_result, first, {"rule": "single"}), tmp_path / "single.h5")
    assert validate(path).findings == ()


# Precision


@pytest.mark.parametrize("bits", [10, 14])
def test_weights_of_the_declared_precision_are_sound(
    tmp_path: Path, sound_result: UnfoldingResult, rewritten: Callable[..., Path], bits: int
) -> None:
    path = publish(sound_result, tmp_path / "rounded.h5", mantissa_bits=bits)
    assert validate(path).findings == ()

    def one_bit_more(arrays: dict[str, Any], metadata: dict[str, Any]) -> None:
        arrays["weights/data_bootstrap"].view(np.uint32)[499, 11] |= 1 << (22 - bits)

    finding = only(rewritten(one_bit_more, of=path))
    assert (finding.code, finding.path, finding.expected) == (
        *("precision", BOOTSTRAP),
        f"{bits} bits of significand",
    )


# What is sound


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda a, m: m["cross_section"].update(value=m["cross_section"]["value"] * 1.009), id="1 % off"),
        pytest.param(
            lambda a, m: m["cross_section"].update(unit="fb", value=m["cross_section"]["value"] * 1000), id="in fb"
        ),
        pytest.param(scaled("weights/data_bootstrap", 1.005), id="totals within their error"),
        pytest.param(scaled("weights/shift", 1.9), id="a large variation"),
        pytest.param(put("weights/pdf", 5, 0), id="weights of zero"),
        pytest.param(put("prior", 3, 1e-42), id="a subnormal weight"),
    ],
)
def test_what_is_sound_is_not_reported(rewritten: Callable[..., Path], change: Change) -> None:
    assert validate(rewritten(change)).findings == ()


def test_families_of_several_blocks_are_checked_to_the_last_row(
    rewritten: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def small(rows: int, row_bytes: int, **_: int) -> list[tuple[int, int]]:
        return [(start, min(start + 64, rows)) for start in range(0, rows, 64)]

    def spoil(arrays: dict[str, Any], metadata: dict[str, Any]) -> None:
        arrays["weights/pdf"][499, 2] = np.nan
        arrays["weights/nominal"][499] *= np.float32(1.01)
        arrays["weights/data_bootstrap"][:, 7] = arrays["weights/data_bootstrap"][:, 3]
        arrays["prior"][499] *= -1

    path = rewritten(spoil)
    monkeypatch.setattr("omnifold_pub.format.reading.row_blocks", small)
    monkeypatch.setattr(layout, "row_blocks", small)
    assert [(f.code, f.path, f.found.split(" (")[0]) for f in validate(path).findings] == [
        ("finite_weights", "/weights/pdf", "1 of 1500 are not"),
        ("negative_weights", "/prior", "1 of 500"),
        ("constant_replicas", BOOTSTRAP, "1 that repeat another, such as members 3 and 7"),
        ("central_value", "/weights/nominal", validate(path).findings[-1].found),
    ]
