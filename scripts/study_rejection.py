"""Measure how often true and wrong theories are rejected, and how well a parameter is found, over real unfoldings.

Usage: ``python scripts/study_rejection.py RELEASE INPUTS [--part bins|events|toy|fit] [--experiments 400] [--seed 1]``

RELEASE is an unfolding of pseudo-data with bootstraps of data and simulation, INPUTS a folder with ``data_truth.root``
and ``theory.root``. For the ones that come with this project::

    python scripts/study_rejection.py build/demo/release.h5 tests/data/zjets

Each pseudo-experiment takes one replica of the data and one of the simulation: an unfolding, by the real networks, of
pseudo-data and simulation that were drawn anew. How far these are from the mean of the others, put on the truth of the
pseudo-data, is the measurement; the other replicas are its covariance. The theory fluctuates as its number of events
says. What the unfolding is biased by is the same in all replicas and not in this: see the closure table for that.

``bins``: `compare` in bins, the truth and two wrong theories. ``events``: `compare_unbinned`, the same, with and
without the replicas that carry the multiplicities of the simulation's events. ``toy``: the unbinned tests where events,
data and theory are all drawn anew from known laws. ``fit``: a reweighting like that of another strong coupling,
injected into the truth, and fitted.

Errors of rates are those of the mean over the data's replicas, of which each comes in many pseudo-experiments.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from omnifold_pub import Estimate, Release, Theory, open_release
from omnifold_pub.accumulation.evaluation import EVENT_SAMPLING_REPLICAS
from omnifold_pub.closure import prior_theory
from omnifold_pub.reinterpret.fitting import BoundModel, Function, Reweighting, fit
from omnifold_pub.reinterpret.two_sample.features import Discriminant, Features, Slices
from omnifold_pub.reinterpret.two_sample.means import release_means, theory_means
from omnifold_pub.reinterpret.two_sample.points import Points, points_of
from omnifold_pub.reinterpret.unbinned import sampling_modes, tests_of_means
from omnifold_pub.statistics.components import Component, ComponentResult, component_covariance
from omnifold_pub.statistics.inference import chi2_test

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

LEVEL = 0.05
TOYS = 999
BINS: dict[str, list[float]] = {
    "pT_ll": [200, 215, 235, 260, 300, 370, 1000],
    "m_trackj1": [0, 5, 8, 11, 15, 20, 60],
    "Ntracks_trackj1": [1, 6, 9, 12, 15, 19, 40],
    "tau1_trackj1": [0, 0.08, 0.13, 0.18, 0.24, 0.31, 1],
}
"""Observables with the bins that they are compared in."""
JOINT = ("pT_ll", "m_trackj1")
"""Those that are compared together too."""


def rate(p_values: Sequence[float], groups: Sequence[int] = ()) -> str:
    """Return how often a theory is rejected at 5 %, in percent, with its error from groups that are independent."""
    rejected = np.array(p_values) <= LEVEL
    means = [rejected[np.array(groups) == group].mean() for group in set(groups)]
    several = len(means) > 1
    error = np.std(means, ddof=1) / np.sqrt(len(means)) if several else np.sqrt(LEVEL * (1 - LEVEL) / len(rejected))
    return f"{100 * rejected.mean():.1f} +- {100 * error:.1f}"


def left_out(members: Matrix, number: int) -> tuple[Vector, Matrix]:
    """Return how far one member is from the mean of the others, scaled to the covariance of one, and the others."""
    others = np.delete(members, number, axis=0)
    shift: Vector = (members[number] - others.mean(axis=0)) * np.sqrt(len(others) / len(members))
    return shift, others


def pairs(release: Release, experiments: int, rng: np.random.Generator) -> tuple[list[Component], Iterator[list[int]]]:
    """Return the bootstraps of a release, and for each pseudo-experiment a member of each; no choice comes twice."""
    boots = [component for component in release.components if component.kind == "bootstrap"]
    shape = [component.members for component in boots]
    chosen = rng.permutation(int(np.prod(shape)))[:experiments]
    return boots, ([int(i) for i in np.unravel_index(one, shape)] for one in chosen)


def measured_anew(
    measurement: Estimate, boots: Sequence[Component], members: Sequence[int], centre: Vector
) -> Estimate:
    """Return a pseudo-experiment around an expectation."""
    nominal, results = centre.copy(), []
    for component, number in zip(boots, members, strict=True):
        shift, others = left_out(measurement.members(component.name), number)
        nominal += shift
        kept = replace(component, members=len(others))
        results.append(ComponentResult(kept, others, component_covariance(kept, others, centre, central="single")))
    return replace(measurement, nominal=nominal, results=tuple(results))


def fluctuation(covariance: Matrix, rng: np.random.Generator) -> Vector:
    """Draw from a covariance that may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    drawn: Vector = vectors @ (np.sqrt(np.maximum(values, 0)) * rng.standard_normal(len(values)))
    return drawn


