"""The report of a release: one HTML file for someone who must decide on it."""

from omnifold_pub.report.spectra import Observables
from omnifold_pub.report.writing import write_report

__all__ = ["Observables", "write_report"]
