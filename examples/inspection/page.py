"""The page for whoever decides: what changed, how sure, what it means, what it would cost ten times as large."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from changes import Change, Findings
from costs import TIMES, Bill
from periods import SHIFTS, Period
from pictures import changes_picture, spectrum_picture
from quantities import QUANTITIES
from stones import LIMITS

from omnifold_pub.extras import require

__all__ = ["Verdict", "judge", "write_page"]

_SURE, _DOUBTFUL = 0.01, 0.05
_NOTICED = 1.96 + 0.84
"""Standard uncertainties of a change that is found with p < 0.05 in 80 % of the cases."""


_CHECKS = {
    "equal_rows": "Some parts are alike to the last digit, as stones are whose sizes have two decimals",
    "drift_in_time": "Records of the first and of the second half of the period differ: the sensors drift",
}
"""Findings of the inputs' check, in words of this field."""


@dataclass(frozen=True)
class Verdict:
    """A change in words.

    Attributes
    ----------
    word : str
        ``changed``, ``perhaps changed``, or ``no change seen``.
    raw_word : str
        What the readings alone would have said.
    misled : bool
        Whether these would have led to another conclusion.
    noticed : float
        The change that would have been noticed in four of five cases.
    """

    word: str
    raw_word: str
    misled: bool
    noticed: float


def _word(p: float, change: float) -> str:
    if p >= _DOUBTFUL:
        return "no change seen"
    direction = "rose" if change > 0 else "fell"
    return direction if p < _SURE else f"perhaps {direction}"


def judge(one: Change) -> Verdict:
    """Return a change in words.

    Parameters
    ----------
    one : Change
        Its p-value, adjusted for the number of quantities, decides: below 0.01 it changed, below 0.05 perhaps.
    """
    word = _word(one.adjusted_p, one.new - one.old)
    raw = _word(one.raw_p, one.raw_new.value - one.raw_old.value)
    return Verdict(word, raw, word != raw, _NOTICED * one.error)


def p_text(p: float) -> str:
    """Return a p-value for people.

    >>> p_text(0.4321), p_text(0.0123), p_text(1e-5)
    ('0.43', '0.012', 'below 0.001')
    """
    if p < 0.001:
        return "below 0.001"
    return f"{p:.2f}" if p >= 0.1 else f"{p:.3f}"


def _warnings(looked: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return code, place and words of what the check of the inputs warned of."""
    warned = [one for one in looked["inputs"] if one["level"] != "note"]
    return [(one["code"], one["path"], _CHECKS.get(one["code"], one["what"])) for one in warned]


def _cost_rows(cost: Bill, period: Period) -> list[tuple[str, str, str]]:
    return [
        ("Parts made", f"{len(period.made):,}", f"{TIMES * len(period.made):,}"),
        ("Reference parts on the tray", f"{len(period.reference):,}", f"{TIMES * len(period.reference):,}"),
        ("One training", f"{cost.seconds:.1f} s", f"{cost.more_seconds:.1f} s"),
        (
            f"All {cost.trainings} trainings on {cost.workers} processors",
            f"{cost.minutes:.1f} minutes",
            f"{cost.more_minutes:.1f} minutes",
        ),
        ("Memory", f"{cost.memory:.1f} GB", f"{cost.more_memory:.1f} GB"),
        ("Disk", f"{cost.disk:.0f} MB", f"{cost.more_disk:.0f} MB"),
    ]


def write_page(
    path: Path, findings: Findings, cost: Bill, *, periods: tuple[Period, Period], checks: dict[str, Any]
) -> None:
    """Write the page: one file that loads nothing from anywhere.

    Raises
    ------
    MissingExtraError
        If Jinja2 or matplotlib is not installed.
    """
    require("jinja2", "matplotlib", extra="plot", purpose="The page of the inspection example")
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["p"] = p_text
    template = environment.from_string((Path(__file__).parent / "decision.html").read_text(encoding="utf-8"))
    changes = findings.changes
    shown = [
        (changes["out"], "out of tolerance [%]"),
        (changes["diameter"], "mean diameter [mm]"),
        (changes["rate"], "parts made per shift"),
    ]
    text = template.render(
        changes=changes,
        verdicts={key: judge(one) for key, one in changes.items()},
        matters={key: quantity.change for key, quantity in QUANTITIES.items()},
        joint=findings.joint,
        repetitions=min(r.replicas for r in findings.joint.results if r.component.kind == "bootstrap"),
        spectra=findings.spectra,
        limits=LIMITS,
        shifts=SHIFTS,
        periods=periods,
        checks={name: (looked["usable"], looked["valid"], _warnings(looked)) for name, looked in checks.items()},
        cost=_cost_rows(cost, periods[1]),
        times=TIMES,
        overview=changes_picture(shown),
        proportion=spectrum_picture(findings.spectra["proportion"], "proportion [%]", limits=True),
        diameter=spectrum_picture(findings.spectra["diameter"], "diameter [mm]"),
    )
    path.write_text(text, encoding="utf-8")