def print_row(*cells: object) -> None:
    """Print a row of a markdown table."""
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)  # noqa: T201 - a script


def study_bins(release: Release, theories: Mapping[str, Theory], experiments: int, seed: int) -> None:
    """Compare in bins."""
    print_row("Rejected at 5 %, in bins", "bins", *theories)
    print_row(*["---"] * (2 + len(theories)))
    wanted = [*([name] for name in BINS), list(JOINT)]
    for names in wanted:
        measurement = release.measure({name: BINS[name] for name in names})
        predicted = {name: theory.predict(measurement) for name, theory in theories.items()}
        truth = next(iter(predicted.values()))[0]
        p_values: dict[str, list[float]] = {name: [] for name in theories}
        groups: list[int] = []
        rng = np.random.default_rng(seed)
        boots, chosen = pairs(release, experiments, rng)
        for members in chosen:
            drawn = measured_anew(measurement, boots, members, truth)
            for name, (values, covariance) in predicted.items():
                residual = drawn.nominal - values - fluctuation(covariance, rng)
                p_values[name].append(chi2_test(residual, drawn.results, covariance, toys=TOYS).p_value)
            groups.append(members[0])
        print_row(" + ".join(names), len(truth), *(rate(one, groups) for one in p_values.values()))


def points_with(release: Release, theory: Theory, names: Sequence[str]) -> tuple[Points, Points]:
    """Return release and theory as points: values, and ranks."""
    own, others = (
        [np.asarray(events[n], dtype=np.float64) for n in names] for events in (release.events, theory.events)
    )
    plain, ranked = (points_of(own, others, theory.weights, names, ranks=ranks) for ranks in (False, True))
    return plain, ranked


def study_events(release: Release, theories: Mapping[str, Theory], experiments: int, seed: int) -> None:
    """Compare without bins."""
    print_row("Rejected at 5 %, without bins", "null distribution", "test", *theories)
    print_row(*["---"] * (3 + len(theories)))
    carriers = [c.name for c in release.components if c.includes_event_sampling or c.kind == "event_sampling"]
    for names in (list(JOINT), [*BINS], list(release.events)):
        truth = next(iter(theories.values()))
        plain, ranked = points_with(release, truth, names)
        both = [np.concatenate([points.unfolded, points.truth]) for points in (plain, ranked)]
        shares = [release.nominal_weights.astype(np.float64), truth.weights]
        weights = np.concatenate([share / share.sum() for share in shares])
        kinds: list[Features] = [Slices.of(both[0], projections=20), Discriminant.of(both[1], weights)]
        rng = np.random.default_rng(seed)
        boots, chosen = pairs(release, experiments, rng)
        means = release_means(release, boots, [plain.unfolded, ranked.unfolded], kinds)
        predicted = {}
        for name, theory in theories.items():
            others = points_with_reference(theory, truth, names)
            predicted[name] = theory_means(theory, list(others), kinds)
        found: dict[tuple[str, str, str], list[float]] = {}
        groups: list[int] = []
        for members in chosen:
            groups.append(members[0])
            for number, kind in enumerate(kinds):
                centre = next(iter(predicted.values()))[number][0]
                for label, used in (
                    ("all replicas", boots),
                    ("without events", [b for b in boots if b.name not in carriers]),
                ):
                    for name, sets in predicted.items():
                        drawn = experiment(means[number], boots, members, centre, used)
                        theory_set = sets[number][rng.permutation(len(sets[number]) - 1) + 1]
                        shift, rest = left_out(theory_set, 0)
                        moved = sets[number][0] + shift
                        own = [sampling_modes(np.vstack([moved, rest]))]
                        kept = [replace(one, members=one.members - 1) for one in used]
                        tests = tests_of_means(kind, drawn, moved, kept, own, central="single", number=400)
                        for test in tests:
                            found.setdefault((label, test.name, name), []).append(test.p_value)
        what = " + ".join(names) if len(names) < 5 else f"all {len(names)} columns"
        for label, test_name in dict.fromkeys((a, b) for a, b, _ in found):
            print_row(what, label, test_name, *(rate(found[label, test_name, name], groups) for name in theories))


