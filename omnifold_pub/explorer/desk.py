"""The release, in memory, and whoever measures it: one question at a time, the last answers kept."""

from __future__ import annotations

import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar, cast

from omnifold_pub.accumulation.evaluation import Evaluation
from omnifold_pub.accumulation.event_set import EventSet
from omnifold_pub.errors import OmnifoldPubError, ValidityWarning
from omnifold_pub.explorer.questions import Question
from omnifold_pub.explorer.theories import Known, Offered, Overlay, overlay_of
from omnifold_pub.format import layout
from omnifold_pub.format.tiles import MemoryArray
from omnifold_pub.measurement import Measurement
from omnifold_pub.observables.events import columns_used
from omnifold_pub.reinterpret.comparison import Comparison, compare
from omnifold_pub.release import Release
from omnifold_pub.validity import Limits, find_violations

__all__ = ["Confronted", "Desk", "Measured"]

Kept = TypeVar("Kept")


@dataclass(frozen=True, eq=False)
class Measured:
    """A question with its answer.

    Attributes
    ----------
    question : Question
        What was asked.
    edges : tuple of float
        The bins.
    measurement : Measurement
        What `Release.measure` returned.
    columns : tuple of str
        What observable and cut are made of.
    violations : mapping
        By number of the bin, why the publisher does not vouch for it.
    overlays : tuple of Overlay
        What the theories predict.
    """

    question: Question
    edges: tuple[float, ...]
    measurement: Measurement
    columns: tuple[str, ...]
    violations: Mapping[int, Sequence[str]]
    overlays: tuple[Overlay, ...]


@dataclass(frozen=True, eq=False)
class Confronted:
    """A theory's test; or why there is none.

    Attributes
    ----------
    name : str
        Of the theory.
    comparison : Comparison or None
        What `omnifold_pub.compare` returned: in shape alone for a normalised measurement.
    problem : str
        What stands against it.
    """

    name: str
    comparison: Comparison | None
    problem: str = ""


class Desk:
    """Answers questions about one release. Any number of threads may ask at a time.

    Parameters
    ----------
    release : Release
        Open; `Release.load` it to have answers at once.
    theories : sequence of Offered
        To be shown beside every measurement.
    kept : int
        Measurements, suggested edges and tests to keep, the last ones: the same question is not measured twice.

    Attributes
    ----------
    release : Release
        The release.
    theories : tuple of Offered
        What stands beside it.
    alone : threading.Lock
        Held by whoever measures or draws: the filters of warnings and the style of pictures are those of the whole
        process, and measuring takes all cores anyway.
    """

    def __init__(self, release: Release, theories: Sequence[Offered] = (), *, kept: int = 200) -> None:
        self.release = release
        self.theories = tuple(theories)
        self._most = kept
        self._kept: OrderedDict[Hashable, object] = OrderedDict()
        self._shelf = threading.Lock()
        self.alone = threading.Lock()

    @property
    def memory(self) -> int:
        """Bytes of the release that are in memory."""
        held = [one.array for one in self.release.datasets.values() if isinstance(one, MemoryArray)]
        return sum(array.nbytes for array in held)

    def _once(self, key: Hashable, work: Callable[[], Kept]) -> Kept:
        """Return what is kept under a key, or do the work and keep it; the oldest gives way."""
        with self._shelf:
            if key in self._kept:
                self._kept.move_to_end(key)
                return cast("Kept", self._kept[key])
        found = work()
        with self._shelf:
            self._kept[key] = found
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return found

    def measured(self, question: Question) -> Measured:
        """Measure what is asked for, with the theories' predictions.

        Raises
        ------
        ObservableError
            For an expression, bins or a cut that cannot be used.
        ValidityError
            If the publisher does not vouch for it, and asked that it be refused.
        """
        return self._once(("measured", question), lambda: self._measure(question))

    def confronted(self, question: Question) -> tuple[Confronted, ...]:
        """Test every theory; this may take longer than measuring, where p-values are simulated.

        Raises
        ------
        ObservableError
            As for `measured`.
        """
        found = self.measured(question)
        return self._once(("confronted", question), lambda: tuple(self._confront(found, one) for one in self.theories))

    def edges(self, question: Question) -> tuple[float, ...]:
        """Return the edges that a question asks for, the suggested ones too."""
        if question.kind != "suggested":
            return question.edges()
        key = ("edges", question.observable, question.bins, question.where, question.nan)
        return self._once(key, lambda: self._suggest(question))

    def _suggest(self, question: Question) -> tuple[float, ...]:
        number = question.number()
        with self.alone:
            axis = self.release.suggest_bins(question.observable, number, **question.selecting())
        return tuple(axis.edges.tolist())

    def _measure(self, question: Question) -> Measured:
        edges = self.edges(question)
        with self.alone, warnings.catch_warnings():
            warnings.simplefilter("ignore", ValidityWarning)  # said bin by bin below
            measurement = self.release.measure(question.observable, edges, **question.options())
            texts = [question.observable, *([question.where] if question.where else [])]
            columns = {column for text in texts for column in columns_used(text, self.release.events)}
            violations = self._violations(measurement)
            overlays = tuple(overlay_of(measurement, one) for one in self.theories)
        return Measured(question, edges, measurement, tuple(sorted(columns)), violations, overlays)

    def _violations(self, measurement: Measurement) -> Mapping[int, Sequence[str]]:
        there = self.release.datasets
        source = EventSet(
            where=self.release.path.name,
            size=self.release.events.size,
            columns={name: there[f"{layout.EVENTS}/{name}"] for name in self.release.events},
            nominal=there[f"{layout.WEIGHTS}/{layout.NOMINAL}"],
            event_id=there[layout.EVENT_ID],
        )
        found = Evaluation(measurement.nominal, measurement.results, measurement.effective_events, measurement.sizes)
        limits = Limits.from_metadata(self.release.metadata)
        return find_violations(measurement.statistics, found, limits, source)[0]

    def _confront(self, found: Measured, offered: Offered) -> Confronted:
        question, measurement, theory = found.question, found.measurement, offered.theory
        try:
            if question.normalise:  # shapes are compared from the contents of bins
                measurement = self._integrated(question, found.edges)
            with self.alone:
                predicted = theory.prediction(measurement, shape=question.normalise)
            known = Known(theory.name, theory.unit, theory.has_cross_section, predicted)
            comparison = compare(measurement, known, shape_only=question.normalise)
        except OmnifoldPubError as error:
            return Confronted(offered.name, None, str(error))
        return Confronted(offered.name, comparison)

    def _integrated(self, question: Question, edges: tuple[float, ...]) -> Measurement:
        plain = replace(question, kind="edges", bins=",".join(map(repr, edges)), density=False, normalise=False)
        return self.measured(plain).measurement
