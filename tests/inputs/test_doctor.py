"""Every defect planted in a small sample, and clean samples that nothing is said of."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from scipy.spatial import cKDTree

from omnifold_pub.inputs.doctor import INPUT_CHECKS, Finding, InputReport, check_inputs
from omnifold_pub.inputs.doctor.drift import kolmogorov_smirnov
from omnifold_pub.inputs.doctor.neighbours import TAIL, compare_neighbours
from omnifold_pub.inputs.doctor.response import regions
from omnifold_pub.inputs.doctor.support import uncovered
from omnifold_pub.inputs.doctor.values import lone_sentinels, spike

Arrays = dict[str, NDArray[Any]]

NAMES = ("pt", "eta", "phi", "n", "mass")
JET = "The event has no jet"


@dataclass
class Toy:
    """Files of an analysis before they are written."""

    simulation: Arrays
    data: Arrays
    variation: Arrays
    document: dict[str, Any]


Plant = Callable[[Toy], object]


def draw(rng: np.random.Generator, size: int, prefix: str = "", shift: float = 0.0) -> Arrays:
    mass = rng.gamma(3, 4, size)
    mass[rng.random(size) < 0.2] = -99
    values = {
        "pt": 20 + rng.exponential(40, size) * (1 + shift),
        "eta": rng.normal(0, 1, size),
        "phi": rng.uniform(-np.pi, np.pi, size),
        "n": rng.poisson(5 * (1 + shift), size),
        "mass": mass,
    }
    return {prefix + name: column.astype(np.float32) for name, column in values.items()}


def smear(rng: np.random.Generator, truth: Arrays) -> Arrays:
    size = len(truth["pt"])
    mass = truth["mass"] * rng.normal(1, 0.02, size)
    reco = {
        "pt": truth["pt"] * rng.normal(1, 0.02, size),
        "eta": truth["eta"] + rng.normal(0, 0.01, size),
        "phi": np.clip(truth["phi"], -np.pi, np.pi),
        "n": truth["n"],
        "mass": np.where(truth["mass"] == -99, -99, mass),
    }
    return {f"reco_{name}": column.astype(np.float32) for name, column in reco.items()}


def observable(name: str, **more: Any) -> dict[str, Any]:
    entry = {"name": name, "description": name, "unit": "1", "latex": name}
    return entry | {"valid_range": {"minimum": None, "maximum": None}} | more


def make_toy(base: dict[str, Any], seed: int = 1, *, events: int = 6000, recorded: int = 3000) -> Toy:
    rng = np.random.default_rng(seed)
    truth = draw(rng, events)
    reco = smear(rng, truth)
    pass_truth, pass_reco = rng.random(events) < 0.97, rng.random(events) < 0.8
    weight = rng.uniform(0.5, 1.5, events)
    event_id = np.arange(events, dtype=np.int64)
    data = smear(rng, draw(rng, recorded)) | {"event_id": np.arange(recorded, dtype=np.int64) + 10**6}
    flags = {"pass_truth": pass_truth, "pass_reco": pass_reco, "event_id": event_id}
    moved = {name: column.copy() for name, column in reco.items()}
    moved["reco_pt"] *= np.float32(1.01)
    document = copy.deepcopy(base)
    document["inputs"] = {
        "sentinel": -99,
        "simulation": {
            "file": "mc.root",
            "tree": "events",
            "truth_weight": "weight",
            "pass_truth": "pass_truth",
            "pass_reco": "pass_reco",
            "event_id": "event_id",
        },
        "data": {"file": "data.root", "tree": "events", "event_id": "event_id"},
        "variations": [
            {
                "name": "scale_up",
                "file": "up.root",
                "tree": "events",
                "pass_reco": "pass_reco",
                "event_id": "event_id",
                "description": "1 % up",
            }
        ],
    }
    document["observables"] = [
        observable("pt", encoding="log", valid_range={"minimum": 0, "maximum": 1000}),
        observable("eta", valid_range={"minimum": -8, "maximum": 8}),
        observable("phi", encoding="angle", valid_range={"minimum": -3.1416, "maximum": 3.1416}),
        observable("n", valid_range={"minimum": 0, "maximum": None}),
        observable("mass", encoding="log", offset=1, absent=JET, valid_range={"minimum": 0, "maximum": None}),
    ]
    document["fiducial"]["selection"] = [{"expression": "abs(eta)", "minimum": None, "maximum": 7, "tolerance": 0}]
    document["four_momenta"] = []
    document["publication"]["validity"] = {"severity": "warning", "minimum_effective_events_per_bin": 0, "notes": []}
    expected = float(weight[pass_reco].sum())
    document["luminosity"] = {"value": recorded / expected, "unit": "pb-1", "relative_uncertainty": 0}
    return Toy({**truth, **reco, **flags, "weight": weight}, data, {**moved, **flags}, document)


@pytest.fixture
def examine(tmp_path: Path, zjets_document: dict[str, Any]) -> Callable[..., InputReport]:
    """Write a toy after something was planted in it, and check it."""

    def check(plant: Plant | None = None, *, seed: int = 1) -> InputReport:
        toy = make_toy(zjets_document, seed)
        if plant is not None:
            plant(toy)
        for name, columns in (("mc", toy.simulation), ("data", toy.data), ("up", toy.variation)):
            with uproot.recreate(tmp_path / f"{name}.root") as file:
                if columns:
                    file.mktree("events", {key: column.dtype for key, column in columns.items()})
                    file["events"].extend(columns)
        path = tmp_path / "analysis.yaml"
        path.write_text(yaml.safe_dump(toy.document))
        return check_inputs(path)

    return check


def alarms(report: InputReport) -> set[tuple[str, str]]:
    return {(finding.level, finding.code) for finding in report.findings if finding.level != "note"}


def of(report: InputReport, code: str, level: str | None = None) -> list[Finding]:
    return [f for f in report.findings if f.code == code and level in (None, f.level)]


@pytest.mark.parametrize("seed", range(1, 5))
def test_a_clean_sample_raises_no_alarm(examine: Callable[..., InputReport], seed: int) -> None:
    report = examine(seed=seed)
    assert report.usable
    assert [str(finding) for finding in report.findings if finding.level != "note"] == []
    assert {f.code for f in report.findings} == {"absent", "weights", "luminosity", "efficiency", "fakes"}
    assert report.checks == INPUT_CHECKS


def test_the_notes_of_a_clean_sample_are_what_was_simulated(examine: Callable[..., InputReport]) -> None:
    report = examine()
    (absent,) = of(report, "absent")
    assert absent.path == "mass"
    assert absent.expected.endswith(JET)
    part = re.search(r"of 3000 \(([\d.]+) %\) in data.root", absent.found)
    assert part is not None
    assert 17 < float(part[1]) < 23
    (efficiency,) = of(report, "efficiency")
    assert 78 < float(efficiency.found.split(" %")[0]) < 82
    (fakes,) = of(report, "fakes")
    assert 2 < float(fakes.found.split(" %")[0]) < 4
    (luminosity,) = of(report, "luminosity")
    assert luminosity.found == "3000, 1 times that"
    unweighted = next(f for f in of(report, "weights") if f.path.startswith("data"))
    assert unweighted.found == "3000 of 3000 events selected, sum 3000, all weights equal"


def put(where: str, branch: str, rows: Any, value: Any) -> Plant:
    """Plant a value."""

    def plant(toy: Toy) -> None:
        getattr(toy, where)[branch][rows] = value

    return plant


def cluster(toy: Toy) -> None:
    toy.data["reco_eta"][:60] = np.random.default_rng(5).normal(20, 0.1, 60)


def hole(toy: Toy) -> None:
    for name in ("simulation", "variation"):
        columns = getattr(toy, name)
        inside = np.abs(columns["reco_eta"] - 0.5) < 0.3
        columns["pass_reco"] &= ~inside


def absent_truth(toy: Toy) -> None:
    toy.simulation["pass_truth"][7] = True
    toy.simulation["eta"][7] = np.nan


def repeated_rows(toy: Toy) -> None:
    for name, column in toy.data.items():
        if name != "event_id":
            column[10:20] = column[0:10]


def shared_rows(toy: Toy) -> None:
    chosen = np.flatnonzero(toy.simulation["pass_reco"])[:50]
    for name, column in toy.data.items():
        if name != "event_id":
            column[:50] = toy.simulation[name][chosen]


def sorted_data(toy: Toy) -> None:
    toy.data["reco_pt"].sort()


def same_variation(toy: Toy) -> None:
    toy.variation["reco_pt"] = toy.simulation["reco_pt"]


def shuffled_variation(toy: Toy) -> None:
    toy.variation["event_id"] = toy.variation["event_id"][::-1].copy()


def short_variation(toy: Toy) -> None:
    toy.variation = {name: column[:-5] for name, column in toy.variation.items()}


def declared_but_there(toy: Toy) -> None:
    toy.document["observables"][1]["absent"] = "never"


def dead_region(toy: Toy) -> None:
    for name in ("simulation", "variation"):
        getattr(toy, name)["pass_reco"] &= toy.simulation["eta"] < 1


def fake_region(toy: Toy) -> None:
    toy.simulation["pass_truth"] &= toy.simulation["reco_pt"] > 35


def broken_jets(toy: Toy) -> None:
    """Make n a jet's number too, and leave it out of some events whose jet has a mass."""
    toy.document["observables"][3]["absent"] = JET
    for columns in (toy.simulation, toy.data, toy.variation):
        for name, of_jet in (("n", "mass"), ("reco_n", "reco_mass")):
            if name in columns:
                columns[name][columns[of_jet] == -99] = -99
    toy.data["reco_n"][np.flatnonzero(toy.data["reco_mass"] != -99)[:40]] = -99


