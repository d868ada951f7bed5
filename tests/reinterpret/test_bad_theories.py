"""What is wrong with a theory is told once and clearly: by the functions, and by the commands."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot
from babyyoda.grogu.histo1d_v3 import Histo1D_v3
from click.testing import CliRunner
from numpy.typing import NDArray

from omnifold_pub import OmnifoldPubError, Release, Theory, compare, open_release
from omnifold_pub.cli.comparing import compare as compare_command
from omnifold_pub.cli.console import Group
from omnifold_pub.cli.exchanging import export
from omnifold_pub.cli.fitting import fit as fit_command
from omnifold_pub.errors import InputError, StatisticsError
from omnifold_pub.reinterpret.binned import BinnedTheory
from omnifold_pub.reinterpret.fitting import Templates, fit
from omnifold_pub.reinterpret.spectrum import Spectrum

MAIN = Group("omnifold-pub", commands={"compare": compare_command, "fit": fit_command, "export": export})
EDGES = [-2.0, -0.7, 0.1, 0.8, 2.5]
SIZE = 300
RNG = np.random.default_rng(8)
X, WEIGHT = RNG.normal(0, 1, SIZE), RNG.gamma(4, 10 / 4 / SIZE, SIZE)
NAN = np.where(np.arange(SIZE) == 7, np.nan, WEIGHT)


@dataclass(frozen=True)
class Bad:
    """Something that is wrong with a theory, and how it is told."""

    error: type[OmnifoldPubError]
    message: str
    x: NDArray[Any] = field(default_factory=lambda: X)
    weight: NDArray[Any] = field(default_factory=lambda: WEIGHT)
    unit: str = "pb"
    edges: tuple[float, ...] = tuple(EDGES)
    yoda: tuple[float, ...] = ()


CASES = {
    "no overlap": Bad(InputError, "no event is in any of the 4 bins", x=X + 40),
    "negative cross section": Bad(InputError, "the weights sum to -[0-9.]+; expected", weight=-WEIGHT),
    "NaN weights": Bad(InputError, "1 of 300 weights are not finite", weight=NAN),
    "units": Bad(InputError, "weights in fb, the measurement is in 'pb'", unit="fb"),
    "bins": Bad(InputError, "expected the measurement's bins", yoda=(-2.0, 0.0, 2.5)),
    "negative histogram": Bad(InputError, "the bins sum to -", weight=-WEIGHT, yoda=tuple(EDGES)),
    "covariance": Bad(
        StatisticsError,
        "merge bins|cannot be inverted|no uncertainty|not positive|variance",
        edges=(*EDGES, 50.0, 60.0),
    ),
}


def of_python(bad: Bad) -> Any:
    """Return the theory, by the functions."""
    if bad.yoda:
        contents, _ = np.histogram(bad.x, bad.yoda, weights=bad.weight)
        return BinnedTheory("theory", {"x": Spectrum.from_contents(bad.yoda, contents)}, bad.unit)
    return Theory.from_arrays({"x": bad.x}, bad.weight, unit=bad.unit)


def of_file(bad: Bad, path: Path) -> tuple[str, ...]:
    """Write the theory, and return the arguments of a command that reads it."""
    if bad.yoda:
        filled = Histo1D_v3(list(bad.yoda))
        filled.d_key = "/MINE/x"
        for value, weight in zip(bad.x, bad.weight, strict=True):
            filled.fill(float(value), float(weight))
        path.write_text(f"{filled.to_string()}\n")
        return ("--object", "x", "/MINE/x", "--unit", bad.unit)
    with uproot.recreate(path) as file:
        file["events"] = {"x": bad.x, "weight": bad.weight}
    return ("--tree", "events", "--weight", "weight", "--unit", bad.unit)


def by_comparison(release: Release, bad: Bad) -> object:
    return compare(release.measure({"x": list(bad.edges)}), of_python(bad))


def by_fit(release: Release, bad: Bad) -> object:
    return fit(Templates({"mu": of_python(bad)}), release.measure({"x": list(bad.edges)}))


@pytest.mark.parametrize("act", [by_comparison, by_fit])
@pytest.mark.parametrize("case", CASES)
def test_functions_raise_one_error(published: Path, case: str, act: Callable[[Release, Bad], object]) -> None:
    bad = CASES[case]
    with open_release(published) as release, pytest.raises(bad.error, match=bad.message) as caught:
        act(release, bad)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("command", ["compare", "fit", "export hs3"])
@pytest.mark.parametrize("case", CASES)
def test_commands_print_one_error(published: Path, tmp_path: Path, case: str, command: str) -> None:
    bad, path, out = CASES[case], tmp_path / "theory", tmp_path / "out.json"
    options = of_file(bad, path)
    arguments: dict[str, list[object]] = {
        "compare": [path],
        "fit": ["--template", "mu", path],
        "export hs3": [out, "--signal", path],
    }
    bins = ("-o", "x", "-b", ",".join(map(str, bad.edges)))
    outcome = CliRunner().invoke(
        MAIN, [str(one) for one in (*command.split(), published, *arguments[command], *options, *bins)]
    )
    assert outcome.exit_code == 1, outcome.output
    assert isinstance(outcome.exception, SystemExit)  # of the command itself: nothing else got through
    told = [line for line in outcome.stderr.splitlines() if not line.startswith("warning: ")]
    assert len(told) == 1
    assert told[0].startswith("error: ")
    assert re.search(bad.message, told[0])
    assert outcome.stdout == ""
    assert not out.exists()


NEGATIVE = np.diag([1.0, 1.0, 1.0, -0.5]) * 1e-3
TIGHT = (np.eye(4) + 1.2 * np.eye(4)[[1, 0, 3, 2]]) * 1e-3  # correlations above 1


@pytest.mark.parametrize(
    ("covariance", "message"),
    [(NEGATIVE, "negative|variance -0.0005"), (TIGHT, "semi-definite|lowest eigenvalue is -0.2")],
)
@pytest.mark.parametrize(
    "use",
    [
        lambda measured, covariance: measured.chi2(measured.nominal, covariance),
        lambda measured, covariance: measured.signal_strength(measured.nominal, covariance=covariance),
        lambda measured, covariance: measured.to_hs3(measured.nominal, covariance=covariance),
        lambda measured, covariance: Spectrum.from_contents(EDGES, measured.nominal, covariance=covariance),
    ],
    ids=["chi2", "strength", "hs3", "theory"],
)
def test_a_covariance_that_is_none_is_refused(
    release: Release, use: Callable[[Any, NDArray[Any]], object], covariance: NDArray[Any], message: str
) -> None:
    with pytest.raises(StatisticsError, match=message) as caught:
        use(release.measure("x", EDGES), covariance)
    assert len(str(caught.value)) < 500
