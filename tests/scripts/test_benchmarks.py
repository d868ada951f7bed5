"""The benchmarks run, at a small size, and say what they are asked for."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SIZE = ("--events", "2000", "--members", "20")


def run(project: Path, script: str, *arguments: str) -> str:
    command = [sys.executable, f"scripts/{script}", *arguments]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stderr == ""
    return done.stdout


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
