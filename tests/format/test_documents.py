"""JSON inside a release: one canonical way to write it, and a strict reader within bounds."""

from __future__ import annotations

import contextlib
import json
import math
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnifold_pub.errors import ReleaseError
from omnifold_pub.format.documents import MAX_BYTES, MAX_DEPTH, MAX_VALUES, decode_document, encode_document

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=15,
)
DOCUMENTS = st.dictionaries(TEXT, VALUES, max_size=5)


@settings(deadline=None)
@given(document=DOCUMENTS)
def test_documents_come_back_as_they_were(document: dict[str, Any]) -> None:
    back = decode_document(encode_document(document), "here")
    assert back == document
    assert repr(back) == repr(json.loads(encode_document(document)))  # -0.0 and 1.0 are no 0 and 1


@settings(deadline=None)
@given(document=DOCUMENTS)
def test_bytes_depend_on_the_content_alone(document: dict[str, Any]) -> None:
    backwards = dict(reversed(document.items()))
    assert encode_document(backwards) == encode_document(document)
    assert encode_document(decode_document(encode_document(document), "here")) == encode_document(document)


def test_canonical_bytes_are_those_documented() -> None:
    document = {"b": [1, 2.5], "a": {"\u03bc": None}, "c": "caf\u00e9\n"}
    expected = '{\n "a": {\n  "\u03bc": null\n },\n "b": [\n  1,\n  2.5\n ],\n "c": "caf\u00e9\\n"\n}'
    assert encode_document(document) == expected.encode("utf-8")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_lacks_are_not_written(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode_document({"energy": value})


def test_numbers_of_numpy_are_not_written_by_chance() -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        encode_document({"events": np.int64(3)})


NOT_STRICT = {
    "nan": (b'{"a": NaN}', "NaN is not a number of JSON"),
    "infinity": (b'{"a": Infinity}', "Infinity is not a number of JSON"),
    "minus-infinity": (b'{"a": [-Infinity]}', "-Infinity is not a number of JSON"),
    "overflow": (b'{"a": 1e999}', "1e999"),
    "minus-overflow": (b'{"a": {"b": [-1.5E+400]}}', "-1.5E+400"),
    "twice": (b'{"a": 1, "a": 2}', "a key occurs twice"),
    "twice-same": (b'{"a": 1, "a": 1}', "a key occurs twice"),
    "twice-inside": (b'{"deep": [{"a": 1, "b": 2, "a": 1}]}', "a key occurs twice"),
    "twice-escaped": (b'{"a": 1, "\\u0061": 2}', "a key occurs twice"),
    "byte-order-mark": (b'\xef\xbb\xbf{"a": 1}', "BOM"),
    "utf-16": ('{"a": 1}'.encode("utf-16"), "codec can't decode"),
    "latin-1": ('{"a": "\xe4"}'.encode("latin-1"), "codec can't decode"),
    "overlong": (b'{"a": "\xc0\xaf"}', "codec can't decode"),
    "surrogate-in-utf-8": (b'{"a": "\xed\xa0\x80"}', "codec can't decode"),
    "lone-surrogate": (b'{"a": "\\ud800"}', "surrogate"),
    "lone-surrogate-inside": (b'{"a": [{"b": "x\\udfffy"}]}', "surrogate"),
    "lone-surrogate-key": (b'{"\\udc00": 1}', "surrogate"),
    "control-character": (b'{"a": "\x1b[2J"}', "control character"),
    "cut": (b'{"a": 1', "delimiter"),
    "trailing": (b'{"a": 1} {}', "Extra data"),
    "zero-byte": (b'{"a": 1}\0', "Extra data"),
    "comment": (b'{"a": 1 /* one */}', "delimiter"),
    "trailing-comma": (b'{"a": 1,}', "property name"),
    "single-quotes": (b"{'a': 1}", "property name"),
    "leading-zero": (b'{"a": 01}', "delimiter"),
    "plus": (b'{"a": +1}', "Expecting value"),
    "hexadecimal": (b'{"a": 0x10}', "delimiter"),
    "empty": (b"", "Expecting value"),
    "zeros": (bytes(100), "Expecting value"),
    "huge-integer": (b'{"a": ' + b"9" * 100_000 + b"}", "limit"),
    "deep-list": (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "recursion"),
    "deep-object": (b'{"a": ' * 100_000 + b"1" + b"}" * 100_000, "recursion"),
    "unclosed": (b'{"a": ' + b"[" * 100_000, "recursion"),
}
NO_OBJECT = {
    "list": (b"[1, 2]", "expected a JSON object; found list"),
    "text": (b'"text"', "expected a JSON object; found str"),
    "number": (b"1", "expected a JSON object; found int"),
    "null": (b"null", "expected a JSON object; found NoneType"),
}


@pytest.mark.parametrize(("data", "reason"), NOT_STRICT.values(), ids=NOT_STRICT)
def test_what_is_not_strict_json_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ReleaseError, match=r"^here: expected strict JSON in UTF-8; ") as caught:
        decode_document(data, "here")
    assert reason in str(caught.value)
    assert len(str(caught.value)) < 400
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(("data", "reason"), NO_OBJECT.values(), ids=NO_OBJECT)
def test_what_is_no_object_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ReleaseError, match=f"^here: {reason}"):
        decode_document(data, "here")


