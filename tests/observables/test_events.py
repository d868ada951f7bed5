from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from omnifold_pub.errors import ObservableError
from omnifold_pub.observables.blocks import evaluate
from omnifold_pub.observables.events import Events, definition_text
from omnifold_pub.observables.momenta import FourMomentum

Columns = Mapping[str, NDArray[np.float32]]

NAN = float("nan")
TABLE: dict[str, list[float]] = {
    "pT_l1": [50.0, 60.0, 70.0, 80.0],
    "pT_l2": [25.0, 0.0, 35.0, 0.0],
    "pT_j2": [12.0, NAN, 30.0, NAN],
}


@pytest.fixture
def reads() -> Counter[str]:
    """How often each column was read."""
    return Counter()


@pytest.fixture
def events(reads: Counter[str]) -> Events:
    def load(name: str) -> NDArray[np.float32]:
        reads[name] += 1
        return np.array(TABLE[name], dtype=np.float32)

    return Events(4, tuple(TABLE), load, where="toy.h5")


def test_a_column_is_an_observable(events: Events) -> None:
    values = evaluate("pT_l1", events)
    assert values.dtype == np.float64
    assert values.tolist() == TABLE["pT_l1"]


def test_an_expression_is_an_observable(events: Events) -> None:
    assert evaluate("pT_l2 / pT_l1 + 1", events).tolist() == [1.5, 1.0, 1.5, 1.0]


def test_a_function_is_an_observable(events: Events) -> None:
    assert evaluate(lambda e: e["pT_l1"] - e["pT_l2"], events).tolist() == [25.0, 60.0, 35.0, 80.0]


def test_a_selection_is_an_observable_of_zeros_and_ones(events: Events) -> None:
    values = evaluate("pT_l1 > 55 & pT_l2 > 0", events)
    assert values.dtype == np.float64
    assert values.tolist() == [0.0, 0.0, 1.0, 0.0]


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint16, np.int64, np.float16, np.float32, np.float64])
def test_a_function_may_return_any_real_type(events: Events, dtype: type) -> None:
    values = evaluate(lambda e: (e["pT_l1"] > 55).astype(dtype), events)
    assert values.dtype == np.float64
    assert values.tolist() == [0.0, 1.0, 1.0, 1.0]


def test_a_function_may_return_a_list(events: Events) -> None:
    assert evaluate(lambda e: [1, 2, 3, 4], events).tolist() == [1.0, 2.0, 3.0, 4.0]  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize("definition", ["pT_j2", "pT_j2 / pT_l1", lambda e: e["pT_j2"] * 2])
def test_an_absent_object_is_no_error(events: Events, definition: str | Callable[[Columns], Any]) -> None:
    assert np.isnan(evaluate(definition, events)).tolist() == [False, True, False, True]


def test_an_undefined_value_is_an_error_that_counts_events(events: Events) -> None:
    message = r"observable '\(pT_l2 - pT_l2\) / pT_l2' is NaN for 2 of 4 events .* the first in row 1; .*nan=\"drop\""
    with pytest.raises(ObservableError, match=message):
        evaluate("(pT_l2 - pT_l2) / pT_l2", events)


def test_an_undefined_value_may_be_dropped(events: Events) -> None:
    values = evaluate("pT_l2 / pT_l2", events, nan="drop")
    np.testing.assert_array_equal(values, [1.0, NAN, 1.0, NAN])


def test_only_events_with_all_columns_are_counted_as_undefined(events: Events) -> None:
    message = r"NaN for 2 of 4 events that have all its columns, the first in row 0"
    with pytest.raises(ObservableError, match=message):
        evaluate("sqrt(-pT_j2)", events)


def test_an_infinite_value_is_no_error(events: Events) -> None:
    assert evaluate("pT_l1 / pT_l2", events)[1] == np.inf


def test_a_function_s_columns_are_tracked(events: Events) -> None:
    def second_jet(e: Columns) -> NDArray[np.float32]:
        return e["pT_j2"] + e["pT_l1"]

    assert np.isnan(evaluate(second_jet, events)).sum() == 2


def test_columns_that_a_function_takes_by_iterating_are_tracked(events: Events) -> None:
    def total(e: Columns) -> NDArray[np.float32]:
        return sum((column for _, column in e.items()), start=np.zeros(4, dtype=np.float32))

    assert np.isnan(evaluate(total, events)).sum() == 2


def test_a_nan_of_a_function_that_used_other_columns_is_an_error(events: Events) -> None:
    def invented(e: Columns) -> NDArray[np.float32]:
        return np.where(e["pT_l2"] > 0, e["pT_l1"], np.float32(np.nan))

    with pytest.raises(ObservableError, match="observable 'invented' is NaN for 2 of 4 events"):
        evaluate(invented, events)
    assert np.isnan(evaluate(invented, events, nan="drop")).sum() == 2


def test_a_nan_of_a_function_that_used_no_column_is_an_error(events: Events) -> None:
    with pytest.raises(ObservableError, match="NaN for 4 of 4 events"):
        evaluate(lambda e: np.full(4, np.nan), events)


