"""What every measurement can be turned into, as methods."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from omnifold_pub.presentation.measured import Measured
from omnifold_pub.presentation.tables import SHORT, TERMINAL, html_text, plain_text, rich_of, tables_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Presentable"]


class _OfForm(Measured, Protocol):
    _form: ClassVar[Any]


class Presentable:
    """Documents, tables and data frames of a measurement. What needs a package imports it when it is called."""

    def to_dict(self: _OfForm, *, members: bool = True) -> dict[str, Any]:
        """Return the measurement as JSON can hold it, after ``schemas/1.1.0/measurement.schema.json``.

        Infinite edges are the texts ``inf`` and ``-inf``, effective events that nobody knows are null. ``from_dict``
        makes the same measurement of it, bit by bit; of statistics that a Python function made, only the numbers.

        Parameters
        ----------
        members : bool
            False: leave out the values under each member, most of the document where there are many replicas. The
            measurement made of it has neither a bias nor a comparison of shapes.

        Raises
        ------
        ObservableError
            If a number is not finite.
        """
        from omnifold_pub.presentation.documents import document_of

        return document_of(self, self._form, members="written" if members else "left out")

    def to_csv(self: Measured, path: str | Path | None = None, *, covariance: str | Path | None = None) -> str:
        """Return a row for each bin as CSV: edges or label, value, uncertainties, effective events; and write it.

        Units are in lines with ``#`` before the table (``pandas.read_csv(path, comment="#")``); numbers keep every
        digit. Text that a spreadsheet would take for a formula has an apostrophe before it.

        Parameters
        ----------
        path : str or path-like, optional
            Where to write it.
        covariance : str or path-like, optional
            Where to write the total covariance, ``[bin, bin]`` (``numpy.loadtxt(path, delimiter=",")``).

        Raises
        ------
        PublishError
            If a file cannot be written; nothing is left of it then.
        """
        from omnifold_pub.presentation.csv_files import write_csv

        return write_csv(self, path, covariance=covariance)

    def to_dataframe(self: Measured) -> pd.DataFrame:
        """Return a row for each bin as a `pandas.DataFrame`.

        The index is the observable and, where all have as many axes, one `pandas.Interval` for each of them;
        otherwise the bin's label. Columns: value, uncertainty, one for each component, effective_events. Units are
        in its ``attrs``.

        Raises
        ------
        MissingExtraError
            If `pandas` is not installed.
        """
        from omnifold_pub.presentation.frames import frame_of

        return frame_of(self)

    def __str__(self: Measured) -> str:
        """Return a table of values and uncertainties, 80 characters wide; of many bins and components only some."""
        return plain_text(tables_of(self, SHORT), TERMINAL)

    def __rich__(self: Measured) -> Any:
        """Return the table for `rich`."""
        return rich_of(tables_of(self, SHORT))

    def _repr_html_(self: Measured) -> str:
        """Return the table for a notebook."""
        return html_text(tables_of(self, SHORT))
