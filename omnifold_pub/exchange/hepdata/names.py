"""Names of tables and of their files."""

from __future__ import annotations

import re

__all__ = ["LONGEST_NAME", "Names"]

LONGEST_NAME = 64
"""Characters that HEPData takes for the name of a table."""

_LONGEST_FILE = 60


class Names:
    """Gives every table a name and a file that no other table has.

    Examples
    --------
    >>> names = Names()
    >>> names.take("pT_l1 / pT_l2")
    ('pT_l1 / pT_l2', 'pT_l1_pT_l2.yaml')
    >>> names.take("PT_L1 - PT_L2")
    ('PT_L1 - PT_L2', 'PT_L1_PT_L2_2.yaml')
    >>> len(names.take("x" * 100)[0])
    64
    """

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._files: set[str] = {"submission"}

    def take(self, wanted: str) -> tuple[str, str]:
        """Return a name of at most 64 characters and a file name without separators, both new."""
        printable = " ".join("".join(c if c.isprintable() else " " for c in wanted).split()) or "Table"
        name = _new(printable, self._names, LONGEST_NAME, "... ({})")
        stem = re.sub(r"[^A-Za-z0-9]+", "_", printable).strip("_") or "table"
        return name, f"{_new(stem, self._files, _LONGEST_FILE, '_{}')}.yaml"


def _new(text: str, taken: set[str], longest: int, ending: str) -> str:
    """Return a text that is not among those taken, whatever the case of its letters, and add it to them."""
    found, number = text if len(text) <= longest else f"{text[: longest - 3]}...", 1
    while found.lower() in taken:
        number += 1
        end = ending.format(number)
        found = text[: longest - len(end)] + end
    taken.add(found.lower())
    return found
