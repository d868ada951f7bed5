"""Pictures as they were looked at and found good: each is compared with its baseline, and its text with the rim.

Make them anew with ``pytest tests/plots/test_images.py --mpl-generate-path=tests/plots/baseline``, and look at them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ft2font import __freetype_version__

from omnifold_pub import JointMeasurement, Measurement, Release, Theory, plots
from omnifold_pub.closure import prior_theory
from omnifold_pub.plots import Curve
from omnifold_pub.plots.styles import style_settings
from omnifold_pub.reinterpret.ranking import rank

Problems = Callable[[Figure], list[str]]

FREETYPE = "2.14.3"
"""Of the pinned matplotlib, which brings its own. Another one makes letters of other widths, which move everything."""

TOLERANCE = 2
"""Of 255, as the root of the mean square. The same FreeType comes to 0, a line less to 28, another word to 6."""

STYLE = [style_settings() | {"text.hinting": "none"}]
SAVED: dict[str, Any] = {"dpi": 60, "metadata": {"Software": None}}


def compared(test: Callable[..., Figure]) -> Any:
    """Compare what a test returns with its baseline."""
    other = pytest.mark.skipif(
        __freetype_version__ != FREETYPE, reason=f"the baselines are of FreeType {FREETYPE}, not {__freetype_version__}"
    )
    return other(pytest.mark.mpl_image_compare(style=STYLE, savefig_kwargs=SAVED, tolerance=TOLERANCE)(test))


def axes(width: float = 6.4, height: float = 5.2) -> Axes:
    return Figure(figsize=(width, height), layout="constrained").subplots()


@pytest.fixture
def checked(layout_problems: Problems) -> Callable[[Axes | Figure], Figure]:
    """Return the figure of what was drawn, if no text of it overlaps or leaves it."""

    def check(drawn: Axes | Figure) -> Figure:
        figure = drawn if isinstance(drawn, Figure) else drawn.get_figure(root=True)
        assert figure is not None
        figure.set_dpi(60)
        assert layout_problems(figure) == []
        figure.set_layout_engine("none")  # done with the places: saving need not find them again
        return figure

    return check


Checked = Callable[[Axes | Figure], Figure]


@pytest.fixture(scope="session")
def joint(frozen: Release) -> JointMeasurement:
    return frozen.measure(
        {"x": [-2.5, -1, 0, 1, 2.5], "y": [0, 10, 20, 40, 100], "turn / rate": ("z / (n + 1)", [0, 0.1, 0.2, 0.4, 1])}
    )


@pytest.fixture(scope="session")
def plane(frozen: Release) -> Measurement:
    return frozen.measure(["x", "z"], [[-2.5, -0.5, 0.5, 2.5], [0, 0.3, 0.6, 1]])


def training(number: int) -> dict[str, Any]:
    """Return the diagnostics of a training, by closed forms."""

    def fit(iteration: int, epochs: int, floor: float) -> dict[str, Any]:
        epoch = np.arange(epochs)
        held_out = floor + 0.02 * np.exp(-epoch / 3) / iteration + 0.0004 * epoch + 0.001 * number
        return {
            "training_losses": (held_out - 0.0012 * epoch).tolist(),
            "held_out_losses": held_out.tolist(),
            "best_epoch": int(np.argmin(held_out)) + 1,
            "auc": 0.5 + 0.1 / iteration**2 + 0.004 * number + (0.03 if floor < 0.68 else 0),
        }

    entries = [
        {
            "iteration": i,
            "step1": [fit(i, 8 + i, 0.68)],
            "step2": [fit(i, 12, 0.67)],
            "weights": {"push_change": 0.3 / i + 0.02 * number, "effective_events": 9000 - 500 * i - 90 * number}
            | {"max_over_mean": 5.0 + i + 0.3 * number},
        }
        for i in (1, 2, 3, 4)
    ]
    return {"training": f"ensemble_{number}", "iterations": entries}


DIAGNOSTICS = [training(0), training(1), training(2)]


@compared
def test_spectrum(mass: Measurement, curves: tuple[Curve, ...], checked: Checked) -> Figure:
    return checked(plots.spectrum(mass, curves=curves, ax=axes()))


@compared
def test_ratio(mass: Measurement, curves: tuple[Curve, ...], checked: Checked) -> Figure:
    return checked(plots.ratio(mass, curves=curves, ax=axes()))


@compared
def test_spectrum_figure_stacked(mass: Measurement, curves: tuple[Curve, ...], checked: Checked) -> Figure:
    return checked(plots.spectrum_figure(mass, curves=curves, title="Random numbers, with every kind of component"))


@compared
def test_spectrum_figure_separate(mass: Measurement, checked: Checked) -> Figure:
    return checked(plots.spectrum_figure(mass, bands="separate"))


@compared
def test_spectrum_figure_of_a_shape(frozen: Release, checked: Checked) -> Figure:
    shape = frozen.measure("x", [-2.5, -1, -0.3, 0.3, 1, 2.5], normalise=True)
    return checked(plots.spectrum_figure(shape, bands="total"))


@compared
def test_spectrum_overlay(frozen: Release, checked: Checked) -> Figure:
    measured = frozen.measure("y", [0, 10, 20, 40, 100], nan="drop")
    columns = {name: frozen.events[name] for name in frozen.events}
    slope = np.exp(-0.01 * np.nan_to_num(columns["y"]))
    theory = Theory.from_arrays(columns, frozen.nominal_weights * slope, unit="pb", name="a softer theory")
    return checked(plots.spectrum_figure(measured, curves=plots.curves_of(measured, [prior_theory(frozen), theory])))


@compared
def test_breakdown(mass: Measurement, checked: Checked) -> Figure:
    return checked(plots.breakdown(mass, ax=axes()))


@compared
def test_correlation(mass: Measurement, checked: Checked) -> Figure:
    return checked(plots.correlation(mass, ax=axes()))


@compared
def test_correlation_of_several(joint: JointMeasurement, checked: Checked) -> Figure:
    return checked(plots.correlation(joint, ax=axes()))


@compared
def test_covariance(mass: Measurement, checked: Checked) -> Figure:
    return checked(plots.covariance(mass, ax=axes()))


@compared
def test_covariance_of_several(joint: JointMeasurement, checked: Checked) -> Figure:
    return checked(plots.covariance(joint, relative=True, ax=axes()))


@compared
def test_fan(mass: Measurement, checked: Checked) -> Figure:
    return checked(plots.fan(mass, component="data_bootstrap", ax=axes()))


@compared
def test_fan_of_many(toys: Measurement, checked: Checked) -> Figure:
    return checked(plots.fan(toys, component="bootstrap", ax=axes()))


@compared
def test_pulls(mass: Measurement, curves: tuple[Curve, ...], checked: Checked) -> Figure:
    far = Curve("far off", mass.values() * [1, 1, 4, 1], "#009e73", ":")
    return checked(plots.pulls(mass, [*curves, far], ax=axes()))


def normal_pulls(size: int) -> Any:
    """Return the quantiles of a normal distribution: pulls without chance."""
    from scipy.special import ndtri

    return ndtri((np.arange(size) + 0.5) / size)


@compared
def test_pull_distribution(checked: Checked) -> Figure:
    found = {"exact": normal_pulls(400), "too narrow": 1.5 * normal_pulls(200) + 0.2}
    return checked(plots.pull_distribution(found, ax=axes()))


@compared
def test_coverage(checked: Checked) -> Figure:
    found = {"exact": normal_pulls(400), "too narrow": 1.5 * normal_pulls(200) + 0.2}
    return checked(plots.coverage(found, ax=axes()))


@compared
def test_weights(frozen: Release, checked: Checked) -> Figure:
    return checked(plots.weights(frozen, ax=axes()))


@compared
def test_closure(checked: Checked) -> Figure:
    rows = [("tau2_trackj1 / tau1_trackj1", 6, 31.2, 75.0, 0.0001), ("m_trackj1", 7, 11.3, 54.4, 0.21)]
    results: list[dict[str, Any]] = []
    for name, bins, value, prior, p_value in rows:
        results.append({"name": name, "bins": bins, "statistic": "chi2", "value": value, "p_value": p_value})
        before = "chi2 of the simulation before unfolding"
        results.append({"name": name, "bins": bins, "statistic": before, "value": prior})
    observables = [{"name": "m_trackj1", "latex": "m_{j_1}"}]
    metadata = {"title": "toy", "closure": {"results": results}, "observables": observables}
    return checked(plots.closure(metadata, ax=axes(7.2, 3.4)))


@compared
def test_closure_figure(frozen: Release, mass: Measurement, checked: Checked) -> Figure:
    spectra = frozen.closure("dd", "y", mass.axes[0])
    return checked(plots.closure_figure(spectra, measurement=mass, title="The target again, with noise"))


@compared
def test_losses(checked: Checked) -> Figure:
    return checked(plots.losses(DIAGNOSTICS, step="step2", ax=axes()))


@compared
@pytest.mark.parametrize("quantity", ["auc", "push_change", "effective_events", "max_over_mean"])
def test_iterations(quantity: Any, checked: Checked) -> Figure:
    return checked(plots.iterations(DIAGNOSTICS, quantity=quantity, ax=axes(5, 4)))


@compared
def test_training_figure(checked: Checked) -> Figure:
    return checked(plots.training_figure(DIAGNOSTICS))


@compared
def test_plane(plane: Measurement, checked: Checked) -> Figure:
    return checked(plots.plane(plane, ax=axes()))


@compared
def test_plane_figure(plane: Measurement, checked: Checked) -> Figure:
    return checked(plots.plane_figure(plane, title="Random numbers"))


@compared
def test_ranking(frozen: Release, checked: Checked) -> Figure:
    measured = frozen.measure("x", [-2.5, -0.5, 0.5, 2.5])
    columns = {"x": frozen.events["x"]}
    theories = [
        Theory.from_arrays(columns, frozen.nominal_weights * (1 + tilt * columns["x"]), unit="pb", name=name)
        for name, tilt in (("the same", 0.0), ("tilted a little", 0.1), ("tilted much", 0.4))
    ]
    return checked(plots.ranking(rank(measured, theories), ax=axes(7.2, 3.4)))


def test_each_picture_has_a_small_baseline_and_no_baseline_is_left_over(project: Path) -> None:
    found = {path.stem: path.stat().st_size for path in (project / "tests/plots/baseline").iterdir()}
    tests = {name for name, test in globals().items() if hasattr(test, "pytestmark") and name != "test_iterations"}
    quantities = {"auc", "push_change", "effective_events", "max_over_mean"}
    assert set(found) == tests | {f"test_iterations_{quantity}" for quantity in quantities}
    assert max(found.values()) < 100_000


def test_images_are_compared_by_default(project: Path) -> None:
    options = tomllib.loads((project / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["addopts"]
    assert "--mpl" in options