@pytest.mark.parametrize(
    ("returned", "found"),
    [
        (np.zeros(3), r"shape \(3,\), dtype float64"),
        (np.zeros((4, 1)), r"shape \(4, 1\)"),
        (np.float64(1), r"shape \(\)"),
        (np.zeros(4, dtype=complex), "dtype complex128"),
        (np.array([1.0, None, "x", 2], dtype=object), "dtype object"),
        (np.array(["a", "b", "c", "d"]), "dtype <U1"),
        (np.zeros(4, dtype="m8[s]"), "dtype timedelta64"),
        (None, r"shape \(\), dtype object"),
    ],
)
def test_a_function_must_return_one_real_number_per_event(events: Events, returned: Any, found: str) -> None:
    with pytest.raises(ObservableError, match=f"expected one real number for each of the 4 events; found .*{found}"):
        evaluate(lambda e: returned, events)


def test_a_ragged_return_value_is_an_observable_error(events: Events) -> None:
    with pytest.raises(ObservableError, match=r"failed on toy\.h5"):
        evaluate(lambda e: [[1], [1, 2], [], [3]], events)  # type: ignore[arg-type,return-value]


def test_a_function_that_raises_is_named_with_its_cause(events: Events) -> None:
    def careless(e: Columns) -> NDArray[np.float32]:
        return e["pT_l1"][[7]]

    with pytest.raises(
        ObservableError, match=r"observable function 'careless' failed on toy\.h5: IndexError"
    ) as caught:
        evaluate(careless, events)
    assert isinstance(caught.value.__cause__, IndexError)


def test_a_function_cannot_change_the_events(events: Events) -> None:
    def vandal(e: Columns) -> NDArray[np.float32]:
        e["pT_l1"][:] = 0
        return e["pT_l1"]

    with pytest.raises(ObservableError, match=r"failed on toy\.h5: ValueError"):
        evaluate(vandal, events)
    assert events["pT_l1"].tolist() == TABLE["pT_l1"]


@pytest.mark.parametrize(
    "definition", ["pT_l3", "pT_l3 * 2", lambda e: e["pT_l3"]], ids=["column", "expression", "function"]
)
def test_an_unknown_column_suggests_the_nearest(
    events: Events, definition: str | Callable[[Columns], NDArray[np.float32]]
) -> None:
    with pytest.raises(ObservableError, match=r"toy\.h5 has no column 'pT_l3'; did you mean pT_l"):
        evaluate(definition, events)


def test_an_unknown_column_like_no_other_lists_what_there_is(events: Events) -> None:
    with pytest.raises(ObservableError, match="no column 'zzzz'; there are pT_l1, pT_l2, pT_j2"):
        evaluate("zzzz", events)


def test_something_else_is_no_observable(events: Events) -> None:
    with pytest.raises(ObservableError, match="column name, an expression or a function; found 5"):
        evaluate(5, events)  # type: ignore[arg-type]


def test_columns_are_read_when_used_and_once(events: Events, reads: Counter[str]) -> None:
    assert (len(events), list(events), "pT_l1" in events, "x" in events) == (3, list(TABLE), True, False)
    assert reads == {}
    evaluate("pT_l1 / pT_l2", events, nan="drop")
    evaluate("pT_l1", events)
    evaluate(lambda e: e["pT_l1"] + e["pT_l1"], events)
    assert reads == {"pT_l1": 1, "pT_l2": 1}


def test_columns_are_read_only(events: Events) -> None:
    with pytest.raises(ValueError, match="read-only"):
        events["pT_l1"][0] = 1


def test_values_are_no_view_of_the_columns(events: Events) -> None:
    evaluate("pT_l1", events)[:] = 0
    assert events["pT_l1"].tolist() == TABLE["pT_l1"]


def test_a_column_named_like_a_constant_is_the_column() -> None:
    events = Events(2, ("pi",), lambda name: np.array([1.0, 2.0], dtype=np.float32), where="toy.h5")
    assert evaluate("pi", events).tolist() == [1.0, 2.0]


def test_definitions_as_text() -> None:
    def thrust(e: Columns) -> NDArray[np.float32]:
        return e["x"]

    assert definition_text("a / b") == "a / b"
    assert definition_text(thrust) == "thrust"


def test_an_unknown_rule_for_nan_is_refused(events: Events) -> None:
    with pytest.raises(ObservableError, match='expected "error" or "drop"; found \'keep\''):
        evaluate("pT_l1", events, nan="keep")  # type: ignore[arg-type]


def test_a_function_may_use_vectors_and_absent_objects_stay_absent() -> None:
    table = {"pt": [30.0, np.nan], "eta": [0.5, 1.0], "phi": [0.0, 1.0]}
    momenta = {"l1": FourMomentum("l1", pt="pt", eta="eta", phi="phi", mass=0)}
    events = Events(2, tuple(table), lambda name: np.array(table[name], dtype=np.float32), where="toy", momenta=momenta)
    values = evaluate(lambda e: e.vector("l1").E, events)  # type: ignore[attr-defined]
    np.testing.assert_allclose(values, [30 * np.cosh(0.5), np.nan])
