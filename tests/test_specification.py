"""The specification: a reader made of its text alone agrees with ours, and its tables are those of the code."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from omnifold_pub import UnfoldingResult, open_release, publish
from omnifold_pub.format.layout import declared_datasets
from omnifold_pub.observables.expressions import FUNCTIONS
from omnifold_pub.observables.momenta import FourMomentum, vector_of
from omnifold_pub.schemas import SCHEMA_VERSION
from omnifold_pub.statistics.components import covariance_convention
from omnifold_pub.statistics.resampling import poisson_multiplicities


@pytest.fixture(scope="module")
def specification(project: Path) -> str:
    return (project / "schemas/SPECIFICATION.md").read_text()


def test_the_worked_example_runs_and_agrees_with_our_reader(
    specification: str, quick_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", specification, re.DOTALL)
    (tmp_path / "release.h5").write_bytes(quick_release.read_bytes())
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "SPECIFICATION.md", "exec"), namespace)  # noqa: S102
    with open_release(quick_release) as release:
        measurement = release.measure("pT_ll", namespace["edges"])
    np.testing.assert_allclose(namespace["spectrum"], measurement.values(), rtol=1e-12)
    np.testing.assert_allclose(namespace["covariance"], measurement.covariance("data_bootstrap"), rtol=1e-9)
    assert len(printed.getvalue().splitlines()) == 4


def test_every_dataset_of_the_layout_table_and_no_other_is_declared(
    specification: str, release_path: Path, result: UnfoldingResult
) -> None:
    table = specification.split("## 3. Layout")[1].split("A dataset that")[0]
    patterns = [
        re.compile(re.sub(r"<\w+>", r"\\w+", path)) for path in re.findall(r"^\| `/([^`]+)`", table, re.MULTILINE)
    ]
    with h5py.File(release_path) as file:
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        metadata = json.loads(file["metadata"][()].tobytes())
    assert set(names) == {*declared_datasets(metadata), "metadata", "digests"}
    assert all(any(pattern.fullmatch(name) for pattern in patterns) for name in names)
    assert all(any(pattern.fullmatch(name) for name in names) for pattern in patterns)


def test_digests_and_metadata_are_as_the_text_says(release_path: Path) -> None:
    with h5py.File(release_path) as file:
        digests = json.loads(file["digests"][()].tobytes())
        for name, stated in digests.items():
            values = file[name][()]
            little = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
            assert hashlib.sha256(little.tobytes()).hexdigest() == stated, name
        stored = file["metadata"][()].tobytes()
    document = json.loads(stored)
    assert stored == json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1, sort_keys=True).encode()


def test_the_multiplicities_are_those_of_the_formula(specification: str) -> None:
    block = 2**64 - 1
    constants = [int(x, 16) for x in re.findall(r"0x[0-9A-F]{16}", specification)]
    first, second, gamma = constants

    def mix(x: int) -> int:
        x = (x ^ (x >> 30)) * first & block
        x = (x ^ (x >> 27)) * second & block
        return x ^ (x >> 31)

    def multiplicity(seed: int, replica: int, event: int) -> int:
        key = mix((mix((seed + gamma) & block) + replica + gamma) & block)
        bits = mix((mix((event * gamma + key) & block) + gamma) & block)
        u, n, total = (bits >> 11) / 2**53, 0, math.exp(-1)
        while u >= total:
            n += 1
            total += math.exp(-1) / math.factorial(n)
        return n

    ids = np.array([0, 1, 5, 7, 123456789, 2**62, -3])
    for seed, replica in ((1, 0), (20241107, 13), (0, 99)):
        ours = poisson_multiplicities(seed, replica, ids).tolist()
        assert ours == [multiplicity(seed, replica, int(event) % 2**64) for event in ids]
    stated = re.search(r"the multiplicities are ([\d, ]+)\.", specification)
    assert stated is not None
    assert [multiplicity(1, 0, event) for event in range(8)] == [int(n) for n in stated[1].split(", ")]


def test_the_table_of_components_states_what_readers_do(specification: str) -> None:
    rows = re.findall(r"^\| `(\w+)`(?:, rule (\w+))? \| ([^|]*) \|.*\| `([^`]*)` \| `([^`]*)` \|$", specification, re.M)
    assert len(rows) == 10
    for kind, rule, members, centre, divisor in rows:
        entry = {"kind": kind} | ({"members": 2} if members == "2" else {})
        convention = covariance_convention(entry, rule or "mean")
        assert (convention["centre"], convention["divisor"]) == (centre, divisor), kind


def test_the_page_and_its_links_are_of_the_present_version(specification: str, project: Path) -> None:
    assert specification.startswith(f"# The release format of an unbinned measurement, version {SCHEMA_VERSION}\n")
    links = re.findall(r"\]\(([^)]*)\)", specification)
    assert {link.split("/")[0] for link in links} == {SCHEMA_VERSION}
    assert all((project / "schemas" / link).is_file() for link in links)
    history = re.findall(r"^\| (\d+\.\d+\.\d+) \|", specification, re.MULTILINE)
    assert history == sorted((path.name for path in (project / "schemas").iterdir() if path.is_dir()), reverse=True)


def test_every_key_that_is_new_is_named_with_its_version(specification: str, project: Path) -> None:
    old, new = (
        set(re.findall(r'^ *"(\w+)":', (project / f"schemas/{version}/release.schema.json").read_text(), re.MULTILINE))
        for version in ("1.0.0", "1.1.0")
    )
    added = {key for key in new - old if key not in {"if", "then", "allOf", "oneOf", "not"}}
    row = re.search(r"^\| 1\.1\.0 \| (.*) \|$", specification, re.MULTILINE)
    assert row is not None
    named = {"four_momenta", "ranges", "minimum_effective_data_events_per_bin", "definition", "diagnostics"}
    assert set(re.findall(r"`(\w+)`", row[1])) - {"validity", "fiducial", "unfolding"} == named
    inside = {"note", "pt", "eta", "rapidity", "phi", "mass", "expression", "minimum", "maximum"}
    present = json.loads((project / "schemas/1.1.0/release.schema.json").read_text())
    diagnostics = [present["$defs"]["fits"], present["properties"]["unfolding"]["properties"]["diagnostics"]]
    inside |= set(re.findall(r'"(\w+)":', json.dumps(diagnostics))) | {"fits"}
    assert added - inside == named - {"definition"}  # objects have had one before


def test_four_momenta_are_those_of_the_formulas(specification: str) -> None:
    """With nothing but the lines of the page, read as Python."""
    text = specification.split("### Four-momenta")[1].split("```text\n")[1].split("```")[0]
    px, py, by_eta, by_y, energy = re.match(
        r"px = (.*?)  +py = (.*?)  +pz = (.*?)  or  (.*?)  +E\^2 = (.*)", text.strip()
    ).groups()  # type: ignore[union-attr]
    pt, phi, along, m = 31.0, 2.0, -1.3, 7.0
    names = {"pT": pt, "phi": phi, "eta": along, "y": along, "m": m, "mT": math.hypot(m, pt)}
    names |= {"cos": math.cos, "sin": math.sin, "sinh": math.sinh}  # type: ignore[dict-item]

    def value(formula: str) -> float:
        for word in ("pT", "mT"):
            formula = formula.replace(f"{word} ", f"{word} * ")
        return float(eval(formula.replace("^", "**"), dict(names)))  # noqa: S307

    events = {"pt": np.array([pt]), "phi": np.array([phi]), "along": np.array([along]), "m": np.array([m])}
    for key, formula in (("eta", by_eta), ("rapidity", by_y)):
        made = vector_of(FourMomentum("a", pt="pt", phi="phi", mass="m", **{key: "along"}), events)
        names |= {"px": value(px), "py": value(py), "pz": value(formula)}
        expected = [names["px"], names["py"], names["pz"], math.sqrt(value(energy))]
        np.testing.assert_allclose([made.px[0], made.py[0], made.pz[0], made.E[0]], expected, rtol=1e-12)


def test_the_functions_of_expressions_are_listed(specification: str) -> None:
    listed = re.search(r"and the functions `([^`]*)`", specification)
    assert listed is not None
    assert set(listed[1].split()) == set(FUNCTIONS)


def test_an_unknown_version_is_refused_with_a_hint(release_path: Path, result: UnfoldingResult, tmp_path: Path) -> None:
    from omnifold_pub import validate
    from omnifold_pub.format.reading import StoredFile
    from omnifold_pub.format.store import read_document
    from omnifold_pub.format.writing import ReleaseWriter

    for version, refused in (("2.0.0", True), ("1.7.0", True), ("1.1.9", False), ("1.0.9", False), ("zero", True)):
        path = tmp_path / f"{version}.h5"
        with StoredFile(release_path) as file, ReleaseWriter(path) as writer:
            for name, dataset in file.datasets.items():
                if name not in ("metadata", "digests"):
                    writer.write(name, dataset.dtype.str, dataset.shape, [dataset.read()])
            writer.write_documents(read_document(file, "metadata") | {"schema_version": version})
        report = validate(path)
        assert report.valid is not refused
        if refused:
            (finding,) = report.findings
            assert finding.code == "readable"
            assert "Upgrade it to read later ones" in finding.found
            assert "reads 1.0.0 to 1.1.x" in finding.found


def test_a_release_published_again_keeps_every_value(
    release_path: Path, result: UnfoldingResult, tmp_path: Path
) -> None:
    again = publish(result, tmp_path / "again.h5")
    with h5py.File(release_path) as one, h5py.File(again) as other:
        first, second = (json.loads(file["digests"][()].tobytes()) for file in (one, other))
    assert {k: v for k, v in first.items() if k != "metadata"} == {k: v for k, v in second.items() if k != "metadata"}
