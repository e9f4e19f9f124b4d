"""GAN example 1: vectors of ten numbers from a normal distribution."""

from __future__ import annotations

from typing import Any

from ganlab.experiment import Experiment
from ganlab.planning import plan

PROFILES: dict[str, dict[str, Any]] = {
    "quick": {"seeds": 20, "steps": 2000, "evaluation": 512},
    "standard": {"seeds": 20, "steps": 12_000},
    "full": {"seeds": 40, "steps": 12_000},
}
"""The course trains for 12 000 steps."""


def experiments(profile: str) -> list[Experiment]:
    """Return the course's GAN."""
    return [plan("recipe:course_vectors", **PROFILES[profile])]
