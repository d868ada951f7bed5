"""The networks that a release carries, rebuilt without any of our code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from omnifold_pub import UnfoldingResult
from omnifold_pub.errors import RunError
from omnifold_pub.unfold.collection import collect
from omnifold_pub.unfold.networks import read_network_file, safetensors_bytes


def read_metadata(content: bytes) -> dict[str, Any]:
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return {name: json.loads(text) for name, text in header["__metadata__"].items()}


def features(columns: dict[str, NDArray[np.float32]], constants: dict[str, Any]) -> NDArray[np.float64]:
    """Encode events as the file's metadata say."""
    encoded: list[NDArray[np.float64]] = []
    for name, encoding in zip(constants["names"], constants["encodings"], strict=True):
        x = columns[name].astype(np.float64)
        match encoding["kind"]:
            case "log":
                encoded.append(np.log(x + encoding["offset"]))
            case "angle":
                encoded += [np.cos(x), np.sin(x)]
            case _:
                encoded.append(x)
    for pair in constants["pairs"]:
        y1, phi1, y2, phi2 = (columns[name].astype(np.float64) for name in (*pair["direction"], *pair["other"]))
        d = np.arccos(np.clip(np.cos(phi1 - phi2), -1, 1))
        encoded += [d, np.log(np.pi - d + 0.02), np.log(np.hypot(d, y2 - y1) + 0.05)]
    scaled = (np.array(encoded).T - constants["mean"]) / constants["scale"]
    scaled = np.where(np.isnan(scaled), constants["median"], scaled)
    flags = [np.where(np.isnan(columns[constants["names"][group[0]]]), -1, 1) for group in constants["flags"]]
    x = np.concatenate([scaled, np.array(flags).T], axis=1)
    decorrelated: NDArray[np.float64] = (x - constants["centre"]) @ np.array(constants["matrix"])
    return decorrelated


def logit(x: NDArray[np.float64], tensors: dict[str, NDArray[np.float32]], hidden: int) -> NDArray[np.float64]:
    for layer in range(hidden + 1):
        weight, bias = (tensors[f"step2/{2 * layer}.{part}"].astype(np.float64) for part in ("weight", "bias"))
        x = x @ weight.T + bias
        if layer < hidden:
            x = np.maximum(x, 0)
    return x[:, 0]


def test_published_weights_follow_from_the_networks_alone(quick_run: tuple[Path, UnfoldingResult]) -> None:
    result = collect(quick_run[0], networks=True)
    columns = {name: np.asarray(column[:]) for name, column in result.columns.items()}
    assert result.prior is not None
    prior = np.asarray(result.prior[:]).astype(np.float64)
    for member, content in enumerate(result.networks.values()):
        about = read_metadata(content)
        tensors = safetensors.numpy.load(content)
        settings = about["settings"]
        x = features(columns, about["preprocessing"][about["levels"]["step2"]])
        assert x.shape[1] == tensors["step2/0.weight"].shape[1]
        assert len(about["preprocessing"]["truth"]["pairs"]) == 6
        assert (settings["classifier"], settings["hidden"], settings["activation"]) == ("mlp", [8], "relu")
        limit = about["weights"]["max_log_weight"]
        push = np.exp(np.clip(logit(x, tensors, len(settings["hidden"])), -limit, limit))
        expected = result.families["ensemble"][:][:, member]
        np.testing.assert_allclose(about["weights"]["factor"] * push * prior, expected, rtol=1e-4)
        assert about["training"]["member"] == member


def test_a_network_file_holds_the_networks_and_no_weights(quick_run: tuple[Path, UnfoldingResult]) -> None:
    run, _ = quick_run
    trained = safetensors.numpy.load_file(run / "trainings/ensemble_0001.safetensors")
    tensors = safetensors.numpy.load(collect(run, networks=True).networks["ensemble_0001"])
    expected = {name.removeprefix("networks/") for name in trained if name.startswith("networks/")}
    assert set(tensors) == expected
    assert {name.split("/")[0] for name in tensors} == {"step1", "step2", "fakes"}
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(tensor, trained[f"networks/{name}"])


def test_a_network_file_is_read_as_it_was_written(quick_run: tuple[Path, UnfoldingResult]) -> None:
    content = collect(quick_run[0], networks=True).networks["ensemble_0000"]
    tensors, about = read_network_file(content)
    assert about == read_metadata(content)
    expected = safetensors.numpy.load(content)
    assert tensors.keys() == expected.keys()
    for name, tensor in expected.items():
        np.testing.assert_array_equal(tensors[name], tensor)
    texts = {name: json.dumps(part, sort_keys=True) for name, part in about.items()}
    assert safetensors_bytes(tensors, texts) == content


@pytest.mark.parametrize(
    "content", [b"", b"no network", safetensors.numpy.save({}), safetensors.numpy.save({}, {"settings": "{"})]
)
def test_what_is_no_network_file_is_told(content: bytes) -> None:
    with pytest.raises(RunError, match="expected a safetensors file of a run or a release"):
        read_network_file(content)


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0, 2)])
def test_our_files_are_read_by_the_safetensors_library(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    arrays = {"b": np.ones((5, 2), dtype="<f8").T, "a": np.arange(np.prod(shape), dtype=dtype).reshape(shape)}
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors_bytes(arrays, {"about": "\u03c0"}))
    with safetensors.safe_open(path, framework="numpy") as file:
        assert file.metadata() == {"about": "\u03c0"}
        for name, array in arrays.items():
            np.testing.assert_array_equal(file.get_tensor(name), array)


def test_the_order_of_the_content_does_not_change_the_bytes() -> None:
    arrays = {name: np.full(3, float(ord(name))) for name in "abc"}
    metadata = {name: name for name in "xyz"}
    backwards = safetensors_bytes(dict(reversed(arrays.items())), dict(reversed(metadata.items())))
    assert safetensors_bytes(arrays, metadata) == backwards
