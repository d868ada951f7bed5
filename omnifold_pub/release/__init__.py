"""The reader of releases."""

from omnifold_pub.release.reader import Release, open_release

__all__ = ["Release", "open_release"]
