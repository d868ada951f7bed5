from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from omnifold_pub.deposit.citation import bibtex, citation, citation_file, citation_problems
from omnifold_pub.deposit.creators import creators


def document(metadata: dict[str, Any]) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(citation_file(metadata))
    return loaded


def test_citation_file_says_what_the_metadata_say(metadata: dict[str, Any]) -> None:
    found = document(metadata)
    assert found["authors"] == [
        {
            "family-names": "Noether",
            "given-names": "Emmy",
            "affiliation": "Institute of A",
            "orcid": "https://orcid.org/0000-0002-1825-0097",
        },
        {"name": "A & B Collaboration"},
    ]
    assert {key: found[key] for key in ("cff-version", "type", "date-released", "license", "doi")} == {
        "cff-version": "1.2.0",
        "type": "dataset",
        "date-released": "2026-01-31",  # text: a YAML date would be no CFF date
        "license": "CC-BY-4.0",
        "doi": "10.5281/zenodo.11507450",
    }
    assert found["contact"] == [{"name": "The authors <team@example.org>", "email": "team@example.org"}]
    assert found["keywords"] == ["unfolding", "OmniFold"]


def test_licence_that_is_younger_than_the_format_is_given_by_its_address(metadata: dict[str, Any]) -> None:
    metadata["licence"] = "CDLA-Permissive-2.0"
    found = document(metadata)
    assert "license" not in found
    assert found["license-url"] == "https://cdla.dev/permissive-2-0"


def test_doi_that_the_format_cannot_write_is_given_as_a_url(metadata: dict[str, Any]) -> None:
    metadata["doi"] = "10.1234/a+b<c>"
    found = document(metadata)
    assert "doi" not in found
    assert found["url"] == "https://doi.org/10.1234/a+b<c>"


def test_text_stays_text_in_yaml(metadata: dict[str, Any]) -> None:
    metadata["title"] = "2026-01-31"
    metadata["creators"] = [{"name": "no"}]
    metadata["keywords"] = ["1e3", "null", "a: b # c"]
    found = document(metadata)
    assert (found["title"], found["authors"], found["keywords"]) == (
        "2026-01-31",
        [{"name": "no"}],
        ["1e3", "null", "a: b # c"],
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("message"), "expected the key 'message'"),
        (lambda d: d.update(authors=[]), "expected the key 'authors'"),
        (lambda d: d.update(authors={"name": "x"}), "authors: expected a list"),
        (lambda d: d.update(authors=["A, B"]), r"authors[0]: expected a mapping of texts"),
        (lambda d: d.update(authors=[{"name": "x", "affiliation": "y"}]), "unknown key 'affiliation'"),
        (lambda d: d.update(authors=[{"name": "x"}, {"name": "x"}]), "authors: expected each once"),
        (lambda d: d["authors"][0].update(orcid="0000-0002-1825-0097"), "orcid: expected https://orcid.org/"),
        (lambda d: d.update({"date-released": "2026-02-30"}), "date-released: expected YYYY-MM-DD"),
        (lambda d: d.update({"date-released": 2026}), "date-released: expected text"),
        (lambda d: d.update({"cff-version": "1.1.0"}), "cff-version: expected '1.2.0'"),
        (lambda d: d.update(type="data"), "type: expected 'dataset'"),
        (lambda d: d.update(doi="https://doi.org/10.1/x"), "doi: expected 10.NNNN"),
        (lambda d: d.update(licence="MIT"), "unknown key 'licence'"),
    ],
)
def test_broken_rules_are_found(
    metadata: dict[str, Any], change: Callable[[dict[str, Any]], object], message: str
) -> None:
    found = document(metadata)
    assert citation_problems(found) == []
    change(found)
    problems = citation_problems(found)
    assert len(problems) == 1
    assert message in problems[0]


def test_citation_in_words(metadata: dict[str, Any]) -> None:
    assert citation(metadata) == (
        "Noether, Emmy; A & B Collaboration (2026): Z(mumu)+jets in 24 observables at 13 TeV. Zenodo. [Data set]. "
        "https://doi.org/10.5281/zenodo.11507450"
    )
    del metadata["doi"]
    assert citation(metadata).endswith("at 13 TeV. [Data set]. DOI not yet assigned")


def test_bibtex_escapes_what_latex_would_read(metadata: dict[str, Any]) -> None:
    metadata["title"] = r"50% of $p_T$ \ {x} & #1"
    text = bibtex(metadata)
    assert r"title = {{50\% of \$p\_T\$ \textbackslash{} \{x\} \& \#1}}," in text
    assert r"author = {Noether, Emmy and {A \& B Collaboration}}," in text


@pytest.mark.parametrize(
    ("name", "orcid", "person", "family", "given"),
    [
        ("Noether, Emmy", "", True, "Noether", "Emmy"),
        ("ATLAS Collaboration", "", False, "ATLAS Collaboration", ""),
        ("Plato", "0000-0002-1825-0097", True, "Plato", ""),
        ("Noether, ", "", True, "Noether", ""),
    ],
)
def test_persons_are_told_from_collaborations(name: str, orcid: str, family: str, given: str, *, person: bool) -> None:
    (creator,) = creators({"creators": [{"name": name} | ({"orcid": orcid} if orcid else {})]})
    assert (creator.is_person, creator.family, creator.given) == (person, family, given)
