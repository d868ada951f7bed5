"""Optional dependencies: asked for where they are used, with a word on how to get them."""

from __future__ import annotations

from importlib.util import find_spec

from omnifold_pub.errors import MissingExtraError

__all__ = ["require"]


def require(*packages: str, extra: str, purpose: str) -> None:
    """Make sure that packages are installed, without importing them.

    Raises
    ------
    MissingExtraError
        Naming the first that is not, and the extra that brings it.

    Examples
    --------
    >>> require("numpy", extra="root", purpose="Counting")
    >>> require("no_such_package", extra="root", purpose="Counting")
    Traceback (most recent call last):
    ...
    omnifold_pub.errors.MissingExtraError: Counting needs the package no_such_package, which is not installed. Install \
it with: pip install 'omnifold-pub[root]'
    """
    for package in packages:
        if find_spec(package) is None:
            msg = (
                f"{purpose} needs the package {package}, which is not installed. "
                f"Install it with: pip install 'omnifold-pub[{extra}]'"
            )
            raise MissingExtraError(msg)
