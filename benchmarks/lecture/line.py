"""GAN example 2: points on a line, as the course trains it, mended, and with the generator frozen on the way."""

from __future__ import annotations

from typing import Any

from benchmarks.lecture.vectors import MENDED, linear_output
from ganlab.experiment import Experiment
from ganlab.planning import plan

PROFILES: dict[str, dict[str, Any]] = {
    "quick": {"seeds": 20, "steps": 1000, "frozen": (200, 400), "evaluation": 256},
    "standard": {"seeds": 20, "steps": 4000, "frozen": (2000, 8000), "evaluation": 1000},
    "full": {"seeds": 40, "steps": 4000, "frozen": (2000, 20_000), "evaluation": 1000},
}
"""The course trains for 4000 steps. `frozen`: steps before the generator freezes, and updates of the discriminator after."""


def experiments(profile: str) -> list[Experiment]:
    """Return the course's GAN, the same nets mended, and the course's frozen with either loss of the generator."""
    p = {**PROFILES[profile]}
    age, updates = p.pop("frozen")
    frozen = {**p, "steps": age + updates, "every": 20, "frozen_at": age, "fresh_discriminator": False}
    return [
        plan("recipe:course_line", **p),
        plan("recipe:course_line", **p, **MENDED, generator=linear_output(75)),
        *(plan("recipe:course_line", objective=objective, **frozen) for objective in ("non_saturating", "minimax")),
    ]
