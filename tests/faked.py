"""Diagnoses whose answer is planted, and runs that carry a plan, for tests of what is made of verdicts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ganlab.diagnoses import DIAGNOSES, MEMBER_COLUMNS
from ganlab.experiment import Experiment, Member, Run, outcome
from ganlab.planning import plan
from ganlab.registry import Entry

Fails = Callable[[Experiment, Member], bool | str]
"""Whether a member of an experiment fails; a text is a verdict, "inconclusive"."""

TINY: dict[str, Any] = {"hidden": (4,), "batch": 4, "evaluation": 16, "steps": 3}


def fake(monkeypatch: pytest.MonkeyPatch, checks: dict[str, Fails | str]) -> None:
    """Let these be the only diagnoses: a function that says who fails, or the sentence why it does not apply."""
    entries = {name: _entry(name, fails) for name, fails in checks.items()}
    monkeypatch.setattr(DIAGNOSES, "_entries", entries)


def _entry(name: str, fails: Fails | str) -> Entry[Any]:
    def check(run: Run) -> pd.DataFrame | str:
        if isinstance(fails, str):
            return fails
        rows = []
        for member in run.experiment.members():
            found = fails(run.experiment, member)
            verdict = found if isinstance(found, str) else "present" if found else "absent"
            rows.append((member.place, member.seed, verdict, 1.0 if found is True else np.nan, "planted"))
        return pd.DataFrame(rows, columns=list(MEMBER_COLUMNS))

    facts = {"title": name.replace("_", " ").capitalize(), "threshold": "planted", "advice": "none"}
    return Entry(name, check, "planted", "planted", facts)


def run_of(experiment: Experiment, seconds: float = 10.0) -> Run:
    """Return a run of which nothing was seen, for fake diagnoses."""
    table = pd.DataFrame(
        [("planted", m.place, m.seed, 0, "nothing", "", 0.0) for m in experiment.members()],
        columns=["run", "member", "seed", "step", "name", "index", "value"],
    )
    environment = {
        "seconds": seconds, "device_name": "planted", "device": "cpu", "cores": 2, "threads": 1, "torch": "2", "ganlab": "0",
        "python": "3", "system": "none", "dtype": "float32", "sources": {},
    }  # fmt: skip
    return Run(experiment, table, outcome(experiment, {}), {}, environment)


def planned(variant: str = "nsgan", seeds: int = 8, **settings: Any) -> Experiment:
    """Return a small experiment."""
    return plan(variant, "ring8", seeds=seeds, **{**TINY, **settings})
