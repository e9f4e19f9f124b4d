"""Remedies that were just seen to help: train what `proposal` says, on the same seeds, and judge in pairs.

What is not seen to help is not recommended, whatever its source says. Every answer is that of an exact test over seeds,
corrected for the number of remedies tried; too few seeds give "inconclusive" and how many more it would take.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from rich.console import Console
from scipy import stats as scipy_stats

from ganlab import stats
from ganlab.diagnoses import Diagnosis, diagnose
from ganlab.experiment import Run
from ganlab.proposal import SIGNIFICANT, Proposal, p_value, parts_of, propose
from ganlab.store import Store
from ganlab.sweep import sweep

Answer = Literal["helps", "trades one failure for another", "does not help", "inconclusive", "not applicable"]

WORTHWHILE = 0.5
"""A remedy that rescues fewer than this share of the failing seeds does not help; said when the exact binomial tail of what
was seen is at most 2.5 %."""

HORIZON = 100
"""How many times the seeds at hand are thought ahead when it is asked how many more would settle a comparison."""

SAME_MACHINE = ("device_name", "device", "cores", "threads", "torch")
"""What must be equal in two runs' environments for their seconds to be compared."""


@dataclass(frozen=True)
class Repair:
    """What was tried against a run's failures, and what came out.

    Parameters
    ----------
    runs
        The control first, then each arm, all on the same seeds.
    table
        One row a failure and remedy, see `judge`.
    """

    proposal: Proposal
    control: Run
    runs: tuple[Run, ...]
    table: pd.DataFrame

    def rows(self) -> list[dict[str, Any]]:
        """The rows of the table."""
        return [{str(name): value for name, value in row.items()} for row in self.table.to_dict("records")]

    @property
    def recommended(self) -> list[dict[str, Any]]:
        """The rows of the remedies that were seen to help, those with the fewest failures first."""
        return sorted((row for row in self.rows() if row["answer"] == "helps"), key=lambda row: row["failed_after"])

    def __repr__(self) -> str:
        return "\n".join(sentence(row) for row in self.rows())


def repair(
    run: Run, store: Store | str | Path = "runs", *, where: str | None = None, seeds: int | Sequence[int] | None = None,
    remedies: Sequence[str] = (), workers: int | None = None, block: int | None = None, console: Console | None = None,
) -> Repair:  # fmt: skip
    """Train the remedies named against what fails in a run, on the same seeds, and return what each changed.

    Parameters
    ----------
    store
        Where the trained runs go; what is there already is found. Stopped at any time, the same call continues.
    where
        Of a run with several values of a number, the combination to repair, such as "lr=0.001".
    seeds
        Other seeds than the run's own, or another number of them; the unchanged run is then trained on them too.
    remedies
        Names of remedies to try; none takes the first `MOST` that fit.

    Raises
    ------
    InputError
        When nothing fails, no remedy fits, or the run cannot be rebuilt from its settings.
    """
    return carry_out(propose(run, where=where, seeds=seeds, remedies=remedies), store, workers, block, console)


def carry_out(
    proposal: Proposal, store: Store | str | Path, workers: int | None = None, block: int | None = None,
    console: Console | None = None,
) -> Repair:  # fmt: skip
    """Train what a proposal says, as far as the store does not have it, and judge; arguments as of `repair`."""
    store = store if isinstance(store, Store) else Store(store)
    return judge(proposal, sweep(proposal.batches, store, workers, console, block))


# --- what came out ------------------------------------------------------------------------------------------------------


def judge(proposal: Proposal, trained: Sequence[Run]) -> Repair:
    """Return the paired comparison of each remedy with the control, from the trained batches.

    The table has one row a failure and remedy: failure, remedy, n (seeds judged in both), failed_before, failed_after, change
    with low and high, rescued, harmed, p_value (exact McNemar), corrected (Holm, over all rows), answer, more_seeds (that would
    settle an inconclusive answer, if what was seen goes on), new (failures of other kinds on seeds that had none), sick_before
    and sick_after (seeds that failed in any way), member_steps, seconds, cost (seconds a member-step relative to the control;
    nothing where machines differ), why.
    """
    parts = {part.experiment: part for batch in trained for part in parts_of(batch)}
    control = parts[proposal.control] if proposal.retrained else proposal.run
    before = {d.code: d for d in diagnose(control)}
    rows, runs = [], [control]
    for arm in proposal.arms:
        treated = parts[arm.experiment]
        runs.append(treated)
        after = {d.code: d for d in diagnose(treated)}
        shared = {"remedy": arm.remedy.name, **_costs(treated, control)}
        rows += [
            {"failure": d.code, **shared, **_paired(d.code, before, after)}
            for d in proposal.failing
            if d.code in arm.remedy.against
        ]
    table = pd.DataFrame(rows).sort_values("failure", kind="stable", ignore_index=True)
    table["corrected"] = stats.holm(table["p_value"])
    answers = [_answer(row, len(table)) for _, row in table.iterrows()]
    table["answer"], table["more_seeds"] = [a for a, _ in answers], [more for _, more in answers]
    return Repair(proposal, control, tuple(runs), table)


