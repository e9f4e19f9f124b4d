"""Does a variant collapse? Named GANs on the ring and the grid, with equal nets, batches and learning rates.

`pytest benchmarks/mode_collapse.py` times one block of steps of each variant; `nox -s mode_collapse` runs the study.
"""

from __future__ import annotations

from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from ganlab.draws import BLOCK
from ganlab.experiment import Experiment
from ganlab.planning import build, plan
from ganlab.train import train

DATA = ("ring8", "grid25")

NETS: dict[str, Any] = {"hidden": (64, 64), "activation": "tanh", "batch": 64, "lr": 3e-3, "beta2": 0.99}
"""The same for all variants. Two tanh layers as in the unrolled GAN's notebook, at rates with which the grid can be learned
within a few thousand steps: the critic with a gradient penalty covers it, so the others' missing modes are their own."""

VARIANTS: dict[str, dict[str, Any]] = {
    "gan": {},
    "nsgan": {},
    "wgan_gp": {},
    "r1gan": {"r1": 0.1},  # as wgan_gp's: weights of 10 are for images
    "r3gan": {"r1": 0.1, "r2": 0.1, "average": 0.99},  # its source judges the running mean
    "lsgan": {},
    "hinge": {},
    "dragan": {},
    "rpgan": {},
    "wgan": {"lr": 5e-5},  # weight clipping needs its own small rate
}
ALL = tuple(VARIANTS)
THREE = ("gan", "nsgan", "r3gan")

PROFILES: dict[str, dict[str, Any]] = {
    "quick": {"seeds": 8, "ring8": (THREE, 1200), "grid25": (THREE, 2200)},
    "standard": {"seeds": 16, "ring8": (ALL, 10_000), "grid25": (ALL, 10_000)},
    "full": {"seeds": 40, "ring8": (ALL, 30_000), "grid25": (ALL, 30_000)},
}
"""Variants and steps on each data set. Forty seeds allow the claim that fewer than a tenth fail; the quick profile's eight only
that more do."""


def experiments(profile: str) -> list[Experiment]:
    """Return the experiments of a profile, data set by data set."""
    planned = []
    for data in DATA:
        names, steps = PROFILES[profile][data]
        common = {**NETS, "seeds": PROFILES[profile]["seeds"], "steps": steps}
        planned += [plan(name, data, **{**common, **VARIANTS[name]}) for name in names]
    return planned


@pytest.mark.parametrize("variant", ALL[:5])
def test_block_of_steps(benchmark: BenchmarkFixture, variant: str) -> None:
    experiment = plan(variant, "ring8", seeds=8, steps=BLOCK, **{**NETS, **VARIANTS[variant]})
    game, data = build(experiment)
    benchmark.extra_info["member_steps"] = BLOCK * len(experiment.members())
    benchmark.pedantic(train, (game, data, experiment), {"watch": False}, rounds=3, warmup_rounds=1)
