"""The inspection example against what its simulator knows."""

from __future__ import annotations

import copy
import html.parser
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from omnifold_pub import UnfoldingResult, open_release, publish, validate
from omnifold_pub.inputs.doctor import check_inputs

Import = Callable[[str], ModuleType]

SEED = 5


@pytest.fixture(scope="module")
def parts(inspection: Import) -> Any:
    return inspection("stones").read_parts()


@pytest.fixture(scope="module")
def sizes(inspection: Import) -> Any:
    return inspection("periods").Sizes(reference=4000, made=6000, foreign=800)


@pytest.fixture(scope="module")
def periods(inspection: Import, parts: Any, sizes: Any) -> Any:
    return inspection("periods").make_periods(parts, sizes, seed=SEED)


def test_the_parts_are_the_stones_that_make_sense(parts: Any) -> None:
    assert len(parts) == 53_881  # of 53,940
    assert 0.17 < np.mean((parts.proportion < 59) | (parts.proportion >= 63)) < 0.18
    np.testing.assert_allclose(parts.height / parts.diameter * 100, parts.proportion)
    assert np.unique(parts.number).size == len(parts)


def test_no_part_is_in_two_sets_but_the_tray(periods: Any, sizes: Any) -> None:
    old, new = periods
    assert np.array_equal(old.reference.number, new.reference.number)
    sets = [set(old.reference.number), set(old.made.number), set(new.made.number)]
    assert [len(one) for one in sets] == [sizes.reference, sizes.made, sizes.made]
    assert len(set.union(*sets)) == sum(map(len, sets))


def test_sensors_are_off_as_declared(inspection: Import, parts: Any) -> None:
    line, condition = inspection("line"), inspection("periods").NEW_LINE
    found = line.inspect(parts, condition, seed=SEED)
    off = found.diameter - parts.diameter
    late = np.arange(len(parts)) > 0.9 * len(parts)
    assert off.mean() == pytest.approx(0.04, abs=0.001)
    assert off[late].mean() == pytest.approx(0.02 + 0.95 * 0.04, abs=0.002)
    assert off[late].std() == pytest.approx(0.03, rel=0.05)
    heights = found.proportion * found.diameter / 100 - parts.height
    assert heights.mean() == pytest.approx(-0.03, abs=0.001)
    weighed = found.mass != line.MISSING
    assert (found.mass / parts.mass)[weighed].mean() == pytest.approx(1.007, abs=0.001)
    heavy = parts.mass > 400
    assert (~weighed)[heavy].mean() == pytest.approx(0.14, abs=0.01)
    assert (~weighed)[parts.mass < 100].mean() == pytest.approx(0.04, abs=0.01)
    small = parts.diameter < 4.5
    assert found.seen[small].mean() < found.seen[~small].mean() - 0.1


def test_a_certificate_moves_one_sensor_by_its_uncertainty(inspection: Import, parts: Any) -> None:
    line = inspection("line")
    plain = line.inspect(parts, line.Condition(), seed=SEED)
    moved = line.inspect(parts, line.Condition().shifted("diameter_gauge", 0.003), seed=SEED)
    np.testing.assert_allclose(moved.diameter - plain.diameter, 0.003, atol=1e-12)
    assert np.array_equal(moved.mass, plain.mass)
    off = line.inspect(parts, line.certificate_error(line.Condition()), seed=SEED)
    np.testing.assert_allclose(off.diameter - plain.diameter, 0.5 * 0.003, atol=1e-12)


def test_the_readings_alone_mislead(inspection: Import, periods: Any) -> None:
    """The product got worse, the records do not show it; the sizes stayed, the records say they grew."""
    out = inspection("quantities").QUANTITIES["out"]
    diameter = inspection("quantities").QUANTITIES["diameter"]
    old, new = periods
    worse = out.of(new.made).value - out.of(old.made).value
    assert worse > 5
    assert out.of(new.records).value - out.of(old.records).value < 0.4 * worse
    assert diameter.of(new.records).value - diameter.of(old.records).value > 0.05
    assert abs(diameter.of(new.made).value - diameter.of(old.made).value) < 0.05


