"""Parts of a run that were trained apart are joined into the run that was trained together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ganlab import trace
from ganlab.experiment import Experiment, Run, join, outcome
from ganlab.registry import InputError

EXPERIMENT = Experiment("gan", "nsgan", "ring8", (5, 3, 9), 20, 10, {}, {"lr": (0.1, 0.2), "beta1": (0.5,)})
STEPS = [0, 10, 20]


def trained(places: Sequence[int] | None = None, experiment: Experiment = EXPERIMENT, **environment: Any) -> Run:
    """A run, or a part of one, whose numbers spell out where they belong: place, step and part."""
    members = experiment.members(places)
    where, when = np.array([m.place for m in members], dtype=float), np.array(STEPS, dtype=float)
    values = (1000 * where[None, :, None] + when[:, None, None]) + np.arange(3.0)
    quantities = [("norm", ["b", "a", "c"], values), ("loss", [""], -values[..., :1])]
    table = trace.tidy(experiment.id, [m.seed for m in members], STEPS, quantities, [m.place for m in members])
    faults = {m.place: (7, "generator loss") for m in members if m.place in (1, 4)}
    samples = {"generated": np.tile(where[:, None, None], (1, 2, 5)), "real": np.arange(4.0), "generator": where[:, None]}
    return Run(experiment, table, outcome(experiment, faults, places), samples, {"torch": "2", "seconds": 1.5, **environment})


@pytest.mark.parametrize(
    "split", [[range(6)], [range(3), range(3, 6)], [range(4, 6), range(4)], [[5], [0], [2, 3], [1, 4]]]
)
def test_joined_parts_are_the_run_trained_together(split: list[Sequence[int]]) -> None:
    together, joined = trained(), join([trained(places) for places in split])
    assert joined.experiment == together.experiment
    pd.testing.assert_frame_equal(joined.trace, together.trace, check_exact=True)
    pd.testing.assert_frame_equal(joined.outcome, together.outcome, check_exact=True)
    assert set(joined.samples) == set(together.samples)
    for name, array in together.samples.items():
        np.testing.assert_array_equal(joined.samples[name], array, strict=True)
    assert sorted(joined.environment["block"]) == sorted(map(len, split))


def test_a_joined_environment_adds_seconds_and_tells_what_differs() -> None:
    parts = [trained([0, 1], cores=2), trained([2, 3, 4], cores=4), trained([5], cores=2)]
    assert join(parts).environment == {"torch": "2", "seconds": 4.5, "cores": [2, 4], "block": [2, 3, 1]}


def test_a_part_has_the_true_places_seeds_and_numbers() -> None:
    part = trained([2, 4])
    assert list(part.outcome[["member", "seed", "lr"]].itertuples(index=False, name=None)) == [(2, 9, 0.1), (4, 3, 0.2)]
    assert list(part.outcome["status"]) == ["finished", "diverged"]
    assert set(zip(part.trace["member"], part.trace["seed"], strict=True)) == {(2, 9), (4, 3)}


def test_parts_that_do_not_make_a_run_are_refused() -> None:
    other = replace(EXPERIMENT, steps=21)
    for parts in (
        [trained([0, 1, 2])],
        [trained([0, 1, 2]), trained([2, 3, 4, 5])],
        [trained([0, 1, 2]), trained([3, 4, 5], other)],
    ):
        with pytest.raises(ValueError, match="the parts must have the 6 members of one experiment"):
            join(parts)


@pytest.mark.parametrize("places", [[], [6], [-1], [1, 0], [2, 2]])
def test_places_that_there_are_not_are_refused(places: list[int]) -> None:
    with pytest.raises(InputError, match=r"places must be rising whole numbers from 0 to 5; got \["):
        EXPERIMENT.members(places)
