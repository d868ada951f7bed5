"""Which chunks of a file are fetched by one request."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["GAP", "MOST", "stretches"]

GAP = 64 * 1024
"""Bytes between two chunks that are fetched for nothing rather than asked around."""

MOST = 8 * 1024 * 1024
"""Bytes of one request, unless a single chunk is larger."""


def stretches(places: NDArray[np.int64], *, gap: int = GAP, most: int = MOST) -> list[list[int]]:
    """Group chunks that are neighbours in the file.

    A request costs its latency l, 20 to 100 ms over the internet, and its bytes over the bandwidth b. With t threads,
    n requests of s bytes in all take about n l / t + s / b. Fetching a gap of g bytes costs g / b and saves l / t:
    64 KiB at 10 MB/s are 7 ms, worth it against 50 ms over 8 threads. A request of 8 MiB takes 0.8 s there, so that
    longer ones would save less than a tenth, hold more memory, and leave threads without work.

    Parameters
    ----------
    places : numpy.ndarray
        ``places[chunk] = (offset, size)`` in bytes.
    gap, most : int
        Bytes between two chunks of a group, and of a group from its start to its end.

    Returns
    -------
    list of list of int
        Rows of ``places``, each once, in the order of the file.

    Examples
    --------
    >>> stretches(np.array([[900_000, 10], [100, 50], [160, 40]]))
    [[1, 2], [0]]
    """
    groups: list[list[int]] = []
    start = end = 0
    order = np.argsort(places[:, 0], kind="stable")
    for number, (offset, size) in zip(order.tolist(), places[order].tolist(), strict=True):
        stop = offset + size
        if groups and offset - end <= gap and max(end, stop) - start <= most:
            groups[-1].append(number)
            end = max(end, stop)
        else:
            groups.append([number])
            start, end = offset, stop
    return groups
