"""Closure tables as the lines of a release's metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from omnifold_pub.closure import closure_results, gathered, read_results, with_results
from omnifold_pub.errors import InputError


@pytest.fixture
def table(project: Path) -> dict[str, Any]:
    """The closure of the full sample."""
    found: dict[str, Any] = json.loads((project / "scripts/closure/closure.json").read_text())
    return found


def test_every_distance_comes_back_beside_its_prior_and_its_floor(table: dict[str, Any]) -> None:
    lines = closure_results(table)
    found = {(one.name, one.statistic): one for one in gathered(lines)}
    assert len(found) == 3 * len(table["observables"]) + 2
    for row in table["observables"]:
        name = row["observable"]
        chi2 = found[name, "chi2"]
        assert chi2.value == pytest.approx(row["chi2"]["unfolded"], rel=1e-3)
        assert chi2.prior == pytest.approx(row["chi2"]["prior"], rel=1e-3)
        assert (chi2.floor, chi2.bins) == (None, len(row["edges"]) - 1)
        assert chi2.p_value == pytest.approx(row["p_value"], rel=1e-3)
        for statistic, key in (
            ("triangular discriminator x 1000", "triangular"),
            ("Wasserstein-1 distance in standard deviations", "wasserstein"),
        ):
            one = found[name, statistic]
            expected = [row[key][which] for which in ("unfolded", "prior", "floor")]
            assert [one.value, one.prior, one.floor] == pytest.approx(expected, rel=1e-3)
            assert one.p_value is None
    auc = found["all observables together", "AUC of a classifier"]
    assert auc.floor == pytest.approx(0.5, abs=0.01)


def test_a_table_without_prior_and_classifier_has_fewer_lines(table: dict[str, Any]) -> None:
    row = table["observables"][0]
    for metric in (row["chi2"], row["triangular"], row["wasserstein"], table["sliced_wasserstein"]):
        metric["prior"] = None
    lines = closure_results(table | {"observables": [row], "classifier_auc": None})
    assert len(lines) == 1 + 2 + 2 + 2
    assert [one.prior for one in gathered(lines)] == [None] * 4


def test_what_stands_alone_is_left_as_it_is() -> None:
    alone = {"name": "x", "statistic": "chi2 of the simulation before unfolding", "value": 3.0}
    (one,) = gathered([alone])
    assert (one.statistic, one.value, one.prior) == (alone["statistic"], 3.0, None)


def test_results_come_after_those_that_were_stated() -> None:
    stated = {"performed": True, "description": "A toy", "results": [{"name": "a"}], "tests": [{"name": "t"}]}
    found = with_results(stated, [{"name": "b"}])
    assert [entry["name"] for entry in found["results"]] == ["a", "b"]
    assert found["tests"] == stated["tests"]
    assert found["description"].startswith("A toy. The unfolded pseudo-data")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"observables": [{"observable": "x"}]}', '{"observables": 3}'])
def test_another_file_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "table.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"table.json: expected what omnifold-pub closure --json prints; found"):
        read_results(path)
