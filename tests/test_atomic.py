"""Files under their final name: whole, or not at all; whoever else writes, and wherever the process dies."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from omnifold_pub.atomic import ErrorKeepingFile, remove_parts, replacing, replacing_all
from tests.conftest import open_files

HOLDING = """
import sys, time
from pathlib import Path
from omnifold_pub.atomic import replacing_all
with replacing_all([Path(sys.argv[1])]) as (temporary,):
    temporary.write_text("half")
    print(temporary.name, flush=True)
    time.sleep(60)
"""


def texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_the_final_name_appears_when_the_block_ends(tmp_path: Path) -> None:
    with replacing(tmp_path / "x") as temporary:
        temporary.write_text("new")
        assert not (tmp_path / "x").exists()
    assert texts(tmp_path) == {"x": "new"}


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("old")
    with pytest.raises(ValueError, match="stop"), replacing(tmp_path / "x") as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise ValueError("stop")
    assert texts(tmp_path) == {"x": "old"}


def test_several_files_appear_together(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old a")
    with replacing_all([tmp_path / "a", tmp_path / "b"]) as temporaries:
        for number, temporary in enumerate(temporaries):
            assert temporary.parent == tmp_path
            assert temporary.read_bytes() == b""
            temporary.write_text(f"new {number}")
        assert (tmp_path / "a").read_text() == "old a"
    assert texts(tmp_path) == {"a": "new 0", "b": "new 1"}


def test_what_would_be_wrong_is_removed_at_the_end_and_not_before(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("of the old a")
    with pytest.raises(ValueError, match="stop"), replacing_all([tmp_path / "a"], stale=[tmp_path / "b"]):
        raise ValueError("stop")
    assert texts(tmp_path) == {"b": "of the old a"}
    with replacing_all([tmp_path / "a"], stale=[tmp_path / "b", tmp_path / "never there"]) as (temporary,):
        temporary.write_text("new")
        assert (tmp_path / "b").exists()
    assert texts(tmp_path) == {"a": "new"}


def test_a_death_between_the_renamings_leaves_nothing_that_contradicts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").write_text("old data")
    (tmp_path / "about").write_text("about old data")
    targets = [tmp_path / "data", tmp_path / "about"]
    real, seen = Path.replace, []

    def replace(self: Path, target: Path) -> Path:
        seen.append(texts(tmp_path))
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with replacing_all(targets, stale=[tmp_path / "about"]) as temporaries:
        for temporary, text in zip(temporaries, ("new data", "about new data"), strict=True):
            temporary.write_text(text)
    seen.append(texts(tmp_path))
    finals = [{name: text for name, text in state.items() if not name.startswith(".")} for state in seen]
    assert finals == [{"data": "old data"}, {"data": "new data"}, {"data": "new data", "about": "about new data"}]


@pytest.mark.parametrize("taken", ["a", "b"])
def test_a_name_that_was_taken_meanwhile_is_left_as_it_is(tmp_path: Path, taken: str) -> None:
    targets = [tmp_path / "a", tmp_path / "b"]
    with pytest.raises(FileExistsError), replacing_all(targets, overwrite=False) as temporaries:  # noqa: PT012
        (tmp_path / taken).write_text("somebody else's")
        for temporary in temporaries:
            temporary.write_text("mine")
    assert texts(tmp_path) == {taken: "somebody else's"}


def test_a_block_that_wrote_nothing_leaves_an_empty_file(tmp_path: Path) -> None:
    with replacing(tmp_path / "x"):
        pass
    assert texts(tmp_path) == {"x": ""}


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process that is writing tmp_path / x, and the name of its temporary file."""
    command = [sys.executable, "-c", HOLDING, str(tmp_path / "x")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
        process.kill()


def test_a_writer_at_work_is_not_disturbed(tmp_path: Path, writer: tuple[subprocess.Popen[str], str]) -> None:
    with replacing(tmp_path / "x") as temporary:
        temporary.write_text("mine")
    assert texts(tmp_path) == {"x": "mine", writer[1]: "half"}


def test_what_a_killed_writer_left_is_removed_by_the_next(
    tmp_path: Path, writer: tuple[subprocess.Popen[str], str]
) -> None:
    process, name = writer
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert texts(tmp_path) == {name: "half"}
    (tmp_path / ".y.0123.0.part").write_text("half of another name")
    with replacing(tmp_path / "x") as temporary:
        temporary.write_text("mine")
    assert texts(tmp_path) == {"x": "mine", ".y.0123.0.part": "half of another name"}


def test_patterns_in_a_name_match_nothing_else(tmp_path: Path) -> None:
    (tmp_path / ".abc.0123.0.part").write_text("half of abc")
    with replacing(tmp_path / "[abc]*") as temporary:
        temporary.write_text("mine")
    assert texts(tmp_path) == {"[abc]*": "mine", ".abc.0123.0.part": "half of abc"}


def test_the_folder_is_locked_while_names_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, refused = Path.replace, []

    def replace(self: Path, target: Path) -> Path:
        descriptor = os.open(tmp_path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            refused.append(target)
        finally:
            os.close(descriptor)
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with replacing_all([tmp_path / "a", tmp_path / "b"]):
        pass
    assert refused == [tmp_path / "a", tmp_path / "b"]


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK])
def test_a_file_system_without_locks_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)
    (tmp_path / ".x.0123.0.part").write_text("perhaps somebody's")
    with replacing(tmp_path / "x") as temporary:
        temporary.write_text("mine")
    assert texts(tmp_path) == {"x": "mine", ".x.0123.0.part": "perhaps somebody's"}


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    before = open_files(tmp_path)
    with replacing_all([tmp_path / "a", tmp_path / "b"]):
        pass
    with pytest.raises(FileNotFoundError), replacing_all([tmp_path / "a"]) as (temporary,):
        temporary.unlink()
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "nowhere" / "x"):
        pass
    assert open_files(tmp_path) == before


def test_half_written_files_are_removed_and_whole_ones_kept(tmp_path: Path) -> None:
    (tmp_path / ".x.0123.part").write_text("half")
    (tmp_path / "x").write_text("whole")
    remove_parts(tmp_path)
    assert texts(tmp_path) == {"x": "whole"}


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    with ErrorKeepingFile(tmp_path / "x") as file:
        file.write(b"0123456789")
        file.seek(4)
        file.write(b"ab")
        file.seek(2)
        assert file.read(5) == b"23ab6"
        file.truncate(8)
        file.check()
    assert (tmp_path / "x").read_bytes() == b"0123ab67"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_the_first_error_is_kept_and_the_rest_thrown_away(tmp_path: Path) -> None:
    file = ErrorKeepingFile(tmp_path / "x")
    full = os.open("/dev/full", os.O_RDWR)
    os.dup2(full, file._file.fileno())
    os.close(full)
    assert file.write(b"abc") == 3
    assert file.write(b"def") == 3
    assert file.error is not None
    assert file.error.errno == errno.ENOSPC
    with pytest.raises(OSError, match="No space left"):
        file.check()
    file.close()


def test_what_was_in_the_file_is_gone(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("older and longer")
    with ErrorKeepingFile(tmp_path / "x") as file:
        file.write(b"new")
    assert (tmp_path / "x").read_text() == "new"
