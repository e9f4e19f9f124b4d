"""Breast cancer prediction: MLP and logistic regression, scaled and unscaled, and an MLP on shuffled labels."""

from __future__ import annotations

from typing import Any

from ganlab.experiment import Experiment
from ganlab.learning import plan

PROFILES: dict[str, dict[str, Any]] = {"quick": {"seeds": 20}, "standard": {"seeds": 100}, "full": {"seeds": 400}}
"""A seed is a stratified split of its own, the same for all nets."""

TRAINING: dict[str, Any] = {"lr": 1e-2, "batch": 64, "steps": 150, "every": 15}

HIDDEN = (16,)


def experiments(profile: str) -> list[Experiment]:
    """Return the experiments of a profile."""
    usual = {**TRAINING, **PROFILES[profile]}
    return [
        *(plan("mlp", "breast_cancer", hidden=HIDDEN, scaling=scaling, **usual) for scaling in ("train", "none")),
        *(plan("linear", "breast_cancer", scaling=scaling, **usual) for scaling in ("train", "none")),
        plan("mlp", "breast_cancer", hidden=HIDDEN, shuffled=True, **usual),
    ]
