"""Work in a process of its own: whatever becomes of it, the caller gets a result or a refusal, and nothing is left."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from omnifold_pub.errors import ReleaseError
from omnifold_pub.format import guard, inspection
from omnifold_pub.format.guard import run_guarded

linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a new interpreter is started")
pytestmark = linux


def run(work: Callable[[str], Any], path: str = "some.h5") -> Any:
    return run_guarded(work, path, module="unused")


def children() -> set[int]:
    """Return the processes that this one has started and not waited for."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                found.add(int(stat.parent.name))
    return found


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """Whatever a test does: no process, no descriptor and no thread more than before."""
    before = children(), len(os.listdir("/proc/self/fd")), threading.active_count()  # noqa: PTH208 - descriptors
    yield
    after = children(), len(os.listdir("/proc/self/fd")), threading.active_count()  # noqa: PTH208
    assert after[0] == before[0]
    assert after[1] <= before[1]  # what an earlier test forgot may be closed meanwhile
    assert after[2] <= before[2]


def crash(signum: int) -> Callable[[str], Any]:
    def work(path: str) -> None:
        faulthandler.disable()  # pytest's would say it all on the terminal
        os.kill(os.getpid(), signum)

    return work


def raise_(error: BaseException) -> Callable[[str], Any]:
    def work(path: str) -> Any:
        raise error

    return work


@pytest.mark.parametrize("result", [None, 3, "\u03bc\ud800", [1.5, {"a": [True]}], {}, "x" * 5_000_000], ids=type)
def test_what_the_work_returns_comes_back(result: Any) -> None:
    assert run(lambda path: result) == result


def test_the_work_is_given_the_path_and_is_done_elsewhere() -> None:
    path, process = run(lambda path: [path, os.getpid()], "caf\u00e9 and \udcff.h5")
    assert path == "caf\u00e9 and \udcff.h5"
    assert process != os.getpid()


def test_a_refusal_keeps_its_words() -> None:
    with pytest.raises(ReleaseError, match=r"^some\.h5: refused: because$"):
        run(raise_(ReleaseError("some.h5: refused: because")))


@pytest.mark.parametrize(
    "error", [OSError("bad\n  heap"), KeyError("x"), RecursionError("deep"), RuntimeError("y" * 10_000)], ids=repr
)
def test_what_the_library_raises_is_a_refusal_of_one_line(error: Exception) -> None:
    with pytest.raises(ReleaseError, match=r"^some\.h5: not an HDF5 file, or a damaged one \(") as caught:
        run(raise_(error))
    assert type(error).__name__ in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "work",
    [
        *(crash(signum) for signum in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGKILL)),
        lambda path: os._exit(0),
        lambda path: os._exit(3),
        raise_(SystemExit(0)),
        raise_(KeyboardInterrupt()),
        lambda path: object(),
    ],
    ids=["segv", "abrt", "bus", "fpe", "kill", "exit-0", "exit-3", "sys-exit", "interrupt", "no-json"],
)
def test_a_crash_is_a_refusal(work: Callable[[str], Any]) -> None:
    with pytest.raises(ReleaseError, match=r"^some\.h5: refused: the HDF5 library crashed on it"):
        run(work)


def test_an_answer_that_breaks_off_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "answer", lambda work, path: b'{"result": [1, 2')  # killed while it wrote
    with pytest.raises(ReleaseError, match=r"^some\.h5: refused: "):
        run(lambda path: None)


def busy(path: str) -> None:
    while True:
        pass


def deaf(path: str) -> None:
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    time.sleep(60)


@pytest.mark.parametrize("work", [busy, deaf, lambda path: time.sleep(60)], ids=["busy", "deaf", "asleep"])
def test_a_hang_is_a_refusal(work: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "SECONDS", 0.5)
    started = time.monotonic()
    with pytest.raises(ReleaseError, match=r"^some\.h5: refused: reading its structure takes more than 0\.5 s$"):
        run(work)
    assert 0.5 <= time.monotonic() - started < 5


class Trickle:
    """Says a little all the time, and never a whole line."""

    def receive(self, seconds: float) -> bytes:
        time.sleep(min(seconds, 0.05))
        return b" "

    def send(self, data: bytes, seconds: float) -> None:
        raise AssertionError


def test_bytes_that_trickle_do_not_stretch_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "SECONDS", 0.5)
    started = time.monotonic()
    with pytest.raises(ReleaseError, match="takes more than"):
        list(guard._converse(Trickle(), [guard.Task("some.h5")]))
    assert 0.5 <= time.monotonic() - started < 5


