"""Measure how fast and in how much memory observables are measured, against reading the same values raw.

Usage: ``python scripts/bench_reader.py [--events 420000 5000000] [--members 256] [--folder DIR]``

The releases are those of ``bench_publish.py``: 24 columns, one bootstrap family. Writing them is not measured; they are
removed afterwards. Everything is measured in this run, each release in a process of its own:

- in memory: `Release.measure` after `Release.load`, against ``weights.sum()`` of the same array and against a loop of
  `numpy.histogram` over the members (for the releases that fit);
- from the file, in the page cache: `Release.measure`, against h5py reading the same datasets chunk by chunk;
- 24 observables at once, with the covariance of all of their bins, against one;
- the peak memory of a process that does nothing but open the release and measure.
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
from collections.abc import Callable
from pathlib import Path
from typing import Any

BINS = 20
IN_MEMORY = 2 * 10**9
"""Bytes of weights up to which a release is measured in memory too."""

TARGETS = {"sum": 3.0, "loop": 80.0, "raw": 1.5, "observables": 6.0, "mib": 200.0}


def _best(work: Callable[[], object], repeat: int) -> float:
    """Return the shortest of several times, in seconds."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def _edges(release: Any) -> dict[str, Any]:
    """Return edges of bins of about equal content, from the first events, for every column."""
    import numpy as np

    shares = np.linspace(0, 1, BINS + 1)
    first = {name: array.read(0, 100_000) for name, array in release.datasets.items() if name.startswith("events/")}
    return {name.removeprefix("events/"): np.quantile(values, shares) for name, values in first.items()}


def _read_raw(path: Path, names: list[str]) -> None:
    """Read datasets with h5py, a row of chunks at a time, into memory that is used again."""
    import h5py
    import numpy as np

    with h5py.File(path) as file:
        for name in names:
            dataset = file[name]
            rows = dataset.chunks[0]
            buffer = np.empty((rows, *dataset.shape[1:]), dtype=dataset.dtype)
            for start in range(0, len(dataset), rows):
                stop = min(start + rows, len(dataset))
                dataset.read_direct(buffer, np.s_[start:stop], np.s_[: stop - start])


def measure_memory(path: Path, budget: int) -> dict[str, float]:
    """Open a release, measure one observable and all of them, and say how much memory it took, in MiB."""
    from omnifold_pub import open_release

    def peak() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    with open_release(path, budget=budget) as release:
        edges = _edges(release)
        start = peak()
        name = next(iter(edges))
        release.measure(name, edges[name])
        one = peak()
        release.measure(edges)
    return {"start_mib": start, "one_mib": one, "all_mib": peak()}


def measure_speed(path: Path) -> dict[str, float]:
    """Time everything of one release; seconds."""
    import numpy as np

    from omnifold_pub import open_release
    from omnifold_pub.accumulation.sums import in_threads

    with open_release(path) as release:
        edges = _edges(release)
        name = next(iter(edges))
        family = next(component.name for component in release.components if component.has_family)
        weights = release.datasets[f"weights/{family}"]
        size = int(np.prod(weights.shape)) * weights.dtype.itemsize
        repeat = 5 if size <= IN_MEMORY else 2
        used = [f"events/{name}", "weights/nominal", f"weights/{family}"]
        _read_raw(path, used)  # into the page cache
        found: dict[str, float] = {
            "raw": _best(lambda: _read_raw(path, used), repeat),
            "file_one": _best(lambda: release.measure(name, edges[name]), repeat),
            "file_all": _best(lambda: release.measure(edges), 2),
        }
        expected = release.measure(name, edges[name])
        release._worker = in_threads(threads=1, budget=1)
        other = release.measure(name, edges[name])
        found["difference"] = float(np.abs(other.members(family) / expected.members(family) - 1).max())
        if size > IN_MEMORY:
            return found
        release._worker = in_threads()
        release.load()
        array, values = release.datasets[f"weights/{family}"].read(), release.events[name]
        found["sum"] = _best(array.sum, 20)
        found["memory_one"] = _best(lambda: release.measure(name, edges[name]), 20)
        found["memory_all"] = _best(lambda: release.measure(edges), 3)
        members = range(array.shape[1])
        by_hand: list[Any] = []
        start = time.perf_counter()
        by_hand = [np.histogram(values, bins=edges[name], weights=array[:, member])[0] for member in members]
        found["loop"] = time.perf_counter() - start
        np.testing.assert_allclose(expected.members(family), np.stack(by_hand), rtol=1e-4)  # that loop is in float32
    return found


def _in_process(path: Path, *arguments: object) -> dict[str, float]:
    command = [sys.executable, str(Path(__file__).resolve()), "--read", str(path), *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 - our own script
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _lines(found: dict[str, float], memory: dict[str, float], budget: int) -> list[str]:
    """Return what was found, beside what was aimed at."""
    ms = {name: 1e3 * value for name, value in found.items()}
    rows = []
    if "sum" in found:
        rows += [
            ("sum of the array", ms["sum"], "", ""),
            ("loop of numpy.histogram", ms["loop"], "", ""),
            ("one, in memory", ms["memory_one"], f"{found['memory_one'] / found['sum']:.3g} x sum", "<= 3"),
            ("", ms["memory_one"], f"{found['loop'] / found['memory_one']:.0f} x faster than the loop", ">= 80"),
            ("24, in memory", ms["memory_all"], f"{found['memory_all'] / found['memory_one']:.3g} x one", "<= 6"),
        ]
    rows += [
        ("h5py reads raw", ms["raw"], "", ""),
        ("one, from the file", ms["file_one"], f"{found['file_one'] / found['raw']:.3g} x raw", "<= 1.5"),
        ("24, from the file", ms["file_all"], f"{found['file_all'] / found['file_one']:.3g} x one", "<= 6"),
    ]
    lines = [f"  {what:<24}{value:>10.0f} ms  {ratio:<28}{target}" for what, value, ratio, target in rows]
    limit = budget / 2**20 + TARGETS["mib"]
    peaks = f"{memory['start_mib']:.0f} opened, {memory['one_mib']:.0f} one, {memory['all_mib']:.0f} all"
    lines += [
        f"  peak memory in MiB: {peaks} (target: {limit:.0f} at most)",
        f"  largest relative difference between partitions of the work: {found['difference']:.1e} (target: 1e-12)",
    ]
    return lines


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, nargs="+", default=[420_000, 5_000_000])
    parser.add_argument("--members", type=int, default=256, help="replicas of the one family")
    parser.add_argument("--budget", type=int, default=256 * 1024 * 1024, help="bytes, of open_release")
    parser.add_argument("--folder", type=Path, default=None, help="where to write; what was written is removed")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--memory", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.read:
        found = measure_memory(arguments.read, arguments.budget) if arguments.memory else measure_speed(arguments.read)
        print(json.dumps(found))  # noqa: T201
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"{platform.machine()}, {cores} cores, Python {platform.python_version()}")  # noqa: T201
    writer = Path(__file__).resolve().with_name("bench_publish.py")
    for events in arguments.events:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            path = Path(folder) / "release.h5"
            sizes = ["--events", str(events), "--members", str(arguments.members)]
            command = [sys.executable, str(writer), *sizes, "--write", "publish", "--to", str(path)]
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)  # noqa: S603 - our own script
            load = os.getloadavg()[0]
            found = _in_process(path)
            memory = _in_process(path, "--memory", "--budget", arguments.budget)
        print(f"{events} events x {arguments.members} members, load {load:.1f} before")  # noqa: T201
        print("\n".join(_lines(found, memory, arguments.budget)))  # noqa: T201


if __name__ == "__main__":
    main()
