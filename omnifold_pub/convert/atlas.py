"""Import the public files of the ATLAS measurement of Z(mumu)+jets in 24 observables, arXiv:2405.20041.

``multifold.h5`` holds the events with all their weights, ``multifold_sherpa.h5`` and ``multifold_nonDY.h5`` those of
two other simulations. All weights are in fb, with the generator's weight included.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import metadata as installed
from pathlib import Path
from typing import Any, Literal

from omnifold_pub.convert.atlas_columns import (
    CLOSURE,
    LUMINOSITY,
    NOMINAL,
    PRIOR,
    REQUIRED,
    Totals,
    add_up,
    families_of,
    nonclosure,
    rescaled,
    row_numbers,
    with_nan,
)
from omnifold_pub.convert.atlas_entries import NONCLOSURE, canvas_entry, closure_entry, component_entries
from omnifold_pub.convert.atlas_metadata import FACTS, OBSERVABLES, SIDE_FILES, VARIATIONS, observable_entries
from omnifold_pub.convert.pytables import PyTablesFrame
from omnifold_pub.errors import InputError
from omnifold_pub.files import sha256_of
from omnifold_pub.messages import shorten, suggest
from omnifold_pub.schemas import load_schema
from omnifold_pub.unfold.result import Canvas, ClosureWeights, UnfoldingResult
from omnifold_pub.yaml_documents import read_document

__all__ = ["read_atlas"]

MAIN = "main"
FIXED = ("schema_version", "created", "events", "inputs", "networks", "shard")
"""Entries of the metadata that say what the files hold, and are not for the caller to change."""

LUMINOSITY_SPREAD = 1e-5

FilePath = str | Path
DataKind = Literal["data", "pseudodata"]
Metadata = dict[str, Any]


@dataclass(frozen=True)
class _Side:
    """Another simulation's file, open, and what its bootstraps are to be multiplied by."""

    frame: PyTablesFrame
    families: dict[str, tuple[str, ...]]
    factor: float
    left_out: tuple[str, ...]

    def canvas(self, sentinel: float | None) -> Canvas:
        frame = self.frame
        scaled = [family for family in self.families if family.startswith("bootstrap") and self.factor != 1]
        return Canvas(
            event_id=row_numbers(frame),
            columns={name: with_nan(frame, name, sentinel) for name in OBSERVABLES},
            nominal=frame.column(NOMINAL),
            families={
                family: rescaled(frame, names, self.factor) if family in scaled else frame.family(names)
                for family, names in self.families.items()
            },
        )


def _by_role(files: FilePath | Sequence[FilePath] | Mapping[str, FilePath]) -> dict[str, Path]:
    """Return the files by role: ``main`` and the names of the canvases."""
    expected = f"{MAIN}, {', '.join(SIDE_FILES)}"
    roles: dict[str, Path] = {}
    if isinstance(files, Mapping):
        if unknown := [role for role in files if role not in (MAIN, *SIDE_FILES)]:
            msg = f"files: expected the roles {expected}; found {', '.join(map(shorten, unknown))}"
            raise InputError(msg)
        roles = {role: Path(path) for role, path in files.items()}
    else:
        for path in map(Path, [files] if isinstance(files, str | Path) else files):
            suffix = path.stem.lower().rpartition("_")[2]
            role = next((name for name in SIDE_FILES if name.lower() == suffix), MAIN)
            if role in roles:
                msg = (
                    f"files: expected one of each role, {expected}, told by a name that ends in _sherpa or _nonDY; "
                    f"found {roles[role]} and {path} for {role}; give a mapping from role to file"
                )
                raise InputError(msg)
            roles[role] = path
    if MAIN not in roles:
        found = ", ".join(map(str, roles.values())) or "none"
        msg = f"files: expected the main file, such as multifold.h5, among them; found {found}"
        raise InputError(msg)
    return roles


def _read_overrides(metadata: Mapping[str, Any] | FilePath | None) -> Metadata:
    if metadata is None:
        return {}
    where = "metadata"
    if isinstance(metadata, str | Path):
        where = str(metadata)
        metadata = read_document(Path(metadata), purpose="Reading metadata")
    if not isinstance(metadata, Mapping):
        msg = f"{where}: expected a mapping of top-level keys of the release's metadata; found {shorten(metadata)}"
        raise InputError(msg)
    known = [key for key in load_schema("release")["properties"] if key not in FIXED]
    for key in metadata:
        if key in FIXED:
            msg = f"{where}: {key}: says what the files hold and cannot be overridden; remove it"
            raise InputError(msg)
        if key not in known:
            msg = f"{where}: {shorten(key)}: no such key; {suggest(key, known)}"
            raise InputError(msg)
    return copy.deepcopy(dict(metadata))


