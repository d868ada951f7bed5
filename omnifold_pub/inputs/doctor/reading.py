"""Reading the files of an analysis as far as they can be, with everything that cannot be as a finding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import InputError
from omnifold_pub.inputs.analysis import Analysis, ObservableInput
from omnifold_pub.inputs.doctor.findings import Finding
from omnifold_pub.inputs.doctor.sheets import Book, LevelName, Sheet, Side
from omnifold_pub.inputs.root import read_columns

__all__ = ["READING_CHECKS", "read_book"]

READING_CHECKS = ("readable", "selection_flag", "event_id_type", "finite_weights")
"""Codes of the checks here."""

_WORDS = {"truth": "particle level", "reco": "detector level"}


@dataclass
class _Reading:
    """Reads one file, as far as it goes, and collects what stands in the way."""

    analysis: Analysis
    role: str
    entry: dict[str, Any]
    findings: list[Finding]
    columns: dict[str, NDArray[Any]] = field(default_factory=dict)

    @property
    def where(self) -> str:
        return self.analysis.file(self.entry).name

    def read(self, branches: Sequence[str]) -> None:
        path, tree = self.analysis.file(self.entry), self.entry["tree"]
        try:
            self.columns = read_columns(path, tree, branches)
        except InputError as error:
            problems = {str(error): None} if not path.is_file() else self._one_by_one(branches)
            for problem in problems:
                found = problem.removeprefix(f"{path}: ")
                self.add(
                    "readable", self.where, "branches of one number per event", found, "Mend the file or the name."
                )

    def _one_by_one(self, branches: Sequence[str]) -> dict[str, None]:
        """Read what can be read, and return what is said of the rest, each message once."""
        path, tree = self.analysis.file(self.entry), self.entry["tree"]
        problems: dict[str, None] = {}
        for branch in dict.fromkeys(branches):
            try:
                self.columns |= read_columns(path, tree, [branch])
            except InputError as error:
                problems[str(error)] = None
        return problems

    def add(self, code: str, path: str, expected: str, found: str, hint: str) -> None:
        self.findings.append(Finding(code, "error", path, expected, found, hint))

    def flag(self, branch: str) -> NDArray[np.bool_] | None:
        if branch not in self.columns:
            return None
        column = self.columns[branch]
        odd = ~np.isin(column, (0, 1))
        if odd.any():
            found = f"{int(odd.sum())} other values, the first in row {int(np.flatnonzero(odd)[0])} ({column[odd][0]})"
            hint = "Write true and false; the checks took all that is not 0 for true."
            self.add("selection_flag", f"{self.where} {branch}", "0 or 1 in every event", found, hint)
        return np.asarray(np.nan_to_num(column) != 0, dtype=bool)

    def ids(self, branch: str) -> NDArray[Any] | None:
        column = self.columns.get(branch)
        if column is not None and column.dtype.kind not in "iu":
            hint = "Bootstraps are keyed by it: number the events."
            self.add("event_id_type", f"{self.where} {branch}", "integer event ids", str(column.dtype), hint)
        return column

    def weight(self, branch: str) -> NDArray[np.float64] | None:
        """Return a weight, 0 where it is not finite."""
        if branch not in self.columns:
            return None
        raw = self.columns[branch].astype(np.float64)
        bad = np.flatnonzero(~np.isfinite(raw))
        if len(bad):
            found = f"{len(bad)} of {len(raw)} are not, the first in row {bad[0]} ({raw[bad[0]]})"
            hint = "Remove these events or mend their weights; the checks took 0 for them."
            self.add("finite_weights", f"{self.where} {branch}", "finite weights", found, hint)
            raw[bad] = 0.0
        return raw

    def side(self, level: LevelName, selected: NDArray[np.bool_] | None, weight: NDArray[Any] | None) -> Side | None:
        if selected is None:
            return None
        sentinel = self.analysis.document["inputs"].get("sentinel")
        values, flags = {}, {}
        for observable in self.analysis.observables:
            branch = _branch(observable, level)
            if branch not in self.columns:
                continue
            column = self.columns[branch].astype(np.float32)
            nan = np.isnan(column)
            filled = np.zeros(len(column), dtype=bool) if sentinel is None else column == np.float32(sentinel)
            values[observable.name] = np.where(filled, np.float32(np.nan), column)
            flags[observable.name] = int((nan & selected).sum()), int((filled & selected).sum())
        where = f"{self.where}, {_WORDS[level]}"
        kept = np.ones(len(selected)) if weight is None else weight
        return Side(where, level, values, flags, selected, kept)


def _branch(observable: ObservableInput, level: LevelName) -> str:
    return observable.truth if level == "truth" else observable.reco


def _branches(analysis: Analysis, *levels: LevelName) -> list[str]:
    return [_branch(observable, level) for observable in analysis.observables for level in levels]


def _simulation(reading: _Reading, extra: Sequence[str] = ()) -> Sheet:
    entry = reading.entry
    w_t = entry["truth_weight"]
    w_r = entry.get("reco_weight", w_t)
    flags = [entry["pass_truth"], entry["pass_reco"]]
    reading.read([w_t, w_r, *flags, entry["event_id"], *extra, *_branches(reading.analysis, "truth", "reco")])
    read = {branch: reading.weight(branch) for branch in dict.fromkeys((w_t, w_r, *extra))}
    weights = {branch: weight for branch, weight in read.items() if weight is not None}
    pass_truth, pass_reco = (reading.flag(branch) for branch in flags)
    return Sheet(
        reading.role,
        reading.where,
        reading.ids(entry["event_id"]),
        reading.side("truth", pass_truth, weights.get(w_t)),
        reading.side("reco", pass_reco, weights.get(w_r)),
        weights,
    )


def _recorded(reading: _Reading) -> Sheet:
    """Read data, or a background: detector level alone, and all of it selected unless a branch says otherwise."""
    entry = reading.entry
    named = [entry[key] for key in ("event_id", "weight", "pass_reco") if key in entry]
    reading.read([*named, *_branches(reading.analysis, "reco")])
    size = len(next(iter(reading.columns.values()), ()))
    weight = reading.weight(entry["weight"]) if "weight" in entry else np.ones(size)
    selected = reading.flag(entry["pass_reco"]) if "pass_reco" in entry else np.ones(size, dtype=bool)
    side = reading.side("reco", selected, weight) if size else None
    weights = {entry["weight"]: weight} if "weight" in entry and weight is not None else {}
    return Sheet(reading.role, reading.where, reading.ids(entry["event_id"]), None, side, weights)


def _varied(analysis: Analysis) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (name, entry) of each detector variation, those of a pair apart."""
    for entry in analysis.document["inputs"].get("variations", []):
        if "up" in entry or "down" in entry:
            yield from ((f"{entry['name']}/{key}", entry[key]) for key in ("up", "down") if key in entry)
        else:
            yield entry["name"], entry


