"""Parquet: row groups of some 64 MiB, the metadata in the schema."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import InputError
from omnifold_pub.export.contents import Contents, damaged
from omnifold_pub.extras import require

__all__ = ["ParquetTable", "write"]

_METADATA = b"omnifold_pub"
_CANVAS = b"omnifold_pub_canvas"
_EXTRA = "export"

_DAMAGED = "not a Parquet file of numbers, or a damaged one"


def write(path: Path, contents: Contents) -> None:
    """Write a file, emptied if it is there: one row group for each block.

    Raises
    ------
    OSError
        If the disk does not take it.
    MissingExtraError
        If pyarrow is not installed.
    """
    require("pyarrow", extra=_EXTRA, purpose="Writing Parquet files")
    import pyarrow as pa
    from pyarrow import parquet

    header = {_METADATA: contents.metadata.encode()}
    if contents.canvas is not None:
        header[_CANVAS] = contents.canvas.encode()
    fields = [pa.field(name, pa.from_numpy_dtype(dtype), nullable=False) for name, dtype in contents.dtypes.items()]
    schema = pa.schema(fields, metadata=header)
    # A dictionary of values that hardly repeat costs time and space.
    with parquet.ParquetWriter(path, schema, compression="snappy", use_dictionary=False) as writer:
        for _, block in contents.blocks():
            arrays = [pa.array(block[name], from_pandas=False) for name in schema.names]  # NaN is a value, not a null
            batch = pa.record_batch(arrays, schema=schema)
            writer.write_batch(batch, row_group_size=batch.num_rows)


class ParquetTable:
    """A Parquet file open for reading.

    Attributes
    ----------
    dtypes : dict
        Type of each column.
    edges : list of int
        First row of each row group, and the number of rows.
    metadata, canvas : str or None
        The release's metadata, as JSON; the name of the canvas.

    Raises
    ------
    InputError
        If it is not a Parquet file of columns of numbers, or a damaged one.
    MissingExtraError
        If pyarrow is not installed.
    """

    def __init__(self, path: Path) -> None:
        require("pyarrow", extra=_EXTRA, purpose="Reading Parquet files")
        import pyarrow as pa
        from pyarrow import parquet

        self._path = path
        self._errors: tuple[type[Exception], ...] = (OSError, pa.ArrowException)
        try:
            self._file = parquet.ParquetFile(path)
            schema = self._file.schema_arrow
            self.dtypes = {field.name: np.dtype(field.type.to_pandas_dtype()) for field in schema}
        except (*self._errors, NotImplementedError) as error:
            raise damaged(self._path, _DAMAGED, error) from error
        layout = self._file.metadata
        sizes = [layout.row_group(i).num_rows for i in range(layout.num_row_groups)]
        self.edges = [0, *np.cumsum(sizes, dtype=np.int64).tolist()]
        header = schema.metadata or {}
        self.metadata = header[_METADATA].decode(errors="replace") if _METADATA in header else None
        self.canvas = header[_CANVAS].decode(errors="replace") if _CANVAS in header else None

    def block(self, index: int, names: Sequence[str]) -> list[NDArray[Any]]:
        """Return columns of one row group, ``[event]`` each.

        Raises
        ------
        InputError
            If they cannot be read, or values are null.
        """
        try:
            table = self._file.read_row_group(index, columns=list(names))
        except self._errors as error:
            raise damaged(self._path, _DAMAGED, error) from error
        for name in names:
            if table.column(name).null_count:
                msg = f"{self._path}: column {name!r}: found null values; an absent value of an export is NaN"
                raise InputError(msg)
        return [table.column(name).to_numpy() for name in names]
