from __future__ import annotations

import builtins
import os
import random
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from omnifold_pub.errors import ObservableError
from omnifold_pub.observables.blocks import evaluate
from omnifold_pub.observables.events import Events
from omnifold_pub.observables.expressions import FUNCTIONS, parse

Array = NDArray[Any]

COLUMNS: dict[str, NDArray[np.float32]] = {
    "a": np.array([-1.5, 0.0, 0.25, 1.0, 3.0, 1e4], dtype=np.float32),
    "b": np.array([2.0, 1.0, -0.5, 0.1, 7.0, -3.0], dtype=np.float32),
    "c": np.array([0.5, 4.0, 4.0, -2.0, 0.0, 1e-3], dtype=np.float32),
}
A, B, C = (COLUMNS[name].astype(np.float64) for name in "abc")


def value(text: str) -> Array:
    return parse(text)(COLUMNS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a > 1 & b < 2", (A > 1) & (B < 2)),
        ("a > 1 | b < 2", (A > 1) | (B < 2)),
        ("a > 1 | b > 1 & c > 1", (A > 1) | ((B > 1) & (C > 1))),
        ("(a > 1 | b > 1) & c > 1", ((A > 1) | (B > 1)) & (C > 1)),
        ("~a > 1", ~(A > 1)),
        ("~a > 1 & b > 1", ~(A > 1) & (B > 1)),
        ("~(a > 1 & b > 1)", ~((A > 1) & (B > 1))),
        ("~~(a > 1)", A > 1),
        ("a > 1 && b > 1", (A > 1) & (B > 1)),
        ("a > 1 || b > 1", (A > 1) | (B > 1)),
        ("a > 1 and not b > 1 or c > 1", (A > 1) & ~(B > 1) | (C > 1)),
        ("a + b < c * 2", A + B < C * 2),
        ("a - b - c", (A - B) - C),
        ("a / b / 2", (A / B) / 2),
        ("-b ** 2", -(B**2)),
        ("2 ** -b", 2**-B),
        ("b ** 2 ** 3", B**8),
        ("a % 2 * b", (A % 2) * B),
        ("a * 1e2 + 0x10 + 1_0", A * 100 + 26),
        ("2 * pi * b", 2 * np.pi * B),
    ],
)
def test_operators_bind_as_a_physicist_reads_them(text: str, expected: Array) -> None:
    np.testing.assert_array_equal(value(text), expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 < a < 2", (A > 0) & (A < 2)),
        ("0 <= a <= b", (A >= 0) & (A <= B)),
        ("a < b > c", (A < B) & (B > C)),
        ("c == 4 != a", (C == 4) & (A != 4)),
        ("a >= 1", A >= 1),
    ],
)
def test_comparisons_chain(text: str, expected: Array) -> None:
    np.testing.assert_array_equal(value(text), expected)


NUMPY: dict[str, tuple[str, Callable[..., Array]]] = {
    "abs": ("a", np.abs),
    "sqrt": ("c", np.sqrt),
    "exp": ("b", np.exp),
    "log": ("c", np.log),
    "log10": ("c", np.log10),
    "sin": ("a", np.sin),
    "cos": ("a", np.cos),
    "tan": ("a", np.tan),
    "arcsin": ("c", np.arcsin),
    "arccos": ("c", np.arccos),
    "arctan": ("a", np.arctan),
    "arctan2": ("a, b", np.arctan2),
    "sinh": ("b", np.sinh),
    "cosh": ("b", np.cosh),
    "tanh": ("b", np.tanh),
    "floor": ("a", np.floor),
    "hypot": ("a, b", np.hypot),
    "minimum": ("a, b", np.minimum),
    "maximum": ("a, b", np.maximum),
    "where": ("a, b, c", np.where),
    "delta_phi": ("a, b", lambda a, b: np.angle(np.exp(1j * (a - b)))),
}


