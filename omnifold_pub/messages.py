"""What error messages are made of."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

__all__ = ["repeated", "shorten", "suggest"]

_LISTED = 30


def shorten(value: object, limit: int = 80) -> str:
    """Return ``repr(value)`` on one line, cut to a length that a message can carry.

    >>> shorten("x" * 200, 12)
    "'xxxxxxxx..."
    """
    text = " ".join(repr(value).split())
    return text if len(text) <= limit else text[: limit - 3] + "..."


def suggest(name: object, there: Sequence[str]) -> str:
    """Return the nearest of the names there are, or else what there is.

    >>> suggest("pT_lll", ["pT_ll", "mass_2"]), suggest("weight", ["pT_ll", "y_ll"]), suggest("weight", [])
    ('did you mean pT_ll?', 'there are pT_ll, y_ll', 'there is none at all')
    """
    close = difflib.get_close_matches(str(name), there, n=3)
    if close:
        return f"did you mean {' or '.join(close)}?"
    more = ", ..." if len(there) > _LISTED else ""
    return f"there are {', '.join(there[:_LISTED])}{more}" if there else "there is none at all"


def repeated(names: Sequence[str]) -> list[str]:
    """Return the names that occur more than once, sorted.

    >>> repeated(["b", "a", "b"])
    ['b']
    """
    return sorted({name for name in names if names.count(name) > 1})
