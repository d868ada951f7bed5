from __future__ import annotations

import contextlib
import io
import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from markdown_it import MarkdownIt

from omnifold_pub.deposit import Deposit
from omnifold_pub.deposit.data_sheet import data_sheet
from omnifold_pub.deposit.files import DepositFile

Pack = Callable[..., Deposit]
HOSTILE = "<script>x</script> [a](http://evil.example) `b` *c* | d\n\n# e ![f](g) &lt; ~~h~~ _i_ \\ [j]: k"


def sheet(metadata: dict[str, Any]) -> str:
    files = [DepositFile("release.h5", 10, "0" * 64)]
    manifest = DepositFile("release.manifest.json", 20, "1" * 64)
    descriptions = {"release.h5": "Events", "release.manifest.json": "Manifest", "README.md": "Data sheet"}
    return data_sheet(metadata, files, manifest=manifest, opened="release.h5", plugin=False, descriptions=descriptions)


def tables(text: str) -> dict[str, list[list[str]]]:
    """Return the cells of each table as a Markdown parser reads them, by the text of its first heading cell."""
    found: list[list[list[str]]] = []
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type == "inline" and found and token.level >= 4:
            children = token.children or []
            found[-1][-1].append("".join(child.content for child in children))
    return {table[0][0]: table for table in found}


def test_tables_say_what_the_metadata_say(metadata: dict[str, Any]) -> None:
    found = tables(sheet(metadata))
    assert all(len({len(row) for row in table}) == 1 for table in found.values())
    assert found["name"][2] == [
        "pT_ll", "Transverse momentum of the dimuon system", r"p_T^{\mu\mu}", "GeV", "200", "", "float32",
        "every event has it",
    ]  # fmt: skip
    assert found["name"][3][2:] == ["|y_{j2}|", "1", "-5", "5", "float64", "NaN: The event has no second jet"]
    assert found["from"][1:] == [["200", "pT_ll", "", "0.001"], ["", "abs(eta_l1)", "2.5", "1e-05"]]
    components = {row[0]: row for row in found["component"][1:]}
    assert components["data_bootstrap"][3:] == [
        "6", "sum over members of (T_m - centre)(T_m - centre)^T / divisor", "nominal", "R - 1", "estimated",
    ]  # fmt: skip
    assert components["luminosity"][2:4] == ["What luminosity varies (1.7 % of all weights)", "none"]
    assert found["what"][1:] == [["pT_ll", "chi2", "6.1", "6", "0.41"]]
    assert found["input"][2] == ["data.root", "data", "", "not recorded", "not recorded"]
    assert found["file"][1] == ["release.h5", "Events", "10 bytes", "0" * 64]


def test_box_says_what_a_weight_is(metadata: dict[str, Any]) -> None:
    metadata["weights"]["unit"] = "fb"
    (box,) = re.findall(r"^> \*\*The weights.*$", sheet(metadata), re.MULTILINE)
    assert "in fb" in box
    assert "never to be multiplied in again" in box
    assert " pb" not in box


@pytest.mark.parametrize(("kind", "warned"), [("data", False), ("pseudodata", True), ("toy", True)])
def test_what_is_not_nature_is_said_to_be_none(metadata: dict[str, Any], kind: str, *, warned: bool) -> None:
    metadata["data_kind"] = kind
    assert ("not a measurement of nature" in sheet(metadata)) is warned


def test_metadata_without_optional_parts_give_a_sheet(metadata: dict[str, Any]) -> None:
    for key in ("canvases", "networks", "doi", "keywords", "references"):
        del metadata[key]
    metadata["components"] = [c for c in metadata["components"] if c["kind"] in {"scale", "event_sampling"}]
    metadata["weights"] |= {"central_value": {"rule": "single"}, "clamps": {"applied": False}, "prior": False}
    metadata["closure"] = {"performed": False, "description": "A toy", "results": [], "tests": []}
    metadata["creators"] = [{"name": "A"}]
    del metadata["cross_section"]["source"]
    del metadata["inputs"][0]["generator"]
    text = sheet(metadata)
    assert "No closure test was made. A toy" in text
    assert "DOI not yet assigned" in text
    assert "those of one training" in text
    assert not re.search(r"bootstrap|/prior|/canvases|None|Undefined", text)
    assert len({len(row) for row in tables(text)["component"]}) == 1


