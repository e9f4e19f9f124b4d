"""What GANs are used for: new images, images for a label, better classifiers, translation; each beside going without."""

from __future__ import annotations

from typing import Any

from ganlab import applications
from ganlab.data.images import mnist_is_here
from ganlab.experiment import Experiment
from ganlab.planning import plan

SMALL: dict[str, Any] = {"hidden": (128, 128), "latent": 16, "batch": 64, "lr": 2e-3, "r1": 0.1, "average": 0.99}
"""Nets for images of 8 x 8, held by R1; what counts is the generator's running mean."""

LARGE: dict[str, Any] = {**SMALL, "hidden": (512, 512), "latent": 64, "lr": 1e-3}
"""For MNIST."""

WIDE = {"hidden_generator": (512, 512), "hidden_discriminator": (512, 512)}

PROFILES: dict[str, dict[str, Any]] = {
    "quick": {"labels": {"steps": 600, "evaluation": 1000}, "gan": 600, "classifier": 200, "semi": 600, "translation": 400},
    "standard": {"labels": {"steps": 5000}, "gan": 3000, "classifier": 500, "semi": 3000, "translation": 3000},
    "full": {"labels": {"steps": 20_000}, "gan": 10_000, "classifier": 500, "semi": 10_000, "translation": 10_000},
}
"""Steps of each, always over 20 seeds. Quick learns from the digits of 8 x 8 whatever there is."""

SEEDS = 20


def experiments(profile: str) -> list[Experiment]:
    """Return the conditional GAN, augmentation by true and by shuffled labels, semi-supervised learning, and translation."""
    p, large = PROFILES[profile], profile != "quick" and mnist_is_here()
    data, nets, wide = ("mnist", LARGE, WIDE) if large else ("digits", SMALL, {})
    few = {"variant": "cgan", "steps": p["gan"], **{name: list(v) if isinstance(v, tuple) else v for name, v in nets.items()}}
    augmented: dict[str, Any] = {"steps": p["classifier"], "gan": few, "labels": 100}
    return [
        plan("cgan", data, seeds=SEEDS, **nets, **p["labels"]),
        applications.plan("augmentation", data, seeds=SEEDS, **augmented),
        applications.plan("augmentation", data, seeds=SEEDS, **augmented, shuffled=True, generated=1.0),
        applications.plan("semi_supervised", data, seeds=SEEDS, steps=p["semi"], **wide),
        applications.plan("translation", data, seeds=SEEDS, steps=p["translation"], **wide),
    ]