def points_with_reference(theory: Theory, reference: Theory, names: Sequence[str]) -> tuple[Matrix, Matrix]:
    """Return a theory as points, in the coordinates that another one defines."""
    own, others = ([np.asarray(t.events[n], dtype=np.float64) for n in names] for t in (theory, reference))
    plain, ranked = (points_of(own, others, reference.weights, names, ranks=ranks).unfolded for ranks in (False, True))
    return plain, ranked


def experiment(
    means: Matrix, boots: Sequence[Component], members: Sequence[int], centre: Vector, used: Sequence[Component]
) -> Matrix:
    """Return ``mean[set, feature]`` of a pseudo-experiment: nominal, then the other members of components used."""
    nominal, sets, place = centre.copy(), [], 1
    for component, number in zip(boots, members, strict=True):
        shift, others = left_out(means[place : place + component.members], number)
        nominal += shift
        place += component.members
        if component in used:
            sets.append(others)
    return np.concatenate([nominal[np.newaxis], *sets])


def toy_p_values(rng: np.random.Generator, *, events: int = 2_000, replicas: int = 20) -> dict[tuple[str, str], float]:
    """Return p-values of a true theory by test and null distribution, everything drawn anew.

    Data come from a normal law in three dimensions. The release is simulation of another normal law, each event
    weighted with the ratio of the densities, that of the data as fitted to them; replicas refit resampled data.
    """
    dimensions, names = 3, ["a", "b", "c"]

    def density(x: Matrix, sample: Matrix | None = None) -> Vector:
        mean = np.zeros(dimensions) if sample is None else sample.mean(axis=0)
        covariance = np.eye(dimensions) if sample is None else np.cov(sample.T)
        off = x - mean
        exponent = np.einsum("ij,ij->i", off @ np.linalg.inv(covariance), off)
        return np.asarray(np.exp(-exponent / 2) / np.sqrt(np.linalg.det(covariance)), dtype=np.float64)

    simulation = rng.normal(size=(events, dimensions))
    data, theory = (0.95 * rng.normal(size=(events, dimensions)) + 0.2 for _ in range(2))
    rows = [np.arange(events), *rng.integers(events, size=(replicas, events))]
    weights = np.stack([density(simulation, data[row]) / density(simulation) for row in rows], axis=1)
    drawn, own = rng.poisson(1, (2, events, EVENT_SAMPLING_REPLICAS)).astype(np.float64)
    sets = np.concatenate([weights, weights[:, :1] * drawn], axis=1)
    others = np.concatenate([np.ones((events, 1)), own], axis=1)
    plain, ranked = (
        points_of(list(simulation.T), list(theory.T), np.ones(events), names, ranks=ranks) for ranks in (False, True)
    )
    both = [np.concatenate([points.unfolded, points.truth]) for points in (plain, ranked)]
    shares = np.concatenate([weights[:, 0] / weights[:, 0].sum(), np.full(events, 1 / events)])
    kinds: list[tuple[Features, Points]] = [
        (Slices.of(both[0], projections=10, cells=60), plain),
        (Discriminant.of(both[1], shares), ranked),
    ]
    components = [Component("data", "bootstrap", members=replicas), Component("events", "event_sampling")]
    found = {}
    for kind, points in kinds:
        measured = (kind.sums(points.unfolded, sets) / sets.sum(axis=0)).T
        predicted = (kind.sums(points.truth, others) / others.sum(axis=0)).T
        for label, used in (("with event sampling", components), ("replicas alone", components[:1])):
            own = [sampling_modes(predicted)]
            for test in tests_of_means(kind, measured, predicted[0], used, own, central="single", number=500):
                found[test.name, label] = test.p_value
    return found


