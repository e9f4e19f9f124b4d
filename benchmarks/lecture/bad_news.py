"""Not all is good news: mode collapse and a diminished gradient, each beside its remedy. The runs are their studies'."""

from __future__ import annotations

import benchmarks.mode_collapse
import benchmarks.vanishing_gradients
from ganlab.experiment import Experiment

COLLAPSE = ("nsgan", "r3gan")
GRADIENT = ("gan", "nsgan", "wgan_gp")


def experiments(profile: str) -> list[Experiment]:
    """Return GANs that do and do not collapse on the ring, then frozen generators whose gradient does and does not go."""
    collapse = [e for e in benchmarks.mode_collapse.experiments(profile) if e.subject in COLLAPSE and e.data == "ring8"]
    frozen = benchmarks.vanishing_gradients.experiments(profile)
    return collapse + [e for e in frozen if e.subject in GRADIENT and e.settings["frozen_at"] == 0]
