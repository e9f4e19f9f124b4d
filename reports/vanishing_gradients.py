"""The page of the vanishing gradients study."""

from __future__ import annotations

from collections.abc import Sequence

from ganlab.experiment import Run
from ganlab.pages import vanishing_page
from ganlab.pages.page import Page


def page(runs: Sequence[Run]) -> Page:
    """Return the page of these runs."""
    return vanishing_page(runs)
