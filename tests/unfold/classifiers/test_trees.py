from __future__ import annotations

import dataclasses
import runpy
from typing import Any

import lightgbm
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from omnifold_pub.errors import MissingExtraError, TrainingError
from omnifold_pub.unfold.classifiers import FitSummary, build_classifier, trees
from omnifold_pub.unfold.classifiers.trees import Trees
from omnifold_pub.unfold.config import OmniFoldConfig

CONFIG = OmniFoldConfig(classifier="bdt", trees=200, leaves=8)
GRID = np.linspace(-1.5, 1.5, 31).astype(np.float32)[:, np.newaxis]

Rows = tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]


def fit(classifier: Trees, rows: Rows, seed: int = 5) -> FitSummary:
    """Fit, with a fifth of the rows held out."""
    held_out = np.random.default_rng(seed).random(len(rows[0])) < 0.2
    return classifier.fit(*rows, training=~held_out, held_out=held_out, where="test")


def fitted(rows: Rows, seed: int = 1, config: OmniFoldConfig = CONFIG) -> Trees:
    classifier = Trees(rows[0].shape[1], config, seed=seed)
    fit(classifier, rows)
    return classifier


def two_gaussians(events: int, seed: int = 1) -> Rows:
    """Means 0.5 and -0.5, widths 1: log N(x; .5, 1) / N(x; -.5, 1) = x."""
    rng = np.random.default_rng(seed)
    x = np.concatenate([rng.normal(0.5, 1, events), rng.normal(-0.5, 1, events)]).astype(np.float32)[:, np.newaxis]
    return x, np.repeat([2.0, 0.0], events), np.repeat([0.0, 1.0], events)  # equalised: the factor must not matter


SMALL = two_gaussians(1500)


def test_untrained_trees_say_no_difference() -> None:
    assert (Trees(1, CONFIG, seed=1).logits(GRID) == 0).all()


def test_the_settings_choose_trees() -> None:
    assert isinstance(build_classifier(3, CONFIG, seed=1), Trees)


def test_logits_are_the_log_likelihood_ratio() -> None:
    classifier = Trees(1, CONFIG, seed=1)
    summary = fit(classifier, two_gaussians(40_000))
    off = classifier.logits(GRID) - GRID[:, 0]
    assert np.abs(off).max() < 0.25  # steps of trees
    assert off.std() < 0.08
    assert summary.initial_loss == pytest.approx(np.log(2))
    x = np.random.default_rng(0).normal(0.5, 1, 400_000)  # the loss of the true ratio, by symmetry of one class
    assert summary.loss == pytest.approx(np.logaddexp(0, -x).mean(), abs=0.005)


