"""Which looks make up the end of a run, and since when something holds there: what all diagnoses share.

A verdict about the end of a run is that of most looks in its last part, so that one odd look decides nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LATE = 0.1
"""The end of the run is this last part of the looks, at least 3 of them, but never more than half of those after the start."""

Flags = NDArray[np.bool_]


def width(n_looks: int) -> int:
    """Return how many looks make up the end of the run, an odd number so that most of them decide.

    Example
    -------
    >>> width(26), width(101), width(3)
    (3, 9, 1)
    """
    wide = max(1, min(max(3, round(LATE * n_looks)), (n_looks - 1) // 2))
    return wide - 1 + wide % 2


def late(flags: Flags, wide: int) -> Flags:
    """Return, for each look `[look]`, whether the flag is up at most looks of the window that ends there."""
    padded = np.concatenate([np.repeat(flags[:1], wide - 1), flags]).astype(float)
    return np.convolve(padded, np.ones(wide), "valid") > wide / 2


def begin(flags: Flags) -> int:
    """Return where the last unbroken stretch of flags begins; 0 when there was no other.

    Example
    -------
    >>> begin(np.array([True, False, True, True]))
    2
    """
    down = np.flatnonzero(~flags)
    return int(down[-1]) + 1 if len(down) else 0


def episode(flags: Flags) -> tuple[int, int] | None:
    """Return first and last look of the longest unbroken stretch of flags; None when none is up."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(int)))
    if not len(edges):
        return None
    starts, stops = edges[::2], edges[1::2]
    longest = int(np.argmax(stops - starts))
    return int(starts[longest]), int(stops[longest]) - 1
