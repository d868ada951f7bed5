from __future__ import annotations

from collections import Counter

from omnifold_pub.unfold.config import CampaignConfig
from omnifold_pub.unfold.plan import bootstrap_seed, plan_trainings

CAMPAIGN = CampaignConfig(seed=5, ensemble=3, data_bootstrap=4, mc_bootstrap=6, trainings_per_variation=2)


def test_every_training_that_was_asked_for_has_a_name_of_its_own() -> None:
    trainings = plan_trainings(CAMPAIGN, ["jes", "jer"])
    assert Counter(t.family for t in trainings) == {
        "ensemble": 3,
        "data_bootstrap": 4,
        "mc_bootstrap": 6,
        "jes": 2,
        "jer": 2,
    }
    assert len({t.name for t in trainings}) == len(trainings)


def test_ensemble_members_differ_by_network_seed_alone() -> None:
    ensemble = [t for t in plan_trainings(CAMPAIGN, []) if t.family == "ensemble"]
    assert len({t.network_seed for t in ensemble}) == 3
    assert all(t.resampled is None and t.variation is None for t in ensemble)


def test_replicas_share_one_network_seed_and_variations_those_of_the_ensemble() -> None:
    trainings = plan_trainings(CAMPAIGN, ["jes"])
    seeds = [t.network_seed for t in trainings if t.family == "ensemble"]
    assert {t.network_seed for t in trainings if t.resampled} == {seeds[0]}
    assert [t.network_seed for t in trainings if t.variation] == seeds[:2]


def test_data_and_simulation_are_resampled_with_seeds_of_their_own() -> None:
    assert bootstrap_seed(CAMPAIGN, "data") == 5
    assert bootstrap_seed(CAMPAIGN, "simulation") == 6


def test_asking_for_more_replicas_keeps_the_trainings_there_are() -> None:
    more = CampaignConfig(seed=5, ensemble=5, data_bootstrap=9, mc_bootstrap=9, trainings_per_variation=2)
    assert set(plan_trainings(CAMPAIGN, ["jes"])) <= set(plan_trainings(more, ["jes"]))