def study_toy(experiments: int, seed: int) -> None:
    """Compare without bins, where all laws are known."""
    rng = np.random.default_rng(seed)
    drawn = [toy_p_values(rng) for _ in range(experiments)]
    labels = list(dict.fromkeys(label for _, label in drawn[0]))
    print_row("True theory of the toy, rejected at 5 %", *labels)
    print_row(*["---"] * (1 + len(labels)))
    for test in dict.fromkeys(name for name, _ in drawn[0]):
        print_row(test, *(rate([one[test, label] for one in drawn]) for label in labels))


def coupling(theory: Theory) -> Reweighting:
    """Return a theory whose events with more tracks in the leading jet weigh more, as with a larger strong coupling."""
    tracks = np.nan_to_num(np.asarray(theory.events["Ntracks_trackj1"], dtype=np.float64))
    pull = np.clip((tracks - 12) / 6, -2, 2)
    return Reweighting(theory, {"c": theory.weights * pull}, {"c": theory.weights * pull**2 / 2})


def study_fit(release: Release, truth: Theory, experiments: int, seed: int) -> None:
    """Inject a reweighting and fit it."""
    print_row("Fit of c", "injected", "mean pull", "width", "mean error", "p <= 5 %")
    print_row(*["---"] * 6)
    measurement = release.measure({name: BINS[name] for name in JOINT})
    bound = coupling(truth).of(measurement)
    for injected in (0.0, 0.2):
        at = np.array([injected])
        centre, own = bound.predict(at), bound.covariance(at)
        rng = np.random.default_rng(seed)
        boots, chosen = pairs(release, experiments, rng)
        pulls, errors, p_values = [], [], []
        for members in chosen:
            drawn = measured_anew(measurement, boots, members, centre + fluctuation(own, rng))
            found = fit(_model(bound, own), drawn)
            pulls.append((found["c"][0] - injected) / found["c"][1])
            errors.append(found["c"][1])
            p_values.append(1.0 if found.goodness is None else found.goodness.p_value)
        mean, width = np.mean(pulls), np.std(pulls, ddof=1)
        print_row(
            " + ".join(JOINT),
            f"{injected:g}",
            f"{mean:+.2f} +- {width / np.sqrt(len(pulls)):.2f}",
            f"{width:.2f} +- {1 / np.sqrt(2 * len(pulls)):.2f}",
            f"{np.mean(errors):.3f}",
            rate(p_values),
        )


def _model(bound: BoundModel, own: Matrix) -> Function:
    return Function(bound.parameters, bound.predict, lambda _: own)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("release", type=Path)
    parser.add_argument("inputs", type=Path)
    parser.add_argument("--part", choices=["bins", "events", "toy", "fit"], action="append")
    parser.add_argument("--experiments", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with open_release(arguments.release) as release:

        def read(file: str, name: str) -> Theory:
            path, columns = arguments.inputs / file, list(release.events)
            return Theory.from_root(
                path, tree="events", weight="weight", unit="pb", columns=columns, sentinel=-99, name=name
            )

        theories = {
            "the truth": read("data_truth.root", "the truth"),
            "the MC prior": prior_theory(release),
            "theory.root": read("theory.root", "theory.root"),
        }
        parts: dict[str, Callable[[], None]] = {
            "bins": lambda: study_bins(release, theories, arguments.experiments, arguments.seed),
            "events": lambda: study_events(release, theories, arguments.experiments, arguments.seed),
            "toy": lambda: study_toy(arguments.experiments, arguments.seed),
            "fit": lambda: study_fit(release, theories["the truth"], arguments.experiments, arguments.seed),
        }
        for part in arguments.part or parts:
            parts[part]()
            print(flush=True)  # noqa: T201 - a script


if __name__ == "__main__":
    main()
