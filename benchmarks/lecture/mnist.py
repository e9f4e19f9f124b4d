"""MNIST, MLP against CNN: how many images does each need, and what if a digit is moved?"""

from __future__ import annotations

import math
from typing import Any

from ganlab.data.images import mnist_is_here
from ganlab.experiment import Experiment
from ganlab.supervised import plan

NETS = ("mlp", "cnn")

BATCH = 32

PROFILES: dict[str, dict[str, Any]] = {
    "quick": {"seeds": 8, "updates": 100, "n_train": (100, 300, 1000), "n_test": 2000},
    "standard": {"seeds": 10, "updates": 2000, "n_train": (100, 300, 1000, 3000, 10_000)},
    "full": {"seeds": 20, "updates": 7500, "n_train": (100, 300, 1000, 3000, 10_000, 60_000)},
}
"""Both nets make the same number of updates whatever the number of images, so that a curve shows what images are worth."""

DIGITS: dict[str, Any] = {"seeds": 10, "updates": 300, "n_train": (100, 300, 1437)}
"""In a profile's place where MNIST is not on disk."""


def experiments(profile: str) -> list[Experiment]:
    """Return both nets at each number of training images: on MNIST if it is on disk, else on digits."""
    data, p = ("mnist", PROFILES[profile]) if mnist_is_here() else ("digits", DIGITS)
    planned = []
    for n in p["n_train"]:
        epochs = math.ceil(p["updates"] / math.ceil(n / BATCH))
        settings = {"seeds": p["seeds"], "epochs": epochs, "every": epochs, "n_train": n, "n_test": p.get("n_test", 0)}
        planned += [plan(net, data, batch=BATCH, **settings) for net in NETS]
    return planned
