"""Publishing: a whole and checked release under its final name, or what was there before."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from omnifold_pub import UnfoldingResult, publish, validate
from omnifold_pub.errors import PublishError

Change = Callable[[dict[str, Any]], object]

LOAD = """
import json, os, resource, signal, sys, time
from pathlib import Path
import h5py
from omnifold_pub import UnfoldingResult, publish
from omnifold_pub.errors import PublishError

def load(path):
    with h5py.File(path) as file:
        weights = {name: dataset[()] for name, dataset in file["weights"].items()}
        return UnfoldingResult(
            event_id=file["event_id"][()],
            columns={name: dataset[()] for name, dataset in file["events"].items()},
            nominal=weights.pop("nominal"),
            families=weights,
            metadata=json.loads(bytes(file["metadata"][()])),
            prior=file["prior"][()],
        )
"""

ON_A_FULL_DISK = f"""{LOAD}
source, target, limit = sys.argv[1], sys.argv[2], int(sys.argv[3])
result = load(source)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    publish(result, target, overwrite=True)
except PublishError as error:
    print(f"PublishError: {{error}}")
"""

KILLED = f"""{LOAD}
sources, target, copies = [load(path) for path in sys.argv[1:3]], Path(sys.argv[3]), Path(sys.argv[4])
for number, delay in enumerate(map(float, sys.argv[5:])):
    child = os.fork()
    if child == 0:
        while True:
            for source in sources:
                publish(source, target, overwrite=True)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    (copies / f"{{number}}.h5").write_bytes(target.read_bytes())
