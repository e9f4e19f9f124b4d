"""The page of the convergence study."""

from __future__ import annotations

from benchmarks.convergence import MAPS
from ganlab.pages import convergence_page
from ganlab.pages.page import Page


def page() -> Page:
    """Return the page, computed on the spot."""
    return convergence_page(MAPS)
