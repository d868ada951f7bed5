from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot
import yaml
from numpy.typing import NDArray

from omnifold_pub.errors import AnalysisError, InputError
from omnifold_pub.inputs.analysis import parse_analysis, read_analysis
from omnifold_pub.inputs.reader import read_inputs
from omnifold_pub.observables.selection import Interval

Document = dict[str, Any]
WriteAnalysis = Callable[..., Path]
Arrays = dict[str, dict[str, NDArray[Any]]]

EVENTS = 60
NAN = float("nan")
UNBOUNDED = {"minimum": None, "maximum": None}


@pytest.fixture
def text(zjets: Path) -> str:
    return (zjets / "analysis.yaml").read_text()


def read_text(folder: Path, text: str | bytes) -> None:
    path = folder / "analysis.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    read_analysis(path)


def test_the_demo_s_analysis_file_is_read(zjets: Path) -> None:
    analysis = read_analysis(zjets / "analysis.yaml")
    assert len(analysis.observables) == 24
    first, mass = analysis.observables[0], analysis.observables[11]
    assert (first.name, first.truth, first.reco, first.encoding) == ("pT_ll", "pT_ll", "reco_pT_ll", "log")
    assert (first.offset, first.absent, first.may_be_absent) == (0.0, None, False)
    assert first.valid_range == Interval(0, 6500)
    assert (mass.name, mass.offset, mass.may_be_absent) == ("m_trackj1", 1.0, True)
    assert mass.absent == "The event has no charged-particle jet of pT > 10 GeV"
    assert [requirement.expression.text for requirement in analysis.selection][:2] == ["pT_ll", "pT_l1"]
    assert analysis.selection[0].interval == Interval(minimum=200)
    assert analysis.file(analysis.document["inputs"]["data"]) == zjets / "data.root"


def test_branches_may_be_named_otherwise(quick_analysis: WriteAnalysis) -> None:
    path = quick_analysis(lambda d: d["observables"][1].update(truth="y_true", reco="y_measured"))
    observable = read_analysis(path).observables[1]
    assert (observable.name, observable.truth, observable.reco) == ("y_ll", "y_true", "y_measured")
    assert observable.encoding == "linear"


def drop(*path: str) -> Callable[[Document], object]:
    def change(document: Document) -> None:
        for key in path[:-1]:
            document = document[key]
        del document[path[-1]]

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(tittle="x"), r"the document: expected only the keys .*title.*; found unknown 'tittle'"),
        (lambda d: d["inputs"].update(sentinels=-99), "inputs: expected only the keys .*; found unknown 'sentinels'"),
        (lambda d: d["inputs"]["data"].update(trees="x"), "inputs.data: expected only the keys"),
        (lambda d: d["observables"][3].update(units="GeV"), r"observables\[3\]: expected only .* unknown 'units'"),
        (drop("luminosity"), "the document: expected the keys luminosity"),
        (drop("luminosity", "unit"), "luminosity: expected the keys unit"),
        (drop("inputs", "simulation", "truth_weight"), r"inputs\.simulation: expected the keys truth_weight"),
        (lambda d: d["observables"][2].pop("unit"), r"observables\[2\]: expected the keys unit"),
        (lambda d: d["luminosity"].update(value="ten"), r"luminosity\.value: expected number; found 'ten'"),
        (lambda d: d["luminosity"].update(value=-1), r"luminosity\.value: expected exclusiveMinimum 0; found -1"),
        (lambda d: d["luminosity"].update(unit="nb"), r"luminosity\.unit: expected one of fb-1, pb-1; found 'nb'"),
        (lambda d: d.update(weight_unit="nb"), "weight_unit: expected one of pb, fb; found 'nb'"),
        (
            lambda d: d.update(schema_version="2.0.0"),
            r"schema_version: expected one of 1\.0\.0, 1\.1\.0; found '2\.0\.0'",
        ),
        (lambda d: d["observables"][0].update(name="p T"), r"observables\[0\]\.name: expected text that matches"),
        (lambda d: d["observables"][0].update(name="../x"), r"observables\[0\]\.name: expected text that matches"),
        (lambda d: d["observables"][0].update(encoding="sqrt"), r"encoding: expected one of linear, log, angle"),
        (lambda d: d.update(observables=[]), "observables: expected minItems 1"),
        (
            lambda d: d["campaign"].update(data_bootstrap=1),
            r"campaign\.data_bootstrap: expected anything but 1; found 1",
        ),
        (lambda d: d["omnifold"].update(iterations=True), r"omnifold\.iterations: expected integer; found True"),
        (lambda d: d["observables"][8].update(may_be_absent=True), r"observables\[8\]: .* unknown 'may_be_absent'"),
        (lambda d: d["observables"][8].pop("valid_range"), r"observables\[8\]: expected the keys valid_range"),
        (drop("luminosity", "relative_uncertainty"), r"luminosity: expected the keys relative_uncertainty"),
        (drop("publication", "closure"), r"publication: expected the keys closure"),
        (lambda d: d.update(fiducial="two muons"), r"fiducial: expected object; found 'two muons'"),
        (lambda d: d.update(process="FILL IN: x"), r"process: expected this blank to be filled in; found 'FILL IN: x'"),
        (lambda d: d["publication"].update(licence="GPL"), r"publication\.licence: expected one of CC0-1\.0, "),
    ],
)
def test_a_document_against_the_schema_is_refused_with_its_place(
    quick_analysis: WriteAnalysis, change: Callable[[Document], object], message: str
) -> None:
    with pytest.raises(AnalysisError, match=message):
        read_analysis(quick_analysis(change))