"""


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def with_metadata(result: UnfoldingResult, change: Change) -> UnfoldingResult:
    metadata = copy.deepcopy(result.metadata)
    change(metadata)
    return replace(result, metadata=metadata)


def bits(array: NDArray[Any]) -> bytes:
    return np.ascontiguousarray(array).tobytes()


def contents(path: Path) -> dict[str, bytes]:
    """Return the bytes of every dataset but the metadata, which hold the time of writing."""
    found: dict[str, bytes] = {}

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset) and name != "metadata":
            found[name] = bits(item[()])

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def title(path: Path) -> str:
    with h5py.File(path) as file:
        return str(json.loads(bytes(file["metadata"][()]))["title"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "releases"
    path.mkdir()
    return path


def test_every_array_comes_back_bit_by_bit(result: UnfoldingResult, folder: Path) -> None:
    odd = result.columns["x"].copy()
    odd[:4] = np.array([-0.0, 1e-45, np.finfo(np.float32).max, np.finfo(np.float32).tiny], dtype=np.float32)
    result = replace(result, columns={**result.columns, "x": odd})
    path = publish(result, folder / "release.h5")
    assert result.prior is not None
    assert contents(path) == {
        "event_id": bits(result.event_id),
        "prior": bits(result.prior),
        "weights/nominal": bits(result.nominal),
        **{f"events/{name}": bits(column) for name, column in result.columns.items()},
        **{f"weights/{name}": bits(family) for name, family in result.families.items()},
    }


def test_metadata_come_back_with_version_time_and_size_filled_in(release_path: Path, result: UnfoldingResult) -> None:
    with h5py.File(release_path) as file:
        stored = json.loads(bytes(file["metadata"][()]))
    assert {key: stored.pop(key) for key in ("schema_version", "events")} == {"schema_version": "1.0.0", "events": 500}
    assert stored.pop("created").endswith("+00:00")
    assert stored == result.metadata


def test_a_release_without_prior_weights_can_be_published(result: UnfoldingResult, folder: Path) -> None:
    result = with_metadata(replace(result, prior=None), lambda metadata: metadata["weights"].pop("prior"))
    assert "prior" not in contents(publish(result, folder / "release.h5"))


def test_progress_ends_with_all_the_work_done(result: UnfoldingResult, folder: Path) -> None:
    calls: list[tuple[int, int, str]] = []
    publish(result, folder / "release.h5", progress=lambda done, total, what: calls.append((done, total, what)))
    members = sum(family.size for family in result.families.values())
    assert calls[-1] == (members, members, "reading weights")


def test_an_existing_file_is_refused_and_left_as_it_was(result: UnfoldingResult, folder: Path) -> None:
    path = folder / "release.h5"
    path.write_text("somebody's only copy")
    with pytest.raises(PublishError, match="exists already"):
        publish(result, path)
    assert path.read_text() == "somebody's only copy"
    assert list(folder.iterdir()) == [path]


def test_an_existing_file_is_replaced_on_request(result: UnfoldingResult, folder: Path) -> None:
    path = folder / "release.h5"
    path.write_text("an earlier try")
    assert publish(result, path, overwrite=True) == path
    assert validate(path).valid
    assert list(folder.iterdir()) == [path]


def test_a_missing_folder_is_reported_and_not_made(result: UnfoldingResult, tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="there is no folder"):
        publish(result, tmp_path / "nowhere" / "release.h5")
    assert not (tmp_path / "nowhere").exists()


def test_all_problems_of_the_metadata_are_listed_at_once(result: UnfoldingResult, folder: Path) -> None:
    def spoil(metadata: dict[str, Any]) -> None:
        del metadata["title"]
        metadata["weights"]["unit"] = "barn"
        metadata["observables"][1]["unit"] = 5
        metadata["components"][3]["members"] = 3

    with pytest.raises(PublishError) as caught:
        publish(with_metadata(result, spoil), folder / "release.h5")
    message = str(caught.value)
    for part in ("title", "weights.unit: expected one of pb, fb; found 'barn'", "observables[1].unit", "components[3]"):
        assert part in message
    assert not list(folder.iterdir())


def without(name: str) -> Callable[[UnfoldingResult], UnfoldingResult]:
    def change(result: UnfoldingResult) -> UnfoldingResult:
        return replace(
            result,
            columns={key: column for key, column in result.columns.items() if key != name},
            families={key: family for key, family in result.families.items() if key != name},
        )

    return change


def undeclare(kind: str, index: int) -> Callable[[UnfoldingResult], UnfoldingResult]:
    return lambda result: with_metadata(result, lambda metadata: metadata[kind].pop(index))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("y"), r"observables: declared but not given: \['y'\]; given but not declared: none"),
        (without("pdf"), r"weight families: declared but not given: \['pdf'\]"),
        (undeclare("observables", 1), r"observables: declared but not given: none; given but not declared: \['y'\]"),
        (undeclare("components", 3), r"weight families: .* given but not declared: \['shift'\]"),
        (lambda r: with_metadata(r, lambda m: m["observables"].append(m["observables"][0])), "'x'.* more than once"),
        (lambda r: with_metadata(r, lambda m: m["weights"].pop("prior")), "/prior: expected only declared datasets"),
        (lambda r: replace(r, prior=None), r"/prior: expected float32 \[500\]; found nothing"),
    ],
    ids=["column", "family", "extra-column", "extra-family", "twice", "extra-prior", "prior"],
)
def test_what_is_declared_must_be_what_is_given(
    result: UnfoldingResult, folder: Path, change: Callable[[UnfoldingResult], UnfoldingResult], message: str
) -> None:
    with pytest.raises(PublishError, match=message):
        publish(change(result), folder / "release.h5")
    assert not list(folder.iterdir())


def with_family(
    name: str, change: Callable[[NDArray[Any]], NDArray[Any]]
) -> Callable[[UnfoldingResult], UnfoldingResult]:
    return lambda result: replace(result, families={**result.families, name: change(result.families[name].copy())})


def with_nan(family: NDArray[Any]) -> NDArray[Any]:
    family[7, 2] = np.nan
    return family


INVALID = {
    "nan weight": (with_family("data_bootstrap", with_nan), "/weights/data_bootstrap: expected finite weights"),
    "factor 26.5": (
        with_family("data_bootstrap", lambda f: f * np.float32(26.5)),
        r"/weights/data_bootstrap: .* 26\.\d+ times as much",
    ),
    "nominal not the mean": (
        lambda r: replace(r, nominal=r.nominal * np.float32(1.01)),
        "the mean of /weights/ensemble",
    ),
    "short column": (
        lambda r: replace(r, columns={**r.columns, "x": r.columns["x"][:-1]}),
        r"x: expected an array of shape \(500,\), as declared; found \(499,\)",
    ),
    "family of one axis": (
        with_family("shift", lambda f: f[:, 0]),
        r"shift: expected an array of shape \(500, 1\), as declared; found \(500,\)",
    ),
    "family of three axes": (with_family("shift", lambda f: f[:, :, np.newaxis]), "shift: expected an array of shape"),
    "no events": (
        lambda r: replace(
            r,
            event_id=r.event_id[:0],
            nominal=r.nominal[:0],
            columns={name: column[:0] for name, column in r.columns.items()},
            families={name: family[:0] for name, family in r.families.items()},
            prior=None,
        ),
        "events: expected minimum 1; found 0",
    ),
}


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_result_is_refused_and_leaves_nothing(result: UnfoldingResult, folder: Path, name: str) -> None:
    change, message = INVALID[name]
    with pytest.raises(PublishError, match=message):
        publish(change(result), folder / "release.h5")
    assert not list(folder.iterdir())


def test_an_invalid_result_does_not_touch_the_file_it_was_to_replace(result: UnfoldingResult, folder: Path) -> None:
    path = publish(result, folder / "release.h5")
    before = path.read_bytes()
    with pytest.raises(PublishError, match="not written"):
        publish(replace(result, nominal=result.nominal * np.float32(2)), path, overwrite=True)
    assert path.read_bytes() == before
    assert list(folder.iterdir()) == [path]


def test_an_interrupt_leaves_nothing(result: UnfoldingResult, folder: Path) -> None:
    def interrupt(done: int, total: int, what: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish(result, folder / "release.h5", progress=interrupt)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.5, 0.99])
def test_a_full_disk_is_one_clear_error_and_leaves_nothing(release_path: Path, folder: Path, fraction: float) -> None:
    target = folder / "release.h5"
    done = run(ON_A_FULL_DISK, release_path, target, int(fraction * release_path.stat().st_size))
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stderr == ""
    assert done.stdout.startswith(f"PublishError: {target}: not written: File too large. Free some space")
    assert len(done.stdout.splitlines()) == 1
    assert not list(folder.iterdir())


def test_a_full_disk_does_not_touch_the_file_that_was_to_be_replaced(release_path: Path, folder: Path) -> None:
    target = folder / "release.h5"
    target.write_bytes(release_path.read_bytes())
    done = run(ON_A_FULL_DISK, release_path, target, release_path.stat().st_size // 2)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith("PublishError: ")
    assert target.read_bytes() == release_path.read_bytes()
    assert list(folder.iterdir()) == [target]


def test_a_killed_publisher_leaves_one_whole_release(result: UnfoldingResult, folder: Path, tmp_path: Path) -> None:
    whole: dict[str, dict[str, bytes]] = {}
    sources = []
    for name, scale in (("first", 1.0), ("second", 1.25)):
        changed = replace(
            result,
            nominal=result.nominal * np.float32(scale),
            families={key: family * np.float32(scale) for key, family in result.families.items()},
        )
        labelled = replace(changed, metadata={**result.metadata, "title": name})
        sources.append(publish(labelled, tmp_path / f"{name}.h5"))
        whole[name] = contents(sources[-1])
    target = folder / "release.h5"
    target.write_bytes(sources[0].read_bytes())
    copies = tmp_path / "copies"
    copies.mkdir()
    delays = np.random.default_rng(5).uniform(0.0, 0.2, 8)
    done = run(KILLED, *sources, target, copies, *delays)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(list(copies.iterdir())) == len(delays)
    for path in copies.iterdir():
        assert validate(path).valid
        assert contents(path) == whole[title(path)]
    strays = [path for path in folder.iterdir() if path != target]
    assert strays, "no child was killed while it wrote"
    assert all(path.name.startswith(".release.h5.") and path.suffix == ".part" for path in strays)
