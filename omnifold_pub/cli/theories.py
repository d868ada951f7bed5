"""What the commands share that read theories: their options, their columns, their files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from omnifold_pub.observables.events import columns_used

if TYPE_CHECKING:
    from omnifold_pub.cli.console import Pairs
    from omnifold_pub.reinterpret.theory import Theory
    from omnifold_pub.release import Release

__all__ = ["TheoryFiles", "a_file", "columns_of", "components_options", "theory_options"]

a_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@dataclass(frozen=True)
class TheoryFiles:
    """How the events of theories are read.

    Attributes
    ----------
    tree, weight : str
        Tree of a ROOT file, and its branch of weights.
    unit : str
        Of these weights.
    sentinel : float or None
        Value that marks an absent object.
    """

    tree: str
    weight: str
    unit: str
    sentinel: float | None

    def read(self, path: Path, columns: Sequence[str]) -> Theory:
        """Read a theory from a ROOT file."""
        from omnifold_pub.reinterpret.theory import Theory

        return Theory.from_root(
            path, tree=self.tree, weight=self.weight, unit=self.unit, columns=columns, sentinel=self.sentinel
        )


def theory_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what says how a theory's file is read, under the names of `TheoryFiles`."""
    for option in (
        click.option("--sentinel", type=float, default=None, help="Value that marks an absent object, such as -99."),
        click.option("--unit", type=click.Choice(["pb", "fb"]), required=True, help="Unit of these weights."),
        click.option("--weight", required=True, help="Its branch of weights, which sum to the fiducial cross section."),
        click.option("--tree", required=True, help="TTree or RNTuple in the theory's file."),
    ):
        command = option(command)
    return command


def components_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what says which components of the covariance count, and how."""
    for option in (
        click.option(
            "--decorrelate", multiple=True, metavar="NAME", help="A two-point component that counts bin by bin."
        ),
        click.option("--leave-out", multiple=True, metavar="NAME", help="A component that does not count."),
    ):
        command = option(command)
    return command


def columns_of(release: Release, observables: Pairs) -> list[str]:
    """Return the columns that observables are made of."""
    return sorted({column for name in observables for column in columns_used(name, release.events)})
