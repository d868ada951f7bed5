"""The strength of a signal in a measurement, in closed form and for other programs, as methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from numpy.typing import ArrayLike

from omnifold_pub.presentation.measured import Measured

if TYPE_CHECKING:
    from omnifold_pub.exchange.gaussian import Strength

__all__ = ["HasSignal"]


class HasSignal:
    """A measurement in which a signal is looked for."""

    def signal_strength(
        self: Measured,
        signal: ArrayLike,
        *,
        background: ArrayLike | None = None,
        covariance: ArrayLike | None = None,
        leave_out: Sequence[str] = (),
        level: float = 0.95,
    ) -> Strength:
        """Fit mu in ``measured = background + mu signal`` and set CLs limits on it, in closed form.

        Gaussian, with the full covariance, which counts as known: one of few replicas makes error and limits too small
        (`omnifold_pub.reinterpret.fit` knows better). How: `omnifold_pub.exchange.gaussian.strength`. This is the
        answer that `to_pyhf`, `to_spey` and `to_hs3` give in other programs.

        Parameters
        ----------
        signal, background : array_like
            ``[bin]``, in the unit of the values; no background is zero.
        covariance : array_like, optional
            ``[bin, bin]`` of the background, or of what else the components do not have.
        leave_out : sequence of str
            Components that do not count.
        level : float
            Confidence of the limits.

        Returns
        -------
        Strength
            Best fit, error, chi2, observed and expected upper limits.

        Raises
        ------
        ObservableError
            If an array has another number of bins or is not finite, the signal is zero, or a component is unknown.
        StatisticsError
            If the covariance does not do, or knows nothing of a part of the signal or of the data.
        """
        from omnifold_pub.exchange.gaussian import strength
        from omnifold_pub.exchange.whitening import whiten_measurement

        white = whiten_measurement(self, signal, background=background, covariance=covariance, leave_out=leave_out)
        return strength(white, level=level)

    def to_pyhf(
        self: Measured,
        signal: ArrayLike,
        *,
        background: ArrayLike | None = None,
        covariance: ArrayLike | None = None,
        leave_out: Sequence[str] = (),
        mode: Literal["whitened", "named"] = "whitened",
        channel: str = "measurement",
        path: str | Path | None = None,
    ) -> dict[str, Any]:
        """Return a workspace of pyhf for the strength of a signal, and write it if there is a path.

        It is fitted before it is returned, and refused if pyhf's best fit, error or limits are off those of
        `signal_strength` by more than 0.5 %. How: `omnifold_pub.exchange.pyhf.workspace_of`.

        Parameters
        ----------
        signal, background, covariance, leave_out
            As for `signal_strength`.
        mode : {"whitened", "named"}
            ``named``: sources of one parameter each (variations, eigenvectors, scales) keep their names, so that other
            channels can share them.
        channel : str
            Name of the channel.
        path : str or path-like, optional
            A JSON file.

        Raises
        ------
        StatisticsError
            As `signal_strength`; also if pyhf does not give its answer.
        ObservableError
            As `signal_strength`.
        PublishError
            If the file cannot be written.
        MissingExtraError
            If pyhf is not installed.
        """
        from omnifold_pub.exchange.likelihoods import workspace_of_measurement, write_document

        document = workspace_of_measurement(
            self,
            signal,
            background=background,
            covariance=covariance,
            leave_out=leave_out,
            mode=mode,
            channel=channel,
        )
        if path is not None:
            write_document(document, path)
        return document

    def to_pyhf_grid(
        self: Measured,
        signals: Mapping[tuple[Any, ...], ArrayLike],
        *,
        labels: Sequence[str],
        record: str,
        description: str,
        background: ArrayLike | None = None,
        covariance: ArrayLike | None = None,
        leave_out: Sequence[str] = (),
        mode: Literal["whitened", "named"] = "whitened",
        channel: str = "measurement",
        path: str | Path | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return a workspace of pyhf without a signal, and the patch set of a grid of signals.

        How: `omnifold_pub.exchange.pyhf_grid.signal_grid`, which has the other parameters and the errors.

        Parameters
        ----------
        signals : mapping
            Point of the grid, such as ``(1000.0, 50.0)``, to ``signal[bin]``.
        labels : sequence of str
            What the coordinates of a point are, such as ``("mass", "width")``.
        record, description : str
            Of the measurement in HEPData, such as ``ins1234567``; of the grid.
        path : str or path-like, optional
            A JSON file for the workspace; the patch set is written beside it, as ``*.patchset.json``.
        """
        from omnifold_pub.exchange.likelihoods import patch_set_path, write_document
        from omnifold_pub.exchange.pyhf_grid import signal_grid

        workspace, patch_set = signal_grid(
            self,
            signals,
            labels=labels,
            record=record,
            description=description,
            background=background,
            covariance=covariance,
            leave_out=leave_out,
            mode=mode,
            channel=channel,
        )
        if path is not None:
            write_document(workspace, path)
            write_document(patch_set, patch_set_path(path))
        return workspace, patch_set

    def to_hs3(
        self: Measured,
        signal: ArrayLike,
        *,
        background: ArrayLike | None = None,
        covariance: ArrayLike | None = None,
        leave_out: Sequence[str] = (),
        mode: Literal["whitened", "named"] = "whitened",
        name: str = "measurement",
        path: str | Path | None = None,
    ) -> dict[str, Any]:
        """Return the likelihood of a signal's strength as an HS3 document, and write it if there is a path.

        How: `omnifold_pub.exchange.hs3.hs3_document`.

        Parameters
        ----------
        signal, background, covariance, leave_out, mode
            As for `to_pyhf`.
        name : str
            Of the likelihood.
        path : str or path-like, optional
            A JSON file.

        Raises
        ------
        StatisticsError, ObservableError
            As `signal_strength`.
        PublishError
            If the file cannot be written.
        """
        from omnifold_pub.exchange.likelihoods import hs3_of_measurement, write_document

        document = hs3_of_measurement(
            self, signal, background=background, covariance=covariance, leave_out=leave_out, mode=mode, name=name
        )
        if path is not None:
            write_document(document, path)
        return document

    def to_spey(
        self: Measured,
        signal: ArrayLike,
        *,
        background: ArrayLike | None = None,
        covariance: ArrayLike | None = None,
        leave_out: Sequence[str] = (),
        name: str = "measurement",
    ) -> Any:
        """Return a statistical model of spey for the strength of a signal.

        How: `omnifold_pub.exchange.spey.spey_model`.

        Parameters
        ----------
        signal, background, covariance, leave_out
            As for `signal_strength`.
        name : str
            Of the analysis.

        Raises
        ------
        StatisticsError, ObservableError
            As `signal_strength`.
        MissingExtraError
            If spey is not installed.
        """
        from omnifold_pub.exchange.spey import spey_model
        from omnifold_pub.exchange.whitening import whiten_measurement

        white = whiten_measurement(self, signal, background=background, covariance=covariance, leave_out=leave_out)
        return spey_model(white, name=name)
