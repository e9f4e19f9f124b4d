"""GAN training step by step on a line: a walk to look at, and algorithm 1 with one and with five discriminator steps."""

from __future__ import annotations

from typing import Any

from ganlab.experiment import Experiment
from ganlab.planning import plan

DATA = "normal_vectors:dimensions=1,mean=3.0,std=1.0"
NETS: dict[str, Any] = {"hidden": (16, 16), "activation": "tanh", "latent": 1, "batch": 64, "evaluation": 512}

WALK: dict[str, Any] = {"n_critic": 20, "steps": 19, "every": 1, "lr": 0.02}
"""Large steps, each after a discriminator that had time to learn, and a look at every one of them."""

ALGORITHM: dict[str, Any] = {"lr": 3e-3, "lr_discriminator": 1e-2}
SLOW: dict[str, Any] = {"lr": 3e-3, "lr_discriminator": 3e-4}
"""The control: a discriminator that learns 30 times slower cannot lead."""

PROFILES: dict[str, dict[str, Any]] = {
    "quick": {"seeds": 10, "steps": 400},
    "standard": {"seeds": 20, "steps": 3000},
    "full": {"seeds": 40, "steps": 10_000},
}


def experiments(profile: str) -> list[Experiment]:
    """Return the walk, algorithm 1 with k = 1 and k = 5, and the control."""
    p = {**NETS, **PROFILES[profile]}
    return [
        plan("nsgan", DATA, **{**p, **WALK}),
        plan("nsgan", DATA, **p, **ALGORITHM),
        plan("nsgan", DATA, n_critic=5, **p, **ALGORITHM),
        plan("nsgan", DATA, **p, **SLOW),
    ]
