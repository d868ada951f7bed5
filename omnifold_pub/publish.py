"""Write a release: whole, checked and under its final name, or not at all."""

from __future__ import annotations

import glob
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.atomic import replacing_all
from omnifold_pub.errors import PublishError, ReleaseError
from omnifold_pub.format import layout, manifest
from omnifold_pub.format.chunks import Codec
from omnifold_pub.format.store import open_store
from omnifold_pub.format.writing import BLOCK_BYTES, ReleaseWriter
from omnifold_pub.observables.binning import Axis
from omnifold_pub.precision import ALLOWED_BITS, PrecisionMeter, round_mantissa
from omnifold_pub.progress import Progress, megabytes
from omnifold_pub.sources import checked_sources, complete_metadata
from omnifold_pub.statistics.components import REPLICA_KINDS
from omnifold_pub.unfold.result import ArraySource, UnfoldingResult
from omnifold_pub.validate import validate_store

__all__ = ["publish"]

_PRECISION_BINS = 20


@dataclass(frozen=True)
class _Job:
    """What is written, and how."""

    metadata: dict[str, Any]
    sources: dict[str, ArraySource]
    codec: Codec
    bits: dict[str, int]
    """Bits of the significand to keep, by path of the family."""
    meters: dict[str, PrecisionMeter]
    advance: Callable[[int], None]

    def blocks(self, path: str, dtype: np.dtype[Any], first: int, last: int) -> Iterator[NDArray[Any]]:
        """Yield the rows of a source, converted and rounded."""
        source = self.sources[path]
        columns = source.shape[1] if len(source.shape) == 2 else 1
        step = layout.chunk_shape((last - first, *source.shape[1:]), dtype.itemsize)[0]
        for low, high in layout.row_blocks(last - first, columns * dtype.itemsize, step=step, budget=BLOCK_BYTES):
            raw = np.asarray(source[first + low : first + high])
            if raw.shape != (high - low, *source.shape[1:]) or raw.dtype.kind not in "biuf":
                msg = (
                    f"{path}: expected rows {first + low} to {first + high}, an array of numbers of shape "
                    f"{(high - low, *source.shape[1:])}; found {raw.dtype} {raw.shape}"
                )
                raise PublishError(msg)
            with np.errstate(over="ignore"):  # an infinite weight is found by the validation, with its place
                block = raw.astype(dtype, copy=False)
            if dtype.kind == "i" and (block != raw).any():
                msg = f"{path}: integers that do not fit into {dtype}; declare a larger type"
                raise PublishError(msg)
            if path in self.bits:
                rounded = round_mantissa(block, self.bits[path])
                self.meters[path].add(first + low, block, rounded)
                block = rounded
            yield block
            self.advance(block.nbytes)

    def write(self, path: Path, metadata: dict[str, Any], first: int) -> None:
        """Write one file with the events from ``first`` on that its metadata speak of."""
        with ReleaseWriter(path, codec=self.codec) as writer:
            for name, declared in layout.declared_datasets(metadata).items():
                dtype, start = np.dtype(declared.dtype), first if declared.by_event else 0
                blocks = self.blocks(name, dtype, start, start + declared.shape[0])
                writer.write(name, declared.dtype, declared.shape, blocks)
            writer.write_documents(self.with_precision(metadata))

    def with_precision(self, metadata: dict[str, Any]) -> dict[str, Any]:
        """Return the metadata with the measured errors of rounded families."""
        components = []
        for entry in metadata["components"]:
            path = f"{layout.WEIGHTS}/{entry['name']}"
            if path in self.meters:
                meter = self.meters[path]
                precision = {
                    "mantissa_bits": self.bits[path],
                    "worst_relative_error": meter.worst_relative_error,
                    "worst_covariance_error": meter.worst_covariance_error,
                }
                entry = {**entry, "precision": precision}
            components.append(entry)
        return {**metadata, "components": components}


def _precision(
    metadata: dict[str, Any], sources: dict[str, ArraySource], bits: int | None
) -> tuple[dict[str, int], dict[str, PrecisionMeter]]:
    """Return the bits to keep and an empty meter of each replica family."""
    if bits is None:
        return {}, {}
    if not isinstance(bits, int) or bits not in ALLOWED_BITS:
        msg = f"mantissa_bits: expected {ALLOWED_BITS.start} to {ALLOWED_BITS.stop - 1}; found {bits}"
        raise PublishError(msg)
    first = f"{layout.EVENTS}/{metadata['observables'][0]['name']}"
    sources[first] = np.asarray(sources[first][:])  # sources are read once
    values = sources[first][:].astype(np.float64)
    there = values[~np.isnan(values)]
    edges = np.unique(np.quantile(there, np.linspace(0, 1, _PRECISION_BINS + 1))) if len(there) else np.array([])
    if len(edges) < 2:
        edges = np.array([-1.0, 0.0]) if not len(there) else np.array([there[0] - 1, there[0] + 1])
    axis = Axis.from_bins(edges)
    bin_of = axis.bins_of(values).astype(np.int8)
    replicas = [entry for entry in metadata["components"] if entry["kind"] in REPLICA_KINDS]
    paths = {f"{layout.WEIGHTS}/{entry['name']}": entry["members"] for entry in replicas}
    return dict.fromkeys(paths, bits), {
        path: PrecisionMeter(bin_of, len(axis), members) for path, members in paths.items()
    }


