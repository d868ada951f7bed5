"""Compare a theory with a release event by event, without bins; the release itself gives the null distribution."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.accumulation.evaluation import EVENT_SAMPLING_REPLICAS
from omnifold_pub.errors import InputError, ObservableError, StatisticsError
from omnifold_pub.messages import shorten, suggest
from omnifold_pub.observables.blocks import evaluate
from omnifold_pub.observables.events import Definition, Events, NanRule, definition_text
from omnifold_pub.reinterpret.theory import Theory
from omnifold_pub.reinterpret.two_sample.features import Discriminant, Features, Slices
from omnifold_pub.reinterpret.two_sample.means import release_means, theory_means
from omnifold_pub.reinterpret.two_sample.null import Modes, draws, modes_of
from omnifold_pub.reinterpret.two_sample.outcome import UnbinnedComparison, UnbinnedTest
from omnifold_pub.reinterpret.two_sample.points import Points, points_of
from omnifold_pub.reinterpret.weight_families import shifts_of
from omnifold_pub.release import Release
from omnifold_pub.statistics.components import CentralRule, Component

__all__ = [
    "UnbinnedComparison",
    "UnbinnedTest",
    "compare_unbinned",
    "fluctuating",
    "sampling_modes",
    "tests_of_means",
    "values_of",
    "wanted_of",
]

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Observables = Sequence[Definition] | Mapping[str, Definition]

_SEED = 20_191_107  # fixed: the same question has the same answer
_THEORY = "theory statistics"
_GRID_EVENTS = 20_000  # of each sample: enough to place the cells of a grid


def values_of(wanted: Mapping[str, Definition], source: Events, release: Release, nan: NanRule) -> list[Vector]:
    """Return ``value[event]`` of each observable; NaN where an event lacks it."""
    momenta = release.events.momenta
    events = Events(source.size, tuple(source), source.__getitem__, where=source.where, momenta=momenta)
    found = []
    for name, definition in wanted.items():
        values = evaluate(definition, events, nan=nan)
        infinite = int(np.isinf(values).sum())
        if infinite:
            msg = f"{shorten(name)} is infinite for {infinite} of {source.size} events of {source.where}; mend it"
            raise ObservableError(msg)
        found.append(values)
    return found


def wanted_of(observables: Observables | None, release: Release) -> dict[str, Definition]:
    """Return the observables to compare by name; all columns by default, and a single one may stand for itself.

    Raises
    ------
    ObservableError
        If there is none.
    """
    if observables is None:
        observables = list(release.events)
    elif isinstance(observables, str):
        observables = [observables]
    if isinstance(observables, Mapping):
        wanted = dict(observables)
    else:
        wanted = {definition_text(one): one for one in observables}
    if not wanted:
        msg = "unbinned comparison: expected at least one observable; found none"
        raise ObservableError(msg)
    return wanted


def check_units(theory: Theory, release: Release) -> None:
    """Refuse a theory in another unit; one without a cross section has a shape all the same.

    Raises
    ------
    InputError
        If the units differ.
    """
    if theory.unit not in (None, release.unit):
        msg = f"{theory.name}: weights in {theory.unit}, the release is in {release.unit}; convert them first"
        raise InputError(msg)


def fluctuating(release: Release, leave_out: Sequence[str]) -> list[Component]:
    """Return the components whose fluctuations have a shape."""
    there = [component.name for component in release.components]
    for name in leave_out:
        if name not in there:
            msg = f"no component {shorten(name)} to leave out; {suggest(name, there)}"
            raise ObservableError(msg)
    kept = [c for c in release.components if c.name not in leave_out and c.kind != "scale"]
    elsewhere = [component.name for component in kept if component.canvas is not None]
    if elsewhere:
        msg = (
            f"component {elsewhere[0]!r} lives on events of its own; an unbinned test has no fluctuation of it: "
            f"leave it out (leave_out={elsewhere!r}), or compare in bins"
        )
        raise ObservableError(msg)
    return kept


def features_of(plain: Points, ranked: Points, release: Release, theory: Theory, projections: int) -> list[Features]:
    """Return the features, made of both samples."""
    some = [x[:: max(1, len(x) // _GRID_EVENTS)] for x in (plain.unfolded, plain.truth)]
    shares = [release.nominal_weights.astype(np.float64), theory.weights]
    weights = np.concatenate([share / share.sum() for share in shares])
    both = np.concatenate([ranked.unfolded, ranked.truth])
    return [Slices.of(np.concatenate(some), projections=projections), Discriminant.of(both, weights)]


def compare_unbinned(
    release: Release,
    theory: Theory,
    *,
    observables: Observables | None = None,
    nan: NanRule = "error",
    leave_out: Sequence[str] = (),
    projections: int = 50,
    number: int = 2_000,
) -> UnbinnedComparison:
    r"""Test whether a theory's events could be those of a release, without bins, in all observables together.

    The samples are compared as shapes, each normalised to one, by three distances: sliced Wasserstein-1 and energy
    distance of the observables standardised, see `omnifold_pub.reinterpret.two_sample.features.Slices`, and the
    separation by a linear classifier of ranks, see `Discriminant` there.

    What the distances are if the theory is true is *not* that of independent events: the events of a release were
    reweighted together, and move together with the data. It is drawn: the release's mean features fluctuate as its
    components say, replica by replica; the theory's as Poisson replicas of its events and its weight families do. Where
    no bootstrap of the release carries the multiplicities of its events, its ``event_sampling`` component is needed,
    and is part of it: without that term such tests reject true theories far too often.

    What the release's own unfolding is biased by is not in its replicas, and a test without bins sees all of it: reject
    a theory on these grounds only where a closure test with as many observables passes.

    Parameters
    ----------
    release : Release
        The measurement.
    theory : Theory
        Its columns named as the release's.
    observables : sequence, or mapping by name
        Columns, expressions or functions; by default all columns.
    nan : {"error", "drop"}
        What to do where an observable is undefined although an event has all its columns; ``drop`` takes it for absent.
    leave_out : sequence of str
        Components whose fluctuations do not count.
    projections : int
        Directions of the sliced distances.
    number : int
        Draws of the null distribution.

    Raises
    ------
    InputError
        If the theory is in another unit.
    ObservableError
        If an observable or a component cannot be used.
    StatisticsError
        If an observable has no spread, or weights no positive sum.

    Examples
    --------
    >>> import omnifold_pub
    >>> with omnifold_pub.open_release("release/zjets/zjets.h5") as release:
    ...     columns = {"m_trackj1": release.events["m_trackj1"]}
    ...     prior = omnifold_pub.Theory.from_arrays(columns, release.prior_weights, unit="pb", name="prior")
    ...     found = compare_unbinned(release, prior, observables=["m_trackj1"], number=200)
    >>> found["energy"].p_value < 0.05
    True
    """
    check_units(theory, release)
    if number < 1:
        msg = f"unbinned comparison: expected at least one draw of the null distribution; found {number}"
        raise StatisticsError(msg)
    wanted = wanted_of(observables, release)
    components = fluctuating(release, leave_out)
    own, others = (values_of(wanted, source, release, nan) for source in (release.events, theory.events))
    plain, ranked = (points_of(own, others, theory.weights, list(wanted), ranks=r) for r in (False, True))
    kinds = features_of(plain, ranked, release, theory, projections)
    measured = release_means(release, components, [plain.unfolded, ranked.unfolded], kinds)
    predicted = theory_means(theory, [plain.truth, ranked.truth], kinds)
    central: CentralRule = release.metadata["weights"]["central_value"]["rule"]
    tests: list[UnbinnedTest] = []
    for kind, mean, expected in zip(kinds, measured, predicted, strict=True):
        modes = theory_modes(theory, expected)
        tests += tests_of_means(kind, mean, expected[0], components, modes, central=central, number=number)
    used = tuple(component.name for component in components)
    families = tuple(f"theory {name}" for name in theory.families)
    return UnbinnedComparison(theory.name, tuple(wanted), (*used, _THEORY, *families), tuple(tests))


def theory_modes(theory: Theory, means: Matrix) -> list[Modes]:
    """Return how a theory's mean features fluctuate: with its events, and with its weight families.

    Parameters
    ----------
    means : numpy.ndarray
        ``mean[set, feature]`` as `omnifold_pub.reinterpret.two_sample.means.theory_means` returns them.
    """
    place = 1 + EVENT_SAMPLING_REPLICAS
    found = [sampling_modes(means[:place])]
    for name, family in theory.families.items():
        title, members = f"theory {name}", means[place : place + len(family.names)]
        if family.combination.rule == "replicas":
            found.append(modes_of(Component(title, "bootstrap"), members, means[0], central="single"))
        else:
            found.append(Modes(title, shifts_of(family.combination, members, means[0]), math.inf))
        place += len(family.names)
    return found


def sampling_modes(means: Matrix) -> Modes:
    """Return how mean features fluctuate with a theory's events: its weights first, then Poisson replicas of them."""
    return modes_of(Component(_THEORY, "event_sampling"), means[1:], means[0], central="single")


