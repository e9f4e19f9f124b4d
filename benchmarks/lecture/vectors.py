"""GAN example 1: vectors of ten numbers from a normal distribution, as the course trains it, and mended."""

from __future__ import annotations

from typing import Any

from ganlab.experiment import Experiment
from ganlab.planning import plan

PROFILES: dict[str, dict[str, Any]] = {
    "quick": {"seeds": 20, "steps": 700, "evaluation": 512},
    "standard": {"seeds": 20, "steps": 12_000},
    "full": {"seeds": 40, "steps": 12_000},
}
"""The course trains for 12 000 steps."""

MENDED: dict[str, Any] = {
    "latent": 10, "latent_law": "normal", "optimizer": "adam", "beta1": 0.0, "beta2": 0.99, "lr": 1e-3,
    "lr_discriminator": 5e-3, "r1": 0.1, "average": 0.99,
}  # fmt: skip
"""In place of the course's numbers, in examples 1 and 2: latents about zero in place of about a half, Adam, a discriminator
that learns faster than the generator (Heusel et al. 2017), R1 (Mescheder et al. 2018), and a running mean of the generator."""

SCALED = "normal_vectors:dimensions=10,mean=0,std=1"
"""The course's vectors less their mean, in their standard deviations."""


def linear_output(hidden: int) -> dict[str, Any]:
    """Return the course's generator without the activation at its end, which cannot go below -1.76."""
    return {"net": "mlp", "hidden": (hidden, hidden), "activation": "selu"}


def experiments(profile: str) -> list[Experiment]:
    """Return the course's GAN, and the same nets mended, on scaled data."""
    p = PROFILES[profile]
    return [
        plan("recipe:course_vectors", **p),
        plan("recipe:course_vectors", SCALED, **p, **MENDED, generator=linear_output(150)),
    ]