def test_weights_of_both_signs_give_the_ratio_of_the_net_densities() -> None:
    """3/2 N(1/2, 1) - 1/2 N(1/2, 1) is N(1/2, 1): a third as many rows of weight -1 take away what is too much."""
    rng = np.random.default_rng(2)
    n = 30_000
    x = np.concatenate([rng.normal(0.5, 1, n + n // 3), rng.normal(-0.5, 1, n)]).astype(np.float32)[:, np.newaxis]
    w1 = np.concatenate([np.ones(n), -np.ones(n // 3), np.zeros(n)])
    w0 = np.concatenate([np.zeros(n + n // 3), np.ones(n)])
    off = fitted((x, w1, w0)).logits(GRID) - GRID[:, 0]
    assert np.abs(off).max() < 0.3
    assert off.std() < 0.1


def test_negative_weights_take_away_a_part_that_is_somewhere_else() -> None:
    """Class 1: N(1/2, 1) with a tenth of N(-1, 0.3) on top, which rows of negative weight take away again."""
    rng = np.random.default_rng(3)
    n, more = 30_000, 3_000
    wanted, top, away = rng.normal(0.5, 1, n), rng.normal(-1, 0.3, more), rng.normal(-1, 0.3, more)
    x = np.concatenate([wanted, top, away, rng.normal(-0.5, 1, n)]).astype(np.float32)[:, np.newaxis]
    w0 = np.repeat([0.0, 1.0], [n + 2 * more, n])
    taken = np.concatenate([np.ones(n + more), -np.ones(more), np.zeros(n)])
    left = np.concatenate([np.ones(n + more), np.zeros(more + n)])
    near = np.abs(GRID[:, 0] + 1) < 0.25
    off = fitted((x, taken, w0)).logits(GRID) - GRID[:, 0]
    assert abs(off[near].mean()) < 0.08
    assert (fitted((x, left, w0)).logits(GRID) - GRID[:, 0])[near].mean() > 0.2  # else the test says nothing


def test_one_row_with_both_weights_learns_its_ratio() -> None:
    rng = np.random.default_rng(4)
    x = rng.uniform(-1, 1, (40_000, 1)).astype(np.float32)
    w0 = rng.gamma(2, 1, 40_000)
    w1 = w0 * np.exp(x[:, 0]) * rng.gamma(4, 1 / 4, 40_000)
    grid = np.linspace(-0.9, 0.9, 19).astype(np.float32)[:, np.newaxis]
    learned = fitted((x, w1, w0)).logits(grid)
    assert learned == pytest.approx(grid[:, 0] - np.log(np.sinh(1)), abs=0.1)  # E exp(x) = sinh 1


@given(st.lists(st.tuples(*[st.floats(-5, 5)] * 3), min_size=1, max_size=8))
def test_derivatives_are_those_of_the_loss(rows: list[tuple[float, float, float]]) -> None:
    z, w1, w0 = np.array(rows).T
    part = trees._Part(np.zeros((len(z), 1), dtype=np.float32), w1, w0)
    gradient, curvature = part.derivatives(z)
    step = 1e-6
    for row in range(len(z)):
        up, down = z.copy(), z.copy()
        up[row] += step
        down[row] -= step
        slope = (part.loss(up) - part.loss(down)) * len(z) / (2 * step)
        assert gradient[row] == pytest.approx(slope, abs=1e-6)
    assert (curvature >= 0).all()


def test_a_further_fit_goes_on_from_the_trees_there_are() -> None:
    classifier = fitted(SMALL)
    before = classifier.logits(GRID)
    x, w1, w0 = SMALL
    summary = fit(classifier, (x, w1 * np.exp(x[:, 0].astype(np.float64)), w0))
    assert len(classifier.parameters) == 2
    assert summary.initial_loss < np.log(2)  # it began from what it knew
    assert summary.loss < summary.initial_loss
    assert np.polyfit(GRID[:, 0], before, 1)[0] == pytest.approx(1, abs=0.25)
    assert np.polyfit(GRID[:, 0], classifier.logits(GRID), 1)[0] > 1.4


def test_its_loss_is_that_of_its_logits() -> None:
    """Twice: the second time from the logits of the first."""
    classifier = Trees(1, CONFIG, seed=1)
    x, w1, w0 = SMALL
    held_out = np.arange(len(x)) % 4 == 0
    for _ in range(2):
        summary = classifier.fit(x, w1, w0, training=~held_out, held_out=held_out, where="test")
        z, u1, u0 = classifier.logits(x[held_out]), w1[held_out], w0[held_out]
        # by hand: mean over either class of -log p, and of -log(1 - p)
        by_hand = np.average(np.log1p(np.exp(-z)), weights=u1) + np.average(np.log1p(np.exp(z)), weights=u0)
        assert summary.loss == pytest.approx(by_hand / 2, rel=1e-6)
        assert len(summary.held_out_losses) == len(summary.training_losses) == summary.epochs
        assert summary.loss == min(summary.initial_loss, *summary.held_out_losses)
        if summary.best_epoch:
            assert summary.held_out_losses[summary.best_epoch - 1] == summary.loss


def test_no_tree_is_kept_where_none_helps() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(0, 1, (2000, 5)).astype(np.float32)
    labels = np.where(rng.random(2000) < 0.5, 1.0, 0.0)
    classifier = Trees(5, dataclasses.replace(CONFIG, patience=1), seed=1)
    held_out = np.arange(2000) % 2 == 0
    labels[held_out] = 1 - labels[~held_out]  # what is learned on one part is wrong on the other
    x[held_out] = x[~held_out]
    summary = classifier.fit(x, labels, 1 - labels, training=~held_out, held_out=held_out, where="test")
    assert (summary.best_epoch, summary.epochs) == (0, trees.TREES_PER_EPOCH)
    assert (classifier.logits(x) == 0).all()
    assert classifier.parameters == {}


def test_a_feature_that_is_always_the_same_is_no_error() -> None:
    x, w1, w0 = SMALL
    classifier = Trees(1, CONFIG, seed=1)
    assert fit(classifier, (np.ones_like(x), w1, w0)).best_epoch == 0
    assert (classifier.logits(x) == 0).all()


def test_rows_of_neither_part_are_not_looked_at() -> None:
    x, w1, w0 = SMALL
    training, held_out = np.arange(len(x)) % 3 == 0, np.arange(len(x)) % 3 == 1
    poisoned = [array.copy() for array in (x, w1, w0)]
    for array in poisoned:
        array[~training & ~held_out] = np.nan
    found = []
    for rows in ((x, w1, w0), poisoned):
        classifier = Trees(1, CONFIG, seed=1)
        classifier.fit(*rows, training=training, held_out=held_out, where="test")
        found.append(classifier.logits(GRID))
    assert np.array_equal(found[0], found[1])


def test_same_seed_same_bits_other_seed_other_bits() -> None:
    first, second, other = (fitted(SMALL, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.logits(GRID), second.logits(GRID))
    assert first.parameters.keys() == second.parameters.keys()
    assert all(np.array_equal(first.parameters[name], second.parameters[name]) for name in first.parameters)
    assert not np.array_equal(first.logits(GRID), other.logits(GRID))


def test_parameters_make_the_same_trees_again() -> None:
    classifier = fitted(SMALL)
    x, w1, w0 = SMALL
    fit(classifier, (x, w1 * np.exp(x[:, 0].astype(np.float64)), w0))
    assert len(classifier.parameters) == 2
    again = Trees(1, CONFIG, seed=9)
    again.load(classifier.parameters)
    assert np.array_equal(again.logits(SMALL[0]), classifier.logits(SMALL[0]))
    assert all(np.array_equal(again.parameters[name], array) for name, array in classifier.parameters.items())
    again.restart()
    assert (again.logits(GRID) == 0).all()
    assert again.parameters == {}


def test_no_events_have_no_logits() -> None:
    assert fitted(SMALL).logits(np.empty((0, 1), dtype=np.float32)).shape == (0,)


def test_trees_of_other_features_are_refused_and_change_nothing() -> None:
    classifier = fitted(SMALL)
    before = classifier.logits(GRID)
    wide = fitted((np.repeat(SMALL[0], 2, axis=1), *SMALL[1:]))
    with pytest.raises(TrainingError, match=r"model_0000: expected trees of 1 features; found 2"):
        classifier.load(wide.parameters)
    assert np.array_equal(classifier.logits(GRID), before)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"0.weight": np.zeros((3, 3), dtype=np.float32)}, r"found '0\.weight': of another classifier"),
        ({"model_0000": np.frombuffer(b"no trees", dtype=np.uint8)}, r"model_0000: not what LightGBM writes"),
        ({"model_0000": np.full(20, 255, dtype=np.uint8)}, r"model_0000: not what LightGBM writes"),
    ],
)
def test_what_are_no_trees_is_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        Trees(1, CONFIG, seed=1).load(parameters)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, w1, w0: (x, 0 * w1, w0), r"^test, training part: the weights of class 1 sum to 0; expected"),
        (lambda x, w1, w0: (x, w1, -w0), r"^test, training part: the weights of class 0 sum to -\d+; expected"),
        (lambda x, w1, w0: (x, w1 * np.nan, w0), r"class 1 sum to nan"),
        (lambda x, w1, w0: (x * np.float32(np.nan), w1, w0), r"training part: \d+ features are not finite"),
    ],
)
def test_an_empty_class_or_a_number_that_is_none_is_an_error(change: Any, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        fit(Trees(1, CONFIG, seed=1), change(*SMALL))


def test_what_lightgbm_cannot_do_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(booster: lightgbm.Booster, **_: Any) -> bool:
        msg = "Check failed"
        raise lightgbm.basic.LightGBMError(msg)

    monkeypatch.setattr(lightgbm.Booster, "update", refuse)
    with pytest.raises(TrainingError, match="test, tree 1: LightGBM: Check failed"):
        fit(Trees(1, CONFIG, seed=1), SMALL)


def test_nothing_held_out_is_an_error() -> None:
    x, w1, w0 = SMALL
    everything = np.ones(len(x), dtype=bool)
    with pytest.raises(TrainingError, match="held-out part: the weights of class 1 sum to 0"):
        Trees(1, CONFIG, seed=1).fit(x, w1, w0, training=everything, held_out=~everything, where="test")


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omnifold_pub.extras.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"boosted trees needs the package lightgbm.*omnifold-pub\[bdt\]"):
        runpy.run_path(str(trees.__file__))
