"""Measure how fast a release is validated, and in how much memory.

Usage: ``python scripts/bench_validate.py [--events 1000000] [--members 256] [--folder DIR]``

The release is that of ``bench_publish.py``. Writing it is not measured; it is removed afterwards.
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
from pathlib import Path

TARGET_SECONDS = 15.0


def _measure(path: Path) -> dict[str, float]:
    """Validate in this process and say what it took; memory in MiB."""
    from omnifold_pub import validate

    start, before = time.perf_counter(), time.process_time()
    report = validate(path)
    return {
        "seconds": time.perf_counter() - start,
        "processor_seconds": time.process_time() - before,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "children_mib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
        "valid": report.valid,
    }


def _run(script: Path, *arguments: object) -> dict[str, float]:
    """Run a script in a process of its own and return what it measured."""
    command = [sys.executable, str(script), *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 - our own scripts
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--members", type=int, default=256, help="replicas of the one family")
    parser.add_argument("--folder", type=Path, default=None, help="where to write; what was written is removed")
    parser.add_argument("--read", type=Path, help="only validate this release")
    arguments = parser.parse_args()
    if arguments.read:
        print(json.dumps(_measure(arguments.read)))  # noqa: T201
        return
    here = Path(__file__).resolve()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        path = Path(name) / "release.h5"
        sizes = ("--events", arguments.events, "--members", arguments.members)
        written = _run(here.with_name("bench_publish.py"), *sizes, "--write", "publish", "--to", path)
        found = _run(here, "--read", path)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    lines = [
        (
            f"{arguments.events} events x {arguments.members} members, {written['values'] / 1e6:.1f} MB of values in a "
            f"file of {written['file_bytes'] / 1e6:.1f} MB; {platform.machine()}, {cores} cores, "
            f"load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}"
        ),
        (
            f"validate {found['seconds']:8.1f} s {written['values'] / 1e6 / found['seconds']:8.1f} MB/s "
            f"{found['processor_seconds']:8.1f} s of processor, peak {found['peak_mib']:.0f} MiB "
            f"(children {found['children_mib']:.0f}), {'valid' if found['valid'] else 'NOT VALID'} "
            f"(target: {TARGET_SECONDS:.0f} s at most for 1000000 x 256 on 2 cores)"
        ),
    ]
    print("\n".join(lines))  # noqa: T201


if __name__ == "__main__":
    main()