def test_without_wear_nothing_but_chance_is_between_the_periods(inspection: Import, parts: Any, sizes: Any) -> None:
    old, new = inspection("periods").make_periods(parts, sizes, taller=1.0, seed=SEED)
    out = inspection("quantities").QUANTITIES["out"]
    first, second = out.of(old.made), out.of(new.made)
    assert abs(second.value - first.value) < 3.5 * np.hypot(first.error, second.error)


def test_the_inputs_are_usable_and_the_drift_in_time_is_found(inspection: Import, parts: Any, tmp_path: Path) -> None:
    few = inspection("periods").Sizes(reference=1500, made=3000, foreign=300)
    late = inspection("periods").make_periods(parts, few, seed=SEED)[1]
    path = inspection("periods").write_period(late, tmp_path, sizes=few, settings={})
    report = check_inputs(path)
    assert report.usable, [str(one) for one in report.findings]
    assert any(one.code == "drift_in_time" and "proportion" in one.path for one in report.findings)


def perfect(metadata: dict[str, Any], period: Any, shifts: int, members: int = 16) -> UnfoldingResult:
    """Return what a perfect correction of a period would publish: the parts that were made, one by one."""
    rng = np.random.default_rng(len(period.name) + int(period.made.number[0]))
    count = len(period.made)
    ensemble = (rng.normal(1, 1e-4, (count, 3)) / shifts).astype(np.float32)
    base = ensemble.mean(axis=1, dtype=np.float64).astype(np.float32)
    off = 0.02 * (period.made.proportion - 61.8)  # by the tray's certificate: alike in both
    gauges = {"diameter_gauge": np.exp(off), "height_gauge": np.exp(-0.9 * off), "scale": np.exp(0.1 * off)}
    metadata = copy.deepcopy(metadata)
    for key in ("canvases", "networks"):
        del metadata[key]
    limits = {"diameter": "mm", "proportion": "%", "mass": "mg"}
    metadata["observables"] = [
        {**metadata["observables"][0], "name": name, "unit": unit, "valid_range": {"minimum": 0, "maximum": None}}
        for name, unit in limits.items()
    ]
    metadata["fiducial"]["selection"] = [{"expression": "diameter", "minimum": 3, "maximum": 12, "tolerance": 0}]
    metadata["cross_section"]["value"] = float(base.astype(float).sum())
    metadata["closure"] = {"performed": False, "description": "none", "results": [], "tests": []}
    metadata["weights"]["prior"] = False
    trained: dict[str, Any] = {"description": "as its name says", "trainings_per_member": 1}
    boot = {"kind": "bootstrap", "members": members, **trained}
    metadata["components"] = [
        {"name": "ensemble", "kind": "ensemble", "members": 3, **trained},
        {"name": "data_bootstrap", "resampled": "data", "seed": 1, "includes_event_sampling": True, **boot},
        {"name": "mc_bootstrap", "resampled": "simulation", "seed": 2, "includes_event_sampling": False, **boot},
        *(
            {"name": n, "kind": "variation", "members": 1, **trained}
            for n in ("diameter_gauge", "height_gauge", "scale")
        ),
    ]
    columns = {name: getattr(period.made, name).astype(np.float32) for name in limits}
    families = {
        "ensemble": ensemble,
        "data_bootstrap": base[:, np.newaxis] * rng.poisson(1, (count, members)),
        "mc_bootstrap": base[:, np.newaxis] * np.full((count, members), np.linspace(0.99, 1.01, members)),
        **{name: (base * factor)[:, np.newaxis] for name, factor in gauges.items()},
    }
    return UnfoldingResult(
        event_id=np.arange(count),
        columns=columns,
        nominal=base,
        families={name: family.astype(np.float32) for name, family in families.items()},
        metadata=metadata,
    )


