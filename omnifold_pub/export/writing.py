"""Write a release in another format: all of its files, or none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from omnifold_pub.atomic import replacing_all
from omnifold_pub.errors import PublishError, ReleaseError
from omnifold_pub.export import frame, parquet, root
from omnifold_pub.export.columns import canvas_names, check_clashes, network_names, plan
from omnifold_pub.export.contents import Contents, ExportableRelease, ExportFormat, canvas_path, guess_format
from omnifold_pub.progress import Progress, silent

__all__ = ["Export", "export"]

_WRITERS: dict[ExportFormat, Callable[[Path, Contents], None]] = {
    "pandas": frame.write,
    "parquet": parquet.write,
    "root": root.write,
}


@dataclass(frozen=True)
class Export:
    """What was written.

    Attributes
    ----------
    path : pathlib.Path
        The table of the release's own events.
    canvases : dict
        ``canvases[name]``: path of its table, beside it.
    networks_left_out : tuple of str
        Networks of the release: an export does not hold them.
    """

    path: Path
    canvases: dict[str, Path]
    networks_left_out: tuple[str, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files that were written, the release's own events first."""
        return (self.path, *self.canvases.values())


def _files(release: ExportableRelease, path: Path, progress: Progress) -> dict[Path, Contents]:
    """Return what goes into which file; every dataset but the networks goes into one."""
    metadata = release.metadata
    if metadata.get("shard", {}).get("count", 1) > 1:
        msg = f"{release.path}: is one file of a release in several; open their manifest and export that"
        raise ReleaseError(msg)
    files = {path: Contents(release, plan(metadata), None, progress)}
    for name in canvas_names(metadata):
        files[canvas_path(path, name)] = Contents(release, plan(metadata, name), name, progress)
    planned = {entry.dataset for contents in files.values() for entry in contents.columns}
    there = {name for name in release.datasets if not name.startswith("networks/")}
    if planned != there:
        names = ", ".join(f"/{name}" for name in sorted(planned ^ there)[:5])
        msg = f"{release.path}: metadata and datasets disagree about {names}; validate the release"
        raise ReleaseError(msg)
    for target, contents in files.items():
        check_clashes(contents.columns, str(target))
    return files


def _check_target(release: ExportableRelease, target: Path, *, overwrite: bool) -> None:
    if not target.parent.is_dir():
        msg = f"{target}: there is no folder {target.parent}; make it first"
        raise PublishError(msg)
    if not target.exists():
        return
    if not overwrite:
        msg = f"{target}: exists already; choose another name or ask to overwrite it"
        raise PublishError(msg)
    if isinstance(release.path, Path) and release.path.exists() and target.samefile(release.path):
        msg = f"{target}: is the release itself; choose another name for its export"
        raise PublishError(msg)


def export(
    release: ExportableRelease,
    path: str | Path,
    *,
    format: ExportFormat | None = None,  # noqa: A002
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Export:
    """Write a release in another format: one row per event, bits and types as they are.

    The columns are ``event_id``, each observable under its name, ``weight_nominal``, ``weight_prior`` where there
    is one, ``weight_<component>_<member>`` with members counted from 0, ``closure_<test>_target`` and
    ``closure_<test>_unfolded``. Each canvas has its own file beside it, ``<stem>.<canvas><suffix>``. The metadata go
    into every file, as JSON. `read_export` reads it back.

    **Networks are not exported**: the result names those that were left out.

    ========  ==================================================  ========================================  ==========
    format    table                                               metadata                                  memory
    ========  ==================================================  ========================================  ==========
    parquet   row groups                                          schema metadata ``omnifold_pub``          blocks
    root      TTree ``events``, a branch for each column          TObjString ``metadata``                   blocks
    pandas    HDF5, key ``df``, "fixed"; columns grouped by type  dataset ``/metadata``, uint8, UTF-8       blocks
    ========  ==================================================  ========================================  ==========

    A block is of some 64 MiB; a few of them are in memory at a time. pandas itself reads its fixed format in one go,
    with the whole frame in memory, which is why one of more than 8 GB is refused.

    Everything is written to temporary files in the same folder, flushed to the disk and only then renamed, the
    release's own table last.

    Parameters
    ----------
    release : ExportableRelease
        From `omnifold_pub.open_release`.
    path : str or path-like
        The file to write.
    format : {"pandas", "parquet", "root"}, optional
        Told by the suffix where it is ``.parquet`` or ``.root``.
    overwrite : bool
        Replace files that are already there.
    progress : callable, optional
        Called with (done, total, what), in events.

    Returns
    -------
    Export
        The files, and what was left out.

    Raises
    ------
    PublishError
        If the format is unknown, a file exists, two datasets would need the same column, a frame is too large for
        pandas, or the disk is full.
    ReleaseError
        If the release cannot be read.
    MissingExtraError
        If the package that writes the format is not installed.

    Examples
    --------
    ::

        with open_release("zjets.h5") as release:
            export(release, "zjets.parquet").paths
    """
    path = Path(path)
    write = _WRITERS[guess_format(path, format)]
    files = _files(release, path, progress or silent)
    for target, contents in files.items():
        _check_target(release, target, overwrite=overwrite)
        if write is frame.write:
            frame.check_size(contents, target)
    try:
        # In the order of the renaming: the release's own table comes when its canvases are there.
        with replacing_all(list(files)[::-1], overwrite=overwrite) as temporaries:
            for temporary, contents in zip(temporaries, list(files.values())[::-1], strict=True):
                write(temporary, contents)
    except FileExistsError:
        msg = f"{path}: exists already, it appeared meanwhile; choose another name or ask to overwrite it"
        raise PublishError(msg) from None
    except OSError as error:
        reason = error.strerror or error
        msg = f"{path}: not written: {reason}. Free some space or choose another folder, and export again"
        raise PublishError(msg) from error
    canvases = {contents.canvas: target for target, contents in files.items() if contents.canvas is not None}
    return Export(path, canvases, tuple(network_names(release.metadata)))
