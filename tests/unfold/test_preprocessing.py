from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from omnifold_pub.errors import InputError
from omnifold_pub.inputs.sample import Columns
from omnifold_pub.unfold.preprocessing import Encoding, Pair, Preprocessor

EVENTS = 400


def columns_of(**values: NDArray[np.floating]) -> Columns:
    return Columns.from_arrays({name: column.astype(np.float32) for name, column in values.items()})


def encode(columns: Columns, *encodings: Encoding) -> NDArray[np.float32]:
    return Preprocessor.fit([columns], encodings).transform(columns)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def test_features_are_standardised(rng: np.random.Generator) -> None:
    x = encode(columns_of(x=rng.normal(50, 20, EVENTS), y=rng.uniform(-1e-3, 1e-3, EVENTS)), Encoding(), Encoding())
    assert x.dtype == np.float32
    assert x.shape == (EVENTS, 2)
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(x.std(axis=0), 1, rtol=1e-5)


def test_standardisation_is_linear(rng: np.random.Generator) -> None:
    values = rng.normal(50, 20, EVENTS).astype(np.float32)
    expected = (values - values.mean(dtype=np.float64)) / values.std(dtype=np.float64)
    np.testing.assert_allclose(encode(columns_of(x=values), Encoding())[:, 0], expected, rtol=1e-4, atol=1e-6)


def test_a_large_common_offset_does_not_cost_precision(rng: np.random.Generator) -> None:
    values = (2.0**20 + rng.integers(0, 8, EVENTS)).astype(np.float32)
    x = encode(columns_of(x=values), Encoding())[:, 0]
    assert x.std() == pytest.approx(1, rel=1e-5)
    assert len(np.unique(x)) == len(np.unique(values))


def test_absent_events_do_not_enter_the_constants(rng: np.random.Generator) -> None:
    values = rng.normal(50, 20, EVENTS)
    values[::3] = np.nan
    fitted = Preprocessor.fit([columns_of(x=values)], [Encoding()])
    there = values[~np.isnan(values)].astype(np.float32).astype(np.float64)
    assert fitted.mean[0] == pytest.approx(there.mean(), rel=1e-12)
    assert fitted.scale[0] == pytest.approx(there.std(), rel=1e-12)


def test_constants_come_from_all_samples_together(rng: np.random.Generator) -> None:
    first, second = rng.normal(0, 1, 100), rng.normal(5, 1, 300)
    fitted = Preprocessor.fit([columns_of(x=first), columns_of(x=second)], [Encoding()])
    together = Preprocessor.fit([columns_of(x=np.concatenate([first, second]))], [Encoding()])
    assert fitted.to_dict() == together.to_dict()


def test_other_events_are_transformed_with_the_fitted_constants() -> None:
    fitted = Preprocessor.fit([columns_of(x=np.array([0.0, 2.0]))], [Encoding()])
    assert fitted.transform(columns_of(x=np.array([1.0, 3.0, 11.0])))[:, 0].tolist() == [0, 2, 10]


def test_a_constant_observable_becomes_zero() -> None:
    assert encode(columns_of(x=np.full(5, 7.0)), Encoding())[:, 0].tolist() == [0.0] * 5


@pytest.mark.parametrize("offset", [0.0, 1.0, 0.01])
def test_a_logarithm_is_taken_after_the_offset(rng: np.random.Generator, offset: float) -> None:
    values = rng.exponential(30, EVENTS).astype(np.float32)
    if offset:
        values[0] = 0
    encoded = np.log(values.astype(np.float64) + offset)
    expected = (encoded - encoded.mean()) / encoded.std()
    x = encode(columns_of(x=values), Encoding("log", offset))[:, 0]
    np.testing.assert_allclose(x, expected, rtol=1e-5, atol=1e-6)


def test_an_angle_becomes_its_cosine_and_sine(rng: np.random.Generator) -> None:
    phi = rng.uniform(-np.pi, np.pi, EVENTS).astype(np.float32)
    x = encode(columns_of(phi=phi), Encoding("angle"))
    for feature, encoded in zip(x.T, (np.cos(phi.astype(float)), np.sin(phi.astype(float))), strict=True):
        np.testing.assert_allclose(feature, (encoded - encoded.mean()) / encoded.std(), atol=1e-5)


def test_an_angle_is_continuous_at_pi(rng: np.random.Generator) -> None:
    fitted = Preprocessor.fit([columns_of(phi=rng.uniform(-np.pi, np.pi, EVENTS))], [Encoding("angle")])
    below, above, far = fitted.transform(columns_of(phi=np.array([np.pi - 1e-4, -np.pi + 1e-4, 0.0])))
    assert np.abs(below - above).max() < 1e-3
    assert np.abs(below - far).max() > 1


