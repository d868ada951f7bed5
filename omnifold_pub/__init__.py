"""Publish, validate, read and reinterpret unbinned unfolded measurements.

Reading needs nothing but this::

    import omnifold_pub

    with omnifold_pub.open_release("release.h5") as release:
        measurement = release.measure("pT_l1 / pT_l2", [1, 1.5, 2, 3, 5])
    measurement.values(), measurement.covariance()

Unfolding is `omnifold_pub.unfold.campaign.unfold` (extra ``unfold``).
"""

from importlib.metadata import version as _version

from omnifold_pub.errors import OmnifoldPubError
from omnifold_pub.integrity import verify
from omnifold_pub.measurement import Estimate, JointMeasurement, Measurement
from omnifold_pub.metadata import read_metadata
from omnifold_pub.publish import publish
from omnifold_pub.reinterpret.comparison import Comparison, compare
from omnifold_pub.reinterpret.theory import Theory
from omnifold_pub.release import Release, open_release
from omnifold_pub.unfold.result import Canvas, ClosureWeights, UnfoldingResult
from omnifold_pub.validate import Report, validate

__all__ = [
    "Canvas",
    "ClosureWeights",
    "Comparison",
    "Estimate",
    "JointMeasurement",
    "Measurement",
    "OmnifoldPubError",
    "Release",
    "Report",
    "Theory",
    "UnfoldingResult",
    "__version__",
    "compare",
    "open_release",
    "publish",
    "read_metadata",
    "validate",
    "verify",
]

__version__ = _version("omnifold-pub")


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
