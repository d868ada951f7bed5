"""What the commands share that export measurements: which observables are measured, in which bins."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from omnifold_pub.cli.console import Wishes, nan_option, progress_bars, where_option, wish_options

if TYPE_CHECKING:
    from omnifold_pub.measurement import JointMeasurement
    from omnifold_pub.release import Release

__all__ = ["binned_options", "measured", "measured_options"]


def measured_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what says which observables are measured, of which events, as ``observables``, ``where``, ``nan``."""
    return binned_options(where_option(command))


def binned_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what says which observables are measured, in which bins, as ``observables``, ``nan``."""
    return wish_options("all columns")(nan_option(command))


def measured(release: Release, observables: Wishes, **options: Any) -> JointMeasurement:
    """Measure what was asked for, or every observable of the release."""
    with progress_bars() as progress:
        columns = [observable["name"] for observable in release.metadata["observables"]]
        pairs = observables or dict.fromkeys(columns)
        chosen = {"where": options["where"], "nan": options["nan"]}
        bins: dict[str, Any] = {}
        for number, (name, edges) in enumerate(pairs.items()):
            if progress is not None:
                progress(number, len(pairs), "bins")
            bins[name] = release.suggest_bins(name, **chosen) if edges is None else edges
        return release.measure(bins, **options, progress=progress)
