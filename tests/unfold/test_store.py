from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from omnifold_pub.errors import RunError
from omnifold_pub.unfold.store import check_content, digest, read_arrays, read_header, write_arrays


def test_arrays_and_header_come_back(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    arrays = {
        "a/x": np.arange(6.0).reshape(2, 3).T,
        "a/y": np.array([True, False]),
        "b/z": np.array([1], dtype=np.int64),
    }
    write_arrays(path, arrays, {"n": 1})
    assert read_header(path) == {"n": 1}
    back = read_arrays(path, "a/")
    assert set(back) == {"x", "y"}
    assert np.array_equal(back["x"], arrays["a/x"])
    assert back["y"].dtype == bool


def test_nothing_but_the_file_is_left(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a", {"x": np.zeros(3)}, {})
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("keep", [0, 4, 40, -1])
def test_a_truncated_file_is_damaged_and_says_what_to_do(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "a.safetensors"
    write_arrays(path, {"x": np.zeros(100)}, {})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(RunError, match=r"a\.safetensors: damaged .* delete it"):
        read_arrays(path)
    with pytest.raises(RunError, match="damaged"):
        read_header(path)


def test_the_digest_sees_names_types_shapes_and_values() -> None:
    base = {"x": np.arange(6, dtype=np.float32)}
    others: list[dict[str, np.ndarray]] = [
        {"y": base["x"]},
        {"x": base["x"].astype(np.float64)},
        {"x": base["x"].reshape(2, 3)},
        {"x": base["x"] + 1},
    ]
    assert digest(base) == digest({"x": base["x"].copy()})
    assert len({digest(arrays) for arrays in [base, *others]}) == 5


def test_the_checksums_are_right_at_first(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    arrays = {"x": np.arange(5.0), "y": np.array([True])}
    write_arrays(path, arrays, {"n": 1})
    check_content(path)
    with safe_open(path, framework="numpy") as file:
        assert file.metadata()["sha256"] == digest(arrays)


@pytest.mark.parametrize("what", ["arrays", "header"])
def test_one_wrong_byte_is_damage(tmp_path: Path, what: str) -> None:
    path = tmp_path / "a.safetensors"
    write_arrays(path, {"x": np.arange(100, dtype=np.float32)}, {"seed": 41})
    content = path.read_bytes()
    wrong = content.replace(b"41", b"42") if what == "header" else content[:-3] + b"\x01" + content[-2:]
    assert len(wrong) == len(content)
    path.write_bytes(wrong)
    read_header(path)  # which alone does not see it
    with pytest.raises(RunError, match=rf"damaged \(the sha256 of its {what} is .* delete it"):
        check_content(path)