def limits(**changes: object) -> Callable[[Document], object]:
    return lambda d: d["publication"]["validity"].update(changes)


def interval(expression: str, minimum: float | None = None, maximum: float | None = None) -> Document:
    return {"expression": expression, "minimum": minimum, "maximum": maximum}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            limits(ranges=[interval("pT_l3")]),
            r"publication\.validity\.ranges\[0\]: 'pT_l3' is no observable of the anal",
        ),
        (
            limits(ranges=[interval("pT_l1"), interval("f(x)")]),
            r"validity\.ranges\[1\]: expression 'f\(x\)': cannot call",
        ),
        (limits(ranges=[interval("pT_l1", 2, 1)]), r"validity\.ranges\[0\]: expected a minimum of at most the maximum"),
        (
            lambda d: d["campaign"].update(data_bootstrap=0),
            r"validity\.minimum_effective_data_events_per_bin: needs replicas of the data; found campaign\.data_boot",
        ),
        (
            lambda d: d["four_momenta"][1].update(pt="pT_l3"),
            r"four_momenta l2: 'pT_l3' is no observable of the analysis; did you mean pT_ll",
        ),
        (lambda d: d["four_momenta"][1].update(name="l1"), "four_momenta: expected unique names; found l1 more than"),
    ],
)
def test_limits_and_four_momenta_that_cannot_be_computed_are_refused(
    quick_analysis: WriteAnalysis, change: Callable[[Document], object], message: str
) -> None:
    with pytest.raises(AnalysisError, match=message):
        read_analysis(quick_analysis(change))


def test_an_analysis_of_the_first_version_is_read(quick_analysis: WriteAnalysis) -> None:
    def change(document: Document) -> None:
        document["schema_version"] = "1.0.0"
        del document["four_momenta"]

    assert read_analysis(quick_analysis(change)).document["schema_version"] == "1.0.0"


@pytest.mark.parametrize("bad", [NAN, float("inf"), -float("inf")])
def test_a_luminosity_that_is_not_finite_is_refused_with_its_place(quick_analysis: WriteAnalysis, bad: float) -> None:
    with pytest.raises(AnalysisError, match="luminosity"):
        read_analysis(quick_analysis(lambda d: d["luminosity"].update(value=bad)))


def test_all_problems_are_listed_at_once(quick_analysis: WriteAnalysis) -> None:
    def change(document: Document) -> None:
        document["tittle"] = "x"
        del document["process"]
        document["luminosity"]["unit"] = "nb"
        document["observables"][5]["encoding"] = "sqrt"
        document["inputs"]["data"]["tree"] = 3

    with pytest.raises(AnalysisError) as caught:
        read_analysis(quick_analysis(change))
    lines = str(caught.value).splitlines()
    assert "not an analysis file of schema 1.1.0" in lines[0]
    assert len(lines) == 1 + 5
    for part in ("tittle", "process", "luminosity.unit", "observables[5].encoding", "inputs.data.tree"):
        assert sum(part in line and line.startswith("  ") for line in lines) >= 1


def test_a_key_that_occurs_twice_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(AnalysisError, match="the key 'title' occurs twice"):
        read_text(tmp_path, text + "\ntitle: another\n")


