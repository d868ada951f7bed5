"""Read the files that an analysis names into samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import InputError
from omnifold_pub.files import sha256_of
from omnifold_pub.inputs.analysis import Analysis
from omnifold_pub.inputs.fiducial import check_events
from omnifold_pub.inputs.root import read_columns
from omnifold_pub.inputs.sample import Columns, Sample

__all__ = ["Inputs", "read_inputs"]


@dataclass(frozen=True)
class Inputs:
    """Everything that an analysis file names, read.

    Attributes
    ----------
    simulation, data : Sample
        Nominal simulation, and the data.
    variations : dict
        ``variations[name]``: the simulation with another detector response, row by row.
    provenance : list of dict
        Role, file name, sha256 and rows of each file.
    """

    simulation: Sample
    data: Sample
    variations: dict[str, Sample]
    provenance: list[dict[str, Any]]


class _Reader:
    """Reads the files of one analysis and remembers where they came from."""

    def __init__(self, analysis: Analysis) -> None:
        self.analysis = analysis
        self.sentinel: float | None = analysis.document["inputs"].get("sentinel")
        self.provenance: list[dict[str, Any]] = []

    def branches(self, role: str, entry: dict[str, Any], names: list[str]) -> dict[str, NDArray[Any]]:
        path = self.analysis.file(entry)
        columns = read_columns(path, entry["tree"], names)
        record = {"role": role, "file": path.name, "sha256": sha256_of(path), "rows": len(columns[names[0]])}
        if "generator" in entry:
            record["generator"] = entry["generator"]
        self.provenance.append(record)
        return columns

    def level(self, columns: dict[str, NDArray[Any]], level: str, selected: NDArray[np.bool_], where: str) -> Columns:
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

    def flag(self, columns: dict[str, NDArray[Any]], branch: str, where: str) -> NDArray[np.bool_]:
        column = columns[branch]
        if not np.isin(column, (0, 1)).all():
            odd = column[~np.isin(column, (0, 1))][0]
            msg = f"{where}: branch {branch!r}: expected a selection of true and false; found {odd!r}"
            raise InputError(msg)
        return column.astype(bool)

    def ids(self, columns: dict[str, NDArray[Any]], branch: str, where: str) -> NDArray[np.int64]:
        column = columns[branch]
        if column.dtype.kind not in "iu":
            msg = f"{where}: branch {branch!r}: expected integer event ids; found {column.dtype}"
            raise InputError(msg)
        return column.astype(np.int64)

    def simulation(self, entry: dict[str, Any]) -> Sample:
        where = str(self.analysis.file(entry))
        w_t = entry["truth_weight"]
        w_r = entry.get("reco_weight", w_t)
        names = [w_t, w_r, entry["pass_truth"], entry["pass_reco"], entry["event_id"]]
        names += [branch for o in self.analysis.observables for branch in (o.truth, o.reco)]
        columns = self.branches("simulation", entry, names)
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
        return Sample(
            name=where,
            reco=self.level(columns, "reco", pass_reco, where),
            pass_reco=pass_reco,
            reco_weight=columns[w_r].astype(np.float64),
            event_id=self.ids(columns, entry["event_id"], where),
            truth=truth,
            pass_truth=pass_truth,
            truth_weight=columns[w_t].astype(np.float64),
        )

    def data(self, entry: dict[str, Any]) -> Sample:
        where = str(self.analysis.file(entry))
        names = [entry["event_id"], *(o.reco for o in self.analysis.observables)]
        if "weight" in entry:
            names.append(entry["weight"])
        columns = self.branches("data", entry, names)
        size = len(columns[entry["event_id"]])
        weight = columns[entry["weight"]].astype(np.float64) if "weight" in entry else np.ones(size)
        reco = self.level(columns, "reco", np.ones(size, dtype=bool), where)
        return Sample.of_data(where, reco, weight, self.ids(columns, entry["event_id"], where))

    def variation(self, entry: dict[str, Any], nominal: Sample) -> Sample:
        where = str(self.analysis.file(entry))
        names = [entry["pass_reco"], entry["event_id"], *(o.reco for o in self.analysis.observables)]
        columns = self.branches(f"variation {entry['name']}", entry, names)
        ids = self.ids(columns, entry["event_id"], where)
        if not np.array_equal(ids, nominal.event_id):
            msg = (
                f"{where}: the event ids are not those of {nominal.name}, row by row "
                f"({len(ids)} rows here, {len(nominal)} there); a variation must keep the simulation's rows"
            )
            raise InputError(msg)
        pass_reco = self.flag(columns, entry["pass_reco"], where)
        return nominal.with_reco(self.level(columns, "reco", pass_reco, where), pass_reco, where)


def read_inputs(analysis: Analysis) -> Inputs:
    """Read every file that an analysis names.

    NaN and the sentinel become masks; an observable may be absent only where the analysis says so.

    Raises
    ------
    InputError
        If a file, tree or branch is missing, a sample is empty, a weight is not finite, a value is absent
        without leave, an event that passes truth is outside of the fiducial region or of a valid range, or a
        variation's rows are not the simulation's.
    """
    document = analysis.document["inputs"]
    reader = _Reader(analysis)
    simulation = reader.simulation(document["simulation"])
    data = reader.data(document["data"])
    variations = {entry["name"]: reader.variation(entry, simulation) for entry in document.get("variations", [])}
    return Inputs(simulation, data, variations, reader.provenance)
