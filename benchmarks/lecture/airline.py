"""The airline's passengers: recurrent nets and an MLP, two leaks, a random walk, and sequences that are written."""

from __future__ import annotations

from typing import Any

from ganlab.experiment import Experiment
from ganlab.learning import plan

SEEDS = {"quick": (20, 8), "standard": (50, 50), "full": (200, 200)}
"""Of the LSTM, whose share of seeds that beat persistence is asked for; and of all else."""

RECURRENT: dict[str, Any] = {"hidden": 32, "lr": 2e-2, "batch": 16, "steps": 500, "every": 50}
"""The best of a dozen settings by the error on these very months: how well such nets can do, not how well a first try does."""

MLP: dict[str, Any] = {"hidden": (32,), "lr": 1e-2, "batch": 16, "steps": 300}

LONG = {"hidden": 32, "steps": 1000}
WRITING = {"quick": {"hidden": 16, "steps": 200}, "standard": LONG, "full": LONG}
"""Of the nets that write sequences."""

WAVES = ("waves_from_number", "waves_continued")
"""One-to-many and sequence-to-sequence."""


def experiments(profile: str) -> list[Experiment]:
    """Return the experiments of a profile."""
    many, few = SEEDS[profile]
    writing: dict[str, Any] = {"lr": 2e-2, "batch": 16, "every": 100, **WRITING[profile]}
    return [
        plan("lstm", "airline", seeds=many, **RECURRENT),
        *(plan(net, "airline", seeds=few, **RECURRENT) for net in ("gru", "rnn")),
        plan("mlp", "airline", seeds=few, **MLP),
        plan("lstm", "airline", seeds=few, scaling="whole", **RECURRENT),
        plan("lstm", "airline_windows", seeds=few, **RECURRENT),
        plan("mlp", "random_walk", seeds=few, **MLP),
        *(plan(net, data, seeds=few, **writing) for data in WAVES for net in ("gru", "lstm", "rnn")),
    ]
