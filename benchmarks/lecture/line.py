"""GAN example 2: points on a line, as the course trains it, with R1 and Adam, and with the generator frozen on the way."""

from __future__ import annotations

from typing import Any

from ganlab.experiment import Experiment
from ganlab.planning import plan

PROFILES: dict[str, dict[str, Any]] = {
    "quick": {"seeds": 20, "steps": 1200, "frozen": (200, 400), "evaluation": 256},
    "standard": {"seeds": 20, "steps": 4000, "frozen": (2000, 8000), "evaluation": 1000},
    "full": {"seeds": 40, "steps": 4000, "frozen": (2000, 20_000), "evaluation": 1000},
}
"""The course trains for 4000 steps. `frozen`: steps before the generator freezes, and updates of the discriminator after."""

REMEDY: dict[str, Any] = {"optimizer": "adam", "r1": 0.1, "average": 0.99, "lr": 2e-3, "beta1": 0.0, "beta2": 0.99}


def experiments(profile: str) -> list[Experiment]:
    """Return the course's GAN, the same nets held by R1, and the course's frozen with either loss of the generator."""
    p = {**PROFILES[profile]}
    age, updates = p.pop("frozen")
    frozen = {**p, "steps": age + updates, "every": 20, "frozen_at": age, "fresh_discriminator": False}
    return [
        plan("recipe:course_line", **p),
        plan("recipe:course_line", **p, **REMEDY),
        *(plan("recipe:course_line", objective=objective, **frozen) for objective in ("non_saturating", "minimax")),
    ]
