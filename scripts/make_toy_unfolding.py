"""Make an unfolding problem with a known answer: correlated Gaussians, smeared, some of them lost.

Usage: ``python scripts/make_toy_unfolding.py FILE.npz [--events 100000] [--observables 24] [--efficiency 0.9]``

Truth: z ~ N(0, S), S of unit diagonal. Nature is the simulation reweighted by

    r(z) = exp(a.z + b (v.z)^2 / 2) / E[the same],   v.S v = 1, b < 1,

which is N(S' a, S') with S' = S + b / (1 - b) (S v)(S v)^T (completing the square; the inverse is
Sherman and Morrison's). Every observable of nature has therefore a known distribution: a Gaussian, or an exponential of
one (every third is). Detector: z + smearing * noise, lost with a probability that depends on the first observable. The
simulation keeps the lost events as misses; the data do not have them. There is no background, and there are no fakes.

Arrays of the file: ``z[event, observable]`` and ``log_r[event]`` of the simulation; ``edges[observable, edge]`` in z of
bins that each hold the same share of nature; ``truth[event, observable]``, ``reco[event, observable]``,
``pass_reco[event]`` and ``data[event, observable]`` as a network sees them, standardised on the simulation, float32.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import norm

BINS = 20
SMEARING = 0.4
SLOPE = 0.5
"""Of the logit of the efficiency, over the first observable."""

_FACTORS = 6

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    """What nature and the simulation are.

    Attributes
    ----------
    covariance : numpy.ndarray
        S, ``[observable, observable]``.
    tilt, direction : numpy.ndarray
        a and v, ``[observable]``.
    curvature : float
        b.
    """

    covariance: Array
    tilt: Array
    direction: Array
    curvature: float

    @property
    def nature_covariance(self) -> Array:
        """S'."""
        along = self.covariance @ self.direction
        return self.covariance + self.curvature / (1 - self.curvature) * np.outer(along, along)

    @property
    def nature_mean(self) -> Array:
        """S' a."""
        return self.nature_covariance @ self.tilt

    def log_ratio(self, z: Array) -> Array:
        """Return log r, ``[event]``, of nature over the simulation."""
        normalisation = 0.5 * np.log1p(-self.curvature) - 0.5 * self.tilt @ self.nature_mean
        result: Array = z @ self.tilt + 0.5 * self.curvature * (z @ self.direction) ** 2 + normalisation
        return result

    def edges(self, bins: int) -> Array:
        """Return ``edges[observable, edge]``, in z, of bins that nature fills alike."""
        shares = np.linspace(0, 1, bins + 1)
        width = np.sqrt(np.diagonal(self.nature_covariance))
        result: Array = norm.ppf(shares) * width[:, None] + self.nature_mean[:, None]
        return result


def make_problem(observables: int, *, rng: np.random.Generator) -> Problem:
    """Draw a problem: a few factors behind all observables, shifts of up to about half a width.

    Examples
    --------
    >>> problem = make_problem(3, rng=np.random.default_rng(1))
    >>> bool(np.allclose(np.diagonal(problem.covariance), 1))
    True
    """
    loadings = rng.normal(size=(observables, _FACTORS))
    covariance = loadings @ loadings.T / _FACTORS + 0.5 * np.eye(observables)
    width = np.sqrt(np.diagonal(covariance))
    covariance = covariance / np.outer(width, width)
    direction = rng.normal(size=observables)
    direction /= np.sqrt(direction @ covariance @ direction)
    tilt = rng.normal(size=observables)
    tilt *= 0.5 / np.sqrt(tilt @ covariance @ tilt)  # r is log-normal with a width of about a half
    return Problem(covariance, tilt, direction, curvature=0.2)


def _recorded(
    z: Array, *, efficiency: float, smearing: float, rng: np.random.Generator
) -> tuple[Array, NDArray[np.bool_]]:
    """Return what a detector makes of z, and whether it sees the event at all."""
    seen = z + smearing * rng.normal(size=z.shape)
    if efficiency == 1:
        return seen, np.ones(len(z), dtype=bool)
    probability = expit(np.log(efficiency / (1 - efficiency)) + SLOPE * z[:, 0])
    return seen, rng.random(len(z)) < probability


def _observables(z: Array) -> Array:
    """Return what is measured: every third observable is an exponential."""
    x = z.copy()
    x[:, ::3] = np.exp(0.5 * z[:, ::3])
    return x


def make_sample(
    *,
    events: int,
    observables: int,
    efficiency: float,
    seed: int,
    smearing: float = SMEARING,
    period: int = 0,
    like: Mapping[str, NDArray[Any]] | None = None,
) -> dict[str, NDArray[Any]]:
    """Return the arrays of the file: ``events`` of the simulation, and as many recorded by the detector.

    Parameters
    ----------
    efficiency : float
        Of events in the middle of the simulation; 1: nothing is lost.
    seed : int
        Of the problem, and of the first period's events.
    smearing : float
        Of the detector.
    period : int
        Another one has other events of the same problem.
    like : mapping, optional
        Arrays of an earlier period, whose networks are to be used: standardised with its mean and width.
    """
    rng = np.random.default_rng(seed)
    problem = make_problem(observables, rng=rng)
    if period:
        rng = np.random.default_rng([seed, period])
    z = rng.multivariate_normal(np.zeros(observables), problem.covariance, size=events, method="cholesky")
    seen, pass_reco = _recorded(z, efficiency=efficiency, smearing=smearing, rng=rng)
    data = np.empty((0, observables))
    while len(data) < events:
        nature = rng.multivariate_normal(problem.nature_mean, problem.nature_covariance, size=events, method="cholesky")
        recorded, kept = _recorded(nature, efficiency=efficiency, smearing=smearing, rng=rng)
        data = np.concatenate([data, recorded[kept]])
    truth, reco = _observables(z), _observables(seen)

    scales: dict[str, NDArray[Any]] = {
        f"{level}_scale": np.stack([x.mean(axis=0), x.std(axis=0)]) if like is None else like[f"{level}_scale"]
        for level, x in (("truth", truth), ("reco", reco[pass_reco]))
    }

    def scaled(x: Array, level: str) -> NDArray[np.float32]:
        mean, width = scales[f"{level}_scale"]
        result: NDArray[np.float32] = ((x - mean) / width).astype(np.float32)
        return result

    arrays: dict[str, NDArray[Any]] = {
        "z": z,
        "log_r": problem.log_ratio(z),
        "edges": problem.edges(BINS),
        "truth": scaled(truth, "truth"),
        "reco": scaled(reco, "reco"),
        "pass_reco": pass_reco,
        "data": scaled(_observables(data[:events]), "reco"),
    }
    return arrays | scales


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--observables", type=int, default=24)
    parser.add_argument("--efficiency", type=float, default=0.9)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    sizes = {name: getattr(arguments, name) for name in ("events", "observables", "efficiency", "seed")}
    np.savez(arguments.file, allow_pickle=False, **make_sample(**sizes))


if __name__ == "__main__":
    main()