def test_memory_is_bounded_and_what_a_release_needs_is_not() -> None:
    assert run(lambda path: len(bytearray(guard.MEMORY // 2))) == guard.MEMORY // 2
    with pytest.raises(ReleaseError, match=r"^some\.h5: refused: reading its structure takes more than 1024 MB"):
        run(lambda path: len(bytearray(guard.MEMORY + guard.MEMORY // 8)))


@pytest.mark.slow
def test_memory_is_counted_from_what_the_caller_has() -> None:
    held = bytearray(guard.MEMORY + guard.MEMORY // 2)
    assert run(lambda path: len(bytearray(guard.MEMORY // 2))) == guard.MEMORY // 2
    del held


def test_no_core_is_written_and_the_callers_limits_stay() -> None:
    which = (resource.RLIMIT_AS, resource.RLIMIT_CORE)
    before = [resource.getrlimit(limit) for limit in which]
    (soft, _), core = run(lambda path: [resource.getrlimit(limit) for limit in which])
    assert guard.MEMORY < soft < 2**50
    assert core == [0, 0]
    assert [resource.getrlimit(limit) for limit in which] == before


def test_processor_time_is_bounded_even_if_the_caller_is_gone() -> None:
    soft, _ = run(lambda path: resource.getrlimit(resource.RLIMIT_CPU))
    assert 0 < soft <= 10 * guard.SECONDS


def test_a_flood_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_MAX_ANSWER", 3 * 1024 * 1024)
    with pytest.raises(ReleaseError, match=r"^some\.h5: refused: the description of its structure is longer than 3 MB"):
        run(lambda path: "x" * 50_000_000)


def test_nothing_is_said_on_the_callers_streams(capfd: pytest.CaptureFixture[str]) -> None:
    def noisy(path: str) -> int:
        os.write(1, b"noise\n")
        os.write(2, b"noise\n")
        os.system("echo noise; echo noise >&2")  # noqa: S605, S607 - a process of its process
        return 7

    assert run(noisy) == 7
    assert tuple(capfd.readouterr()) == ("", "")


def test_what_the_caller_has_not_yet_written_is_not_written_twice(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as log:
        log.write("once\n")
        run(lambda path: None)
        with pytest.raises(ReleaseError):
            run(raise_(SystemExit(1)))
    assert (tmp_path / "log").read_text() == "once\n"


def test_nothing_is_left_of_many() -> None:
    for _ in range(20):
        run(lambda path: None)
        with pytest.raises(ReleaseError):
            run(crash(signal.SIGSEGV))


def test_an_interrupt_of_the_caller_ends_the_work() -> None:
    former = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    started = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            run(lambda path: time.sleep(60))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
    assert time.monotonic() - started < 5


def test_a_caller_whose_children_are_reaped_for_it_gets_its_result() -> None:
    former = signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # as servers do
    try:
        assert run(lambda path: 5) == 5
        with pytest.raises(ReleaseError, match="crashed"):
            run(crash(signal.SIGSEGV))
    finally:
        signal.signal(signal.SIGCHLD, former)


def test_a_caller_with_more_than_1024_open_files_gets_its_result() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2000:
        pytest.skip("this system does not allow as many")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2000), hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        assert run(lambda path: 5) == 5
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_system_that_has_no_process_left_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fork() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", fork)
    with pytest.raises((ReleaseError, OSError)):
        run(lambda path: 5)


def test_many_threads_may_ask_at_once_while_others_work() -> None:
    stop = threading.Event()
    lock = threading.Lock()

    def turn() -> None:
        while not stop.is_set():
            with lock:
                json.loads(json.dumps(list(range(100))))

    others = [threading.Thread(target=turn) for _ in range(8)]
    for thread in others:
        thread.start()
    try:
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(run, str.upper, f"{n}.h5") for n in range(40)]
            assert [future.result(timeout=60) for future in asked] == [f"{n}.H5" for n in range(40)]
    finally:
        stop.set()
        for thread in others:
            thread.join()


@pytest.mark.slow
def test_a_file_that_hangs_in_one_thread_does_not_hold_up_another(monkeypatch: pytest.MonkeyPatch) -> None:
    fork, both = os.fork, threading.Barrier(2, timeout=30)

    def together() -> int:
        both.wait()  # both pipes are there before either process is: each has the other's
        return fork()

    monkeypatch.setattr(guard, "SECONDS", 3.0)
    monkeypatch.setattr(os, "fork", together)
    with ThreadPoolExecutor(2) as pool:
        slow, quick = pool.submit(run, lambda path: time.sleep(60)), pool.submit(run, lambda path: "good")
        started = time.monotonic()
        assert quick.result(timeout=30) == "good"
        assert time.monotonic() - started < 1.5
        with pytest.raises(ReleaseError, match="takes more than 3 s"):
            slow.result(timeout=30)


def test_inspections_in_threads_do_not_wait_for_each_other_for_ever(release_path: Path) -> None:
    expected = inspection.inspect(str(release_path))
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(inspection.inspect_guarded, str(release_path)) for _ in range(16)]
        assert all(future.result(timeout=60) == expected for future in asked)


def test_where_there_is_no_fork_a_new_interpreter_does_the_work(
    release_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert inspection.inspect_guarded(str(release_path)) == inspection.inspect(str(release_path))


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import os\nos.abort()", "crashed"),
        ("import time\ntime.sleep(60)", "takes more than 2 s"),
        ('print(\'{"refused": "because"}\')', "^because$"),
        ("print('{\"result\": [1')", "refused"),
    ],
    ids=["crash", "hang", "refusal", "broken-off"],
)
def test_the_new_interpreter_is_watched_as_well(
    program: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "program_under_guard.py").write_text(program)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(guard, "SECONDS", 2.0)
    with pytest.raises(ReleaseError, match=message):
        run_guarded(lambda path: None, "some.h5", module="program_under_guard")
