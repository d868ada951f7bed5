"""Checks of weights: finite, of one scale, replicas that are replicas, a nominal that follows its rule."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.statistics.components import REPLICA_KINDS
from omnifold_pub.statistics.distributions import student_quantile
from omnifold_pub.validate.findings import Finding, Level

__all__ = [
    "WEIGHT_CHECKS",
    "Family",
    "Scale",
    "family_findings",
    "scale_findings",
    "single_findings",
    "summarise",
    "total_findings",
]

WEIGHT_CHECKS = (
    "finite_weights",
    "negative_weights",
    "nominal_total",
    "cross_section",
    "effective_events",
    "family_total",
    "replica_bias",
    "constant_replicas",
    "central_value",
    "precision",
)
"""Codes of the checks here."""

_BIAS_TAIL = math.erfc(5 / math.sqrt(2)) / 2
"""Probability to lie so far off on one side, as a normal number beyond 5 standard deviations has."""
_REPLICA_RATIO = 0.1
_MEMBER_RATIO = 2.0
_NEGATIVE_FRACTION = 0.1
_CROSS_SECTION_RATIO = 0.01
_FLOAT32_ROUNDING = 2e-6
_SAME = 1e-12
_SLICE_BYTES = 8 * 1024 * 1024

Blocks = Iterator[tuple[int, NDArray[Any]]]


@dataclass
class Scale:
    """Sums over the nominal weights of one set of events, which families are held against.

    Attributes
    ----------
    total : float
        Sum of the weights, in their unit.
    effective : float
        ``(sum w)**2 / sum w**2``.
    """

    total: float
    effective: float

    @classmethod
    def of(cls, nominal: NDArray[Any]) -> Scale:
        """Sum up."""
        with np.errstate(invalid="ignore"):  # a total that is not finite is reported as such
            weights = nominal.astype(np.float64)
        total, squares = float(weights.sum()), float((weights**2).sum())
        return cls(total, total**2 / squares if squares > 0 else 0.0)

    @property
    def sound(self) -> bool:
        """Whether families can be held against it."""
        return bool(np.isfinite(self.total)) and self.total > 0


@dataclass(frozen=True)
class Family:
    """What is checked of a family.

    Attributes
    ----------
    path : str
        Of its dataset.
    kind : str
        Of its component.
    rule : {"mean", "median"}, optional
        How the nominal is made of it, if it is.
    bits : int, optional
        Bits of the significand that were kept, if it is not lossless.
    may_hold_nominal : bool
        Whether the nominal may be one of its members.
    """

    path: str
    kind: str
    rule: str | None = None
    bits: int | None = None
    may_hold_nominal: bool = False


@dataclass
class _Summary:
    totals: NDArray[np.float64]
    prints: NDArray[np.float64]
    """``[direction, member]``"""
    nominal_print: NDArray[np.float64]
    bad: int = 0
    negative: int = 0
    size: int = 0
    mismatch: float = 0.0
    extra_bits: bool = False


def _directions(start: int, size: int) -> NDArray[np.float64]:
    """Return two numbers for each event that no weight knows of: two sums with them tell members apart."""
    rows = np.arange(start, start + size, dtype=np.float64)
    return np.stack([1 + np.modf(rows * irrational)[0] for irrational in (0.6180339887498949, 0.4142135623730951)])


def summarise(family: Family, blocks: Blocks, nominal: NDArray[Any], members: int) -> _Summary:
    """Go once through a family, block by block."""
    summary = _Summary(np.zeros(members), np.zeros((2, members)), np.zeros(2))
    mask = np.uint32((1 << (23 - family.bits)) - 1) if family.bits is not None else None
    step = max(1, _SLICE_BYTES // (8 * members))
    # In double precision a whole block would take twice its memory, and leave the cache.
    slices = ((top + low, block[low : low + step]) for top, block in blocks for low in range(0, len(block), step))
    for start, raw in slices:
        if mask is not None and (raw.view(np.uint32) & mask).any():
            summary.extra_bits = True
        summary.size += raw.size
        with np.errstate(invalid="ignore"):  # what is not finite is counted, with its place
            block = raw.astype(np.float64)
            here = nominal[start : start + len(block)].astype(np.float64)
            sums = block.sum(axis=0)
        if not np.isfinite(sums).all():
            finite = np.isfinite(block)
            summary.bad += block.size - int(finite.sum())
            block = np.where(finite, block, 0.0)
        if float(block.min()) < 0:
            summary.negative += int((block < 0).sum())
        summary.totals += sums
        along = _directions(start, len(block))
        summary.prints += along @ block
        summary.nominal_print += along @ here
        if family.rule is not None:
            centre = block.mean(axis=1) if family.rule == "mean" else _median(raw)
            scale = np.maximum(np.abs(block).max(axis=1), np.abs(here))
            off = np.abs(centre - here) / np.where(scale > 0, scale, 1.0)
            summary.mismatch = max(summary.mismatch, float(np.nan_to_num(off, nan=np.inf).max()))
    return summary


def _median(members: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the median of each row; sorting single precision takes a tenth of the time of ``numpy.median``."""
    ordered, count = np.sort(members, axis=1), members.shape[1]
    middle: NDArray[np.float64] = ordered[:, (count - 1) // 2].astype(np.float64) + ordered[:, count // 2]
    return middle / 2


def single_findings(path: str, weights: NDArray[Any]) -> Iterator[Finding]:
    """Yield what is amiss in one weight per event."""
    finite = np.isfinite(weights)
    negative = int((weights[finite] < 0).sum())
    yield from _sign_findings(path, len(weights) - int(finite.sum()), len(weights), negative)


def _sign_findings(path: str, bad: int, size: int, negative: int) -> Iterator[Finding]:
    if bad:
        hint = "A training diverged; leave its member out."
        yield Finding("finite_weights", "required", path, "finite weights", f"{bad} of {size} are not", hint)
    if negative:
        many = negative > _NEGATIVE_FRACTION * size
        level: Level = "recommended" if many else "optional"
        hint = "Expected of signed generator weights alone." + (" So many make sums unstable." if many else "")
        found = f"{negative} of {size} ({negative / size:.2g})"
        yield Finding("negative_weights", level, path, "no negative weight", found, hint)


def total_findings(metadata: dict[str, Any], scale: Scale) -> Iterator[Finding]:
    """Yield what is amiss in the nominal's sum and in the number of events that it stands for."""
    path, unit = "/weights/nominal", metadata["weights"]["unit"]
    if not scale.sound:
        if np.isfinite(scale.total):  # otherwise its weights are reported already
            hint = "The sum of all weights is the fiducial cross section."
            yield Finding("nominal_total", "required", path, "a sum above 0", f"{scale.total:g}", hint)
        return
    stated = metadata["cross_section"]
    expected = stated["value"] * {"fbpb": 1e-3, "pbfb": 1e3}.get(stated["unit"] + unit, 1.0)
    ratio = scale.total / expected
    if abs(ratio - 1) > _CROSS_SECTION_RATIO:
        thousand = any(abs(ratio / factor - 1) <= _CROSS_SECTION_RATIO for factor in (1e-3, 1e3))
        yield Finding(
            "cross_section",
            "required",
            path,
            f"weights that sum to the stated fiducial cross section, {stated['value']:g} {stated['unit']}",
            f"{scale.total:.6g} {unit}, {ratio:.4g} times as much",
            "A factor of 1000: the weights are in the other unit." if thousand else "Rescale them, or mend the number.",
        )
    least = metadata["validity"]["minimum_effective_events_per_bin"]
    if scale.effective < least:
        yield Finding(
            "effective_events",
            "recommended",
            path,
            f"at least the {least} effective events that the metadata ask of each bin",
            f"{scale.effective:.0f} in the whole release",
            "No bin of any observable can be vouched for: publish more events, or ask for fewer.",
        )


def family_findings(family: Family, summary: _Summary, scale: Scale) -> Iterator[Finding]:
    """Yield what is amiss in a family."""
    path = f"/{family.path}"
    yield from _sign_findings(path, summary.bad, summary.size, summary.negative)
    if summary.extra_bits:
        hint = "Publish it again with this precision, or declare it lossless."
        yield Finding("precision", "required", path, f"{family.bits} bits of significand", "more", hint)
    if summary.bad or not scale.sound:
        return
    yield from _total_findings(family, summary.totals, scale.total)
    yield from _constant_findings(family, summary)
    room = _FLOAT32_ROUNDING if family.bits is None else 2.0**-family.bits
    if summary.mismatch > room:
        yield Finding(
            "central_value",
            "required",
            "/weights/nominal",
            f"the {family.rule} of {path}",
            f"events off by up to {summary.mismatch:.2g} of their largest member",
            "Recompute the nominal, or declare the rule that it follows.",
        )


def _total_findings(family: Family, totals: NDArray[np.float64], nominal: float) -> Iterator[Finding]:
    path, replicas = f"/{family.path}", family.kind in REPLICA_KINDS and len(totals) > 1
    mean, spread = float(totals.mean()), float(totals.std(ddof=1)) if len(totals) > 1 else 0.0
    # A nominal that is a single run scatters as its replicas do.
    error = spread * np.sqrt(1 / len(totals) + family.may_hold_nominal)
    shift = mean - nominal
    far = replicas and abs(shift) > -student_quantile(_BIAS_TAIL, len(totals) - 1) * error
    off = np.flatnonzero((totals <= nominal / _MEMBER_RATIO) | (totals >= nominal * _MEMBER_RATIO))
    if (far and abs(shift) > _REPLICA_RATIO * abs(nominal)) or (replicas and len(off) == len(totals)):
        yield Finding(
            "family_total",
            "required",
            path,
            f"members that sum to the nominal's {nominal:.6g}",
            f"{mean:.6g} +- {error:.2g}, {mean / nominal:.4g} times as much",
            "The family is in another unit or normalised another way; rescale it.",
        )
        return
    for member in off:
        yield Finding(
            "family_total",
            "required",
            f"{path}[:, {member}]",
            f"a sum within a factor {_MEMBER_RATIO:g} of the nominal's {nominal:.6g}",
            f"{totals[member]:.6g}, {totals[member] / nominal:.4g} times as much",
            "A member this far off is a mistake of unit or normalisation, or a training that failed.",
        )
    # What the nominal is made of has its own check; and a sum of medians is no mean of sums.
    if far and family.rule is None and abs(shift) > _FLOAT32_ROUNDING * abs(nominal):
        yield Finding(
            "replica_bias",
            "recommended",
            path,
            f"members whose mean sum is the nominal's {nominal:.6g} within their scatter",
            f"{mean:.6g} +- {error:.2g}" + (f", a pull of {shift / error:.1f}" if error > 0 else ""),
            "The replicas estimate something else than the nominal; say what, or rerun them.",
        )


def _constant_findings(family: Family, summary: _Summary) -> Iterator[Finding]:
    path, prints = f"/{family.path}", summary.prints
    order = np.argsort(prints[0], kind="stable")
    near = (np.abs(np.diff(prints[:, order])) <= _SAME * np.abs(prints[:, order[1:]])).all(axis=0)
    if near.any():
        first = int(np.flatnonzero(near)[0])
        pair = sorted((int(order[first]), int(order[first + 1])))
        yield Finding(
            "constant_replicas",
            "required",
            path,
            "members that differ",
            f"{int(near.sum())} that repeat another, such as members {pair[0]} and {pair[1]}",
            "A seed was used twice, or trainings learned nothing; a repeated member makes the covariance too small.",
        )
    reference = summary.nominal_print[:, np.newaxis]
    equal = np.flatnonzero((np.abs(prints - reference) <= _SAME * np.abs(reference)).all(axis=0))
    if len(equal) and not (family.may_hold_nominal and len(equal) == 1):
        level: Level = "required" if family.kind in REPLICA_KINDS and prints.shape[1] > 1 else "recommended"
        yield Finding(
            "constant_replicas",
            level,
            path,
            "members that differ from the nominal",
            f"{len(equal)} that repeat it, the first is member {int(equal[0])}",
            "A member that repeats the nominal says nothing; leave it out.",
        )


def scale_findings(path: str, total: float, nominal: float, level: Level) -> Iterator[Finding]:
    """Yield a finding if other weights are not of the nominal's scale."""
    if not nominal / _MEMBER_RATIO < total < nominal * _MEMBER_RATIO:
        yield Finding(
            "family_total",
            level,
            path,
            f"a sum within a factor {_MEMBER_RATIO:g} of the nominal's {nominal:.6g}",
            f"{total:.6g}, {total / nominal:.4g} times as much",
            "Weights of one release are in one unit and normalised in one way; rescale them.",
        )
