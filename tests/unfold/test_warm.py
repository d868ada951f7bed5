"""Starting from networks that were trained before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from omnifold_pub import UnfoldingResult, publish
from omnifold_pub.cli import main
from omnifold_pub.errors import RunError
from omnifold_pub.unfold.campaign import unfold
from omnifold_pub.unfold.collection import collect
from omnifold_pub.unfold.networks import read_network_file, safetensors_bytes
from omnifold_pub.unfold.run import Campaign
from omnifold_pub.unfold.store import read_arrays, read_header
from omnifold_pub.unfold.warm import keep_networks, kept_networks, warm_start

WriteAnalysis = Callable[..., Path]
Run = tuple[Path, UnfoldingResult]


def only_the_ensemble(document: dict[str, Any]) -> None:
    """Ask for nothing else, and for fits that may stop before they have begun."""
    document["campaign"] |= {"ensemble": 2, "data_bootstrap": 0, "mc_bootstrap": 0}
    document["inputs"]["variations"] = []
    del document["publication"]["validity"]["minimum_effective_data_events_per_bin"]  # which needs replicas


def frozen(document: dict[str, Any]) -> None:
    """Ask for steps so small that nothing changes."""
    only_the_ensemble(document)
    document["omnifold"] |= {"iterations": 1, "learning_rate": 1e-12}


def campaign_of(run: Path) -> Campaign:
    from omnifold_pub.inputs.analysis import parse_analysis

    path = run / "inputs.safetensors"
    return Campaign.of(parse_analysis(read_header(path)["analysis"], path), run)


def test_networks_are_kept_in_order(tmp_path: Path) -> None:
    networks = [bytes([number]) * number for number in (3, 1, 2)]
    keep_networks(tmp_path / "warm.safetensors", networks)
    assert kept_networks(tmp_path / "warm.safetensors") == networks


def test_the_push_of_the_source_is_where_a_training_starts(
    tmp_path: Path, quick_run: Run, quick_analysis: WriteAnalysis
) -> None:
    """Each member of the ensemble goes on from that of the source with its own number."""
    result = unfold(quick_analysis(frozen), tmp_path / "run", workers=1, warm_from=quick_run[0])
    for member in range(2):
        expected = quick_run[1].families["ensemble"][:][:, member].astype(np.float64)
        found = result.families["ensemble"][:][:, member].astype(np.float64)
        np.testing.assert_allclose(found / found.sum(), expected / expected.sum(), rtol=1e-3)
    assert not np.allclose(result.families["ensemble"][:][:, 0], result.families["ensemble"][:][:, 1], rtol=1e-3)
    source = collect(quick_run[0], networks=True).networks
    told = [{"training": name, "sha256": hashlib.sha256(content).hexdigest()} for name, content in source.items()]
    assert result.metadata["unfolding"]["campaign"]["trainings"]["started_from"] == told


@pytest.mark.slow
def test_a_release_gives_the_same_as_its_run(tmp_path: Path, quick_run: Run, quick_analysis: WriteAnalysis) -> None:
    release = publish(collect(quick_run[0], networks=True), tmp_path / "release.h5")
    analysis = str(quick_analysis(frozen))
    for name, source in (("a", quick_run[0]), ("b", release)):
        command = ["campaign", "run", analysis, "--run", str(tmp_path / name), "--workers", "1"]
        outcome = CliRunner().invoke(main, [*command, "--warm-from", str(source)])
        assert outcome.exit_code == 0, outcome.output
    first, second = (read_arrays(tmp_path / name / "trainings/ensemble_0001.safetensors")["weight"] for name in "ab")
    np.testing.assert_array_equal(first, second)


def test_a_release_without_networks_is_refused(
    quick_release: Path, tmp_path: Path, quick_analysis: WriteAnalysis
) -> None:
    command = [
        "campaign",
        "run",
        str(quick_analysis()),
        "--run",
        str(tmp_path / "run"),
        "--warm-from",
        str(quick_release),
    ]
    outcome = CliRunner().invoke(main, command)
    assert outcome.exit_code == 2
    assert "published with --networks" in " ".join(outcome.output.split())
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_warm_run_goes_on_only_from_the_same_networks(
    tmp_path: Path, quick_run: Run, quick_analysis: WriteAnalysis
) -> None:
    analysis, run = quick_analysis(frozen), tmp_path / "run"
    networks = list(collect(quick_run[0], networks=True).networks.values())
    first = unfold(analysis, run, workers=1, warm_from=networks)
    again = unfold(analysis, run, workers=1)
    np.testing.assert_array_equal(first.nominal[:], again.nominal[:])
    with pytest.raises(RunError, match="begun with other networks to start from"):
        unfold(analysis, run, workers=1, warm_from=networks[:1])
    cold = tmp_path / "cold"
    unfold(analysis, cold, workers=1)
    with pytest.raises(RunError, match="begun without networks to start from"):
        unfold(analysis, cold, workers=1, warm_from=networks)


def changed(content: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """Return a network file whose description was changed."""
    tensors, about = read_network_file(content)
    change(about)
    return safetensors_bytes(tensors, {name: json.dumps(part) for name, part in about.items()})


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (
            lambda about: about["settings"].update(hidden=[9]),
            r"made with hidden \[9\]; the analysis file asks for \[8\]",
        ),
        (lambda about: about["settings"].update(folds=2), "made with folds 2"),
        (lambda about: about["settings"].update(step2_reference="push"), "step2_reference push"),
        (lambda about: about["preprocessing"]["truth"].update(pairs=[]), "not those of the analysis file"),
        (lambda about: about.pop("weights"), "KeyError: 'weights'"),
        (lambda about: about["settings"].pop("classifier"), "KeyError: 'classifier'"),
    ],
)
def test_networks_that_do_not_fit_are_refused(
    quick_run: Run, change: Callable[[dict[str, Any]], object], found: str
) -> None:
    campaign = campaign_of(quick_run[0])
    content = collect(quick_run[0], networks=True).networks["ensemble_0000"]
    warm_start(content, campaign.encodings, campaign.pairs, campaign.config)
    with pytest.raises(RunError, match=found):
        warm_start(changed(content, change), campaign.encodings, campaign.pairs, campaign.config)


@pytest.mark.slow
def test_normalisation_is_that_of_the_new_analysis(
    tmp_path: Path, quick_run: Run, quick_analysis: WriteAnalysis
) -> None:
    """The same data of twice the luminosity are half the cross section."""

    def twice(document: dict[str, Any]) -> None:
        frozen(document)
        document["luminosity"]["value"] *= 2

    unfold(quick_analysis(twice), tmp_path / "run", workers=1, warm_from=quick_run[0])
    name = "trainings/ensemble_0000.safetensors"
    found, source = (read_header(run / name)["summary"]["normalisation"] for run in (tmp_path / "run", quick_run[0]))
    assert found["n_data"] == source["n_data"]
    assert found["factor"] == pytest.approx(0.5 * source["factor"], rel=1e-3)
