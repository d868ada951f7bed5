"""One pass over a dataset, block by block, that takes its digest on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.format import layout
from omnifold_pub.format.reading import Concatenated, StoredArray, StoredDataset, iterate_blocks
from omnifold_pub.format.store import Part, Store
from omnifold_pub.validate.findings import Finding

__all__ = ["Passes"]


@dataclass
class Passes:
    """Reads each dataset of a release once and compares its digest with what its file says.

    Attributes
    ----------
    store : Store
        Of a sound structure.
    advance : callable
        Called with the bytes that were read.
    """

    store: Store
    advance: Callable[[int], None]
    findings: list[Finding] = field(default_factory=list)
    _hasher: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1), repr=False)
    _stated: dict[int, dict[str, Any]] = field(default_factory=dict, repr=False)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Let the thread go."""
        self._hasher.shutdown()

    def whole(self, name: str) -> NDArray[Any]:
        """Return a dataset in one array."""
        blocks = [block for _, block in self.blocks(name)]
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)

    def blocks(self, name: str, *, rows: int | None = None) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield (first row, rows) of a dataset, blocks of ``rows`` if given; at its end its digest is compared."""
        array = self.store.arrays[name]
        top = 0
        for part, piece in zip(self.store.parts, _pieces(array), strict=False):
            state = hashlib.sha256()
            for start, block in iterate_blocks(piece, rows=rows):
                hashed = self._hasher.submit(state.update, block.data)
                yield top + start, block
                hashed.result()
                self.advance(block.nbytes)
            self._compare(part, name, state.hexdigest())
            top += piece.shape[0]

    def compare_metadata(self) -> None:
        """Compare the digest of every file's metadata, and look for digests of what is not there."""
        for part in self.store.parts:
            data = part.file.datasets[layout.METADATA].read()
            self._compare(part, layout.METADATA, hashlib.sha256(data.data).hexdigest())
            extra = sorted(set(self._digests(part)) - set(part.file.datasets))
            if extra:
                hint = "Write the file again."
                where = f"{part.file.path.name}: /{layout.DIGESTS}"
                self.findings.append(Finding("digest", "required", where, "datasets of the file", extra[0][:80], hint))

    def _digests(self, part: Part) -> dict[str, Any]:
        return self._stated.setdefault(id(part), part.digests())

    def _compare(self, part: Part, name: str, found: str) -> None:
        stated = self._digests(part).get(name)
        if stated != found:
            where = f"/{name}" if len(self.store.parts) == 1 else f"{part.file.path.name}: /{name}"
            hint = "The values were changed after the file was written, or damaged; fetch it again."
            shown = "none" if stated is None else str(stated)[:64]
            text = f"the SHA-256 that /{layout.DIGESTS} states, {shown}"
            self.findings.append(Finding("digest", "required", where, text, found, hint))


def _pieces(array: StoredArray) -> list[StoredDataset]:
    if isinstance(array, Concatenated):
        return list(array.parts)
    assert isinstance(array, StoredDataset)  # noqa: S101 - there are these two
    return [array]
