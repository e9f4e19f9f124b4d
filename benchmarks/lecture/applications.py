"""What GANs are used for: new images, images for a label, better classifiers, translation; each beside going without."""

from __future__ import annotations

from functools import partial
from typing import Any

from ganlab import applications
from ganlab.data.images import mnist_is_here
from ganlab.experiment import Experiment
from ganlab.planning import plan

SMALL: dict[str, Any] = {"hidden": (128, 128), "latent": 16, "batch": 32, "lr": 4e-3, "r1": 0.1, "average": 0.99}
"""Nets for images of 8 x 8, held by R1; what counts is the generator's running mean."""

LARGE: dict[str, Any] = {**SMALL, "hidden": (512, 512), "latent": 64, "lr": 1e-3}
"""For MNIST."""

WIDE = {"hidden_generator": (512, 512), "hidden_discriminator": (512, 512)}

RATES: dict[str, dict[str, float]] = {"semi_supervised": {"lr": 3e-3, "beta1": 0.0}, "translation": {"lr": 2e-3}}

SEEDS = range(100, 120)
"""Settings were chosen by what seeds 0 to 7 did on the same test images; these had no say in it."""

PROFILES: dict[str, dict[str, Any]] = {
    "quick": {
        "asked": {"seeds": SEEDS[:10], "steps": 1400, "every": 200, "evaluation": 500}, "gan": 800, "classifier": 200,
        "semi_supervised": 500, "translation": 400,
    },
    "standard": {
        "asked": {"seeds": SEEDS, "steps": 5000}, "gan": 5000, "classifier": 500, "semi_supervised": 5000, "translation": 3000,
    },
    "full": {
        "asked": {"seeds": SEEDS, "steps": 20_000}, "gan": 10_000, "classifier": 500, "semi_supervised": 20_000,
        "translation": 10_000,
    },
}  # fmt: skip
"""Steps of each. Quick learns from the digits of 8 x 8 whatever there is."""


def experiments(profile: str) -> list[Experiment]:
    """Return the conditional GAN, augmentation by true and by shuffled labels, semi-supervised learning, and translation."""
    p, large = PROFILES[profile], profile != "quick" and mnist_is_here()
    data, nets, wide = ("mnist", LARGE, WIDE) if large else ("digits", SMALL, {})
    few = {"variant": "cgan", "steps": p["gan"], **nets, "hidden": [width // 2 for width in nets["hidden"]]}
    augmentation = partial(applications.plan, "augmentation", data, seeds=SEEDS, steps=p["classifier"], gan=few, labels=100)
    two_players = partial(applications.plan, data=data, seeds=SEEDS, **wide)
    return [
        plan("cgan", data, **nets, **p["asked"]),
        augmentation(),
        augmentation(shuffled=True, generated=1.0),
        *(two_players(name, steps=p[name], every=p[name] // 4, **rates) for name, rates in RATES.items()),
    ]
