"""DataCite 4.5 metadata of a deposit: what registers its DOI.

The publisher is the archive, which a release does not know before it has a DOI: DataCite's ``(:tba)``, to be
announced, stands there until then. Without a DOI there is no ``doi``: the JSON schema allows that, registration
does not. Relations are all ``References``: the metadata do not say whether a paper describes the data or is a tool.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from omnifold_pub.deposit.citation import publisher_of
from omnifold_pub.deposit.creators import Creator, creators
from omnifold_pub.deposit.licence import licence_of
from omnifold_pub.errors import PublishError
from omnifold_pub.extras import require
from omnifold_pub.messages import shorten

__all__ = ["datacite_document", "paper_url", "related_identifier"]

_ARXIV = re.compile(r"(?:arxiv:\s*|https?://arxiv\.org/abs/)(\d{4}\.\d{4,5}|[a-z.-]+/\d{7})(v\d+)?", re.IGNORECASE)
_DOI = re.compile(r"(?:doi:\s*|https?://(?:dx\.)?doi\.org/)?(10\.\d{4,9}/\S+)", re.IGNORECASE)
_URL = re.compile(r"https?://\S+")


def related_identifier(reference: str) -> tuple[str, str] | None:
    """Return type and identifier of a paper, or None where a reference is prose.

    >>> related_identifier("arXiv:1911.09107v2"), related_identifier("https://doi.org/10.17182/hepdata.1")
    (('arXiv', 'arXiv:1911.09107v2'), ('DOI', '10.17182/hepdata.1'))
    >>> related_identifier("The Particle Data Group, 2024") is None
    True
    """
    reference = reference.strip()
    if found := _ARXIV.fullmatch(reference):
        return "arXiv", f"arXiv:{found[1]}{found[2] or ''}"
    if found := _DOI.fullmatch(reference):
        return "DOI", found[1]
    return ("URL", reference) if _URL.fullmatch(reference) else None


def paper_url(reference: str) -> str:
    """Return where a paper is; empty where a reference is prose.

    >>> paper_url("arXiv:1911.09107"), paper_url("10.17182/hepdata.1"), paper_url("A talk")
    ('https://arxiv.org/abs/1911.09107', 'https://doi.org/10.17182/hepdata.1', '')
    """
    kind, identifier = related_identifier(reference) or ("", "")
    prefix = {"arXiv": "https://arxiv.org/abs/", "DOI": "https://doi.org/"}.get(kind, "")
    return prefix + identifier.removeprefix("arXiv:")


def _creator(creator: Creator) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": creator.name, "nameType": "Personal" if creator.is_person else "Organizational"}
    if creator.is_person and creator.given:
        entry |= {"familyName": creator.family, "givenName": creator.given}
    if creator.orcid:
        identifier = {"nameIdentifier": creator.orcid_url, "nameIdentifierScheme": "ORCID"}
        entry["nameIdentifiers"] = [identifier | {"schemeUri": "https://orcid.org"}]
    if creator.affiliation:
        entry["affiliation"] = [{"name": creator.affiliation}]
    return entry


def datacite_document(metadata: dict[str, Any], sizes: Mapping[str, int]) -> dict[str, Any]:
    """Return the DataCite metadata, checked against the JSON schema of DataCite 4.5.

    Parameters
    ----------
    sizes : mapping
        Bytes of each file of the release, by its name.

    Raises
    ------
    MissingExtraError
        If ``datacite`` is not installed.
    PublishError
        If the schema refuses the document.
    """
    require("datacite", extra="deposit", purpose="Writing DataCite metadata")
    from datacite import schema45

    licence = licence_of(metadata)
    unfolding = metadata["unfolding"]
    # Equal entries are no error of the metadata, but DataCite's lists are sets.
    references = list(dict.fromkeys(filter(None, map(related_identifier, metadata.get("references", [])))))
    document: dict[str, Any] = {
        "schemaVersion": "http://datacite.org/schema/kernel-4",
        "types": {"resourceTypeGeneral": "Dataset", "resourceType": "Unbinned unfolded measurement"},
        "titles": [{"title": metadata["title"]}],
        "creators": [_creator(creator) for creator in creators(metadata)],
        "publisher": {"name": publisher_of(metadata)},
        "publicationYear": metadata["created"][:4],
        "subjects": [{"subject": keyword} for keyword in dict.fromkeys(metadata.get("keywords", []))],
        "contributors": [{"name": metadata["contact"], "contributorType": "ContactPerson"}],
        "dates": [{"date": metadata["created"], "dateType": "Created"}],
        "language": "en",
        "relatedIdentifiers": [
            {"relatedIdentifier": identifier, "relatedIdentifierType": kind, "relationType": "References"}
            for kind, identifier in references
        ],
        "sizes": list(dict.fromkeys([f"{metadata['events']} events", *(f"{size} bytes" for size in sizes.values())])),
        "formats": ["application/x-hdf5"],
        "rightsList": [
            {
                "rights": licence.name,
                "rightsUri": licence.url,
                "rightsIdentifier": licence.spdx,
                "rightsIdentifierScheme": "SPDX",
                "schemeUri": "https://spdx.org/licenses/",
            }
        ],
        "descriptions": [
            {"description": metadata["description"], "descriptionType": "Abstract"},
            {
                "description": f"{unfolding['method']}, with {unfolding['program']} {unfolding['version']}.",
                "descriptionType": "Methods",
            },
            {
                "description": "HDF5 in the layout of omnifold_pub, version "
                f"{metadata['schema_version']}: particle-level events with weights in {metadata['weights']['unit']}.",
                "descriptionType": "TechnicalInfo",
            },
        ],
    }
    if "doi" in metadata:
        document["doi"] = metadata["doi"]
    problems = [
        f"{'/'.join(map(str, error.absolute_path)) or 'the document'}: {shorten(error.message, 200)}"
        for error in schema45.validator.iter_errors(document)
    ]
    if problems:
        msg = f"datacite.json: {'; '.join(problems)}. Mend the metadata of the release"
        raise PublishError(msg)
    return document
