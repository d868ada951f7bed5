"""Checks of weights: finite, of one scale, replicas that are replicas, a nominal that follows its rule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.statistics.components import REPLICA_KINDS
from omnifold_pub.validate.findings import Finding, Level

__all__ = ["WEIGHT_CHECKS", "Family", "Scale", "family_findings", "single_findings", "summarise", "total_findings"]

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

_BIAS_PULL = 5.0
_REPLICA_RATIO = 0.1
_VARIATION_RATIO = 2.0
_NEGATIVE_FRACTION = 0.1
_CROSS_SECTION_RATIO = 0.01
_FLOAT32_ROUNDING = 2e-6
_SAME = 1e-9

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
    """

    path: str
    kind: str
    rule: str | None = None
    bits: int | None = None


@dataclass
class _Summary:
    totals: NDArray[np.float64]
    prints: NDArray[np.float64]
    nominal_print: float = 0.0
    bad: int = 0
    negative: int = 0
    size: int = 0
    mismatch: float = 0.0
    extra_bits: bool = False


def _directions(start: int, size: int) -> NDArray[np.float64]:
    """Return a number for each event, between 1 and 2, that no weight knows of: sums with them tell members apart."""
    rows = np.arange(start, start + size, dtype=np.float64)
    return 1.0 + np.modf(rows * 0.6180339887498949)[0]


def summarise(family: Family, blocks: Blocks, nominal: NDArray[Any], members: int) -> _Summary:
    """Go once through a family, block by block."""
    summary = _Summary(np.zeros(members), np.zeros(members))
    mask = np.uint32((1 << (23 - family.bits)) - 1) if family.bits is not None else None
    for start, raw in blocks:
        if mask is not None and (raw.view(np.uint32) & mask).any():
            summary.extra_bits = True
        block = raw.astype(np.float64)
        here = nominal[start : start + len(block)].astype(np.float64)
        along = _directions(start, len(block))
        sums = block.sum(axis=0)
        if not np.isfinite(sums).all():
            summary.bad += int((~np.isfinite(block)).sum())
        if block.size and float(block.min()) < 0:
            summary.negative += int((block < 0).sum())
        summary.size += block.size
        summary.totals += sums
        summary.prints += along @ block
        summary.nominal_print += float(along @ here)
        if family.rule is not None:
            centre = block.mean(axis=1) if family.rule == "mean" else np.median(block, axis=1)
            scale = np.abs(block).max(axis=1)
            off = np.abs(centre - here) / np.where(scale > 0, scale, 1.0)
            summary.mismatch = max(summary.mismatch, float(np.nan_to_num(off, nan=np.inf).max()))
    return summary


def single_findings(path: str, weights: NDArray[Any]) -> Iterator[Finding]:
    """Yield what is amiss in one weight per event."""
    bad, negative = int((~np.isfinite(weights)).sum()), int((weights < 0).sum())
    yield from _sign_findings(path, bad, len(weights), negative)


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
    yield from _total_findings(path, family.kind, summary.totals, scale.total)
    yield from _constant_findings(path, family.kind, summary)
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


def _total_findings(path: str, kind: str, totals: NDArray[np.float64], nominal: float) -> Iterator[Finding]:
    if kind not in REPLICA_KINDS:
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
        return
    mean, error = float(totals.mean()), float(totals.std(ddof=1)) / np.sqrt(len(totals))
    shift = mean - nominal
    if abs(shift) <= _BIAS_PULL * error:
        return
    if abs(shift) > _REPLICA_RATIO * abs(nominal):
        yield Finding(
            "family_total",
            "required",
            path,
            f"members that sum to the nominal's {nominal:.6g}",
            f"{mean:.6g} +- {error:.2g}, {mean / nominal:.4g} times as much",
            "The family is in another unit or normalised another way; rescale it.",
        )
    elif abs(shift) > _FLOAT32_ROUNDING * abs(nominal):
        yield Finding(
            "replica_bias",
            "recommended",
            path,
            f"members whose mean sum is the nominal's {nominal:.6g} within {_BIAS_PULL:g} standard errors",
            f"{mean:.6g} +- {error:.2g}" + (f", a pull of {shift / error:.1f}" if error > 0 else ""),
            "The replicas estimate something else than the nominal; say what, or rerun them.",
        )


def _constant_findings(path: str, kind: str, summary: _Summary) -> Iterator[Finding]:
    prints = summary.prints
    order = np.argsort(prints, kind="stable")
    near = np.abs(np.diff(prints[order])) <= _SAME * np.abs(prints[order[1:]])
    if near.any():
        first = int(np.flatnonzero(near)[0])
        pair = sorted((int(order[first]), int(order[first + 1])))
        yield Finding(
            "constant_replicas",
            "required",
            path,
            "members that differ",
            f"{int(near.sum())} that repeat another, such as members {pair[0]} and {pair[1]}",
            "A seed was used twice; a repeated member makes the covariance too small.",
        )
    equal = np.flatnonzero(np.abs(prints - summary.nominal_print) <= _SAME * abs(summary.nominal_print))
    if len(equal):
        level: Level = "required" if kind in REPLICA_KINDS and len(prints) > 1 else "recommended"
        yield Finding(
            "constant_replicas",
            level,
            path,
            "members that differ from the nominal",
            f"{len(equal)} that repeat it, the first is member {int(equal[0])}",
            "A member that repeats the nominal says nothing; leave it out.",
        )
