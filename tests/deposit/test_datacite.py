from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import pytest
from datacite import schema45

from omnifold_pub.deposit.datacite import datacite_document, related_identifier
from omnifold_pub.errors import PublishError

NAMESPACE = {"d": "http://datacite.org/schema/kernel-4"}


def test_document_becomes_datacite_xml(metadata: dict[str, Any]) -> None:
    document = datacite_document(metadata, {"release.h5": 12345})
    assert schema45.validate(document)
    root = ET.fromstring(schema45.tostring(document))  # noqa: S314  our own XML

    def texts(path: str) -> list[str]:
        return [str(element.text) for element in root.findall(path, NAMESPACE)]

    assert texts("d:identifier[@identifierType='DOI']") == ["10.5281/zenodo.11507450"]
    assert texts("d:titles/d:title") == [metadata["title"]]
    assert texts("d:creators/d:creator/d:creatorName") == ["Noether, Emmy", "A & B Collaboration"]
    assert texts("d:creators/d:creator/d:nameIdentifier") == ["https://orcid.org/0000-0002-1825-0097"]
    assert texts("d:publisher") == ["Zenodo"]
    assert texts("d:publicationYear") == ["2026"]
    assert texts("d:subjects/d:subject") == ["unfolding", "OmniFold"]
    assert texts("d:sizes/d:size") == ["400 events", "12345 bytes"]
    assert texts("d:relatedIdentifiers/d:relatedIdentifier") == ["arXiv:1911.09107", "10.17182/hepdata.1"]
    (rights,) = root.findall("d:rightsList/d:rights", NAMESPACE)
    assert rights.get("rightsIdentifier") == "CC-BY-4.0"
    assert texts("d:dates/d:date") == ["2026-01-31T12:00:00+00:00"]


def test_without_a_doi_there_is_none_and_the_publisher_is_to_be_announced(metadata: dict[str, Any]) -> None:
    del metadata["doi"]
    document = datacite_document(metadata, {})
    assert "doi" not in document
    assert document["publisher"] == {"name": "(:tba)"}
    assert schema45.validate(document)


def test_document_that_the_schema_refuses_is_not_written(metadata: dict[str, Any]) -> None:
    metadata["created"] = "26-01-31"
    with pytest.raises(PublishError, match=r"datacite\.json: publicationYear: .*'26-0' does not match"):
        datacite_document(metadata, {})


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("arXiv:1911.09107", ("arXiv", "arXiv:1911.09107")),
        ("https://arxiv.org/abs/hep-ph/9905221v2", ("arXiv", "arXiv:hep-ph/9905221v2")),
        (" doi:10.1103/PhysRevLett.124.182001 ", ("DOI", "10.1103/PhysRevLett.124.182001")),
        ("https://dx.doi.org/10.1/x", ("URL", "https://dx.doi.org/10.1/x")),
        ("https://example.org/a", ("URL", "https://example.org/a")),
        ("see arXiv:1911.09107", None),
    ],
)
def test_kind_of_a_reference(reference: str, expected: tuple[str, str] | None) -> None:
    assert related_identifier(reference) == expected
