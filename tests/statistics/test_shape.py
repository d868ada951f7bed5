from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from omnifold_pub.errors import StatisticsError
from omnifold_pub.statistics.components import CentralRule, Component, ComponentResult, component_covariance
from omnifold_pub.statistics.inference import Chi2, chi2_test
from omnifold_pub.statistics.shape import ShapeComparison, kept_bins, shape_only

Matrix = NDArray[np.float64]

GROUPS = [slice(0, 4), slice(4, 7)]
NOMINAL = np.array([40.0, 30.0, 20.0, 10.0, 70.0, 20.0, 10.0])
PREDICTION = np.array([35.0, 33.0, 18.0, 14.0, 60.0, 25.0, 15.0])


def result(component: Component, members: Matrix, central: CentralRule = "mean") -> ComponentResult:
    return ComponentResult(component, members, component_covariance(component, members, NOMINAL, central=central))


def components(seed: int = 1, central: CentralRule = "mean") -> list[ComponentResult]:
    rng = np.random.default_rng(seed)

    def around(count: int, width: float) -> Matrix:
        members: Matrix = NOMINAL * rng.normal(1, width, (count, len(NOMINAL)))
        return members

    return [
        result(Component("ensemble", "ensemble", members=5), around(5, 0.02), central),
        result(Component("bootstrap", "bootstrap", members=30), around(30, 0.1)),
        result(Component("pair", "variation", members=2), around(2, 0.05)),
        result(Component("model", "two_point", members=1), 1.3 * around(1, 0.05)),
        result(Component("bins", "two_point", members=1, correlated=False), around(1, 0.05)),
        result(Component("pdf", "hessian", members=3), around(3, 0.02)),
        result(Component("luminosity", "scale", relative_uncertainty=0.3), NOMINAL[np.newaxis] * 1.3),
        ComponentResult(Component("sampling", "event_sampling"), np.empty((0, 7)), overlaps()),
    ]


def overlaps() -> Matrix:
    """Sums of w^2 over events in both bins: each event is in one bin of either group."""
    matrix = np.diag(NOMINAL).copy()
    matrix[:4, 4:] = np.outer(NOMINAL[:4], NOMINAL[4:]) / 100
    matrix[4:, :4] = matrix[:4, 4:].T
    return matrix


def shapes(
    parts: list[ComponentResult], factor: float = 1.0, drop: int = -1, names: tuple[str, ...] = ()
) -> ShapeComparison:
    return shape_only(
        NOMINAL,
        parts,
        factor * PREDICTION,
        covariance=factor**2 * np.diag(PREDICTION / 4),
        groups=GROUPS,
        central="mean",
        decorrelate=names,
        drop=drop,
    )


def chi2_of(shape: ShapeComparison) -> Chi2:
    return chi2_test(*shape, toys=500)


@pytest.mark.parametrize("names", [(), ("model",)])
def test_chi2_does_not_depend_on_the_bin_that_is_left_out(names: tuple[str, ...]) -> None:
    expected = chi2_of(shapes(components(), names=names))
    for drop in (0, 1, 2, -2, -3):
        found = chi2_of(shapes(components(), drop=drop, names=names))
        assert found.chi2 == pytest.approx(expected.chi2, rel=1e-9)
        assert found.dof == 5


@settings(deadline=None, max_examples=25)
@given(factor=st.floats(1e-6, 1e6), seed=st.integers(0, 1000))
def test_chi2_does_not_depend_on_the_size_of_the_prediction(factor: float, seed: int) -> None:
    parts = components(seed)
    one, other = shapes(parts), shapes(parts, factor)
    np.testing.assert_allclose(other.residual, one.residual, rtol=1e-9, atol=1e-12)
    assert one.extra is not None
    assert other.extra is not None
    np.testing.assert_allclose(other.extra, one.extra, rtol=1e-9, atol=1e-15)
    assert chi2_of(other).chi2 == pytest.approx(chi2_of(one).chi2, rel=1e-8)


