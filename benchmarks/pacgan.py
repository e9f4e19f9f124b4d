"""Does packing keep modes? PacGAN's table of ring and grid, with the nets, rates and samples of its source.

`pytest benchmarks/pacgan.py` times a block of steps of each packing; `nox -s pacgan` runs the study.
"""

from __future__ import annotations

from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.mode_collapse import NETS
from ganlab.draws import BLOCK
from ganlab.experiment import Experiment
from ganlab.planning import build, plan
from ganlab.train import train

DATA = ("ring8_pacgan", "grid25_pacgan")
PACKINGS = (1, 2, 3, 4)

PROFILES: dict[str, dict[str, Any]] = {
    "quick": {"packings": (1, 4), "seeds": 4, "small": 2000, "as_published": 200},
    "standard": {"packings": PACKINGS, "seeds": 10, "small": 40_000, "as_published": 4000},
    "full": {"packings": PACKINGS, "seeds": 10, "small": 40_000, "as_published": 400_000},
}
"""Steps of either set-up; small nets, and their rates, are those of the mode collapse study. With the source's nets two cores
do a hundredth of its budget in an hour and a half, and in half an hour train small nets to the end: `full` is the source's
budget, some days there. All but `quick` keep the source's ten runs, since fewer could not tell so many pairs apart."""

EVALUATION = 2500
"""Samples a look, from the same latents at every look, as in the source."""


def as_published(packing: int) -> str:
    """Return the recipe's name."""
    return "recipe:pacgan_2d" + (f"_packed{packing}" if packing > 1 else "")


def small(packing: int) -> str:
    """Return the variant's name: the source's GAN is the non-saturating one."""
    return f"pacgan{packing}" if packing > 1 else "nsgan"


def experiments(profile: str) -> list[Experiment]:
    """Return the experiments of a profile: small nets data set by data set, then the source's."""
    p = PROFILES[profile]
    planned = []
    for steps, name, own in ((p["small"], small, NETS), (p["as_published"], as_published, {})):
        settings = {"seeds": p["seeds"], "steps": steps, "evaluation": EVALUATION, "every": max(1, steps // 20), **own}
        for data in DATA:
            for m in p["packings"]:
                batch = {"batch": NETS["batch"] * m} if own else {}  # as many sets as unpacked samples, as in the source
                planned.append(plan(name(m), data, **{**settings, **batch}))
    return planned


@pytest.mark.parametrize("packing", PACKINGS)
def test_block_of_steps(benchmark: BenchmarkFixture, packing: int) -> None:
    experiment = plan(as_published(packing), seeds=2, steps=BLOCK)
    game, data = build(experiment)
    benchmark.extra_info["member_steps"] = BLOCK * len(experiment.members())
    benchmark.pedantic(train, (game, data, experiment), {"watch": False}, rounds=3, warmup_rounds=1)
