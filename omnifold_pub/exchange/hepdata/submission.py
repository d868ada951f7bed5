"""A measurement as a submission to HEPData."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omnifold_pub.errors import PublishError
from omnifold_pub.exchange.hepdata.bundle import archive_bytes, write_bundle
from omnifold_pub.exchange.hepdata.columns import Table, data_yaml
from omnifold_pub.exchange.hepdata.layout import LAYOUT_FILE, Layout, numbers_taken_out
from omnifold_pub.exchange.hepdata.matrices import Attachment, matrices, own_matrices
from omnifold_pub.exchange.hepdata.names import Names
from omnifold_pub.exchange.hepdata.record import Record, escaped
from omnifold_pub.exchange.hepdata.rules import LARGEST_ARCHIVE, broken_rules
from omnifold_pub.exchange.hepdata.values import value_tables
from omnifold_pub.extras import require
from omnifold_pub.presentation.measured import Measured

__all__ = ["Submission", "submission_of", "write_submission"]

_LAYOUT_SAID = (
    "Which table holds what, and what is known of the components of the covariance, as JSON: "
    "omnifold_pub.Measurement.from_hepdata reads tables and this file back to the same measurement."
)


@dataclass(frozen=True)
class Submission:
    """All that goes to HEPData.

    Attributes
    ----------
    tables : tuple of Table
        Values first, then matrices.
    attachments : tuple of Attachment
        Matrices that are too large for a table.
    layout : Layout
        Which table holds what.
    record : Record
        What is known of the whole.
    """

    tables: tuple[Table, ...]
    attachments: tuple[Attachment, ...]
    layout: Layout
    record: Record

    def documents(self) -> list[dict[str, Any]]:
        """Return the documents of ``submission.yaml``: one of the whole, then one of each table."""
        licence = self.record.licence
        own = [(LAYOUT_FILE, _LAYOUT_SAID), *((one.file, escaped(one.description)) for one in self.attachments)]
        resources = [
            {"location": file, "description": said} | ({"license": dict(licence)} if licence else {})
            for file, said in own
        ]
        whole = {"comment": self.record.comment(), "additional_resources": [*self.record.resources(), *resources]}
        return [whole, *(self._document(table, licence) for table in self.tables)]

    def _document(self, table: Table, licence: Mapping[str, str]) -> dict[str, Any]:
        return {
            "name": table.name,
            "description": table.description,
            "keywords": self.record.keywords(table.observables),
            "data_file": table.file,
            **({"data_license": dict(licence)} if licence else {}),
        }

    def files(self) -> dict[str, bytes]:
        """Return every file by its name.

        Raises
        ------
        MissingExtraError
            If PyYAML is not installed.
        PublishError
            If a file of the release cannot be read.
        """
        require("yaml", extra="yaml", purpose="Writing a submission to HEPData")
        import yaml

        text = yaml.safe_dump_all(self.documents(), explicit_start=True, sort_keys=False, allow_unicode=True, width=120)
        files = {"submission.yaml": text.encode(), LAYOUT_FILE: self.layout.content()}
        files |= {table.file: data_yaml(table) for table in self.tables}
        return files | {one.file: one.content for one in self.attachments}


def submission_of(measured: Measured, document: Mapping[str, Any], record: Record) -> Submission:
    """Return a measurement as tables of HEPData.

    Parameters
    ----------
    measured : Measured
        The measurement.
    document : mapping
        The same, as its ``to_dict`` returns it.
    record : Record
        What is known of it beside its numbers.

    Raises
    ------
    PublishError
        If there is no component, or a bin has a value and no uncertainty.
    """
    if not measured.components:
        msg = (
            "expected components of the covariance; found none: HEPData is for values with uncertainties; measure them"
        )
        raise PublishError(msg)
    names = Names()
    tables = value_tables(measured, record, names)
    pairs, attached = matrices(measured, names)
    layout = Layout(
        numbers_taken_out(document),
        tuple(table.name for table in tables),
        "tables" if pairs else "files",
        tuple([covariance.name for covariance, _ in pairs] + [covariance.file for covariance, _ in attached]),
    )
    own = own_matrices(measured, names) if attached and len(measured.statistics) > 1 else []
    both = tuple(table for pair in pairs for table in pair)
    files = tuple(attachment for pair in attached for attachment in pair)
    return Submission((*tables, *own, *both), files, layout, record)


def write_submission(
    measured: Measured, document: Mapping[str, Any], path: str | Path, *, record: Record, overwrite: bool
) -> Path:
    """Write a measurement as a submission to HEPData: a folder, or an archive for a name on ``.tar.gz`` or ``.tgz``.

    Every rule of HEPData's that can be checked without their server is checked before anything is written.

    Returns
    -------
    pathlib.Path
        Where it is.

    Raises
    ------
    PublishError
        If a rule is broken, the name is taken, or the disk does not take it; nothing is left then.
    MissingExtraError
        If PyYAML is not installed.
    """
    path = Path(path)
    submission = submission_of(measured, document, record)
    files = submission.files()
    raw = sum(map(len, files.values()))
    packed = len(archive_bytes(files)) if raw > LARGEST_ARCHIVE else raw
    _refuse(path, broken_rules(submission.tables, files, packed))
    write_bundle(files, path, overwrite=overwrite)
    return path


def _refuse(path: Path, problems: Sequence[str]) -> None:
    if problems:
        lines = "\n  ".join(problems[:20])
        more = f"\n  and {len(problems) - 20} more" if len(problems) > 20 else ""
        msg = f"{path}: HEPData would not take this submission, nothing is written:\n  {lines}{more}"
        raise PublishError(msg)