def test_the_measurement_itself_times_a_factor_has_no_chi2() -> None:
    shape = shape_only(NOMINAL, components(), 17 * NOMINAL, groups=GROUPS, central="mean")
    assert chi2_of(shape).chi2 == pytest.approx(0, abs=1e-20)


def test_members_are_normalised_one_by_one() -> None:
    parts = components()
    shape = shapes(parts)
    members = parts[1].members
    by_hand = np.array([[*m[:4] / m[:4].sum(), *m[4:] / m[4:].sum()] for m in members])[:, [0, 1, 2, 4, 5]]
    np.testing.assert_allclose(shape.components[1].members, by_hand, rtol=1e-12)
    np.testing.assert_allclose(shape.components[1].covariance, np.cov(by_hand.T), rtol=1e-9, atol=1e-18)
    assert [part.component.name for part in shape.components] == [part.component.name for part in parts]
    np.testing.assert_allclose(shape.residual, (NOMINAL / 100 - PREDICTION / 100)[[0, 1, 2, 4, 5]], rtol=1e-12)


@pytest.mark.parametrize(("central", "factor"), [("mean", 1 / 5), ("median", np.pi / 10), ("single", 1.0)])
def test_an_ensemble_is_that_of_the_central_rule(central: CentralRule, factor: float) -> None:
    parts = components(central=central)[:1]
    shape = shape_only(NOMINAL, parts, PREDICTION, groups=GROUPS, central=central)
    expected = np.cov(shape.components[0].members.T) * factor
    np.testing.assert_allclose(shape.components[0].covariance, expected, rtol=1e-9, atol=1e-18)


def test_a_scale_changes_no_shape_at_all() -> None:
    scale = shapes(components()).components[6]
    assert not scale.covariance.any()
    bootstrap, luminosity = components()[1], components()[6]
    shape = shape_only(NOMINAL, [bootstrap, luminosity], PREDICTION, groups=GROUPS, central="mean")
    assert chi2_test(*shape).method == "hotelling"


def test_analytic_parts_go_through_the_derivative() -> None:
    """Against numerical derivatives, and against the multinomial covariance that everyone knows."""
    shape = shapes(components())

    def normalised(values: Matrix) -> Matrix:
        return np.concatenate([values[g] / values[g].sum() for g in GROUPS])

    step = 1e-5
    jacobian = np.array(
        [(normalised(NOMINAL + step * e) - normalised(NOMINAL - step * e)) / (2 * step) for e in np.eye(7)]
    ).T
    expected = (jacobian @ overlaps() @ jacobian.T)[np.ix_([0, 1, 2, 4, 5], [0, 1, 2, 4, 5])]
    np.testing.assert_allclose(shape.components[7].covariance, expected, rtol=1e-6, atol=1e-10)
    t = NOMINAL[:3] / 100  # a Poisson spectrum of 100 events, normalised
    np.testing.assert_allclose(shape.components[7].covariance[:3, :3], (np.diag(t) - np.outer(t, t)) / 100, rtol=1e-10)


def test_small_fluctuations_of_members_agree_with_the_derivative() -> None:
    rng = np.random.default_rng(3)
    members = NOMINAL + 1e-4 * rng.normal(size=(400, 7))
    bootstrap = result(Component("bootstrap", "bootstrap", members=400), members)
    sampling = ComponentResult(Component("sampling", "event_sampling"), np.empty((0, 7)), bootstrap.covariance)
    exact, linear = shape_only(NOMINAL, [bootstrap, sampling], PREDICTION, groups=GROUPS, central="mean").components
    np.testing.assert_allclose(exact.covariance, linear.covariance, rtol=1e-3, atol=1e-15)


def test_a_model_that_counts_bin_by_bin_is_projected_on_spectra_that_add_up_to_one() -> None:
    shift = components()[3].members[0]
    t, s = NOMINAL[:4] / 100, shift[:4] / shift[:4].sum()
    projection = np.eye(4) - np.outer(t, np.ones(4))
    expected = (projection @ np.diag((s - t) ** 2) @ projection.T)[:3, :3]
    found = shapes(components(), names=("model",)).components[3]
    np.testing.assert_allclose(found.covariance[:3, :3], expected, rtol=1e-9, atol=1e-18)
    assert not found.component.correlated


