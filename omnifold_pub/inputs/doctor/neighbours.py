"""Data far from every simulated event in all observables together, though near in each by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.inputs.doctor.findings import Finding, Level, listed, percent
from omnifold_pub.inputs.doctor.sheets import Book, Side
from omnifold_pub.inputs.doctor.support import ERROR

__all__ = ["NEIGHBOUR_CHECKS", "Neighbours", "compare_neighbours", "neighbour_findings"]

NEIGHBOUR_CHECKS = ("far_from_simulation",)
"""Codes of the checks here."""

CHANCE = 1e-3
"""Probability of a false finding where data and simulation follow the same law."""
TAIL = 0.002
"""Fraction of the simulation that is as lonely as what counts as far."""
TIMES = 3.0
"""Part of the data that is far, in units of the simulation's, below which it is a density and no lack of support."""
LARGEST_SAMPLE = 8000
"""Events of each of the three samples that are compared."""
SMALLEST_SAMPLE = 500
"""Fewer say nothing of a tail."""
_FLOOR = 1e-3
"""Smallest standard deviation, relative, of a direction: below it there is rounding."""
_BLOCK = 1000
_SEED = 4711

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Neighbours:
    """Outcome of the comparison.

    Attributes
    ----------
    far : float
        Fraction of the data that is further from the simulation than `TAIL` of the simulation is.
    expected : float
        That fraction of the simulation.
    beyond : float
        Fraction of the data that is further than any simulated event of the control.
    p_value : float
        Probability of so many far data by chance.
    features : numpy.ndarray
        ``[feature]``: share of the squared distance of the far data, as far as it is positive.
    rows : numpy.ndarray
        The far events among the data given, the furthest first.
    """

    far: float
    expected: float
    beyond: float
    p_value: float
    features: Array
    rows: NDArray[np.int64]


def compare_neighbours(data: Array, simulation: Array, *, data_weight: Array, simulation_weight: Array) -> Neighbours:
    """Compare distances of data and of simulation to their nearest simulated event.

    Three samples are drawn: of the data, and two disjoint ones of the simulation: a reference and a control. Features
    are whitened by the reference. d is the distance to the nearest event of the reference, for data and for control.
    Events of equal laws have exchangeable distances: of n data events, the number beyond the t-th largest of q control
    distances is beta-binomial with (n, t, q + 1 - t), whatever the law and the metric, as for conformal p-values (Bates
    et al., Ann. Statist. 51 (2023) 149, arXiv:2104.08279). So ``p_value`` is exact where weights are equal. Other
    weights resample data and control, which repeats events: n and q are then effective numbers, an approximation;
    negative weights count by their size.

    It does not see what is a little off in one of many directions; each observable has a check of its own.

    Parameters
    ----------
    data, simulation : numpy.ndarray
        ``[event, feature]``, finite.
    data_weight, simulation_weight : numpy.ndarray
        ``[event]``.

    Returns
    -------
    Neighbours
        Of at most `LARGEST_SAMPLE` events of each.
    """
    from scipy import stats  # slow to import

    rng = np.random.default_rng(_SEED)
    size = min(LARGEST_SAMPLE, len(data), len(simulation) // 2)
    pool = rng.permutation(len(simulation))
    half = len(simulation) // 2
    reference = simulation[pool[: min(half, LARGEST_SAMPLE)]]
    picked, n = _draw(np.arange(len(data)), np.abs(data_weight), size, rng)
    control, q = _draw(pool[half:], np.abs(simulation_weight), size, rng)
    centre = reference.mean(axis=0)
    width, axes = np.linalg.eigh(np.cov(reference - centre, rowvar=False).reshape(reference.shape[1], -1))
    whitening = axes / np.sqrt(np.maximum(width, _FLOOR**2 * max(float(width.max()), 1e-300)))
    base = (reference - centre) @ whitening
    d_data, nearest = _nearest((data[picked] - centre) @ whitening, base)
    d_control, _ = _nearest((simulation[control] - centre) @ whitening, base)
    t = max(1, round(TAIL * len(control)))
    threshold = np.partition(d_control, -t)[-t]
    far = d_data > threshold
    # In effective events, rounded against a finding.
    t_eff, k_eff = max(1, round(t * q / len(control))), int(far.sum() * n / len(picked))
    p_value = float(stats.betabinom.sf(k_eff - 1, round(n), t_eff, max(round(q) + 1 - t_eff, 1)))
    order = np.flatnonzero(far)[np.argsort(-d_data[far])]
    # d^2 is a sum over features of displacement times (inverse covariance times displacement), as for Mahalanobis.
    apart = data[picked[order]] - reference[nearest[order]]
    parts = np.maximum((apart * (apart @ (whitening @ whitening.T))).sum(axis=0), 0.0)
    return Neighbours(
        far=float(far.mean()),
        expected=t / len(control),
        beyond=float((d_data > d_control.max()).mean()),
        p_value=p_value,
        features=parts / max(float(parts.sum()), 1e-300),
        rows=np.array(list(dict.fromkeys(picked[order].tolist())), dtype=np.int64),
    )


def _draw(
    rows: NDArray[np.int64], weight: Array, size: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], float]:
    """Return rows drawn by weight, and how many they are worth."""
    w = weight[rows]
    if (w == w[0]).all():
        return rng.permutation(rows)[:size], float(min(size, len(rows)))
    drawn = rng.choice(rows, size=size, p=w / w.sum())
    counts = np.unique(drawn, return_counts=True)[1].astype(np.float64)
    return drawn, float(counts.sum() ** 2 / (counts**2).sum())


