"""A measurement in a terminal, as wide as that is: values with an inline histogram, uncertainty by component."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.estimators import Histogram
from omnifold_pub.estimators.base import BinnedStatistic
from omnifold_pub.presentation.bars import ASCII, BLOCKS, Scale, Signs, bar, share_bar
from omnifold_pub.presentation.measured import Measured
from omnifold_pub.presentation.tables import printable, rounded, what_is_measured

if TYPE_CHECKING:
    import rich.table
    from rich.console import Console, ConsoleOptions

__all__ = ["TerminalView"]

Array = NDArray[np.float64]

_GAP = 2
_SHORTEST_BAR, _LONGEST_BAR = 10, 48
_SHARE_BAR = 12
_WIDE = 96
"""Columns from which on effective events are shown."""
_LONGEST_LABEL = 32


@dataclass(frozen=True, eq=False)
class TerminalView:
    """What `rich` prints of a measurement.

    Attributes
    ----------
    measured : Measured
        Any measurement; each of its statistics has tables of its own.
    """

    measured: Measured

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Any]:
        """Yield titles and tables that fit into the width there is."""
        from rich.text import Text

        signs = ASCII if options.ascii_only else BLOCKS
        for number, statistic in enumerate(self.measured.statistics):
            if number:
                yield Text("")
            yield Text(printable(what_is_measured(statistic, self.measured.units[number])), style="bold")
            one = _One(self.measured, number)
            yield from one.values(options.max_width, signs)
            yield Text("")
            yield from one.breakdown(options.max_width, signs)


def _percent(share: float) -> str:
    if not np.isfinite(share):
        return "-"
    return f"{100 * share:.1f}" if share < 0.9995 else f"{100 * share:.0f}"


def _table(*columns: tuple[str, str]) -> rich.table.Table:
    """Return an empty table: names of columns, each to the ``left`` or to the ``right``."""
    import rich.table

    drawn = rich.table.Table(box=None, pad_edge=False, header_style="bold", padding=(0, _GAP, 0, 0))
    for name, side in columns:
        drawn.add_column(name, justify=side, no_wrap=True, overflow="ellipsis")  # type: ignore[arg-type]
    return drawn


class _One:
    """One statistic of a measurement."""

    def __init__(self, measured: Measured, number: int) -> None:
        self.statistic = measured.statistics[number]
        part = measured.slices[number]
        self.unit = measured.units[number]
        self.values_ = measured.nominal[part]
        self.errors = measured.uncertainties()[part]
        self.labels = [printable(label) for label in measured.labels[part]]
        self.events = measured.effective_events[part]
        self.bands = [(c.name, measured.uncertainties(c.name)[part]) for c in measured.components]

    @property
    def _relative(self) -> Array:
        """Return ``1 / |value|[bin]``; NaN where that is infinite."""
        sizes = np.abs(self.values_)
        inverse: Array = np.divide(1.0, sizes, out=np.full_like(sizes, np.nan), where=sizes > 0)
        return inverse

    def _heights(self) -> tuple[Array, Array, str]:
        """Return what the bars show, with its errors, and what that is: contents of bins are divided by widths."""
        statistic = self.statistic
        if isinstance(statistic, BinnedStatistic) and len(statistic.axes) == 1:
            widths = statistic.axes[0].widths
            if isinstance(statistic, Histogram) and not statistic.density and np.ptp(widths) > 1e-9 * widths.max():
                widths = np.where(np.isfinite(widths), widths, np.nan)
                return self.values_ / widths, self.errors / widths, "value per bin width"
        return self.values_, self.errors, "value"

    def values(self, width: int, signs: Signs) -> Iterator[Any]:
        """Yield the table of values, and what its bars mean."""
        from rich.text import Text

        pairs = [rounded(v, e) for v, e in zip(self.values_.tolist(), self.errors.tolist(), strict=True)]
        percent = [_percent(e * r) for e, r in zip(self.errors.tolist(), self._relative.tolist(), strict=True)]
        columns = [("bin", "left"), ("value", "right"), ("+-", "right"), ("%", "right")]
        cells = [list(row) for row in zip(self.labels, *zip(*pairs, strict=True), percent, strict=True)]
        if width >= _WIDE and np.isfinite(self.events).all():
            columns.append(("events", "right"))
            for row, events in zip(cells, self.events.tolist(), strict=True):
                row.append(f"{events:,.0f}")
        longest = [
            max(len(name), *map(len, column))
            for (name, _), column in zip(columns, zip(*cells, strict=True), strict=True)
        ]
        longest[0] = min(longest[0], max(_LONGEST_LABEL, width - sum(longest[1:]) - _GAP * len(longest)))
        room = min(width - sum(longest) - _GAP * len(longest), _LONGEST_BAR)
        if room < _SHORTEST_BAR:
            yield _filled(_table(*columns), cells)
            return
        heights, errors, what = self._heights()
        scale = Scale.of(heights, errors)
        table = _table(*columns, ("", "left"))
        for row, height, error in zip(cells, heights.tolist(), errors.tolist(), strict=True):
            drawn = bar(height, error, scale=scale, width=room, signs=signs)
            table.add_row(*map(Text, row), _coloured(drawn, signs))
        yield table
        kind = "logarithmic" if scale.logarithmic else "linear"
        yield Text(
            f"bars: {what}, {kind} from {scale.low:.3g} to {scale.high:.3g}; {signs.interval} is +- one uncertainty",
            style="dim",
        )

    def breakdown(self, width: int, signs: Signs) -> Iterator[Any]:
        """Yield the uncertainty by component: of every bin where there is room, else its smallest and largest."""
        from rich.text import Text

        if not self.bands:
            yield Text("no component of uncertainty")
            return
        relative = self._relative
        shares = {name: band * relative for name, band in self.bands}
        variances = {name: float(np.nansum(share**2)) for name, share in shares.items()}
        order = sorted(shares, key=lambda name: -variances[name])
        total = sum(variances.values())
        rows = [("total", self.errors * relative, 1.0)]
        rows += [(name, shares[name], variances[name] / total if total > 0 else 0.0) for name in order]
        yield Text("Uncertainty in %, by component", style="bold")
        first = max(len("component"), *map(len, shares))
        every = first + sum(_GAP + max(len(label), 5) for label in self.labels)
        if every <= width and len(self.labels) > 1:
            table = _table(("component", "left"), *((label, "right") for label in self.labels))
            for name, share, _ in rows:
                table.add_row(Text(name), *(Text(_percent(one)) for one in share.tolist()))
            yield table
            return
        columns = [("component", "left"), ("least", "right"), ("median", "right"), ("most", "right")]
        columns = columns if len(self.labels) > 1 else [("component", "left"), ("%", "right")]
        table = _table(*columns, ("variance", "right"), *([("", "left")] if width >= first + 48 else []))
        for name, share, part in rows:
            known = share[np.isfinite(share)]
            sizes = [f(known) for f in (np.min, np.median, np.max)] if len(known) else [np.nan] * 3
            sizes = sizes if len(self.labels) > 1 else sizes[:1]
            cells = [Text(name), *(Text(_percent(float(size))) for size in sizes), Text(f"{100 * part:.0f} %")]
            if len(table.columns) > len(cells):
                cells.append(Text(share_bar(part, width=_SHARE_BAR, signs=signs), style="blue"))
            table.add_row(*cells)
        yield table
        if len(self.labels) > 1:
            yield Text("variance: share of it. Every bin: in a wider terminal, or with --csv", style="dim")


def _filled(table: rich.table.Table, cells: list[list[str]]) -> rich.table.Table:
    from rich.text import Text

    for row in cells:
        table.add_row(*map(Text, row))
    return table


def _coloured(drawn: str, signs: Signs) -> Any:
    """Return a bar in colours that a dark and a light background bear."""
    from rich.text import Text

    whole = drawn.rstrip(signs.interval)
    return Text.assemble((whole, "blue"), (drawn[len(whole) :], "cyan"))
