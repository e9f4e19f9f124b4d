"""How well, and at what cost, do the lecture's MLP and CNN tell handwritten digits apart?

`pytest benchmarks/mnist_baselines.py` times one epoch of each net; `nox -s mnist_baselines` runs the study.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from ganlab.data.images import mnist_is_here
from ganlab.experiment import Experiment
from ganlab.supervised import perform, plan
from ganlab.trace import last

NETS = ("mlp", "cnn")

PROFILES: dict[str, dict[str, Any]] = {
    "quick": {"seeds": 3, "epochs": 3, "n_train": 10_000, "batch": 32},
    "standard": {"seeds": 5, "epochs": 4},
    "full": {"seeds": 5, "epochs": 10},
}
"""Seeds, data and updates are the same for both nets, so that they compare in pairs."""

DIGITS: dict[str, Any] = {"epochs": 20, "batch": 32, "n_train": 0}
"""In a profile's place where MNIST is not on disk: 40 times fewer images need more epochs and smaller batches."""


def experiments(profile: str) -> list[Experiment]:
    """Return the experiments of a profile, one a net: on MNIST if it is on disk, else on digits."""
    data, settings = ("mnist", {}) if mnist_is_here() else ("digits", DIGITS)
    return [plan(net, data, **{**PROFILES[profile], **settings}) for net in NETS]


@pytest.mark.parametrize("net", NETS)
def test_epoch(benchmark: BenchmarkFixture, net: str) -> None:
    """One seed on one thread: start, an epoch of 1024 images, evaluation; extra_info has the rate of training alone."""
    torch.set_num_threads(1)
    planned = plan(net, "digits", seeds=1, epochs=1, n_train=1024)
    run = benchmark.pedantic(perform, (planned,), rounds=5, warmup_rounds=1)
    benchmark.extra_info["train_images_per_second"] = float(last(run.trace, "train_images_per_second").iloc[0])
