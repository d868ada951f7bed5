"""Four-momenta: columns of an object, read as the vectors of the package ``vector`` (Scikit-HEP)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from omnifold_pub.errors import ObservableError
from omnifold_pub.extras import require
from omnifold_pub.messages import shorten, suggest

if TYPE_CHECKING:
    from vector import MomentumNumpy4D

__all__ = ["FourMomentum", "VectorColumns", "momenta_of", "vector_of"]

MASS_ROUNDING = 1e-6
"""Of the squared energy: how far below 0 single precision may put the squared mass of a light object."""

LARGEST_RAPIDITY = 50.0
"""No particle of a collider comes near: at 13 TeV a pion of no transverse momentum has 11.4."""

Column = NDArray[np.float64]


@dataclass(frozen=True)
class FourMomentum:
    """Where the four-momentum of an object is, event by event.

    Attributes
    ----------
    name : str
        What it is asked for by.
    pt : str
        Column of the transverse momentum, in GeV.
    phi : str
        Column of the azimuth, in rad.
    mass : str or float
        Column of the mass in GeV, or the one mass that all of them have.
    eta, rapidity : str, optional
        Column of the pseudorapidity or of the rapidity: exactly one of them.

    Raises
    ------
    ObservableError
        If not exactly one of ``eta`` and ``rapidity`` is given, or the mass is neither a column nor a finite
        number of at least 0.

    Examples
    --------
    >>> FourMomentum("l1", pt="pT_l1", eta="eta_l1", phi="phi_l1", mass=0.1056583755).columns
    ('pT_l1', 'eta_l1', 'phi_l1')
    """

    name: str
    pt: str
    phi: str
    mass: str | float
    eta: str | None = None
    rapidity: str | None = None

    def __post_init__(self) -> None:
        """Refuse what is no four-momentum."""
        if (self.eta is None) == (self.rapidity is None):
            found = "neither" if self.eta is None else f"{shorten(self.eta)} and {shorten(self.rapidity)}"
            msg = f"four-momentum {self.name!r}: expected a column of eta or one of rapidity; found {found}"
            raise ObservableError(msg)
        for what, column in (("pt", self.pt), ("eta or rapidity", self.eta or self.rapidity), ("phi", self.phi)):
            if not isinstance(column, str):
                msg = f"four-momentum {self.name!r}: {what}: expected the name of a column; found {shorten(column)}"
                raise ObservableError(msg)
        mass = self.mass
        number = isinstance(mass, int | float) and not isinstance(mass, bool)
        if not (isinstance(mass, str) or (number and 0 <= mass < np.inf)):
            msg = (
                f"four-momentum {self.name!r}: mass: expected the name of a column, or a number of GeV of at least 0; "
                f"found {shorten(mass)}"
            )
            raise ObservableError(msg)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that it is made of, each once."""
        named = (self.pt, self.eta, self.rapidity, self.phi, self.mass)
        return tuple(dict.fromkeys(column for column in named if isinstance(column, str)))

    @classmethod
    def from_document(cls, entry: Mapping[str, Any]) -> Self:
        """Read one entry of ``four_momenta`` that the schema has accepted.

        Examples
        --------
        >>> jet = {"name": "j1", "description": "a jet", "pt": "pT", "rapidity": "y", "phi": "phi", "mass": "m"}
        >>> FourMomentum.from_document(jet).rapidity
        'y'
        """
        return cls(**{key: value for key, value in entry.items() if key != "description"})


def vector_of(momentum: FourMomentum, events: Mapping[str, NDArray[Any]]) -> MomentumNumpy4D:
    """Return an object's four-momentum for every event.

    From pseudorapidity p_z = p_T sinh(eta); from rapidity p_z = m_T sinh(y) with m_T^2 = m^2 + p_T^2 (Particle Data
    Group, Review of Particle Physics, chapter Kinematics). Everything in float64.

    A mass that single precision has put a little below 0, as ROOT writes it for light jets (m = -sqrt(p^2 - E^2)),
    counts as 0: at most `MASS_ROUNDING` of the squared energy.

    Parameters
    ----------
    momentum : FourMomentum
        Which columns.
    events : mapping of str to numpy.ndarray
        ``column[event]`` by name, in GeV and rad.

    Returns
    -------
    vector.MomentumNumpy4D
        ``vector[event]`` with ``.pt``, ``.eta``, ``.phi``, ``.mass``, ``.E``, ``.rapidity``, ``.deltaR(other)``,
        sums and whatever else ``vector`` offers; all its components are NaN where any column is: the event has no
        such object.

    Raises
    ------
    MissingExtraError
        If ``vector`` is not installed.
    ObservableError
        For an unknown column, columns of several lengths, an infinite value, a negative transverse momentum, a mass
        below 0 by more than rounding, or a (pseudo)rapidity beyond `LARGEST_RAPIDITY`, which a sentinel is.

    Examples
    --------
    >>> events = {"pt": np.array([50.0, 40.0]), "eta": np.array([0.5, np.nan]), "phi": np.array([0.0, 1.0])}
    >>> muon = vector_of(FourMomentum("l1", pt="pt", eta="eta", phi="phi", mass=0.1056583755), events)
    >>> (muon + muon).mass.round(6).tolist()
    [0.211317, nan]
    """
    require("vector", extra="vector", purpose="Computing four-momenta")
    import vector

    columns = {name: _column(momentum, events, name) for name in momentum.columns}
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1:
        msg = f"four-momentum {momentum.name!r}: expected columns of one length; found {sorted(lengths)}"
        raise ObservableError(msg)
    pt, phi = columns[momentum.pt], columns[momentum.phi]
    along = columns[str(momentum.eta or momentum.rapidity)]
    mass = columns[momentum.mass] if isinstance(momentum.mass, str) else np.full(len(pt), float(momentum.mass))
    absent = np.isnan(pt) | np.isnan(phi) | np.isnan(along) | np.isnan(mass)
    pt, phi, along, mass = (np.where(absent, np.nan, column) for column in (pt, phi, along, mass))

    _refuse(momentum, momentum.pt, pt, np.isinf(pt) | (pt < 0), "a finite transverse momentum of at least 0")
    _refuse(momentum, momentum.phi, phi, np.isinf(phi), "a finite azimuth")
    word = f"{'a pseudorapidity' if momentum.eta else 'a rapidity'} from -{LARGEST_RAPIDITY:g} to {LARGEST_RAPIDITY:g}"
    _refuse(momentum, str(momentum.eta or momentum.rapidity), along, np.abs(along) > LARGEST_RAPIDITY, word)
    if isinstance(momentum.mass, str):
        # Where the mass is next to 0, the momentum is the energy, and both rapidities are the same.
        unphysical = (mass < 0) & (mass**2 > MASS_ROUNDING * (pt * np.cosh(along)) ** 2)
        _refuse(momentum, momentum.mass, mass, np.isinf(mass) | unphysical, "a finite mass of at least 0")
        mass = np.where(mass < 0, 0.0, mass)
    longitudinal = {"eta": along} if momentum.eta else {"pz": np.hypot(mass, pt) * np.sinh(along)}
    made = vector.array({"pt": pt, "phi": phi, **longitudinal, "mass": mass})
    return cast("MomentumNumpy4D", made)


