"""Read the files that an analysis names into samples."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import InputError
from omnifold_pub.files import sha256_of
from omnifold_pub.inputs.analysis import Analysis
from omnifold_pub.inputs.factors import expression_factor
from omnifold_pub.inputs.fiducial import check_events
from omnifold_pub.inputs.root import read_columns
from omnifold_pub.inputs.sample import Columns, Sample

__all__ = ["Inputs", "read_inputs"]

Branches = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Inputs:
    """Everything that an analysis file names, read.

    Attributes
    ----------
    simulation, data : Sample
        Nominal simulation, and the data.
    variations : dict
        ``variations[name]``: the simulation with another detector response, row by row, or with another w_r;
        ``name/up`` and ``name/down`` of a pair.
    provenance : list of dict
        Role, file name, sha256 and rows of each file.
    backgrounds : dict
        ``backgrounds[name]``: events at detector level; their ``reco_weight`` is in events expected in the data,
        luminosity times the weight of the file.
    theory_weights : dict
        ``theory_weights["name/0"][event]``: another generator weight of each simulated event, float64, in the weight
        unit; numbers count the branches of an entry.
    generators : dict
        ``generators[name]``: the simulation of another generator.
    factors : dict
        ``factors[name][event]``: factor on w_t and w_r of the simulation, float64, of each prior and of each closure
        test with a hidden variable.
    """

    simulation: Sample
    data: Sample
    variations: dict[str, Sample]
    provenance: list[dict[str, Any]]
    backgrounds: dict[str, Sample] = field(default_factory=dict)
    theory_weights: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    generators: dict[str, Sample] = field(default_factory=dict)
    factors: dict[str, NDArray[np.float64]] = field(default_factory=dict)


def _responses(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return each side of each detector variation: ``name``, or ``name/up`` and ``name/down``."""
    sides: dict[str, dict[str, Any]] = {}
    for entry in document.get("variations", []):
        if "up" in entry:
            sides |= {f"{entry['name']}/{side}": entry[side] for side in ("up", "down")}
        else:
            sides[entry["name"]] = entry
    return sides


def _further_branches(document: dict[str, Any]) -> list[str]:
    """Return what the systematics need of the simulation's own file."""
    weights = [entry["weight"] for entry in _responses(document).values() if "weight" in entry]
    theory = [branch for entry in document.get("theory_weights", []) for branch in entry["weights"]]
    hidden = [branch for entry in document.get("closure", []) for branch in entry.get("columns", [])]
    return [*weights, *theory, *hidden]


