"""Run what a page of the documentation tells its reader to run, and compare what it prints with what the page says.

Blocks of a page, in its order, in one folder and one namespace:

- ``python`` is executed;
- ``console`` are commands, one a line: ours are called in this process, scripts by this Python;
- ``bash`` is handed to bash as a whole;
- ``yaml`` is a part of an analysis file: it is put into ``analysis.yaml`` of the demo, see `with_part`;
- ``text`` is what the block before it printed on stdout; a line ``...`` stands for any lines.
"""

from __future__ import annotations

import contextlib
import copy
import doctest
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner

from omnifold_pub.cli import main

__all__ = ["ANALYSIS", "Block", "blocks_of", "differences", "renewed", "run", "with_part"]

ANALYSIS = Path("tests/data/zjets/analysis.yaml")
"""The analysis file that parts go into, from the working folder."""

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes
    ----------
    language : str
        What follows the fence.
    text : str
        Its lines.
    start, stop : int
        Where they are in the page.
    """

    language: str
    text: str
    start: int
    stop: int


def blocks_of(page: str) -> list[Block]:
    r"""Return the blocks of a page that name a language.

    >>> blocks_of("```python\n1\n```\n```{note}\n2\n```")[0].text
    '1\n'
    """
    return [Block(found[1], found[2], found.start(2), found.end(2)) for found in _BLOCK.finditer(page)]


def differences(expected: str, printed: str) -> str:
    r"""Return how what was printed differs from what a page says; nothing if it does not.

    >>> differences("a\n...\nz\n", "a\nb\nz\n")
    ''
    """
    checker, flags = doctest.OutputChecker(), doctest.ELLIPSIS
    printed = _without_ends(printed)
    if checker.check_output(_without_ends(expected), printed, flags):
        return ""
    return checker.output_difference(doctest.Example("", expected), printed, flags | doctest.REPORT_NDIFF)


def _without_ends(text: str) -> str:
    """Return a text without spaces at the ends of its lines, which nobody sees."""
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def run(block: Block, namespace: dict[str, Any], where: str) -> str | None:
    """Do what a block says and return what it prints on stdout; None if it is nothing to be run."""
    if block.language == "python":
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block.text, where, "exec"), namespace)  # noqa: S102
        return printed.getvalue()
    if block.language == "console":
        return "".join(map(_command, block.text.splitlines()))
    if block.language == "bash":
        return _outside(["bash", "-euo", "pipefail", "-c", block.text])
    if block.language == "yaml":
        ANALYSIS.write_text(yaml.safe_dump(with_part(yaml.safe_load(ANALYSIS.read_text()), yaml.safe_load(block.text))))
    return None


def _command(line: str) -> str:
    words = shlex.split(line)
    if words[0] != "omnifold-pub":
        assert words[0] == "python", f"a command that nobody runs: {line}"
        return _outside([sys.executable, *words[1:]])
    outcome = CliRunner().invoke(main, words[1:])
    assert outcome.exit_code == 0, f"{line}\n{outcome.output}"
    return outcome.stdout


def _outside(words: list[str]) -> str:
    here = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(words, check=False, capture_output=True, text=True, env={**os.environ, "PATH": here})
    assert done.returncode == 0, done.stderr
    return done.stdout


def with_part(document: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """Return a document with a part put in: mappings are merged, lists go on, anything else is replaced.

    >>> with_part({"a": [1], "b": {"c": 1}}, {"a": [2], "b": {"d": 2}})
    {'a': [1, 2], 'b': {'c': 1, 'd': 2}}
    """
    merged = copy.deepcopy(document)
    for key, value in part.items():
        there = merged.get(key)
        if isinstance(there, dict) and isinstance(value, dict):
            merged[key] = with_part(there, value)
        elif isinstance(there, list) and isinstance(value, list):
            merged[key] = there + value
        else:
            merged[key] = value
    return merged


def renewed(page: str, printed: list[tuple[Block, str]]) -> str:
    """Return a page with other text in some of its blocks."""
    return "".join(_pieces(page, printed))


def _pieces(page: str, printed: list[tuple[Block, str]]) -> Iterator[str]:
    place = 0
    for block, text in printed:
        yield page[place : block.start] + _without_ends(text)
        place = block.stop
    yield page[place:]
