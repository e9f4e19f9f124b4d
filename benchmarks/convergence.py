"""Which GAN methods converge, and which circle? Nets under every instrument, and games with known answers.

`pytest benchmarks/convergence.py` times a verdict of each method and a map; `nox -s convergence` runs the study.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from ganlab.dynamics.methods import METHODS
from ganlab.dynamics.verdicts import judge, two_time_scales
from ganlab.experiment import Experiment
from ganlab.planning import plan

PROFILES: dict[str, dict[str, Any]] = {
    "quick": {
        "variants": ("nsgan", "extra_adam", "r1gan"),
        "usual": {"seeds": 4, "steps": 800, "every": 8, "evaluation": 256, "hidden": (64, 64), "batch": 128},
    },
    "standard": {
        "variants": ("gan", "nsgan", "extra_adam", "optimistic_adam", "lookahead", "r1gan", "wgan_gp"),
        "usual": {"seeds": 12, "steps": 4000, "every": 20, "evaluation": 1000},
    },
    "full": {
        "variants": (
            "gan", "nsgan", "extra_adam", "optimistic_adam", "negative_momentum", "consensus", "lookahead", "ttur", "r1gan",
            "wgan", "wgan_gp",
        ),
        "usual": {"seeds": 36, "steps": 10_000, "every": 25, "evaluation": 1000},
    },
}  # fmt: skip
"""All with the usual rates of `ganlab.variants`; looks are many, since a cycle takes 48 in the second half of a run."""

CELLS = 22

DIRAC: tuple[list[float], list[float]] = (np.geomspace(0.03, 3, CELLS).tolist(), np.geomspace(0.1, 100, CELLS).tolist())
QUADRATIC: tuple[list[float], list[float]] = (np.geomspace(0.003, 0.2, CELLS).tolist(), np.geomspace(0.5, 10, CELLS).tolist())

MAPS: list[tuple[str, str, dict[str, float], list[float], list[float]]] = [
    ("quadratic game", "quadratic", {}, *QUADRATIC),
    ("GAN", "dirac_gan", {}, *DIRAC),
    ("GAN + R1 0.3", "dirac_gan", {"r1": 0.3}, *DIRAC),
    ("NS-GAN", "dirac_non_saturating", {}, *DIRAC),
]
"""Title, game, numbers, step sizes of the generator, and the discriminator's over them."""


def experiments(profile: str) -> list[Experiment]:
    """Return the experiments of a profile, one a variant, on the ring."""
    p = PROFILES[profile]
    return [plan(name, "ring8", rotation=True, **p["usual"]) for name in p["variants"]]


@pytest.mark.parametrize("name", METHODS)
def test_verdict(benchmark: BenchmarkFixture, name: str) -> None:
    method = METHODS[name]
    benchmark(judge, method.game, **method.numbers)


def test_map(benchmark: BenchmarkFixture) -> None:
    settings: Any = MAPS[0]
    benchmark(two_time_scales, settings[1], *settings[3:])