def _shards(metadata: dict[str, Any], shard_events: int | None) -> list[tuple[int, dict[str, Any]]]:
    """Return (first event, metadata) of each file."""
    total = metadata["events"]
    if shard_events is None:
        return [(0, metadata)]
    count = -(-total // shard_events)
    return [
        (
            first,
            {
                **metadata,
                "events": min(shard_events, total - first),
                "shard": {"index": number, "count": count, "events_total": total},
            },
        )
        for number, first in enumerate(range(0, total, shard_events))
    ]


def _check_target(path: Path, shard_events: int | None, *, overwrite: bool) -> None:
    if shard_events is not None and shard_events < 1:
        msg = f"shard_events: expected at least 1 event in a file; found {shard_events}"
        raise PublishError(msg)
    if manifest.is_manifest(path) != (shard_events is not None):
        msg = (
            f"{path}: a release in several files (shard_events) is named by its manifest, *{manifest.SUFFIX}; "
            "one in a single file is not"
        )
        raise PublishError(msg)
    if path.name.startswith(".") or not path.name.isprintable() or "\\" in path.name:
        msg = f"{str(path)!r}: no manifest can name it; no backslash, control character or dot in front"
        raise PublishError(msg)
    beside = manifest.manifest_path(path)
    for target in (path, beside):
        if target.is_dir():
            msg = f"{target}: is a folder; choose another name"
            raise PublishError(msg)
    others = [name for name in _files_of(beside) if name != path.name and beside.with_name(name).exists()]
    if beside != path and others:
        msg = f"{beside}: exists already, the manifest of {others[0]}; choose another name, or remove that release"
        raise PublishError(msg)
    if path.exists() and not overwrite:
        msg = f"{path}: exists already; choose another name or ask to overwrite it"
        raise PublishError(msg)
    if not path.parent.is_dir():
        msg = f"{path}: there is no folder {path.parent}; make it first"
        raise PublishError(msg)


def publish(
    result: UnfoldingResult,
    path: str | Path,
    *,
    overwrite: bool = False,
    codec: Codec = "gzip",
    mantissa_bits: int | None = None,
    shard_events: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write a release and, beside it, its manifest.

    Events, families and the rest are taken from their sources block by block, so that they need not fit into
    memory. What is written goes to temporary files in the same folder; they are closed, validated, flushed to the
    disk and only then renamed. Whatever goes wrong before, the final names hold what they held.

    Parameters
    ----------
    result : UnfoldingResult
        Events, weights and metadata, from whatever program.
    path : str or path-like
        The release to write, by custom ``*.h5``; ``*.manifest.json`` for one in several files.
    overwrite : bool
        Replace a release that is already there.
    codec : {"gzip", "blosc2-zstd"}
        Every HDF5 reads ``gzip``. ``blosc2-zstd`` is read faster, by those who have its plug-in.
    mantissa_bits : int, optional
        Keep 10 to 14 of the 23 bits of replicas' significands. The worst error is measured and written into the
        metadata. By default nothing is lost.
    shard_events : int, optional
        Events in each of several files.
    progress : callable, optional
        Called with (done, total, what).

    Returns
    -------
    pathlib.Path
        The release.

    Raises
    ------
    PublishError
        If the target exists, the metadata break their schema, arrays are not what they declare, the result fails
        validation, or the disk is full.
    MissingExtraError
        If the codec's packages are not installed.
    """
    path = Path(path)
    _check_target(path, shard_events, overwrite=overwrite)
    metadata = complete_metadata(result)
    sources = checked_sources(result, metadata)
    bits, meters = _precision(metadata, sources, mantissa_bits)
    total = layout.declared_bytes(metadata)
    job = _Job(metadata, sources, codec, bits, meters, megabytes(progress, total, "writing"))
    shards = _shards(metadata, shard_events)
    beside = manifest.manifest_path(path)
    if shard_events is None:
        names, stale, former = [path.name], [beside], None
    else:
        stem, token = path.name.removesuffix(manifest.SUFFIX), secrets.token_hex(4)
        names, stale = [f"{stem}-{k:05d}-of-{len(shards):05d}-{token}.h5" for k in range(len(shards))], []
        former = f"{glob.escape(stem)}-?????-of-?????-????????.h5"
    targets = [*(path.with_name(name) for name in names), beside]
    try:
        with replacing_all(targets, overwrite=overwrite, stale=stale, former=former) as temporaries:
            entries = []
            for temporary, name, (first, about) in zip(temporaries, names, shards, strict=False):
                job.write(temporary, about, first)
                entries.append(manifest.file_entry(temporary, name, about["events"], progress=progress))
            with open_store(path, temporaries[:-1]) as store:
                found = validate_store(store, progress=progress)
            if not found.valid:
                lines = "\n  ".join(str(f) for f in found.findings if f.level == "required")
                msg = f"{path}: not written, the result is not valid:\n  {lines}"
                raise PublishError(msg)
            temporaries[-1].write_bytes(manifest.make_manifest(metadata, entries))
    except FileExistsError:
        msg = f"{path}: exists already, it appeared meanwhile; choose another name or ask to overwrite it"
        raise PublishError(msg) from None
    except OSError as error:
        msg = (
            f"{path}: not written: {error.strerror or error}. "
            "Free some space or choose another folder, and publish again"
        )
        raise PublishError(msg) from error
    return path


def _files_of(beside: Path) -> list[str]:
    """Return the files that a manifest names; none if it is not there, or is no manifest."""
    try:
        return [entry["file"] for entry in manifest.read_manifest(beside)["files"]]
    except ReleaseError:
        return []