def test_text_of_the_metadata_is_no_markup(metadata: dict[str, Any]) -> None:
    metadata["title"] = metadata["description"] = metadata["contact"] = metadata["process"] = HOSTILE
    metadata["observables"][0]["description"] = metadata["components"][0]["description"] = HOSTILE
    metadata["observables"][0]["latex"] = "a`b|c"
    metadata["inputs"][0]["file"] = "``x`` | y"
    metadata["unfolding"]["settings"] = {"text": "```\n# no heading"}
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(sheet(metadata))
    inline = [child for token in tokens for child in token.children or []]
    assert not {"html_inline", "html_block", "image", "em_open", "s_open"} & {t.type for t in [*tokens, *inline]}
    assert not [child for child in inline if child.type == "link_open" and "evil" in str(child.attrs)]
    assert [t.content.strip() for t in tokens if t.type == "fence"][-2].endswith('"```\\n# no heading"\n}')
    plain = " ".join(HOSTILE.split())
    rows = tables(sheet(metadata))
    assert rows["name"][1][1:3] == [plain, "a`b|c"]
    assert rows["input"][1][0] == "``x`` | y"


def test_example_with_h5py_runs_and_is_right(pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deposit = pack(tmp_path / "deposit")
    blocks = re.findall(r"^```python\n(.*?)^```", (deposit.folder / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    (code,) = (block for block in blocks if "h5py" in block)
    monkeypatch.chdir(deposit.folder)
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, "README.md", "exec"), names)  # noqa: S102  it is the page's own example
    with h5py.File(deposit.folder / "release.h5") as file:
        values = file["events/pT_ll"][()]
        weights = file["weights/nominal"][()].astype(np.float64)
        families = file["weights/data_bootstrap"][()].astype(np.float64)
    edges = names["edges"]
    inside = [(values >= low) & (values < high) for low, high in itertools.pairwise(edges)]
    inside[-1] |= values == edges[-1]
    expected = np.array([weights[rows].sum() for rows in inside])
    members = np.array([families[rows].sum(axis=0) for rows in inside]).T
    deviations = members - members.mean(axis=0)
    np.testing.assert_allclose(names["histogram"](names["read"]("weights/nominal")), expected, rtol=1e-12)
    np.testing.assert_allclose(names["spectra"], members, rtol=1e-12)
    covariance = deviations.T @ deviations / (len(members) - 1)
    assert expected.sum() == pytest.approx(weights.sum(), rel=1e-12)
    assert printed.getvalue() == f"{expected}\n{np.cov(members, rowvar=False)}\n"
    np.testing.assert_allclose(np.cov(members, rowvar=False), covariance, rtol=1e-9, atol=1e-18)


def test_examples_name_a_real_observable_without_gaps(metadata: dict[str, Any]) -> None:
    assert 'release.measure("pT_ll", edges)' in sheet(metadata)
    metadata["observables"] = [metadata["observables"][0], metadata["observables"][2]]
    assert 'release.measure("y_j2", edges)' in sheet(metadata)


def test_limits_of_validity_are_told_where_there_are_any(metadata: dict[str, Any]) -> None:
    assert "effective data events" not in sheet(metadata)
    metadata["validity"] |= {
        "minimum_effective_data_events_per_bin": 1200,
        "ranges": [
            {"expression": "m_j1", "minimum": None, "maximum": 60, "note": "Not checked beyond"},
            {"expression": "pT_ll / 2", "minimum": 0.5, "maximum": 2.5},
        ],
    }
    text = sheet(metadata).split("## Validity")[1].split("\n## ")[0]
    assert "\n- Nor are bins with fewer than 1,200 effective data events, content^2 over its variance" in text
    assert "\n- `m_j1` is vouched for up to 60 alone. Not checked beyond.\n" in text
    assert "\n- `pT_ll / 2` is vouched for from 0.5 up to 2.5 alone.\n" in text
    assert MarkdownIt().render(text).count("<ul>") == 1