def test_every_function_has_a_counterpart_to_be_compared_with() -> None:
    assert set(NUMPY) == set(FUNCTIONS)


@pytest.mark.parametrize("name", sorted(NUMPY))
def test_functions_are_numpy_s(name: str) -> None:
    arguments, function = NUMPY[name]
    with np.errstate(all="ignore"):
        expected = function(*(COLUMNS[column].astype(np.float64) for column in arguments.split(", ")))
    np.testing.assert_allclose(value(f"{name}({arguments})"), expected, rtol=1e-14, atol=1e-10)


def test_delta_phi_is_the_shortest_way_round() -> None:
    phi = np.linspace(-np.pi, np.pi, 41)
    first, second = (grid.ravel() for grid in np.meshgrid(phi, phi))
    wrapped = parse("delta_phi(x, y)")({"x": first, "y": second})
    assert np.abs(wrapped).max() <= np.pi
    np.testing.assert_allclose(np.cos(wrapped), np.cos(first - second), atol=1e-12)
    np.testing.assert_allclose(np.sin(wrapped), np.sin(first - second), atol=1e-12)


def test_delta_phi_across_the_cut() -> None:
    wrapped = parse("delta_phi(x, y)")({"x": np.array([3.1, -3.1]), "y": np.array([-3.1, 3.1])})
    np.testing.assert_allclose(wrapped, [6.2 - 2 * np.pi, 2 * np.pi - 6.2])


def test_float32_columns_are_computed_with_in_float64() -> None:
    large = {"x": np.array([16777216.0, 1e30], dtype=np.float32)}
    result = parse("(x + 1) - x")(large)
    assert result.dtype == np.float64
    assert result[0] == 1
    assert np.isfinite(parse("x * x")(large)).all()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(a > 0.5) + (b > 0.5) + (c > 0.5)", (A > 0.5).astype(float) + (B > 0.5) + (C > 0.5)),
        ("(a > b) - (b > a)", np.sign(A - B)),
        ("-(a > 1)", -(A > 1).astype(float)),
        ("+(a > 1)", (A > 1).astype(float)),
        ("b * (a > 1)", B * (A > 1)),
        ("exp(a > 1) * 1000", np.exp((A > 1).astype(float)) * 1000),
        ("sqrt((a > 0) + 1)", np.sqrt((A > 0) + 1.0)),
        ("(a > 1) / 3", (A > 1) / 3),
        ("2 ** (a > 1)", 2.0 ** (A > 1)),
        ("(a > 1) % 2", (A > 1) % 2.0),
    ],
)
def test_a_comparison_counts_as_zero_or_one_in_arithmetic(text: str, expected: Array) -> None:
    np.testing.assert_array_equal(value(text), expected)


def test_columns_are_listed_once_and_sorted() -> None:
    assert parse("c + a * c - sqrt(a) + pi").columns == ("a", "c")


def test_text_is_kept_as_written() -> None:
    assert parse("a  & ~ b").text == "a  & ~ b"


@pytest.mark.parametrize("text", ["a + pT_3", "sqrt(nan)", "inf * a", "__builtins__ + a"])
def test_a_name_that_is_no_column_is_an_observable_error(text: str) -> None:
    with pytest.raises(ObservableError, match="no column"):
        evaluate(text, make_events())


