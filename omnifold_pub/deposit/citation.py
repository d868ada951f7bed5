"""How a deposit is cited: in words, in BibTeX, and as a Citation File Format 1.2.0 document."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

from omnifold_pub.deposit.creators import creators, email_address
from omnifold_pub.deposit.licence import licence_of
from omnifold_pub.errors import PublishError
from omnifold_pub.extras import require
from omnifold_pub.messages import shorten

__all__ = [
    "ARCHIVES",
    "UNKNOWN_PUBLISHER",
    "bibtex",
    "citation",
    "citation_file",
    "citation_problems",
    "doi_url",
    "publisher_of",
]

UNKNOWN_PUBLISHER = "(:tba)"
"""DataCite's standard value for what will be known later."""

_PUBLISHERS = {"10.5281/": "Zenodo", "10.17182/": "HEPData", "10.7483/": "CERN Open Data"}
"""DOI prefix to archive, of the archives of the field."""

ARCHIVES = {
    "Zenodo": "https://zenodo.org",
    "HEPData": "https://www.hepdata.net",
    "CERN Open Data": "https://opendata.cern.ch",
}
"""Where these archives are."""

_CFF_DOI = re.compile(r"10\.\d{4,9}(\.\d+)?/[A-Za-z0-9:/_;\-.()\[\]\\]+")
_CFF_ORCID = re.compile(r"https://orcid\.org/[0-9]{4}-[0-9]{4}-[0-9]{4}-[0-9]{3}[0-9X]")
_NEWER_THAN_CFF = {"CDLA-Permissive-2.0"}
"""Licences that are younger than the list of identifiers in CFF 1.2.0."""

_CFF_TEXTS = ("title", "message", "abstract", "url", "doi", "license", "license-url", "date-released", "type")
_CFF_KEYS = {*_CFF_TEXTS, "cff-version", "authors", "contact", "keywords"}
_PERSON_KEYS = {"family-names", "given-names", "affiliation", "orcid", "email"}
_ENTITY_KEYS = {"name", "email", "orcid"}


def doi_url(metadata: dict[str, Any]) -> str:
    """Return the DOI as a URL, or an empty text.

    >>> doi_url({"doi": "10.5281/zenodo.1"}), doi_url({})
    ('https://doi.org/10.5281/zenodo.1', '')
    """
    return f"https://doi.org/{metadata['doi']}" if "doi" in metadata else ""


def publisher_of(metadata: dict[str, Any]) -> str:
    """Return the archive that a DOI belongs to; ``(:tba)`` where there is none, or another.

    >>> publisher_of({"doi": "10.17182/hepdata.1"}), publisher_of({})
    ('HEPData', '(:tba)')
    """
    doi = metadata.get("doi", "")
    return next((name for prefix, name in _PUBLISHERS.items() if doi.startswith(prefix)), UNKNOWN_PUBLISHER)


def citation(metadata: dict[str, Any]) -> str:
    """Return the citation in words, in DataCite's order: creators, year, title, archive, type, DOI."""
    names = "; ".join(creator.name for creator in creators(metadata))
    archive = publisher_of(metadata)
    parts = [f"{names} ({metadata['created'][:4]}): {metadata['title']}"]
    parts += [archive] * (archive != UNKNOWN_PUBLISHER)
    parts += ["[Data set]", doi_url(metadata) or "DOI not yet assigned"]
    return " ".join(". ".join(part.rstrip(".") for part in parts).split())


def _tex(text: str) -> str:
    """Return text in which BibTeX and LaTeX read nothing of their own."""
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(special.get(c, f"\\{c}" if c in "{}%&#_$" else c) for c in " ".join(text.split()))


def bibtex(metadata: dict[str, Any]) -> str:
    """Return a BibTeX entry.

    >>> print(bibtex({"creators": [{"name": "A Collaboration"}], "title": "Z+jets", "created": "2026-01-31"}))
    @misc{A_Collaboration_2026_Z_jets,
      author = {{A Collaboration}},
      title = {{Z+jets}},
      year = {2026}
    }
    """
    year = metadata["created"][:4]
    names = [_tex(c.name) if c.is_person else f"{{{_tex(c.name)}}}" for c in creators(metadata)]
    fields = {"author": " and ".join(names), "title": f"{{{_tex(metadata['title'])}}}", "year": year}
    if publisher_of(metadata) != UNKNOWN_PUBLISHER:
        fields["publisher"] = publisher_of(metadata)
    if "doi" in metadata:
        fields["doi"] = metadata["doi"]
    lines = ",\n".join(f"  {key} = {{{value}}}" for key, value in fields.items())
    first = f"{creators(metadata)[0].family} {year} {' '.join(metadata['title'].split()[:3])}"
    key = "_".join(re.findall("[A-Za-z0-9]+", first))
    return f"@misc{{{key},\n{lines}\n}}"


