"""Measure how fast a release is written, and in how much memory, against plain h5py.

Usage: ``python scripts/bench_publish.py [--events 1000000] [--members 256] [--folder DIR]``

The same events and weights, made block by block while they are written, go through

- ``bare``: ``h5py.create_dataset`` with the chunks and filters of a release, one dataset after the other, no checks;
- ``publish``: the whole call of `omnifold_pub.publish`, with digests, manifest, validation and flushing to the disk.

Each runs in a process of its own. MB are 10^6 bytes of uncompressed values; MiB of memory are 2^20 bytes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # numpy and all else are imported by the measured processes alone, see `_measure`
    import numpy as np
    from numpy.typing import NDArray

    from omnifold_pub import UnfoldingResult

COLUMNS = 24
TARGET_RATIO = 0.8
TARGET_MIB = 300.0

_POOL = 1 << 20
_TILE, _STRIDE = 16384, 61


@dataclass(frozen=True)
class Lazy:
    """An array that is made when its rows are asked for.

    Attributes
    ----------
    shape : tuple of int
        ``(event,)`` or ``(event, member)``.
    dtype : numpy.dtype
        Of its numbers.
    make : callable
        ``make(start, stop)`` returns rows.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    make: Callable[[int, int], NDArray[Any]]

    def __getitem__(self, rows: slice, /) -> NDArray[Any]:
        """Return the given rows."""
        start, stop, _ = rows.indices(self.shape[0])
        return self.make(start, stop)


def _cyclic(pool: NDArray[Any], shift: int = 0) -> Callable[[int, int], NDArray[Any]]:
    """Return a function of rows that reads the pool round and round."""
    import numpy as np

    def make(start: int, stop: int) -> NDArray[Any]:
        return pool[(np.arange(start, stop) + shift) % len(pool)]

    return make


def _noisy(
    nominal: Callable[[int, int], NDArray[Any]], noise: NDArray[np.float32], members: int
) -> Callable[[int, int], NDArray[Any]]:
    """Return a function of rows: nominal times noise, each member and event with a number of its own of the pool.

    The noise of a row begins a few numbers after that of the row before: one multiplication for each weight, and
    nothing that repeats within what a compressor sees at once.
    """
    import numpy as np

    tile = np.lib.stride_tricks.as_strided(noise, (_TILE, members), (4 * _STRIDE, 4), writeable=False)

    def make(start: int, stop: int) -> NDArray[Any]:
        centre = nominal(start, stop)[:, np.newaxis]
        out = np.empty((stop - start, members), dtype=np.float32)
        row = 0
        while row < len(out):
            first = (start + row) % _TILE
            count = min(_TILE - first, len(out) - row)
            np.multiply(centre[row : row + count], tile[first : first + count], out=out[row : row + count])
            row += count
        return out

    return make


def make_result(events: int, members: int) -> UnfoldingResult:
    """Make a result of lazy arrays: ids, 24 columns, nominal and prior weights, and one bootstrap.

    Parameters
    ----------
    events : int
        Rows.
    members : int
        Replicas of the bootstrap.
    """
    import numpy as np

    from omnifold_pub import UnfoldingResult

    rng = np.random.default_rng(1)
    weights = rng.gamma(2.0, 0.5, _POOL).astype(np.float32)
    noise = np.exp(rng.normal(0, 0.3, _TILE * _STRIDE + members)).astype(np.float32)
    noise /= noise.mean(dtype=np.float64)
    values = rng.gamma(2.0, 30.0, _POOL).astype(np.float32)
    nominal = _cyclic(weights)
    total = float(weights.sum(dtype=np.float64)) * (events // _POOL) + float(
        weights[: events % _POOL].sum(dtype=np.float64)
    )
    single, names = np.dtype(np.float32), [f"observable_{number}" for number in range(COLUMNS)]

    def count(start: int, stop: int) -> NDArray[Any]:
        return np.arange(start, stop, dtype=np.int64)

    return UnfoldingResult(
        event_id=Lazy((events,), np.dtype(np.int64), count),
        columns={name: Lazy((events,), single, _cyclic(values, 9973 * i)) for i, name in enumerate(names)},
        nominal=Lazy((events,), single, nominal),
        families={"bootstrap": Lazy((events, members), single, _noisy(nominal, noise, members))},
        metadata=_metadata(names, members, total),
        prior=Lazy((events,), single, lambda start, stop: nominal(start, stop) * np.float32(1.1)),
    )


