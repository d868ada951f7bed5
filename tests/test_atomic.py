from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from omnifold_pub.atomic import ErrorKeepingFile, remove_parts, replacing


def test_the_final_name_appears_when_the_block_ends(tmp_path: Path) -> None:
    with replacing(tmp_path / "x") as temporary:
        temporary.write_text("new")
        assert not (tmp_path / "x").exists()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("x", "new")]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("old")
    with pytest.raises(ValueError, match="stop"), replacing(tmp_path / "x") as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise ValueError("stop")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("x", "old")]


def test_half_written_files_are_removed_and_whole_ones_kept(tmp_path: Path) -> None:
    (tmp_path / ".x.0123.part").write_text("half")
    (tmp_path / "x").write_text("whole")
    remove_parts(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


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
    os.dup2(os.open("/dev/full", os.O_RDWR), file._file.fileno())
    assert file.write(b"abc") == 3
    assert file.write(b"def") == 3
    assert file.error is not None
    assert file.error.errno == errno.ENOSPC
    with pytest.raises(OSError, match="No space left"):
        file.check()
    file.close()


def test_an_existing_file_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("old")
    with pytest.raises(FileExistsError):
        ErrorKeepingFile(tmp_path / "x")