def test_an_absent_value_becomes_the_median_of_the_standardised_ones(rng: np.random.Generator) -> None:
    values = rng.exponential(30, EVENTS)
    values[::4] = np.nan
    x = encode(columns_of(x=values), Encoding("log", 1))
    absent = np.isnan(values)
    np.testing.assert_allclose(x[absent, 0], np.median(x[~absent, 0]), rtol=1e-5, atol=1e-6)
    assert len(np.unique(x[absent, 0])) == 1


def test_an_absent_angle_is_imputed_in_both_features(rng: np.random.Generator) -> None:
    phi = rng.uniform(-3, 1, EVENTS)
    phi[:100] = np.nan
    x = encode(columns_of(phi=phi), Encoding("angle"))
    assert x.shape == (EVENTS, 3)
    np.testing.assert_allclose(x[:100, :2], np.median(x[100:, :2], axis=0)[np.newaxis].repeat(100, 0), atol=1e-5)


def test_presence_is_a_feature_of_plus_and_minus_one(rng: np.random.Generator) -> None:
    values = rng.normal(0, 1, EVENTS)
    values[::3] = np.nan
    x = encode(columns_of(x=values, y=rng.normal(0, 1, EVENTS)), Encoding(), Encoding())
    assert x.shape == (EVENTS, 3)
    np.testing.assert_array_equal(x[:, 2], np.where(np.isnan(values), -1, 1))


def test_no_flag_where_everything_is_present(rng: np.random.Generator) -> None:
    fitted = Preprocessor.fit([columns_of(x=rng.normal(0, 1, 10))], [Encoding()])
    assert fitted.flags == ()


def test_observables_absent_together_share_a_flag(rng: np.random.Generator) -> None:
    jet1, jet2 = rng.random(EVENTS) < 0.9, rng.random(EVENTS) < 0.5

    def observable(present: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.where(present, rng.normal(0, 1, EVENTS), np.nan)

    columns = columns_of(
        pT1=observable(jet1), pT2=observable(jet2), z=rng.normal(0, 1, EVENTS), m1=observable(jet1), m2=observable(jet2)
    )
    fitted = Preprocessor.fit([columns], [Encoding()] * 5)
    assert sorted(fitted.flags) == [(0, 3), (1, 4)]
    x = fitted.transform(columns)
    assert x.shape == (EVENTS, 7)
    flags = {group: x[:, 5 + k] for k, group in enumerate(fitted.flags)}
    np.testing.assert_array_equal(flags[0, 3], np.where(jet1, 1, -1))
    np.testing.assert_array_equal(flags[1, 4], np.where(jet2, 1, -1))


def test_one_event_of_difference_separates_flags() -> None:
    first, second = np.arange(9.0), np.arange(9.0)
    first[:3], second[:4] = np.nan, np.nan
    assert Preprocessor.fit([columns_of(a=first, b=second)], [Encoding()] * 2).flags == ((0,), (1,))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.data())
def test_what_stands_where_an_observable_is_absent_cannot_be_seen(data: st.DataObject) -> None:
    events = data.draw(st.integers(3, 12))
    encodings = [Encoding(), Encoding("log", 0.5), Encoding("angle")]
    present = np.array(data.draw(st.lists(st.tuples(*[st.booleans()] * 3), min_size=events, max_size=events)))
    present[0] = True
    rng = np.random.default_rng(data.draw(st.integers(0, 100)))
    values = rng.exponential(1, (events, 3)).astype(np.float32)
    fills = st.one_of(st.floats(width=32), st.sampled_from([-99.0, -999.0, 0.0, float("nan"), float("inf")]))
    filled = [
        np.where(present, values, np.array(data.draw(st.lists(fills, min_size=3, max_size=3)), dtype=np.float32))
        for _ in range(2)
    ]
    samples = [Columns(("x", "y", "phi"), fill.astype(np.float32), present) for fill in filled]
    first, second = (Preprocessor.fit([sample], encodings) for sample in samples)
    assert first.to_dict() == second.to_dict()
    features = first.transform(samples[0])
    assert np.isfinite(features).all()
    np.testing.assert_array_equal(features, first.transform(samples[1]))


