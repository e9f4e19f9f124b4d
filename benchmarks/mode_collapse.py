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
    "lsgan": {},
    "hinge": {},
    "wgan_gp": {},
    "r1gan": {"r1": 0.1},  # as wgan_gp's: weights of 10 are for images
    "dragan": {},
    "rpgan": {},
    "r3gan": {"r1": 0.1, "r2": 0.1},
    "wgan": {"lr": 5e-5},  # weight clipping needs its own small rate
}
SIX = tuple(VARIANTS)[:6]

PROFILES: dict[str, dict[str, Any]] = {
    "quick": {"variants": SIX, "seeds": 8, "steps": 2200},
    "standard": {"variants": tuple(VARIANTS), "seeds": 16, "steps": 10_000},
    "full": {"variants": tuple(VARIANTS), "seeds": 40, "steps": 30_000},
}
"""Forty seeds allow the claim that fewer than a tenth fail; the quick profile's eight only that more do."""


def experiments(profile: str) -> list[Experiment]:
    """Return the experiments of a profile, data set by data set."""
    settings = dict(PROFILES[profile])
    variants = settings.pop("variants")
    return [plan(name, data, **{**NETS, **settings, **VARIANTS[name]}) for data in DATA for name in variants]


@pytest.mark.parametrize("variant", SIX)
def test_block_of_steps(benchmark: BenchmarkFixture, variant: str) -> None:
    experiment = plan(variant, "ring8", seeds=8, steps=BLOCK, **{**NETS, **VARIANTS[variant]})
    game, data = build(experiment)
    benchmark.extra_info["member_steps"] = BLOCK * len(experiment.members())
    benchmark.pedantic(train, (game, data, experiment), {"watch": False}, rounds=3, warmup_rounds=1)
