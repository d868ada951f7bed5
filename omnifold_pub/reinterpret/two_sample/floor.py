"""What chance alone gives."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Floor"]


@dataclass(frozen=True)
class Floor:
    """What a distance is between two samples of the same law, of the sizes that were compared.

    Attributes
    ----------
    mean, deviation : float
        Mean and standard deviation over such samples.
    """

    mean: float
    deviation: float
