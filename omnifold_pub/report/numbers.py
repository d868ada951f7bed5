"""Numbers as a page shows them."""

from __future__ import annotations

import math

__all__ = ["NUMBERS", "error", "number", "p_value", "percent", "pull"]


def percent(share: float) -> str:
    r"""Return a share in percent, to two digits.

    >>> [percent(share).replace("\N{NO-BREAK SPACE}", " ") for share in (0.01372, 0.2, 0.0, 1.5, 0.00004, math.nan)]
    ['1.4 %', '20 %', '0 %', '150 %', '< 0.01 %', 'unknown']
    """
    if not math.isfinite(share):
        return "unknown"
    if 0 < abs(share) < 1e-4:
        return "< 0.01\N{NO-BREAK SPACE}%"
    size = 100 * share
    digits = 0 if abs(size) >= 9.95 or size == 0 else 1 if abs(size) >= 0.095 else 2
    return f"{size:.{digits}f}\N{NO-BREAK SPACE}%"


def number(value: float | None) -> str:
    """Return a number as short as it reads well.

    >>> number(1000.0), number(0.0123456), number(24431), number(1.23e-9)
    ('1,000', '0.012346', '24,431', '1.23e-09')
    """
    if value is None:
        return "\N{EN DASH}"
    return f"{value:,.5g}" if abs(value) < 1e5 or abs(value) >= 1e15 else f"{value:,.0f}"


def error(value: float) -> str:
    """Return an uncertainty to two digits.

    >>> error(0.01712), error(99.6), error(1234.5), error(0.0), error(1.23e-9)
    ('0.017', '100', '1,200', '0', '1.2e-09')
    """
    return number(float(f"{value:.2g}"))


def p_value(value: float | None) -> str:
    """Return a p-value.

    >>> p_value(0.0421), p_value(2e-5)
    ('0.042', '< 0.001')
    """
    if value is None:
        return "\N{EN DASH}"
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def pull(value: float) -> str:
    r"""Return a pull with its sign.

    >>> pull(1.26), pull(-0.12) == "\N{MINUS SIGN}0.1"
    ('+1.3', True)
    """
    return f"{value:+.1f}".replace("-", "\N{MINUS SIGN}")


NUMBERS = {"percent": percent, "number": number, "error": error, "p": p_value, "pull": pull}
"""Filters of the page's template."""
