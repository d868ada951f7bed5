from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot

from omnifold_pub.errors import InputError
from omnifold_pub.inputs.root import read_columns

Write = Callable[[Path, dict[str, Any]], Path]

FLAT: dict[str, Any] = {
    "pT": np.array([20.5, -99, np.nan], dtype=np.float32),
    "eta": np.array([0.1, 0.2, 0.3], dtype=np.float64),
    "event_id": np.array([2**62, -1, 0], dtype=np.int64),
    "n_tracks": np.array([1, 2, 3], dtype=np.int32),
    "pass_reco": np.array([True, False, True]),
}


def write_ttree(path: Path, columns: dict[str, Any]) -> Path:
    types: dict[str, Any] = {}
    for name, column in columns.items():
        if isinstance(column, ak.Array):
            types[name] = str(column.type).split(" * ", 1)[1]
        else:
            types[name] = np.dtype((column.dtype, column.shape[1:]))
    with uproot.recreate(path) as file:
        file.mktree("events", types)
        if len(next(iter(columns.values()))):
            file["events"].extend(columns)
    return path


def write_rntuple(path: Path, columns: dict[str, Any]) -> Path:
    with uproot.recreate(path) as file:
        file.mkrntuple("events", columns)
    return path


@pytest.fixture(params=[write_ttree, write_rntuple], ids=["TTree", "RNTuple"])
def write(request: pytest.FixtureRequest) -> Write:
    writer: Write = request.param
    return writer


@pytest.fixture
def flat(tmp_path: Path, write: Write) -> Path:
    return write(tmp_path / "flat.root", FLAT)


def test_columns_come_with_the_types_and_values_of_the_file(flat: Path) -> None:
    columns = read_columns(flat, "events", list(FLAT))
    assert set(columns) == set(FLAT)
    for name, expected in FLAT.items():
        np.testing.assert_array_equal(columns[name], expected)
        assert columns[name].dtype == expected.dtype


def test_only_what_is_asked_for_is_read_and_once(flat: Path) -> None:
    assert sorted(read_columns(flat, "events", ["pT", "event_id", "pT"])) == ["event_id", "pT"]


def test_a_tree_in_a_folder_is_read(tmp_path: Path) -> None:
    path = tmp_path / "nested.root"
    with uproot.recreate(path) as file:
        file.mktree("folder/events", {"x": "f4"})
        file["folder/events"].extend({"x": np.ones(2, dtype=np.float32)})
    assert read_columns(path, "folder/events", ["x"])["x"].tolist() == [1, 1]


def test_the_small_real_inputs_are_read(zjets: Path) -> None:
    columns = read_columns(zjets / "data.root", "events", ["event_id", "reco_pT_ll"])
    assert len(columns["event_id"]) == len(np.unique(columns["event_id"]))
    assert columns["reco_pT_ll"].dtype == np.float32


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.root: no such file"):
        read_columns(tmp_path / "nothing.root", "events", ["x"])


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_columns(tmp_path, "events", ["x"])


@pytest.mark.parametrize("content", [b"", b"ro", b"root", b"x,y\n1,2\n" * 200, b"\x89HDF\r\n\x1a\n" + bytes(1000)])
def test_a_file_that_is_not_root_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.root"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"other\.root: not a ROOT file, or a damaged one"):
        read_columns(path, "events", ["x"])


def test_a_wrong_tree_suggests_the_right_one(flat: Path) -> None:
    with pytest.raises(InputError, match="no tree 'event'; did you mean events"):
        read_columns(flat, "event", ["pT"])


def test_a_wrong_tree_like_no_other_lists_what_there_is(flat: Path) -> None:
    with pytest.raises(InputError, match="no tree 'zzz'; there are events"):
        read_columns(flat, "zzz", ["pT"])


def test_a_file_without_any_tree_says_so(tmp_path: Path) -> None:
    path = tmp_path / "empty.root"
    uproot.recreate(path).close()
    with pytest.raises(InputError, match="no tree 'events'; there is none at all"):
        read_columns(path, "events", ["x"])


def test_a_histogram_is_no_tree(tmp_path: Path) -> None:
    path = tmp_path / "histogram.root"
    with uproot.recreate(path) as file:
        file["h"] = np.histogram([1, 2, 3])
    with pytest.raises(InputError, match="'h' is a TH1D; expected a TTree or an RNTuple"):
        read_columns(path, "h", ["x"])


def test_missing_branches_are_counted_with_suggestions(flat: Path) -> None:
    message = "tree 'events' lacks 2 of the 3 branches asked for. 'evnt_id': did you mean event_id.*'pt': "
    with pytest.raises(InputError, match=message):
        read_columns(flat, "events", ["pT", "pt", "evnt_id"])


def test_a_branch_like_no_other_lists_what_there_is(flat: Path) -> None:
    with pytest.raises(InputError, match=r"'zzz': there are .*n_tracks"):
        read_columns(flat, "events", ["zzz"])


def test_an_empty_tree_is_refused(tmp_path: Path, write: Write) -> None:
    path = write(tmp_path / "empty.root", {"x": np.empty(0, dtype=np.float32)})
    with pytest.raises(InputError, match="tree 'events' is empty; expected at least one event"):
        read_columns(path, "events", ["x"])


@pytest.mark.parametrize(
    "column",
    [
        ak.Array([[1.0], [1.0, 2.0], []]),
        np.ones((3, 2)),
        ak.Array(["one", "two", "three"]),
    ],
    ids=["jagged", "fixed size", "text"],
)
def test_a_branch_of_more_or_less_than_one_number_per_event_is_refused(
    tmp_path: Path, write: Write, column: Any
) -> None:
    path = write(tmp_path / "jagged.root", {"x": np.ones(3), "jets": column})
    with pytest.raises(InputError, match="branch 'jets': expected one number per event; found"):
        read_columns(path, "events", ["x", "jets"])
    assert read_columns(path, "events", ["x"])["x"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("fraction", [0.02, 0.05, 0.2, 0.5, 0.8, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, zjets: Path, fraction: float) -> None:
    content = (zjets / "data.root").read_bytes()
    path = tmp_path / "truncated.root"
    path.write_bytes(content[: int(len(content) * fraction)])
    with pytest.raises(InputError, match=r"truncated\.root"):
        read_columns(path, "events", ["event_id", "reco_pT_ll", "reco_Ntracks_trackj2"])


def test_a_header_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    content = write_ttree(tmp_path / "whole.root", FLAT).read_bytes()
    path = tmp_path / "cut.root"
    for length in range(0, 2000, 50):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match=r"cut\.root"):
            read_columns(path, "events", list(FLAT))


def test_a_damaged_file_is_an_input_error_or_still_readable(tmp_path: Path) -> None:
    content = write_ttree(tmp_path / "whole.root", FLAT).read_bytes()
    path = tmp_path / "damaged.root"
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(40):
        damaged = bytearray(content)
        for place in rng.integers(0, len(content), 20):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            read_columns(path, "events", list(FLAT))
        except InputError:
            refused += 1
    assert refused > 0
