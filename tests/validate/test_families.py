"""Families one by one: sound ones that must not be reported, and defects that hide in a spread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from omnifold_pub import UnfoldingResult, publish, validate
from omnifold_pub.validate.findings import Finding
from omnifold_pub.validate.weights import Family, Scale, family_findings, summarise

# Distinct members of sound families


def findings(
    kind: str,
    weights: NDArray[np.float32],
    nominal: NDArray[np.float32],
    rule: str | None = None,
    *,
    single: bool = False,
) -> list[Finding]:
    family = Family("weights/family", kind, rule, may_hold_nominal=single)
    summary = summarise(family, iter([(0, weights)]), nominal, weights.shape[1])
    return list(family_findings(family, summary, Scale.of(nominal)))


def test_trainings_of_one_total_are_told_apart() -> None:
    rng = np.random.default_rng(2)
    weights = np.empty((50_000, 100), dtype=np.float32)
    for member in range(100):
        weights[:, member] = 1 + 0.001 * rng.standard_normal(len(weights), dtype=np.float32)
    weights /= weights.mean(axis=0, dtype=np.float64).astype(np.float32)
    assert findings("ensemble", weights, weights.mean(axis=1, dtype=np.float64).astype(np.float32), "mean") == []


def test_a_single_run_may_differ_from_the_mean_of_its_ensemble() -> None:
    flagged = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        totals = 1 + 0.01 * rng.standard_normal(51)
        base = rng.gamma(2.0, 1.0, 100)
        ensemble, nominal = np.outer(base, totals[1:]).astype(np.float32), (base * totals[0]).astype(np.float32)
        flagged += bool(findings("ensemble", ensemble, nominal, single=True))
    assert flagged <= 2


def test_a_single_run_may_be_a_member_of_its_ensemble(tmp_path: Path, sound_result: UnfoldingResult) -> None:
    first = sound_result.families["ensemble"][:][:, 0]
    weights = {**sound_result.metadata["weights"], "central_value": {"rule": "single"}}
    cross_section = {"value": float(first.sum(dtype=float)), "unit": "pb"}
    metadata = {**sound_result.metadata, "weights": weights, "cross_section": cross_section}
    assert validate(publish(replace(sound_result, nominal=first, metadata=metadata), tmp_path / "single.h5")).valid


def test_two_replicas_of_a_sound_bootstrap_are_seldom_called_biased() -> None:
    flagged = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        base = rng.gamma(2.0, 1.0, 100)
        weights = np.outer(base, 1 + 0.01 * rng.standard_normal(2)).astype(np.float32)
        flagged += bool(findings("bootstrap", weights, base.astype(np.float32)))
    assert flagged <= 2


def test_a_median_of_skewed_members_is_not_called_biased() -> None:
    rng = np.random.default_rng(1)
    weights = (rng.gamma(2.0, 1.0, (5000, 1)) * rng.lognormal(0, 0.1, (5000, 100))).astype(np.float32)
    median = np.median(weights.astype(float), axis=1).astype(np.float32)
    assert findings("ensemble", weights, median, "median") == []


# Defects that are not found yet


@pytest.mark.parametrize("factor", [0, 26.5, 1000])
@pytest.mark.parametrize("members", [1, 6])
def test_members_in_another_unit_are_found(rewritten: Callable[..., Path], factor: float, members: int) -> None:
    def change(arrays: dict[str, Any], metadata: dict[str, Any]) -> None:
        arrays["weights/data_bootstrap"][:, :members] *= np.float32(factor)

    report = validate(rewritten(change))
    assert ("family_total", "required") in {(finding.code, finding.level) for finding in report.findings}


@pytest.mark.parametrize("names", [("canvases/other/weights/nominal", "canvases/other/weights/replicas"), ("prior",)])
def test_other_weights_in_another_unit_are_found(rewritten: Callable[..., Path], names: tuple[str, ...]) -> None:
    report = validate(rewritten(lambda a, m: [a[name].__imul__(np.float32(1000)) for name in names]))
    assert [finding.path for finding in report.findings] == [f"/{names[0]}"]


@pytest.mark.parametrize("name", ["weights/pdf", "weights/ensemble", "canvases/other/weights/replicas"])
def test_infinities_of_both_signs_are_found(rewritten: Callable[..., Path], name: str) -> None:
    def change(arrays: dict[str, Any], metadata: dict[str, Any]) -> None:
        arrays[name][3:5, 1] = np.inf, -np.inf
        arrays[name][7, :2] = np.inf, -np.inf

    finding = validate(rewritten(change)).findings[0]
    assert (finding.code, finding.path, finding.found.split()[0]) == ("finite_weights", f"/{name}", "4")


@pytest.mark.parametrize("name", ["weights/nominal", "weights/mc_bootstrap"])
def test_signalling_nans_are_found(rewritten: Callable[..., Path], name: str) -> None:
    report = validate(rewritten(lambda a, m: a[name].view(np.uint32).reshape(-1).__setitem__(40, 0x7FA00000)))
    assert (report.findings[0].code, report.findings[0].path) == ("finite_weights", f"/{name}")


@pytest.mark.parametrize("kind", ["bootstrap", "ensemble"])
def test_one_replica_of_a_canvas_is_refused(rewritten: Callable[..., Path], kind: str) -> None:
    def change(arrays: dict[str, Any], metadata: dict[str, Any]) -> None:
        metadata["canvases"][0]["families"][0].update(members=1, kind=kind)
        arrays["canvases/other/weights/replicas"] = arrays["canvases/other/weights/replicas"][:, :1].copy()

    assert [(f.code, f.path) for f in validate(rewritten(change)).findings] == [
        ("schema", "/metadata canvases[0].families[0].members")
    ]


def test_a_nominal_of_events_that_no_member_has_is_found() -> None:
    rng = np.random.default_rng(1)
    weights = rng.gamma(2.0, 1e-7, (100, 4)).astype(np.float32)
    nominal = weights.mean(axis=1, dtype=np.float64).astype(np.float32)
    weights[:5] = 0
    assert "central_value" in {finding.code for finding in findings("ensemble", weights, nominal, "mean")}