def tests_of_means(
    kind: Features,
    measured: Matrix,
    predicted: Vector,
    components: Sequence[Component],
    own: Sequence[Modes],
    *,
    central: CentralRule,
    number: int,
) -> list[UnbinnedTest]:
    """Return the tests of one kind of features.

    Parameters
    ----------
    kind : Features
        What the means are of.
    measured : numpy.ndarray
        ``mean[set, feature]`` of the release: nominal weights, then the members of each component in turn,
        `EVENT_SAMPLING_REPLICAS` of them for ``event_sampling``.
    predicted : numpy.ndarray
        ``mean[feature]`` of the theory.
    components : sequence of Component
        Whose members are there.
    own : sequence of Modes
        How the theory's means fluctuate.
    central : {"mean", "median", "single"}
        How the nominal was made of the ensemble.
    number : int
        Draws of the null distribution.
    """
    parts = list(own)
    place = 1
    for component in components:
        stop = place + (EVENT_SAMPLING_REPLICAS if component.kind == "event_sampling" else component.members)
        parts.append(modes_of(component, measured[place:stop], measured[0], central=central))
        place = stop
    found = {name: float(one[0]) for name, one in kind.distances(measured[:1] - predicted).items()}
    blocks = [kind.distances(block) for block in draws(parts, number, seed=_SEED)]
    null = {name: np.concatenate([block[name] for block in blocks]) for name in found}
    return [
        UnbinnedTest(
            name,
            distance,
            float(null[name].mean()),
            float(null[name].std()),
            float((1 + (null[name] >= distance).sum()) / (number + 1)),
        )
        for name, distance in found.items()
    ]
