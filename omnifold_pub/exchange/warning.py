"""What is said where a format keeps less than a measurement has."""

from __future__ import annotations

__all__ = ["ExchangeWarning"]


class ExchangeWarning(UserWarning):
    """A format, or the program that reads it, keeps less of a measurement than there is."""
