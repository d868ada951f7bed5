"""The folder that goes to an archive: the release, what it is in words, and what machines index it by."""

from omnifold_pub.deposit.package import Deposit, package

__all__ = ["Deposit", "package"]