@settings(deadline=None, max_examples=300)
@given(data=st.binary(max_size=60) | st.text('{}[]":,0123456789.eE+-\\untrfalse \n', max_size=60).map(str.encode))
def test_any_bytes_give_an_object_or_a_refusal(data: bytes) -> None:
    try:
        document = decode_document(data, "here")
    except ReleaseError:
        return
    assert document == json.loads(data)
    encode_document(document)


def test_what_is_accepted_can_be_written_again() -> None:
    for data in (b' {"a": "\\ud83d\\ude00"} ', b'{"a": 1e-999}', b'{"a": -0}', b'{"a": "\\u0000"}', b'{"": {}}'):
        assert decode_document(encode_document(decode_document(data, "here")), "here") == json.loads(data)


@pytest.mark.parametrize("surplus", [0, 1])
def test_documents_have_a_size(surplus: int) -> None:
    data = b'{"a": "' + b"x" * (MAX_BYTES + surplus - 9) + b'"}'
    if not surplus:
        assert len(decode_document(data, "here")["a"]) == MAX_BYTES - 9
        return
    with pytest.raises(ReleaseError, match=f"at most {MAX_BYTES} bytes; found {MAX_BYTES + 1}"):
        decode_document(data, "here")


@pytest.mark.parametrize("surplus", [0, 1])
def test_documents_have_a_depth(surplus: int) -> None:
    levels = MAX_DEPTH + surplus - 2  # the object itself and the number count as well
    data = b'{"a": ' + b"[" * levels + b"1" + b"]" * levels + b"}"
    if not surplus:
        decode_document(data, "here")
        return
    with pytest.raises(ReleaseError, match=f"deeper than {MAX_DEPTH} levels"):
        decode_document(data, "here")


@pytest.mark.parametrize("surplus", [0, 1])
def test_documents_have_so_many_values_and_no_more(surplus: int) -> None:
    data = json.dumps({"a": [0] * (MAX_VALUES + surplus - 2)}).encode()
    if not surplus:
        decode_document(data, "here")
        return
    with pytest.raises(ReleaseError, match=f"more than {MAX_VALUES} values"):
        decode_document(data, "here")


def test_bounds_are_told_before_the_bytes_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "loads", lambda *_, **__: pytest.fail("parsed"))
    with pytest.raises(ReleaseError, match=f"at most {MAX_BYTES} bytes"):
        decode_document(bytes(MAX_BYTES + 1), "here")


@pytest.mark.parametrize(
    "data",
    [
        b'{"a": [' + b",".join([b"[]"] * 1_300_000) + b"]}",
        b'{"a": [' + b",".join([b"9" * 4000] * 1000) + b"]}",
        b'{"a": "' + b"\\u0041" * 690_000 + b'"}',
    ],
    ids=["many-lists", "long-numbers", "escapes"],
)
@pytest.mark.slow
def test_the_worst_of_the_size_takes_seconds_at_most(data: bytes) -> None:
    assert len(data) <= MAX_BYTES
    started = time.monotonic()
    with contextlib.suppress(ReleaseError):
        decode_document(data, "here")
    assert time.monotonic() - started < 10
