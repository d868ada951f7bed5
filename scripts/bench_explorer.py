"""Measure how fast the explorer answers, and in how much memory.

Usage: ``python scripts/bench_explorer.py [--events 420000] [--members 256] [--repeat 5] [--folder DIR]``

The release is that of ``bench_publish.py`` (24 columns, one bootstrap family), beside it a theory of as many events.
The command ``omnifold-pub explore`` serves it in a process of its own. Each question is asked ``--repeat`` times with
bins that differ a little, so that no answer is one that was kept; what counts is the time until the whole answer is
here, over HTTP, as the page waits for it. Beside it stands the server's processor time, of all its threads. Release
and theory are removed afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TARGET = 300.0
"""Milliseconds for a measurement in given bins, its theories drawn."""

COLUMN = "a column, 20 bins"

FIRST, SECOND = "observable_0", "observable_1"

QUESTIONS: dict[str, dict[str, Any]] = {
    COLUMN: {"observable": FIRST},
    "an expression, 20 bins": {"observable": f"log({FIRST} + 1) * {SECOND}"},
    "a column with a cut": {"observable": FIRST, "where": f"{SECOND} > 0.1 & {FIRST} < 1e6"},
    "a column, normalised": {"observable": FIRST, "normalise": True},
}


def _theory(release: Path, path: Path) -> None:
    """Write the release's own events, with other weights, as a theory."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from omnifold_pub import open_release

    with open_release(release) as opened:
        columns = {name: np.asarray(opened.events[name]) for name in (FIRST, SECOND)}
        weights = opened.nominal_weights.astype(np.float64) * (1 + 0.1 * np.tanh(columns[FIRST]))
    pq.write_table(pa.table(columns | {"weight": weights}), path)


def _edges(release: Path) -> dict[str, list[float]]:
    """Return 20 bins of about equal content for each observable that is asked for."""
    import numpy as np

    from omnifold_pub import open_release
    from omnifold_pub.observables.blocks import evaluate

    with open_release(release) as opened:
        names = {question["observable"] for question in QUESTIONS.values()}
        return {name: np.quantile(evaluate(name, opened.events), np.linspace(0, 1, 21)).tolist() for name in names}


def _memory(process: int) -> dict[str, float]:
    """Return resident memory of a process in MiB, now and at most."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
    return {name: int(lines[key].split()[0]) / 1024 for name, key in (("now", "VmRSS"), ("peak", "VmHWM"))}


def _ask(address: str, path: str, question: dict[str, Any]) -> float:
    """Return how long an answer takes, in ms."""
    body = json.dumps(question).encode()
    request = urllib.request.Request(f"{address}api/{path}", body, {"content-type": "application/json"})  # noqa: S310
    start = time.perf_counter()
    with urllib.request.urlopen(request) as response:  # noqa: S310 - our own server
        json.load(response)
    return 1e3 * (time.perf_counter() - start)


def _processor(process: int) -> float:
    """Return the processor time that a process has used, in ms: what other work on the machine hardly changes."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return 1e3 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    """The explorer, at work: its address and process."""

    address: str
    process: int

    def line(self, what: str, path: str, questions: list[dict[str, Any]], target: float | None) -> str:
        """Ask some questions, and say what they took."""
        before = _processor(self.process)
        times = [_ask(self.address, path, question) for question in questions]
        used = (_processor(self.process) - before) / len(questions)
        goal = (
            "" if target is None else f"   <= {target:.0f} ms: {'yes' if statistics.median(times) <= target else 'NO'}"
        )
        median = f"{statistics.median(times):>6.0f} ms, at most {max(times):>5.0f} ms"
        return f"  {what:<40}{median}, processor {used:>5.0f} ms{goal}"


def _times(server: Server, edges: dict[str, list[float]], repeat: int) -> list[str]:
    """Ask everything, and return what it took."""

    def given(question: dict[str, Any], number: int) -> dict[str, Any]:
        bins = list(edges[question["observable"]])
        bins[-1] *= 1 + 1e-3 * (number + 1)
        return question | {"kind": "edges", "bins": ", ".join(map(repr, bins)), "density": True}

    lines = []
    for what, question in QUESTIONS.items():
        several = [given(question, number) for number in range(repeat)]
        lines.append(server.line(what, "measure", several, TARGET))
        if what == COLUMN:
            lines.append(server.line("  its p-value, asked for afterwards", "compare", several, None))
            lines.append(server.line("  the same again", "measure", several, TARGET))
    suggested = [{"observable": FIRST, "kind": "suggested", "bins": str(10 + n)} for n in range(repeat)]
    return [*lines, server.line("a column, bins suggested first", "measure", suggested, None)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=420_000)
    parser.add_argument("--members", type=int, default=256, help="replicas of the one family")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=None, help="where to write; what was written is removed")
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"{platform.machine()}, {cores} cores, Python {platform.python_version()}")  # noqa: T201
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        release, theory = Path(folder) / "release.h5", Path(folder) / "theory.parquet"
        sizes = ["--events", str(arguments.events), "--members", str(arguments.members)]
        writer = Path(__file__).resolve().with_name("bench_publish.py")
        command = [sys.executable, str(writer), *sizes, "--write", "publish", "--to", str(release)]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)  # noqa: S603 - our own script
        _theory(release, theory)
        edges = _edges(release)
        command = [sys.executable, "-m", "omnifold_pub.cli", "explore", str(release), "--no-browser"]
        command += ["--theory", str(theory), "--weight", "weight", "--unit", "fb"]
        load, start = os.getloadavg()[0], time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:  # noqa: S603
            assert server.stdout is not None  # noqa: S101
            address = server.stdout.readline().strip()
            loaded, before = time.perf_counter() - start, _memory(server.pid)
            lines = _times(Server(address, server.pid), edges, arguments.repeat)
            after = _memory(server.pid)
            server.send_signal(signal.SIGINT)
    print(f"{arguments.events} events x {arguments.members} members and a theory, load {load:.1f} before")  # noqa: T201
    print(f"  started, release in memory after {loaded:.1f} s: {before['now']:.0f} MiB")  # noqa: T201
    print("\n".join(lines))  # noqa: T201
    print(f"  memory in MiB: {after['now']:.0f}, at most {after['peak']:.0f}")  # noqa: T201


if __name__ == "__main__":
    main()
