"""Checks of a release: what it must be to be read, and what it should be to be trusted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from omnifold_pub import format as layout
from omnifold_pub.errors import ReleaseError, shorten
from omnifold_pub.schemas import check
from omnifold_pub.statistics.components import Component

__all__ = ["Finding", "Level", "Report", "check_structure", "open_file", "validate"]

Level = Literal["required", "recommended", "optional"]

_BOOTSTRAP_PULL = 5.0
_BOOTSTRAP_RATIO = 0.1
_VARIATION_RATIO = 2.0
_FLOAT32_ROUNDING = 2e-6


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    Attributes
    ----------
    code : str
        Stable name of the check.
    level : {"required", "recommended", "optional"}
        A release with a ``required`` finding is not valid.
    path : str
        Where: a dataset, or a place in the metadata.
    expected, found, hint : str
        In words.
    """

    code: str
    level: Level
    path: str
    expected: str
    found: str
    hint: str

    def __str__(self) -> str:
        """Return one line."""
        return f"{self.path}: expected {self.expected}; found {self.found}. {self.hint}"


@dataclass(frozen=True)
class Report:
    """Outcome of a validation.

    Attributes
    ----------
    path : str
        The file.
    checks : tuple of str
        Codes of the checks that were run.
    findings : tuple of Finding
        In the order of the checks.
    """

    path: str
    checks: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def valid(self) -> bool:
        """Whether nothing required is amiss."""
        return not any(finding.level == "required" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON can hold it."""
        findings = [asdict(finding) for finding in self.findings]
        return {"path": self.path, "valid": self.valid, "checks": list(self.checks), "findings": findings}


def open_file(path: str | Path) -> h5py.File:
    """Open an HDF5 file for reading.

    Raises
    ------
    ReleaseError
        If there is none, or it is not HDF5.
    """
    path = Path(path)
    if not path.is_file():
        msg = f"{path}: no such file"
        raise ReleaseError(msg)
    try:
        return h5py.File(path, "r")
    except OSError as error:
        msg = f"{path}: not an HDF5 file, or a damaged one ({error})"
        raise ReleaseError(msg) from None


def _expected_datasets(metadata: dict[str, Any]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return type and shape of every dataset that the metadata announce."""
    events = metadata["events"]
    expected: dict[str, tuple[str, tuple[int, ...]]] = {
        layout.EVENT_ID: ("int64", (events,)),
        f"{layout.WEIGHTS}/{layout.NOMINAL}": ("float32", (events,)),
    }
    for observable in metadata["observables"]:
        expected[f"{layout.EVENTS}/{observable['name']}"] = ("float32", (events,))
    for entry in metadata["components"]:
        if "members" in entry:
            expected[f"{layout.WEIGHTS}/{entry['name']}"] = ("float32", (events, entry["members"]))
    if metadata["weights"].get("prior", False):
        expected[layout.PRIOR] = ("float32", (events,))
    return expected


def _names(file: h5py.File) -> set[str]:
    """Return the paths of all datasets, at the two levels that the layout has."""
    names: set[str] = set()
    for name, item in file.items():
        if isinstance(item, h5py.Group):
            names |= {f"{name}/{inner}" for inner in item}
        else:
            names.add(name)
    return names


def check_structure(file: h5py.File) -> tuple[dict[str, Any], list[Finding]]:
    """Check metadata, shapes and types, without reading a column.

    Returns
    -------
    metadata : dict
        To be trusted if there are no findings.
    findings : list of Finding
        All of level ``required``.

    Raises
    ------
    ReleaseError
        If there are no metadata to check against, or they are of another major version.
    """
    metadata = layout.decode_metadata(file)
    version = str(metadata.get("schema_version", ""))
    major = version.split(".")[0]
    if major != layout.FORMAT_VERSION.split(".")[0]:
        msg = (
            f"{file.filename}: /{layout.METADATA}: format version {shorten(version)}; this omnifold_pub reads "
            f"{layout.FORMAT_VERSION.split('.')[0]}.x.y. Upgrade it to read later ones"
        )
        raise ReleaseError(msg)
    findings = [
        Finding("schema", "required", f"/metadata {p.path}", p.expected, p.found, "Mend the metadata.")
        for p in check(metadata, "release")
    ]
    if findings:
        return metadata, findings
    findings += _name_findings(metadata)
    expected = _expected_datasets(metadata)
    for name, (dtype, shape) in expected.items():
        item = file.get(name)
        if not isinstance(item, h5py.Dataset):
            found = "nothing" if item is None else "a group"
        elif item.dtype != np.dtype(dtype).newbyteorder("<") or item.shape != shape:
            found = f"{item.dtype} {list(item.shape)}"
        else:
            continue
        hint = "The metadata announce it; write the file again."
        findings.append(Finding("shape", "required", f"/{name}", f"{dtype} {list(shape)}", found, hint))
    for name in sorted(_names(file) - set(expected) - {layout.METADATA}):
        hint = "Declare it in the metadata, or leave it out."
        findings.append(Finding("undeclared", "required", f"/{name}", "only declared datasets", "this one", hint))
    return metadata, findings


def _name_findings(metadata: dict[str, Any]) -> Iterator[Finding]:
    """Find names that occur twice, and a central value without its family."""
    for what in ("observables", "components"):
        names = [entry["name"] for entry in metadata[what]]
        for name in sorted({name for name in names if names.count(name) > 1}):
            hint = "Give each its own name."
            yield Finding("names", "required", f"/metadata {what}", "unique names", f"{name!r} more than once", hint)
    kinds = {entry["name"]: entry["kind"] for entry in metadata["components"]}
    if layout.NOMINAL in kinds:
        hint = "Rename the component."
        yield Finding("names", "required", "/metadata components", "names of families", "'nominal'", hint)
    family = metadata["weights"]["central_value"].get("family")
    if family is not None and kinds.get(family) != "ensemble":
        yield Finding(
            "central_value",
            "required",
            "/metadata weights.central_value.family",
            "a component of kind 'ensemble'",
            repr(family),
            "Name the ensemble that the nominal was made of.",
        )


def _column_findings(file: h5py.File, metadata: dict[str, Any]) -> Iterator[Finding]:
    ids = file[layout.EVENT_ID][()]
    repeated = len(ids) - len(np.unique(ids))
    if repeated:
        hint = "Resampling needs each event once."
        yield Finding("event_id", "required", f"/{layout.EVENT_ID}", "unique ids", f"{repeated} repeated", hint)
    for observable in metadata["observables"]:
        column = file[f"{layout.EVENTS}/{observable['name']}"][()]
        path = f"/{layout.EVENTS}/{observable['name']}"
        absent, infinite = int(np.isnan(column).sum()), int(np.isinf(column).sum())
        if infinite:
            yield Finding("columns", "required", path, "finite values", f"{infinite} infinite", "Remove these events.")
        if absent and not observable["may_be_absent"]:
            hint = "Declare may_be_absent, or remove these events."
            yield Finding("columns", "required", path, "no NaN", f"{absent} NaN of {len(column)}", hint)


def _weight_findings(path: str, bad: int, size: int, negative: int) -> Iterator[Finding]:
    if bad:
        hint = "A training diverged; leave its member out."
        yield Finding("finite_weights", "required", path, "finite weights", f"{bad} of {size} are not", hint)
    if negative:
        hint = "Expected of signed generator weights alone."
        yield Finding("negative_weights", "optional", path, "no negative weight", f"{negative} of {size}", hint)


@dataclass(frozen=True)
class _FamilySummary:
    totals: NDArray[np.float64]
    bad: int
    negative: int
    centre_mismatch: float


def _read_family(
    dataset: h5py.Dataset, nominal: NDArray[np.float32], rule: str | None, advance: Callable[[int], None]
) -> _FamilySummary:
    """Go once through a family, block by block; ``rule`` also compares its centre with the nominal."""
    totals = np.zeros(dataset.shape[1])
    bad = negative = 0
    mismatch = 0.0
    for start, stop in layout.family_blocks(*dataset.shape):
        block = dataset[start:stop].astype(np.float64)
        bad += int((~np.isfinite(block)).sum())
        negative += int((block < 0).sum())
        totals += block.sum(axis=0)
        if rule is not None:
            centre = block.mean(axis=1) if rule == "mean" else np.median(block, axis=1)
            scale = np.abs(block).max(axis=1)
            off = np.abs(centre - nominal[start:stop]) / np.where(scale > 0, scale, 1.0)
            mismatch = max(mismatch, float(np.nan_to_num(off, nan=np.inf).max()))
        advance(block.size)
    return _FamilySummary(totals, bad, negative, mismatch)


def _total_findings(component: Component, totals: NDArray[np.float64], nominal: float) -> Iterator[Finding]:
    path = f"/{layout.WEIGHTS}/{component.name}"
    if component.kind in ("bootstrap", "ensemble"):
        mean, spread = float(totals.mean()), float(totals.std(ddof=1))
        if abs(mean - nominal) > max(_BOOTSTRAP_PULL * spread / np.sqrt(len(totals)), _BOOTSTRAP_RATIO * abs(nominal)):
            yield Finding(
                "family_total",
                "required",
                path,
                f"members that sum to the nominal's {nominal:.6g}",
                f"{mean:.6g} +- {spread:.2g}, {mean / nominal:.4g} times as much",
                "The family is in another unit or normalised another way; rescale it.",
            )
        return
    for member, total in enumerate(totals):
        ratio = total / nominal
        if not 1 / _VARIATION_RATIO < ratio < _VARIATION_RATIO:
            yield Finding(
                "family_total",
                "required",
                f"{path}[:, {member}]",
                f"a sum within a factor {_VARIATION_RATIO:g} of the nominal's {nominal:.6g}",
                f"{total:.6g}, {ratio:.4g} times as much",
                "A variation this large is a mistake of unit or normalisation.",
            )


def _content_findings(
    file: h5py.File, metadata: dict[str, Any], progress: Callable[[int, int, str], None]
) -> Iterator[Finding]:
    components = [Component.from_metadata(entry) for entry in metadata["components"]]
    work = sum(component.members for component in components) * metadata["events"]
    done = 0

    def advance(size: int) -> None:
        nonlocal done
        done += size
        progress(done, work, "reading weights")

    yield from _column_findings(file, metadata)
    singles = [f"{layout.WEIGHTS}/{layout.NOMINAL}"]
    if metadata["weights"].get("prior", False):
        singles.append(layout.PRIOR)
    for name in singles:
        weights = file[name][()]
        bad, negative = int((~np.isfinite(weights)).sum()), int((weights < 0).sum())
        yield from _weight_findings(f"/{name}", bad, len(weights), negative)
    nominal = file[f"{layout.WEIGHTS}/{layout.NOMINAL}"][()]
    total = float(nominal.sum(dtype=np.float64))
    if total <= 0:
        hint = "The sum of all weights is the fiducial cross section."
        yield Finding("nominal_total", "required", "/weights/nominal", "a sum above 0", f"{total:g}", hint)
        return
    sound = bool(np.isfinite(total))  # else every comparison with the nominal would blame the families for it
    central = metadata["weights"]["central_value"]
    for component in components:
        if not component.has_family:
            continue
        path = f"{layout.WEIGHTS}/{component.name}"
        rule = central["rule"] if sound and central.get("family") == component.name else None
        summary = _read_family(file[path], nominal, rule, advance)
        yield from _weight_findings(f"/{path}", summary.bad, file[path].size, summary.negative)
        if summary.bad or not sound:
            continue
        yield from _total_findings(component, summary.totals, total)
        if summary.centre_mismatch > _FLOAT32_ROUNDING:
            yield Finding(
                "central_value",
                "required",
                f"/{layout.WEIGHTS}/{layout.NOMINAL}",
                f"the {central['rule']} of /{path}",
                f"events off by up to {summary.centre_mismatch:.2g} of their largest member",
                "Recompute the nominal, or declare the rule that it follows.",
            )
    carriers = [c.name for c in components if c.includes_event_sampling or c.kind == "event_sampling"]
    if len(carriers) > 1:
        yield Finding(
            "event_sampling",
            "required",
            "/metadata components",
            "one component that stands for the finite number of published events",
            ", ".join(carriers),
            "They count the same fluctuations twice: keep the bootstrap.",
        )
    if not carriers:
        yield Finding(
            "event_sampling",
            "recommended",
            "/metadata components",
            "a bootstrap that includes event sampling, or the component 'event_sampling'",
            "neither",
            "Without it the finite number of published events is no part of the covariance.",
        )


CHECKS = (
    "schema",
    "names",
    "shape",
    "undeclared",
    "event_id",
    "columns",
    "finite_weights",
    "negative_weights",
    "nominal_total",
    "family_total",
    "central_value",
    "event_sampling",
)
"""Codes of all checks, in the order in which they are run."""


def validate(path: str | Path, *, progress: Callable[[int, int, str], None] | None = None) -> Report:
    """Run every check on a release and report all that is found.

    Parameters
    ----------
    path : str or path-like
        The file.
    progress : callable, optional
        Called with (done, total, what).

    Returns
    -------
    Report
        Its ``valid`` is False if anything required is amiss.

    Raises
    ------
    ReleaseError
        If there is no such file.
    """
    path = Path(path)
    findings: list[Finding] = []
    if not path.is_file():
        msg = f"{path}: no such file"
        raise ReleaseError(msg)
    try:
        with open_file(path) as file:
            metadata, findings = check_structure(file)
            if not findings:
                findings += _content_findings(file, metadata, progress or (lambda *_: None))
    except ReleaseError as error:
        hint = "It may be another format, a later version, or damaged."
        findings.append(Finding("readable", "required", str(path), "a release of omnifold_pub", str(error), hint))
    except OSError as error:
        hint = "A chunk is damaged: fetch the file again."
        findings.append(Finding("readable", "required", str(path), "datasets that can be read", str(error), hint))
    return Report(str(path), ("readable", *CHECKS), tuple(findings))