@pytest.fixture(scope="module")
def kept() -> dict[str, Any]:
    """What is computed once for several tests."""
    return {}


@pytest.fixture
def findings(kept: dict[str, Any], inspection: Import, periods: Any, result: UnfoldingResult, tmp_path: Path) -> Any:
    if not kept:
        shifts = inspection("periods").SHIFTS
        paths = [publish(perfect(result.metadata, one, shifts), tmp_path / f"{one.name}.h5") for one in periods]
        with open_release(paths[0]) as old, open_release(paths[1]) as new:
            kept["findings"] = inspection("changes").compare_periods((old, new), periods)
    return kept["findings"]


def test_a_perfect_correction_finds_the_truth(findings: Any, periods: Any, sizes: Any) -> None:
    for one in findings.changes.values():
        assert one.old == pytest.approx(one.true_old, rel=1e-3)
        assert one.new == pytest.approx(one.true_new, rel=1e-3)
        assert abs(one.pull) < 0.1
    out, rate = findings.changes["out"], findings.changes["rate"]
    assert out.adjusted_p < 1e-3
    assert findings.changes["out_rate"].new == pytest.approx(out.new / 100 * rate.new, rel=1e-3)
    assert min(findings.changes[name].adjusted_p for name in ("diameter", "mass", "rate")) > 0.01
    # the number of parts is as uncertain as a Poisson number, in both periods
    assert rate.causes["finite number of parts in the periods"] == pytest.approx(np.sqrt(2 * sizes.made) / 20, rel=0.5)
    # a certificate that is the same in both moves each of them, and the change by the difference of both shifts
    shifts = []
    for period in periods:
        made = period.made
        weights = np.exp(0.02 * (made.proportion - 61.8))
        beyond = (made.proportion < 59) | (made.proportion >= 63)
        shifts.append(100 * (weights[beyond].sum() / weights.sum() - beyond.mean()))
    assert out.causes["certificate of the diameters"] == pytest.approx(abs(shifts[1] - shifts[0]), rel=0.05)
    for spectrum in findings.spectra.values():
        np.testing.assert_allclose(spectrum.old, spectrum.true_old, rtol=1e-2)
        assert spectrum.raw_new.sum() == pytest.approx(1)
    json.dumps(findings.to_dict(), allow_nan=False)