def _nearest(x: Array, base: Array) -> tuple[Array, NDArray[np.int64]]:
    """Return the distance to the nearest row of ``base``, and which it is; a product of matrices beats a tree here."""
    which = np.empty(len(x), dtype=np.int64)
    coarse, norms = base.astype(np.float32).T, (base**2).sum(axis=1).astype(np.float32)
    for start in range(0, len(x), _BLOCK):
        block = x[start : start + _BLOCK].astype(np.float32)
        which[start : start + _BLOCK] = (norms - 2 * (block @ coarse)).argmin(axis=1)
    return np.sqrt(((x - base[which]) ** 2).sum(axis=1)), which


def _encoded(book: Book, data: Side, simulation: Side) -> tuple[Array, Array, list[str]]:
    """Return features of data and simulation as the networks have them, not yet standardised, and whose each is.

    The simulation's median stands in for what is absent; a flag tells, one for all that are absent together.
    """
    features: list[tuple[Array, Array]] = []
    owners: list[str] = []
    told: set[bytes] = set()
    for observable in book.analysis.observables:
        name = observable.name
        if name not in data.values or name not in simulation.values:
            continue
        pair = [side.picked(name).astype(np.float64) for side in (data, simulation)]
        known = [np.isfinite(values) for values in pair]
        if not known[1].any():
            continue
        fill = float(np.median(pair[1][known[1]]))
        pair = [np.where(there, values, fill) for values, there in zip(pair, known, strict=True)]
        if observable.encoding == "angle":
            encoded = [[turn(values) for values in pair] for turn in (np.cos, np.sin)]
        elif observable.encoding == "log":
            encoded = [[np.log(np.maximum(values + observable.offset, 1e-6)) for values in pair]]
        else:
            encoded = [pair]
        mask = np.packbits(known[1]).tobytes() + np.packbits(known[0]).tobytes()
        if not (known[0].all() and known[1].all()) and mask not in told:
            told.add(mask)
            encoded.append([there.astype(np.float64) for there in known])
        features += [(one[0], one[1]) for one in encoded]
        owners += [name] * len(encoded)
    if not features:
        return np.empty((len(data.picked_weight), 0)), np.empty((len(simulation.picked_weight), 0)), []
    return np.stack([x for x, _ in features], axis=1), np.stack([y for _, y in features], axis=1), owners


def neighbour_findings(book: Book) -> Iterator[Finding]:
    """Yield whether part of the data is further from the simulation than simulated events are from each other."""
    data, simulation = book.data.reco, book.expectation
    if data is None or simulation is None:
        return
    x, y, owners = _encoded(book, data, simulation)
    if not owners or len(x) < SMALLEST_SAMPLE or len(y) < 2 * SMALLEST_SAMPLE:
        return
    w_d, w_s = data.picked_weight, simulation.picked_weight
    if not (np.abs(w_d).sum() > 0 and np.abs(w_s).sum() > 0):
        return
    outcome = compare_neighbours(x, y, data_weight=w_d, simulation_weight=w_s)
    if outcome.p_value >= CHANCE:
        return
    shares: dict[str, float] = {}
    for name, share in zip(owners, outcome.features.tolist(), strict=True):
        shares[name] = shares.get(name, 0.0) + share
    worst = sorted(shares, key=lambda name: -shares[name])[:4]
    level: Level = "note"
    if outcome.far >= TIMES * outcome.expected:
        level = "error" if outcome.beyond >= ERROR else "warning"
    rows = np.flatnonzero(data.selected)[outcome.rows[:3]]
    yield Finding(
        "far_from_simulation",
        level,
        f"{book.data.where}: {len(shares)} observables together",
        f"{percent(outcome.expected)} of the data as far from the simulation as the loneliest "
        f"{percent(outcome.expected)} of the simulation are",
        f"{percent(outcome.far)}, and {percent(outcome.beyond)} further than all of them; p = {outcome.p_value:.1g}; "
        f"mostly in {listed([f'{name} ({percent(shares[name])})' for name in worst])}; "
        f"the furthest in rows {', '.join(map(str, rows))}",
        "Large weights or none bring events there: look at these events, cut them away, or simulate with more reach.",
    )
