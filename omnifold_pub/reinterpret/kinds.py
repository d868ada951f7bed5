"""What kind of a file a theory is in, told by its first bytes."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import zlib
from pathlib import Path
from typing import Any, Literal

from omnifold_pub.errors import InputError
from omnifold_pub.messages import shorten

__all__ = ["Kind", "kind_of"]

Kind = Literal["ROOT", "Parquet", "HepMC", "LHE", "YODA"]

_START = 4096
_BINARY: dict[bytes, Kind] = {b"root": "ROOT", b"PAR1": "Parquet"}
_TEXT: dict[str, Kind] = {
    r"^HepMC::": "HepMC",
    r"<LesHouchesEvents\b": "LHE",
    r"^(# )?BEGIN YODA_": "YODA",
}
_COMPRESSED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}


def kind_of(path: str | Path) -> Kind:
    """Tell what kind of a file a theory is in. The name of the file does not count.

    Parameters
    ----------
    path : str or path-like
        ROOT, Parquet, HepMC (2 or 3), Les Houches events or YODA; the last three plain or compressed.

    Returns
    -------
    {"ROOT", "Parquet", "HepMC", "LHE", "YODA"}
        `Theory.from_root`, `from_parquet`, `from_hepmc`, `from_lhe` or `BinnedTheory.from_yoda` reads it.

    Raises
    ------
    InputError
        If there is no such file, it is empty, or of none of these kinds.

    Examples
    --------
    >>> kind_of("tests/data/zjets/theory.root"), kind_of("tests/data/hepmc/zjets.hepmc.gz")
    ('ROOT', 'HepMC')
    """
    path = Path(path)
    if not path.is_file():
        msg = f"{path}: no such file"
        raise InputError(msg)
    start = _start(path)
    for magic, kind in _BINARY.items():
        if start.startswith(magic):
            return kind
    text = start.decode(errors="replace")
    for pattern, kind in _TEXT.items():
        if re.search(pattern, text, re.MULTILINE):
            return kind
    found = f"one that starts with {shorten(start[:40])}" if start else "an empty one"
    msg = f"{path}: expected a file of ROOT, Parquet, HepMC, Les Houches events or YODA; found {found}"
    raise InputError(msg)


def _start(path: Path) -> bytes:
    """Return the first bytes of a file, whatever compressed it."""
    with path.open("rb") as file:
        start = file.read(_START)
    opener = next((one for magic, one in _COMPRESSED.items() if start.startswith(magic)), None)
    if opener is None:
        return start
    try:
        with opener(path, "rb") as file:
            inside: bytes = file.read(_START)
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        msg = f"{path}: damaged: it starts as a compressed file and is none ({shorten(str(error), 160)})"
        raise InputError(msg) from error
    return inside