def test_absent_events_are_all_alike(rng: np.random.Generator) -> None:
    values = rng.normal(0, 1, EVENTS)
    values[:50] = np.nan
    x = encode(columns_of(x=values, y=np.where(np.isnan(values), np.nan, 1.5 + values)), Encoding(), Encoding())
    assert len(np.unique(x[:50], axis=0)) == 1


def test_an_observable_absent_everywhere_is_refused() -> None:
    with pytest.raises(InputError, match="observable 'y' is absent from every event; leave it out"):
        Preprocessor.fit([columns_of(x=np.ones(3), y=np.full(3, np.nan))], [Encoding(), Encoding()])


@pytest.mark.parametrize(("lowest", "offset"), [(0.0, 0.0), (-1.0, 0.0), (-1.0, 1.0)])
def test_a_logarithm_of_nothing_or_less_is_refused(lowest: float, offset: float) -> None:
    message = (
        rf"'x' is encoded as the logarithm of itself plus {offset:g}, but reaches {lowest:g}; give a larger offset"
    )
    with pytest.raises(InputError, match=message):
        Preprocessor.fit([columns_of(x=np.array([5.0, lowest]))], [Encoding("log", offset)])
    fitted = Preprocessor.fit([columns_of(x=np.array([5.0, 6.0]))], [Encoding("log", offset)])
    with pytest.raises(InputError, match=message):  # other events, as for a warm start
        fitted.transform(columns_of(x=np.array([5.0, lowest])))


def test_other_observables_than_those_fitted_are_refused() -> None:
    fitted = Preprocessor.fit([columns_of(x=np.arange(3.0), y=np.arange(3.0))], [Encoding(), Encoding()])
    with pytest.raises(InputError, match="expected the observables x, y; found y, x"):
        fitted.transform(columns_of(y=np.arange(3.0), x=np.arange(3.0)))


def test_an_absence_that_was_never_seen_is_refused() -> None:
    fitted = Preprocessor.fit([columns_of(x=np.arange(3.0))], [Encoding()])
    with pytest.raises(InputError, match="observable 'x' is absent from 2 events; it never was in those fitted"):
        fitted.transform(columns_of(x=np.array([1.0, np.nan, np.nan])))


def test_observables_no_longer_absent_together_are_refused() -> None:
    nan = np.nan
    fitted = Preprocessor.fit([columns_of(x=np.array([1, 2, nan]), y=np.array([3, 4, nan]))], [Encoding(), Encoding()])
    with pytest.raises(InputError, match="observables x, y were absent together in all events fitted, and are not"):
        fitted.transform(columns_of(x=np.array([1, nan]), y=np.array([1.0, 2.0])))


def test_events_with_everything_may_follow_a_fit_with_absences() -> None:
    fitted = Preprocessor.fit([columns_of(x=np.array([0.0, 2.0, np.nan]))], [Encoding()])
    assert fitted.transform(columns_of(x=np.array([0.0, 2.0]))).tolist() == [[-1, 1], [1, 1]]


def test_the_constants_are_json(rng: np.random.Generator) -> None:
    values = rng.normal(0, 1, EVENTS)
    values[0] = np.nan
    fitted = Preprocessor.fit([columns_of(x=values, phi=rng.normal(0, 1, EVENTS))], [Encoding(), Encoding("angle")])
    constants = json.loads(json.dumps(fitted.to_dict(), allow_nan=False))
    assert constants["names"] == ["x", "phi"]
    assert constants["encodings"] == [{"kind": "linear", "offset": 0.0}, {"kind": "angle", "offset": 0.0}]
    assert constants["flags"] == [[0]]
    assert [len(constants[key]) for key in ("mean", "scale", "median")] == [3, 3, 3]


def test_pairs_are_shown_by_their_angular_distances(rng: np.random.Generator) -> None:
    names = ("y_a", "phi_a", "y_b", "phi_b")
    values = {n: rng.uniform(-np.pi, np.pi, EVENTS) for n in names}
    values["phi_b"][:40] = np.nan
    values["y_b"][:40] = np.nan
    columns = columns_of(**values)
    fitted = Preprocessor.fit([columns], [Encoding()] * 4, [Pair(("y_a", "phi_a"), ("y_b", "phi_b"))])
    x = fitted.transform(columns)
    assert x.shape == (EVENTS, 4 + 3 + 1)
    there = np.arange(EVENTS) >= 40
    y_a, phi_a, y_b, phi_b = (values[n].astype(np.float32).astype(np.float64)[there] for n in names)
    dphi = np.arccos(np.cos(phi_a - phi_b))
    expected = np.stack([dphi, np.log(np.pi - dphi + 0.02), np.log(np.hypot(dphi, y_a - y_b) + 0.05)], axis=1)
    np.testing.assert_allclose(x[there, 4:7] * fitted.scale[4:] + fitted.mean[4:], expected, atol=1e-4)
    np.testing.assert_allclose(x[~there, 4:7], np.tile(fitted.median[4:], (40, 1)), rtol=1e-6)


