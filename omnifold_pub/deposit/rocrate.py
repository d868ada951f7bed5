"""The RO-Crate 1.1 of a deposit: its files, who made them, and of what.

Inputs of the unfolding are named with their checksums as ``CreativeWork``: they are not in the crate, and RO-Crate
calls only what a crate holds a ``File``. Observables are ``PropertyValue`` entities; RO-Crate has no words for the
covariance, which stays with the release's own metadata.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from omnifold_pub.deposit.citation import ARCHIVES, UNKNOWN_PUBLISHER, citation, doi_url, publisher_of
from omnifold_pub.deposit.creators import Creator, creators, email_address
from omnifold_pub.deposit.datacite import paper_url
from omnifold_pub.deposit.files import DepositFile, media_type
from omnifold_pub.deposit.licence import licence_of
from omnifold_pub.errors import PublishError
from omnifold_pub.extras import require

__all__ = ["CRATE", "crate_document", "crate_problems"]

CRATE = "ro-crate-metadata.json"


def crate_document(
    metadata: dict[str, Any], files: Sequence[DepositFile], *, descriptions: dict[str, str], results: Iterable[str]
) -> dict[str, Any]:
    """Return the crate's JSON-LD.

    Parameters
    ----------
    files : sequence of DepositFile
        All files of the deposit but the crate itself.
    descriptions : dict
        What each file is, by its name.
    results : iterable of str
        Names of the files that the unfolding made: those of the release.

    Raises
    ------
    MissingExtraError
        If ``rocrate`` is not installed.
    """
    require("rocrate", extra="deposit", purpose="Writing an RO-Crate")
    from rocrate.model.contextentity import ContextEntity
    from rocrate.rocrate import ROCrate

    crate = ROCrate(version="1.1")

    def add(key: str, kind: str, /, **properties: Any) -> Any:
        entity = crate.get(key)
        if entity is not None:
            return entity
        return crate.add(ContextEntity(crate, key, {"@type": kind, **_present(properties)}))

    licence = licence_of(metadata)
    root = crate.root_dataset
    root["name"] = metadata["title"]
    root["description"] = metadata["description"]
    root["datePublished"] = metadata["created"]
    root["license"] = add(licence.url, "CreativeWork", name=licence.name, identifier=licence.spdx_url)
    root["author"] = _single([_add_creator(add, i, creator) for i, creator in enumerate(creators(metadata))])
    address = email_address(metadata["contact"])
    root["contactPoint"] = add(
        f"mailto:{address}" if address else "#contact",
        "ContactPoint",
        name=metadata["contact"],
        contactType="scientific questions",
        email=address,
    )
    root["creditText"] = citation(metadata)
    if publisher_of(metadata) != UNKNOWN_PUBLISHER:
        archive = publisher_of(metadata)
        root["publisher"] = add(ARCHIVES[archive], "Organization", name=archive, url=ARCHIVES[archive])
    if "doi" in metadata:
        root["identifier"] = doi_url(metadata)
    if metadata.get("keywords"):
        root["keywords"] = _single(list(dict.fromkeys(metadata["keywords"])))
    papers = [
        _add_paper(add, i, reference) for i, reference in enumerate(dict.fromkeys(metadata.get("references", [])))
    ]
    if papers:
        root["citation"] = _single(papers)
    root["variableMeasured"] = _single(
        [
            add(
                f"#observable-{observable['name']}",
                "PropertyValue",
                name=observable["name"],
                description=observable["description"],
                unitText=observable["unit"],
                minValue=observable["valid_range"]["minimum"],
                maxValue=observable["valid_range"]["maximum"],
            )
            for observable in metadata["observables"]
        ]
    )
    entries = {}
    for file in files:
        properties = {
            "name": file.name,
            "description": descriptions[file.name],
            "encodingFormat": media_type(file.name),
            "contentSize": str(file.bytes),
            "sha256": file.sha256,
        }
        entries[file.name] = crate.add_file(dest_path=file.name, properties=properties)
    unfolding = metadata["unfolding"]
    root["mentions"] = add(
        "#unfolding",
        "CreateAction",
        name=unfolding["method"],
        endTime=metadata["created"],
        instrument=add(
            "#program", "SoftwareApplication", name=unfolding["program"], softwareVersion=unfolding["version"]
        ),
        object=_single(
            [
                add(
                    f"#input-{i}",
                    "CreativeWork",
                    name=entry["file"],
                    description=f"{entry['role']}{' of ' + entry['generator'] if 'generator' in entry else ''}",
                    sha256=entry["sha256"],
                )
                for i, entry in enumerate(metadata["inputs"])
            ]
        ),
        result=_single([entries[name] for name in results]),
    )
    document: dict[str, Any] = crate.metadata.generate()
    return document


def _single(values: list[Any]) -> Any:
    """Return the only value of a list, or the list: RO-Crate wants no list of one."""
    return values[0] if len(values) == 1 else values


def _present(properties: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in properties.items() if value is not None and value != ""}


def _add_creator(add: Any, index: int, creator: Creator) -> Any:
    affiliation = creator.affiliation
    organisation = add(f"#affiliation-{quote(affiliation)}", "Organization", name=affiliation) if affiliation else None
    if not creator.is_person:
        return add(f"#creator-{index}", "Organization", name=creator.name, parentOrganization=organisation)
    return add(
        creator.orcid_url or f"#creator-{index}",
        "Person",
        name=creator.name,
        familyName=creator.family if creator.given else None,
        givenName=creator.given,
        affiliation=organisation,
    )


def _add_paper(add: Any, index: int, reference: str) -> Any:
    url = paper_url(reference)
    return add(url or f"#reference-{index}", "ScholarlyArticle" if url else "CreativeWork", name=reference)


def _references(entity: dict[str, Any]) -> Iterator[str]:
    for value in entity.values():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict) and "@id" in item:
                yield item["@id"]


def crate_problems(folder: Path) -> list[str]:
    """Load the crate of a folder again and return what is wrong with it.

    Every part exists, every file of the folder is a part, no identifier occurs twice, every entity is referenced
    and every reference leads to an entity or out of the crate, and the root has what RO-Crate 1.1 requires.

    Raises
    ------
    MissingExtraError
        If ``rocrate`` is not installed.
    """
    require("rocrate", extra="deposit", purpose="Checking an RO-Crate")
    from rocrate.rocrate import ROCrate

    try:
        crate = ROCrate(folder)
    except (ValueError, KeyError, AssertionError, OSError) as error:
        return [f"{CRATE}: rocrate cannot load it: {error}"]
    problems = []
    if crate.version != "1.1":
        problems.append(f"expected RO-Crate 1.1; found {crate.version}")
    problems += [
        f"the root dataset has no {key}"
        for key in ("name", "description", "datePublished", "license")
        if not crate.root_dataset.get(key)
    ]
    parts = {unquote(entity.id) for entity in crate.data_entities}
    there = {path.name for path in folder.iterdir()} - {CRATE}
    problems += [f"part {name!r} does not exist" for name in sorted(parts - there)]
    problems += [f"file {name!r} is no part" for name in sorted(there - parts)]
    graph = json.loads((folder / CRATE).read_text(encoding="utf-8"))["@graph"]
    identifiers = [entity["@id"] for entity in graph]
    if len(set(identifiers)) != len(identifiers):
        problems.append("an identifier occurs twice")
    referenced = {target for entity in graph for target in _references(entity)}
    problems += [f"{name!r} is not referenced" for name in identifiers if name not in {*referenced, CRATE}]
    outside = (name for name in referenced - set(identifiers) if not name.startswith("https://"))
    problems += [f"{name!r} is referenced and not described" for name in sorted(outside)]
    return problems


def require_sound_crate(folder: Path) -> None:
    """Check the crate of a folder.

    Raises
    ------
    PublishError
        With all that is wrong with it.
    """
    if problems := crate_problems(folder):
        msg = f"{CRATE}: {'; '.join(problems)}"
        raise PublishError(msg)
