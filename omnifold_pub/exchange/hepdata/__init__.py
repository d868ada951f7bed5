"""HEPData: a measurement as a submission, and a submission as a measurement again."""

from omnifold_pub.exchange.hepdata.reading import read_submission
from omnifold_pub.exchange.hepdata.record import Record
from omnifold_pub.exchange.hepdata.submission import Submission, submission_of, write_submission

__all__ = ["Record", "Submission", "read_submission", "submission_of", "write_submission"]