def test_a_key_that_occurs_twice_further_down_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(AnalysisError, match="the key 'tree' occurs twice"):
        read_text(tmp_path, text.replace("tree: events, event_id", "tree: events, tree: events, event_id", 1))


@pytest.mark.parametrize(
    "content",
    [
        "[1, 2",
        "a: b: c",
        "\tindented: with a tab",
        "a: &anchor [*missing]",
        "!!python/object/apply:os.system ['true']",
        "!unknown x",
        b"\xff\xfe\xfd",
        "\0",
        "a: 1\n---\nb: 2",
        "? [a, b]\n: 1",
        "title: 2024-13-45",
        "title: !!int abc",
        "title: !!bool x",
        "[" * 3000,
    ],
)
def test_what_is_not_yaml_is_refused(tmp_path: Path, content: str | bytes) -> None:
    with pytest.raises(AnalysisError, match=r"analysis\.yaml: not YAML: "):
        read_text(tmp_path, content)


@pytest.mark.parametrize(
    "content", ["", "just text", "- a list", "3", "&a [*a]", "1: x\nfoo: y", "~: x", "title: 2024-01-01"]
)
def test_yaml_of_something_else_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(AnalysisError, match=r"analysis\.yaml: not an analysis file of schema 1\.1\.0:"):
        read_text(tmp_path, content)


def test_a_mapping_may_be_merged_into_others(tmp_path: Path, text: str) -> None:
    merged = text.replace("luminosity: {", "luminosity: {<<: {unit: pb-1}, ").replace(
        ", unit: pb-1, relative", ", relative"
    )
    assert merged != text
    read_text(tmp_path, merged)


def test_a_missing_analysis_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match=r"none\.yaml: cannot be read: No such file"):
        read_analysis(tmp_path / "none.yaml")


def test_a_folder_is_no_analysis_file(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="cannot be read: Is a directory"):
        read_analysis(tmp_path)


def require(**entry: Any) -> Callable[[Document], object]:
    whole = {"expression": "pT_ll", "minimum": 200, "maximum": None, "tolerance": 0} | entry
    return lambda document: document["fiducial"]["selection"].insert(1, whole)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (require(expression="pT_lll"), r"fiducial\.selection\[1\]: 'pT_lll' is no observable .* did you mean pT_ll"),
        (require(expression="max(pT_ll)"), r"fiducial\.selection\[1\]: expression .* cannot call 'max'"),
        (require(expression="1 + 1"), r"fiducial\.selection\[1\]: .* uses no column"),
        (require(maximum=100), r"fiducial\.selection\[1\]: expected a minimum of at most .* found 200 and 100"),
        (
            lambda d: d["observables"][4].update(valid_range={"minimum": 1, "maximum": -1}),
            r"observables\[4\]\.valid_range: expected a minimum of at most the maximum; found 1 and -1",
        ),
    ],
)
def test_a_fiducial_region_that_cannot_be_computed_is_refused(
    quick_analysis: WriteAnalysis, change: Callable[[Document], object], message: str
) -> None:
    with pytest.raises(AnalysisError, match=message):
        read_analysis(quick_analysis(change))


def test_repeated_observables_are_refused(quick_analysis: WriteAnalysis) -> None:
    with pytest.raises(AnalysisError, match="observables: expected unique names; found pT_ll more than once"):
        read_analysis(quick_analysis(lambda d: d["observables"].append(d["observables"][0])))


def test_repeated_variations_are_refused(quick_analysis: WriteAnalysis) -> None:
    with pytest.raises(AnalysisError, match=r"inputs\.variations: expected unique names; found muscale_up more than"):
        read_analysis(quick_analysis(lambda d: d["inputs"]["variations"].append(d["inputs"]["variations"][1])))