REFUSED = {
    "attribute": "a.real",
    "dunder": "a.__class__",
    "method": "a.tofile(b)",
    "subscript": "a[0]",
    "slice": "a[:]",
    "lambda": "(lambda: a)()",
    "bare lambda": "lambda: a",
    "string": "a + 'x'",
    "double-quoted": 'a + "x"',
    "f-string": "f'{a}'",
    "bytes": "b'x'",
    "unlisted function": "eval(a)",
    "import": "__import__(os)",
    "call of a call": "sqrt(a)(b)",
    "call of a column": "a(b)",
    "keyword": "sqrt(x=a)",
    "double star": "sqrt(**a)",
    "star": "sqrt(*a)",
    "out": "sqrt(a, out=b)",
    "walrus": "(a := b)",
    "list comprehension": "[x for x in a]",
    "generator": "sqrt(x for x in a)",
    "set": "{a}",
    "dict": "{a: b}",
    "tuple": "a, b",
    "list": "[a]",
    "ellipsis": "a + ...",
    "none": "a + None",
    "true": "a * True",
    "complex": "a + 1j",
    "conditional": "a if b else c",
    "membership": "a in b",
    "identity": "a is b",
    "identity with a number": "a is 1",
    "matrix product": "a @ b",
    "floor division": "a // b",
    "shift": "a << 2",
    "xor": "a ^ b",
    "await": "await a",
    "yield": "(yield a)",
    "statement": "import os",
    "two statements": "a; b",
    "two lines": "a\nb",
    "assignment": "a = b",
    "null byte": "a\0",
    "surrogate": "a + \ud800",
    "empty": "",
    "blank": "  \n ",
    "unfinished": "a +",
    "unbalanced": "(a",
    "function as a value": "sqrt + a",
    "function as an argument": "hypot(a, sqrt)",
    "no column": "1 + 2",
    "constant only": "sqrt(2 * pi)",
    "huge integer": "9" * 400 + " * a",
    "integer beyond Python's limit": "a + " + "9" * 1900,
    "long": "a" + " + a" * 600,
    "deep": "(" * 150 + "a" + ")" * 150 + "+" + "-" * 100 + "a",
    "deep negation": "~" * 1500 + "a",
    "deep calls": "abs(" * 100 + "a" + ")" * 100,
    "deep power": "a" + " ** a" * 200,
    "deep parentheses": "(" * 900 + "a" + ")" * 900,
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_anything_not_on_the_list_is_refused(text: str) -> None:
    with pytest.raises(ObservableError, match=r"^expression "):
        parse(text)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_wrong_number_of_arguments_is_refused(name: str) -> None:
    takes = FUNCTIONS[name][1]
    for count in {0, takes - 1, takes + 1}:
        with pytest.raises(ObservableError, match=f"{name} takes {takes} arguments, found {count}"):
            parse(f"{name}({', '.join(['a'] * count)}) + a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sqrt + a", r"call it: sqrt\(\.\.\.\)"),
        ("eval(a)", "cannot call 'eval'; allowed are abs, sqrt"),
        ("9" * 400 + " + a", "too large for float64"),
        ("a" + "+a" * 100, "nested more than 80 levels deep; split it up"),
        ("a" * 2001, "2001 characters long; at most 2000"),
        ("1 + 1", "uses no column"),
    ],
)
def test_messages_say_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(ObservableError, match=message):
        parse(text)


def test_messages_quote_long_text_only_in_part() -> None:
    with pytest.raises(ObservableError) as caught:
        parse("a" * 100_000)
    assert len(str(caught.value)) < 300


Tree = tuple[Any, ...]
PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2, "%": 2, "neg": 3, "**": 4}
UFUNC: dict[str, Callable[..., Array]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.true_divide,
    "%": np.mod,
    "**": np.power,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
    "&": np.logical_and,
    "|": np.logical_or,
}
CALLS = {"sqrt": np.sqrt, "abs": np.abs, "exp": np.exp, "arctan2": np.arctan2, "maximum": np.maximum}


def render(tree: Tree, least: int = 0) -> str:
    """Write arithmetic with as few parentheses as Python's precedence allows."""
    kind = tree[0]
    if kind == "leaf":
        return str(tree[1])
    if kind == "call":
        return f"{tree[1]}({', '.join(render(argument) for argument in tree[2:])})"
    rank = PRECEDENCE[kind]
    if kind == "neg":
        text = f"-{render(tree[1], rank)}"
    elif kind == "**":
        text = f"{render(tree[1], rank + 1)} ** {render(tree[2], PRECEDENCE['neg'])}"
    else:
        text = f"{render(tree[1], rank)} {kind} {render(tree[2], rank + 1)}"
    return f"({text})" if rank < least else text


