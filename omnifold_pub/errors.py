"""The exceptions of omnifold_pub.

::

    OmnifoldPubError
    ├── MissingExtraError    an optional dependency is not installed
    ├── InputError           an input file, its tree, a branch or a value
    │   └── AnalysisError    the analysis file
    ├── ObservableError      an expression, a function of the events, a binning
    ├── TrainingError        the unfolding itself: non-finite weights, empty classes
    │   └── RunError         the run directory: other inputs, another process, an unfinished campaign
    ├── PublishError         a release that cannot be written
    ├── ReleaseError         a release that cannot be read
    ├── ClusterError         a cluster that gave up
    ├── StatisticsError      a covariance or a p-value that does not exist
    └── ValidityError        a result that the publisher of a release does not vouch for

    UserWarning
    └── ValidityWarning      the same, where the publisher leaves it to the reader

A message says where, what was found, what was expected, and what to do.
"""

from __future__ import annotations

__all__ = [
    "AnalysisError",
    "ClusterError",
    "InputError",
    "MissingExtraError",
    "ObservableError",
    "OmnifoldPubError",
    "PublishError",
    "ReleaseError",
    "RunError",
    "StatisticsError",
    "TrainingError",
    "ValidityError",
    "ValidityWarning",
]


class OmnifoldPubError(Exception):
    """Base class of every error that omnifold_pub raises on purpose."""


class MissingExtraError(OmnifoldPubError):
    """An optional dependency is needed and not installed."""


class InputError(OmnifoldPubError):
    """An input file, its tree, one of its branches or their values cannot be used."""


class AnalysisError(InputError):
    """The analysis file is not what its schema asks for."""


class ObservableError(OmnifoldPubError):
    """An expression, a function of the events or a binning cannot be used."""


class TrainingError(OmnifoldPubError):
    """The unfolding went wrong: an empty class, a non-finite weight."""


class RunError(TrainingError):
    """A run directory belongs to other inputs, is in use, or is not finished."""


class PublishError(OmnifoldPubError):
    """A release could not be written; nothing is left under its final name."""


class ReleaseError(OmnifoldPubError):
    """A file is not a release that this version can read."""


class ClusterError(OmnifoldPubError):
    """A cluster gave up, or was stopped, before all was measured."""


class StatisticsError(OmnifoldPubError):
    """A covariance or a p-value cannot be had from what there is."""


class ValidityError(OmnifoldPubError):
    """A release's publisher does not vouch for a result and asked that it be refused."""


class ValidityWarning(UserWarning):
    """A release's publisher does not vouch for a result."""
