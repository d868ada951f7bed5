"""A theory against what is measured for the purpose, in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from omnifold_pub.errors import InputError
from omnifold_pub.messages import shorten
from omnifold_pub.observables.binning import Bins
from omnifold_pub.observables.events import Definition, NanRule

if TYPE_CHECKING:
    from omnifold_pub.estimators import Statistic
    from omnifold_pub.release.requests import Wanted

__all__ = ["ComparesTheories"]

Result_co = TypeVar("Result_co", covariant=True)


class _Theory(Protocol[Result_co]):
    def compare(
        self,
        measurement: Any,
        *,
        leave_out: Sequence[str],
        decorrelate: Sequence[str],
        shape_only: bool,
        pseudo_inverse: bool,
    ) -> Result_co: ...


class ComparesTheories:
    """What an open release adds for theories; what is known of these belongs to themselves."""

    def compare(
        self,
        theory: _Theory[Result_co],
        observable: Definition | Statistic | Mapping[str, Wanted],
        bins: Bins | None = None,
        *,
        where: Definition | None = None,
        nan: NanRule = "error",
        leave_out: Sequence[str] = (),
        decorrelate: Sequence[str] = (),
        shape_only: bool = False,
        pseudo_inverse: bool = False,
    ) -> Result_co:
        """Measure observables, and compare a theory with the result, jointly where they are several.

        Parameters
        ----------
        theory : omnifold_pub.Theory or BinnedTheory
            Computed by the same functions, in the same bins.
        observable, bins, where, nan
            What is measured, as for `measure`.
        leave_out, decorrelate, shape_only, pseudo_inverse
            How it is compared, as for `omnifold_pub.compare`.

        Returns
        -------
        omnifold_pub.Comparison
            chi2, bins, p-value, and where they come from.

        Raises
        ------
        ObservableError, ReleaseError, ValidityError
            As `measure`.
        InputError, StatisticsError
            As `omnifold_pub.compare`.

        Examples
        --------
        >>> import omnifold_pub
        >>> with omnifold_pub.open_release("release/zjets/zjets.h5") as release:
        ...     columns = {name: release.events[name] for name in ("pT_ll", "y_ll")}
        ...     prior = omnifold_pub.Theory.from_arrays(columns, release.prior_weights, unit="pb", name="prior")
        ...     comparison = release.compare(prior, {"pT_ll": [200, 230, 270, 1000], "y_ll": [-2.4, 0, 2.4]})
        >>> comparison.test.dof
        5
        """
        if not hasattr(theory, "compare"):
            msg = f"expected a theory, then observables; found {shorten(theory)} in place of the theory"
            raise InputError(msg)
        release = cast("Any", self)  # what this is mixed into measures
        return theory.compare(
            release.measure(observable, bins, where=where, nan=nan),
            leave_out=leave_out,
            decorrelate=decorrelate,
            shape_only=shape_only,
            pseudo_inverse=pseudo_inverse,
        )
