from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnifold_pub.errors import InputError
from omnifold_pub.inputs.sample import Columns, Sample

NAN = float("nan")


def make_sample(**changed: Any) -> Sample:
    columns = Columns.from_arrays({"x": np.array([1.0, 2.0, 3.0])})
    valid: dict[str, Any] = {
        "name": "mc.root",
        "reco": columns,
        "pass_reco": np.array([True, True, False]),
        "reco_weight": np.array([1.0, 2.0, 0.0]),
        "event_id": np.array([10, 11, 12]),
        "truth": columns,
        "pass_truth": np.array([True, False, True]),
        "truth_weight": np.array([1.0, -0.5, 2.0]),
    }
    return Sample(**valid | changed)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    values=st.lists(st.one_of(st.just(-99.0), st.just(NAN), st.floats(width=32)), min_size=1, max_size=20),
    sentinel=st.sampled_from([None, -99, -99.0, 0]),
)
def test_sentinels_and_nan_become_masks(values: list[float], sentinel: float | None) -> None:
    columns = Columns.from_arrays({"x": np.array(values)}, sentinel=sentinel)
    expected = [not (np.isnan(v) or v == sentinel) for v in values]
    assert columns.present[:, 0].tolist() == expected
    assert columns.values[:, 0].tolist() == [v if there else 0 for v, there in zip(values, expected, strict=True)]
    assert (columns.values.dtype.name, columns.present.dtype.name) == ("float32", "bool")


def test_without_a_sentinel_its_value_is_a_value() -> None:
    assert Columns.from_arrays({"x": np.array([-99.0])}).present.all()


def test_a_sentinel_that_float32_cannot_hold_exactly_is_still_found() -> None:
    columns = Columns.from_arrays({"x": np.array([-999.9, 1.0])}, sentinel=-999.9)
    assert columns.present[:, 0].tolist() == [False, True]


def test_integer_and_boolean_columns_are_taken() -> None:
    columns = Columns.from_arrays({"n": np.array([3, -99, 0]), "b": np.array([True, False, True])}, sentinel=-99)
    assert columns.values.tolist() == [[3, 1], [0, 0], [0, 1]]
    assert columns.present.tolist() == [[True, True], [False, True], [True, True]]


def test_columns_keep_their_order() -> None:
    columns = Columns.from_arrays({"b": np.array([1.0, 2.0]), "a": np.array([3.0, 4.0])})
    assert columns.names == ("b", "a")
    assert columns.values.tolist() == [[1, 3], [2, 4]]
    assert len(columns) == 2


def test_the_arrays_given_are_not_changed() -> None:
    given_array = np.array([1.0, -99.0], dtype=np.float32)
    Columns.from_arrays({"x": given_array}, sentinel=-99)
    assert given_array.tolist() == [1.0, -99.0]


def test_rows_are_selected_with_their_masks() -> None:
    columns = Columns.from_arrays({"x": np.array([1.0, NAN, 3.0])}).select(np.array([False, True, True]))
    assert columns.present[:, 0].tolist() == [False, True]
    assert columns.values[:, 0].tolist() == [0, 3]


def test_a_release_stores_nan_where_an_observable_is_absent() -> None:
    columns = Columns.from_arrays({"x": np.array([1.0, -99.0]), "y": np.array([0.0, 5.0])}, sentinel=-99)
    np.testing.assert_array_equal(columns.with_nan("x"), np.array([1, NAN], dtype=np.float32))
    np.testing.assert_array_equal(columns.with_nan("y"), np.array([0, 5], dtype=np.float32))
    assert columns.with_nan("x").dtype == np.float32


def test_a_valid_sample_is_taken() -> None:
    assert len(make_sample()) == 3


def test_single_negative_weights_are_taken() -> None:
    assert make_sample(reco_weight=np.array([3.0, -1.0, 0.0])).reco_weight.min() == -1


