"""Not all is good news: a GAN that collapses and never settles, and a gradient that goes, each beside its remedy."""

from __future__ import annotations

from typing import Any

from benchmarks.mode_collapse import NETS, VARIANTS
from ganlab.experiment import Experiment
from ganlab.planning import plan

LIVE = ("nsgan", "r3gan")
"""On the grid, with the nets and numbers of the study of mode collapse."""

FROZEN: dict[str, int] = {"gan": 1, "nsgan": 1, "wgan_gp": 5}
"""Losses of a generator that stands still, and their discriminator updates in a step."""

PROFILES: dict[str, dict[str, Any]] = {
    "quick": {"live": {"seeds": 10, "steps": 1200, "evaluation": 1000}, "seeds": 8, "updates": 600, "evaluation": 256},
    "standard": {"live": {"seeds": 20, "steps": 10_000}, "seeds": 20, "updates": 4000, "evaluation": 500},
    "full": {"live": {"seeds": 40, "steps": 30_000}, "seeds": 40, "updates": 4000, "evaluation": 500},
}
"""Seeds, steps and samples on the grid; seeds, discriminator updates and samples with a frozen generator."""


def experiments(profile: str) -> list[Experiment]:
    """Return the GAN that fails on the grid and its remedy, then the losses of a frozen generator on the ring."""
    p = PROFILES[profile]
    live = [plan(name, "grid25", **{**NETS, **VARIANTS[name], **p["live"]}) for name in LIVE]
    usual = {"seeds": p["seeds"], "evaluation": p["evaluation"], "hidden": (64, 64), "batch": 128, "frozen_at": 0}
    frozen = [plan(name, "ring8", steps=p["updates"] // k, every=50 // k, **usual) for name, k in FROZEN.items()]
    return live + frozen
