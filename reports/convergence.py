"""The page of the convergence study."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.convergence import MAPS
from ganlab.experiment import Run
from ganlab.pages import convergence_page
from ganlab.pages.page import Page


def page(runs: Sequence[Run]) -> Page:
    """Return the page of these runs, and of games that are computed on the spot."""
    return convergence_page(MAPS, runs=runs)
