"""Deep learning for regression: a noisy curve, and scikit-learn's diabetes."""

from __future__ import annotations

from typing import Any

from ganlab.experiment import Experiment
from ganlab.learning import plan

PROFILES: dict[str, dict[str, Any]] = {"quick": {"seeds": 20}, "standard": {"seeds": 50}, "full": {"seeds": 200}}

NETS: dict[str, dict[str, Any]] = {
    "noisy_curve": {"hidden": (32, 32), "lr": 1e-2, "batch": 32, "steps": 600},
    "diabetes": {"hidden": (32, 32), "lr": 3e-3, "batch": 32, "steps": 100},
}
"""A deep net for each data set; on the 353 patients of diabetes more steps only learn their noise."""


def experiments(profile: str) -> list[Experiment]:
    """Return an MLP on each data set; the line that it is held against is fitted beside it."""
    return [plan("mlp", data, **settings, **PROFILES[profile]) for data, settings in NETS.items()]