def test_an_empty_sample_is_refused() -> None:
    nothing = np.array([])
    columns = Columns.from_arrays({"x": nothing})
    with pytest.raises(InputError, match=r"^mc\.root: the sample is empty"):
        make_sample(
            reco=columns,
            truth=columns,
            pass_reco=nothing.astype(bool),
            pass_truth=nothing.astype(bool),
            reco_weight=nothing,
            truth_weight=nothing,
            event_id=nothing.astype(np.int64),
        )


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("pass_reco", np.array([True, True])),
        ("pass_truth", np.array([True] * 4)),
        ("reco_weight", np.ones(2)),
        ("truth_weight", np.ones(4)),
        ("reco", Columns.from_arrays({"x": np.ones(2)})),
        ("truth", Columns.from_arrays({"x": np.ones(4)})),
    ],
)
def test_lengths_that_disagree_are_refused(what: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"^mc.root: {what} has [24] events, event_id has 3"):
        make_sample(**{what: value})


@pytest.mark.parametrize("which", ["reco", "truth"])
@pytest.mark.parametrize("bad", [NAN, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused_and_counted(which: str, bad: float) -> None:
    message = rf"^mc.root: 2 of 3 {which} weights are not finite, the first at row 1 \({bad}\)"
    with pytest.raises(InputError, match=message):
        make_sample(**{f"{which}_weight": np.array([1.0, bad, bad])})


@pytest.mark.parametrize("which", ["reco", "truth"])
def test_selected_events_need_a_positive_total_weight(which: str) -> None:
    for weight in (0.0, -1.0):
        weights = np.full(3, weight)
        with pytest.raises(InputError, match=f"the {which} weights of the selected events sum to .*more than 0"):
            make_sample(**{f"{which}_weight": weights})
    only_outside = np.where(getattr(make_sample(), f"pass_{which}"), 0.0, 1.0)
    with pytest.raises(InputError, match="sum to 0; expected more than 0"):
        make_sample(**{f"{which}_weight": only_outside})


@pytest.mark.parametrize("which", ["reco", "truth"])
def test_a_selection_that_nothing_passes_is_refused(which: str) -> None:
    with pytest.raises(InputError, match=f"the {which} weights of the selected events sum to 0"):
        make_sample(**{f"pass_{which}": np.zeros(3, dtype=bool)})


def test_repeated_event_ids_are_refused_and_counted() -> None:
    with pytest.raises(InputError, match=r"^mc.root: event ids repeat \(2 of 3\)"):
        make_sample(event_id=np.array([5, 5, 5]))


def make_data() -> Sample:
    return make_sample(truth=None, pass_truth=np.zeros(3, dtype=bool), truth_weight=np.zeros(3))


def test_data_need_no_truth() -> None:
    data = make_data()
    assert data.truth is None
    with pytest.raises(InputError, match="no particle level; expected a simulation"):
        data.particle_level  # noqa: B018


def test_a_simulation_has_a_particle_level() -> None:
    sample = make_sample()
    assert sample.particle_level is sample.truth


def test_a_variation_changes_the_detector_level_alone() -> None:
    sample = make_sample()
    reco = Columns.from_arrays({"x": np.array([7.0, 8.0, 9.0])})
    varied = sample.with_reco(reco, np.array([True, False, True]), "varied.root")
    assert (varied.name, varied.reco, varied.pass_reco.tolist()) == ("varied.root", reco, [True, False, True])
    for field in ("truth", "pass_truth", "truth_weight", "reco_weight", "event_id"):
        assert getattr(varied, field) is getattr(sample, field)


def test_a_variation_is_checked_too() -> None:
    with pytest.raises(InputError, match=r"^varied\.root: the reco weights of the selected events sum to 0"):
        make_sample().with_reco(make_sample().reco, np.array([False, False, True]), "varied.root")


def test_samples_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        make_sample().name = "other"  # type: ignore[misc]
