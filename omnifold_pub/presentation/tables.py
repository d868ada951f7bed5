"""Tables of a measurement for people: plain text, a terminal, a notebook."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.estimators import Histogram
from omnifold_pub.estimators.base import Statistic
from omnifold_pub.observables.events import Definition, definition_text
from omnifold_pub.presentation.measured import Measured

if TYPE_CHECKING:
    import rich.table

__all__ = [
    "SHORT",
    "TERMINAL",
    "Limits",
    "Table",
    "folded",
    "html_text",
    "plain_text",
    "printable",
    "rich_of",
    "rich_table",
    "rounded",
    "tables_of",
    "what_is_measured",
]

Array = NDArray[np.float64]

_GAP = "..."
_WIDEST = 40
"""Characters of a cell that a terminal keeps on one line, at the cost of the columns' names."""


@dataclass(frozen=True)
class Table:
    """Cells of text.

    Attributes
    ----------
    title : str
        Above it.
    columns : tuple of str
        Their names.
    rows : tuple of tuple of str
        ``rows[row][column]``.
    text : int
        Columns, from the first, that are text; the others go to the right if they hold numbers alone.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text: int = 1

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Which columns hold numbers alone."""
        cells = zip(*self.rows, strict=True) if self.rows else ((),) * len(self.columns)
        return tuple(i >= self.text and all(map(_is_number, column)) for i, column in enumerate(cells))


@dataclass(frozen=True)
class Limits:
    """Most that is shown: of more bins those at both ends, of more components the largest."""

    bins: int
    components: int
    statistics: int


SHORT = Limits(bins=30, components=6, statistics=10)
TERMINAL = 80
"""Characters of a line that any terminal has room for."""
WHOLE_COMPONENTS = 9
"""Most components that have a column each where nothing is left out."""


def _is_number(cell: str) -> bool:
    if cell in (_GAP, "-"):
        return True
    try:
        float(cell)
    except ValueError:
        return False
    return True


def rounded(value: float, error: float) -> tuple[str, str]:
    """Return value and uncertainty, rounded to two digits of the latter.

    >>> rounded(0.991234, 0.01712), rounded(1234567.0, 4321.0), rounded(0.000790123, 0.0), rounded(3.2e-9, 1.23e-10)
    (('0.991', '0.017'), ('1234600', '4300'), ('0.00079012', '0'), ('3.20e-09', '0.12e-09'))
    """
    if not (error > 0 and math.isfinite(error) and math.isfinite(value)):
        return f"{value:.5g}", f"{error:.2g}"
    last = math.floor(math.log10(float(f"{error:.1e}"))) - 1
    top = max(math.floor(math.log10(abs(value))) if value else last, last + 1)
    if top - last > 15:  # beyond what a float64 knows
        return f"{value:.16g}", f"{error:.2g}"
    if -4 <= top < 8:
        return tuple(f"{round(x, -last):.{max(-last, 0)}f}" for x in (value, error))  # type: ignore[return-value]
    digits, scale = top - last, 10.0**top
    return f"{value / scale:.{digits}f}e{top:+03d}", f"{error / scale:.{digits}f}e{top:+03d}"


def printable(text: str) -> str:
    """Return text that moves no cursor and breaks no line."""
    return "".join(character if character.isprintable() else " " for character in text)


def what_is_measured(statistic: Statistic, unit: str) -> str:
    """Say what the numbers are."""
    what = "value"
    if isinstance(statistic, Histogram):
        share = "share of the cross section" if statistic.normalise else "cross section"
        what = f"{share} per {'bin width' if statistic.density else 'bin'}"
    where: Definition | None = getattr(statistic, "where", None)
    selection = "" if where is None else f", where {definition_text(where)}"
    return f"{statistic.name}: {what}" + (f" in {unit}" if unit not in ("", "1") else "") + selection


def _percent(errors: Array, values: Array) -> list[str]:
    pairs = zip(errors.tolist(), values.tolist(), strict=True)
    return [f"{100 * error / abs(value):.1f}" if value else "-" for error, value in pairs]