def test_the_small_real_inputs_are_read(zjets: Path) -> None:
    inputs = read_inputs(read_analysis(zjets / "analysis.yaml"))
    assert inputs.simulation.particle_level.names == inputs.data.reco.names
    assert len(inputs.simulation.reco.names) == 24
    assert inputs.data.truth is None
    assert inputs.data.pass_reco.all()
    assert (inputs.data.reco_weight == 1).all()
    assert list(inputs.variations) == ["trackeff_down", "muscale_up", "pileup_up"]
    jet = inputs.simulation.particle_level.names.index("pT_trackj2")
    selected = inputs.simulation.particle_level.select(inputs.simulation.pass_truth)
    assert 0 < selected.present[:, jet].mean() < 1
    assert selected.values[selected.present[:, jet], jet].min() >= 10
    assert [record["role"] for record in inputs.provenance][:2] == ["simulation", "data"]
    for record in inputs.provenance:
        content = (zjets / record["file"]).read_bytes()
        assert record["sha256"] == hashlib.sha256(content).hexdigest()
    assert inputs.provenance[0]["rows"] == len(inputs.simulation)
    assert inputs.provenance[0]["generator"] == "Pythia 8.317, tune 14"


def make_arrays() -> Arrays:
    """Columns of a tiny analysis: x everywhere, y absent from every fourth event (sentinel) and from event 1 (NaN)."""
    rng = np.random.default_rng(1)
    ids = np.arange(EVENTS, dtype=np.int64) * 3

    def level(prefix: str) -> dict[str, NDArray[Any]]:
        y = rng.exponential(30, EVENTS).astype(np.float32)
        y[::4] = -99
        y[1] = np.nan
        return {f"{prefix}x": rng.normal(0, 1, EVENTS).astype(np.float32), f"{prefix}y": y}

    pass_reco = np.arange(EVENTS) % 5 != 0
    reco = level("reco_")
    reco["reco_x"][~pass_reco] = -99
    varied = {name: column.copy() for name, column in reco.items()}
    varied["reco_x"][pass_reco] += 1
    return {
        "mc": {
            **level(""),
            **reco,
            "w_t": rng.gamma(2, 1, EVENTS),
            "w_r": rng.gamma(2, 1, EVENTS).astype(np.float32),
            "pass_truth": np.arange(EVENTS) % 7 != 0,
            "pass_reco": pass_reco,
            "event_id": ids,
        },
        "data": {**level("reco_"), "w_d": rng.gamma(2, 1, EVENTS), "event_id": ids + 1},
        "varied": {**varied, "pass_reco": pass_reco, "event_id": ids},
    }


def make_document(demo: Document) -> Document:
    keys = {"tree": "events", "event_id": "event_id"}
    simulation = {"truth_weight": "w_t", "reco_weight": "w_r", "pass_truth": "pass_truth", "pass_reco": "pass_reco"}
    variation = {"name": "scale_up", "file": "varied.root", "pass_reco": "pass_reco", "description": "x shifted"}
    validity = {key: value for key, value in demo["publication"]["validity"].items() if key != "ranges"}
    return demo | {
        "publication": demo["publication"] | {"validity": validity},
        "four_momenta": [],
        "inputs": {
            "sentinel": -99,
            "simulation": {"file": "mc.root", **keys, **simulation},
            "data": {"file": "data.root", "weight": "w_d", **keys},
            "variations": [{**variation, **keys}],
        },
        "observables": [
            {"name": "x", "description": "first", "unit": "1", "latex": "x", "valid_range": UNBOUNDED},
            {
                "name": "y",
                "description": "second",
                "unit": "GeV",
                "latex": "y",
                "valid_range": {"minimum": 0, "maximum": None},
                "absent": "There is none",
            },
        ],
        "fiducial": {
            "description": "x and y not too large",
            "selection": [
                {"expression": "abs(x)", "minimum": None, "maximum": 9, "tolerance": 0},
                {"expression": "y + 0 * x", "minimum": None, "maximum": 1000, "tolerance": 0.5},
            ],
        },
    }


class Tiny:
    """A tiny analysis: change its arrays or its document, then `read` it."""

    def __init__(self, folder: Path, demo: Document) -> None:
        self.folder = folder
        self.arrays = make_arrays()
        self.document = make_document(demo)

    def read(self) -> Any:
        for name, columns in self.arrays.items():
            with uproot.recreate(self.folder / f"{name}.root") as file:
                file.mktree("events", {branch: column.dtype for branch, column in columns.items()})
                file["events"].extend(columns)
        path = self.folder / "analysis.yaml"
        path.write_text(yaml.safe_dump(self.document))
        return read_inputs(read_analysis(path))


@pytest.fixture
def tiny(tmp_path: Path, zjets_document: Document) -> Tiny:
    return Tiny(tmp_path, zjets_document)


