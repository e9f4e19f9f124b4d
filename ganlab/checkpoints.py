"""Which of a run's looks was best, and whether to go on: by a score that knows nothing of the domain, beside its noise.

A score of one run is no rate and no comparison of methods: it says which checkpoint of this run to keep.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats as scipy_stats

from ganlab import trace
from ganlab.diagnoses import verdicts_of
from ganlab.experiment import Run
from ganlab.registry import InputError

PARTS = ("distance", "missed", "narrow")
"""What the score is the sum of, see `rank`."""

SOUND = 0.989
"""Share of good samples of a perfect sampler: within 3 std of a mode in the plane; as near to the data as 99 % of real ones."""

REPEATS = 400
"""Second real samples that are simulated: ten in each tail of 2.5 %."""

DIRECTIONS = 16
"""Of sliced distances, as the probes take them."""

LOOKS = 15
"""Fewest looks from which advice follows, five in each third: five fall in a row by chance once in 120 times."""

STEADILY = -0.7
"""Rank correlation of score and step, over the last third, from which the score falls steadily; as for `non_convergence`."""

TYPICAL = 3
"""Looks whose median tells where the score is, so that one odd look decides nothing."""

Scores = NDArray[np.float64]


class Perfect(NamedTuple):
    """What a second sample of real data scores in place of generated ones: 95 % of them lie between `low` and `high`."""

    low: float
    mean: float
    high: float

    @property
    def tie(self) -> float:
        """Scores that differ by less are ties: so far apart are two samplers that are both perfect."""
        return self.high - self.low


@dataclass(frozen=True)
class Ranking:
    """Looks, or checkpoints, with their scores, and what of it is more than noise; printable."""

    frame: pd.DataFrame = field(repr=False)
    """One row a look or checkpoint, see `rank`."""
    perfect: Perfect

    @property
    def best(self) -> int:
        """The step with the best score; others may be as good, see `tied`."""
        return int(self._row["step"])

    @property
    def tied(self) -> list[int]:
        """The steps that cannot be told from the best one."""
        return [int(step) for step in self.frame["step"][self.frame["rank"] == 1]]

    @property
    def _row(self) -> dict[str, float]:
        place = int(np.nanargmin(self.frame["score"].to_numpy()))
        return {name: float(self.frame[name].to_numpy()[place]) for name in ("step", "score", *PARTS)}

    def __repr__(self) -> str:
        row = self._row
        parts = ", ".join(f"{name} {row[name]:.2f}" for name in PARTS)
        others = len(self.tied) - 1
        where = f"between steps {min(self.tied)} and {max(self.tied)}"
        said = f"; {others} others, {where}, cannot be told from it" if others else ""
        return (
            f"best at step {self.best}: score {row['score']:.2f} ({parts}){said}. A second real sample scores "
            f"{self.perfect.low:.2f} to {self.perfect.high:.2f}; scores within {self.perfect.tie:.2f} are ties. "
            f"{self._looked()}One seed"
        )

    def _looked(self) -> str:
        """Return how far checkpoints are from the looks whose scores they are given; nothing where looks are ranked."""
        if "away" not in self.frame:
            return ""
        steps, found, away = (self.frame[name].to_numpy() for name in ("step", "look", "away"))
        best, farthest = int(np.flatnonzero(steps == self.best)[0]), int(away.argmax())
        said = f"Scores are those of the nearest looks: of step {found[best]} for the best, {away[best]} away"
        if away[farthest] > away[best]:
            said += f", and at most {away[farthest]} away, for step {steps[farthest]}"
        return f"{said}. "


def rank(run: Any, steps: Sequence[int] | None = None, member: int = 0) -> Ranking:
    """Return the looks of one member of a run, or its checkpoints, with their scores and ranks; a lower score is better.

    The score is the sum of three parts, each 0 for the data themselves and about 1 for samples that have nothing of them:

    - `distance`: sliced Wasserstein distance to real samples, in standard deviations of the data;
    - `missed`: 1 - sum_k min(p_k, q_k), the share of the data that is not made: q_k is what mode or cell k is due, p_k the
      share of all samples that are good and lie in it;
    - `narrow`: what the spread, inside modes or overall, or the diversity falls short of the data's, as a part of it.

    Parts that the run does not have are left out of the sum, and are NaN in the frame. All looks of a run have the same latents
    and real samples, so that their scores differ by the nets alone. Two scores are told apart when they differ by more than
    95 % of second real samples do among each other, which is strict: `rank` is 1 + the number of looks that are better by more.

    Parameters
    ----------
    run
        A run, or a recorder.
    steps
        Where checkpoints were saved: each is given the score of the look nearest to it, and `away`, how many steps that is.
        None ranks all looks.
    member
        Which member of the run.

    Returns
    -------
    Ranking
        Its frame has the columns step, score, distance, missed, narrow, rank, and with steps `look` and `away`; in order of
        steps.

    Raises
    ------
    InputError
        For a run without distances or real samples, a member that there is not, or steps that are none.

    Source
    ------
    Sliced distance: Rabin et al. 2012. Overlap of two histograms, which is 1 - missed: Swain and Ballard 1991. The sum: ganlab.
    """
    run = _run(run, member)
    looks, parts = _parts(run, member)
    score = np.nansum(parts, axis=0)
    score[np.isnan(parts[0])] = np.nan  # samples that are not finite
    perfect = _perfect(run, member)
    frame = pd.DataFrame({"step": looks, "score": score, **dict(zip(PARTS, parts, strict=True))})
    if steps is not None:
        if not len(steps) or any(not isinstance(step, int | np.integer) or step < 0 for step in steps):
            raise InputError(f"steps must be whole numbers of at least 0, where checkpoints were saved; got {steps!r}")
        saved = np.unique(np.asarray(steps, dtype=int))
        nearest = np.abs(looks[None] - saved[:, None]).argmin(1)
        frame = frame.iloc[nearest].reset_index(drop=True).rename(columns={"step": "look"})
        frame.insert(0, "step", saved)
        frame["away"] = np.abs(frame["look"] - frame["step"])
    if frame["score"].isna().all():
        raise InputError("none of these looks has a score: no sample was finite")
    values = frame["score"].to_numpy()
    better = values[None] < values[:, None] - perfect.tie
    frame["rank"] = np.where(np.isnan(values), len(values), 1 + better.sum(1))
    return Ranking(frame[["step", "score", *PARTS, "rank", *(["look", "away"] if steps is not None else [])]], perfect)


@dataclass(frozen=True)
class Advice:
    """Whether to train on, why, and which step to keep; printable."""

    do: Literal["go on", "stop", "too early to tell"]
    why: str
    since: float
    """Step since when that holds; NaN where nothing does."""
    ranking: Ranking = field(repr=False)

    def __repr__(self) -> str:
        return f"{self.do}: {self.why}. {self.ranking!r}"


def advice(run: Any, member: int = 0) -> Advice:
    """Return whether one member of a run should be trained on, with the evidence.

    In this order: stop what diverged; go on while the score (see `rank`) falls steadily over the last third of the looks and is
    lower than ever, by more than it usually moves from look to look; stop what collapsed, what was better before, what is as
    good as a second real sample, and what has not improved. A score that stands may fall later, and one seed is no rule for
    others.

    Raises
    ------
    InputError
        As `rank`.

    Example
    -------
    >>> import ganlab
    >>> run = ganlab.run("nsgan", "ring8", seeds=1, steps=10, hidden=(8,), batch=16)
    >>> advice(run).do
    'too early to tell'
    """
    run = _run(run, member)
    verdicts = verdicts_of(run, member)
    diverged, collapsed = verdicts["divergence"], verdicts["mode_collapse"]
    ranking = rank(run, member=member)
    steps, score = (ranking.frame[name].to_numpy() for name in ("step", "score"))
    if diverged.verdict == "present":
        return Advice("stop", f"diverged since step {diverged.onset:g}: {diverged.evidence}", diverged.onset, ranking)
    if len(steps) < LOOKS:
        return Advice("too early to tell", f"{len(steps)} looks are too few; {LOOKS} would do", np.nan, ranking)
    typical = _typical(score)
    third = len(steps) // 3
    rho = float(scipy_stats.spearmanr(steps[-third:], score[-third:]).statistic) if np.ptp(score[-third:]) > 0 else 0.0
    perfect, tie = ranking.perfect, ranking.perfect.tie
    trembles = float(np.nanmedian(np.abs(np.diff(score))))
    if rho < STEADILY and typical[-1] < typical[:-third].min() - trembles and typical[-1] > perfect.high:
        fell = f"from {typical[-third - 1]:.2f} to {typical[-1]:.2f}"
        why = f"the score falls, {fell} in the last third (rank correlation {rho:.2f})"
        still = f"; mode collapse is there since step {collapsed.onset:g}" if collapsed.verdict == "present" else ""
        return Advice("go on", why + still, float(steps[-third]), ranking)
    if collapsed.verdict == "present":
        return Advice("stop", f"collapsed since step {collapsed.onset:g}: {collapsed.evidence}", collapsed.onset, ranking)
    if typical[-1] > typical.min() + tie:
        since = steps[np.flatnonzero(typical <= typical.min() + tie)[-1] + 1]
        why = f"it gets worse since step {since}: the score went from {typical.min():.2f} to {typical[-1]:.2f}"
        return Advice("stop", why, float(since), ranking)
    since = steps[np.flatnonzero(typical <= typical.min() + tie)[0]]
    band = f"{perfect.low:.2f} to {perfect.high:.2f}"
    good = f"as good as a second real sample, {band}," if typical[-1] <= perfect.high else "nothing has improved"
    why = f"{good} since step {since}: the score is {typical[-1]:.2f}, and what it gained since is within the tie of {tie:.2f}"
    return Advice("stop", why, float(since), ranking)


# --- the score -----------------------------------------------------------------------------------------------------------


def _run(run: Any, member: int) -> Run:
    found = getattr(run, "run", run)
    if not isinstance(found, Run):
        raise InputError(f"what is ranked is a run or a recorder; got {type(run).__name__}")
    if member not in found.outcome["member"].tolist():
        raise InputError(f"member must be one of 0 to {len(found.outcome) - 1}; got {member!r}")
    if "distance" not in set(found.trace["name"]) or not len(found.samples.get("real", ())):
        raise InputError("the run has no distances to real samples, or keeps none; only runs of samples can be ranked")
    return found


def _parts(run: Run, member: int) -> tuple[NDArray[np.int64], Scores]:
    """Return the steps of the looks, and the parts of their scores `[part, look]`, NaN where the run does not have one."""
    known = set(run.trace["name"])
    distance = trace.wide(run.trace, "distance")[member]
    found = distance.index.to_numpy()

    def read(name: str, index: str = "") -> Scores:
        values = trace.wide(run.trace, name, index) if name in known else None
        return np.full(len(found), np.nan) if values is None else values[member].reindex(found).to_numpy(dtype=float)

    of = "mode" if "mode_count" in known else "cell"
    missed = np.full(len(found), np.nan)
    if f"{of}_count" in known:
        counts, due = (trace.by_part(run.trace, f"{of}_{what}")[:, member] for what in ("count", "due"))
        good = read("high_quality_share", "default") if of == "mode" else read("near_share")
        share = counts / np.maximum(counts.sum(1, keepdims=True), 1) * good[:, None]
        expected = _shares(due)
        missed = 1 - np.minimum(share, expected).sum(1)
    spreads = [read(name) for name in ("spread_overall", f"spread_within_{of}s", "diversity")]
    narrow = np.maximum(0, 1 - np.fmin.reduce(spreads))
    return found, np.stack([distance.to_numpy(dtype=float), missed, narrow])


def _shares(due: Scores) -> Scores:
    """Return what each mode or cell is due as a share, `[part]`, from the look at which most was counted."""
    most = due[np.nanargmax(due.sum(1))] if np.isfinite(due.sum(1)).any() else np.ones(due.shape[1])
    return np.asarray(most / max(most.sum(), 1e-9))


def _perfect(run: Run, member: int) -> Perfect:
    """Return the band of the score of a second real sample, drawn like the first from the real samples that the run keeps.

    Two samples drawn with replacement from the same real ones are as far apart as two drawn from their law, up to the number of
    real ones kept. The dice are fixed: a run has one band.
    """
    dice = np.random.default_rng(0)
    real = np.asarray(run.samples["real"], dtype=float).reshape(len(run.samples["real"]), -1)
    n, d = real.shape
    centre = real.mean(0)
    unit = float(np.sqrt(np.square(real - centre).sum(1).mean() / d)) or 1.0
    directions = dice.standard_normal((DIRECTIONS, d))
    along = (directions / np.linalg.norm(directions, axis=1, keepdims=True)) @ real.T
    from_centre = np.square(real - centre).sum(1)
    n_counted = int(run.experiment.settings.get("evaluation", n))
    known = set(run.trace["name"])
    of = next((f"{kind}_due" for kind in ("mode", "cell") if f"{kind}_due" in known), None)
    share = None if of is None else _shares(trace.by_part(run.trace, of)[:, member])
    scores = np.zeros(REPEATS)
    for i in range(REPEATS):
        one, other = dice.integers(0, n, (2, n))
        scores[i] = np.abs(np.sort(along[:, one]) - np.sort(along[:, other])).mean() / unit
        spread = np.sqrt(from_centre[other].mean() / from_centre.mean()) if from_centre.any() else 1.0
        scores[i] += max(0.0, 1 - spread)
        if share is not None:
            counted = dice.multinomial(n_counted, np.append(SOUND * share, 1 - SOUND * share.sum()).clip(0))[:-1]
            scores[i] += 1 - np.minimum(counted / n_counted, share).sum()
    low, high = np.quantile(scores, [0.025, 0.975])
    return Perfect(float(low), float(scores.mean()), float(high))


def _typical(score: Scores) -> Scores:
    """Return, for each look, the median score of the looks that end there."""
    worst = np.nan_to_num(score, nan=np.inf)
    padded = np.concatenate([np.repeat(worst[:1], TYPICAL - 1), worst])
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, TYPICAL), axis=1)
