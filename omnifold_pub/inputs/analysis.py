"""The analysis file: what is unfolded, from which files, and how."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from omnifold_pub.errors import AnalysisError
from omnifold_pub.messages import repeated, suggest
from omnifold_pub.observables.momenta import FourMomentum
from omnifold_pub.observables.selection import Interval, Requirement
from omnifold_pub.schemas import SCHEMA_VERSION, check
from omnifold_pub.yaml_documents import read_document

__all__ = ["Analysis", "ObservableInput", "luminosity_of", "parse_analysis", "read_analysis"]

RESERVED_NAMES = frozenset({"nominal", "ensemble", "data_bootstrap", "mc_bootstrap", "event_sampling", "luminosity"})
"""Names in a release that no systematic must take."""

NAMED_INPUTS = ("variations", "backgrounds", "theory_weights", "generators", "priors", "closure")
"""Sections of ``inputs`` whose entries have names, each of them unique over all of these sections."""


@dataclass(frozen=True)
class ObservableInput:
    """One observable of the analysis.

    Attributes
    ----------
    name, description, unit, latex : str
        For the release's metadata.
    truth, reco : str
        Branches at particle and at detector level.
    encoding : {"linear", "log", "angle"}
        How the networks see it.
    offset : float
        Added before a logarithm.
    valid_range : Interval
        Values that can occur at particle level.
    absent : str, optional
        What it means that an event lacks it; None where every event must have it.
    """

    name: str
    description: str
    unit: str
    latex: str
    truth: str
    reco: str
    encoding: Literal["linear", "log", "angle"]
    offset: float
    valid_range: Interval
    absent: str | None

    @property
    def may_be_absent(self) -> bool:
        """Whether an event that passes the selection may lack it."""
        return self.absent is not None


@dataclass(frozen=True)
class Analysis:
    """An analysis file that its schema has accepted.

    Attributes
    ----------
    path : pathlib.Path
        The file; paths in it are relative to its folder.
    document : dict
        All of it.
    observables : tuple of ObservableInput
        With defaults filled in.
    selection : tuple of Requirement
        The fiducial region.
    """

    path: Path
    document: dict[str, Any]
    observables: tuple[ObservableInput, ...]
    selection: tuple[Requirement, ...]

    def file(self, entry: dict[str, Any]) -> Path:
        """Return the path of an input entry's file."""
        return self.path.parent / str(entry["file"])

    @property
    def luminosity(self) -> float:
        """Integrated luminosity in inverse units of the weights."""
        return luminosity_of(self.document)


def luminosity_of(document: Mapping[str, Any]) -> float:
    """Return the integrated luminosity of an analysis file in inverse units of its weights.

    Examples
    --------
    >>> luminosity_of({"luminosity": {"value": 139, "unit": "fb-1"}, "weight_unit": "pb"})
    139000.0
    """
    luminosity = document["luminosity"]
    per_pb = luminosity["value"] * (1000 if luminosity["unit"] == "fb-1" else 1)
    return float(per_pb / (1000 if document["weight_unit"] == "fb" else 1))


def read_analysis(path: str | Path) -> Analysis:
    """Read and check an analysis file.

    Raises
    ------
    AnalysisError
        If it is not YAML or not what the schema asks for; every problem is listed.
    MissingExtraError
        If PyYAML is not installed.
    """
    path = Path(path)
    return parse_analysis(read_document(path, purpose="Reading an analysis file", error=AnalysisError), path)


@contextlib.contextmanager
def _place(where: str) -> Iterator[None]:
    """Say where in the file something is wrong."""
    try:
        yield
    except ValueError as error:
        msg = f"{where}: {error}"
        raise AnalysisError(msg) from None


def _observable(entry: dict[str, Any]) -> ObservableInput:
    return ObservableInput(
        name=entry["name"],
        description=entry["description"],
        unit=entry["unit"],
        latex=entry["latex"],
        truth=entry.get("truth", entry["name"]),
        reco=entry.get("reco", f"reco_{entry['name']}"),
        encoding=entry.get("encoding", "linear"),
        offset=float(entry.get("offset", 0)),
        valid_range=Interval.from_document(entry["valid_range"]),
        absent=entry.get("absent"),
    )