def test_a_pair_that_is_never_together_says_nothing() -> None:
    y = np.array([1.0, np.nan, 2.0, np.nan])
    columns = columns_of(y_a=y, phi_a=y, y_b=y[::-1].copy(), phi_b=y[::-1].copy())
    fitted = Preprocessor.fit([columns], [Encoding()] * 4, [Pair(("y_a", "phi_a"), ("y_b", "phi_b"))])
    assert (fitted.transform(columns)[:, 4:7] == 0).all()


def test_constants_come_back_from_what_they_are_written_as(rng: np.random.Generator) -> None:
    columns = columns_of(y=rng.normal(0, 1, EVENTS), phi=rng.uniform(-3, 3, EVENTS))
    pairs = [Pair(("y", "phi"), ("y", "phi"))]
    fitted = Preprocessor.fit([columns], [Encoding(), Encoding("angle")], pairs)
    again = Preprocessor.from_dict(json.loads(json.dumps(fitted.to_dict())))
    assert again.pairs == tuple(pairs)
    np.testing.assert_array_equal(again.transform(columns), fitted.transform(columns))


def test_directions_of_little_variance_are_scaled_to_one_and_the_others_left(rng: np.random.Generator) -> None:
    a = rng.normal(0, 1, EVENTS)
    columns = columns_of(a=a, b=5 * a + rng.normal(0, 3, EVENTS), c=rng.exponential(2, EVENTS))
    before = np.cov(Preprocessor.fit([columns], [Encoding()] * 3).transform(columns).T, bias=True)
    x = Preprocessor.fit([columns], [Encoding()] * 3, decorrelate=True).transform(columns)
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-5)
    expected = np.maximum(np.linalg.eigvalsh(before), 1)
    assert expected[-1] > 1.5
    np.testing.assert_allclose(np.linalg.eigvalsh(np.cov(x.T, bias=True)), expected, rtol=1e-3)


def test_a_decorrelated_feature_stays_near_what_it_was(rng: np.random.Generator) -> None:
    """The matrix is symmetric: the inverse square root of the bounded covariance ((1, r), (r, 1))."""
    a = rng.normal(0, 1, EVENTS)
    columns = columns_of(a=a, b=a + rng.normal(0, 1, EVENTS))
    matrix = Preprocessor.fit([columns], [Encoding()] * 2, decorrelate=True).matrix
    np.testing.assert_allclose(matrix, matrix.T)
    correlation = np.corrcoef(a, columns.values[:, 1])[0, 1]
    plus, minus = 1, (1 - correlation) ** -0.5  # of (1, 1), whose variance is above 1, and of (1, -1)
    expected = 0.5 * np.array([[plus + minus, plus - minus], [plus - minus, plus + minus]])
    np.testing.assert_allclose(matrix, expected, rtol=1e-4)


def test_a_direction_of_next_to_no_variance_is_not_blown_up(rng: np.random.Generator) -> None:
    a = rng.normal(0, 1, EVENTS)
    columns = columns_of(a=a, b=a + rng.normal(0, 1e-3, EVENTS))
    x = Preprocessor.fit([columns], [Encoding()] * 2, decorrelate=True).transform(columns)
    assert 0 < np.std(x[:, 0] - x[:, 1]) < 0.03


def test_absent_events_stay_alike_when_decorrelated(rng: np.random.Generator) -> None:
    x = rng.normal(0, 1, EVENTS)
    x[::3] = np.nan
    columns = columns_of(x=x, y=np.ones(EVENTS))
    found = Preprocessor.fit([columns], [Encoding()] * 2, decorrelate=True).transform(columns)
    assert len(np.unique(found[::3], axis=0)) == 1


def test_a_decorrelation_comes_back_from_what_it_is_written_as(rng: np.random.Generator) -> None:
    columns = columns_of(x=rng.normal(0, 1, EVENTS), y=rng.normal(0, 1, EVENTS))
    fitted = Preprocessor.fit([columns], [Encoding()] * 2, decorrelate=True)
    again = Preprocessor.from_dict(json.loads(json.dumps(fitted.to_dict())))
    np.testing.assert_array_equal(again.transform(columns), fitted.transform(columns))
