from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omnifold_pub.deposit.rocrate import CRATE, crate_problems


def graph(folder: Path) -> dict[str, dict[str, Any]]:
    return {entity["@id"]: entity for entity in json.loads((folder / CRATE).read_text())["@graph"]}


def test_crate_says_what_the_metadata_say(folder: Path, metadata: dict[str, Any]) -> None:
    entities = graph(folder)
    root = entities["./"]
    assert root["name"] == metadata["title"]
    assert root["datePublished"] == "2026-01-31T12:00:00+00:00"
    assert root["author"] == [{"@id": "https://orcid.org/0000-0002-1825-0097"}, {"@id": "#creator-1"}]
    assert entities["https://orcid.org/0000-0002-1825-0097"]["@type"] == "Person"
    assert entities["#creator-1"]["@type"] == "Organization"
    assert entities[root["license"]["@id"]]["identifier"] == "https://spdx.org/licenses/CC-BY-4.0.html"
    assert entities["ro-crate-metadata.json"]["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.1"}
    assert [entities[part["@id"]]["@type"] for part in root["hasPart"]] == ["File"] * 7
    assert entities["release.h5"]["encodingFormat"] == "application/x-hdf5"
    assert entities["release.h5"]["contentSize"] == str((folder / "release.h5").stat().st_size)
    action = entities["#unfolding"]
    assert action["result"] == {"@id": "release.h5"}
    assert [entities[entry["@id"]]["name"] for entry in action["object"]] == ["mc.root", "data.root"]
    assert "sha256" not in entities["#input-1"]
    assert entities["#observable-pT_ll"]["minValue"] == 200
    assert "maxValue" not in entities["#observable-pT_ll"]


def test_sound_crate_has_no_problems(folder: Path) -> None:
    assert crate_problems(folder) == []


def _edit(folder: Path, change: Callable[[dict[str, Any], list[Any]], object]) -> None:
    document = json.loads((folder / CRATE).read_text())
    entities = document["@graph"]
    change({entity["@id"]: entity for entity in entities}, entities)
    (folder / CRATE).write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e, g: e["./"].pop("license"), "the root dataset has no license"),
        (lambda e, g: g.append({"@id": "#alone", "@type": "Thing"}), "'#alone' is not referenced"),
        (lambda e, g: e["./"].update(author={"@id": "#nobody"}), "'#nobody' is referenced and not described"),
        (lambda e, g: g.append(dict(e["#program"])), "an identifier occurs twice"),
        (lambda e, g: e["./"].pop("@id"), "rocrate cannot load it"),
        (
            lambda e, g: e["ro-crate-metadata.json"]["conformsTo"].update({"@id": "https://w3id.org/ro/crate/1.2"}),
            "expected RO-Crate 1.1; found 1.2",
        ),
    ],
)
def test_defects_are_found(folder: Path, change: Callable[[Any, Any], object], message: str) -> None:
    _edit(folder, change)
    assert message in " ".join(crate_problems(folder))


def test_files_and_parts_must_agree(folder: Path) -> None:
    (folder / "LICENSE").rename(folder / "COPYING")
    assert crate_problems(folder) == ["part 'LICENSE' does not exist", "file 'COPYING' is no part"]