def compute(tree: Tree) -> Any:
    kind = tree[0]
    if kind == "leaf":
        return COLUMNS[tree[1]].astype(np.float64) if tree[1] in COLUMNS else np.float64(tree[1])
    if kind == "call":
        return CALLS[tree[1]](*(compute(argument) for argument in tree[2:]))
    if kind == "neg":
        return np.negative(compute(tree[1]))
    return UFUNC[kind](compute(tree[1]), compute(tree[2]))


LEAVES = st.one_of(
    st.sampled_from(sorted(COLUMNS)),
    st.integers(0, 10**6),
    st.floats(0, 1e30, allow_nan=False),
).map(lambda leaf: ("leaf", leaf))
ARITHMETIC = st.recursive(
    LEAVES,
    lambda tree: st.one_of(
        st.tuples(st.sampled_from(["+", "-", "*", "/", "%", "**"]), tree, tree),
        st.tuples(st.just("neg"), tree),
        st.tuples(st.just("call"), st.sampled_from(["sqrt", "abs", "exp"]), tree),
        st.tuples(st.just("call"), st.sampled_from(["arctan2", "maximum"]), tree, tree),
    ),
    max_leaves=15,
)
COMPARISONS = st.tuples(st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), ARITHMETIC, ARITHMETIC)


def has_column(text: str) -> bool:
    try:
        parse(text)
    except ObservableError as error:
        if "uses no column" in str(error):
            return False
        raise
    return True


@settings(max_examples=300, deadline=None, derandomize=True)
@given(ARITHMETIC)
def test_arithmetic_equals_numpy_s(tree: Tree) -> None:
    text = render(tree)
    assume(len(text) < 2000 and has_column(text))
    with np.errstate(all="ignore"):
        expected = compute(tree)
    np.testing.assert_array_equal(value(text), expected)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(COMPARISONS, COMPARISONS, COMPARISONS)
def test_selections_equal_numpy_s(first: Tree, second: Tree, third: Tree) -> None:
    one, two, three = (f"{render(left)} {sign} {render(right)}" for sign, left, right in (first, second, third))
    text = f"{one} | ~{two} & {three}"
    assume(len(text) < 2000 and has_column(text))
    with np.errstate(all="ignore"):
        expected = compute(first) | (~compute(second) & compute(third))
    np.testing.assert_array_equal(value(text), np.broadcast_to(expected, value(text).shape))


def make_events() -> Events:
    return Events(6, tuple(COLUMNS), lambda name: COLUMNS[name].copy(), where="toy")


ATTACKS = [
    "__import__('os').system('touch planted')",
    "planted()",
    "planted(a)",
    "(lambda: planted())()",
    "[planted() for a in (1,)]",
    "(planted := a)",
    "sqrt(planted())",
    "sqrt(a).tofile('planted')",
    "a.tofile(planted)",
    "open('planted', 'w')",
    "eval('planted()')",
    "exec('planted()')",
    "getattr(a, 'tofile')('planted')",
    "a.__class__.__mro__[1].__subclasses__()",
    "().__class__.__bases__[0].__subclasses__()",
    "f'{planted()}' + a",
    "a if planted() else b",
    "a and planted() or b",
    "not planted()",
    "~planted() & a",
    "where(planted(), a, b)",
    "{**planted()}",
    "sqrt(*[planted()])",
    "sqrt(x=planted())",
    "a[planted()]",
    "print(planted)",
    "breakpoint()",
    "exit()",
    "globals()['planted']()",
    "await planted()",
    "yield planted()",
    "a; planted()",
    "a\nplanted()",
    "a # planted()",
    "import planted",
    "-(a > 1) ** (b < 2) % ~c",
    "(a > 1) - (b > 1)",
    "sqrt(-a) / 0 ** -b % 0",
    "9 ** 9 ** 9 ** 9 ** a",
    "1e400 - 1e400 + a",
    "a < b > c == a != b <= c",
    "a is 1",
    "0777 + a",
    "0x1for",
    "1if a else 2",
    "a or b and not c",
    "delta_phi(a, b) + hypot(a, c) * maximum(a, b)",
    "pi",
    "a\\\n+ b",
    "\uff41 + \uff42",
    "\uff3f\uff3fimport\uff3f\uff3f(a)",
    "a\u202e + b",
    "a\x00b",
    "\ud800",
    "\x0c a",
    "9" * 500,
    "(" * 300 + "a",
    "~" * 300 + "a",
    "-" * 300 + "a",
    "a" + " & a" * 300,
    "a" + " < a" * 300,
]
PIECES = [
    *"abc()[]{}.,:;=+-*/%<>&|~^@!'\"\\#\n 019e_",
    "**",
    "<=",
    "sqrt(",
    "where(",
    "not ",
    "pi",
    "planted()",
    "é",
    "\0",
]