def test_every_branch_lands_where_the_analysis_says(tiny: Tiny) -> None:
    inputs, mc, data = tiny.read(), tiny.arrays["mc"], tiny.arrays["data"]
    np.testing.assert_array_equal(inputs.simulation.truth_weight, mc["w_t"])
    np.testing.assert_array_equal(inputs.simulation.reco_weight, mc["w_r"].astype(np.float64))
    np.testing.assert_array_equal(inputs.simulation.pass_truth, mc["pass_truth"])
    np.testing.assert_array_equal(inputs.simulation.event_id, mc["event_id"])
    np.testing.assert_array_equal(inputs.simulation.particle_level.values[:, 0], mc["x"])
    np.testing.assert_array_equal(inputs.data.reco_weight, data["w_d"])
    np.testing.assert_array_equal(inputs.data.reco.values[:, 0], data["reco_x"])
    varied = inputs.variations["scale_up"]
    np.testing.assert_array_equal(varied.reco.values[1, 0], tiny.arrays["varied"]["reco_x"][1])
    assert varied.truth is inputs.simulation.truth


def test_sentinels_and_nan_are_masks_after_reading(tiny: Tiny) -> None:
    present = tiny.read().data.reco.present[:, 1]
    y = tiny.arrays["data"]["reco_y"]
    np.testing.assert_array_equal(present, (y != -99) & ~np.isnan(y))


def test_one_weight_serves_both_levels_unless_told_otherwise(tiny: Tiny) -> None:
    del tiny.document["inputs"]["simulation"]["reco_weight"]
    simulation = tiny.read().simulation
    np.testing.assert_array_equal(simulation.reco_weight, simulation.truth_weight)


def test_data_without_a_weight_count_once(tiny: Tiny) -> None:
    del tiny.document["inputs"]["data"]["weight"]
    assert (tiny.read().data.reco_weight == 1).all()


def test_integer_selections_of_zero_and_one_are_taken(tiny: Tiny) -> None:
    expected = tiny.arrays["mc"]["pass_reco"]
    tiny.arrays["mc"]["pass_reco"] = expected.astype(np.int32)
    np.testing.assert_array_equal(tiny.read().simulation.pass_reco, expected)


@pytest.mark.parametrize("change", [lambda ids: ids[::-1].copy(), lambda ids: ids + 1], ids=["order", "numbers"])
def test_a_variation_of_other_events_is_refused(tiny: Tiny, change: Callable[[Any], Any]) -> None:
    tiny.arrays["varied"]["event_id"] = change(tiny.arrays["varied"]["event_id"])
    with pytest.raises(InputError, match=r"varied\.root: the event ids are not those of .*mc\.root, row by row"):
        tiny.read()


def test_a_variation_of_fewer_events_is_refused(tiny: Tiny) -> None:
    tiny.arrays["varied"] = {name: column[:-1] for name, column in tiny.arrays["varied"].items()}
    with pytest.raises(InputError, match=r"\(59 rows here, 60 there\); a variation must keep the simulation's rows"):
        tiny.read()


@pytest.mark.parametrize(
    ("sample", "branch"), [("mc", "x"), ("mc", "reco_x"), ("data", "reco_x"), ("varied", "reco_x")]
)
@pytest.mark.parametrize("absent", [-99, NAN])
def test_an_absent_value_needs_leave(tiny: Tiny, sample: str, branch: str, absent: float) -> None:
    tiny.arrays[sample][branch][[1, 2, 0]] = absent
    first = 0 if sample == "data" else 1
    message = rf"{sample}\.root: branch '{branch}' is absent .* the first in row {first}; declare .* as 'absent'"
    with pytest.raises(InputError, match=message):
        tiny.read()


def test_an_absent_value_outside_the_selection_needs_no_leave(tiny: Tiny) -> None:
    tiny.arrays["mc"]["x"][0] = -99
    tiny.arrays["mc"]["reco_x"][5] = np.nan
    assert not tiny.read().simulation.particle_level.present[0, 0]


@pytest.mark.parametrize(
    ("branch", "value", "message"),
    [
        ("x", -9.5, r"'abs\(x\)' is outside of \[-inf, 9\] in 1 of 51 .* row 3 \(9\.5\); mend fiducial\.selection"),
        ("y", -1, r"'y' is outside of \[0, inf\] in 1 of 51 .* row 3 \(-1\); mend valid_range"),
        ("y", 1000.6, r"'y \+ 0 \* x' is outside of \[-inf, 1000\]"),
    ],
)
def test_a_simulated_event_outside_of_what_the_analysis_says_is_refused_before_training(
    tiny: Tiny, branch: str, value: float, message: str
) -> None:
    tiny.arrays["mc"][branch][3] = value
    with pytest.raises(InputError, match=rf"mc\.root: {message}"):
        tiny.read()


