"""Two periods of an inspection line, from the sensors' records to a page for whoever decides.

Usage: ``python examples/inspection/run.py --output build/inspection`` (about three minutes on two cores)

The steps are those of any use: look at the inputs, unfold, publish, validate, report; then compare the two releases.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from changes import SPECTRA, Findings, compare_periods
from costs import PILOT, TIMES, Bill, bill
from page import write_page
from periods import TALLER, Period, Sizes, make_periods, write_period
from quantities import QUANTITIES
from stones import Parts, read_parts

from omnifold_pub import open_release, publish, validate
from omnifold_pub.errors import ValidityWarning
from omnifold_pub.inputs.doctor import check_inputs
from omnifold_pub.report import write_report
from omnifold_pub.unfold.campaign import unfold

__all__ = ["SETTINGS", "inspection"]

SETTINGS: dict[str, Any] = {
    "omnifold": {
        "iterations": 5,
        "hidden": [24, 24],
        "activation": "silu",
        "batch_size": 1024,
        "learning_rate": 0.004,
        "schedule": "cosine",
        "max_epochs": 10,
        "patience": 10,
        "held_out": 0.1,
    },
    "campaign": {
        "seed": 20_261_107,
        "ensemble": 5,
        "data_bootstrap": 16,
        "mc_bootstrap": 16,
        "trainings_per_variation": 2,
    },
}
"""Trainings that are alike but for their seed differ little in means and shares: silu and a cosine are for that."""


def _say(words: str, start: float) -> None:
    sys.stderr.write(f"[{time.monotonic() - start:5.0f} s] {words}\n")


def _times(parts: Parts, times: int) -> Parts:
    """Return the parts several times over, with serial numbers of their own: for what it costs, not what it says."""
    import numpy as np

    copies = parts.select(np.tile(np.arange(len(parts)), times))
    return Parts(np.arange(len(copies)), copies.diameter, copies.proportion, copies.mass)


def inspection(
    output: Path,
    *,
    sizes: Sizes | None = None,
    settings: dict[str, Any] | None = None,
    taller: float = TALLER,
    seed: int = 1,
    workers: int | None = None,
) -> tuple[Findings, Bill]:
    """Do all of it, and leave releases, reports, ``findings.json`` and ``decision.html`` in a folder.

    Parameters
    ----------
    output : pathlib.Path
        Folder; what a run before left of its trainings is used again.
    sizes : Sizes, optional
        How many parts.
    settings : dict, optional
        Of the campaigns.
    taller : float
        Factor on the heights in the new period; 1: the product did not change, only the sensors.
    seed : int
        Of everything random.
    workers : int, optional
        Processes, by default one per core.
    """
    start = time.monotonic()
    sizes, settings = sizes or Sizes(), settings or SETTINGS
    parts = read_parts()
    periods = make_periods(parts, sizes, taller=taller, seed=seed)
    checks: dict[str, Any] = {}
    paths: list[Path] = []
    for period in periods:
        path, looked = _one_period(period, output, sizes=sizes, settings=settings, workers=workers, start=start)
        checks[period.name] = looked
        paths.append(path)
    _say("comparing the periods", start)
    with warnings.catch_warnings(), open_release(paths[0]) as old, open_release(paths[1]) as new:
        warnings.simplefilter("ignore", ValidityWarning)  # the tails are shown, and their uncertainty with them
        findings = compare_periods((old, new), periods)
    _say(f"pilot with {TIMES} times the parts", start)
    larger = Sizes(*(TIMES * size for size in (sizes.reference, sizes.made, sizes.foreign)))
    big = make_periods(_times(parts, TIMES), larger, taller=taller, seed=seed)[1]
    write_period(big, output / "tenfold", sizes=larger, settings={**settings, "campaign": PILOT})
    cost = bill(output / "new", output / "tenfold", release=paths[1], workers=workers)
    shutil.rmtree(output / "tenfold")
    document = {**findings.to_dict(), "cost": cost.to_dict(), "checks": checks}
    (output / "findings.json").write_text(json.dumps(document, indent=1, allow_nan=False), encoding="utf-8")
    write_page(output / "decision.html", findings, cost, periods=periods, checks=checks)
    _say(f"done: {output / 'decision.html'}", start)
    return findings, cost


def _one_period(
    period: Period, output: Path, *, sizes: Sizes, settings: dict[str, Any], workers: int | None, start: float
) -> tuple[Path, dict[str, Any]]:
    """Look at the inputs, unfold, publish, validate, report."""
    folder = output / period.name
    analysis = write_period(period, folder, sizes=sizes, settings=settings)
    _say(f"{period.name} period: looking at the inputs", start)
    looked = check_inputs(analysis)
    _say(f"{period.name} period: correcting", start)
    result = unfold(analysis, folder / "run", workers=workers)
    path = publish(result, output / f"{period.name}.h5", overwrite=True)
    report = validate(path)
    _say(f"{period.name} period: reporting", start)
    with warnings.catch_warnings(), open_release(path) as release:
        warnings.simplefilter("ignore", ValidityWarning)
        write_report(release, output / f"{period.name}.html", observables={k: list(v) for k, v in SPECTRA.items()})
    return path, {
        "inputs": [
            {"level": one.level, "code": one.code, "path": one.path, "what": str(one)} for one in looked.findings
        ],
        "usable": looked.usable,
        "valid": report.valid,
        "validation": [str(one) for one in report.findings],
    }


def _print(findings: Findings) -> None:
    lines = []
    for key in QUANTITIES:
        one = findings.changes[key]
        form = f".{one.digits}f"
        read = f"{one.raw_old.value:{form}} -> {one.raw_new.value:{form}}"
        change = f"change {one.new - one.old:+{form}} +- {one.error:{form}}, p = {one.adjusted_p:.2g}"
        true = f"true: {one.true_new - one.true_old:+{form}}"
        lines.append(f"{one.name} [{one.unit}]")
        lines.append(f"  read {read}, corrected {one.old:{form}} -> {one.new:{form}}")
        lines.append(f"  {change} ({true})")
    test = findings.joint.test
    lines.append(f"All properties together: chi2 = {test.chi2:.1f} for {test.dof}, p = {test.p_value:.2g}")
    sys.stdout.write("\n".join(lines) + "\n")


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("build/inspection"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=None, help="training processes (default: one per core)")
    parser.add_argument("--no-change", action="store_true", help="the product stays as it was: only the sensors drift")
    arguments = parser.parse_args()
    findings, _ = inspection(
        arguments.output,
        taller=1.0 if arguments.no_change else TALLER,
        seed=arguments.seed,
        workers=arguments.workers,
    )
    _print(findings)


if __name__ == "__main__":
    main()
