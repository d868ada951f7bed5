"""Theories in tables: ROOT and Parquet files of one row for each event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import InputError
from omnifold_pub.extras import require
from omnifold_pub.inputs.root import opened, read_columns
from omnifold_pub.messages import shorten, suggest
from omnifold_pub.reinterpret.weight_families import Combination, Family, pick_members

__all__ = ["read_parquet", "read_root"]

Table = dict[str, NDArray[Any]]


def _families(members: Mapping[str, tuple[str, ...]], combinations: Mapping[str, Combination], table: Table) -> Any:
    """Return the families whose members are columns of a table."""
    return {
        name: Family(combinations[name], names, np.stack([table[n].astype(np.float64) for n in names], axis=1))
        for name, names in members.items()
    }


def read_root(
    path: Path, tree: str, columns: Sequence[str], combinations: Mapping[str, Combination]
) -> tuple[Table, dict[str, Family]]:
    """Read branches, and families of weights that are branches too.

    Raises
    ------
    InputError
        If the file, the tree or a branch is missing.
    MissingExtraError
        If uproot is not installed.
    """
    table = read_columns(path, tree, columns)  # whatever is wrong with the file is found here
    if not combinations:
        return table, {}
    with opened(path) as file:
        there = list(file[tree].keys())
    members = {name: pick_members(one, there, f"{path}: tree {tree!r}") for name, one in combinations.items()}
    varied = read_columns(path, tree, [name for names in members.values() for name in names])
    return table, _families(members, combinations, varied)


def read_parquet(
    path: Path, columns: Sequence[str], combinations: Mapping[str, Combination]
) -> tuple[Table, dict[str, Family]]:
    """Read columns, and families of weights that are columns too. A null becomes NaN.

    Raises
    ------
    InputError
        If the file or a column is missing, it is no Parquet file, or holds no events.
    MissingExtraError
        If pyarrow is not installed.
    """
    require("pyarrow", extra="export", purpose="Reading Parquet files")
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        msg = f"{path}: no such file"
        raise InputError(msg)
    try:
        with pq.ParquetFile(path) as file:
            there = list(file.schema_arrow.names)
            members = {name: pick_members(one, there, str(path)) for name, one in combinations.items()}
            wanted = list(dict.fromkeys([*columns, *(name for names in members.values() for name in names)]))
            missing = [name for name in wanted if name not in there]
            if missing:
                hints = "; ".join(f"{shorten(name)}: {suggest(name, there)}" for name in missing[:5])
                msg = f"{path}: lacks {len(missing)} of the {len(wanted)} columns asked for. {hints}"
                raise InputError(msg)
            read = file.read(columns=wanted)
    except (pa.ArrowException, OSError) as error:
        msg = f"{path}: not a Parquet file, or a damaged one ({shorten(str(error), 160)})"
        raise InputError(msg) from error
    if read.num_rows == 0:
        msg = f"{path}: there are no rows; expected at least one event"
        raise InputError(msg)
    table: Table = {}
    for name in wanted:
        column = read.column(name)
        kind = column.type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
            msg = f"{path}: column {name!r}: expected one number per event; found {kind}"
            raise InputError(msg)
        if column.null_count:
            column = column.cast(pa.float64())
        table[name] = column.to_numpy()
    return table, _families(members, combinations, table)
