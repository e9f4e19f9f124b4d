"""The page of the calibration study: what the diagnoses say about planted worlds."""

from __future__ import annotations

from collections.abc import Callable

import benchmarks.calibration
from ganlab.calibration import halves, judgements
from ganlab.pages.calibration import calibration_page
from ganlab.pages.page import Page
from ganlab.planted import run_of

SEEDS = {"quick": 2, "standard": 8, "full": 25}


def page(profile: str, progress: Callable[[float], None] | None = None) -> Page:
    """Play all worlds, those of mode collapse once more with their modes hidden, and return the page about them."""
    worlds, hidden = benchmarks.calibration.worlds(), benchmarks.calibration.worlds_of_unknown_modes()
    frames = []
    for chosen, modes_known in ((worlds, True), (hidden, False)):
        runs = []
        for world in chosen:
            runs.append(run_of(world, range(SEEDS[profile]), modes_known=modes_known))
            if progress:
                progress(1 / (len(worlds) + len(hidden)))
        frames.append(judgements(chosen, runs))
    known, unknown = frames
    unknown = unknown[unknown["code"] == "mode_collapse"]
    return calibration_page(known, unknown.assign(half=unknown["family"].map(halves(worlds))))
