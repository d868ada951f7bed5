"""Releases on a web server and in other stores: what is fetched, and everything that a server may do wrong."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fsspec
import h5py
import numpy as np
import pytest

from omnifold_pub import open_release, publish
from omnifold_pub.errors import MissingExtraError, OmnifoldPubError, ReleaseError
from omnifold_pub.format import guard, inspection, remote
from omnifold_pub.format.address import Url
from omnifold_pub.format.bytes_source import Descriptors, open_source
from omnifold_pub.format.chunks import FLETCHER32
from omnifold_pub.format.inspection import inspect_sources
from omnifold_pub.format.layout import LIBVER
from omnifold_pub.format.reading import StoredFile
from omnifold_pub.format.store import open_store
from tests.conftest import make_result
from tests.format.serving import RangeServer, serving

linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a new interpreter is started")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of 1.5 MB, one in five files, and one of which a single column is a megabyte; do not write to it."""
    path = tmp_path_factory.mktemp("served")
    publish(make_result(events=8000, members=20), path / "release.h5")
    publish(make_result(events=300, members=4), path / "several.manifest.json", shard_events=70)
    return path


@pytest.fixture(scope="module")
def shared(folder: Path) -> Iterator[RangeServer]:
    with serving(folder) as server:
        yield server


@pytest.fixture
def server(shared: RangeServer, monkeypatch: pytest.MonkeyPatch) -> RangeServer:
    """A server of it that behaves, nothing counted yet."""
    monkeypatch.setattr(remote, "_PAUSES", (0.01, 0.02))
    shared.mode, shared.latency = "", 0.0
    shared.sent = shared.requests = shared.after = 0
    shared.asked.clear()
    shared.headers_seen.clear()
    return shared


def test_a_release_on_a_server_is_the_one_on_the_disk(server: RangeServer, folder: Path) -> None:
    with open_release(folder / "release.h5") as here, open_release(f"{server.url}/release.h5") as there:
        assert there.metadata == here.metadata
        assert set(there.datasets) == set(here.datasets)
        for name, array in here.datasets.items():
            assert there.datasets[name].read().tobytes() == array.read().tobytes(), name
        np.testing.assert_array_equal(
            there.measure("x", [-1, 0, 1]).covariance(), here.measure("x", [-1, 0, 1]).covariance()
        )
        assert "release.h5" in repr(there)


def test_a_manifest_brings_the_files_beside_it(server: RangeServer, folder: Path) -> None:
    address = f"{server.url}/several.manifest.json?token=1"
    with open_release(folder / "several.manifest.json") as here, open_release(address) as there:
        assert len(there._store.parts) == 5
        assert there.metadata == here.metadata
        for name, array in here.datasets.items():
            assert there.datasets[name].read().tobytes() == array.read().tobytes(), name


def test_a_spectrum_takes_its_column_and_the_weights_alone(server: RangeServer, folder: Path) -> None:
    whole = (folder / "release.h5").stat().st_size
    with open_release(f"{server.url}/release.h5") as release:
        opening = server.sent
        values = release.events["x"], release.nominal_weights
    assert all(len(column) == 8000 for column in values)
    assert opening < remote.HEAD + 60 * 16 * 1024 < whole / 1.4  # blocks of the structure, of 1.5 MB
    assert server.sent - opening < 2.2 * 8000 * 4  # of what they have uncompressed
    assert all("range" in headers for headers in server.headers_seen)
    assert {headers["accept-encoding"] for headers in server.headers_seen} == {"identity"}


