"""Read a release: any observable of its events, with the full covariance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast, overload

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from omnifold_pub import format as layout
from omnifold_pub.errors import ObservableError, ReleaseError
from omnifold_pub.measurement import BinnedObservable, Estimate, JointMeasurement, Measurement, bin_index
from omnifold_pub.observables.binning import Axis, Bins
from omnifold_pub.observables.events import Definition, Events, NanRule, definition_text
from omnifold_pub.statistics.components import CentralRule, Component, ComponentResult, component_covariance
from omnifold_pub.statistics.resampling import poisson_multiplicities
from omnifold_pub.validate.structure import check_structure, open_file

__all__ = ["Release", "open_release"]

Weights = NDArray[np.float64]
Statistic = Callable[[Mapping[str, NDArray[np.float32]], Weights], ArrayLike]

EVENT_SAMPLING_REPLICAS = 200
"""Poisson replicas that stand for ``event_sampling`` where it has no closed form."""


class Release:
    """An open release; use `open_release`, and close it or use it in a ``with`` block.

    Attributes
    ----------
    path : pathlib.Path
        The file.
    metadata : dict
        As the release's schema describes it.
    components : tuple of Component
        What the covariance is the sum of.
    events : Events
        Columns, read when used.
    """

    def __init__(self, path: Path, file: h5py.File, metadata: dict[str, Any]) -> None:
        self.path = path
        self.metadata = metadata
        self.components = tuple(Component.from_metadata(entry) for entry in metadata["components"])
        self._file = file
        names = tuple(observable["name"] for observable in metadata["observables"])
        self.events = Events(metadata["events"], names, self._column, where=path.name)
        self._central = cast("CentralRule", metadata["weights"]["central_value"]["rule"])

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    def __repr__(self) -> str:
        """Return file, title and size."""
        members = sum(component.members for component in self.components)
        return f"<Release {self.path.name}: {self.metadata['title']}, {self.events.size} events, {members} members>"

    def close(self) -> None:
        """Close the file; columns already read stay usable."""
        self._file.close()

    def _dataset(self, name: str) -> h5py.Dataset:
        if not self._file:
            msg = f"{self.path}: the release is closed; open it again"
            raise ReleaseError(msg)
        return self._file[name]

    def _read(self, name: str, rows: slice | tuple[slice, slice] = slice(None)) -> NDArray[Any]:
        try:
            return cast("NDArray[Any]", self._dataset(name)[rows])
        except OSError as error:
            msg = f"{self.path}: /{name}: cannot be read, the file is damaged ({error}); fetch it again"
            raise ReleaseError(msg) from error

    def _column(self, name: str) -> NDArray[np.float32]:
        return self._read(f"{layout.EVENTS}/{name}")

    @property
    def unit(self) -> str:
        """Unit of the weights: the sum over a region is its cross section in this unit."""
        return str(self.metadata["weights"]["unit"])

    @property
    def nominal_weights(self) -> NDArray[np.float32]:
        """Nominal ``weight[event]``."""
        return self._read(f"{layout.WEIGHTS}/{layout.NOMINAL}")

    @property
    def prior_weights(self) -> NDArray[np.float32]:
        """The simulation's own ``weight[event]``, before unfolding.

        Raises
        ------
        ReleaseError
            If the release has none.
        """
        if not self.metadata["weights"].get("prior", False):
            msg = f"{self.path}: the release holds no prior weights"
            raise ReleaseError(msg)
        return self._read(layout.PRIOR)

    def axis(self, definition: Definition, bins: Bins, *, name: str = "") -> Axis:
        """Build the axis of an observable.

        It is labelled with the observable's symbol and unit where it is a column and ``bins`` have no label.
        """
        name = name or definition_text(definition)
        if getattr(bins, "label", ""):
            return Axis.from_bins(bins, name=name)
        for observable in self.metadata["observables"]:
            if observable["name"] == definition:
                unit = "" if observable["unit"] == "1" else f" [{observable['unit']}]"
                return Axis.from_bins(bins, name=name, label=f"${observable['latex']}${unit}")
        return Axis.from_bins(bins, name=name)

    @overload
    def measure(self, observable: Definition, bins: Bins, *, nan: NanRule = ...) -> Measurement: ...

    @overload
    def measure(
        self, observable: Mapping[str, Bins | tuple[Definition, Bins]], *, nan: NanRule = ...
    ) -> JointMeasurement: ...

    def measure(
        self,
        observable: Definition | Mapping[str, Bins | tuple[Definition, Bins]],
        bins: Bins | None = None,
        *,
        nan: NanRule = "error",
    ) -> Measurement | JointMeasurement:
        """Histogram an observable, or several at once with the covariance between them.

        Parameters
        ----------
        observable : str, callable or mapping
            A column, an expression such as ``"pT_l1 / pT_l2"``, or a function that takes the events (a
            mapping of arrays) and returns one value per event. A mapping gives bins by column or
            expression, or ``name: (definition, bins)``.
        bins : sequence of float or axis
            Bin edges; events outside are not counted.
        nan : {"error", "drop"}
            What to do with events for which the observable is NaN although they have all its columns.

        Returns
        -------
        Measurement or JointMeasurement
            Cross section per bin in the release's unit, not divided by the bin width.

        Raises
        ------
        ObservableError
            For an observable or bins that cannot be used.
        """
        if isinstance(observable, Mapping):
            if bins is not None or not observable:
                msg = "to measure several observables, give a mapping of name to bins, not empty, and no other bins"
                raise ObservableError(msg)
            wanted = [self._binned(name, entry, nan) for name, entry in observable.items()]
            nominal, results, effective = self._histogram(wanted)
            return JointMeasurement(nominal, results, tuple(wanted), self.unit, effective)
        if bins is None:
            msg = f"observable {definition_text(observable)!r}: no bins are given; expected a sequence of edges"
            raise ObservableError(msg)
        one = BinnedObservable(definition_text(observable), observable, self.axis(observable, bins), nan)
        nominal, results, effective = self._histogram([one])
        return Measurement(nominal, results, one, self.unit, effective)

    def _binned(self, name: str, entry: Bins | tuple[Definition, Bins], nan: NanRule) -> BinnedObservable:
        definition: Definition = name
        bins: Any = entry
        if isinstance(entry, tuple) and len(entry) == 2 and (isinstance(entry[0], str) or callable(entry[0])):
            definition, bins = entry
        return BinnedObservable(name, definition, self.axis(definition, bins, name=name), nan)

    def _histogram(self, wanted: Sequence[BinnedObservable]) -> tuple[Weights, tuple[ComponentResult, ...], Weights]:
        """Return nominal, components and effective events of all bins of all observables."""
        index = bin_index(wanted, self.events)
        weights = self.nominal_weights.astype(np.float64)
        nominal = index.sums(weights)
        squares = index.sums(weights**2)
        effective = np.divide(nominal**2, squares, out=np.zeros_like(nominal), where=squares > 0)

        results = []
        for component in self.components:
            if component.kind == "event_sampling":
                empty = np.empty((0, index.bins))
                results.append(ComponentResult(component, empty, index.overlaps(weights**2)))
                continue
            if component.kind == "scale":
                members = nominal[np.newaxis] * (1 + component.relative_uncertainty)
            else:
                name = f"{layout.WEIGHTS}/{component.name}"
                total = np.zeros((index.bins, component.members))
                for start, stop in layout.family_blocks(self.events.size, component.members):
                    total += index.sums(self._read(name, slice(start, stop)), start)
                members = total.T.copy()
            results.append(self._result(component, members, nominal))
        return nominal, tuple(results), effective

    def _result(self, component: Component, members: Weights, nominal: Weights) -> ComponentResult:
        covariance = component_covariance(component, members, nominal, central=self._central)
        return ComponentResult(component, members, covariance)

    def estimate(self, statistic: Statistic) -> Estimate:
        """Compute any statistic of the weighted events: a mean, a quantile, a ratio, a fit.

        It is called once with the nominal weights and once for each member, so its cost is that of the
        function times the number of members.

        Parameters
        ----------
        statistic : callable
            ``statistic(events, weights)`` with a mapping of columns and ``weights[event]`` in float64;
            returns a number or a 1-D array, always of the same length. The weights are read-only.

        Returns
        -------
        Estimate
            Values and covariance, by component.

        Raises
        ------
        ObservableError
            If the function fails, or returns another shape or something that is not finite.
        """
        weights = self.nominal_weights.astype(np.float64)
        size: int | None = None

        def call(member: Weights, which: str) -> Weights:
            nonlocal size
            where = f"statistic {getattr(statistic, '__name__', repr(statistic))!r}, {which}"
            member.flags.writeable = False  # the same array may serve several components
            try:
                value = np.atleast_1d(np.asarray(statistic(self.events, member), dtype=np.float64))
            except ObservableError:
                raise
            except Exception as error:
                msg = f"{where}: failed with {type(error).__name__}: {error}"
                raise ObservableError(msg) from error
            size = value.size if size is None else size
            if value.shape != (size,) or not np.isfinite(value).all():
                msg = f"{where}: expected {size} finite numbers; found {value!r}"
                raise ObservableError(msg)
            return value

        nominal = call(weights, "nominal weights")
        results = []
        for component in self.components:
            if component.kind == "scale":
                members = [call(weights * (1 + component.relative_uncertainty), component.name)]
            elif component.kind == "event_sampling":
                ids = self._read(layout.EVENT_ID)
                members = [
                    call(weights * poisson_multiplicities(component.seed, replica, ids), f"event replica {replica}")
                    for replica in range(EVENT_SAMPLING_REPLICAS)
                ]
            else:
                members = []
                step = layout.FAMILY_CHUNK[1]
                for first in range(0, component.members, step):
                    columns = (slice(None), slice(first, first + step))
                    block = self._read(f"{layout.WEIGHTS}/{component.name}", columns).astype(np.float64)
                    members += [
                        call(np.ascontiguousarray(block[:, i]), f"{component.name}[{first + i}]")
                        for i in range(block.shape[1])
                    ]
            results.append(self._result(component, np.stack(members), nominal))
        return Estimate(nominal, tuple(results))


def open_release(path: str | Path) -> Release:
    """Open a release for reading.

    Metadata, shapes and types are checked; columns and weights are read when they are used.

    Raises
    ------
    ReleaseError
        If the file is not a release that this version can read; ``omnifold-pub validate`` tells more.
    """
    path = Path(path)
    file = open_file(path)
    try:
        metadata, findings = check_structure(file)
    except BaseException:
        file.close()
        raise
    if findings:
        file.close()
        more = f" ({len(findings) - 1} more: run omnifold-pub validate)" if len(findings) > 1 else ""
        msg = f"{path}: {findings[0]}{more}"
        raise ReleaseError(msg)
    return Release(path, file, metadata)