def _check_names(document: Mapping[str, Any], path: Path) -> None:
    """Refuse systematics and backgrounds of one name, or of a name that the release has for something else."""
    inputs = document["inputs"]
    place: dict[str, str] = {}
    for section in NAMED_INPUTS:
        names = [entry["name"] for entry in inputs.get(section, [])]
        if twice := repeated(names):
            msg = f"{path}: inputs.{section}: expected unique names; found {', '.join(twice)} more than once"
            raise AnalysisError(msg)
        for name in names:
            if name in RESERVED_NAMES:
                msg = f"{path}: inputs.{section}: {name!r} is the name of a component of its own; rename it"
                raise AnalysisError(msg)
            if name in place:
                msg = (
                    f"{path}: inputs.{section}: {name!r} is a name in inputs.{place[name]} already; rename one of them"
                )
                raise AnalysisError(msg)
            place[name] = section
    for test in document["publication"]["closure"]["tests"]:
        if place.get(test["name"]) == "closure":
            msg = f"{path}: publication.closure.tests: {test['name']!r} is the name of one of inputs.closure; rename it"
            raise AnalysisError(msg)


def _check_factors(inputs: Mapping[str, Any], path: Path, observables: list[str]) -> None:
    """Refuse expressions that reweight the simulation and cannot be computed."""
    for i, entry in enumerate(inputs.get("priors", [])):
        with _place(f"{path}: inputs.priors[{i}].weight"):
            Requirement.from_document(_UNBOUNDED | {"expression": entry["weight"]}, observables)
    for i, entry in enumerate(inputs.get("closure", [])):
        extra = entry.get("columns", [])
        if clash := sorted(set(extra) & set(observables)):
            msg = f"{path}: inputs.closure[{i}].columns: {clash[0]!r} is an observable already; leave it out"
            raise AnalysisError(msg)
        if "target" in entry:
            with _place(f"{path}: inputs.closure[{i}].target"):
                Requirement.from_document(_UNBOUNDED | {"expression": entry["target"]}, [*observables, *extra])


_UNBOUNDED: dict[str, Any] = {"minimum": None, "maximum": None, "tolerance": 0}


def parse_analysis(document: Any, path: Path) -> Analysis:
    """Check a document against the schema of analysis files; ``path`` is where it came from.

    Raises
    ------
    AnalysisError
        Listing every problem with the schema; then, one by one, names that repeat, ranges the wrong way round,
        requirements of the fiducial region, ranges of validity, four-momenta and factors on the simulation that
        cannot be computed, and a limit on effective data events where no replicas would count them.
    """
    problems = check(document, "analysis")
    if problems:
        lines = "\n  ".join(str(problem) for problem in problems)
        msg = f"{path}: not an analysis file of schema {SCHEMA_VERSION}:\n  {lines}"
        raise AnalysisError(msg)
    entries = document["observables"]
    names = [entry["name"] for entry in entries]
    observables, selection = [], []
    for i, entry in enumerate(entries):
        with _place(f"{path}: observables[{i}].valid_range"):
            observables.append(_observable(entry))
    for i, entry in enumerate(document["fiducial"]["selection"]):
        with _place(f"{path}: fiducial.selection[{i}]"):
            selection.append(Requirement.from_document(entry, names))
    validity = document["publication"]["validity"]
    for i, entry in enumerate(validity.get("ranges", [])):
        with _place(f"{path}: publication.validity.ranges[{i}]"):
            Requirement.from_document({**entry, "tolerance": 0}, names)
    limit = "minimum_effective_data_events_per_bin"
    if validity.get(limit) and document.get("campaign", {}).get("data_bootstrap") == 0:
        msg = f"{path}: publication.validity.{limit}: needs replicas of the data; found campaign.data_bootstrap: 0"
        raise AnalysisError(msg)
    momenta = [FourMomentum.from_document(entry) for entry in document.get("four_momenta", [])]
    for momentum in momenta:
        if unknown := [name for name in momentum.columns if name not in names]:
            hint = suggest(unknown[0], sorted(names))
            msg = f"{path}: four_momenta {momentum.name}: {unknown[0]!r} is no observable of the analysis; {hint}"
            raise AnalysisError(msg)
    named = [momentum.name for momentum in momenta]
    for what, unique in (("observables", names), ("four_momenta", named)):
        if twice := repeated(unique):
            msg = f"{path}: {what}: expected unique names; found {', '.join(twice)} more than once"
            raise AnalysisError(msg)
    _check_names(document, path)
    _check_factors(document["inputs"], path, names)
    return Analysis(path, document, tuple(observables), tuple(selection))
