"""Mode hopping told apart from coverage: how the mode histograms of successive looks differ. Plain numpy on tables.

A generator that sits on one mode at a time and visits them all covers every mode over a window and few at each look; one that
has collapsed covers few either way; a healthy one covers all at each look.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class Hopping(NamedTuple):
    """Over the last looks of a run, an array `[member]` each."""

    at_each_look: Array
    """Modes held, mean over the looks."""
    over_all: Array
    """Modes held at one look at least."""
    turnover: Array
    """Share of the mass that changes its mode from look to look, mean; NaN with one look, or one without finite counts."""


def turnover(counts: npt.ArrayLike) -> Array:
    """Return the total variation distance between the mode shares of successive looks, `[step - 1, member]`, in [0, 1].

    Parameters
    ----------
    counts
        Samples of each mode, `[step, member, mode]`. A look without finite counts, or with none, makes its distances NaN.

    A generator that stands still scores 0 where all looks use the same latents, as in a run's table; with fresh ones it scores
    `expected_turnover`.

    Example
    -------
    >>> turnover([[[4, 0]], [[0, 4]], [[2, 2]]]).ravel()
    array([1. , 0.5])
    """
    return np.asarray(np.abs(np.diff(_shares(counts), axis=0)).sum(-1) / 2)


def expected_turnover(weights: npt.ArrayLike, n: int) -> float:
    """Return the mean turnover of a generator that stands still, when each look draws n fresh samples.

    Half the sum of the mean sizes of Gaussian differences, so good while every mode is due some.

    Example
    -------
    >>> round(expected_turnover([0.1] * 10, 960), 3)
    0.055
    """
    w = np.asarray(weights, dtype=float) / np.sum(weights)
    return float(np.sqrt(4 * w * (1 - w) / (math.pi * n)).sum() / 2)


def hopping(counts: npt.ArrayLike, weights: npt.ArrayLike, window: int, least: float = 0.1) -> Hopping:
    """Return how many modes each member holds at a look, how many over all looks of the window, and how much it turns over.

    Parameters
    ----------
    counts
        Samples of each mode, `[step, member, mode]`.
    weights
        The data's share of each mode, `[mode]`.
    window
        Looks at the end of the run that count; all of them if there are fewer.
    least
        Part of its due that a mode needs to be held; a tenth, as in the diagnosis of mode collapse.

    Example
    -------
    >>> hopper = [[[8, 0]], [[0, 8]], [[8, 0]]]
    >>> [float(x[0]) for x in hopping(hopper, [1, 1], window=3)]
    [1.0, 2.0, 1.0]
    """
    late = np.asarray(counts, dtype=float)[-window:]
    due = np.asarray(weights, dtype=float) / np.sum(weights)
    with np.errstate(invalid="ignore"):  # a look without finite counts holds nothing
        held = _shares(late) >= least * due
    moved: Any = turnover(late).mean(0) if len(late) > 1 else np.full(late.shape[1], np.nan)
    return Hopping(held.sum(-1).mean(0), held.any(0).sum(-1).astype(float), moved)


def _shares(counts: npt.ArrayLike) -> Array:
    given = np.asarray(counts, dtype=float)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares: Array = given / given.sum(-1, keepdims=True)
    return np.where(np.isfinite(shares).all(-1, keepdims=True), shares, np.nan)
