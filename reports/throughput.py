"""The page of the throughput study."""

from __future__ import annotations

from collections.abc import Sequence

from ganlab.experiment import Run
from ganlab.pages import throughput_page
from ganlab.pages.page import Page


def page(runs: Sequence[Run]) -> Page:
    """Return the page of these runs."""
    return throughput_page(runs)
