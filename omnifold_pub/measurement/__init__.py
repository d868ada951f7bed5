"""What a reader gets: values of a statistic with their covariance, by component."""

from omnifold_pub.measurement.binned import Measurement
from omnifold_pub.measurement.closure import ClosureSpectra
from omnifold_pub.measurement.estimate import Estimate
from omnifold_pub.measurement.joint import JointMeasurement

__all__ = ["ClosureSpectra", "Estimate", "JointMeasurement", "Measurement"]