def _relative_luminosity(totals: Totals, path: Path) -> float:
    """Return by how much the weights of the luminosity differ from the nominal: one number."""
    factor = totals.sums[LUMINOSITY] / totals.sums[NOMINAL]
    low, high = totals.luminosity
    if not (high - low < LUMINOSITY_SPREAD * factor and 0 < factor - 1 < 1):
        msg = (
            f"{path}: {LUMINOSITY}: expected the nominal times one factor between 1 and 2, the same for all events "
            f"to {LUMINOSITY_SPREAD:g}; found factors from {low:.9g} to {high:.9g}"
        )
        raise InputError(msg)
    return round(factor - 1, 7)  # weights in single precision know no more


def _side(frame: PyTablesFrame, ignore: Sequence[str]) -> _Side:
    families = families_of(frame, [NOMINAL], ignore=ignore)
    replicas = {family: names for family, names in families.items() if family.startswith("bootstrap")}
    totals = add_up(frame, [NOMINAL, *(name for names in replicas.values() for name in names)])
    means = {family: math.fsum(totals.sums[name] for name in names) / len(names) for family, names in replicas.items()}
    nominal, factor = totals.sums[NOMINAL], 1.0
    # Bootstraps stray by a per cent or so; twice the nominal is another normalisation, and to be put right.
    if any(not 0.5 < mean / nominal < 2 for mean in means.values()):
        if not 0 < max(means.values()) < 1.1 * min(means.values()):
            found = ", ".join(f"{family}: {mean / nominal:.4g}" for family, mean in means.items())
            msg = f"{frame.path}: expected bootstraps that are off the nominal by one common factor; found {found}"
            raise InputError(msg)
        members = [totals.sums[name] for names in replicas.values() for name in names]
        factor = nominal * len(members) / math.fsum(members)
    carried = {*OBSERVABLES, NOMINAL, *(name for names in families.values() for name in names)}
    return _Side(frame, families, factor, tuple(name for name in frame.columns if name not in carried))


def _input_entry(role: str, frame: PyTablesFrame, generator: str) -> Metadata:
    digest = sha256_of(frame.path)
    return {"role": role, "file": frame.path.name, "sha256": digest, "rows": frame.rows, "generator": generator}


def _notes(totals: Totals, absent: Sequence[str], left_out: Sequence[str]) -> list[str]:
    notes = [f"multifold_{name}.h5 was not given: the component {name} is left out" for name in absent]
    if left_out:
        notes.append(f"Columns of the main file that are not carried over: {', '.join(left_out)}"[:5000])
    ratio = totals.sums[PRIOR] / totals.sums[NOMINAL]
    if not 0.5 < ratio < 2:
        notes.append(f"The prior sums to {ratio:.4g} times the nominal: only its shape is to be used")
    return notes


def _metadata(
    main: PyTablesFrame, families: Mapping[str, Sequence[str]], totals: Totals, sides: Mapping[str, _Side]
) -> Metadata:
    luminosity = _relative_luminosity(totals, main.path)
    return {
        **copy.deepcopy(FACTS),
        "luminosity": {"value": 139, "unit": "fb-1", "relative_uncertainty": luminosity},
        "cross_section": {
            "value": totals.sums[NOMINAL],
            "unit": "fb",
            "source": f"Sum of {NOMINAL} in {main.path.name}, computed in float64; no independent statement",
        },
        "weights": {
            "unit": "fb",
            "sum": "fiducial cross section",
            "includes_generator_weight": True,
            "central_value": {"rule": "median", "family": "ensemble"},
            "prior": True,
            "clamps": {"applied": False, "description": "The public files tell of none"},
        },
        "observables": observable_entries(),
        "components": component_entries(families, totals.zeros, luminosity, tuple(sides)),
        "canvases": [
            canvas_entry(name, side.frame.rows, side.families, side.factor, side.left_out)
            for name, side in sides.items()
        ],
        "unfolding": {
            "method": "OmniFold",
            "program": "that of the ATLAS Collaboration, arXiv:2405.20041",
            "version": "not recorded",
            "settings": {"observables": len(OBSERVABLES), **{name: len(there) for name, there in families.items()}},
        },
        "inputs": [
            _input_entry("events and weights", main, "MadGraph5_aMC@NLO + Pythia 8"),
            *(_input_entry(f"canvas {name}", side.frame, SIDE_FILES[name][0]) for name, side in sides.items()),
        ],
        "closure": closure_entry(totals),
        "software": {name: installed.version(name) for name in ("omnifold-pub", "numpy", "h5py")},
    }


