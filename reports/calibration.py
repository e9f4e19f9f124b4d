"""The page of the calibration study: what the diagnoses say about planted worlds."""

from __future__ import annotations

from collections.abc import Callable

import benchmarks.calibration
from ganlab.calibration import judgements
from ganlab.pages.calibration import calibration_page
from ganlab.pages.page import Page
from ganlab.planted import run_of

SEEDS = {"quick": 2, "standard": 8, "full": 25}


def page(profile: str, progress: Callable[[float], None] | None = None) -> Page:
    """Play all worlds and return the page about them."""
    worlds = benchmarks.calibration.worlds()
    runs = []
    for world in worlds:
        runs.append(run_of(world, range(SEEDS[profile])))
        if progress:
            progress(1 / len(worlds))
    return calibration_page(judgements(worlds, runs))
