"""Publishing: a whole and checked release under its final name, or what was there before."""

from __future__ import annotations

import copy
import hashlib
import importlib.util
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from omnifold_pub import Release, UnfoldingResult, open_release, publish, validate
from omnifold_pub.errors import MissingExtraError, PublishError, ReleaseError
from omnifold_pub.format.manifest import manifest_path
from omnifold_pub.integrity import verify
from omnifold_pub.statistics.components import covariance_convention
from tests.conftest import make_result

Change = Callable[[dict[str, Any]], object]
Edit = Callable[[UnfoldingResult], UnfoldingResult]

SETUP = """
import importlib.util, json, os, resource, signal, sys, time
from pathlib import Path
spec = importlib.util.spec_from_file_location("conftest", sys.argv[1])
conftest = importlib.util.module_from_spec(spec)
spec.loader.exec_module(conftest)
from dataclasses import replace
from omnifold_pub import publish
from omnifold_pub.errors import PublishError
from omnifold_pub.integrity import verify

def labelled(title, seed):
    result = conftest.make_result(events=120, members=4, seed=seed)
    return replace(result, metadata=result.metadata | {"title": title})

folder, target = Path(sys.argv[2]), Path(sys.argv[2]) / sys.argv[3]
shards = {"shard_events": 50} if target.name.endswith(".manifest.json") else {}
"""

ON_A_FULL_DISK = f"""{SETUP}
result = conftest.make_result()
before = {{path.name: path.read_bytes() for path in folder.iterdir()}}
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
for limit in map(int, sys.argv[4:]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        message = f"written: {{publish(result, target, overwrite=True, **shards)}}"
    except PublishError as error:
        message = f"PublishError: {{error}}"
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    same = before == {{path.name: path.read_bytes() for path in folder.iterdir()}}
    print(json.dumps([limit, message, same]))
"""

KILLED = (
    SETUP
    + """
sources = [labelled("first", 1), labelled("second", 2)]
wholes = {}
for source in sources:
    with conftest.open_release(publish(source, folder.parent / "whole.h5", overwrite=True)) as release:
        arrays = {name: array.read().tobytes() for name, array in release.datasets.items()}
    wholes[source.metadata["title"]] = arrays
publish(sources[0], target, overwrite=True, **shards)
kills, longest = int(sys.argv[4]), float(sys.argv[5])
delays = conftest.np.random.default_rng(5).uniform(0.0, longest, 20 * kills)
titles, at_work = set(), False
for number, delay in enumerate(delays):
    if number >= kills and len(titles) == 2 and at_work:
        break  # a slow machine may need more than the kills that were asked for
    child = os.fork()
    if child == 0:
        try:
            while True:
                for source in sources[::-1] if number % 2 else sources:
                    publish(source, target, overwrite=True, **shards)
        finally:
            os._exit(1)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    with conftest.open_release(target) as release:
        title = release.metadata["title"]
        same = wholes[title] == {name: array.read().tobytes() for name, array in release.datasets.items()}
    report = verify(target)
    names = sorted(path.name for path in folder.iterdir())
    titles.add(title)
    at_work = at_work or any(name.endswith(".part") for name in names)
    print(json.dumps([os.WTERMSIG(status), title, same, report.valid, names]))
"""
)

TWO_WRITERS = f"""{SETUP}
import time
overwrite = sys.argv[4] == "overwrite"
sources = [labelled("first", 1), labelled("second", 2)]
for round in range(int(sys.argv[5])):
    if not overwrite:
        for path in folder.iterdir():
            path.unlink()
    begin, results = time.monotonic() + 0.05, []
    for source in sources:
        out, into = os.pipe()
        if os.fork() == 0:
            try:
                time.sleep(max(0.0, begin - time.monotonic()))
                try:
                    publish(source, target, overwrite=overwrite, **shards)
                    word = "written"
                except PublishError as error:
                    word = f"PublishError: {{error}}"
                except BaseException as error:
                    word = repr(error)
                os.write(into, word.encode())
            finally:
                os._exit(0)
        os.close(into)
        results.append(out)
    words = [os.fdopen(out).read() for out in results]
    for _ in sources:
        os.wait()
    with conftest.open_release(target) as release:
        title = release.metadata["title"]
    report = verify(target)
    names = sorted(path.name for path in folder.iterdir())
    print(json.dumps([words, title, report.valid, "manifest" in report.checks, names]))
"""

WITHOUT_RIGHTS = f"""{SETUP}
result = conftest.make_result(events=60, members=3)
try:
    publish(result, folder / "first.h5")
except PublishError as error:
    print(error)
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    publish(result, target)
except PublishError as error:
    print(f"PublishError: {{error}}")
"""


