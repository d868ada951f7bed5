from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnifold_pub.errors import ObservableError
from omnifold_pub.explorer.questions import MOST_BINS, Question


def test_what_is_left_out_has_its_default() -> None:
    question = Question.from_document({"observable": "  pT_ll "})
    assert question == Question("pT_ll")
    assert (question.kind, question.nan, question.density, question.normalise) == ("suggested", "error", True, False)
    assert question.number() == 12
    assert question.options() == {"density": True}


def test_options_are_those_of_measure() -> None:
    document = {"observable": "y_ll", "where": "pT_ll > 300", "nan": "drop", "density": False, "normalise": True}
    question = Question.from_document(document)
    assert question.options() == {"where": "pT_ll > 300", "nan": "drop", "normalise": True}
    assert question.selecting() == {"where": "pT_ll > 300", "nan": "drop"}


@pytest.mark.parametrize("text", ["200, 300, 450", "[200,300,450]", "200;300;450", " 200 , 300 , 450 , "])
def test_edges_are_read_as_people_type_them(text: str) -> None:
    assert Question("pT_ll", "edges", text).edges() == (200, 300, 450)


@given(
    number=st.integers(1, MOST_BINS),
    low=st.floats(-1e6, 1e6),
    width=st.floats(1e-3, 1e6),
)
def test_equal_bins_are_those_of_numpy(number: int, low: float, width: float) -> None:
    high = low + width
    edges = Question("x", "equal", f"{number}, {low!r}, {high!r}").edges()
    assert (edges[0], edges[-1]) == (low, high)
    assert edges == pytest.approx(np.linspace(low, high, number + 1), rel=1e-9, abs=1e-5 * width / number)


def test_equal_bins_have_round_edges() -> None:
    assert Question("x", "equal", "10, 0, 1").edges() == (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (None, "expected an object"),
        ([], "expected an object"),
        ("pT_ll", "expected an object"),
        ({}, "found nothing"),
        ({"observable": "   "}, "found nothing"),
        ({"observable": 7}, "observable: expected a text"),
        ({"observable": "x", "density": 1}, "density: expected true or false"),
        ({"observable": "x", "kind": "other"}, "kind: expected suggested or equal or edges"),
        ({"observable": "x", "nan": "keep"}, "nan: expected error or drop"),
        ({"observable": "x", "bin": "1,2"}, "did you mean bins?"),
        ({"observable": "x", "__class__": "y"}, "found '__class__'"),
    ],
)
def test_anything_else_is_refused(document: Any, said: str) -> None:
    with pytest.raises(ObservableError) as error:
        Question.from_document(document)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("kind", "bins"),
    [
        ("edges", ""),
        ("edges", "1"),
        ("edges", "1, 1"),
        ("edges", "2, 1"),
        ("edges", "1, nan"),
        ("edges", "1, inf"),
        ("edges", "1, two"),
        ("edges", ",".join(map(str, range(MOST_BINS + 2)))),
        ("equal", "10, 0"),
        ("equal", "10, 0, 1, 2"),
        ("equal", "2.5, 0, 1"),
        ("equal", "0, 0, 1"),
        ("equal", "-3, 0, 1"),
        ("equal", "1e9, 0, 1"),
        ("equal", "10, 1, 0"),
        ("equal", "10, 0, 0"),
    ],
)
def test_bins_that_are_none_are_refused(kind: Any, bins: str) -> None:
    with pytest.raises(ObservableError, match="bins"):
        Question("x", kind, bins).edges()


@pytest.mark.parametrize("bins", ["0", "-1", "101", "2.5", "many", "9" * 5000, "٣"])
def test_a_number_of_suggested_bins_that_is_none_is_refused(bins: str) -> None:
    with pytest.raises(ObservableError, match="from 1 to 100"):
        Question("x", "suggested", bins).number()


@given(st.text(max_size=60))
def test_whatever_is_typed_gives_edges_or_our_own_error(text: str) -> None:
    for kind in ("edges", "equal"):
        try:
            edges = Question("x", kind, text).edges()
        except ObservableError:
            continue
        assert all(map(math.isfinite, edges))
        assert np.all(np.diff(edges) > 0)
