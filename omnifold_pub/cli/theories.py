"""What the commands share that read theories: their options, their columns, their files."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from omnifold_pub.observables.events import columns_used

if TYPE_CHECKING:
    from omnifold_pub.cli.console import Pairs
    from omnifold_pub.reinterpret.binned import BinnedTheory
    from omnifold_pub.reinterpret.kinds import Kind
    from omnifold_pub.reinterpret.theory import Theory
    from omnifold_pub.reinterpret.weight_families import Combination
    from omnifold_pub.release import Release

__all__ = ["Question", "TheoryFiles", "a_file", "columns_of", "components_options", "theory_options"]

a_file = click.Path(exists=True, dir_okay=False, path_type=Path)

_PAIRS = "hessian-pairs"
_RULES = ("envelope", "hessian", _PAIRS, "replicas")
_NEEDED: Mapping[Kind, tuple[str, ...]] = {"ROOT": ("tree", "weight", "unit"), "Parquet": ("weight", "unit")}


@dataclass(frozen=True)
class Question:
    """What is asked of theories.

    Attributes
    ----------
    observables : sequence of str
        Names of what was measured.
    columns : sequence of str
        What these are made of.
    metadata : mapping
        Of the release; they name the fiducial definition.
    """

    observables: Sequence[str]
    columns: Sequence[str]
    metadata: Mapping[str, Any]

    @classmethod
    def of(cls, release: Release, observables: Sequence[str] | Pairs, *, where: str | None = None) -> Question:
        """Return what is asked by observables of a release, and by a selection of its events."""
        columns = columns_of(release, [*observables, *([where] if where else [])])
        return cls(list(observables), columns, release.metadata)


@dataclass(frozen=True)
class TheoryFiles:
    """How theories are read.

    Attributes
    ----------
    tree, weight : str or None
        Tree of a ROOT file; branch or column of weights.
    unit : str or None
        Of the weights: ``pb``, ``fb``, or ``none``.
    sentinel : float or None
        Value that marks an absent object.
    cross_section : float or None
        What the weights are scaled to.
    definition, weight_name : str or None
        Of generated events: the fiducial definition, the nominal weight.
    objects : tuple
        ``(observable, path)``: of histograms in YODA and ROOT files.
    families : tuple
        ``(name, rule, weights)``: variations.
    levels : tuple
        ``(name, level)``: confidence levels of hessian families.
    """

    tree: str | None = None
    weight: str | None = None
    unit: str | None = None
    sentinel: float | None = None
    cross_section: float | None = None
    definition: str | None = None
    weight_name: str | None = None
    objects: tuple[tuple[str, str], ...] = ()
    families: tuple[tuple[str, str, str], ...] = ()
    levels: tuple[tuple[str, float], ...] = ()

    def read(self, path: Path, question: Question) -> Theory | BinnedTheory:
        """Read the theory that is in a file, of whatever kind it is.

        Raises
        ------
        click.UsageError
            If an option is missing that its kind needs.
        InputError
            If it cannot be read.
        """
        from omnifold_pub.reinterpret.binned import BinnedTheory
        from omnifold_pub.reinterpret.kinds import kind_of

        kind = kind_of(path)
        if kind != "YODA" and not (kind == "ROOT" and self.objects and self.tree is None):
            return self.read_events(path, question, kind)
        self._need(path, kind, "unit")
        if self.cross_section is not None:
            msg = f"{path} is a {kind} file: its histograms are normalised as they are; --cross-section is for events"
            raise click.UsageError(msg)
        objects = dict(self.objects)
        absent = [name for name in question.observables if name not in objects]
        if absent:
            msg = f"{path} is a {kind} file: say which histogram is of {absent[0]}: --object {absent[0]!r} PATH"
            raise click.UsageError(msg)
        wanted = {name: objects[name] for name in question.observables}
        read = BinnedTheory.from_yoda if kind == "YODA" else BinnedTheory.from_root
        return read(path, wanted, unit=self._unit, families=self._combinations())

    def read_events(self, path: Path, question: Question, kind: Kind | None = None) -> Theory:
        """Read a theory that has events; as `read`, but histograms are refused.

        Raises
        ------
        click.UsageError
            If it is a YODA file, or an option is missing that its kind needs.
        """
        from omnifold_pub.definitions.definition import definition_of, find_definition
        from omnifold_pub.reinterpret.kinds import kind_of
        from omnifold_pub.reinterpret.theory import Theory

        kind = kind or kind_of(path)
        self._need(path, kind, *_NEEDED.get(kind, ()))
        families = self._combinations()
        if kind in ("ROOT", "Parquet"):
            table: dict[str, Any] = {
                "weight": self.weight,
                "unit": self._unit,
                "columns": question.columns,
                "sentinel": self.sentinel,
                "cross_section": self.cross_section,
                "families": families,
            }
            return (
                Theory.from_root(path, tree=self.tree or "", **table)
                if kind == "ROOT"
                else Theory.from_parquet(path, **table)
            )
        if kind == "YODA":
            msg = f"{path} is a YODA file: expected events, not histograms"
            raise click.UsageError(msg)
        definition = find_definition(self.definition) if self.definition else definition_of(question.metadata)
        read = Theory.from_hepmc if kind == "HepMC" else Theory.from_lhe
        theory = read(
            path,
            definition=definition,
            weight=self.weight_name,
            cross_section=self.cross_section,
            families=families,
        )
        return theory if self.unit is None or theory.unit is None else theory.in_unit(self._unit)

    def read_all(self, paths: Sequence[Path], question: Question) -> list[Theory | BinnedTheory]:
        """Read several theories.

        Raises
        ------
        click.UsageError
            As `read`; also if one cross section is stated for several files.
        """
        if self.cross_section is not None and len(paths) > 1:
            msg = f"--cross-section is that of one file; found {len(paths)} files: leave it out, or scale their weights"
            raise click.UsageError(msg)
        return [self.read(path, question) for path in paths]

    @property
    def _unit(self) -> str | None:
        return None if self.unit == "none" else self.unit

    def _need(self, path: Path, kind: Kind, *options: str) -> None:
        missing = [f"--{option}" for option in options if getattr(self, option) is None]
        if missing:
            msg = f"{path} is a {kind} file: missing {', '.join(missing)}"
            raise click.UsageError(msg)

    def _combinations(self) -> dict[str, Combination]:
        from omnifold_pub.reinterpret.weight_families import ONE_SIGMA, Combination

        rules: dict[str, tuple[Any, list[str]]] = {}
        for name, rule, weights in self.families:
            kept, patterns = rules.setdefault(name, (rule, []))
            if kept != rule:
                msg = f"--family {name}: expected one rule; found {kept} and {rule}"
                raise click.UsageError(msg)
            patterns.append(weights)
        levels = dict(self.levels)
        for name in levels:
            if not rules.get(name, ("",))[0].startswith("hessian"):
                msg = f"--family-level {name}: expected the name of a hessian --family; found none of that name"
                raise click.UsageError(msg)
        return {
            name: Combination(
                "hessian" if rule == _PAIRS else rule,
                tuple(patterns),
                paired=rule == _PAIRS,
                confidence_level=levels.get(name, ONE_SIGMA),
            )
            for name, (rule, patterns) in rules.items()
        }


def theory_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what says how theories are read, as the argument ``files``."""

    @functools.wraps(command)
    def collected(*args: Any, **options: Any) -> Any:
        names = TheoryFiles.__dataclass_fields__
        files = TheoryFiles(**{name: options.pop(name) for name in names})
        return command(*args, files=files, **options)

    found: Callable[..., Any] = collected
    for option in (
        click.option(
            "--family-level",
            "levels",
            type=(str, click.FloatRange(0, 1, min_open=True, max_open=True)),
            multiple=True,
            metavar="NAME LEVEL",
            help="Confidence level of the eigenvectors of a hessian family, such as 0.9.  [default: one standard "
            "deviation]",
        ),
        click.option(
            "--family",
            "families",
            type=(str, click.Choice(_RULES), str),
            multiple=True,
            metavar="NAME RULE WEIGHTS",
            help="Weights under variations (columns or names of weights; 'MUR*' stands for all that begin so), and how "
            "they combine: envelope, hessian (a weight for each eigenvector), hessian-pairs (two, one after the other, "
            "for its two sides) or replicas. A name can be given again to add weights.",
        ),
        click.option(
            "--object",
            "objects",
            type=(str, str),
            multiple=True,
            metavar="OBSERVABLE PATH",
            help="YODA, and ROOT without --tree: which histogram is of an observable, such as pT_ll "
            "/ANALYSIS/d01-x01-y01; PATH[WEIGHT] is the same under a weight of --family.",
        ),
        click.option(
            "--weight-name", help="HepMC and LHE: name of the nominal weight.  [default: the first of each event]"
        ),
        click.option(
            "--definition",
            help="HepMC and LHE: fiducial region and observables, such as zjets.  [default: that of the release]",
        ),
        click.option(
            "--cross-section",
            type=float,
            metavar="NUMBER",
            help="ROOT and Parquet: fiducial cross section, in --unit, that the weights are scaled to. HepMC and LHE: "
            "that of all events, in pb.  [default: what the file states]",
        ),
        click.option(
            "--sentinel", type=float, help="ROOT and Parquet: value that marks an absent object, such as -99."
        ),
        click.option(
            "--unit",
            type=click.Choice(["pb", "fb", "none"]),
            help="Unit of the weights, or of the histograms; none: they have no cross section, and are compared in "
            "shape only. HepMC and LHE are in pb, and are converted.",
        ),
        click.option(
            "--weight", help="ROOT and Parquet: column of the weights, which sum to the fiducial cross section."
        ),
        click.option("--tree", help="ROOT: TTree or RNTuple of the events."),
    ):
        found = option(found)
    return found


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


def columns_of(release: Release, observables: Sequence[str] | Pairs) -> list[str]:
    """Return the columns that observables are made of."""
    return sorted({column for name in observables for column in columns_used(name, release.events)})
