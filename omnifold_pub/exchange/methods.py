"""What every measurement can be exchanged as, as methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self, cast

from omnifold_pub.exchange.signal_methods import HasSignal
from omnifold_pub.presentation.measured import Measured

__all__ = ["Exchangeable"]


class _OfForm(Measured, Protocol):
    _form: ClassVar[Any]

    def to_dict(self, *, members: bool = True) -> dict[str, Any]: ...


class Exchangeable(HasSignal):
    """A measurement in the formats of other programs. What needs a package imports it when it is called."""

    def to_hepdata(
        self: _OfForm,
        path: str | Path,
        *,
        metadata: Mapping[str, Any] | None = None,
        doi: str = "",
        files: Sequence[str | Path] = (),
        reactions: Sequence[str] = (),
        members: bool = True,
        overwrite: bool = False,
    ) -> Path:
        """Write a submission to HEPData: a folder, or an archive for a name on ``.tar.gz`` or ``.tgz``.

        There is a table for each statistic, with the signed shift of each source as an error of its name; covariance
        and correlation of all bins together, observables among each other included, of each component and of all:
        tables of up to 5,000 rows, beyond that attached files. `from_hepdata` reads it back bit by bit. All that
        HEPData is known to refuse is refused here: archives of more than 50 MB, YAML files of more than 10 MB, and
        bins that have a value and no error; empty bins have no number.

        Parameters
        ----------
        path : str or path-like
            What is written, whole or not at all.
        metadata : mapping, optional
            Of the release (`Release.metadata`): captions, keywords, licence and DOI are from there.
        doi : str, optional
            Of the release, such as ``10.5281/zenodo.11507450``; by default that of the metadata.
        files : sequence of path-like
            Of the release: their sizes and SHA-256 stand beside the DOI.
        reactions : sequence of str
            In HEPData's notation, such as ``P P --> Z0 JET X``.
        members : bool
            False: leave the values under each member out of the attached ``omnifold_pub.json``.
        overwrite : bool
            Replace a submission that is there.

        Returns
        -------
        pathlib.Path
            Where it is.

        Raises
        ------
        PublishError
            If HEPData would refuse it, the name is taken, or the disk does not take it; nothing is left then.
        ObservableError
            If a number is not finite.
        MissingExtraError
            If PyYAML is not installed.
        """
        from omnifold_pub.exchange.hepdata import Record, write_submission

        record = Record(metadata or {}, doi, tuple(map(Path, files)), tuple(reactions))
        return write_submission(self, self.to_dict(members=members), path, record=record, overwrite=overwrite)

    @classmethod
    def from_hepdata(cls, path: str | Path) -> Self:
        """Read what `to_hepdata` wrote: a folder or an archive; nothing of it is unpacked to the disk.

        Raises
        ------
        ReleaseError
            If it is no such submission, its tables do not fit to each other, or it is not of this class.
        MissingExtraError
            If PyYAML is not installed.
        """
        from omnifold_pub.exchange.hepdata import read_submission

        return cast("Self", cast("Any", cls).from_dict(read_submission(path)))

    def to_yoda(self: Measured, path: str | Path, *, analysis: str, version: Literal[1, 2] = 2) -> Path:
        """Write reference data of YODA with the error breakdown, for Rivet and Contur.

        How: `omnifold_pub.exchange.yoda.yoda_text`.

        Parameters
        ----------
        path : str or path-like
            The file.
        analysis : str
            Name of the Rivet analysis.
        version : {2, 1}
            Of YODA; 1 is for Rivet 3.

        Warns
        -----
        ExchangeWarning
            Where Contur would ignore correlations, or Rivet would compare other numbers.

        Raises
        ------
        ObservableError
            If YODA cannot take the measurement.
        PublishError
            If the file cannot be written.
        """
        from omnifold_pub.exchange.yoda import write_yoda

        return write_yoda(self, path, analysis=analysis, version=version)

    def to_smefit(
        self: Measured,
        path: str | Path,
        *,
        name: str = "",
        prefix: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> Path:
        """Write a data set of SMEFiT. How: `omnifold_pub.exchange.smefit.smefit_document`.

        Parameters
        ----------
        path : str or path-like
            The file.
        name : str, optional
            Of the data set; by default that of the file.
        prefix : str
            Before the names of sources, to keep those of other experiments apart.
        metadata : mapping, optional
            Of the release.

        Raises
        ------
        ObservableError
            If SMEFiT cannot take the measurement.
        PublishError
            If the file cannot be written.
        MissingExtraError
            If PyYAML is not installed.
        """
        from omnifold_pub.exchange.smefit import write_smefit

        return write_smefit(self, path, name=name, prefix=prefix, metadata=metadata)
