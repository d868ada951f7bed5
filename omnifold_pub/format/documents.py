"""JSON inside a release: written in one canonical way, read strictly and within bounds."""

from __future__ import annotations

import json
import math
from typing import Any

from omnifold_pub.errors import ReleaseError
from omnifold_pub.messages import shorten

__all__ = ["MAX_BYTES", "decode_document", "encode_document"]

MAX_BYTES = 4 * 1024 * 1024
MAX_VALUES = 200_000
MAX_DEPTH = 32


def encode_document(document: dict[str, Any]) -> bytes:
    r"""Return the canonical bytes of a document: UTF-8, keys sorted, indented by one space, no newline at the end.

    >>> encode_document({"b": 1, "a": "\u03bc"}).decode()
    '{\n "a": "\u03bc",\n "b": 1\n}'
    """
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1, sort_keys=True)
    return text.encode("utf-8")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        msg = "a key occurs twice in one object"
        raise ValueError(msg)
    return result


def _no_constants(text: str) -> Any:
    msg = f"{text} is not a number of JSON"
    raise ValueError(msg)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        msg = f"{text} is larger than any number of double precision"
        raise ValueError(msg)
    return value


def _check_bounds(document: object) -> None:
    pending = [(document, 1)]
    values = 0
    while pending:
        node, depth = pending.pop()
        values += 1
        if depth > MAX_DEPTH or values > MAX_VALUES:
            msg = f"deeper than {MAX_DEPTH} levels or more than {MAX_VALUES} values"
            raise ValueError(msg)
        if isinstance(node, dict):
            pending += [(value, depth + 1) for value in node.values()]
            node = "".join(node)
        elif isinstance(node, list):
            pending += [(value, depth + 1) for value in node]
        if isinstance(node, str):
            node.encode("utf-8")  # a lone surrogate is no text, and nobody could print it


def decode_document(data: bytes, where: str) -> dict[str, Any]:
    """Read a JSON object; no schema is checked here.

    Parameters
    ----------
    data : bytes
        UTF-8.
    where : str
        For messages.

    Raises
    ------
    ReleaseError
        If it is not strict JSON (no NaN, no key twice in an object) of a bearable size and depth.
    """
    if len(data) > MAX_BYTES:
        msg = f"{where}: expected strict JSON of at most {MAX_BYTES} bytes; found {len(data)}"
        raise ReleaseError(msg)
    try:
        document = json.loads(
            data.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_no_constants, parse_float=_finite
        )
        _check_bounds(document)
    except (ValueError, RecursionError) as error:
        msg = f"{where}: expected strict JSON in UTF-8; {shorten(str(error))}"
        raise ReleaseError(msg) from None
    if not isinstance(document, dict):
        msg = f"{where}: expected a JSON object; found {type(document).__name__}"
        raise ReleaseError(msg)
    return document
