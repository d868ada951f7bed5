"""A measurement as reference data of YODA, for Rivet and Contur."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.atomic import replacing
from omnifold_pub.errors import ObservableError, PublishError
from omnifold_pub.estimators import Histogram
from omnifold_pub.estimators.base import BinnedStatistic
from omnifold_pub.exchange.breakdown import error_sources
from omnifold_pub.exchange.warning import ExchangeWarning
from omnifold_pub.messages import shorten
from omnifold_pub.observables.binning import Axis
from omnifold_pub.presentation.measured import Measured

__all__ = ["FEWEST_SYSTEMATICS", "YodaVersion", "write_yoda", "yoda_text"]

Vector = NDArray[np.float64]
YodaVersion = Literal[1, 2]

FEWEST_SYSTEMATICS = 5
"""Sources below which Contur takes no correlation from an error breakdown (its ``min_num_sys``)."""

_ABSENT = "nan"
_NO_ERROR = "---"


@dataclass(frozen=True, eq=False)
class _Reference:
    """One statistic as YODA has it.

    Attributes
    ----------
    path, title, x_label, y_label : str
        Annotations.
    axes : tuple of Axis
        One or two.
    values : numpy.ndarray
        ``[bin]``, the last axis running fastest, flow bins included.
    errors : dict
        Label to signed ``shift[bin]``.
    covariance : numpy.ndarray
        ``[bin, bin]``.
    """

    path: str
    title: str
    labels: tuple[str, ...]
    axes: tuple[Axis, ...]
    values: Vector
    errors: dict[str, Vector]
    covariance: Vector

    @property
    def inner(self) -> NDArray[np.intp]:
        """Numbers of the bins between finite edges."""
        numbers = np.arange(len(self.values)).reshape([len(axis) for axis in self.axes])
        return numbers[tuple(axis.inner for axis in self.axes)].ravel()

    def annotations(self, kind: str) -> list[str]:
        """Return the lines before the numbers."""
        names = ("XLabel", "YLabel", "ZLabel")
        labels = [f"{name}: {label}" for name, label in zip(names, self.labels, strict=False)]
        return [f"Path: {self.path}", f"Title: {self.title}", f"Type: {kind}", *labels]


def yoda_text(measured: Measured, analysis: str, *, version: YodaVersion = 2) -> str:
    """Return reference data in the text format of YODA, with the error breakdown.

    Objects are ``/REF/<analysis>/d01-x01-y01`` and so on, one for each statistic, in order. The labels of the sources
    begin with ``stat_`` (estimated by replicas) or ``uncor_``, which Rivet and Contur take as uncorrelated between
    bins, or with ``sys_``, which they take as one parameter. Shifts are signed: ``up`` is D, ``dn`` is -D, so that the
    sum of their squares is the covariance of the source. Numbers have every digit.

    What a breakdown cannot say is in ``..._cov`` beside each object: the total covariance of its bins, numbered from 1
    along both axes, signs and correlations of the replicas included.

    Parameters
    ----------
    measured : Measured
        Statistics with one or two axes.
    analysis : str
        Name of the Rivet analysis: letters, digits and underscores.
    version : {2, 1}
        2: ``Estimate1D`` and ``Estimate2D`` of YODA 2 (Rivet 4); 1: ``Scatter2D`` with the annotation
        ``ErrorBreakdown``, of YODA 1 (Rivet 3), one axis, no flow bins and no covariance.

    Warns
    -----
    ExchangeWarning
        Where Contur ignores correlations, since there are fewer than five systematic sources; where a source changes
        its sign along the bins: YODA's own ``covarianceMatrix`` averages the sizes of ``up`` and ``dn``, as if it did
        not; where bins are integrated, and not divided by their width as Rivet's histograms are.

    Raises
    ------
    ObservableError
        For another name, or a statistic without axes or with more than two.
    """
    if not re.fullmatch(r"[A-Za-z0-9_]+", analysis):
        msg = (
            f"analysis {shorten(analysis)}: expected letters, digits and underscores, as ATLAS_2024_I2791852; rename it"
        )
        raise ObservableError(msg)
    write = {2: _estimate, 1: _scatter}.get(version)
    if write is None:
        msg = f"version: expected 1 or 2, of YODA; found {shorten(version)}"
        raise ObservableError(msg)
    references = list(_references(measured, analysis))
    text = "\n\n".join("\n".join(block) for one in references for block in write(one))
    remarks = _remarks(measured, references, version)
    if remarks:
        warnings.warn("; ".join(remarks), ExchangeWarning, stacklevel=2)
    return f"{text}\n"


def _remarks(measured: Measured, references: Sequence[_Reference], version: YodaVersion) -> list[str]:
    remarks = []
    systematics = [label for label in references[0].errors if label.startswith("sys_")]
    matrix = "; give it the matrix in ..._cov" if version == 2 else ""
    if len(systematics) < FEWEST_SYSTEMATICS:
        remarks.append(
            f"{len(systematics)} systematic sources: below {FEWEST_SYSTEMATICS} Contur ignores the correlations of an "
            f"error breakdown{matrix}"
        )
    turning = [label for label in systematics if any(_turns(one.errors[label]) for one in references)]
    if turning:
        remarks.append(
            f"{', '.join(turning)}: the shift changes its sign along the bins, and the covarianceMatrix of YODA, which "
            f"Contur uses, takes its size alone{matrix}"
        )
    taken = [label for label in systematics if "stat" in label or "uncor" in label]
    if taken and version == 1:
        remarks.append(f"{', '.join(taken)}: YODA 1 takes sources as uncorrelated that have 'stat' or 'uncor' in them")
    integrated = [s.name for s in measured.statistics if isinstance(s, Histogram) and not s.density]
    if integrated:
        remarks.append(
            f"{', '.join(integrated)}: contents of bins, and Rivet's histograms are divided by the widths; measure "
            "with density=True for data that Rivet compares"
        )
    return remarks


def _turns(shift: Vector) -> bool:
    return bool((shift > 0).any() and (shift < 0).any())


def _line(text: str) -> str:
    return " ".join(text.split())


def _references(measured: Measured, analysis: str) -> Iterator[_Reference]:
    sources = error_sources(measured)
    labels = _labels([source.label("_") for source in sources])
    total = measured.covariance()
    parts = zip(measured.statistics, measured.slices, measured.units, strict=True)
    for number, (statistic, bins, unit) in enumerate(parts, start=1):
        axes = statistic.axes if isinstance(statistic, BinnedStatistic) else ()
        if len(axes) not in (1, 2):
            msg = f"{shorten(statistic.name)}: expected one or two axes, as YODA has; found {len(axes)}; leave it out"
            raise ObservableError(msg)
        for axis in axes:
            axis.without_flow()  # refuses an axis without finite edges
        in_unit = f" [{unit}]" if unit not in ("", "1") else ""
        yield _Reference(
            path=f"/REF/{analysis}/d{number:02d}-x01-y01",
            title=_line(statistic.name),
            labels=(*(_line(axis.label) for axis in axes), _line(f"{statistic.name}{in_unit}")),
            axes=axes,
            values=measured.nominal[bins],
            errors={label: source.shift[bins] for label, source in zip(labels, sources, strict=True)},
            covariance=total[bins, bins],
        )


def _labels(wanted: Sequence[str]) -> list[str]:
    """Return labels without commas, quotes and brackets, which readers of YODA take for their own."""
    labels: list[str] = []
    for text in wanted:
        label = re.sub(r"[^A-Za-z0-9_.+-]+", "_", text).strip("_")
        labels.append(label if label not in labels else f"{label}_{len(labels)}")
    return labels


def _number(value: float) -> str:
    return f"{value:.16e}"


def _with_flow(reference: _Reference, numbers: Vector) -> Vector:
    """Return ``[y, x]`` with under- and overflow everywhere, NaN where the measurement has none; x runs fastest."""
    shape = [len(axis) for axis in reference.axes]
    pads = [(1 - axis.inner.start, 1 - (len(axis) - axis.inner.stop)) for axis in reference.axes]
    padded = np.pad(numbers.reshape(shape), pads, constant_values=np.nan)
    flat: Vector = padded.T.ravel()
    return flat


def _estimate(reference: _Reference) -> Iterator[list[str]]:
    """Yield the lines of an Estimate, and of its covariance."""
    yield _estimate_lines(reference)
    inner = reference.inner
    count = len(inner)
    edges = Axis.from_bins(np.arange(count + 1) + 0.5, name="bin", label="bin")
    matrix = _Reference(
        path=f"{reference.path}_cov",
        title=f"Covariance of {reference.title}",
        labels=("bin", "bin", "covariance"),
        axes=(edges, edges),
        values=reference.covariance[np.ix_(inner, inner)].ravel(),
        errors={},
        covariance=np.empty((0, 0)),
    )
    yield _estimate_lines(matrix)


def _estimate_lines(reference: _Reference) -> list[str]:
    kind = f"ESTIMATE{len(reference.axes)}D_V3"
    lines = [f"BEGIN YODA_{kind} {reference.path}", *reference.annotations(f"Estimate{len(reference.axes)}D"), "---"]
    for number, axis in enumerate(reference.axes, start=1):
        finite = axis.without_flow().edges.tolist()
        lines.append(f"Edges(A{number}): [{', '.join(map(_number, finite))}]")
    listed = ", ".join(f'"{label}"' for label in reference.errors)
    lines.append(f"ErrorLabels: [{listed}]")
    columns = [f"errDn({i})\terrUp({i})" for i in range(1, len(reference.errors) + 1)]
    lines.append("\t".join(["# value", *columns]))
    shifts = [_with_flow(reference, shift) for shift in reference.errors.values()]
    for row, value in enumerate(_with_flow(reference, reference.values).tolist()):
        if np.isnan(value):
            lines.append("\t".join([_ABSENT, *[_NO_ERROR] * (2 * len(shifts))]))
        else:
            errors = [_number(sign * float(shift[row])) for shift in shifts for sign in (-1.0, 1.0)]
            lines.append("\t".join([_number(value), *errors]))
    return [*lines, f"END YODA_{kind}"]


def _scatter(reference: _Reference) -> Iterator[list[str]]:
    """Yield the lines of a Scatter2D of YODA 1."""
    if len(reference.axes) != 1:
        msg = f"{reference.title}: expected one axis for YODA 1; found {len(reference.axes)}; write version 2"
        raise ObservableError(msg)
    inner = reference.inner
    axis = reference.axes[0].without_flow()
    broken = {
        point: {label: {"dn": -float(shift[i]), "up": float(shift[i])} for label, shift in reference.errors.items()}
        for point, i in enumerate(inner)
    }
    flow = ", ".join(f"{point}: {{{_flow(parts)}}}" for point, parts in broken.items())
    lines = ["BEGIN YODA_SCATTER2D_V2 " + reference.path, f"ErrorBreakdown: {{{flow}}}"]
    lines += [*reference.annotations("Scatter2D"), "---", "# xval\txerr-\txerr+\tyval\tyerr-\tyerr+"]
    total = np.sqrt(np.diag(reference.covariance))
    for i, centre, width in zip(inner, axis.centers, axis.widths, strict=True):
        numbers = (centre, width / 2, width / 2, reference.values[i], total[i], total[i])
        lines.append("\t".join(map(_number, numbers)))
    yield [*lines, "END YODA_SCATTER2D_V2"]


def _flow(parts: dict[str, dict[str, float]]) -> str:
    return ", ".join(
        f"'{label}': {{dn: {_number(sides['dn'])}, up: {_number(sides['up'])}}}" for label, sides in parts.items()
    )


def write_yoda(measured: Measured, path: str | Path, *, analysis: str, version: YodaVersion = 2) -> Path:
    """Write reference data of YODA, see `yoda_text`; the file whole or not at all.

    Raises
    ------
    ObservableError
        If YODA cannot take the measurement.
    PublishError
        If the file cannot be written.
    """
    path = Path(path)
    text = yoda_text(measured, analysis, version=version)
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(text.encode())
    except OSError as error:
        msg = f"{path}: not written: {error.strerror or error}; nothing is left of it; choose another place"
        raise PublishError(msg) from error
    return path