def advice(repair: Repair) -> str:
    """Return what is recommended: only what was seen to help."""
    n, found = len(repair.control.experiment.seeds), repair.recommended
    if not found:
        counts = repair.table["answer"].value_counts()
        said = ", ".join(f"{count} {answer}" for answer, count in counts.items())
        return f"Nothing is recommended: no remedy was seen to help on {n} seeds ({said})."
    texts = [
        f"{row['remedy']} ({row['failure'].replace('_', ' ')} on {row['failed_after']} in place of {row['failed_before']} of "
        f"{row['n']} seeds)"
        for row in found
    ]
    return f"Seen to help on {n} seeds: {'; '.join(texts)}."


def sentence(row: Mapping[str, Any]) -> str:
    """Return one row of the table in words."""
    head = f"{row['remedy']} against {row['failure'].replace('_', ' ')}: {row['answer']}"
    if row["answer"] == "not applicable":
        return f"{head}. {row['why']}"
    text = (
        f"{head}. Failed before {row['failed_before']} of {row['n']}, after {row['failed_after']}: change {row['change']:+.0%} "
        f"[{row['low']:+.0%}, {row['high']:+.0%}], p = {row['p_value']:.2g}, corrected {row['corrected']:.2g}"
    )
    if row["new"]:
        text += f"; new failures: {row['new']}"
    return "; ".join(part for part in (text, more_seeds(row)) if part)


def in_words(row: Mapping[str, Any]) -> dict[str, str]:
    """Return one row of the table as text by column, for a table on a terminal."""
    judged = row["n"] > 0
    return {
        "remedy": row["remedy"],
        "failure": row["failure"].replace("_", " "),
        "answer": row["answer"],
        "failed seeds": f"{row['failed_before']} to {row['failed_after']} of {row['n']}",
        "change": f"{row['change']:+.0%}" if judged else "",
        "95 % interval": f"{row['low']:+.0%} to {row['high']:+.0%}" if judged else "",
        "p": f"{row['p_value']:.2g}" if judged else "",
        "corrected": f"{row['corrected']:.2g}" if judged else "",
        "new failures": row["new"] or "none",
        "member-steps": f"{row['member_steps']}",
        "seconds": f"{row['seconds']:.0f}",
        "cost a member-step": f"x {row['cost']:.2g}" if np.isfinite(row["cost"]) else "not comparable",
        "remark": more_seeds(row) or row["why"],
    }


def more_seeds(row: Mapping[str, Any]) -> str:
    """Return how many more seeds would settle an inconclusive answer, in words; nothing for others."""
    if row["answer"] != "inconclusive":
        return ""
    more = row["more_seeds"]
    return f"about {more:g} more seeds would settle it" if np.isfinite(more) else "more seeds would hardly settle it"


def _costs(treated: Run, control: Run) -> dict[str, float]:
    """Return the member-steps and seconds of an arm, and the seconds a member-step relative to the control."""
    steps = [len(run.experiment.members()) * run.experiment.steps for run in (treated, control)]
    seconds = [float(run.environment.get("seconds", np.nan)) for run in (treated, control)]
    same = all(treated.environment.get(name) == control.environment.get(name) for name in SAME_MACHINE)
    cost = seconds[0] / steps[0] / (seconds[1] / steps[1]) if same and seconds[1] else np.nan
    return {"member_steps": steps[0], "seconds": seconds[0], "cost": cost}