def _other_weights(analysis: Analysis, w_t: str) -> Iterator[tuple[str, str, str]]:
    """Yield (name, branch, branch of the nominal weight or "" for a factor) of weights in the simulation's file."""
    for name, entry in _varied(analysis):
        if "weight" in entry:
            yield name, entry["weight"], ""
    for entry in analysis.document["inputs"].get("theory_weights", []):
        for branch in entry["weights"]:
            yield f"{entry['name']} ({branch})", branch, w_t


def read_book(analysis: Analysis) -> tuple[Book, list[Finding]]:
    """Read every file of an analysis, as far as it can be, and return what could not be.

    Returns
    -------
    Book, list of Finding
        The findings are all errors.

    Raises
    ------
    MissingExtraError
        If uproot is not installed.
    """
    inputs = analysis.document["inputs"]
    findings: list[Finding] = []

    def reading(role: str, entry: dict[str, Any]) -> _Reading:
        return _Reading(analysis, role, entry, findings)

    nominal = inputs["simulation"]
    w_t = nominal["truth_weight"]
    others = list(_other_weights(analysis, w_t))
    first = reading("simulation", nominal)
    simulation = _simulation(first, [branch for _, branch, _ in others])
    weight_variations = {}
    for name, branch, base in others:
        if branch in simulation.weights and (not base or base in simulation.weights):
            weight = simulation.weights[branch]
            weight_variations[name] = weight, simulation.weights[base] if base else np.ones(len(weight))
    own = {w_t, nominal.get("reco_weight", w_t)}
    simulation = replace(simulation, weights={b: w for b, w in simulation.weights.items() if b in own})
    data = _recorded(reading("data", inputs["data"]))
    variations = []
    for name, entry in _varied(analysis):
        if "file" not in entry:
            continue
        sheet, nominal_side = _recorded(reading(f"variation {name}", entry)), simulation.reco
        if nominal_side is not None and sheet.reco is not None and len(sheet.reco.weight) == len(nominal_side.weight):
            sheet = replace(sheet, reco=replace(sheet.reco, weight=nominal_side.weight))
        variations.append(sheet)
    more = [_recorded(reading(f"background {entry['name']}", entry)) for entry in inputs.get("backgrounds", [])]
    more += [
        _simulation(reading(f"generator {entry['name']}", entry["simulation"]))
        for entry in inputs.get("generators", [])
    ]
    return Book(analysis, simulation, data, tuple(variations), weight_variations, tuple(more)), findings