@contextmanager
def read_atlas(
    files: FilePath | Sequence[FilePath] | Mapping[str, FilePath],
    *,
    data_kind: DataKind,
    metadata: Mapping[str, Any] | FilePath | None = None,
    sentinel: float | None = -99,
    ignore: Sequence[str] = (),
) -> Iterator[UnfoldingResult]:
    """Open the public files as a result that `omnifold_pub.publish` takes.

    The arrays are read when they are sliced, so the files stay open for the ``with`` block, and the result is of
    use inside it alone. Each file is read twice before: for its SHA-256 and for the sums of its weights.

    Parameters
    ----------
    files : path, sequence of paths or mapping
        The main file alone, or with those of the other simulations: as a sequence, where a name that ends in
        ``_sherpa`` or ``_nonDY`` tells which is which, or by role, ``{"main": ..., "sherpa": ..., "nonDY": ...}``.
        Without the file of another simulation its canvas and its component are left out, and a note says so.
    data_kind : {"data", "pseudodata"}
        What was unfolded. Two sets of files are public, of data and of pseudo-data, and nothing in them tells which.
    metadata : mapping or path, optional
        Replaces top-level keys of the metadata, from a mapping or a YAML or JSON file. Worth a thought: ``licence``,
        ``contact``, ``cross_section``, ``doi``. Left out, the constants of `omnifold_pub.convert.atlas_metadata` hold.
    sentinel : float or None
        Value that marks an absent jet, beside NaN; both become NaN.
    ignore : sequence of str
        Columns that are not of the public format, to leave out. Any other unknown column is an error.

    Yields
    ------
    UnfoldingResult
        Weights in fb, observables in float32. Weights that the files hold in float64 are rounded to float32 when
        they are published.

    Raises
    ------
    InputError
        If a file is not of this format: a column is missing or unknown, a family has gaps, the luminosity is no
        pure factor, the bootstraps of a side file are off by different factors; or if ``metadata`` cannot be used.
    MissingExtraError
        If PyYAML or hdf5plugin is needed and not installed.

    Examples
    --------
    >>> from omnifold_pub import publish
    >>> with read_atlas(["multifold.h5", "multifold_sherpa.h5"], data_kind="data") as result:  # doctest: +SKIP
    ...     publish(result, "release.h5")
    """
    roles, overrides = _by_role(files), _read_overrides(metadata)
    with ExitStack() as stack:
        frames = {role: stack.enter_context(PyTablesFrame(path)) for role, path in roles.items()}
        main = frames[MAIN]
        families = families_of(main, REQUIRED, ignore=ignore)
        totals = add_up(main, [NOMINAL, PRIOR, LUMINOSITY, *CLOSURE, *families["bootstrap_mc"]])
        sides = {name: _side(frames[name], ignore) for name in SIDE_FILES if name in frames}
        complete = _metadata(main, families, totals, sides) | overrides | {"data_kind": data_kind}
        if "validity" not in overrides:
            carried = {*OBSERVABLES, *REQUIRED, *(name for names in families.values() for name in names)}
            left_out = [name for name in main.columns if name not in carried]
            absent = [name for name in SIDE_FILES if name not in sides]
            complete["validity"]["notes"] += _notes(totals, absent, left_out)
        unfolded, target = CLOSURE
        yield UnfoldingResult(
            event_id=row_numbers(main),
            columns={name: with_nan(main, name, sentinel) for name in OBSERVABLES},
            nominal=main.column(NOMINAL),
            families={
                **{family: main.family(names) for family, names in families.items()},
                **{name: main.family([f"weights_{name}"]) for name in VARIATIONS},
                NONCLOSURE: nonclosure(main),
            },
            metadata=complete,
            prior=main.column(PRIOR),
            canvases={name: side.canvas(sentinel) for name, side in sides.items()},
            closure={"dd": ClosureWeights(target=main.column(target), unfolded=main.column(unfolded))},
        )
