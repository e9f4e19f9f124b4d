"""The page of the phase map study."""

from __future__ import annotations

from collections.abc import Sequence

from ganlab.experiment import Run
from ganlab.pages import phase_page
from ganlab.pages.page import Page


def page(runs: Sequence[Run]) -> Page:
    """Return the page of these runs."""
    return phase_page(runs, title="Where in the plane of learning rate and penalty does a GAN collapse?")
