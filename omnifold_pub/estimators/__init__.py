"""What can be estimated from weighted events: histograms, profiles, moments, quantiles, ratios, any function."""

from omnifold_pub.estimators.base import BinnedStatistic, EventStatistic, Layer, Statistic, SumStatistic
from omnifold_pub.estimators.custom import Custom
from omnifold_pub.estimators.histogram import Histogram
from omnifold_pub.estimators.moments import Moments
from omnifold_pub.estimators.profile import Profile
from omnifold_pub.estimators.quantiles import Quantiles
from omnifold_pub.estimators.ratio import Ratio

__all__ = [
    "BinnedStatistic",
    "Custom",
    "EventStatistic",
    "Histogram",
    "Layer",
    "Moments",
    "Profile",
    "Quantiles",
    "Ratio",
    "Statistic",
    "SumStatistic",
]