class Wide:
    """Random numbers, made when their rows are asked for: half a gigabyte that costs no memory."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, self.dtype = shape, np.dtype("<f4")
        self._pool = np.random.default_rng(1).random(1 << 20, dtype=np.float32)

    def blocks(self, rows: int) -> Iterator[np.ndarray]:
        width = int(np.prod(self.shape[1:]))
        for start in range(0, self.shape[0], rows):
            size = min(rows, self.shape[0] - start) * width
            yield np.resize(np.roll(self._pool, start), size).reshape(-1, *self.shape[1:])


def write_wide(path: Path, *, events: int, members: int) -> None:
    """Write what a release is made of, fast: chunks as they are, with their checksum."""
    from omnifold_pub.format.chunks import Pipeline

    shapes: dict[str, tuple[int, ...]] = {
        "weights/nominal": (events,),
        **{f"events/c{n}": (events,) for n in range(24)},
    }
    shapes["weights/bootstrap"] = (events, members)
    with h5py.File(path, "w", libver=LIBVER) as file:
        for name, shape in shapes.items():
            chunk = (16384, 16)[: len(shape)]
            dataset = file.create_dataset(name, shape=shape, dtype="<f4", chunks=chunk, fletcher32=True)
            pipeline = Pipeline((FLETCHER32,), np.dtype("<f4"), chunk)
            one = pipeline.encode(next(Wide(chunk).blocks(16384)))
            for corner in itertools.product(*(range(0, n, step) for n, step in zip(shape, chunk, strict=True))):
                dataset.id.write_direct_chunk(corner, one, 0)


@pytest.mark.slow
def test_a_spectrum_of_half_a_gigabyte_takes_less_than_a_twentieth(
    tmp_path: Path, announce: Callable[[str], None]
) -> None:
    write_wide(tmp_path / "wide.h5", events=1_000_000, members=104)
    size = (tmp_path / "wide.h5").stat().st_size
    assert size > 500e6
    with serving(tmp_path) as server:
        server.latency = 0.05
        started = time.monotonic()
        with StoredFile(f"{server.url}/wide.h5") as file:
            opened = time.monotonic() - started
            for name in ("events/c3", "weights/nominal"):
                assert file.datasets[name].read().shape == (1_000_000,)
        seconds = time.monotonic() - started
        assert server.sent < size / 20
        announce(
            f"remote: a spectrum of a file of {size / 1e6:.0f} MB took {server.sent / 1e6:.1f} MB in {server.requests} "
            f"requests of 50 ms, {seconds:.1f} s, of which {opened:.1f} s to open it"
        )


def test_neighbours_come_in_one_request_and_requests_are_bounded(tmp_path: Path) -> None:
    write_wide(tmp_path / "wide.h5", events=16384 * 8, members=48)
    with serving(tmp_path) as server, StoredFile(f"{server.url}/wide.h5") as file:
        server.asked.clear()
        file.datasets["events/c0"].read()
        assert len(server.asked) == 1
        server.asked.clear()
        found = file.datasets["weights/bootstrap"].read()
        assert 3 <= len(server.asked) <= 5  # 24 chunks of a megabyte
        assert all(size <= 8 * 2**20 for _, size in server.asked)
        with StoredFile(tmp_path / "wide.h5") as here:
            assert found.tobytes() == here.datasets["weights/bootstrap"].read().tobytes()
            part = here.datasets["weights/bootstrap"].read(20_000, 50_000, columns=slice(10, 20))
        assert (
            file.datasets["weights/bootstrap"].read(20_000, 50_000, columns=slice(10, 20)).tobytes() == part.tobytes()
        )


def test_requests_overlap(server: RangeServer) -> None:
    with open_store(f"{server.url}/release.h5") as store:
        server.latency = 0.1
        wanted = [array for name, array in store.arrays.items() if name.startswith(("events/", "weights/"))]
        started = time.monotonic()
        with ThreadPoolExecutor(len(wanted)) as pool:
            list(pool.map(lambda array: array.read(), wanted))
        assert time.monotonic() - started < 0.1 * len(wanted) * 0.7


WRONG = {
    "whole": "the server sends whole files alone .*download the file",
    "404": "no such file on the server",
    "403": "the server denies access",
    "401": "asks for a user and a password",
    "500": "the server answers 500, 3 times",
    "503": "the server answers 503, 3 times",
    "418": "the server answers 418, expected 206",
    "416": "the file is empty, or shorter",
    "break": "the connection failed .*, 3 times",
    "elsewhere": "does not answer what it is asked: found Content-Range",
    "unknown": "does not answer what it is asked: found Content-Range 'bytes [0-9]+-[0-9]+/\\*'",
    "compressed": "does not answer what it is asked: found compressed bytes",
}
CHANGED = {"grown": "changed while it was read", "etag": "changed while it was read .*another"}


@pytest.mark.parametrize(("mode", "expected"), WRONG.items(), ids=WRONG)
def test_a_server_that_fails_at_once_is_one_clear_error(mode: str, expected: str, server: RangeServer) -> None:
    server.mode = mode
    with pytest.raises(ReleaseError, match=rf"^http://127\.0\.0\.1:\d+/release\.h5: .*{expected}"):
        open_release(f"{server.url}/release.h5")
    assert server.sent <= 3 * 256 * 1024 or mode == "whole"
    assert server.requests <= 3


@pytest.mark.parametrize("when", ["inspecting", pytest.param("reading", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("mode", "expected"), (WRONG | CHANGED).items(), ids=WRONG | CHANGED)
def test_a_server_that_fails_later_is_one_clear_error(
    mode: str, expected: str, when: str, server: RangeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    if when == "inspecting":
        server.mode, server.after = mode, 8
        with pytest.raises(ReleaseError, match=rf"release\.h5: .*{expected}"):
            open_release(f"{server.url}/release.h5")
        return
    with open_release(f"{server.url}/release.h5") as release:
        server.mode, server.after = mode, 0
        with pytest.raises(ReleaseError, match=rf"release\.h5: .*{expected}"):
            release.datasets["weights/pdf"].read()


def test_a_server_that_sends_all_of_a_large_file_is_cut_off(tmp_path: Path) -> None:
    with (tmp_path / "large.h5").open("wb") as file:
        file.truncate(400_000_000)
    with serving(tmp_path) as server:
        server.mode = "whole"
        with pytest.raises(ReleaseError, match="whole files alone"):
            open_release(f"{server.url}/large.h5")
        time.sleep(0.2)
        assert server.sent < 40_000_000  # what is under way in the buffers of both sides


def test_a_server_that_fails_for_a_moment_is_asked_again(server: RangeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_release(f"{server.url}/release.h5") as release:
        monkeypatch.setattr(remote, "_PAUSES", (0.4, 0.4))
        server.mode = "503"
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(lambda: release.datasets["weights/pdf"].read())
            time.sleep(0.2)
            server.mode = ""
            assert len(reading.result(timeout=10)) == 8000


def test_nobody_listens_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_PAUSES", ())
    with pytest.raises(
        ReleaseError, match=r"^http://\*\*\*@127\.0\.0\.1:9/x\.h5\?\*\*\*: cannot be read: the connection"
    ):
        open_release("http://me:secret@127.0.0.1:9/x.h5?token=secret")


def test_secrets_are_sent_and_never_shown(server: RangeServer, tmp_path: Path) -> None:
    address = server.url.replace("http://", "http://me:secret@")

    def look(url: str) -> None:
        with open_release(url) as release:
            assert str(release.path) == f"{server.url.replace('http://', 'http://***@')}/release.h5?***"
            assert "secret" not in repr(release)
            release.canvas("none")

    for mode in ("", "404", "whole", "break", "etag", "grown"):
        server.mode, server.after = mode, 3
        with pytest.raises(OmnifoldPubError) as caught:
            look(f"{address}/release.h5?key=secret")
        assert "secret" not in f"{caught.value!r} {caught.value}"
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or "secret" not in repr(caught.value.__context__)
    assert all(headers["authorization"].startswith("Basic ") for headers in server.headers_seen)


def test_a_closed_release_says_so(server: RangeServer) -> None:
    release = open_release(f"{server.url}/release.h5")
    release.close()
    with pytest.raises(ReleaseError, match=r"release\.h5: the release is closed; open it again"):
        release.events["x"]


def test_a_file_of_another_size_than_the_manifest_says_is_refused(folder: Path, tmp_path: Path) -> None:
    names = [entry["file"] for entry in json.loads((folder / "several.manifest.json").read_text())["files"]]
    for name in (*names, "several.manifest.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / names[3]).write_bytes((tmp_path / names[3]).read_bytes() + b"x")
    with serving(tmp_path) as server:
        with pytest.raises(ReleaseError, match=rf"{names[3]}: \d+ bytes; the manifest several\.manifest\.json says"):
            open_release(f"{server.url}/several.manifest.json")
        (tmp_path / names[2]).unlink()
        with pytest.raises(ReleaseError, match=rf"{names[2]}: no such file on the server"):
            open_release(f"{server.url}/several.manifest.json")


def soft(file: h5py.File) -> None:
    file["events/w"] = h5py.SoftLink("/events/x")


def external(file: h5py.File) -> None:
    file["w"] = h5py.ExternalLink("/etc/passwd", "/")


def contiguous(file: h5py.File) -> None:
    file["events/w"] = np.zeros(3)


def attribute(file: h5py.File) -> None:
    file.attrs["a"] = 1


def unwritten(file: h5py.File) -> None:
    file.create_dataset("events/w", shape=(20,), dtype="<f4", chunks=(5,), fletcher32=True)


HOSTILE: list[tuple[Callable[[h5py.File], None], str]] = [
    (soft, "found a soft link"),
    (external, "found an external link"),
    (contiguous, "found a dataset of layout contiguous"),
    (attribute, "found 1 attributes"),
    (unwritten, "found 0 chunks that were written"),
]


@pytest.mark.parametrize(("change", "expected"), HOSTILE, ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_refused_on_the_disk_is_refused_on_a_server(
    change: Callable[[h5py.File], None], expected: str, folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "release.h5"
    path.write_bytes((folder / "release.h5").read_bytes())
    with h5py.File(path, "r+", libver=LIBVER) as file:
        change(file)
    with pytest.raises(ReleaseError) as here:
        open_release(path)
    with serving(tmp_path) as server, pytest.raises(ReleaseError, match=expected) as there:
        open_release(f"{server.url}/release.h5")
    assert str(there.value).partition(": ")[2] == str(here.value).partition(": ")[2]


@pytest.mark.parametrize("seed", range(12))
def test_damaged_files_are_refused_alike(seed: int, folder: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    data = bytearray((folder / "release.h5").read_bytes())
    with StoredFile(folder / "release.h5") as file:
        used = np.concatenate([dataset.places for dataset in file.datasets.values()])
    free = np.ones(len(data), dtype=bool)
    for offset, size in used:
        free[offset : offset + size] = False
    for place in rng.choice(np.flatnonzero(free), 20):
        data[place] ^= int(rng.integers(1, 256))
    (tmp_path / "release.h5").write_bytes(data)
    with serving(tmp_path) as server:
        outcomes = []
        for address in (str(tmp_path / "release.h5"), f"{server.url}/release.h5"):
            try:
                with open_release(address) as release:
                    outcomes.append(sorted(release.datasets))
            except ReleaseError:
                outcomes.append(["refused"])
        assert outcomes[0] == outcomes[1]


@pytest.mark.slow
def test_where_there_is_no_fork_a_new_interpreter_asks_for_the_bytes(
    server: RangeServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = inspection.inspect(str(folder / "release.h5"))
    monkeypatch.setattr(sys, "platform", "darwin")
    sources = [open_source(Url(f"{server.url}/release.h5"), Descriptors())]
    assert inspect_sources(sources) == [expected]
    monkeypatch.setattr(guard, "SECONDS", 0.01)
    with pytest.raises(ReleaseError, match=r"takes more than 0\.01 s"):
        inspect_sources(sources)


@linux
@pytest.mark.slow
def test_the_time_of_the_network_is_not_the_time_of_the_work(
    server: RangeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_source(Url(f"{server.url}/release.h5"), Descriptors())
    monkeypatch.setattr(guard, "SECONDS", 1.5)
    server.latency = 0.06
    started = time.monotonic()
    assert inspect_sources([source])
    assert time.monotonic() - started > 1.5
    monkeypatch.setattr(guard, "NETWORK_SECONDS", 0.5)
    with pytest.raises(ReleaseError, match=r"takes more than 0\.5 s to fetch"):
        inspect_sources([source])


@linux
@pytest.mark.parametrize(
    "request_",
    [[0, -1, 10], [0, 0, 0], [0, 995, 10], [0, 0, 10**9], [1, 0, 10], [0, 0], [0, True, 1.5], "x", None, [[0], 1]],
)
def test_a_process_that_was_taken_over_gets_no_other_bytes(request_: Any) -> None:
    asked: list[tuple[int, int]] = []

    def fetch(offset: int, size: int) -> bytes:
        asked.append((offset, size))
        return bytes(size)

    def work(path: str, file: Any) -> None:
        send = file._ask.__closure__  # what only a process that runs other code than ours would do
        channel = next(
            cell.cell_contents for cell in send if callable(cell.cell_contents) and "send" in repr(cell.cell_contents)
        )
        channel(json.dumps({"read": request_}).encode() + b"\n")
        time.sleep(60)

    with pytest.raises(ReleaseError, match=r"^some\.h5: refused: .*bytes that are not in the file"):
        list(guard.run_guarded_all(work, [guard.Task("some.h5", 1000, fetch)], module="unused"))
    assert not asked


@linux
def test_a_process_that_does_not_take_its_bytes_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    def work(path: str, file: Any) -> None:
        for cell in file._ask.__closure__:
            if callable(cell.cell_contents) and "send" in repr(cell.cell_contents):
                for _ in range(50):
                    cell.cell_contents(b'{"read": [0, 0, 1000000]}\n')
        time.sleep(60)

    monkeypatch.setattr(guard, "SECONDS", 0.5)
    started = time.monotonic()
    with pytest.raises(ReleaseError, match=r"takes more than 0\.5 s"):
        list(guard.run_guarded_all(work, [guard.Task("some.h5", 2_000_000, lambda o, s: bytes(s))], module="unused"))
    assert time.monotonic() - started < 5


@linux
def test_a_file_cannot_make_its_reader_fetch_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_MAX_SERVED", 3_000_000)

    def work(path: str, file: Any) -> None:
        while True:
            file._ask(0, 1_000_000)

    with pytest.raises(ReleaseError, match=r"takes more than 2 MB of the file"):
        list(guard.run_guarded_all(work, [guard.Task("some.h5", 2_000_000, lambda o, s: bytes(s))], module="unused"))


@pytest.fixture
def memory(folder: Path) -> Iterator[Any]:
    """A store in memory that has the releases."""
    store = fsspec.filesystem("memory")
    for path in folder.iterdir():
        store.pipe_file(f"/omnifold_pub_test/{path.name}", path.read_bytes())
    yield store
    store.rm("/omnifold_pub_test", recursive=True)


def test_other_stores_are_read_as_well(memory: Any, folder: Path) -> None:
    addresses = [
        f"{base}/{name}"
        for base in ("memory://omnifold_pub_test", f"file://{folder}")
        for name in ("release.h5", "several.manifest.json")
    ]
    for address in addresses:
        with open_release(address) as there, open_release(folder / address.rpartition("/")[2]) as here:
            assert there.metadata == here.metadata
            assert there.datasets["weights/pdf"].read().tobytes() == here.datasets["weights/pdf"].read().tobytes()
            assert str(there.path) == address


def test_what_goes_wrong_in_other_stores_is_one_clear_error(
    memory: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "memory://omnifold_pub_test/release.h5"
    with pytest.raises(ReleaseError, match=r"^memory://omnifold_pub_test/none\.h5: no such file"):
        open_release("memory://omnifold_pub_test/none.h5")
    with pytest.raises(ReleaseError, match=r"expected a file of known size; found a directory"):
        open_release("memory://omnifold_pub_test")
    with pytest.raises(ReleaseError, match=r"^nosuch://a/x\.h5: cannot be opened: ValueError: Protocol not known"):
        open_release("nosuch://a/x.h5")
    with open_release(address) as release:
        memory.pipe_file("/omnifold_pub_test/release.h5", (folder / "release.h5").read_bytes())
        with pytest.raises(ReleaseError, match=r"release\.h5: changed while it was read"):
            release.events["x"]
    with open_release(address) as release:

        def fails(*_: object, **__: object) -> bytes:
            msg = "no answer from https://me:secret@store/x"
            raise RuntimeError(msg)

        monkeypatch.setattr(memory, "cat_file", fails)
        with pytest.raises(ReleaseError, match=r"cannot be read: RuntimeError: no answer from \.\.\.$"):
            release.events["x"]
        monkeypatch.setattr(memory, "cat_file", lambda path, start, end: b"short")
        with pytest.raises(ReleaseError, match=r"found 5 bytes at \d+; expected \d+"):
            release.events["y"]
    with pytest.raises(ReleaseError, match="the release is closed"):
        release.events["x"]


def test_a_store_that_needs_a_package_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        msg = "Install s3fs to access S3"
        raise ImportError(msg)

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(MissingExtraError, match=r"^Reading s3://bucket/x\.h5 needs one more package: .*Install s3fs"):
        open_release("s3://bucket/x.h5")


WITHOUT = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("fsspec", "aiohttp"):
            raise ModuleNotFoundError(name)
import importlib.util
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name in ("fsspec", "aiohttp") else find_spec(name, *more)
sys.meta_path.insert(0, Blocked())
import omnifold_pub
with omnifold_pub.open_release(sys.argv[1]) as release:
    release.events["x"]
for url in ("https://me:secret@host/x.h5", "s3://bucket/x.manifest.json"):
    try:
        omnifold_pub.open_release(url)
    except omnifold_pub.OmnifoldPubError as error:
        print(type(error).__name__, error)
"""


def test_without_the_extra_paths_are_read_and_urls_name_it(folder: Path) -> None:
    command = [sys.executable, "-c", WITHOUT, str(folder / "release.h5")]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(lines) == 2
    for line, shown in zip(lines, ("https://***@host/x.h5", "s3://bucket/x.manifest.json"), strict=True):
        assert line.startswith(f"MissingExtraError Reading {shown} needs the package fsspec")
        assert "pip install 'omnifold-pub[remote]'" in line


def test_a_path_never_goes_through_fsspec(folder: Path) -> None:
    code = "import sys, omnifold_pub; omnifold_pub.open_release(sys.argv[1]).events['x']; print(*sys.modules)"
    command = [sys.executable, "-c", code, str(folder / "release.h5")]
    modules = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert not {"fsspec", "aiohttp", "omnifold_pub.format.remote"} & set(modules)
