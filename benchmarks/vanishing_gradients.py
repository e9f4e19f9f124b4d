"""Does the generator still get a signal when the discriminator is trained to the end? Arjovsky and Bottou's frozen generator.

A GAN trains for an age, its generator freezes, and a fresh discriminator trains alone. And the lecture's own experiment: the
GAN for points on a line goes on with its generator frozen and its discriminator as it is.

`pytest benchmarks/vanishing_gradients.py` times a block of steps of each variant; `nox -s vanishing_gradients` runs the study.
"""

from __future__ import annotations

from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from ganlab.draws import BLOCK
from ganlab.experiment import Experiment
from ganlab.planning import build, plan
from ganlab.train import train

VARIANTS: dict[str, int] = {"gan": 1, "nsgan": 1, "lsgan": 1, "rpgan": 1, "wgan": 5, "wgan_gp": 5}
"""And their discriminator updates in a step. Nets, batches and rates are the usual ones of `ganlab.variants`: 128 and 128
units, 256 samples."""

PROFILES: dict[str, dict[str, Any]] = {
    "quick": {
        "variants": ("gan", "nsgan", "wgan_gp"), "ages": (0,), "updates": 1000, "line": (200, 400),
        "usual": {"seeds": 8, "every": 40, "evaluation": 256, "hidden": (64, 64), "batch": 128},
    },
    "standard": {
        "variants": tuple(VARIANTS), "ages": (0, 500, 5000), "updates": 4000, "line": (2000, 8000),
        "usual": {"seeds": 8, "every": 20, "evaluation": 500},
    },
    "full": {
        "variants": tuple(VARIANTS), "ages": (0, 500, 5000), "updates": 4000, "line": (2000, 20_000),
        "usual": {"seeds": 20, "every": 20, "evaluation": 500},
    },
}  # fmt: skip
"""`ages`: steps of training before the generator freezes; `updates`: of the discriminator from then on; `every`: of them
between two looks, for all variants alike; `line`: age and updates of the lecture's experiment, whose nets and batches are its
own."""


def experiments(profile: str) -> list[Experiment]:
    """Return the experiments of a profile: on the ring variant by variant and age by age, then those on the line."""
    p = PROFILES[profile]
    usual, (age, updates) = p["usual"], p["line"]
    ring = [
        plan(name, "ring8", frozen_at=at, steps=at + p["updates"] // VARIANTS[name],
             **{**usual, "every": usual["every"] // VARIANTS[name]})
        for name in p["variants"]
        for at in p["ages"]
    ]  # fmt: skip
    watched = {name: usual[name] for name in ("seeds", "every", "evaluation")}
    lecture = {"frozen_at": age, "fresh_discriminator": False, "steps": age + updates, **watched}
    line = [plan("recipe:course_line", objective=objective, **lecture) for objective in ("non_saturating", "minimax")]
    return ring + line


@pytest.mark.parametrize("variant", VARIANTS)
def test_block_of_steps(benchmark: BenchmarkFixture, variant: str) -> None:
    experiment = plan(variant, "ring8", seeds=8, steps=BLOCK, frozen_at=0)
    game, data = build(experiment)
    benchmark.extra_info["member_steps"] = BLOCK * len(experiment.members())
    benchmark.pedantic(train, (game, data, experiment), {"watch": False}, rounds=3, warmup_rounds=1)