@st.composite
def mutated_attacks(draw: st.DrawFn) -> str:
    text = draw(st.sampled_from(ATTACKS))
    for _ in range(draw(st.integers(0, 6))):
        place = draw(st.integers(0, len(text)))
        length = draw(st.integers(0, 6))
        piece = draw(st.one_of(st.just(""), st.sampled_from(PIECES), st.sampled_from(ATTACKS)))
        text = text[:place] + piece + text[place + length :]
    return text


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was executed; must stay empty."""
    executed: list[str] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(builtins, "planted", lambda *_: executed.append("planted"), raising=False)
    return executed


def survives(text: str, executed: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for module, name in (
            (builtins, "eval"),
            (builtins, "exec"),
            (builtins, "open"),
            (builtins, "breakpoint"),
            (os, "system"),
            (subprocess, "Popen"),
        ):
            patch.setattr(module, name, lambda *_, name=name, **__: executed.append(name))
        try:
            result = evaluate(text, make_events(), nan="drop")
        except ObservableError as error:
            outcome = str(error)
        else:
            outcome = ""
            assert result.shape == (6,)
            assert result.dtype == np.float64
    assert executed == []
    assert not any(Path().iterdir()), outcome


FUZZ = settings(
    deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.mark.parametrize("text", ATTACKS)
def test_attacks_end_in_a_value_or_an_observable_error(text: str, planted: list[str]) -> None:
    survives(text, planted)


@pytest.mark.slow
@settings(FUZZ, max_examples=1500)
@given(text=mutated_attacks())
def test_mutated_attacks_end_in_a_value_or_an_observable_error(text: str, planted: list[str]) -> None:
    survives(text, planted)


@settings(FUZZ, max_examples=1000)
@given(text=st.one_of(st.text(max_size=60), st.text(alphabet="abc()+-*/%<>&|~=!., 019ei_\n", max_size=60)))
def test_random_text_ends_in_a_value_or_an_observable_error(text: str, planted: list[str]) -> None:
    survives(text, planted)


HARMLESS_EVENTS = {
    "compile",  # what ast.parse does; running the outcome is the event "exec"
    "object.__getattr__",
    "sys._getframe",
    "gc.get_objects",
}


class Canary:
    """Hears of what the interpreter is asked to do besides arithmetic: run code, open files, import, start programs."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.armed = False

    def hook(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.armed and event not in HARMLESS_EVENTS:
            self.heard.append(f"{event} {arguments!r:.100}")


@pytest.fixture(scope="session")
def canary() -> Canary:
    """Installed once: an audit hook stays to the end of the process, and is deaf unless armed."""
    made = Canary()
    sys.addaudithook(made.hook)
    return made


HARMS = ["planted()", "planted(a)", "open(a)", "eval(a)", "a.__class__", "__import__(a)", "().__class__", "exec(b)"]
HARMS += ["lambda: planted()", "[planted() for a in b]", "(x := planted())", "getattr(a, b)", "a[planted()]", "f'{a}'"]


def hostile_text(rng: random.Random) -> str:
    """Return an attack that was mutated, an expression with an attack somewhere inside, or noise."""
    kind = rng.random()
    if kind < 0.5:
        text = rng.choice(ATTACKS)
        for _ in range(rng.randint(1, 6)):
            place, length = rng.randint(0, len(text)), rng.randint(0, 6)
            piece = rng.choice(["", rng.choice(PIECES), rng.choice(ATTACKS)])
            text = text[:place] + piece + text[place + length :]
        return text
    if kind < 0.85:
        text = rng.choice(HARMS) if rng.random() < 0.7 else rng.choice("abc")
        for _ in range(rng.randint(1, 12)):
            other = rng.choice(
                ["a", "b", "c", "1", "-2.5e3", "pi", rng.choice(HARMS)] if rng.random() < 0.3 else "abc12"
            )
            shape = rng.choice(["({} {} {})", "sqrt({})", "where({}, a, b)", "~{}", "-{}", "maximum({}, a)", "({})"])
            first, second = (text, other) if rng.random() < 0.5 else (other, text)
            sign = rng.choice(
                ["+", "-", "*", "/", "%", "**", "<", "==", "&", "|", "and", "or", "@", "//", ">>", ",", ";"]
            )
            text = shape.format(first, sign, second) if shape.count("{}") == 3 else shape.format(text)
        return text
    letters = (
        "abc()+-*/%<>&|~=!., 019ei_\n'\"[]{}:@\\#" if rng.random() < 0.7 else [chr(rng.randrange(1, 0x3000)), *"a+("]
    )
    return "".join(rng.choice(letters) for _ in range(rng.randint(1, 60)))


def hostile_texts(count: int) -> Iterator[str]:
    rng = random.Random(20261123)  # noqa: S311
    made: set[str] = set()
    while len(made) < count:
        text = hostile_text(rng)
        if text not in made:
            made.add(text)
            yield text


def test_the_canary_hears_what_is_executed(canary: Canary, planted: list[str]) -> None:
    for text in ("planted()", "open('planted', 'w').close()", "__import__('os').system('true')"):
        canary.heard.clear()
        canary.armed = True
        try:
            eval(text, {})  # noqa: S307
        finally:
            canary.armed = False
        assert any(word.startswith("exec") for word in canary.heard), text
    assert planted == ["planted"]


def test_ten_thousand_hostile_texts_execute_nothing(canary: Canary, planted: list[str]) -> None:
    events = make_events()
    evaluate("sqrt(a) / b + where(c > 1, a, b) % 2", events, nan="drop")  # what is imported when first used
    outcomes: Counter[str] = Counter()
    canary.heard.clear()
    for text in hostile_texts(10_000):
        canary.armed = True
        try:
            result = evaluate(text, events, nan="drop")
        except ObservableError:
            outcomes["refused"] += 1
        else:
            outcomes["computed"] += 1
            assert result.shape == (6,), text
            assert result.dtype == np.float64, text
        finally:
            canary.armed = False
        assert canary.heard == [], text
        assert planted == [], text
    assert not any(Path().iterdir())
    assert sum(outcomes.values()) == 10_000
    assert min(outcomes["refused"], outcomes["computed"]) > 300  # some are sound, or nothing deep was tried


def test_threads_that_read_expressions_leave_the_filters_of_warnings_as_they_were() -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(200):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with ThreadPoolExecutor(4) as threads:
                    list(threads.map(lambda number: parse(f"x{number} / y > 3 & z"), range(8)))
                warnings.warn("is ignored", UserWarning, stacklevel=1)
    finally:
        sys.setswitchinterval(interval)
