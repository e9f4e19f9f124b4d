"""Does a variant collapse? Named GANs on the ring and the grid, with equal nets, batches and learning rates.

`pytest benchmarks/mode_collapse.py` times one block of steps of each variant; `nox -s mode_collapse` runs the study.
"""

from __future__ import annotations

from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from ganlab.experiment import Experiment
from ganlab.train import BLOCK, build, plan, train

DATA = ("ring8", "grid25")
SIX = ("gan", "nsgan", "lsgan", "hinge", "wgan_gp", "r1gan")
ALL = (*SIX, "dragan", "rpgan", "rpgan_r1_r2", "wgan")

PROFILES: dict[str, dict[str, Any]] = {
    "quick": {"variants": SIX, "seeds": 8, "steps": 2000, "hidden": (64, 64), "batch": 128},
    "standard": {"variants": ALL, "seeds": 16, "steps": 5000, "hidden": (128, 128), "batch": 256},
    "full": {"variants": ALL, "seeds": 40, "steps": 25_000, "hidden": (128, 128), "batch": 256},
}
"""Forty seeds allow the claim that fewer than a tenth fail; the quick profile's eight only that more do."""


def experiments(profile: str) -> list[Experiment]:
    """Return the experiments of a profile, data set by data set."""
    settings = dict(PROFILES[profile])
    variants = settings.pop("variants")
    return [plan(variant, data, **settings) for data in DATA for variant in variants]


@pytest.mark.parametrize("variant", SIX)
def test_block_of_steps(benchmark: BenchmarkFixture, variant: str) -> None:
    experiment = plan(variant, "ring8", seeds=8, steps=BLOCK, hidden=(64, 64), batch=128)
    game, data = build(experiment)
    benchmark.extra_info["member_steps"] = BLOCK * len(experiment.members())
    benchmark.pedantic(train, (game, data, experiment), {"watch": False}, rounds=3, warmup_rounds=1)
