from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from omnifold_pub.unfold.config import CampaignConfig
from omnifold_pub.unfold.plan import Training, bootstrap_seed, derived_seed, plan_trainings
from tests.unfold.toys import make_document

CAMPAIGN = CampaignConfig(seed=5, ensemble=3, data_bootstrap=4, mc_bootstrap=6, trainings_per_variation=2)
JETS: dict[str, Any] = {"variations": [{"name": "jes"}, {"name": "jer"}]}
ALL: dict[str, Any] = make_document()["inputs"]
FAMILIES = st.from_regex(r"a(_0000|_0001|_1|0)*", fullmatch=True)


def of_family(family: str, campaign: CampaignConfig = CAMPAIGN) -> list[Training]:
    return [training for training in plan_trainings(campaign, ALL) if training.family == family]


def test_every_training_that_was_asked_for_has_a_name_of_its_own() -> None:
    trainings = plan_trainings(CAMPAIGN, JETS)
    assert Counter(t.family for t in trainings) == {
        "ensemble": 3,
        "data_bootstrap": 4,
        "mc_bootstrap": 6,
        "jes": 2,
        "jer": 2,
    }
    assert len({t.name for t in trainings}) == len(trainings)


def test_ensemble_members_differ_by_network_seed_alone() -> None:
    ensemble = [t for t in plan_trainings(CAMPAIGN, {}) if t.family == "ensemble"]
    assert len({t.network_seed for t in ensemble}) == 3
    assert len({dataclasses.replace(t, network_seed=0, member=0) for t in ensemble}) == 1
    assert all(t.resampled is None and t.varied is None and t.after == () for t in ensemble)


def test_replicas_share_one_network_seed_and_systematics_those_of_the_ensemble() -> None:
    trainings = plan_trainings(CAMPAIGN, ALL)
    seeds = [t.network_seed for t in trainings if t.family == "ensemble"]
    assert {t.network_seed for t in trainings if t.resampled} == {seeds[0]}
    systematic = [t for t in trainings if t.varied]
    assert len(systematic) == 2 * (1 + 1 + 2 + 2 + 2 + 1 + 3 + 1 + 1 + 2)
    assert all(t.network_seed == seeds[t.repetition] for t in systematic)


def test_data_and_simulation_are_resampled_with_seeds_of_their_own() -> None:
    assert bootstrap_seed(CAMPAIGN, "data") == 5
    assert bootstrap_seed(CAMPAIGN, "simulation") == 6


def test_asking_for_more_keeps_the_trainings_there_are() -> None:
    more = CampaignConfig(seed=5, ensemble=5, data_bootstrap=9, mc_bootstrap=9, trainings_per_variation=4)
    assert set(plan_trainings(CAMPAIGN, JETS)) <= set(plan_trainings(more, JETS))
    less = dataclasses.replace(CAMPAIGN, trainings_per_variation=1)
    assert {t.name for t in plan_trainings(less, ALL)} < {t.name for t in plan_trainings(CAMPAIGN, ALL)}


def test_every_systematic_has_its_members_and_says_what_it_varies() -> None:
    single = dataclasses.replace(CAMPAIGN, trainings_per_variation=1)
    found = {t.name: (t.varied, t.source, t.purpose) for t in plan_trainings(single, ALL) if t.varied}
    assert found == {
        "alone_0000": ("detector", "alone", "detector variation alone"),
        "factor_0000": ("detector", "factor", "detector variation factor"),
        "scale_0000": ("detector", "scale/up", "detector variation scale/up"),
        "scale_0001": ("detector", "scale/down", "detector variation scale/down"),
        "mixed_0000": ("detector", "mixed/up", "detector variation mixed/up"),
        "mixed_0001": ("detector", "mixed/down", "detector variation mixed/down"),
        "muf_0000": ("theory", "muf/0", "theory weight muf/0"),
        "muf_0001": ("theory", "muf/1", "theory weight muf/1"),
        "alphas_0000": ("theory", "alphas/0", "theory weight alphas/0"),
        "pdf_0000": ("theory", "pdf/0", "theory weight pdf/0"),
        "pdf_0001": ("theory", "pdf/1", "theory weight pdf/1"),
        "pdf_0002": ("theory", "pdf/2", "theory weight pdf/2"),
        "other_0000": ("generator", "other", "generator other"),
        "tilt_0000": ("prior", "tilt", "prior tilt"),
        "hidden_0000": ("hidden_variable", "hidden", "closure test with a hidden variable hidden"),
        "driven_0000": ("data_driven", "driven", "data-driven closure test driven"),
    }


def test_repetitions_of_a_member_are_named_after_it() -> None:
    assert [t.name for t in of_family("scale")] == [
        "scale_0000",
        "scale_0000-0001",
        "scale_0001",
        "scale_0001-0001",
    ]


def test_names_are_safe_and_unique_whatever_the_families_are_called() -> None:
    inputs = {"variations": [{"name": name} for name in ("a", "a_0000", "a_0000_0000", "a_0000_0001")]}
    names = [t.name for t in plan_trainings(CAMPAIGN, inputs)]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", name) for name in names)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sets(st.tuples(FAMILIES, st.integers(0, 20000), st.integers(0, 20000)), min_size=2, max_size=8))
def test_a_name_tells_family_member_and_repetition(parts: set[tuple[str, int, int]]) -> None:
    names = {Training(family, member, 0, repetition=repetition).name for family, member, repetition in parts}
    assert len(names) == len(parts)


def test_a_data_driven_test_comes_after_the_whole_ensemble_and_is_of_its_nominal() -> None:
    names = ("ensemble_0000", "ensemble_0001", "ensemble_0002")
    assert {(t.after, t.centre) for t in of_family("driven")} == {(names, "mean")}
    median = dataclasses.replace(CAMPAIGN, central_value="median")
    assert {t.centre for t in of_family("driven", median)} == {"median"}
    others = [t for t in plan_trainings(CAMPAIGN, ALL) if t.family != "driven"]
    assert {(t.after, t.centre) for t in others} == {((), None)}


def test_trainings_come_after_those_they_wait_for() -> None:
    seen: set[str] = set()
    for training in plan_trainings(CAMPAIGN, ALL):
        assert set(training.after) <= seen
        seen.add(training.name)


def test_a_training_survives_json() -> None:
    for training in plan_trainings(CAMPAIGN, ALL):
        stored = json.loads(json.dumps(training.to_dict()))
        assert stored == training.to_dict()
        assert Training(**stored | {"after": tuple(stored["after"])}) == training


def test_derived_seeds_are_of_their_parts() -> None:
    assert derived_seed(5, "network", 1) == derived_seed(5, "network", 1)
    assert len({derived_seed(5, "a"), derived_seed(5, "b"), derived_seed(6, "a"), derived_seed(5)}) == 4
    assert 0 <= derived_seed("x") < 2**48