def test_normalised_spectra_of_an_invertible_matrix_are_its_pseudo_inverse() -> None:
    sampling = components()[7]
    projection = np.zeros((7, 7))
    for group in GROUPS:
        size = group.stop - group.start
        projection[group, group] = (np.eye(size) - np.outer(NOMINAL[group] / 100, np.ones(size))) / 100
    residual = (NOMINAL - PREDICTION) / 100
    expected = residual @ np.linalg.pinv(projection @ overlaps() @ projection.T, rcond=1e-10, hermitian=True) @ residual
    shape = shape_only(NOMINAL, [sampling], PREDICTION, groups=GROUPS, central="mean")
    assert chi2_test(*shape).chi2 == pytest.approx(expected, rel=1e-8)


def test_kept_bins() -> None:
    assert kept_bins(GROUPS).tolist() == [0, 1, 2, 4, 5]
    assert kept_bins(GROUPS, drop=0).tolist() == [1, 2, 3, 5, 6]
    with pytest.raises(StatisticsError, match="group 1 has 3 bins; there is no bin 3"):
        kept_bins(GROUPS, drop=3)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([slice(0, 4), slice(4, 6), slice(6, 7)], "group 2 has 1 bin"),
        ([slice(0, 4)], "bin 4 is in 0 of them"),
        ([slice(0, 4), slice(3, 7)], "bin 3 is in 2 of them"),
        ([slice(0, 4), slice(4, 8)], "goes beyond them"),
        ([slice(0, 4), slice(4, None)], "both ends given"),
    ],
)
def test_groups_must_share_out_the_bins(groups: list[slice], message: str) -> None:
    with pytest.raises(StatisticsError, match=message):
        shape_only(NOMINAL, [], PREDICTION, groups=groups, central="mean")


@pytest.mark.parametrize("bad", [np.zeros(7), -NOMINAL, np.array([1.0, -1, 0, 0, 1, 1, 1]), np.full(7, np.nan)])
def test_a_spectrum_without_a_sum_above_zero_is_refused(bad: Matrix) -> None:
    with pytest.raises(StatisticsError, match="the measurement: the bins of group 0 add up to"):
        shape_only(bad, [], PREDICTION, groups=GROUPS, central="mean")
    with pytest.raises(StatisticsError, match="the prediction: the bins of group 0 add up to"):
        shape_only(NOMINAL, [], bad, groups=GROUPS, central="mean")
    part = ComponentResult(Component("b", "bootstrap", members=2), np.array([NOMINAL, bad]), np.eye(7))
    with pytest.raises(StatisticsError, match=r"component 'b': the bins of group 0 add up to .* under member 1"):
        shape_only(NOMINAL, [part], PREDICTION, groups=GROUPS, central="mean")


def test_shapes_of_arrays_must_match() -> None:
    with pytest.raises(StatisticsError, match=r"have shapes \(7,\) and \(6,\)"):
        shape_only(NOMINAL, [], PREDICTION[:-1], groups=GROUPS, central="mean")
    part = ComponentResult(Component("b", "bootstrap", members=2), np.ones((2, 3)), np.eye(3))
    with pytest.raises(
        StatisticsError, match=r"component 'b': the members have shape \(2, 3\); expected \(members, 7\)"
    ):
        shape_only(NOMINAL, [part], PREDICTION, groups=GROUPS, central="mean")
    with pytest.raises(StatisticsError, match="covariance of the prediction has shape"):
        shape_only(NOMINAL, [], PREDICTION, covariance=np.eye(6), groups=GROUPS, central="mean")
    with pytest.raises(StatisticsError, match="'pair' is of kind variation"):
        shapes(components(), names=("pair",))
