"""GAN example 3: handwritten digits, by the course's perceptrons and by a DCGAN held by R1."""

from __future__ import annotations

from typing import Any

from ganlab.data.images import mnist_is_here
from ganlab.experiment import Experiment
from ganlab.planning import plan

SMALL: dict[str, Any] = {
    "generator": {"hidden": (64, 128), "norm": (None, "batch")}, "discriminator": {"hidden": (128, 64)}, "lr": 1e-3,
    "batch": 32,
}  # fmt: skip
"""In place of the course's nets on images of 8 x 8, which have a twelfth of MNIST's pixels."""

HELD: dict[str, Any] = {"r1": 0.1, "average": 0.99, "beta1": 0.0, "beta2": 0.99}
"""R1, a running mean of the generator, and below a discriminator that learns three times as fast: as in examples 1 and 2."""

SMALL_DCGAN: dict[str, Any] = {
    "generator": {"net": "dcgan_generator", "channels": (16, 8)},
    "discriminator": {"net": "dcgan_discriminator", "channels": (8, 16)}, "batch": 32, "latent": 20, **HELD, "lr": 3e-3,
    "lr_discriminator": 9e-3,
}  # fmt: skip

DCGAN: dict[str, Any] = {
    "generator": {"net": "dcgan_generator"}, "discriminator": {"net": "dcgan_discriminator"}, "batch": 64, "latent": 100,
    **HELD, "lr": 2e-4, "lr_discriminator": 6e-4,
}  # fmt: skip

PROFILES: dict[str, dict[str, Any]] = {
    "quick": {"seeds": 20, "steps": 500, "evaluation": 256},
    "standard": {"seeds": 20, "steps": 600},
    "full": {"seeds": 20, "steps": 46_850},
}
"""Quick trains on the digits of 8 x 8 whatever there is: twenty seeds on MNIST take a core-hour already in the 600 steps of
standard, with 63 ms a step and seed of the course's nets and 280 ms of the DCGAN. The course trains for 46 850 steps."""


def experiments(profile: str) -> list[Experiment]:
    """Return the perceptrons and the DCGAN, on MNIST if it is on disk and the profile is not quick, else on digits."""
    p = PROFILES[profile]
    if profile != "quick" and mnist_is_here():
        return [plan("recipe:course_mnist", **p), plan("nsgan", "mnist", **DCGAN, **p)]
    return [plan("recipe:course_mnist", "digits", **SMALL, **p), plan("nsgan", "digits", **SMALL_DCGAN, **p)]
