"""How often the diagnoses are right: what they said about runs whose truth is known, counted.

A frame of judgements has one row a world, seed and diagnosis: `truth` and `flagged` are booleans, `said` the verdict, `delay`
the onset that was told less the true one, as a part of the run. An open truth has no row. Thresholds are tried on one half of
the families of causes and scored on the other, so that none is scored on what it was made on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd

from ganlab import stats
from ganlab.diagnoses import DIAGNOSES
from ganlab.experiment import Run

STRICTNESS = (0.25, 0.5, 0.71, 1.0, 1.41, 2.0, 4.0)
"""Factors that are tried on all thresholds of a diagnosis at once; above 1, more is needed to be flagged."""

NEAR = 0.1
"""Largest delay of an onset, as a part of the run, that counts as right."""

COLUMNS = ("world", "family", "half", "seed", "code", "strictness", "truth", "said", "flagged", "delay")


class Truth(Protocol):
    """What is known of a world, see `ganlab.planted.World`."""

    name: str
    family: str
    failures: Sequence[str]
    onset: float | None
    unknown: Sequence[str]


class Score(NamedTuple):
    """How often a diagnosis was right, over seeds of worlds."""

    code: str
    sensitivity: stats.Rate | None
    """Share of the failures that it found; None where there was none."""
    specificity: stats.Rate | None
    """Share of the sound seeds that it left alone."""
    near: stats.Rate | None
    """Share of the failures found whose onset was told within `NEAR` of the run."""
    delay: float
    """Median delay, as a part of the run; NaN where no onset is known."""
    missed: str
    """Worlds on which it was wrong."""


def halves(worlds: Iterable[Truth]) -> dict[str, str]:
    """Return "tried" or "scored" for each family: in turn within what they fail by, so that both halves have some of each."""
    places: dict[tuple[str, ...], list[str]] = {}
    for world in worlds:
        kind = tuple(world.failures)
        if world.family not in places.setdefault(kind, []) and not any(world.family in found for found in places.values()):
            places[kind].append(world.family)
    return {family: ("tried", "scored")[i % 2] for found in places.values() for i, family in enumerate(found)}


def judgements(worlds: Sequence[Truth], runs: Sequence[Run], strictness: Sequence[float] = STRICTNESS) -> pd.DataFrame:
    """Return what every diagnosis says about these worlds, for each strictness."""
    half = halves(worlds)
    rows = []
    for world, run in zip(worlds, runs, strict=True):
        for code in DIAGNOSES:
            if code in world.unknown:
                continue
            for factor in strictness:
                found = DIAGNOSES[code](run, factor)
                if isinstance(found, str):
                    continue
                for row in found.to_dict("records"):
                    truth, flagged = code in world.failures, row["verdict"] == "present"
                    known = truth and flagged and world.onset is not None
                    delay = row["onset"] / run.experiment.steps - (world.onset or 0.0) if known else np.nan
                    where = world.name, world.family, half[world.family], row["seed"], code, factor
                    rows.append((*where, truth, row["verdict"], flagged, delay))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def scores(frame: pd.DataFrame) -> list[Score]:
    """Return how often each diagnosis was right, over the rows of a frame."""
    found = []
    for code, rows in frame.groupby("code", sort=False):
        failed, sound = rows[rows["truth"]], rows[~rows["truth"]]
        dated = failed["delay"].dropna()
        wrong = rows[rows["truth"] != rows["flagged"]]["world"].unique()
        found.append(
            Score(
                str(code), _rate(failed["flagged"]), _rate(~sound["flagged"]), _rate(dated.abs() <= NEAR + 1e-9),
                float(dated.median()) if len(dated) else np.nan, "; ".join(wrong),
            )
        )  # fmt: skip
    return found


def _rate(right: pd.Series) -> stats.Rate | None:
    return stats.rate(int(right.sum()), len(right)) if len(right) else None


def balanced(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the mean of sensitivity and specificity by code and strictness: code, strictness, half, balanced, n."""
    rows = []
    for (code, half, factor), part in frame.groupby(["code", "half", "strictness"], sort=False):
        sides = [part[part["truth"] == truth] for truth in (True, False)]
        shares = [float((side["truth"] == side["flagged"]).mean()) for side in sides if len(side)]
        rows.append((code, half, factor, float(np.mean(shares)), len(part)))
    return pd.DataFrame(rows, columns=["code", "half", "strictness", "balanced", "n"])
