"""The Croissant 1.1 description of a deposit, for tools of machine learning.

What Croissant cannot say of a release, as found with mlcroissant 1.1:

- It has no reader of HDF5. The record set ``events`` names each dataset as the ``column`` of its file, which the
  validator accepts, but ``mlcroissant`` cannot give its records ("None of the provided encoding formats ... returned
  a valid pandas dataframe"). ``observables`` and ``components`` hold their few rows inline, and can be read.
- It has no unit, no valid range, no meaning of a NaN: these stand in descriptions and in ``observables``.
- It has no words for a covariance: a family is an array per event, its convention a sentence.
- Several files with the same columns would be a ``FileSet``, which has no checksum of its own: the record set of a
  sharded release names the first file, and its description says that the others continue it.
- Canvases, closure weights and networks have other events or none, and are left to the release's own metadata.
- Croissant recommends ``version`` and requires ``url``; a release has the former never and the latter only with a DOI.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from omnifold_pub.deposit.citation import UNKNOWN_PUBLISHER, bibtex, doi_url, publisher_of
from omnifold_pub.deposit.creators import creators
from omnifold_pub.deposit.files import DepositFile, media_type
from omnifold_pub.deposit.licence import licence_of
from omnifold_pub.extras import require

__all__ = ["croissant_document", "croissant_issues"]

_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The JSON-LD context of Croissant 1.1."""

_TYPES = {"float32": "cr:Float32", "float64": "cr:Float64", "int32": "cr:Int32", "int64": "cr:Int64"}


def croissant_document(metadata: dict[str, Any], files: Sequence[DepositFile]) -> dict[str, Any]:
    """Return the Croissant JSON-LD of a release.

    Parameters
    ----------
    files : sequence of DepositFile
        The HDF5 files of the release, in their order.
    """
    licence = licence_of(metadata)
    document: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": metadata["title"],
        "description": metadata["description"],
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "citeAs": bibtex(metadata),
        "creator": [
            {"@type": "sc:Person" if creator.is_person else "sc:Organization", "name": creator.name}
            | ({"url": creator.orcid_url} if creator.orcid else {})
            for creator in creators(metadata)
        ],
        "dateCreated": metadata["created"],
        "datePublished": metadata["created"],
        "keywords": metadata.get("keywords", []),
        "license": [licence.url],
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": file.name,
                "name": file.name,
                "description": f"Events and weights, HDF5 in the layout of omnifold_pub {metadata['schema_version']}",
                "contentUrl": file.name,
                "contentSize": f"{file.bytes} B",
                "encodingFormat": media_type(file.name),
                "sha256": file.sha256,
            }
            for file in files
        ],
        "recordSet": [_events(metadata, files), _observables(metadata), _components(metadata)],
    }
    if publisher_of(metadata) != UNKNOWN_PUBLISHER:
        document["publisher"] = [{"@type": "sc:Organization", "name": publisher_of(metadata)}]
    if "doi" in metadata:
        document["url"] = doi_url(metadata)
    return document


def _events(metadata: dict[str, Any], files: Sequence[DepositFile]) -> dict[str, Any]:
    unit = metadata["weights"]["unit"]

    def field(path: str, kind: str, description: str, *, members: int = 0) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "@type": "cr:Field",
            "@id": f"events/{path}",
            "name": path,
            "description": description,
            "dataType": kind,
            "source": {"fileObject": {"@id": files[0].name}, "extract": {"column": path}},
        }
        return entry | ({"isArray": True, "arrayShape": str(members)} if members else {})

    fields = [field("event_id", "cr:Int64", "Identifier of the event, unique")]
    for observable in metadata["observables"]:
        missing = observable["missing"]
        absent = f"; NaN: {missing['meaning']}" if missing["rule"] == "nan" else ""
        text = f"{observable['description']} [{observable['unit']}]{absent}"
        fields.append(field(f"events/{observable['name']}", _TYPES[observable["dtype"]], text))
    meaning = f"Weight [{unit}]: the sum over a region is its cross section"
    fields.append(field("weights/nominal", "cr:Float32", f"{meaning}; the generator's own weight is included"))
    for component in metadata["components"]:
        if members := component.get("members", 0):
            text = f"Weights [{unit}] of each member: {component['description']}"
            fields.append(field(f"weights/{component['name']}", "cr:Float32", text, members=members))
    if metadata["weights"]["prior"]:
        fields.append(field("prior", "cr:Float32", f"The simulation's own weight, before unfolding [{unit}]"))
    continued = f", continued in {len(files) - 1} further files" if len(files) > 1 else ""
    return {
        "@type": "cr:RecordSet",
        "@id": "events",
        "name": "events",
        "description": f"One record for each of {metadata['events']} particle-level events{continued}. "
        "Columns are paths of datasets in the HDF5 file.",
        "key": {"@id": "events/event_id"},
        "field": fields,
    }


def _table(name: str, description: str, columns: dict[str, str], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a record set with its rows inside; its key is its first column."""
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": description,
        "key": {"@id": f"{name}/{next(iter(columns))}"},
        "field": [
            {"@type": "cr:Field", "@id": f"{name}/{column}", "name": column, "dataType": kind}
            for column, kind in columns.items()
        ],
        "data": [{f"{name}/{column}": row[column] for column in columns} for row in rows],
    }


def _observables(metadata: dict[str, Any]) -> dict[str, Any]:
    columns = dict.fromkeys(("name", "description", "unit", "latex", "dtype", "missing"), "sc:Text")
    columns |= dict.fromkeys(("minimum", "maximum"), "sc:Float")
    rows = [
        {**entry, **entry["valid_range"], "missing": entry["missing"].get("meaning", entry["missing"]["rule"])}
        for entry in metadata["observables"]
    ]
    return _table(
        "observables", "What the columns of the events are; minimum, maximum: range in the unit", columns, rows
    )


def _components(metadata: dict[str, Any]) -> dict[str, Any]:
    names = ("name", "kind", "description", "estimator", "centre", "divisor", "correlation")
    rows = [{**entry, **entry["covariance"]} for entry in metadata["components"]]
    description = "What the covariance is the sum of, and how each part is computed"
    return _table("components", description, dict.fromkeys(names, "sc:Text"), rows)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep mlcroissant from writing its issues to stderr: they are returned instead."""
    logger = logging.getLogger("absl")
    before = logger.disabled
    logger.disabled = True
    try:
        with warnings.catch_warnings():
            # rdflib warns of a class of its own that its parser of JSON-LD still uses.
            warnings.filterwarnings("ignore", "ConjunctiveGraph is deprecated", DeprecationWarning)
            yield
    finally:
        logger.disabled = before


def croissant_issues(path: Path) -> tuple[list[str], list[str]]:
    """Load a Croissant file with mlcroissant and return its errors and its warnings.

    Raises
    ------
    MissingExtraError
        If ``mlcroissant`` is not installed.
    """
    require("mlcroissant", extra="deposit", purpose="Checking a Croissant file")
    import mlcroissant

    try:
        with _quiet():
            dataset = mlcroissant.Dataset(jsonld=path)
    except (mlcroissant.ValidationError, ValueError) as error:
        return [" ".join(str(error).split())], []
    issues = dataset.metadata.ctx.issues
    return sorted(issues.errors), sorted(issues.warnings)
