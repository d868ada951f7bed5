"""Releases with defects: a sound one, and a way to rewrite it with any content whatever."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from omnifold_pub import UnfoldingResult, publish, validate
from omnifold_pub.format.documents import encode_document
from omnifold_pub.format.layout import DIGESTS, METADATA
from omnifold_pub.format.store import open_store
from omnifold_pub.format.writing import ReleaseWriter

Arrays = dict[str, NDArray[Any]]
Change = Callable[[Arrays, dict[str, Any]], object]


def rewrite(path: Path, target: Path, change: Change, *, stale: bool = False) -> Path:
    """Write a changed copy of one file of a release, laid out as it should be, without validation.

    Parameters
    ----------
    change : callable
        Edits ``arrays[path]`` and ``metadata`` in place.
    stale : bool
        Keep the digests of the original instead of taking fresh ones.
    """
    with open_store(path) as store:
        (part,) = store.parts
        digests, metadata = part.digests(), copy.deepcopy(part.metadata)
        arrays = {name: part.file.datasets[name].read() for name in digests if name != METADATA}
    change(arrays, metadata)
    with ReleaseWriter(target) as writer:
        for name, array in arrays.items():
            writer.write(name, array.dtype.str, array.shape, [array])
        if stale:
            writer.write_bytes(METADATA, encode_document(metadata))
            writer.write_bytes(DIGESTS, encode_document(digests))
        else:
            writer.write_documents(metadata)
    return target


@pytest.fixture
def sound_result(result: UnfoldingResult) -> UnfoldingResult:
    """The result made by hand with all weights positive: nothing at all is amiss in it."""
    return replace(result, families={name: np.abs(family[:]) for name, family in result.families.items()})


@pytest.fixture(scope="session")
def sound_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the sound release is kept from test to test."""
    return tmp_path_factory.mktemp("sound")


@pytest.fixture
def sound(sound_folder: Path, sound_result: UnfoldingResult) -> Path:
    """The release of that result, written once; do not write to it."""
    path = sound_folder / "sound.h5"
    return path if path.exists() else publish(sound_result, path)


@pytest.fixture
def sharded(sound_folder: Path, sound_result: UnfoldingResult) -> Path:
    """The same in three files of 200, 200 and 100 events: the manifest; do not write beside it."""
    path = sound_folder / "sharded.manifest.json"
    return path if path.exists() else publish(sound_result, path, shard_events=200)


@pytest.fixture
def rewritten(sound: Path, tmp_path: Path) -> Callable[..., Path]:
    """Return the path of a changed copy of the sound release, or of another file; see `rewrite`."""

    def write(change: Change, *, of: Path = sound, stale: bool = False) -> Path:
        return rewrite(of, tmp_path / "edited.h5", change, stale=stale)

    return write


@pytest.fixture
def assert_only(rewritten: Callable[..., Path]) -> Callable[..., None]:
    """Change the sound release and assert that exactly one thing is found in it."""

    def check(
        change: Change, code: str, level: str, path: str, expected: str, found: str, *, stale: bool = False
    ) -> None:
        report = validate(rewritten(change, stale=stale))
        assert [(f.code, f.level, f.path) for f in report.findings] == [(code, level, path)]
        (finding,) = report.findings
        assert expected in finding.expected
        assert found in finding.found
        assert finding.hint
        assert report.valid == (level != "required")

    return check
