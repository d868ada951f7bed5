"""What tests without bins found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from omnifold_pub.errors import StatisticsError
from omnifold_pub.messages import shorten, suggest
from omnifold_pub.presentation.tables import Table, plain_text

__all__ = ["UnbinnedComparison", "UnbinnedTest"]


@dataclass(frozen=True)
class UnbinnedTest:
    """A distance between theory and release, and what it is if the theory is true.

    Attributes
    ----------
    name : str
        ``sliced Wasserstein``, ``energy``, or ``discriminant``.
    distance : float
        Between the samples.
    expected, deviation : float
        Mean and standard deviation under the null hypothesis.
    p_value : float
        Probability of a larger distance if the theory is true; at least 1 / (draws + 1).
    """

    name: str
    distance: float
    expected: float
    deviation: float
    p_value: float

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "name": self.name,
            "distance": self.distance,
            "expected": self.expected,
            "deviation": self.deviation,
            "p_value": self.p_value,
        }


@dataclass(frozen=True, eq=False, repr=False)
class UnbinnedComparison:
    """A theory beside the events of a release.

    Attributes
    ----------
    theory : str
        Its name.
    observables : tuple of str
        What was compared, all together.
    components : tuple of str
        Whose fluctuations the null distribution has; ``theory statistics`` is the theory's own.
    tests : tuple of UnbinnedTest
        One for each distance.
    """

    theory: str
    observables: tuple[str, ...]
    components: tuple[str, ...]
    tests: tuple[UnbinnedTest, ...]

    def __getitem__(self, name: str) -> UnbinnedTest:
        """Return one test.

        Raises
        ------
        StatisticsError
            If there is none of that name.
        """
        for test in self.tests:
            if test.name == name:
                return test
        msg = f"no test {shorten(name)}; {suggest(name, [test.name for test in self.tests])}"
        raise StatisticsError(msg)

    def __str__(self) -> str:
        """Return a table with a row for each test."""
        rows = [
            (t.name, f"{t.distance:.4g}", f"{t.expected:.4g}", f"{t.deviation:.2g}", f"{t.p_value:.3g}")
            for t in self.tests
        ]
        title = f"{self.theory}: distances to the release in {len(self.observables)} observables"
        return plain_text([Table(title, ("distance", "found", "if true", "+-", "p"), tuple(rows))])

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "theory": self.theory,
            "observables": list(self.observables),
            "components": list(self.components),
            "tests": [test.to_dict() for test in self.tests],
        }
