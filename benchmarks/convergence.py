"""Which GAN methods converge, and which circle? Games with known answers, every way of moving, and maps of two step sizes.

`pytest benchmarks/convergence.py` times a verdict of each method and a map; `nox -s convergence` writes the page.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from ganlab.dynamics.methods import METHODS
from ganlab.dynamics.verdicts import judge, two_time_scales

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


@pytest.mark.parametrize("name", METHODS)
def test_verdict(benchmark: BenchmarkFixture, name: str) -> None:
    method = METHODS[name]
    benchmark(judge, method.game, **method.numbers)


def test_map(benchmark: BenchmarkFixture) -> None:
    settings: Any = MAPS[0]
    benchmark(two_time_scales, settings[1], *settings[3:])