def run(script: str, folder: Path, name: str, *arguments: object, prefix: tuple[str, ...] = ()) -> list[str]:
    """Run a script on a target in a folder and return its lines."""
    conftest = Path(__file__).with_name("conftest.py")
    command = [*prefix, sys.executable, "-c", script, str(conftest), str(folder), name, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stderr == ""
    return done.stdout.splitlines()


def with_metadata(result: UnfoldingResult, change: Change) -> UnfoldingResult:
    metadata = copy.deepcopy(result.metadata)
    change(metadata)
    return replace(result, metadata=metadata)


def component(metadata: dict[str, Any], name: str) -> dict[str, Any]:
    (entry,) = (entry for entry in metadata["components"] if entry["name"] == name)
    found: dict[str, Any] = entry
    return found


def flat(result: UnfoldingResult) -> dict[str, NDArray[Any]]:
    """Return every array of a result by its path in the release."""
    sources: dict[str, Any] = {"event_id": result.event_id, "weights/nominal": result.nominal, "prior": result.prior}
    sources |= {f"events/{name}": column for name, column in result.columns.items()}
    sources |= {f"weights/{name}": family for name, family in result.families.items()}
    for name, test in result.closure.items():
        sources |= {f"closure/{name}/target": test.target, f"closure/{name}/unfolded": test.unfolded}
    for name, canvas in result.canvases.items():
        sources |= {f"canvases/{name}/event_id": canvas.event_id, f"canvases/{name}/weights/nominal": canvas.nominal}
        sources |= {f"canvases/{name}/events/{column}": array for column, array in canvas.columns.items()}
        sources |= {f"canvases/{name}/weights/{family}": array for family, array in canvas.families.items()}
    sources |= {f"networks/{name}": np.frombuffer(data, dtype=np.uint8) for name, data in result.networks.items()}
    return {name: np.asarray(source[:]) for name, source in sources.items() if source is not None}


def bits(arrays: dict[str, NDArray[Any]]) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    return {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in arrays.items()}


def read_with_h5py(path: Path) -> dict[str, NDArray[Any]]:
    """Return every dataset of a file by its path."""
    found: dict[str, NDArray[Any]] = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


def read_with_ours(path: Path) -> dict[str, NDArray[Any]]:
    with open_release(path) as release:
        return {name: array.read() for name, array in release.datasets.items()}


def stored_metadata(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(read_with_h5py(path)["metadata"].tobytes())
    return document


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "releases"
    path.mkdir()
    return path


@pytest.fixture(scope="module")
def large() -> UnfoldingResult:
    """A result whose columns fill several chunks."""
    return make_result(events=40_000, members=18)


ODD = np.array([0x80000000, 1, 0x807FFFFF, 0x00800000, 0x7F7FFFFF, 0x3F800001], dtype=np.uint32).view(np.float32)


def with_odd_numbers(result: UnfoldingResult) -> UnfoldingResult:
    """Put signed zeros, subnormals, extreme integers and doubles into a result."""
    columns = {name: np.array(column[:]) for name, column in result.columns.items()}
    columns["y"][:6] = np.abs(ODD)
    columns["y"][6] = np.array([0xFFC12345], dtype=np.uint32).view(np.float32)[0]  # a NaN with a message
    columns["n"][:2] = 2**31 - 1, 0
    columns["z"][:3] = -0.0, 5e-324, np.nextafter(1.0, 0.0)
    ids = np.array(result.event_id[:])
    ids[:2] = -(2**63), 2**63 - 1
    families = {name: np.array(family[:]) for name, family in result.families.items()}
    families["mc_bootstrap"][:5, 0] = ODD[[0, 1, 2, 3, 5]]
    return replace(result, columns=columns, event_id=ids, families=families)


class TestWhatIsWritten:
    def test_every_array_comes_back_bit_by_bit(self, result: UnfoldingResult, folder: Path) -> None:
        result = with_odd_numbers(result)
        path = publish(result, folder / "release.h5")
        assert path == folder / "release.h5"
        wanted, found = bits(flat(result)), bits(read_with_h5py(path))
        assert {name: found[name] for name in found if name not in {"metadata", "digests"}} == wanted
        assert bits(read_with_ours(path)) == wanted
        assert {dtype for dtype, _, _ in wanted.values()} == {"<f4", "<f8", "<i4", "<i8", "|u1"}

    def test_so_do_arrays_of_several_chunks(self, large: UnfoldingResult, folder: Path) -> None:
        path = publish(large, folder / "release.h5")
        wanted, found = bits(flat(large)), bits(read_with_h5py(path))
        assert {name: found[name] for name in found if name not in {"metadata", "digests"}} == wanted
        assert bits(read_with_ours(path)) == wanted

    def test_digests_are_those_of_the_little_endian_bytes(self, release_path: Path) -> None:
        found = read_with_h5py(release_path)
        digests = json.loads(found.pop("digests").tobytes())
        assert digests == {
            name: hashlib.sha256(array.astype(array.dtype.newbyteorder("<")).tobytes()).hexdigest()
            for name, array in found.items()
        }

    def test_documents_are_canonical(self, release_path: Path) -> None:
        found = read_with_h5py(release_path)
        for name in ("metadata", "digests"):
            data = found[name].tobytes()
            canonical = json.dumps(json.loads(data), ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False)
            assert data == canonical.encode()

    def test_the_file_has_the_documented_form_everywhere(self, large: UnfoldingResult, folder: Path) -> None:
        path = publish(large, folder / "release.h5")
        assert path.read_bytes()[8] == 3
        types = {"<i4": h5py.h5t.STD_I32LE, "<i8": h5py.h5t.STD_I64LE, "|u1": h5py.h5t.STD_U8LE}
        types |= {"<f4": h5py.h5t.IEEE_F32LE, "<f8": h5py.h5t.IEEE_F64LE}
        arrays = flat(large)
        with h5py.File(path) as file:
            assert len(file.attrs) == 0
            seen = []

            def look(name: str, item: h5py.Group | h5py.Dataset) -> None:
                assert len(item.attrs) == 0
                if isinstance(item, h5py.Group):
                    return
                seen.append(name)
                if name in arrays:
                    assert item.id.get_type() == types[arrays[name].dtype.str]
                    assert item.shape == arrays[name].shape
                most = (16384, 16) if item.ndim == 2 else (1 << 20,) if item.dtype == np.uint8 else (16384,)
                assert item.chunks == tuple(map(min, item.shape, most))
                properties = item.id.get_create_plist()
                assert properties.get_layout() == h5py.h5d.CHUNKED
                filters = [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]
                assert filters == [h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_FLETCHER32]
                assert properties.get_filter(1)[2] == (1,)
                chunks = [item.id.get_chunk_info(i) for i in range(item.id.get_num_chunks())]
                expected = math.prod(-(-a // b) for a, b in zip(item.shape, item.chunks, strict=True))
                assert len(chunks) == expected
                assert {chunk.filter_mask for chunk in chunks} == {0}

            file.visititems(look)
        assert set(seen) == {*arrays, "metadata", "digests"}

    def test_metadata_come_back_with_version_time_size_and_covariance_filled_in(
        self, result: UnfoldingResult, folder: Path
    ) -> None:
        given = copy.deepcopy(result.metadata)
        stored = stored_metadata(publish(result, folder / "release.h5"))
        assert result.metadata == given
        assert {key: stored.pop(key) for key in ("schema_version", "events")} == {
            "schema_version": "1.1.0",
            "events": 500,
        }
        assert stored.pop("created").endswith("+00:00")
        for entry, before in zip(stored["components"], given["components"], strict=True):
            covariance = entry["covariance"] if "covariance" in before else entry.pop("covariance")
            assert covariance == covariance_convention(before, "mean")
        assert stored == given

    def test_what_is_filled_in_replaces_what_an_earlier_publishing_filled_in(
        self, result: UnfoldingResult, folder: Path
    ) -> None:
        old = {"schema_version": "0.9", "created": "yesterday", "events": 1, "shard": {"index": 3}}
        stored = stored_metadata(publish(replace(result, metadata=result.metadata | old), folder / "release.h5"))
        assert (stored["schema_version"], stored["events"], "shard" in stored) == ("1.1.0", 500, False)
        assert stored["created"] != "yesterday"

    def test_the_manifest_says_what_the_file_is(self, release_path: Path) -> None:
        manifest = json.loads(manifest_path(release_path).read_bytes())
        data = release_path.read_bytes()
        entry = {"file": "release.h5", "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "events": 500}
        assert manifest["files"] == [entry]
        assert manifest["created"] == stored_metadata(release_path)["created"]

    def test_a_release_of_the_least_can_be_published(self, result: UnfoldingResult, folder: Path) -> None:
        def strip(metadata: dict[str, Any]) -> None:
            metadata["weights"].update(prior=False, central_value={"rule": "single"})
            metadata["components"] = [component(metadata, "luminosity")]
            metadata["closure"] = {"performed": False, "description": "None", "results": [], "tests": []}
            del metadata["canvases"], metadata["networks"]

        bare = replace(result, prior=None, families={}, canvases={}, closure={}, networks={})
        path = publish(with_metadata(bare, strip), folder / "release.h5")
        assert set(read_with_ours(path)) == {"event_id", "weights/nominal", *(f"events/{n}" for n in result.columns)}

    def test_progress_ends_with_all_the_work_done(self, result: UnfoldingResult, folder: Path) -> None:
        calls: list[tuple[int, int, str]] = []
        publish(result, folder / "release.h5", progress=lambda done, total, what: calls.append((done, total, what)))
        for what in ("writing MB", "validating MB"):
            steps = [(done, total) for done, total, name in calls if name == what]
            assert len({total for _, total in steps}) == 1
            assert steps == sorted(steps)
            assert steps[-1][0] == steps[-1][1] > 0


class Recording:
    """An array that keeps record of what it was asked for."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.asked: list[tuple[int, int]] = []

    def __getitem__(self, rows: slice, /) -> NDArray[Any]:
        start, stop, step = rows.indices(self.shape[0])
        assert step == 1
        self.asked.append((start, stop))
        block: NDArray[Any] = self.array[rows]
        return block


class OfLists:
    """Rows as plain lists of Python numbers."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.rows, self.shape, self.dtype = array.tolist(), list(array.shape), array.dtype

    def __getitem__(self, rows: slice, /) -> Any:
        return self.rows[rows]


def wrapped(result: UnfoldingResult, wrap: Callable[[NDArray[Any]], Any]) -> UnfoldingResult:
    """Return the result with each of its arrays in a wrapper."""

    def each(arrays: Any) -> dict[str, Any]:
        return {name: wrap(np.asarray(array)) for name, array in arrays.items()}

    return replace(
        result,
        event_id=wrap(np.asarray(result.event_id)),
        columns=each(result.columns),
        nominal=wrap(np.asarray(result.nominal)),
        families=each(result.families),
        prior=wrap(np.asarray(result.prior)),
        canvases={
            name: replace(
                canvas,
                event_id=wrap(np.asarray(canvas.event_id)),
                columns=each(canvas.columns),
                nominal=wrap(np.asarray(canvas.nominal)),
                families=each(canvas.families),
            )
            for name, canvas in result.canvases.items()
        },
        closure={
            name: replace(test, target=wrap(np.asarray(test.target)), unfolded=wrap(np.asarray(test.unfolded)))
            for name, test in result.closure.items()
        },
    )


class TestSources:
    @pytest.mark.parametrize("options", [{}, {"shard_events": 17_000}, {"mantissa_bits": 12}], ids=str)
    def test_each_row_is_asked_for_once_in_order_and_in_bounded_blocks(
        self, large: UnfoldingResult, folder: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, int]
    ) -> None:
        budget = 1 << 20
        monkeypatch.setattr(sys.modules["omnifold_pub.publish"], "BLOCK_BYTES", budget)
        sources: list[Recording] = []

        def wrap(array: NDArray[Any]) -> Recording:
            sources.append(Recording(array))
            return sources[-1]

        name = "release.manifest.json" if "shard_events" in options else "release.h5"
        publish(wrapped(large, wrap), folder / name, **options)  # type: ignore[arg-type]
        assert len(sources) == 23
        for source in sources:
            assert source.asked[0][0] == 0
            assert source.asked[-1][1] == source.shape[0]
            assert all(before[1] == after[0] for before, after in zip(source.asked, source.asked[1:], strict=False))
            row = source.array[:1].nbytes
            assert all(row * (stop - start) <= max(budget, 16384 * row) for start, stop in source.asked)
        assert max(len(source.asked) for source in sources) >= 3

    @pytest.mark.parametrize("kind", ["memmap", "h5py", "lists", "big-endian", "every second", "double"])
    def test_whatever_gives_rows_will_do(
        self, result: UnfoldingResult, folder: Path, tmp_path: Path, kind: str
    ) -> None:
        with h5py.File(tmp_path / "source.h5", "w") as file:

            def wrap(array: NDArray[Any]) -> Any:
                if kind == "memmap":
                    with tempfile.NamedTemporaryFile(dir=tmp_path, delete=False) as raw:
                        raw.write(array.tobytes())
                    return np.memmap(raw.name, dtype=array.dtype, mode="r", shape=array.shape)
                if kind == "h5py":
                    return file.create_dataset(f"d{len(file)}", data=array)
                if kind == "big-endian":
                    return array.astype(array.dtype.newbyteorder(">"))
                if kind == "every second":
                    return np.repeat(array, 2, axis=0)[::2]
                if kind == "double":
                    return array.astype(np.float64) if array.dtype.kind == "f" else array
                return OfLists(array)

            path = publish(wrapped(result, wrap), folder / "release.h5")
        assert bits(read_with_ours(path)) == bits(flat(result))

    @pytest.mark.parametrize("error", [OSError("the source broke"), ValueError("the source broke"), KeyboardInterrupt])
    @pytest.mark.parametrize("which", ["x", "pdf", "dd"])
    def test_a_source_that_breaks_in_the_middle_leaves_nothing(
        self, large: UnfoldingResult, folder: Path, monkeypatch: pytest.MonkeyPatch, error: Any, which: str
    ) -> None:
        monkeypatch.setattr(sys.modules["omnifold_pub.publish"], "BLOCK_BYTES", 1 << 16)

        class Breaking(Recording):
            def __getitem__(self, rows: slice, /) -> NDArray[Any]:
                if rows.start >= 16384:
                    raise error
                return super().__getitem__(rows)

        broken = {
            "x": lambda: replace(large, columns={**large.columns, "x": Breaking(np.asarray(large.columns["x"]))}),
            "pdf": lambda: replace(
                large, families={**large.families, "pdf": Breaking(np.asarray(large.families["pdf"]))}
            ),
            "dd": lambda: replace(
                large,
                closure={"dd": replace(large.closure["dd"], target=Breaking(np.asarray(large.closure["dd"].target)))},
            ),
        }[which]()
        expected = (KeyboardInterrupt, PublishError, ValueError)
        with pytest.raises(expected) as caught:
            publish(broken, folder / "release.h5")
        if error is not KeyboardInterrupt:
            assert "the source broke" in str(caught.value)
        assert not list(folder.iterdir())

    @pytest.mark.parametrize(
        "spoil",
        [lambda b: b[:-3], lambda b: np.concatenate([b, b]), lambda b: b[:, np.newaxis], lambda b: None],
        ids=["short", "long", "two axes", "nothing"],
    )
    def test_a_source_that_gives_other_rows_than_it_says_is_refused(
        self, result: UnfoldingResult, folder: Path, spoil: Callable[[NDArray[Any]], Any]
    ) -> None:
        class Lying(Recording):
            def __getitem__(self, rows: slice, /) -> NDArray[Any]:
                block: NDArray[Any] = spoil(super().__getitem__(rows))
                return block

        broken = replace(result, columns={**result.columns, "n": Lying(np.asarray(result.columns["n"]))})
        with pytest.raises(PublishError, match="events/n: expected"):
            publish(broken, folder / "release.h5")
        assert not list(folder.iterdir())


def without(name: str) -> Edit:
    return lambda result: replace(
        result,
        columns={key: column for key, column in result.columns.items() if key != name},
        families={key: family for key, family in result.families.items() if key != name},
    )


def undeclare(kind: str, index: int) -> Edit:
    return lambda result: with_metadata(result, lambda metadata: metadata[kind].pop(index))


def meta(change: Change) -> Edit:
    return lambda result: with_metadata(result, change)


def column(name: str, change: Callable[[Any], Any]) -> Edit:
    return lambda r: replace(r, columns={**r.columns, name: change(np.array(r.columns[name][:]))})


def family(name: str, change: Callable[[Any], Any]) -> Edit:
    return lambda r: replace(r, families={**r.families, name: change(np.array(r.families[name][:]))})


def canvas(**changes: Callable[[Any], Any]) -> Edit:
    def edit(result: UnfoldingResult) -> UnfoldingResult:
        other = result.canvases["other"]
        changed = {key: change(getattr(other, key)) for key, change in changes.items()}
        return replace(result, canvases={"other": replace(other, **changed)})

    return edit


def set_value(row: tuple[int, ...], value: float) -> Callable[[Any], Any]:
    def change(array: Any) -> Any:
        array[row] = value
        return array

    return change


def covariance(name: str, **changes: str) -> Edit:
    def change(metadata: dict[str, Any]) -> None:
        entry = component(metadata, name)
        entry["covariance"] = covariance_convention(entry, "mean") | changes

    return meta(change)


NOT_WRITTEN: dict[str, tuple[Edit, str]] = {
    "a missing column": (without("y"), r"observables: declared but not given: \['y'\]; given but not declared: none"),
    "a missing family": (without("pdf"), r"weight families: declared but not given: \['pdf'\]"),
    "a column too many": (undeclare("observables", 1), r"observables: .* given but not declared: \['y'\]"),
    "a family too many": (undeclare("components", 3), r"weight families: .* given but not declared: \['shift'\]"),
    "a column twice": (
        meta(lambda m: m["observables"].append(m["observables"][0])),
        "observables: 'x'.*more than once",
    ),
    "a component twice": (meta(lambda m: m["components"].append(m["components"][0])), "'ensemble'.*more than once"),
    "no prior": (lambda r: replace(r, prior=None), r"datasets: declared but not given: \['prior'\]"),
    "a prior too many": (meta(lambda m: m["weights"].update(prior=False)), r"given but not declared: \['prior'\]"),
    "an undeclared canvas": (undeclare("canvases", 0), r"canvases: .* given but not declared: \['other'\]"),
    "a missing canvas": (lambda r: replace(r, canvases={}), r"canvases: declared but not given: \['other'\]"),
    "a component of no canvas": (
        lambda r: with_metadata(replace(r, canvases={}), lambda m: m.pop("canvases")),
        "components generator: expected one of the canvases; found 'other'",
    ),
    "a column missing of a canvas": (
        canvas(columns=lambda c: {k: v for k, v in c.items() if k != "n"}),
        r"canvas other: observables: declared but not given: \['n'\]",
    ),
    "a family too many of a canvas": (
        canvas(families=lambda f: {**f, "more": f["replicas"]}),
        r"canvas other: weight families: .* given but not declared: \['more'\]",
    ),
    "an undeclared network": (undeclare("networks", 0), r"networks: .* given but not declared: \['tiny'\]"),
    "a missing network": (lambda r: replace(r, networks={}), r"networks: declared but not given: \['tiny'\]"),
    "a network of another size": (
        lambda r: replace(r, networks={"tiny": r.networks["tiny"] + b"x"}),
        r"networks/tiny: expected an array of shape \(\d+,\), as declared; found \(\d+,\)",
    ),
    "a missing closure test": (
        lambda r: replace(r, closure={}),
        r"datasets: declared but not given: \['closure/dd/target",
    ),
    "half a closure test": (
        lambda r: replace(r, closure={"dd": replace(r.closure["dd"], target=None)}),
        r"declared but not given: \['closure/dd/target'\]",
    ),
    "an undeclared closure test": (
        lambda r: replace(r, closure={**r.closure, "other": r.closure["dd"]}),
        r"given but not declared: \['closure/other/target', 'closure/other/unfolded'\]",
    ),
    "a short column": (
        column("x", lambda c: c[:-1]),
        r"events/x: expected an array of shape \(500,\), as declared; found \(499,\)",
    ),
    "a column of two axes": (column("x", lambda c: c[:, np.newaxis]), r"events/x: expected .* found \(500, 1\)"),
    "a short nominal": (lambda r: replace(r, nominal=r.nominal[:9]), r"weights/nominal: expected .* found \(9,\)"),
    "a family of one axis": (
        family("shift", lambda f: f[:, 0]),
        r"weights/shift: expected an array of shape \(500, 1\), as declared; found \(500,\)",
    ),
    "a family of three axes": (
        family("shift", lambda f: f[:, :, np.newaxis]),
        "weights/shift: expected an array of shape",
    ),
    "a family turned round": (family("pdf", lambda f: f.T), r"weights/pdf: expected .* found \(3, 500\)"),
    "a short canvas": (canvas(nominal=lambda n: n[:9]), r"canvases/other/weights/nominal: expected .* found \(9,\)"),
    "fewer events of a canvas": (
        meta(lambda m: m["canvases"][0].update(events=3)),
        r"canvases/other/event_id: expected an array of shape \(3,\)",
    ),
    "no events": (lambda r: replace(r, event_id=r.event_id[:0]), "events: expected minimum 1; found 0"),
    "ids without an axis": (lambda r: replace(r, event_id=np.array(3)), "event_id: expected"),
    "ids of floats": (
        lambda r: replace(r, event_id=r.event_id[:].astype(np.float64)),
        "event_id: expected numbers that can be stored as int64; found float64",
    ),
    "ids of text": (lambda r: replace(r, event_id=r.event_id[:].astype(str)), "event_id: expected numbers .* found <U"),
    "ids beyond int64": (
        lambda r: replace(r, event_id=r.event_id[:].astype(np.uint64) + np.uint64(2**63)),
        "event_id: integers that do not fit into int64",
    ),
    "ids twice": (
        lambda r: replace(r, event_id=r.event_id[:] // 4),
        r"/event_id: expected unique ids; found \d+ repeated",
    ),
    "a column of text": (column("x", lambda c: c.astype(str)), "events/x: expected numbers that .* float32; found <U"),
    "a column of objects": (column("x", lambda c: c.astype(object)), "events/x: expected numbers .* found object"),
    "a column of complex numbers": (column("x", lambda c: c.astype(complex)), "events/x: .* found complex128"),
    "a column of dates": (column("n", lambda c: c.astype("M8[s]")), r"events/n: .* found datetime64\[s\]"),
    "a column of floats for integers": (column("n", lambda c: c.astype(float)), "events/n: .* as int32; found float64"),
    "integers beyond int32": (
        column("n", lambda c: set_value((3,), 2**31)(c.astype(np.int64))),
        "events/n: integers that do not fit into int32; declare a larger type",
    ),
    "a plain list": (column("x", lambda c: c.tolist()), "events/x: expected"),
    "NaN where there is none": (column("x", set_value((3,), np.nan)), "/events/x: expected no NaN; found 1 NaN of 500"),
    "an infinite value": (column("y", set_value((3,), np.inf)), "/events/y: expected finite values; found 1 infinite"),
    "a value out of range": (
        column("z", set_value((3,), 2.0)),
        r"/events/z: expected values in its valid range, 0 to 1",
    ),
    "an event outside the fiducial region": (
        column("x", set_value((3,), 11.0)),
        r"expected -10 <= x <= 10 .* row 3 \(11\)",
    ),
    "a weight that is NaN": (
        family("data_bootstrap", set_value((7, 2), np.nan)),
        r"/weights/data_bootstrap: expected finite weights; found 1 of 6000 are not",
    ),
    "a weight beyond float32": (
        family("data_bootstrap", lambda f: set_value((7, 2), 1e300)(f.astype(np.float64))),
        r"/weights/data_bootstrap: expected finite weights",
    ),
    "a factor of 26.5": (
        family("data_bootstrap", lambda f: f * np.float32(26.5)),
        r"/weights/data_bootstrap: .* 26\.\d+ times as much",
    ),
    "a nominal that is not the mean": (
        lambda r: replace(r, nominal=r.nominal[:] * np.float32(1.001)),
        "/weights/nominal: expected the mean of /weights/ensemble",
    ),
    "another cross section": (
        meta(lambda m: m["cross_section"].update(value=m["cross_section"]["value"] * 1000)),
        "/weights/nominal: expected weights that sum to the stated fiducial cross section",
    ),
    "another divisor": (
        covariance("mc_bootstrap", divisor="R"),
        r"components mc_bootstrap covariance.divisor: expected 'R - 1', as readers do for kind 'bootstrap'; found 'R'",
    ),
    "another centre": (covariance("ensemble", centre="nominal"), "ensemble covariance.centre: expected 'mean of the"),
    "another estimator": (covariance("pdf", estimator="half of it"), "pdf covariance.estimator: expected"),
    "another correlation": (covariance("pdf", correlation="none"), "pdf covariance.correlation: expected 'full'"),
    "no rule": (meta(lambda m: m["weights"].pop("central_value")), "metadata .*\n.*weights: expected .*central_value"),
    "settings that are NaN": (
        meta(lambda m: m["unfolding"]["settings"].update(rate=np.nan)),
        "unfolding.settings.rate: expected a finite number",
    ),
    "settings that are no JSON": (
        meta(lambda m: m["unfolding"]["settings"].update(file=Path("x"))),
        "unfolding.settings.file: expected text, a number, a list or a mapping",
    ),
    "text that is no Unicode": (meta(lambda m: m["unfolding"]["settings"].update(name="\ud800")), "metadata"),
    "settings that are too long": (meta(lambda m: m["unfolding"]["settings"].update(x="x" * 5_000_000)), "metadata"),
    "settings that are too deep": (
        meta(lambda m: m["unfolding"]["settings"].update(x=json.loads("[" * 40 + "]" * 40))),
        "metadata",
    ),
    "metadata that are no mapping": (lambda r: replace(r, metadata=[]), "metadata"),  # type: ignore[arg-type]
}


class TestWhatIsRefused:
    @pytest.mark.parametrize("name", NOT_WRITTEN)
    def test_one_clear_error_and_nothing_is_written(self, result: UnfoldingResult, folder: Path, name: str) -> None:
        change, message = NOT_WRITTEN[name]
        with pytest.raises(PublishError, match=message):
            publish(change(result), folder / "release.h5")
        assert not list(folder.iterdir())

    def test_all_problems_of_the_metadata_are_listed_at_once(self, result: UnfoldingResult, folder: Path) -> None:
        def spoil(metadata: dict[str, Any]) -> None:
            del metadata["title"]
            metadata["weights"]["unit"] = "barn"
            metadata["observables"][1]["unit"] = 5
            metadata["components"][3]["members"] = 3

        with pytest.raises(PublishError) as caught:
            publish(with_metadata(result, spoil), folder / "release.h5")
        for part in (
            "title",
            "weights.unit: expected one of pb, fb; found 'barn'",
            "observables[1].unit",
            "components[3]",
        ):
            assert part in str(caught.value)
        assert not list(folder.iterdir())

    def test_an_invalid_result_does_not_touch_the_release_it_was_to_replace(
        self, result: UnfoldingResult, folder: Path
    ) -> None:
        path = publish(result, folder / "release.h5")
        before = {file.name: file.read_bytes() for file in folder.iterdir()}
        with pytest.raises(PublishError, match="not written"):
            publish(replace(result, nominal=result.nominal[:] * np.float32(2)), path, overwrite=True)
        assert {file.name: file.read_bytes() for file in folder.iterdir()} == before

    def test_an_interrupt_leaves_nothing(self, result: UnfoldingResult, folder: Path) -> None:
        for when in ("writing MB", "validating MB"):

            def interrupt(done: int, total: int, what: str, when: str = when) -> None:
                if what == when:
                    raise KeyboardInterrupt

            with pytest.raises(KeyboardInterrupt):
                publish(result, folder / "release.h5", progress=interrupt)
            assert not list(folder.iterdir())

    def test_a_codec_without_its_package_names_the_extra(
        self, result: UnfoldingResult, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = importlib.util.find_spec
        monkeypatch.setattr("omnifold_pub.extras.find_spec", lambda name: None if name == "hdf5plugin" else real(name))
        with pytest.raises(MissingExtraError, match=r"hdf5plugin.*omnifold-pub\[codecs\]"):
            publish(result, folder / "release.h5", codec="blosc2-zstd")
        assert not list(folder.iterdir())

    @pytest.mark.parametrize("shard_events", [0, -1])
    def test_files_of_no_events_are_refused(self, result: UnfoldingResult, folder: Path, shard_events: int) -> None:
        with pytest.raises(PublishError, match="shard_events: expected at least 1 event in a file"):
            publish(result, folder / "x.manifest.json", shard_events=shard_events)
        assert not list(folder.iterdir())


class TestTheTarget:
    def test_an_existing_file_is_refused_and_left_as_it_was(self, result: UnfoldingResult, folder: Path) -> None:
        path = folder / "release.h5"
        path.write_text("somebody's only copy")
        with pytest.raises(PublishError, match="exists already"):
            publish(result, path)
        assert [(file.name, file.read_text()) for file in folder.iterdir()] == [(path.name, "somebody's only copy")]

    @pytest.mark.parametrize("name", ["release.h5", "release.manifest.json"])
    def test_an_existing_file_is_replaced_on_request(self, result: UnfoldingResult, folder: Path, name: str) -> None:
        path = folder / name
        path.write_text("an earlier try")
        options = {"shard_events": 300} if "manifest" in name else {}
        assert publish(result, path, overwrite=True, **options) == path  # type: ignore[arg-type]
        assert verify(path).valid
        assert len(list(folder.iterdir())) == 2 + len(options)

    @pytest.mark.parametrize("overwrite", [False, True], ids=["new", "overwrite"])
    @pytest.mark.parametrize(
        ("name", "options"),
        [("release.h5", {}), ("release.manifest.json", {}), ("release.manifest.json", {"shard_events": 300})],
        ids=["file", "manifest", "manifest of shards"],
    )
    def test_a_folder_is_no_target(
        self, result: UnfoldingResult, folder: Path, name: str, options: dict[str, int], *, overwrite: bool
    ) -> None:
        (folder / name).mkdir()
        target = "release.manifest.json" if options else "release.h5"
        with pytest.raises(PublishError, match=r"(?i)is a (directory|folder)|exists already"):
            publish(result, folder / target, overwrite=overwrite, **options)  # type: ignore[arg-type]
        assert [path.name for path in folder.iterdir()] == [name]

    def test_a_missing_folder_is_reported_and_not_made(self, result: UnfoldingResult, tmp_path: Path) -> None:
        with pytest.raises(PublishError, match="there is no folder"):
            publish(result, tmp_path / "nowhere" / "release.h5")
        assert not (tmp_path / "nowhere").exists()

    @pytest.mark.parametrize("name", ["release", "my release µ", "release-1.0", "x.hdf5", "[a]*?.h5", "manifest.json"])
    def test_any_name_will_do(self, result: UnfoldingResult, folder: Path, name: str) -> None:
        path = publish(result, folder / name)
        report = verify(path)
        assert report.valid
        assert "file" in report.checks
        assert {file.name for file in folder.iterdir()} == {name, manifest_path(path).name}

    @pytest.mark.parametrize("name", [".release.h5", "a\\b.h5", "a\nb.h5"])
    def test_a_name_that_no_manifest_can_say_is_refused(self, result: UnfoldingResult, folder: Path, name: str) -> None:
        with pytest.raises(PublishError, match="name"):
            publish(result, folder / name)
        assert not list(folder.iterdir())

    def test_the_name_says_whether_there_are_several_files(self, result: UnfoldingResult, folder: Path) -> None:
        with pytest.raises(PublishError, match="one in a single file is not"):
            publish(result, folder / "x.manifest.json")
        with pytest.raises(PublishError, match=r"named by its manifest, \*.manifest.json"):
            publish(result, folder / "x.h5", shard_events=100)
        assert not list(folder.iterdir())

    @pytest.mark.parametrize(
        ("first", "second"),
        [("x.manifest.json", "x.h5"), ("x.h5", "x.hdf5"), ("x", "x.h5"), ("x.h5", "x.manifest.json")],
    )
    def test_the_manifest_of_another_release_is_not_replaced_unasked(
        self, result: UnfoldingResult, folder: Path, first: str, second: str
    ) -> None:
        def options(name: str) -> dict[str, Any]:
            return {"shard_events": 300} if "manifest" in name else {}

        publish(result, folder / first, **options(first))
        before = {file.name: file.read_bytes() for file in folder.iterdir()}
        with pytest.raises(PublishError, match="exists already"):
            publish(result, folder / second, **options(second))
        assert {file.name: file.read_bytes() for file in folder.iterdir()} == before

    def test_a_release_whose_manifest_is_left_over_can_be_published(
        self, result: UnfoldingResult, folder: Path
    ) -> None:
        path = publish(result, folder / "release.h5")
        path.unlink()
        assert verify(publish(result, path)).valid

    def test_a_folder_without_rights_is_one_clear_error(self) -> None:
        if os.geteuid() == 0 and not Path("/proc/self/status").exists():
            pytest.skip("cannot give up its rights here")
        folder = Path(tempfile.mkdtemp())
        try:
            folder.chmod(0o555)
            *first, last = run(WITHOUT_RIGHTS, folder, "release.h5")
            assert last == (
                f"PublishError: {folder}/release.h5: not written: Permission denied. "
                "Free some space or choose another folder, and publish again"
            )
            assert len(first) == (os.geteuid() != 0)
            assert not (folder / "release.h5").exists()
        finally:
            folder.chmod(0o755)
            shutil.rmtree(folder)


REPLICAS = ("ensemble", "data_bootstrap", "mc_bootstrap")


class TestFewerBits:
    @pytest.mark.parametrize(
        ("bits_kept", "options"),
        [(10, {}), (11, {}), (12, {}), (13, {}), (14, {}), (12, {"shard_events": 300})],
        ids=str,
    )
    def test_replicas_alone_are_rounded_and_the_errors_are_those_measured(
        self, result: UnfoldingResult, folder: Path, bits_kept: int, options: dict[str, int]
    ) -> None:
        path = folder / ("x.manifest.json" if options else "x.h5")
        publish(result, path, mantissa_bits=bits_kept, **options)  # type: ignore[arg-type]
        exact, found = flat(result), read_with_ours(path)
        with open_release(path) as release:
            entries = {entry["name"]: entry for entry in release.metadata["components"]}
        rounded = {f"weights/{name}" for name in REPLICAS}
        assert set(found) == set(exact)
        for name in exact:
            assert (found[name].tobytes() != exact[name].tobytes()) == (name in rounded), name
        x = exact["events/x"].astype(np.float64)
        edges = np.quantile(x, np.linspace(0, 1, 21))
        for name, entry in entries.items():
            assert ("precision" in entry) == (name in REPLICAS)
            if name not in REPLICAS:
                continue
            before, after = (arrays[f"weights/{name}"].astype(np.longdouble) for arrays in (exact, found))
            relative = (np.abs(after - before) / np.abs(before)).max()
            assert relative <= 2.0 ** -(bits_kept + 1)
            assert ((found[f"weights/{name}"].view(np.uint32) & ((1 << (23 - bits_kept)) - 1)) == 0).all()
            spread = [
                np.cov([np.histogram(x, edges, weights=w)[0] for w in f.T.astype(float)], rowvar=False)
                for f in (before, after)
            ]
            sigma = np.sqrt(np.diag(spread[0]))
            assert entry["precision"]["mantissa_bits"] == bits_kept
            assert entry["precision"]["worst_relative_error"] == pytest.approx(float(relative), rel=1e-9)
            change = (np.abs(spread[1] - spread[0]) / np.outer(sigma, sigma)).max()
            assert entry["precision"]["worst_covariance_error"] == pytest.approx(change, rel=1e-6)
            assert 0 < change < 0.1
        assert validate(path).valid
        assert verify(path).valid

    def test_nothing_is_lost_by_default(self, release: Release) -> None:
        assert not any("precision" in entry for entry in release.metadata["components"])

    @pytest.mark.parametrize("number", [0, 1, 9, 15, 23, -1, True, 12.0])
    def test_other_numbers_of_bits_are_refused(self, result: UnfoldingResult, folder: Path, number: int) -> None:
        with pytest.raises(PublishError, match="mantissa_bits: expected 10 to 14; found"):
            publish(result, folder / "x.h5", mantissa_bits=number)
        assert not list(folder.iterdir())

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_a_weight_that_is_not_finite_is_found_all_the_same(
        self, result: UnfoldingResult, folder: Path, bad: float
    ) -> None:
        broken = family("data_bootstrap", set_value((7, 2), bad))(result)
        with pytest.raises(PublishError, match="/weights/data_bootstrap: expected finite weights; found 1 of 6000"):
            publish(broken, folder / "x.h5", mantissa_bits=12)
        assert not list(folder.iterdir())

    @pytest.mark.parametrize("value", [np.nan, 3.0])
    def test_the_first_observable_may_be_absent_or_always_the_same(
        self, result: UnfoldingResult, folder: Path, value: float
    ) -> None:
        changed = column("y", lambda y: np.full_like(y, value))(result)
        changed = with_metadata(changed, lambda m: m["observables"].insert(0, m["observables"].pop(1)))
        assert validate(publish(changed, folder / "x.h5", mantissa_bits=10)).valid


class TestSeveralFiles:
    @pytest.mark.parametrize(
        ("events", "shard_events", "files"), [(8, 1, 8), (90, 30, 3), (500, 230, 3), (90, 9999, 1)]
    )
    def test_the_parts_are_one_release(self, folder: Path, events: int, shard_events: int, files: int) -> None:
        result = make_result(events=events, members=5)
        single = publish(result, folder / "single.h5")
        path = publish(result, folder / "parts.manifest.json", shard_events=shard_events)
        listed = json.loads(path.read_bytes())["files"]
        assert len(listed) == files
        assert [entry["events"] for entry in listed] == [
            min(shard_events, events - i * shard_events) for i in range(files)
        ]
        assert {entry["file"] for entry in listed} == {p.name for p in folder.iterdir() if p.name.startswith("parts-")}
        for entry in listed:
            data = (folder / entry["file"]).read_bytes()
            assert (entry["bytes"], entry["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
        assert bits(read_with_ours(path)) == bits(flat(result))
        assert verify(path).valid
        assert validate(path).valid
        wanted = {"x": [-3.0, -0.5, 0.0, 1.0, 3.0], "n": [-0.5, 2.5, 9.5]}
        with open_release(single) as one, open_release(path) as several:
            first, second = one.measure(wanted), several.measure(wanted)
            for name in (None, *(c.name for c in one.components)):
                scale = np.abs(first.covariance(name)).max()
                assert np.abs(first.covariance(name) - second.covariance(name)).max() <= 1e-12 * scale
            np.testing.assert_allclose(second.values(), first.values(), rtol=1e-12)

    def test_a_part_is_no_release(self, result: UnfoldingResult, folder: Path) -> None:
        publish(result, folder / "x.manifest.json", shard_events=200)
        for file in folder.glob("*.h5"):
            with pytest.raises(ReleaseError, match="Open the manifest"):
                open_release(file)
            assert not validate(file).valid

    def test_the_old_parts_are_removed_when_others_took_their_place(
        self, result: UnfoldingResult, folder: Path
    ) -> None:
        path = folder / "x.manifest.json"
        for shard_events in (200, 300):
            publish(result, path, shard_events=shard_events, overwrite=True)
            assert {p.name for p in folder.glob("*.h5")} == {e["file"] for e in json.loads(path.read_bytes())["files"]}
        assert verify(path).valid

    def test_an_existing_release_is_refused_and_left_as_it_was(self, result: UnfoldingResult, folder: Path) -> None:
        path = publish(result, folder / "x.manifest.json", shard_events=200)
        before = {file.name: file.read_bytes() for file in folder.iterdir()}
        with pytest.raises(PublishError, match="exists already"):
            publish(result, path, shard_events=100)
        assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


class TestTheOtherCodec:
    @pytest.mark.parametrize("options", [{}, {"shard_events": 17_000}], ids=["one file", "shards"])
    def test_nothing_is_lost(self, large: UnfoldingResult, folder: Path, options: dict[str, int]) -> None:
        pytest.importorskip("hdf5plugin")
        pytest.importorskip("blosc2")
        path = folder / ("x.manifest.json" if options else "x.h5")
        publish(large, path, codec="blosc2-zstd", **options)  # type: ignore[arg-type]
        wanted = bits(flat(large))
        assert bits(read_with_ours(path)) == wanted
        if not options:
            found = bits(read_with_h5py(path))
            assert {name: found[name] for name in wanted} == wanted
        assert verify(path).valid
        assert validate(path).valid


class TestAFullDisk:
    @pytest.mark.parametrize("name", ["release.h5", "release.manifest.json"])
    @pytest.mark.parametrize("old", [False, True], ids=["new", "overwrite"])
    def test_is_one_clear_error_and_nothing_changes(
        self, result: UnfoldingResult, folder: Path, name: str, *, old: bool
    ) -> None:
        target, options = folder / name, {"shard_events": 50} if "manifest" in name else {}
        sample = publish(result, folder / name, **options)  # type: ignore[arg-type]
        size = max(file.stat().st_size for file in folder.glob("*.h5"))
        if not old:
            for file in list(folder.iterdir()):
                file.unlink()
        limits = [0, 2000, size * 99 // 100] if options else [0, 1, 47, 2000, size // 10, size // 2, size * 99 // 100]
        found = [json.loads(line) for line in run(ON_A_FULL_DISK, folder, sample.name, *limits)]
        assert [limit for limit, _, _ in found] == limits
        for _, message, same in found:
            assert message == (
                f"PublishError: {target}: not written: File too large. "
                "Free some space or choose another folder, and publish again"
            )
            assert same
        assert verify(target).valid if old else not list(folder.iterdir())

    def test_on_a_small_file_system(self, folder: Path) -> None:
        namespace = ("unshare", "--map-root-user", "--mount")
        mount = f"mount -t tmpfs -o size=64k none '{folder}'"
        try:
            probe = subprocess.run([*namespace, "sh", "-c", mount], capture_output=True, check=False)
        except FileNotFoundError:
            pytest.skip("there is no unshare")
        if probe.returncode:
            pytest.skip("this user cannot mount a file system of its own")
        prefix = (*namespace, "sh", "-c", f'{mount} && exec "$@"', "sh")
        ((_, message, same),) = map(json.loads, run(ON_A_FULL_DISK, folder, "release.h5", 1 << 40, prefix=prefix))
        assert message.startswith(f"PublishError: {folder}/release.h5: not written: No space left on device. Free some")
        assert same


def check_strays(names: list[str], anchor: str, manifest: str) -> int:
    """Return how many temporary files were left; nothing else may be there."""
    strays = [name for name in names if name.endswith(".part")]
    assert all(name.startswith(f".{manifest}.") for name in strays)
    return len(strays)


class TestAKilledPublisher:
    @pytest.mark.parametrize(
        ("name", "kills", "longest"),
        [
            ("release.h5", 12, 0.25),
            pytest.param("release.h5", 50, 0.25, marks=pytest.mark.slow),
            pytest.param("release.manifest.json", 50, 0.6, marks=pytest.mark.slow),
        ],
    )
    def test_leaves_one_whole_release_and_no_wrong_manifest(
        self, folder: Path, name: str, kills: int, longest: float
    ) -> None:
        found = [json.loads(line) for line in run(KILLED, folder, name, kills, longest)]
        assert len(found) >= kills
        assert {signal for signal, *_ in found} == {9}
        assert {title for _, title, *_ in found} == {"first", "second"}
        assert all(same and valid for _, _, same, valid, _ in found)
        assert sum(check_strays(names, name, "release.manifest.json") for *_, names in found), (
            "nobody was killed at work"
        )
        result = make_result(events=120, members=4)
        options = {"shard_events": 50} if "manifest" in name else {}
        patience = time.monotonic() + 20.0
        while True:  # a copy of the last victim that inspects a file holds its locks for a moment
            path = publish(result, folder / name, overwrite=True, **options)  # type: ignore[arg-type]
            left = [file.name for file in folder.iterdir() if file.name.endswith(".part")]
            if not left or time.monotonic() > patience:
                break
        assert not left
        assert verify(path).valid
        assert bits(read_with_ours(path)) == bits(flat(result))


class TestTwoWriters:
    @pytest.mark.parametrize("name", ["release.h5", pytest.param("release.manifest.json", marks=pytest.mark.slow)])
    def test_one_release_comes_after_the_other(self, folder: Path, name: str) -> None:
        rounds = 3
        found = [json.loads(line) for line in run(TWO_WRITERS, folder, name, "overwrite", rounds)]
        assert len(found) == rounds
        for words, title, valid, with_manifest, names in found:
            assert words == ["written", "written"]
            assert title in {"first", "second"}
            assert valid
            assert with_manifest
            assert not [file for file in names if file.endswith(".part")]

    @pytest.mark.parametrize("name", ["release.h5", pytest.param("release.manifest.json", marks=pytest.mark.slow)])
    def test_only_one_may_take_a_new_name(self, folder: Path, name: str) -> None:
        rounds = 3
        for words, title, valid, with_manifest, names in map(json.loads, run(TWO_WRITERS, folder, name, "new", rounds)):
            assert sorted(words)[1] == "written"
            assert sorted(words)[0].startswith(f"PublishError: {folder / name}: exists already")
            assert title == ("first", "second")[words.index("written")]
            assert valid
            assert with_manifest
            assert len(names) == (2 if name == "release.h5" else 4)
