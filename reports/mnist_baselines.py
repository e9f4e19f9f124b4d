"""The page of the MNIST baselines: MLP against CNN."""

from __future__ import annotations

from collections.abc import Sequence

from ganlab.experiment import Run
from ganlab.pages import classifier_page
from ganlab.pages.page import Page


def page(runs: Sequence[Run]) -> Page:
    """Return the page of these runs."""
    return classifier_page(runs)