def _paired(code: str, before: Mapping[str, Diagnosis], after: Mapping[str, Diagnosis]) -> dict[str, Any]:
    """Return how often a failure was there before and after, on the seeds that could be judged both times."""
    a, b = _failed(before[code]), _failed(after[code])
    seeds = a.index.intersection(b.index)
    a, b = a[seeds], b[seeds]
    rescued, harmed = int((a & ~b).sum()), int((b & ~a).sum())
    low, high = change_interval(int((a & b).sum()), rescued, harmed, int((~a & ~b).sum())) if len(seeds) else (np.nan, np.nan)
    others = {other: _failed(after[other]) & ~_failed(before[other]).reindex(_failed(after[other]).index, fill_value=False)
              for other in after if other != code}  # fmt: skip
    sick = [_sick(found, seeds) for found in (before, after)]
    return {
        "n": len(seeds), "failed_before": int(a.sum()), "failed_after": int(b.sum()), "rescued": rescued, "harmed": harmed,
        "change": float(b.mean() - a.mean()) if len(seeds) else np.nan, "low": low, "high": high,
        "p_value": stats.mcnemar(list(a), list(b)),
        "new": ", ".join(f"{other.replace('_', ' ')} on {found.sum()} seeds" for other, found in others.items() if found.any()),
        "sick_before": int(sick[0].sum()), "sick_after": int(sick[1].sum()),
        "why": "" if len(seeds) else f"with the remedy no seed can be judged: {after[code].evidence}",
    }  # fmt: skip


def _failed(d: Diagnosis) -> pd.Series:
    """Return whether each seed that could be judged failed, by seed."""
    judged = d.members[d.members["verdict"].isin(["present", "absent"])]
    return pd.Series((judged["verdict"] == "present").to_numpy(dtype=bool), index=judged["seed"].astype(int))


def _sick(found: Mapping[str, Diagnosis], seeds: pd.Index) -> pd.Series:
    """Return whether each seed failed in any way."""
    sick = pd.Series(False, index=seeds)
    for d in found.values():
        sick |= _failed(d).reindex(seeds, fill_value=False)
    return sick


def _answer(row: Mapping[str, Any] | pd.Series, m: int) -> tuple[Answer, float]:
    if not row["n"]:
        return "not applicable", np.nan
    rescued, harmed, failing, n = (row[name] for name in ("rescued", "harmed", "failed_before", "n"))
    answer = _told(rescued, harmed, failing, row["corrected"])
    if answer == "helps" and row["sick_after"] >= row["sick_before"]:
        return "trades one failure for another", np.nan
    if answer != "inconclusive":
        return answer, np.nan
    for total in range(n + 1, HORIZON * n):  # if what was seen goes on
        r, h, f = (round(count * total / n) for count in (rescued, harmed, failing))
        if _told(r, h, f, min(1.0, m * p_value(r, h))) != "inconclusive":
            return answer, float(total - n)
    return answer, np.inf


def _told(rescued: int, harmed: int, failing: int, corrected: float) -> Answer:
    if corrected <= SIGNIFICANT:
        return "helps" if rescued > harmed else "does not help"
    if scipy_stats.binom.cdf(rescued, failing, WORTHWHILE) <= SIGNIFICANT / 2:
        return "does not help"
    return "inconclusive"


def change_interval(both: int, rescued: int, harmed: int, neither: int, level: float = 0.95) -> tuple[float, float]:
    """Return the interval of the change in failure rate, after minus before, from seeds that failed both times, before only,
    after only, and never.

    Source: Newcombe 1998, Statistics in Medicine 17, 2635, method 10 (Wilson intervals of both rates, joined by their
    correlation).

    Example
    -------
    >>> [round(x, 2) for x in change_interval(0, 8, 0, 0)]
    [-1.0, -0.54]
    """
    n = both + rescued + harmed + neither
    before, after = (stats.rate(failures, n, level) for failures in (both + rescued, both + harmed))
    product = (both + rescued) * (harmed + neither) * (both + harmed) * (rescued + neither)
    agreement = float(both * neither - rescued * harmed)
    if agreement > 0:
        agreement = max(agreement - n / 2, 0.0)
    phi = agreement / math.sqrt(product) if product else 0.0

    def reach(a: float, b: float) -> float:
        return math.sqrt(max(a * a - 2 * phi * a * b + b * b, 0.0))

    change = after.estimate - before.estimate
    low = change - reach(after.estimate - after.low, before.high - before.estimate)
    high = change + reach(after.high - after.estimate, before.estimate - before.low)
    return max(low, -1.0), min(high, 1.0)