def momenta_of(metadata: Mapping[str, Any]) -> dict[str, FourMomentum]:
    """Return the four-momenta that a release's metadata declare, by name; none in releases of format 1.0.

    >>> momenta_of({"title": "x"})
    {}
    """
    momenta = (FourMomentum.from_document(entry) for entry in metadata.get("four_momenta", ()))
    return {momentum.name: momentum for momentum in momenta}


class VectorColumns(Mapping[str, NDArray[np.float32]]):
    """Columns of events that also come as four-momenta.

    Attributes
    ----------
    momenta : mapping of str to FourMomentum
        Those that are declared, by name.
    """

    momenta: Mapping[str, FourMomentum] = MappingProxyType({})

    def vector(
        self,
        name: str | None = None,
        /,
        *,
        pt: str | None = None,
        eta: str | None = None,
        rapidity: str | None = None,
        phi: str | None = None,
        mass: str | float | None = None,
    ) -> MomentumNumpy4D:
        """Return the four-momentum of an object for every event, NaN where an event lacks it; see `vector_of`.

        Parameters
        ----------
        name : str, optional
            One of the declared four-momenta: ``events.vector("l1")``.
        pt, eta, rapidity, phi, mass : str, optional
            Or else its columns, in GeV and rad, with either ``eta`` or ``rapidity``; the mass may be a number:
            ``events.vector(pt="pT_l1", eta="eta_l1", phi="phi_l1", mass=0.1057)``.

        Raises
        ------
        MissingExtraError
            If the package ``vector`` is not installed.
        ObservableError
            For a name that is not declared, columns that are not there or are no four-momentum, and both at once.
        """
        given = {"pt": pt, "eta": eta, "rapidity": rapidity, "phi": phi, "mass": mass}
        columns = {key: value for key, value in given.items() if value is not None}
        if (name is None) != bool(columns):
            found = "neither" if name is None else f"{shorten(name)} and {', '.join(columns)}"
            msg = f"vector: expected a four-momentum's name, or columns (pt, eta or rapidity, phi, mass); found {found}"
            raise ObservableError(msg)
        if name is not None:
            if name not in self.momenta:
                msg = f"vector: no four-momentum {shorten(name)} is declared; {suggest(name, list(self.momenta))}"
                raise ObservableError(msg)
            return vector_of(self.momenta[name], self)
        missing = [key for key in ("pt", "phi", "mass") if key not in columns]
        if missing:
            msg = f"vector: expected the columns pt, eta or rapidity, phi, mass; {', '.join(missing)} missing"
            raise ObservableError(msg)
        return vector_of(FourMomentum("of the columns given", **cast("dict[str, Any]", columns)), self)


def _column(momentum: FourMomentum, events: Mapping[str, NDArray[Any]], name: str) -> Column:
    if name not in events:
        msg = f"four-momentum {momentum.name!r}: there is no column {shorten(name)}; {suggest(name, list(events))}"
        raise ObservableError(msg)
    values = np.asarray(events[name])
    if values.ndim != 1 or values.dtype.kind not in "iuf":
        msg = (
            f"four-momentum {momentum.name!r}: column {shorten(name)}: expected one real number for each event; "
            f"found an array of shape {values.shape}, dtype {values.dtype}"
        )
        raise ObservableError(msg)
    return values.astype(np.float64)


def _refuse(momentum: FourMomentum, name: str, values: Column, bad: NDArray[np.bool_], expected: str) -> None:
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        msg = (
            f"four-momentum {momentum.name!r}: column {shorten(name)}: expected {expected}; found {values[row]:g} in "
            f"row {row}, and {int(bad.sum())} such in all. NaN marks an object that an event lacks"
        )
        raise ObservableError(msg)
