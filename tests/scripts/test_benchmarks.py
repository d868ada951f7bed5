"""The benchmarks run, at a small size, and say what they are asked for."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

SIZE = ("--events", "2000", "--members", "20")


def run(project: Path, script: str, *arguments: str, said: str = "") -> str:
    """Run a script; return what it prints, and check what it says of its progress."""
    command = [sys.executable, f"scripts/{script}", *arguments]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert re.fullmatch(said, done.stderr), done.stderr
    return done.stdout


def rows(text: str, *first: str) -> list[list[float]]:
    """Return the numbers of each row of a Markdown table that begins with these cells."""
    begin = "| " + " | ".join(first) + " |"
    lines = [line.removeprefix(begin) for line in text.splitlines() if line.startswith(begin)]
    assert lines, text
    return [[float(number.replace(",", "")) for number in re.findall(r"-?\d[\d.,]*", line)] for line in lines]


def numbers(pattern: str, text: str) -> list[float]:
    found = re.search(pattern, text, re.MULTILINE)
    assert found, text
    return [float(number) for number in found.groups()]


@pytest.mark.slow
def test_publishing_is_measured_against_plain_h5py(project: Path, tmp_path: Path) -> None:
    text = run(project, "bench_publish.py", *SIZE, "--folder", str(tmp_path))
    (values,) = numbers(r"^2000 events x 20 members, 24 columns, ([\d.]+) MB of values", text)
    assert values == pytest.approx(2000 * (8 + 24 * 4 + 4 + 20 * 4 + 4) / 1e6, abs=0.05)
    sizes = []
    for name in ("bare", "publish"):
        line = rf"^{name} +([\d.]+) s +([\d.]+) MB/s +[\d.]+ s of processor +([\d.]+) MB file, peak (\d+) MiB"
        _, speed, size, peak = numbers(line, text)
        assert speed > 0
        assert peak > 20
        sizes.append(size)
    assert sizes[1] == pytest.approx(sizes[0], abs=0.1)  # the same numbers in the same form; metadata are small
    numbers(r"^ratio of speeds: ([\d.]+) \(target: 0\.8 at least\)", text)
    numbers(r"^peak above a block of 64 MiB: (-?\d+) MiB \(target: 300 at most\)", text)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_validating_is_measured(project: Path, tmp_path: Path) -> None:
    text = run(project, "bench_validate.py", *SIZE, "--folder", str(tmp_path))
    numbers(r"^2000 events x 20 members, ([\d.]+) MB of values in a file of ([\d.]+) MB", text)
    seconds, speed = numbers(r"^validate +([\d.]+) s +([\d.]+) MB/s .* MiB \(children \d+\), valid ", text)
    assert seconds < 60
    assert speed > 0
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_reading_is_measured_against_raw_reads_and_a_loop(project: Path, tmp_path: Path) -> None:
    text = run(project, "bench_reader.py", "--events", "2000", "--members", "20", "--folder", str(tmp_path))
    assert "2000 events x 20 members, load " in text
    for line in (
        r"^  one, in memory +\d+ ms +([\d.e+]+) x sum +<= 3$",
        r"^ +\d+ ms +([\d.e+]+) x faster than the loop +>= 80$",
        r"^  24, in memory +\d+ ms +([\d.e+]+) x one +<= 6$",
        r"^  one, from the file +\d+ ms +([\d.e+]+) x raw +<= 1\.5$",
        r"^  24, from the file +\d+ ms +([\d.e+]+) x one +<= 6$",
    ):
        (ratio,) = numbers(line, text)
        assert ratio > 0
    peaks = numbers(r"^  peak memory in MiB: (\d+) opened, (\d+) one, (\d+) all \(target: 456 at most\)$", text)
    assert peaks == sorted(peaks)
    (difference,) = numbers(r"partitions of the work: ([\d.e+-]+) \(target: 1e-12\)$", text)
    assert difference <= 1e-12
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.timeout(700)
def test_the_engine_is_measured(project: Path, tmp_path: Path) -> None:
    toy = ("--events", "2000", "--observables", "3", "--iterations", "1", "--epochs", "1", "--hidden", "8")
    part = ("--batches", "512", "--rows", "4000", "--fit-epochs", "1", "--precision", "float32")
    text = run(project, "bench_engine.py", *toy, *part, "--folder", str(tmp_path), "--json", str(tmp_path / "all.json"))
    assert "Keras OmniFold: left out, no --keras-python was given" in text
    (prior,), (exact,) = rows(text, "prior"), rows(text, "exact")
    _, closure = rows(text, "omnifold_pub, float32")  # after its times
    assert exact[0] < closure[0] < 1.2 * prior[0]
    numbers(r"^- omnifold_pub, float32, two processes on this CPU: ([\d.]+) h", text)
    (training,) = rows(text, "training", "float32", "512", "1")
    assert training[0] > 1000
    assert json.loads((tmp_path / "all.json").read_text())


@pytest.mark.slow
def test_a_start_from_networks_is_measured(project: Path) -> None:
    events = ("--events", "3000", "--later-events", "1000", "--iterations", "1", "--epochs", "1", "--repetitions", "1")
    text = run(project, "bench_transfer.py", *events)
    cold, warm = rows(text, "from nothing"), rows(text, "from the first period")
    assert [row[0] for row in cold] == [row[0] for row in warm] == [0, 1]
    assert cold[1][1] == warm[1][1] == 2  # an epoch of each step
    (exact,) = numbers(r"^exact: ([\d.]+)$", text)
    assert exact < cold[0][-1]


@pytest.mark.slow
def test_batched_products_are_measured(project: Path) -> None:
    text = run(project, "bench_batched.py", "--networks", "2", "--hidden", "8", "--seconds", "0.01")
    for precision in ("float32", "bfloat16"):
        assert [row[0] for row in rows(text, precision)] == [256, 1024, 4096]


@pytest.mark.slow
@pytest.mark.timeout(700)
def test_coverage_is_measured(project: Path) -> None:
    size = ("--experiments", "2", "--workers", "1", "--iterations", "1", "--ensemble", "2", "--replicas", "2")
    said = r"experiment 1 of 2, \d+ s\nexperiment 2 of 2, \d+ s\n"
    text = run(project, "study_pulls.py", *size, said=said)
    bins = [line for line in text.splitlines() if re.match(r"\| [\d.]+ < ", line)]
    assert len(bins) == 6 + 5 + 5
    numbers(r"^2 pseudo-experiments, 1 iterations, ensemble of 2, 2 \+ 2 replicas, (\d+) s$", text)
