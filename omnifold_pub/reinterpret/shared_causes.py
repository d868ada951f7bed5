"""Components of the difference of two measurements: causes of one of them, and causes of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from omnifold_pub.errors import InputError, ObservableError
from omnifold_pub.measurement import Estimate
from omnifold_pub.messages import shorten, suggest
from omnifold_pub.statistics.components import ComponentResult, component_covariance

__all__ = ["difference_results", "possibly_shared"]


def possibly_shared(old: Estimate, new: Estimate) -> tuple[str, ...]:
    """Return components that may be one cause of both: same name and kind, members that can be paired.

    Ensembles are not among them: networks trained on other data have noise of their own. Bootstraps are where they
    resampled with the same seed.
    """
    there = {result.component.name: result for result in old.results}
    return tuple(
        result.component.name
        for result in new.results
        if result.component.kind != "ensemble"
        and result.component.name in there
        and _obstacle(there[result.component.name], result) is None
    )


def _obstacle(old: ComponentResult, new: ComponentResult) -> str | None:
    """Return why two components cannot be one cause; None if they can."""
    name = new.component.name
    if old.component.kind != new.component.kind:
        return f"{name!r} is of kind {old.component.kind} in the old release and {new.component.kind} in the new"
    if len(old.members) != len(new.members):
        return f"{name!r} has {len(old.members)} members in the old release and {len(new.members)} in the new"
    if not len(new.members):
        return f"{name!r} of kind {new.component.kind} has no members that could be paired"
    if new.component.kind == "bootstrap" and (new.component.seed is None or old.component.seed != new.component.seed):
        found = f"{old.component.seed} in the old release and {new.component.seed} in the new"
        return f"{name!r}: its replicas were drawn with other seeds ({found}), so that they are no pairs"
    if new.component.kind == "event_sampling":
        return f"{name!r}: its replicas are drawn by the reader, for each release by itself"
    if not (np.isfinite(old.members).all() and np.isfinite(new.members).all()):
        return f"{name!r}: the members are not in the document that was read; write it with to_dict(members=True)"
    return None


def _alone(name: str, result: ComponentResult, *, where: str, other: Estimate) -> ComponentResult:
    """Return what a component does to the difference if it moves one side alone."""
    sign = -1 if where == "old" else 1
    component = replace(result.component, name=f"{where}: {name}")
    return ComponentResult(component, sign * (result.members - other.nominal), result.covariance)


def _together(name: str, old: Estimate, new: Estimate) -> ComponentResult:
    """Return what a cause of both does to the difference."""
    first, second = _of(old, name, "old"), _of(new, name, "new")
    obstacle = _obstacle(first, second)
    if obstacle is None and second.component.kind == "ensemble" and old.central != new.central:
        obstacle = f"{name!r}: the nominal is the {old.central} of the ensemble in one and the {new.central} in another"
    if obstacle is not None:
        msg = f"drift: shared component {obstacle}; leave it out of the shared ones"
        raise InputError(msg)
    members = second.members - first.members
    covariance = component_covariance(second.component, members, new.nominal - old.nominal, central=new.central)
    return ComponentResult(second.component, members, covariance)


def _of(estimate: Estimate, name: str, where: str) -> ComponentResult:
    for result in estimate.results:
        if result.component.name == name:
            return result
    there = [component.name for component in estimate.components]
    msg = f"drift: the {where} release has no component {shorten(name)}; {suggest(name, there)}"
    raise ObservableError(msg)


def difference_results(
    old: Estimate, new: Estimate, *, shared: Sequence[str], leave_out: Sequence[str]
) -> tuple[ComponentResult, ...]:
    """Return what the covariance of new - old is the sum of.

    Parameters
    ----------
    old, new : Estimate
        Of the same statistics.
    shared : sequence of str
        Components that are one cause of both.
    leave_out : sequence of str
        Components of either that are not used.

    Raises
    ------
    InputError
        If a component cannot be shared, or is both shared and left out.
    ObservableError
        If a component is unknown.
    """
    known = [component.name for estimate in (old, new) for component in estimate.components]
    for name in leave_out:
        if name not in known:
            msg = f"drift: no component {shorten(name)} to leave out; {suggest(name, sorted(set(known)))}"
            raise ObservableError(msg)
        if name in shared:
            msg = f"drift: {name!r} is both shared and left out; expected one of the two"
            raise InputError(msg)
    apart = {*shared, *leave_out}
    return (
        *(_together(name, old, new) for name in dict.fromkeys(shared)),
        *(_alone(r.component.name, r, where="old", other=new) for r in old.results if r.component.name not in apart),
        *(_alone(r.component.name, r, where="new", other=old) for r in new.results if r.component.name not in apart),
    )