def _shown(bands: Sequence[tuple[str, Array]], values: Array, most: int) -> list[tuple[str, Array]]:
    """Return the bands of the largest components, and what the others add up to."""
    if len(bands) <= most:
        return list(bands)
    relative = [np.sum(np.divide(band, values, out=np.zeros_like(band), where=values != 0) ** 2) for _, band in bands]
    largest = set(np.argsort(relative, kind="stable")[::-1][: most - 1].tolist())
    kept = [band for i, band in enumerate(bands) if i in largest]
    others = [band for i, (_, band) in enumerate(bands) if i not in largest]
    return [*kept, (f"{len(others)} others", np.sqrt(np.sum(np.square(others), axis=0)))]


def _cut(rows: Sequence[tuple[str, ...]], most: int) -> tuple[tuple[str, ...], ...]:
    """Leave out rows in the middle."""
    if len(rows) <= most:
        return tuple(rows)
    half = most // 2
    return (*rows[:half], (_GAP,) * len(rows[0]), *rows[-half:])


def tables_of(measured: Measured, limits: Limits | None = None) -> tuple[Table, ...]:
    """Return tables of values and uncertainties, one for each statistic; without limits, of everything.

    Many components that must all be shown have a table of their own, a row each.
    """
    numbers = range(len(measured.statistics))
    if limits is not None:
        numbers = numbers[: limits.statistics]
    tables = [table for number in numbers for table in _tables(measured, number, limits)]
    left = len(measured.statistics) - len(numbers)
    return (*tables, *([Table(f"{_GAP} and {left} more", (), ())] if left else []))


def _tables(measured: Measured, number: int, limits: Limits | None) -> list[Table]:
    part, unit, statistic = measured.slices[number], measured.units[number], measured.statistics[number]
    values, total, labels = measured.nominal[part], measured.uncertainties()[part], measured.labels[part]
    bands = [(c.name, measured.uncertainties(c.name)[part]) for c in measured.components]
    if limits is not None:
        bands = _shown(bands, values, limits.components)
    pairs = [rounded(value, error) for value, error in zip(values.tolist(), total.tolist(), strict=True)]
    labels, title = tuple(map(printable, labels)), printable(what_is_measured(statistic, unit))
    percent = [_percent(band, values) for band in (total, *(band for _, band in bands))]
    names = ["total", *(name for name, _ in bands)]
    if limits is None and len(bands) > WHOLE_COMPONENTS:
        first = tuple((label, *pair) for label, pair in zip(labels, pairs, strict=True))
        second = tuple((name, *row) for name, row in zip(names, percent, strict=True))
        return [
            Table(title, ("bin", "value", "+-"), first),
            Table("Uncertainty in %, by component and bin", ("component", *labels), second),
        ]
    rows = [(label, *pair, *row) for label, pair, row in zip(labels, pairs, zip(*percent, strict=True), strict=True)]
    columns = ("bin", "value", "+-", *(f"{name} %" for name in names))
    return [Table(title, columns, _cut(rows, len(rows) if limits is None else limits.bins))]


def plain_text(tables: Sequence[Table], width: int | None = None) -> str:
    """Return aligned text without colours.

    Parameters
    ----------
    tables : sequence of Table
        One under the other.
    width : int, optional
        Characters of a line: columns that do not fit come below, beside the first one again. By default lines are as
        long as they are, one for each row.

    Examples
    --------
    >>> table = Table("A table", ("name", "n", "more"), (("a", "1", "3"), ("b", "20", "4")))
    >>> print(plain_text([table]))
    A table
    name   n  more
    a      1     3
    b     20     4
    >>> print(plain_text([table], width=10))
    A table
    name   n
    a      1
    b     20
    <BLANKLINE>
    name  more
    a        3
    b        4
    """
    return "\n\n".join(_aligned(piece) for table in tables for piece in folded(table, width))