def test_what_fails_truth_may_be_anywhere_and_a_tolerance_is_granted(tiny: Tiny) -> None:
    tiny.arrays["mc"]["x"][[0, 7]] = 50  # these rows fail truth
    tiny.arrays["mc"]["y"][3] = 1000.4
    assert len(tiny.read().simulation) == EVENTS


@pytest.mark.parametrize("bad", [np.inf, -np.inf])
@pytest.mark.parametrize(
    ("sample", "branch"), [("mc", "x"), ("mc", "reco_y"), ("data", "reco_x"), ("varied", "reco_y")]
)
def test_an_infinite_value_is_refused(tiny: Tiny, sample: str, branch: str, bad: float) -> None:
    tiny.arrays[sample][branch][3] = bad
    message = rf"{sample}\.root: observable '{branch[-1]}' is infinite in row 3"
    with pytest.raises(InputError, match=message):
        tiny.read()


@pytest.mark.parametrize(("sample", "branch"), [("mc", "pass_truth"), ("mc", "pass_reco"), ("varied", "pass_reco")])
@pytest.mark.parametrize("bad", [2, -1, 0.5, NAN])
def test_a_selection_of_something_else_is_refused(tiny: Tiny, sample: str, branch: str, bad: float) -> None:
    column = tiny.arrays[sample][branch].astype(np.float64)
    column[4] = bad
    tiny.arrays[sample][branch] = column
    message = rf"{sample}\.root: branch '{branch}': expected a selection of true and false; found .*{bad}"
    with pytest.raises(InputError, match=message):
        tiny.read()


@pytest.mark.parametrize("sample", ["mc", "data", "varied"])
def test_event_ids_that_are_no_integers_are_refused(tiny: Tiny, sample: str) -> None:
    tiny.arrays[sample]["event_id"] = tiny.arrays[sample]["event_id"].astype(np.float64)
    with pytest.raises(InputError, match=rf"{sample}\.root: branch 'event_id': expected integer .* found float64"):
        tiny.read()


@pytest.mark.parametrize("sample", ["mc", "data"])
def test_repeated_event_ids_are_refused(tiny: Tiny, sample: str) -> None:
    tiny.arrays[sample]["event_id"][:] = 7
    with pytest.raises(InputError, match=rf"{sample}\.root: event ids repeat \(59 of 60\)"):
        tiny.read()


@pytest.mark.parametrize(("sample", "branch"), [("mc", "w_t"), ("mc", "w_r"), ("data", "w_d")])
def test_a_weight_that_is_not_finite_is_refused(tiny: Tiny, sample: str, branch: str) -> None:
    tiny.arrays[sample][branch][2] = np.nan
    with pytest.raises(InputError, match=rf"{sample}\.root: 1 of 60 (reco|truth) weights are not finite"):
        tiny.read()


@pytest.mark.parametrize(
    "name", ["nominal", "ensemble", "data_bootstrap", "mc_bootstrap", "event_sampling", "luminosity"]
)
def test_a_variation_cannot_be_named_like_a_component_of_the_campaign(tiny: Tiny, name: str) -> None:
    tiny.document["inputs"]["variations"][0]["name"] = name
    with pytest.raises(AnalysisError, match=rf"'{name}' is the name of a .* of its own"):
        tiny.read()


def test_a_missing_branch_is_named(tiny: Tiny) -> None:
    tiny.document["observables"][0]["reco"] = "recoo_x"
    with pytest.raises(InputError, match=r"mc\.root: tree 'events' lacks 1 of .* 'recoo_x': did you mean reco_x"):
        tiny.read()


def test_a_missing_file_is_named(tiny: Tiny) -> None:
    tiny.document["inputs"]["data"]["file"] = "dada.root"
    with pytest.raises(InputError, match=r"dada\.root: no such file"):
        tiny.read()


def test_the_document_is_kept_as_it_is(zjets_document: Document, zjets: Path) -> None:
    analysis = parse_analysis(zjets_document, zjets / "analysis.yaml")
    assert analysis.document is zjets_document
    assert analysis.path == zjets / "analysis.yaml"
