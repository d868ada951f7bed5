"""What is written on pictures: symbols and units of axes, and text of others that must not break a picture."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from functools import lru_cache

from omnifold_pub.estimators import Histogram
from omnifold_pub.estimators.base import Statistic
from omnifold_pub.measurement import Measurement
from omnifold_pub.observables.binning import Axis
from omnifold_pub.observables.units import divisor

__all__ = [
    "axis_label",
    "bracketed",
    "cross_section_label",
    "readable",
    "statistic_label",
    "symbol",
    "title_of",
    "value_label",
]

_LIMIT = 60
_LONG = 14
_SYMBOL = re.compile(r"\$[^$]+\$")
_GROUP = re.compile(r"\{[^{}]*\}|\([^()]*\)|\|[^|]*\|")
_OPERATOR = re.compile(r"[+/]|\s-|^-|\\,")
_POWER = re.compile(r"\^(-?\d+|\([^()]*\))")
_NO_UNIT = ("", "1")
_UNIT_OF = "unit of "


@lru_cache(maxsize=512)
def readable(text: str, limit: int = _LIMIT) -> str:
    r"""Return text that matplotlib can draw on one line, at most so many characters if it holds no formula.

    What looks like a formula and cannot be read as one is shown as it is written. A leading underscore, which keeps
    matplotlib from showing an entry of a legend, gets a space before it.

    Examples
    --------
    >>> readable(r"$p_T^{\mu\mu}$ [GeV]"), readable("3 $ and 4 $$ _x", 8)
    ('$p_T^{\\mu\\mu}$ [GeV]', '3 \\$ a...')
    >>> readable(r"$\no_such{symbol}$"), readable("_hidden")
    ('\\$\\no_such{symbol}\\$', ' _hidden')
    """
    from matplotlib.mathtext import MathTextParser

    line = " ".join(text.split())
    formula = line.count("$") - line.count(r"\$") > 0 and (line.count("$") - line.count(r"\$")) % 2 == 0
    if formula:
        try:
            MathTextParser("path").parse(line)
        except ValueError:
            formula = False
    if not formula:
        line = line if len(line) <= limit else line[: limit - 3] + "..."
        line = line.replace(r"\$", "$").replace("$", r"\$")
    return f" {line}" if line.startswith("_") else line


def title_of(text: str, width: int) -> str:
    r"""Return a title in lines of at most so many characters, three of them at most.

    >>> title_of("one two three four", 9)
    'one two\nthree\nfour'
    """
    lines = textwrap.wrap(" ".join(text.split()), width, max_lines=3, placeholder=" ...") if "$" not in text else [text]
    return "\n".join(readable(line, 10 * width) for line in lines)


def _raised(unit: str) -> str:
    r"""Return a unit with its powers as superscripts.

    >>> _raised("GeV^2 / mm"), _raised("GeV^(1/2)"), _raised("$m^2$")
    ('GeV$^{2}$ / mm', 'GeV$^{1/2}$', '$m^2$')
    """
    return unit if "$" in unit else _POWER.sub(lambda found: f"$^{{{found[1].strip('()')}}}$", unit)


def bracketed(unit: str) -> str:
    """Return a unit as it stands behind a symbol; nothing for pure numbers.

    >>> bracketed("pb / GeV"), bracketed("1")
    (' [pb / GeV]', '')
    """
    return "" if unit in _NO_UNIT else f" [{readable(_raised(unit))}]"


def axis_label(axis: Axis) -> str:
    """Return symbol and unit of an axis.

    >>> axis_label(Axis.from_bins([0, 1], label="$p_T$ [GeV]")), axis_label(Axis.from_bins([0, 1], name="a / b"))
    ('$p_T$ [GeV]', 'a / b')
    """
    name, space, unit = (axis.label or axis.name).partition(" [")
    return readable(name + space + _raised(unit))


def symbol(axis: Axis) -> str:
    """Return what is binned, without its unit.

    >>> symbol(Axis.from_bins([0, 1], label="$p_T$ [GeV]"))
    '$p_T$'
    """
    return readable((axis.label or axis.name).partition(" [")[0])


def _unit(axis: Axis) -> str:
    """Return the unit of an axis: what its label says in brackets, or else what it knows itself."""
    _, _, rest = axis.label.partition(" [")
    return rest.removesuffix("]") if rest else axis.unit


def _in_one_piece(formula: str) -> str:
    r"""Return a formula that a d may stand before: in parentheses if it is made of several parts.

    >>> _in_one_piece(r"p_T^{+}"), _in_one_piece(r"|a - b|"), _in_one_piece(r"p_T^{\mu_1} / p_T^{\mu_2}")
    ('p_T^{+}', '|a - b|', '(p_T^{\\mu_1} / p_T^{\\mu_2})')
    """
    rest, inner = formula, ""
    while rest != inner:
        rest, inner = _GROUP.sub("", rest), rest
    return f"({formula})" if _OPERATOR.search(rest) else formula


def _variables(axes: tuple[Axis, ...]) -> tuple[list[str], list[str]]:
    """Return the formula of each variable that a cross section is differential in, and the units below it."""
    formulas, units = [], []
    for axis, letter in zip(axes, "xyzuvw", strict=False):
        written = symbol(axis)
        known = _SYMBOL.fullmatch(written) is not None
        formulas.append(_in_one_piece(written.strip("$")) if known else letter)
        unit = _unit(axis)
        if known or unit not in ("", f"[{axis.name}]"):
            units += [] if unit in _NO_UNIT else [readable(_raised(unit))]
        else:
            units.append(f"{_UNIT_OF}${letter}$")
    return formulas, units


def cross_section_label(axes: tuple[Axis, ...], unit: str, *, normalised: bool = False) -> str:
    r"""Return the label of a differential cross section with its unit.

    Parameters
    ----------
    axes : tuple of Axis
        What it is differential in.
    unit : str
        Of the cross section: pb, fb.
    normalised : bool
        Over the total cross section.

    Examples
    --------
    >>> pt, y = Axis.from_bins([0, 1], label="$p_T$ [GeV]"), Axis.from_bins([0, 1], label="$y$")
    >>> cross_section_label((pt,), "fb")
    '$\\mathrm{d}\\sigma/\\mathrm{d}p_T$ [fb / GeV]'
    >>> cross_section_label((pt, y), "pb")
    '$\\mathrm{d}^2\\sigma/\\mathrm{d}p_T\\,\\mathrm{d}y$ [pb / GeV]'
    """
    formulas, units = _variables(axes)
    order = "" if len(formulas) == 1 else f"^{len(formulas)}"
    below = r"\,".join(rf"\mathrm{{d}}{formula}" for formula in formulas)
    differential = rf"\mathrm{{d}}{order}\sigma/{below}"
    text = rf"$\mathrm{{(1/}}\sigma\mathrm{{)}}\,{differential}$" if normalised else f"${differential}$"
    numerator = "1" if normalised else unit
    if not units:
        return readable(text if normalised else f"{text} [{numerator}]")
    return readable(f"{text} [{numerator} / {_product(units)}]")


def _product(units: list[str]) -> str:
    """Return the product of units, equal ones as a power, as it stands below a fraction bar."""
    counted = Counter(units)
    powers = [unit if power == 1 else f"{divisor(unit)}$^{power}$" for unit, power in counted.items()]
    return powers[0] if powers[0].startswith(_UNIT_OF) and len(powers) == 1 else divisor(" ".join(powers))


def value_label(measurement: Measurement) -> str:
    """Return the label of the values: a differential cross section and its unit, or the statistic's name.

    Contents of bins are labelled as they are drawn: divided by the widths of the bins.
    """
    statistic: Statistic = measurement.statistic
    if not isinstance(statistic, Histogram):
        return f"{readable(measurement.name)}{bracketed(measurement.unit)}"
    return cross_section_label(measurement.axes, measurement.weight_unit, normalised=statistic.normalise)


def statistic_label(statistic: Statistic) -> str:
    """Return the short name of a statistic: the symbols of its axes, or its own; a long quotient in two lines."""
    if isinstance(statistic, Histogram):
        name = ", ".join(symbol(axis) for axis in statistic.axes)
    else:
        name = readable(statistic.name, 30)
    return name.replace(" / ", "\n/ ") if len(name) > _LONG and "$" not in name else name
