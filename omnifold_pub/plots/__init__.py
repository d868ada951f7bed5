"""Pictures of a release and of what is measured with it. Each draws on the axes it is given and returns them.

Draw and save within `style`. What is called ``*_figure`` has several panels and returns the figure.
"""

from omnifold_pub.plots.breakdowns import breakdown
from omnifold_pub.plots.closures import closure, closure_figure
from omnifold_pub.plots.curves import Curve, curves_of
from omnifold_pub.plots.fans import fan
from omnifold_pub.plots.matrices import correlation, covariance
from omnifold_pub.plots.planes import plane, plane_figure
from omnifold_pub.plots.pulls import coverage, pull_distribution, pulls
from omnifold_pub.plots.rankings import ranking
from omnifold_pub.plots.spectra import Bands, ratio, spectrum, spectrum_figure
from omnifold_pub.plots.styles import style
from omnifold_pub.plots.trainings import iterations, losses, training_figure
from omnifold_pub.plots.weights import weights

__all__ = [
    "Bands",
    "Curve",
    "breakdown",
    "closure",
    "closure_figure",
    "correlation",
    "covariance",
    "coverage",
    "curves_of",
    "fan",
    "iterations",
    "losses",
    "plane",
    "plane_figure",
    "pull_distribution",
    "pulls",
    "ranking",
    "ratio",
    "spectrum",
    "spectrum_figure",
    "style",
    "training_figure",
    "weights",
]