def _aligned(table: Table) -> str:
    lines = [table.columns, *table.rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    aligned = [
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(line, widths, table.numeric, strict=True)
        ).rstrip()
        for line in lines
    ]
    return "\n".join([*([table.title] if table.title else []), *(aligned if table.columns else [])])


def folded(table: Table, width: int | None) -> tuple[Table, ...]:
    """Return a table in pieces that fit into a width, its first columns of text (two at most) in front of each.

    A title has the first piece alone. A table with text in its other columns, which can be wrapped, stays whole.

    >>> [piece.columns for piece in folded(Table("", ("name", "first", "second"), (("x", "1", "2"),)), 12)]
    [('name', 'first'), ('name', 'second')]
    """
    first = list(range(min(table.text, 2)))
    if width is None or not table.columns or not all(table.numeric[len(first) :]):
        return (table,)
    widths = [max(map(len, column)) for column in zip(table.columns, *table.rows, strict=True)]
    pieces = [first.copy()]
    for i in range(len(first), len(widths)):
        wide = sum(widths[j] + 2 for j in pieces[-1]) + widths[i]
        if wide > width and len(pieces[-1]) > len(first):
            pieces.append(first.copy())
        pieces[-1].append(i)
    return tuple(
        Table(
            "" if number else table.title,
            tuple(table.columns[i] for i in piece),
            tuple(tuple(row[i] for i in piece) for row in table.rows),
            text=sum(i < table.text for i in piece),
        )
        for number, piece in enumerate(pieces)
    )


def rich_table(table: Table) -> rich.table.Table:
    """Return a table for a terminal; the title is left to who prints it."""
    import rich.table
    from rich.text import Text

    drawn = rich.table.Table(box=None, pad_edge=False, header_style="bold")
    widths = (
        [max(map(len, cells)) for cells in zip(*table.rows, strict=True)] if table.rows else [1] * len(table.columns)
    )
    for place, (name, number, width) in enumerate(zip(table.columns, table.numeric, widths, strict=True)):
        side: Any = "right" if number else "left"
        # Names and numbers stay in one piece; headers, and text beside, are wrapped where there is no room.
        name_of_row = place == 0 and width <= _WIDEST
        least = min(width, _WIDEST) if number or place == 0 else None
        drawn.add_column(Text(name), justify=side, overflow="fold", no_wrap=name_of_row, min_width=least)
    for row in table.rows:
        drawn.add_row(*map(Text, row))
    return drawn


def rich_of(tables: Sequence[Table]) -> Any:
    """Return titles and tables, one under the other, for a terminal."""
    from rich.console import Group
    from rich.text import Text

    parts: list[Any] = []
    for number, table in enumerate(tables):
        parts += [*([Text("")] if number else []), Text(table.title, style="bold")]
        parts += [rich_table(table)] if table.columns else []
    return Group(*parts)


_TABLE = "border-collapse:collapse;font-variant-numeric:tabular-nums;margin:0.3em 0"
_CELL = "padding:0.1em 0.7em;white-space:nowrap"


def html_text(tables: Sequence[Table]) -> str:
    """Return HTML of what names and numbers there are: everything escaped, no script, no class.

    >>> "<b>" in html_text([Table("<b>", ("n",), (("1",),))])
    False
    """
    drawn = []
    for table in tables:
        sides = [f"{_CELL};text-align:{'right' if number else 'left'}" for number in table.numeric]

        def line(cells: Sequence[str], tag: str, sides: Sequence[str] = sides) -> str:
            pairs = zip(cells, sides, strict=True)
            return "<tr>" + "".join(f'<{tag} style="{s}">{html.escape(c)}</{tag}>' for c, s in pairs) + "</tr>"

        head = f"<thead>{line(table.columns, 'th')}</thead>" if table.columns else ""
        body = "".join(line(row, "td") for row in table.rows)
        caption = f'<caption style="text-align:left;font-weight:bold">{html.escape(table.title)}</caption>'
        drawn.append(f'<table style="{_TABLE}">{caption}{head}<tbody>{body}</tbody></table>')
    return f'<div style="overflow-x:auto">{"".join(drawn)}</div>'
