"""Thousands of damaged files: the same answer or a refusal, never another answer, a hang or a crash."""

from __future__ import annotations

import collections
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from omnifold_pub.validate import Report

SCRIPT = Path(__file__).with_name("fuzzing.py")


@pytest.fixture(scope="module")
def fuzzing() -> ModuleType:
    """The script that damages and reads, as a module."""
    spec = importlib.util.spec_from_file_location("fuzzing", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzzing"] = module
    spec.loader.exec_module(module)
    return module


def run(release: Path, **counts: int) -> dict[str, Any]:
    """Damage and read, in two processes."""
    wanted = [f"--{kind}={number}" for kind, number in counts.items()]
    command = [sys.executable, str(SCRIPT), str(release), "--seed=20240531", "--readers=2", *wanted]
    result: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return result


@pytest.mark.parametrize("share", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_damaged_files_give_the_same_answer_or_are_refused(
    chunked_release: Path, announce: Callable[[str], None], share: int
) -> None:
    counted = {"structure": 1650, "chunk": 450, "run": 150, "cut": 120}
    result = run(chunked_release, **{kind: number // share for kind, number in counted.items()}, sector=1)
    counts: collections.Counter[str] = collections.Counter()
    for kind in result["counts"].values():
        counts.update(kind)
    announce(
        f"fuzz: {result['files']:,} damaged files: {counts['same']:,} gave the same answer, "
        f"{counts['refused']:,} were refused, {counts['wrong']} silent wrong answers, {counts['hang']} hangs, "
        f"{counts['crash']} crashes, {counts['exception']} other exceptions"
    )
    assert result["failures"] == []
    assert result["files"] >= 2400 // share
    assert counts["same"] + counts["refused"] == result["files"]
    assert counts["same"] > 50 // share  # a reader that refuses everything is not safe but useless
    assert result["counts"]["cut"] == {"refused": 120 // share}


def test_forged_metadata_are_found_by_validate_and_by_verify(
    chunked_release: Path, announce: Callable[[str], None]
) -> None:
    result = run(chunked_release, forgery=60)
    found = result["counts"]["forgery"].get("found", 0)
    announce(
        f"fuzz: {result['files']:,} forged metadata (checksums made to fit): {found:,} found by validate and verify"
    )
    assert result["failures"] == []
    assert found == result["files"] == 60


def test_another_answer_is_told_from_the_same(fuzzing: ModuleType, chunked_release: Path) -> None:
    harmless = fuzzing.Damage("run", 0, b"\0")
    truth = fuzzing.answer(chunked_release)
    assert fuzzing.outcome(harmless, chunked_release, truth) == "same"
    assert fuzzing.outcome(harmless, chunked_release, "another") == "wrong"


def test_what_the_reader_raises_is_told(
    fuzzing: ModuleType, chunked_release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path) -> str:
        message = "index out of range"
        raise IndexError(message)

    monkeypatch.setattr(fuzzing, "answer", broken)
    assert (
        fuzzing.outcome(fuzzing.Damage("chunk", 0, b"\1"), chunked_release, "")
        == "exception IndexError: index out of range"
    )


def test_a_slow_reader_is_a_hang(fuzzing: ModuleType, chunked_release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzzing, "HANG", 0.0)
    assert (
        fuzzing.outcome(fuzzing.Damage("chunk", 0, b"\1"), chunked_release, fuzzing.answer(chunked_release)) == "hang"
    )


def test_a_forgery_that_a_report_does_not_name_is_not_found(
    fuzzing: ModuleType, chunked_release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgery = fuzzing.Damage("forgery", 0, b"\1")
    assert fuzzing.outcome(forgery, chunked_release, "") == "not found"
    monkeypatch.setattr(fuzzing, "verify", lambda path: Report(str(path), (), ()))
    forgery.apply(chunked_release.read_bytes(), chunked_release)
    assert fuzzing.outcome(forgery, chunked_release, "") == "not found"


def test_crashes_and_hangs_of_the_reader_are_counted_and_survived(
    fuzzing: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = (
        "import os, signal, sys, time\n"
        "for n in range(int(sys.argv[-1]), 6):\n"
        "    if n == 1: os.kill(os.getpid(), signal.SIGSEGV)\n"
        "    if n == 4: time.sleep(60)\n"
        "    print('same', flush=True)\n"
    )
    monkeypatch.setattr(fuzzing, "HANG", -4.5)  # the reader is given 2 HANG + 10 = 1 s
    found = fuzzing.outcomes([sys.executable, "-c", reader], range(6))
    assert found == ["same", "crash -11", "same", "same", "hang", "same"]


def test_the_plan_is_drawn_from_its_seed_and_hits_what_it_says(fuzzing: ModuleType, chunked_release: Path) -> None:
    wanted = {"structure": 300, "chunk": 100, "run": 20, "sector": 1, "cut": 20, "forgery": 20}
    damages = fuzzing.plan(chunked_release, wanted, 5)
    assert damages == fuzzing.plan(chunked_release, wanted, 5) != fuzzing.plan(chunked_release, wanted, 6)
    inside = fuzzing.inspect(str(chunked_release))
    stored = {
        byte for entry in inside.values() for start, size in entry["places"] for byte in range(start, start + size)
    }
    assert not any(damage.offset in stored for damage in damages if damage.kind == "structure")
    assert all(damage.offset in stored for damage in damages if damage.kind == "chunk")
    source, copy = chunked_release.read_bytes(), chunked_release.with_name("copy.h5")
    for damage in damages[:300]:
        damage.apply(source, copy)
        changed = [(i, a ^ b) for i, (a, b) in enumerate(zip(source, copy.read_bytes(), strict=True)) if a != b]
        assert [(i, bit.bit_count()) for i, bit in changed] == [(damage.offset, 1)]