def scale(branch: str, factor: float) -> Plant:
    def plant(toy: Toy) -> None:
        toy.simulation[branch] = toy.simulation[branch] * factor

    return plant


def luminosity(factor: float) -> Plant:
    def plant(toy: Toy) -> None:
        toy.document["luminosity"]["value"] *= factor

    return plant


def no_branch(toy: Toy) -> None:
    del toy.data["reco_eta"]


def rename(toy: Toy) -> None:
    toy.document["inputs"]["data"]["file"] = "nowhere.root"


def all_zero_weights(toy: Toy) -> None:
    toy.simulation["weight"] = np.zeros(len(toy.simulation["weight"]))


def negative(part: float) -> Plant:
    def plant(toy: Toy) -> None:
        weight = toy.simulation["weight"]
        weight[np.random.default_rng(2).random(len(weight)) < part] *= -1
        toy.document["luminosity"]["value"] /= 1 - 2 * part

    return plant


def undeclared_sentinel(toy: Toy) -> None:
    del toy.document["inputs"]["sentinel"]
    toy.document["observables"][4] |= {"encoding": "linear"}
    toy.document["observables"][4]["valid_range"] = {"minimum": None, "maximum": None}


DEFECTS: dict[str, tuple[Plant, set[tuple[str, str]], str]] = {
    "absent without leave": (absent_truth, {("error", "absent")}, "mc.root, particle level: eta: .* row 7"),
    "absent at reco": (
        put("data", "reco_n", 3, np.nan),
        {("error", "absent")},
        "data.root, detector level: n: .* row 3",
    ),
    "sentinel is absence": (put("data", "reco_n", 3, -99), {("error", "absent")}, "1 of 3000 absent"),
    "jets filled in data": (
        put("data", "reco_mass", slice(None), 12.5),
        {("warning", "absence_differs"), ("warning", "constant"), ("warning", "drift")},
        "never in data.root",
    ),
    "always absent": (
        put("data", "reco_mass", slice(None), -99),
        {("error", "always_absent"), ("warning", "drift")},
        "mass: .* absent from all 3000",
    ),
    "truth out of range": (put("simulation", "pt", slice(0, 5), 2000.0), {("error", "range")}, "2000"),
    "reco out of range": (put("data", "reco_phi", slice(0, 100), 3.2), {("warning", "range")}, "100 of 3000 outside"),
    "outside the fiducial region": (put("simulation", "eta", slice(0, 9), 7.5), {("error", "fiducial")}, r"abs\(eta\)"),
    "infinite": (put("data", "reco_eta", 4, np.inf), {("error", "infinite")}, "row 4"),
    "logarithm": (put("data", "reco_pt", 4, -3.0), {("error", "encoding")}, "1 of 3000 at or below -?0, down to -3"),
    "constant": (
        put("data", "reco_phi", slice(None), 1.0),
        {("warning", "constant"), ("warning", "drift")},
        "1 in all",
    ),
    "undeclared sentinel": (undeclared_sentinel, {("warning", "sentinel")}, "mass: .* -99, far from all other values"),
    "another sentinel": (put("data", "reco_eta", slice(0, 2), -999), {("warning", "sentinel")}, "eta: .* -999"),
    "sentinel of an integer": (put("data", "reco_n", slice(0, 2), -1), {("warning", "sentinel")}, "n: .* -1, far"),
    "spike": (put("data", "reco_eta", slice(0, 240), 0.0), {("warning", "spike")}, "eta: .* exactly 0 in 8 %"),
    "repeated ids": (put("data", "event_id", slice(0, 4), 5), {("error", "event_id")}, "3 of 3000 repeat"),
    "equal rows": (repeated_rows, {("warning", "equal_rows")}, "10 of 3000 repeat an earlier one"),
    "shared rows": (shared_rows, {("warning", "shared_rows")}, "50 of 3000 .* are rows of mc.root too"),
    "no finite weight": (put("simulation", "weight", 3, np.nan), {("error", "finite_weights")}, "row 3"),
    "no weight": (all_zero_weights, {("error", "weight_total")}, "0 over"),
    "many negative weights": (negative(0.35), {("warning", "weights")}, "more than 25 % negative"),
    "one heavy event": (put("simulation", "weight", 5, 600.0), {("warning", "weights")}, "one event with more"),
    "units of luminosity": (luminosity(1000), {("warning", "luminosity")}, "near a power of ten"),
    "a little off": (luminosity(1.28), {("warning", "luminosity")}, r"0\.78\d* times that. Luminosity, its unit"),
    "half the luminosity": (luminosity(0.5), {("warning", "luminosity")}, "2 times that"),
    "variation is the nominal": (same_variation, {("warning", "variation_equal")}, "up.root, variation scale_up"),
    "variation shuffled": (shuffled_variation, {("error", "variation_rows")}, "6000 rows of another event id"),
    "variation cut short": (short_variation, {("error", "variation_rows")}, "5995 rows, not 6000"),
    "out of support": (cluster, {("error", "support")}, r"eta: .* 2 % of the data without: 19\.\d+ to 20"),
    "hole in the simulation": (hole, {("error", "support")}, r"eta: .* without: .*0\.\d+ to 0\.\d+"),
    "drift in time": (sorted_data, {("warning", "drift_in_time")}, "pt: .* 1.000 apart"),
    "other units": (scale("reco_pt", 0.001), {("warning", "drift"), ("error", "support")}, "pt: .*"),
    "dead region": (
        dead_region,
        {("warning", "no_efficiency"), ("error", "support")},
        r"eta: .* 0 % from 1\.\d+ to \d",
    ),
    "region of fakes": (fake_region, {("warning", "all_fakes")}, r"pt: .* 100 % from 1\d\.\d+ to 3\d"),
    "half a jet": (broken_jets, {("error", "absence_pattern")}, "40 events .* that lack n"),
    "missing branch": (no_branch, {("error", "readable")}, "reco_eta"),
    "missing file": (rename, {("error", "readable")}, "nowhere.root: .* no such file"),
    "odd flag": (
        lambda toy: toy.simulation.update(pass_reco=toy.simulation["pass_reco"] + np.int32(1)),
        {("error", "selection_flag")},
        "mc.root pass_reco: ",
    ),
    "ids that are no integers": (
        lambda toy: toy.data.update(event_id=toy.data["event_id"] + 0.5),
        {("error", "event_id_type")},
        "float64",
    ),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_defect_is_found(examine: Callable[..., InputReport], defect: str) -> None:
    plant, expected, text = DEFECTS[defect]
    report = examine(plant)
    assert expected <= alarms(report), [f"{f.level} {f.code} {f}" for f in report.findings if f.level != "note"]
    codes = {code for _, code in expected}
    told = [f"{finding}" for finding in report.findings if finding.code in codes]
    assert any(re.search(text, line) for line in told), told
    assert report.usable == (not any(level == "error" for level, _ in alarms(report)))


def test_nothing_hides_anything_else(examine: Callable[..., InputReport]) -> None:
    def plant(toy: Toy) -> None:
        toy.simulation["weight"][3] = np.nan
        toy.simulation["pt"][toy.simulation["pass_truth"]] = 2000
        toy.document["inputs"]["variations"][0]["file"] = "nowhere.root"
        del toy.data["reco_n"]
        cluster(toy)
        repeated_rows(toy)

    report = examine(plant)
    assert not report.usable
    assert {
        ("error", "readable"),
        ("error", "finite_weights"),
        ("error", "range"),
        ("error", "support"),
        ("warning", "equal_rows"),
    } <= alarms(report)
    assert len(of(report, "readable")) == 2
    levels = [f.level for f in report.findings]
    assert levels == sorted(levels, key=["error", "warning", "note"].index)


def test_an_empty_tree_and_a_lost_selection_are_findings(examine: Callable[..., InputReport]) -> None:
    def plant(toy: Toy) -> None:
        toy.data = {name: column[:0] for name, column in toy.data.items()}
        del toy.simulation["pass_truth"]

    report = examine(plant)
    assert [f.path for f in of(report, "readable", "error")] == ["mc.root", "data.root"]


def test_an_analysis_file_that_is_none_is_a_finding(tmp_path: Path) -> None:
    path = tmp_path / "analysis.yaml"
    path.write_text("title: nothing more")
    report = check_inputs(path)
    assert [(f.code, f.level) for f in report.findings] == [("analysis", "error")]
    assert report.checks == ("analysis",)


def test_what_only_the_reader_refuses_is_a_finding(examine: Callable[..., InputReport]) -> None:
    def plant(toy: Toy) -> None:
        prior = {"name": "log_pt", "description": "undefined", "correlated": True, "weight": "log(eta)"}
        toy.document["inputs"]["priors"] = [prior]

    (finding,) = of(examine(plant), "refused", "error")
    assert "prior log_pt" in finding.found


def test_a_declaration_that_is_never_needed_is_a_note(examine: Callable[..., InputReport]) -> None:
    report = examine(declared_but_there)
    assert report.usable
    assert [f.path for f in of(report, "never_absent", "note")] == ["eta"]


def test_absence_written_in_two_ways_is_a_note(examine: Callable[..., InputReport]) -> None:
    def plant(toy: Toy) -> None:
        toy.data["reco_mass"][toy.data["reco_mass"] == -99] = np.nan

    report = examine(plant)
    assert not alarms(report)
    (finding,) = of(report, "absence_flag")
    assert re.search(r"data\.root, detector level: NaN \d{3} times, the sentinel 0 times; mc\.root", finding.found)


def test_data_that_differ_mildly_are_a_note(
    examine: Callable[..., InputReport], zjets_document: dict[str, Any]
) -> None:
    def plant(toy: Toy) -> None:
        rng = np.random.default_rng(9)
        toy.data |= smear(rng, draw(rng, 3000, shift=0.15))

    report = examine(plant)
    assert not alarms(report)
    (finding,) = of(report, "drift", "note")
    assert finding.found.startswith("2 that differ: n (0.1")
    assert "pt" in finding.found


@pytest.mark.parametrize("declared", [0, 1])
def test_a_background_may_lack_an_object_altogether_if_events_may(
    examine: Callable[..., InputReport], tmp_path: Path, declared: int
) -> None:
    def plant(toy: Toy) -> None:
        columns = smear(np.random.default_rng(3), draw(np.random.default_rng(4), 500))
        columns |= {"event_id": np.arange(500), "weight": np.full(500, 1e-6)}
        columns["reco_mass"] = np.full(500, -99, dtype=np.float32)
        with uproot.recreate(tmp_path / "other.root") as file:
            file.mktree("events", {key: column.dtype for key, column in columns.items()})
            file["events"].extend(columns)
        entry = {"name": "other", "description": "other", "file": "other.root", "tree": "events"}
        toy.document["inputs"]["backgrounds"] = [entry | {"weight": "weight", "event_id": "event_id"}]
        if not declared:
            del toy.document["observables"][4]["absent"]

    report = examine(plant)
    (finding,) = of(report, "always_absent")
    assert (finding.level, report.usable) == (("note", True) if declared else ("error", False))
    assert finding.path == "other.root, detector level: mass"


@pytest.mark.parametrize("declared", [0, 1])
def test_backgrounds_are_part_of_what_is_expected(
    examine: Callable[..., InputReport], tmp_path: Path, declared: int
) -> None:
    def plant(toy: Toy) -> None:
        """Put events of another process into the data, where the signal has none, and simulate them."""
        rng = np.random.default_rng(3)
        toy.data["reco_eta"][::10] = rng.normal(20, 1, 300)
        toy.document["observables"][1]["valid_range"]["maximum"] = 40
        columns = smear(rng, draw(rng, 2000)) | {"event_id": np.arange(2000)}
        columns["reco_eta"] = rng.normal(20, 1, 2000).astype(np.float32)
        columns["weight"] = np.full(2000, 300 / 2000 / toy.document["luminosity"]["value"])
        with uproot.recreate(tmp_path / "other.root") as file:
            file.mktree("events", {key: column.dtype for key, column in columns.items()})
            file["events"].extend(columns)
        entry = {"name": "other", "description": "other", "file": "other.root", "tree": "events"}
        toy.document["inputs"]["backgrounds"] = [entry | {"weight": "weight", "event_id": "event_id"}] * declared

    report = examine(plant)
    assert alarms(report) == (set() if declared else {("error", "support"), ("error", "far_from_simulation")})
    (finding,) = of(report, "luminosity")
    assert finding.expected.startswith("3300 events recorded of which 300 background" if declared else "3000 events")


def test_weights_that_vary_nothing_are_found(examine: Callable[..., InputReport]) -> None:
    def plant(toy: Toy) -> None:
        toy.simulation["same"] = toy.simulation["weight"].copy()
        toy.simulation["other"] = toy.simulation["weight"] * 1.1
        toy.simulation["ones"] = np.ones(6000)
        toy.simulation["twos"] = np.full(6000, 1.2)
        inputs = toy.document["inputs"]
        inputs["theory_weights"] = [
            {"name": "muR", "description": "scale", "kind": "variation", "weights": ["same", "other"]}
        ]
        pair = {"name": "sf", "description": "factor", "up": {"weight": "twos"}, "down": {"weight": "ones"}}
        inputs["variations"].append(pair)

    found = of(examine(plant), "variation_equal")
    assert [f.path for f in found] == ["mc.root, sf/down", "mc.root, muR (same)"]


def test_signed_weights_of_a_generator_are_a_note(examine: Callable[..., InputReport]) -> None:
    report = examine(negative(0.1))
    assert not alarms(report)
    assert any(re.search(r"(9|10)\.?\d* % negative", f.found) for f in of(report, "weights", "note"))


@pytest.mark.parametrize("sizes", [(50, 70), (400, 1000)])
def test_distances_are_those_of_scipy(sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    for shift in (0, 0.2):
        x, y = (rng.normal(shift * k, 1, size).astype(np.float32) for k, size in enumerate(sizes))
        distance, p = kolmogorov_smirnov(x, y, first_weight=np.ones(sizes[0]), second_weight=np.full(sizes[1], 3.0))
        expected = stats.ks_2samp(x, y, method="asymp")
        assert distance == pytest.approx(expected.statistic)
        # scipy's asymptotic p-value has a correction for small samples; Kolmogorov's own has none.
        n = sizes[0] * sizes[1] / sum(sizes)
        assert p == pytest.approx(stats.kstwobign.sf(expected.statistic * np.sqrt(n)))


@settings(max_examples=50, deadline=None, derandomize=True)
@given(counts=st.lists(st.integers(1, 5), min_size=2, max_size=30), absent=st.sampled_from([0, 1]))
def test_an_integer_weight_is_as_many_events(counts: list[int], absent: int) -> None:
    x = np.arange(len(counts), dtype=np.float32) % 7
    if absent:
        x[0] = np.nan
    y, ones = np.linspace(0, 5, 20, dtype=np.float32), np.ones(20)
    weighted, _ = kolmogorov_smirnov(x, y, first_weight=np.array(counts, dtype=float), second_weight=ones)
    repeated = np.repeat(x, counts)
    plain, _ = kolmogorov_smirnov(repeated, y, first_weight=np.ones(len(repeated)), second_weight=ones)
    assert weighted == pytest.approx(plain)


def test_ks_of_equal_laws_gives_uniform_p_values_with_weights() -> None:
    rng = np.random.default_rng(2)
    p = []
    for _ in range(300):
        x, y = rng.normal(size=400).astype(np.float32), rng.normal(size=600).astype(np.float32)
        weights = rng.exponential(1, 600)
        p.append(kolmogorov_smirnov(x, y, first_weight=np.ones(400), second_weight=weights)[1])
    assert 0.02 < np.mean(np.array(p) < 0.1) < 0.16
    assert stats.kstest(p, "uniform").pvalue > 1e-4


def test_support_of_equal_laws_is_found_lacking_as_rarely_as_promised() -> None:
    rng = np.random.default_rng(3)
    false = 0
    for _ in range(400):
        x, y = (rng.standard_cauchy(size).astype(np.float32) for size in (300, 900))
        gap = uncovered(x, y, data_weight=np.ones(300), simulation_weight=np.ones(900), chance=0.05)
        false += (gap.below > 0) + (gap.above > 0)
        assert gap.holes == 0
    assert false <= stats.binom.ppf(0.9999, 800, 0.05)
    assert false > 0


def test_support_finds_the_fraction_that_was_planted() -> None:
    rng = np.random.default_rng(4)
    x = np.concatenate([rng.uniform(0, 1, 900), rng.uniform(1.5, 1.6, 60), rng.uniform(3, 4, 40)]).astype(np.float32)
    y = np.concatenate([rng.uniform(0, 1, 4000), rng.uniform(2, 2.1, 4000)]).astype(np.float32)
    ones = np.ones(8000)
    gap = uncovered(x, y, data_weight=np.ones(1000), simulation_weight=ones, chance=1e-5)
    assert gap.above == pytest.approx(0.04)
    assert gap.holes == pytest.approx(0.06, abs=0.03)
    assert gap.places[-1][0] == pytest.approx(1.5, abs=0.1)
    # A simulated event without weight covers nothing.
    nothing = uncovered(x, y, data_weight=np.ones(1000), simulation_weight=np.where(y < 1, 1.0, 1e-12), chance=1e-5)
    assert nothing.fraction >= gap.fraction - 0.03


@pytest.mark.parametrize(
    ("dimensions", "samples"),
    [(3, 40), pytest.param(1, 300, marks=pytest.mark.slow), pytest.param(8, 300, marks=pytest.mark.slow)],
)
def test_neighbours_of_equal_laws_give_the_promised_false_positives(dimensions: int, samples: int) -> None:
    rng = np.random.default_rng(5)
    p = []
    for _ in range(samples):
        x, y = rng.standard_t(4, (500, dimensions)), rng.standard_t(4, (1200, dimensions))
        outcome = compare_neighbours(x, y, data_weight=np.ones(500), simulation_weight=np.ones(1200))
        p.append(outcome.p_value)
    for level in (0.3, 0.1, 0.02):
        assert np.sum(np.array(p) <= level) <= stats.binom.ppf(0.9999, len(p), level)
    assert min(p) < 0.3  # it can find something


@pytest.mark.parametrize("samples", [25, pytest.param(300, marks=pytest.mark.slow)])
def test_neighbours_with_uneven_weights_keep_quiet_too(samples: int) -> None:
    rng = np.random.default_rng(6)
    p = []
    for _ in range(samples):
        y = rng.normal(0, 2, (3000, 3))
        weight = 8 * np.exp(-(y**2).sum(axis=1) * (1 - 0.25) / 2)  # to a normal distribution of width 1
        x = rng.normal(0, 1, (600, 3))
        p.append(compare_neighbours(x, y, data_weight=np.ones(600), simulation_weight=weight).p_value)
    assert np.sum(np.array(p) < 0.02) <= stats.binom.ppf(0.9999, len(p), 0.02)


def test_neighbours_find_a_cluster_that_no_observable_shows() -> None:
    rng = np.random.default_rng(7)

    def correlated(size: int) -> NDArray[np.float64]:
        z = rng.normal(0, 1, (size, 3))
        z[:, 1] = z[:, 0] + 0.1 * z[:, 1]
        return z

    x, y = correlated(3000), correlated(8000)
    x[:60, 0], x[:60, 1] = 1.0, -1.0 + 0.1 * x[:60, 2]
    outcome = compare_neighbours(x, y, data_weight=np.ones(3000), simulation_weight=np.ones(8000))
    assert outcome.p_value < 1e-10
    assert outcome.beyond == pytest.approx(0.02, abs=0.002)
    assert outcome.far == pytest.approx(0.02 + TAIL, abs=0.003)
    assert set(outcome.rows[:50].tolist()) <= set(range(60))
    assert outcome.features[2] < 0.2


def test_nearest_neighbours_are_those_of_a_tree() -> None:
    from omnifold_pub.inputs.doctor.neighbours import _nearest

    rng = np.random.default_rng(8)
    x, base = rng.normal(size=(1500, 5)), rng.normal(size=(700, 5))
    distance, which = _nearest(x, base)
    expected, neighbour = cKDTree(base).query(x)
    np.testing.assert_allclose(distance, expected, rtol=1e-4)
    assert (which == neighbour).mean() > 0.999


def test_regions_are_those_of_a_hand_loop() -> None:
    rng = np.random.default_rng(9)
    x = rng.uniform(0, 10, 20000).astype(np.float32)
    x[:2000] = np.nan
    weight = rng.uniform(0.5, 1.5, 20000)
    passing = rng.random(20000) < 0.5
    passing &= ~((x > 3) & (x < 4)) & ~np.isnan(x)
    (absent, dead) = regions(x, weight, passing, below=0.01)
    assert np.isnan(absent[0])
    assert absent[2] == pytest.approx(weight[:2000].sum() / weight.sum())
    low, high, share, fraction = dead
    assert 3 <= low < 3.2
    assert 3.8 < high <= 4
    inside = [i for i in range(20000) if low <= x[i] <= high]
    assert share == pytest.approx(sum(weight[i] for i in inside) / weight.sum())
    assert fraction == pytest.approx(sum(weight[i] for i in inside if passing[i]) / sum(weight[i] for i in inside))
    assert list(regions(x[:200], weight[:200], passing[:200], below=0.01)) == []


def unique(values: Any) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    distinct, counts = np.unique(np.asarray(values, dtype=np.float32), return_counts=True)
    return distinct, counts.astype(np.int64)


def test_spikes_are_of_continuous_observables_alone() -> None:
    rng = np.random.default_rng(10)
    smooth = rng.normal(5, 1, 1000)
    assert spike(*unique(smooth)) is None
    assert spike(*unique(np.r_[smooth, np.zeros(40)])) is None
    found = spike(*unique(np.r_[smooth, np.zeros(100)]))
    assert found is not None
    assert found == pytest.approx((0, 100 / 1100))
    assert spike(*unique(rng.poisson(3, 1000))) is None
    assert spike(*unique(np.round(smooth, 1))) is None


@pytest.mark.parametrize("sentinel", [-99, -999, 9999])
def test_sentinels_are_lonely(sentinel: float) -> None:
    rng = np.random.default_rng(11)
    for values in (rng.normal(0, 1, 500), 20 + rng.exponential(50, 500), rng.poisson(5, 500)):
        assert lone_sentinels(*unique(np.r_[values, sentinel, sentinel])) == [(sentinel, 2)]
    for values in (rng.normal(0, 100, 500), rng.integers(-200, 200, 5000)):
        assert lone_sentinels(*unique(np.r_[values, -99])) == []


@pytest.mark.parametrize(("which", "size"), [("simulation", 1), ("simulation", 40), ("data", 1), ("data", 2)])
def test_samples_of_a_few_events_are_no_trouble(examine: Callable[..., InputReport], which: str, size: int) -> None:
    def plant(toy: Toy) -> None:
        setattr(toy, which, {name: column[:size] for name, column in getattr(toy, which).items()})
        toy.variation = {name: column[: len(toy.simulation["pt"])] for name, column in toy.variation.items()}
        for columns in (toy.simulation, toy.variation):
            columns["pass_truth"][0] = columns["pass_reco"][0] = True

    report = examine(plant)
    assert report.checks == INPUT_CHECKS
    assert of(report, "weights")


def test_a_simulation_of_which_nothing_is_selected_is_an_error(examine: Callable[..., InputReport]) -> None:
    def plant(toy: Toy) -> None:
        toy.simulation["pass_reco"][:] = False
        toy.simulation["pass_truth"][:] = False

    assert len(of(examine(plant), "weight_total", "error")) == 2