class Links(html.parser.HTMLParser):
    """Collect what a page points to, and pictures without words."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.mute = 0
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.links += [value for key, value in found.items() if key in ("src", "href") and value]
        self.mute += tag == "img" and not found.get("alt")
        self.scripts += tag == "script"


def write_page(inspection: Import, path: Path, findings: Any, periods: Any, what: str = "all is well") -> str:
    cost = inspection("costs").Bill(40, 2, 1.5, 15.5, 0.5, 5.2, 1.1, 3.2, 30.0, 300.0)
    warned = [
        {"level": "warning", "code": "drift_in_time", "path": "production.root: proportion", "what": "drift"},
        {"level": "warning", "code": "other", "path": "production.root", "what": what},
        {"level": "note", "code": "weights", "path": "production.root", "what": "nothing to do"},
    ]
    checks = {name: {"inputs": warned, "usable": True, "valid": True, "validation": []} for name in ("old", "new")}
    inspection("page").write_page(path, findings, cost, periods=periods, checks=checks)
    return path.read_text(encoding="utf-8")


def test_the_page_says_it(inspection: Import, findings: Any, periods: Any, tmp_path: Path) -> None:
    text = write_page(inspection, tmp_path / "decision.html", findings, periods)
    out = findings.changes["out"]
    for words in (
        "Parts out of tolerance: rose",
        f"{out.old:.1f} % &rarr; {out.new:.1f} %",
        f"{out.new - out.old:+.1f} &plusmn; {out.error:.1f} points",
        "15.5 s",
        "5.2 minutes",
        "3.2 GB",
        "<td>6,000</td><td>60,000</td>",
        "production.root: proportion: Records of the first and of the second half",
        "from 16 repetitions",
    ):
        assert words in text
    bad = findings.changes["out_rate"]
    assert f"{bad.new - bad.old:+.0f} &plusmn; {bad.error:.0f} parts out of tolerance per shift" in text
    assert "nothing to do" not in text
    page = Links()
    page.feed(text)
    assert page.mute == page.scripts == 0
    assert all(link.startswith("data:image/png") or link in ("old.html", "new.html") for link in page.links)
    assert len(text) < 2_000_000


def test_what_comes_from_files_is_text(inspection: Import, findings: Any, periods: Any, tmp_path: Path) -> None:
    text = write_page(inspection, tmp_path / "decision.html", findings, periods, "<script>alert(1)</script>")
    assert "<script" not in text
    assert "&lt;script&gt;" in text


@pytest.mark.parametrize(
    ("p", "raw_p", "expected"),
    [
        (1e-4, 1e-9, ("rose", "fell", True)),
        (0.03, 0.5, ("perhaps rose", "no change seen", True)),
        (0.3, 0.2, ("no change seen", "no change seen", False)),
    ],
)
def test_verdicts(inspection: Import, p: float, raw_p: float, expected: tuple[str, str, bool]) -> None:
    raw = inspection("quantities").Raw
    change = inspection("changes").Change(
        "out", "Out", "%", 1, raw(20.0, 0.3), raw(18.0, 0.3), raw_p, 16.0, 0.5, 19.0, 0.5, 0.5, p, p, 16.0, 19.5, {}
    )
    verdict = inspection("page").judge(change)
    assert (verdict.word, verdict.raw_word, verdict.misled) == expected
    assert verdict.noticed == pytest.approx(1.4)
    assert change.pull == pytest.approx(-1.0)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_whole_way_finds_what_the_simulator_knows(inspection: Import, tmp_path: Path) -> None:
    """A smaller factory, from records to the page: product drift found, sensor drift not mistaken for it."""
    settings = copy.deepcopy(inspection("run").SETTINGS)
    settings["campaign"] |= {"ensemble": 2, "data_bootstrap": 10, "mc_bootstrap": 10}
    settings["omnifold"] |= {"iterations": 4}
    sizes = inspection("periods").Sizes(reference=8000, made=8000, foreign=1500)
    found, cost = inspection("run").inspection(tmp_path, sizes=sizes, settings=settings, workers=2)
    out, diameter, rate = (found.changes[name] for name in ("out", "diameter", "rate"))
    assert out.p < 0.05
    assert out.new - out.old > 0.4 * (out.true_new - out.true_old) > 2
    assert out.raw_new.value - out.raw_old.value < 0.4 * (out.true_new - out.true_old)
    assert diameter.raw_p < 1e-4
    assert abs(diameter.new - diameter.old) < 0.5 * (diameter.raw_new.value - diameter.raw_old.value)
    assert rate.raw_new.value < 0.97 * rate.raw_old.value
    assert abs(rate.new / rate.old - 1) < 0.03
    assert max(abs(one.pull) for one in found.changes.values()) < 4.5
    assert cost.more_seconds > 2 * cost.seconds
    assert cost.more_minutes / cost.minutes == pytest.approx(cost.more_seconds / cost.seconds)
    assert cost.more_disk == pytest.approx(10 * cost.disk)
    for name in ("old", "new"):
        assert validate(tmp_path / f"{name}.h5").valid
        assert (tmp_path / f"{name}.html").stat().st_size > 10_000
    assert json.loads((tmp_path / "findings.json").read_text())["checks"]["new"]["usable"]
    assert not (tmp_path / "tenfold").exists()
