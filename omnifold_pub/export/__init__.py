"""A release in other formats, and back: Parquet, ROOT, pandas."""

from __future__ import annotations

from omnifold_pub.export.contents import ExportableRelease, ExportFormat
from omnifold_pub.export.reading import read_export
from omnifold_pub.export.writing import Export, export

__all__ = ["Export", "ExportFormat", "ExportableRelease", "export", "read_export"]