def citation_file(metadata: dict[str, Any]) -> str:
    """Return the text of CITATION.cff.

    The papers in ``references`` are not in it: CFF asks for the authors and the title of each, and the metadata
    have identifiers alone.

    Raises
    ------
    MissingExtraError
        If PyYAML is not installed.
    PublishError
        If the document breaks a rule of CFF.
    """
    require("yaml", extra="deposit", purpose="Writing CITATION.cff")
    import yaml

    authors = []
    for creator in creators(metadata):
        if creator.is_person:
            author = {"family-names": creator.family, "given-names": creator.given, "affiliation": creator.affiliation}
        else:
            author = {"name": creator.name}  # an entity of CFF has no affiliation
        author["orcid"] = creator.orcid_url
        authors.append({key: value for key, value in author.items() if value})
    licence = licence_of(metadata)
    document: dict[str, Any] = {
        "cff-version": "1.2.0",
        "message": "If you use these data, please cite them, and the papers that README.md lists.",
        "title": metadata["title"],
        "type": "dataset",
        "abstract": metadata["description"],
        "authors": authors,
        "date-released": metadata["created"][:10],
    }
    if licence.spdx in _NEWER_THAN_CFF:
        document["license-url"] = licence.url
    else:
        document["license"] = licence.spdx
    if _CFF_DOI.fullmatch(metadata.get("doi", "")):
        document["doi"] = metadata["doi"]
    elif "doi" in metadata:  # CFF knows fewer characters in a DOI than there are
        document["url"] = doi_url(metadata)
    if keywords := list(dict.fromkeys(metadata.get("keywords", []))):
        document["keywords"] = keywords
    contact = {"name": metadata["contact"], "email": email_address(metadata["contact"])}
    document["contact"] = [{key: value for key, value in contact.items() if value}]
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)
    problems = citation_problems(yaml.safe_load(text))
    if problems:
        msg = f"CITATION.cff: {'; '.join(problems)}. Mend the metadata of the release"
        raise PublishError(msg)
    return text


def citation_problems(document: Any) -> list[str]:
    """Return what breaks a rule of the Citation File Format 1.2.0; an empty list if nothing does.

    Covers the keys that `citation_file` writes: required keys, unknown keys, types, the form of authors, dates,
    DOI and ORCID. It is no validator of every CFF file.

    >>> citation_problems({"cff-version": "1.2.0", "message": "cite", "title": "Z", "authors": [{"alias": "x"}]})
    ["authors[0]: expected 'name' of an entity, or names of a person; found {'alias': 'x'}"]
    """
    if not isinstance(document, dict):
        return [f"expected a mapping; found {shorten(document)}"]
    problems = [
        f"expected the key {k!r}" for k in ("cff-version", "message", "title", "authors") if not document.get(k)
    ]
    problems += [f"unknown key {key!r}" for key in document if key not in _CFF_KEYS]
    if document.get("cff-version", "1.2.0") != "1.2.0":
        problems.append(f"cff-version: expected '1.2.0'; found {shorten(document['cff-version'])}")
    if document.get("type", "dataset") not in {"dataset", "software"}:
        problems.append(f"type: expected 'dataset' or 'software'; found {shorten(document['type'])}")
    for key in _CFF_TEXTS:
        if key in document and not (isinstance(document[key], str) and document[key]):
            problems.append(f"{key}: expected text; found {shorten(document[key])}")
    if isinstance(released := document.get("date-released", "2000-01-01"), str) and not _is_date(released):
        problems.append(f"date-released: expected YYYY-MM-DD; found {shorten(released)}")
    if isinstance(doi := document.get("doi", "10.1234/x"), str) and not _CFF_DOI.fullmatch(doi):
        problems.append(f"doi: expected 10.NNNN/...; found {shorten(doi)}")
    for key in ("authors", "contact"):
        entries = document.get(key, [])
        if not isinstance(entries, list):
            problems.append(f"{key}: expected a list; found {shorten(entries)}")
            continue
        problems += [f"{key}[{i}]: {problem}" for i, entry in enumerate(entries) for problem in _name_problems(entry)]
        if len({str(entry) for entry in entries}) != len(entries):
            problems.append(f"{key}: expected each once")
    return problems


def _is_date(text: str) -> bool:
    try:
        return dt.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _name_problems(entry: Any) -> list[str]:
    if not isinstance(entry, dict) or not all(isinstance(value, str) and value for value in entry.values()):
        return [f"expected a mapping of texts; found {shorten(entry)}"]
    allowed = _ENTITY_KEYS if "name" in entry else _PERSON_KEYS
    if not {"name", "family-names", "given-names"} & set(entry):
        return [f"expected 'name' of an entity, or names of a person; found {shorten(entry)}"]
    problems = [f"unknown key {key!r}" for key in entry if key not in allowed]
    if "orcid" in entry and not _CFF_ORCID.fullmatch(entry["orcid"]):
        problems.append(f"orcid: expected https://orcid.org/...; found {shorten(entry['orcid'])}")
    return problems