class _Reader:
    """Reads the files of one analysis and remembers where they came from."""

    def __init__(self, analysis: Analysis) -> None:
        self.analysis = analysis
        self.sentinel: float | None = analysis.document["inputs"].get("sentinel")
        self.provenance: list[dict[str, Any]] = []

    def branches(self, role: str, entry: dict[str, Any], names: list[str]) -> Branches:
        path = self.analysis.file(entry)
        columns = read_columns(path, entry["tree"], names)
        record = {"role": role, "file": path.name, "sha256": sha256_of(path), "rows": len(columns[names[0]])}
        if "generator" in entry:
            record["generator"] = entry["generator"]
        self.provenance.append(record)
        return columns

    def level(self, columns: Branches, level: str, selected: NDArray[np.bool_], where: str) -> Columns:
        """Stack one level's observables, and refuse what is absent without leave."""
        table = Columns.from_arrays(
            {o.name: columns[getattr(o, level)] for o in self.analysis.observables}, sentinel=self.sentinel
        )
        for i, observable in enumerate(self.analysis.observables):
            absent = selected & ~table.present[:, i]
            if absent.any() and observable.absent is None:
                branch, rows = getattr(observable, level), np.flatnonzero(absent)
                msg = (
                    f"{where}: branch {branch!r} is absent (NaN or the sentinel) in {len(rows)} selected events, "
                    f"the first in row {rows[0]}; declare what that means as 'absent' of this observable, "
                    "or mend the file"
                )
                raise InputError(msg)
        infinite = selected[:, np.newaxis] & table.present & ~np.isfinite(table.values)
        if infinite.any():
            row, i = (int(x[0]) for x in np.nonzero(infinite))
            msg = f"{where}: observable {table.names[i]!r} is infinite in row {row}; remove this event or mend the file"
            raise InputError(msg)
        return table

    def flag(self, columns: Branches, branch: str, where: str) -> NDArray[np.bool_]:
        column = columns[branch]
        if not np.isin(column, (0, 1)).all():
            odd = column[~np.isin(column, (0, 1))][0]
            msg = f"{where}: branch {branch!r}: expected a selection of true and false; found {odd!r}"
            raise InputError(msg)
        return column.astype(bool)

    def ids(self, columns: Branches, branch: str, where: str) -> NDArray[np.int64]:
        column = columns[branch]
        if column.dtype.kind not in "iu":
            msg = f"{where}: branch {branch!r}: expected integer event ids; found {column.dtype}"
            raise InputError(msg)
        return column.astype(np.int64)

    def simulation(self, role: str, entry: dict[str, Any], further: list[str]) -> tuple[Sample, Branches]:
        """Read a simulation, and hand over further branches of its file."""
        where = str(self.analysis.file(entry))
        w_t = entry["truth_weight"]
        w_r = entry.get("reco_weight", w_t)
        names = [w_t, w_r, entry["pass_truth"], entry["pass_reco"], entry["event_id"]]
        names += [branch for o in self.analysis.observables for branch in (o.truth, o.reco)]
        columns = self.branches(role, entry, names + further)
        pass_truth = self.flag(columns, entry["pass_truth"], where)
        pass_reco = self.flag(columns, entry["pass_reco"], where)
        truth = self.level(columns, "truth", pass_truth, where)
        check_events(
            truth.select(pass_truth),
            np.flatnonzero(pass_truth),
            ranges={o.name: o.valid_range for o in self.analysis.observables},
            selection=self.analysis.selection,
            where=where,
        )
        sample = Sample(
            name=where,
            reco=self.level(columns, "reco", pass_reco, where),
            pass_reco=pass_reco,
            reco_weight=columns[w_r].astype(np.float64),
            event_id=self.ids(columns, entry["event_id"], where),
            truth=truth,
            pass_truth=pass_truth,
            truth_weight=columns[w_t].astype(np.float64),
        )
        return sample, {name: columns[name] for name in further}

    def detector_level(self, role: str, entry: dict[str, Any], *, scale: float = 1.0) -> Sample:
        """Read events of the detector level alone; their weights come out times ``scale``."""
        where = str(self.analysis.file(entry))
        names = [entry["event_id"], *(o.reco for o in self.analysis.observables)]
        if "weight" in entry:
            names.append(entry["weight"])
        columns = self.branches(role, entry, names)
        size = len(columns[entry["event_id"]])
        weight = columns[entry["weight"]].astype(np.float64) if "weight" in entry else np.ones(size)
        reco = self.level(columns, "reco", np.ones(size, dtype=bool), where)
        return Sample.of_data(where, reco, scale * weight, self.ids(columns, entry["event_id"], where))

    def response(self, name: str, entry: dict[str, Any], nominal: Sample, further: Branches) -> Sample:
        """Read one side of a detector variation."""
        if "weight" in entry:
            factor = further[entry["weight"]].astype(np.float64)
            where = f"{nominal.name}: variation {name}, branch {entry['weight']!r}"
            return nominal.with_reco_weight(nominal.reco_weight * factor, where)
        where = str(self.analysis.file(entry))
        names = [entry["pass_reco"], entry["event_id"], *(o.reco for o in self.analysis.observables)]
        columns = self.branches(f"variation {name}", entry, names)
        ids = self.ids(columns, entry["event_id"], where)
        if not np.array_equal(ids, nominal.event_id):
            msg = (
                f"{where}: the event ids are not those of {nominal.name}, row by row "
                f"({len(ids)} rows here, {len(nominal)} there); a variation must keep the simulation's rows"
            )
            raise InputError(msg)
        pass_reco = self.flag(columns, entry["pass_reco"], where)
        return nominal.with_reco(self.level(columns, "reco", pass_reco, where), pass_reco, where)

    def theory_weight(self, name: str, branch: str, nominal: Sample, further: Branches) -> NDArray[np.float64]:
        """Return another generator weight that the simulation can be unfolded with."""
        where = f"{nominal.name}: theory weight {name}, branch {branch!r}"
        return nominal.with_truth_weight(further[branch].astype(np.float64), where).truth_weight


def read_inputs(analysis: Analysis) -> Inputs:
    """Read every file that an analysis names.

    NaN and the sentinel become masks; an observable may be absent only where the analysis says so.

    Raises
    ------
    InputError
        If a file, tree or branch is missing, a sample is empty, a weight is not finite or the weights of a sample or
        of a systematic do not sum to more than 0, a value is absent without leave, an event that passes truth is
        outside of the fiducial region or of a valid range, a variation's rows are not the simulation's, a factor on
        the simulation cannot be computed, or more background is expected than there are data.
    """
    document = analysis.document["inputs"]
    reader = _Reader(analysis)
    simulation, further = reader.simulation("simulation", document["simulation"], _further_branches(document))
    data = reader.detector_level("data", document["data"])
    backgrounds = {
        entry["name"]: reader.detector_level(f"background {entry['name']}", entry, scale=analysis.luminosity)
        for entry in document.get("backgrounds", [])
    }
    expected, observed = sum(float(b.reco_weight.sum()) for b in backgrounds.values()), float(data.reco_weight.sum())
    if expected >= observed:
        msg = (
            f"{analysis.path}: inputs.backgrounds: {expected:g} background events are expected among {observed:g} of "
            "the data, and nothing is left to unfold; mend the luminosity, or the unit of the backgrounds' weights"
        )
        raise InputError(msg)
    variations = {
        name: reader.response(name, entry, simulation, further) for name, entry in _responses(document).items()
    }
    theory = {
        f"{entry['name']}/{k}": reader.theory_weight(f"{entry['name']}/{k}", branch, simulation, further)
        for entry in document.get("theory_weights", [])
        for k, branch in enumerate(entry["weights"])
    }
    factors = {
        entry["name"]: expression_factor(entry["weight"], simulation, f"prior {entry['name']}")
        for entry in document.get("priors", [])
    }
    for entry in document.get("closure", []):
        if "target" in entry:
            extra = {name: further[name] for name in entry.get("columns", [])}
            factors[entry["name"]] = expression_factor(
                entry["target"], simulation, f"closure {entry['name']}", extra=extra, sentinel=reader.sentinel
            )
    generators = {
        entry["name"]: reader.simulation(f"generator {entry['name']}", entry["simulation"], [])[0]
        for entry in document.get("generators", [])
    }
    return Inputs(simulation, data, variations, reader.provenance, backgrounds, theory, generators, factors)