def _metadata(names: list[str], members: int, cross_section: float) -> dict[str, Any]:
    """Describe such a result."""
    observable = {"unit": "GeV", "latex": "p_T", "dtype": "float32", "missing": {"rule": "never"}}
    bounds = {"minimum": 0, "maximum": None}
    return {
        "title": "Benchmark",
        "description": "Random numbers.",
        "data_kind": "toy",
        "process": "none",
        "collision": {"system": "pp", "energy_tev": 13},
        "fiducial": {"description": "All", "selection": [{"expression": names[0], **bounds, "tolerance": 0}]},
        "objects": [{"name": "number", "definition": "A random number"}],
        "luminosity": {"value": 1.0, "unit": "fb-1", "relative_uncertainty": 0.0},
        "cross_section": {"value": cross_section, "unit": "fb"},
        "weights": {
            "unit": "fb",
            "sum": "fiducial cross section",
            "includes_generator_weight": True,
            "central_value": {"rule": "single"},
            "prior": True,
            "clamps": {"applied": False},
        },
        "observables": [
            {"name": name, "description": f"Number {i}", "valid_range": bounds, **observable}
            for i, name in enumerate(names)
        ],
        "components": [
            {
                "name": "bootstrap",
                "kind": "bootstrap",
                "description": "Replicas",
                "members": members,
                "trainings_per_member": 1,
                "resampled": "both",
                "seed": None,
                "includes_event_sampling": True,
            }
        ],
        "validity": {"minimum_effective_events_per_bin": 0, "severity": "warning", "notes": []},
        "unfolding": {"method": "none", "program": "benchmark", "version": "1", "settings": {"iterations": 0}},
        "inputs": [{"role": "simulation", "file": "random numbers", "sha256": None, "rows": None}],
        "closure": {"performed": False, "description": "There is nothing to close.", "results": [], "tests": []},
        "creators": [{"name": "Nobody"}],
        "contact": "nobody",
        "licence": "CC0-1.0",
        "software": {"benchmark": "1"},
    }


def _arrays(result: UnfoldingResult) -> Iterator[tuple[str, Any]]:
    """Yield path and source of every dataset."""
    yield "event_id", result.event_id
    for name, column in result.columns.items():
        yield f"events/{name}", column
    yield "weights/nominal", result.nominal
    for name, family in result.families.items():
        yield f"weights/{name}", family
    yield "prior", result.prior


def write_bare(result: UnfoldingResult, path: Path) -> None:
    """Write the arrays with h5py alone."""
    import h5py

    from omnifold_pub.format import layout
    from omnifold_pub.format.writing import BLOCK_BYTES

    with h5py.File(path, "w", libver=layout.LIBVER) as file:
        for name, source in _arrays(result):
            chunks = layout.chunk_shape(source.shape, source.dtype.itemsize)
            dataset = file.create_dataset(
                name,
                shape=source.shape,
                dtype=source.dtype,
                chunks=chunks,
                shuffle=True,
                compression="gzip",
                compression_opts=1,
                fletcher32=True,
            )
            row_bytes = source.dtype.itemsize * (source.shape[1] if len(source.shape) == 2 else 1)
            for start, stop in layout.row_blocks(source.shape[0], row_bytes, step=chunks[0], budget=BLOCK_BYTES):
                dataset[start:stop] = source[start:stop]


def _measure(kind: str, path: Path, events: int, members: int) -> dict[str, float]:
    """Write once in this process and say what it took; memory in MiB."""
    import numpy as np

    from omnifold_pub import publish
    from omnifold_pub.format.writing import BLOCK_BYTES

    result = make_result(events, members)
    values = sum(source.dtype.itemsize * int(np.prod(source.shape)) for _, source in _arrays(result))
    before = resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    if kind == "bare":
        write_bare(result, path)
    else:
        publish(result, path, overwrite=True)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": seconds,
        "processor_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "values": values,
        "file_bytes": path.stat().st_size,
        "peak_mib": after.ru_maxrss / 1024,
        "children_mib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
        "start_mib": before.ru_maxrss / 1024,
        "block_mib": BLOCK_BYTES / 2**20,
    }


def _in_process(kind: str, path: Path, events: int, members: int) -> dict[str, float]:
    """Measure in a process of its own."""
    sizes = ["--events", str(events), "--members", str(members)]
    command = [sys.executable, str(Path(__file__).resolve()), *sizes, "--write", kind, "--to", str(path)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 - this very script
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _report(name: str, found: dict[str, float]) -> str:
    return (
        f"{name:8s} {found['seconds']:8.1f} s {found['values'] / 1e6 / found['seconds']:8.1f} MB/s "
        f"{found['processor_seconds']:8.1f} s of processor {found['file_bytes'] / 1e6:9.1f} MB file, peak "
        f"{found['peak_mib']:.0f} MiB (at start {found['start_mib']:.0f}, children {found['children_mib']:.0f})"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--members", type=int, default=256, help="replicas of the one family")
    parser.add_argument("--folder", type=Path, default=None, help="where to write; what was written is removed")
    parser.add_argument("--write", choices=("bare", "publish"), help="only write once, and keep it")
    parser.add_argument("--to", type=Path, help="file for --write")
    arguments = parser.parse_args()
    if arguments.write:
        measured = _measure(arguments.write, arguments.to, arguments.events, arguments.members)
        print(json.dumps(measured))  # noqa: T201
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        found = {}
        for kind in ("bare", "publish"):
            path = Path(name) / f"{kind}.h5"
            found[kind] = _in_process(kind, path, arguments.events, arguments.members)
            path.unlink()
    bare, ours = found["bare"], found["publish"]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    above = max(ours["peak_mib"], ours["children_mib"]) - ours["block_mib"]
    lines = [
        (
            f"{arguments.events} events x {arguments.members} members, {COLUMNS} columns, "
            f"{bare['values'] / 1e6:.1f} MB of values; {platform.machine()}, {cores} cores, "
            f"load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}"
        ),
        _report("bare", bare),
        _report("publish", ours),
        f"ratio of speeds: {bare['seconds'] / ours['seconds']:.2f} (target: {TARGET_RATIO} at least)",
        f"peak above a block of {ours['block_mib']:.0f} MiB: {above:.0f} MiB (target: {TARGET_MIB:.0f} at most)",
    ]
    print("\n".join(lines))  # noqa: T201


if __name__ == "__main__":
    main()
