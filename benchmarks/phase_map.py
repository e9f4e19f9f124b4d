"""Where does a GAN collapse? Both learning rates and the weight of R1, crossed in one experiment: one mapped program.

`pytest benchmarks/phase_map.py` times one block of its steps; `nox -s phase_map` runs the study.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.mode_collapse import NETS
from ganlab.draws import BLOCK
from ganlab.experiment import Experiment
from ganlab.planning import build, plan
from ganlab.train import train

PROFILES: dict[str, dict[str, Any]] = {
    "quick": {"rates": (1e-3, 4e-3), "r1": (0.0, 0.1, 1.0), "seeds": 8, "steps": 1500},
    "standard": {"rates": (2.5e-4, 1e-3, 4e-3), "r1": (0.0, 0.01, 0.1, 1.0), "seeds": 16, "steps": 6000},
    "full": {"rates": (2.5e-4, 1e-3, 4e-3, 1.6e-2), "r1": (0.0, 1e-3, 0.01, 0.1, 1.0, 10.0), "seeds": 40, "steps": 20_000},
}
"""Rates a factor of 4 apart for both players, so that their ratios are powers of 4. A weight of 0 is no penalty."""


def experiments(profile: str) -> list[Experiment]:
    """Return the one experiment of a profile: every pair of rates with every weight."""
    settings = dict(PROFILES[profile])
    rates = list(settings.pop("rates"))
    weights = list(settings.pop("r1"))
    return [plan("nsgan", "ring8", **{**NETS, **settings, "lr": rates, "lr_discriminator": rates, "r1": weights})]


def test_block_of_steps(benchmark: BenchmarkFixture) -> None:
    (quick,) = experiments("quick")
    experiment = replace(quick, seeds=(0,), steps=BLOCK, every=BLOCK)
    game, data = build(experiment)
    benchmark.extra_info["member_steps"] = BLOCK * len(experiment.members())
    benchmark.pedantic(train, (game, data, experiment), {"watch": False}, rounds=3, warmup_rounds=1)
