"""Diagnoses: named checks of a run's table, each with an honest answer and a rate over seeds.

A check looks at a `Run` and gives a frame with one row a member - verdict, onset, evidence - or says in a sentence why it
does not apply. The rate, its interval and the claim about it are added here, the same for all. One failure mode a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from ganlab import stats, trace
from ganlab.experiment import Run
from ganlab.registry import InputError, Registry

Verdict = Literal["present", "absent", "inconclusive", "not applicable"]

MEMBER_COLUMNS = ("member", "seed", "verdict", "onset", "evidence")

Check = Callable[..., pd.DataFrame | str]
DIAGNOSES: Registry[Check] = Registry("diagnosis")
"""From a run, and `strictness=1.0`, a factor on all its thresholds at once: above 1, more is needed to be flagged. Each is
registered with the facts `title`, `threshold` and `advice`, texts for people."""


@dataclass(frozen=True)
class Diagnosis:
    """One failure mode of one run, for one combination of its numbers.

    `verdict` is a claim about the failure rate over seeds: "present" when the seeds show that it lies above
    `stats.TOLERATED_RATE`, "absent" when below, "inconclusive" when they are too few for either, "not applicable" when the
    check does not fit the run (`evidence` says why). What happened on each seed is in `members`, whatever the claim.
    """

    code: str
    title: str
    where: str
    verdict: Verdict
    rate: float
    interval: tuple[float, float]
    failures: int
    n: int
    onset: float
    evidence: str
    threshold: str
    advice: str
    source: str
    members: pd.DataFrame = field(repr=False)


class Diagnoses:
    """The diagnoses of a run: iterable, by code (`diagnoses["mode_collapse"]`), and printable as a table."""

    def __init__(self, items: list[Diagnosis]) -> None:
        self._items = items

    def __iter__(self) -> Iterator[Diagnosis]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, key: str | tuple[str, str]) -> Diagnosis:
        code, where = key if isinstance(key, tuple) else (key, None)
        DIAGNOSES.entry(code)
        found = [d for d in self._items if d.code == code and where in (None, d.where)]
        if len(found) != 1:
            places = ", ".join(repr((d.code, d.where)) for d in self._items if d.code == code)
            raise InputError(f"{key!r} names {len(found)} diagnoses of this run; take one of {places}")
        return found[0]

    def frame(self) -> pd.DataFrame:
        """Return one row a diagnosis: code, where, verdict, failures, n, rate, low, high, onset, evidence."""
        names = ("code", "where", "verdict", "failures", "n", "rate", "onset", "evidence")
        rows = [{name: getattr(d, name) for name in names} | {"low": d.interval[0], "high": d.interval[1]} for d in self]
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        lines = []
        for d in self:
            place = f" ({d.where})" if d.where else ""
            lines.append(f"{d.title}{place}: {d.verdict}. {d.evidence}")
        return "\n".join(lines)


def diagnose(run: Run) -> Diagnoses:
    """Return the verdict of every registered diagnosis on a run, for each combination of its numbers.

    Example
    -------
    >>> import ganlab
    >>> run = ganlab.run("nsgan", "ring8", seeds=2, steps=10, hidden=(8,), batch=16)
    >>> diagnose(run)["mode_collapse"].n
    2
    """
    items = []
    for entry in DIAGNOSES.entries():
        found = entry.thing(run)
        for where, places in run.groups():
            texts = {name: entry.facts[name] for name in ("title", "threshold", "advice")}
            if isinstance(found, str):
                items.append(
                    Diagnosis(
                        entry.name, where=where, verdict="not applicable", rate=np.nan, interval=(np.nan, np.nan),
                        failures=0, n=0, onset=np.nan, evidence=found, source=entry.source,
                        members=pd.DataFrame(columns=list(MEMBER_COLUMNS)), **texts,
                    )
                )  # fmt: skip
            else:
                mine = found[found["member"].isin(places)].reset_index(drop=True)
                items.append(_over_seeds(entry.name, where, mine, entry.source, texts))
    return Diagnoses(items)


@dataclass(frozen=True)
class OneVerdict:
    """What a diagnosis says of one run of one seed; no rate follows from it."""

    code: str
    title: str
    verdict: Verdict
    onset: float
    """Step since when; NaN unless present."""
    evidence: str
    threshold: str
    advice: str
    source: str


class Verdicts(Mapping[str, OneVerdict]):
    """Verdicts on one seed, by the code of the diagnosis, and printable."""

    def __init__(self, found: Mapping[str, OneVerdict], looked: str, quality: str = "") -> None:
        self._found, self._looked = dict(found), looked
        self.quality = quality
        """How many samples are any good, in words: bad ones are not a failure by themselves."""

    def __getitem__(self, code: str) -> OneVerdict:
        DIAGNOSES.entry(code)
        return self._found[code]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    @property
    def present(self) -> list[OneVerdict]:
        """The failures that are there."""
        return [one for one in self._found.values() if one.verdict == "present"]

    def named(self) -> str:
        """Return the failures that are there, with the step since when."""
        named = ", ".join(f"{one.title.lower()} since step {one.onset:g}" for one in self.present)
        return named or ("no failure" if any(one.verdict == "absent" for one in self._found.values()) else "too early to tell")

    def line(self) -> str:
        """Return the failures that are there and how good the samples are, in one line."""
        return "; ".join(part for part in (self.named(), self.quality) if part)

    def __repr__(self) -> str:
        lines = []
        for one in self._found.values():
            since = f" since step {one.onset:g}" if one.verdict == "present" else ""
            lines.append(f"{one.title}: {one.verdict}{since}. {one.evidence}")
            lines += [f"    {one.advice}"] if one.verdict == "present" else []
        quality = f"Quality: {self.quality}. Bad samples are by themselves no failure." if self.quality else ""
        return "\n".join(part for part in (*lines, quality, self._looked) if part)


def verdicts_of(run: Run, member: int = 0) -> Verdicts:
    """Return what every diagnosis says of one member of a run: a named failure waits for no more seeds, its rate does."""
    found = {}
    for entry in DIAGNOSES.entries():
        said = entry.thing(run)
        texts = {name: entry.facts[name] for name in ("title", "threshold", "advice")}
        if isinstance(said, str):
            told: tuple[Any, ...] = "not applicable", np.nan, said
        else:
            row = said[said["member"] == member].iloc[0]
            told = row["verdict"], row["onset"], row["evidence"]
        texts |= dict(zip(("verdict", "onset", "evidence"), told, strict=True))
        found[entry.name] = OneVerdict(entry.name, source=entry.source, **texts)
    n, every, asked = run.trace["step"].nunique(), run.experiment.every, run.environment.get("every_asked", np.inf)
    fewer = f" and not {asked} as asked, for their number or cost (cost=1 allows any)" if every > asked else ""
    return Verdicts(
        found,
        f"From {n} looks, {every} steps apart{fewer}, at one seed: how often this happens takes more of them, "
        "as by ganlab.repeat(train, seeds=32)." + "".join(f"\nNote: {note}." for note in run.environment.get("notes", [])),
        _quality(run, member),
    )


def undecided(why: str) -> Verdicts:
    """Return verdicts that say nothing yet, and why."""
    found = {}
    for entry in DIAGNOSES.entries():
        texts = {name: entry.facts[name] for name in ("title", "threshold", "advice")} | {"source": entry.source}
        found[entry.name] = OneVerdict(entry.name, verdict="inconclusive", onset=np.nan, evidence=why, **texts)
    return Verdicts(found, "")


def _quality(run: Run, member: int) -> str:
    """Return the share of samples that are any good at the last step; nothing where it was not counted."""
    for name, index, said in (("high_quality_share", "default", "of high quality"), ("near_share", "", "near the data")):
        if ((run.trace["name"] == name) & (run.trace["index"] == index)).any():
            share = trace.last(run.trace, name, index).get(member, np.nan)
            return f"{share:.0%} of samples {said}" if np.isfinite(share) else ""
    return ""


def _over_seeds(code: str, where: str, members: pd.DataFrame, source: str, texts: dict[str, str]) -> Diagnosis:
    judged = members[members["verdict"].isin(["present", "absent"])]
    failures, n = int((judged["verdict"] == "present").sum()), len(judged)
    if n == 0:
        verdict: Verdict = "inconclusive"
        rate, interval = np.nan, (np.nan, np.nan)
        evidence = f"no seed could be judged: {members['evidence'].iloc[0]}"
    else:
        estimate = stats.rate(failures, n)
        verdict, rate, interval = stats.claim(failures, n), estimate.estimate, (estimate.low, estimate.high)
        evidence = f"{failures} of {n} seeds failed, {rate:.0%} with 95 % interval {interval[0]:.0%} to {interval[1]:.0%}"
        if verdict == "inconclusive":
            more = stats.more_seeds_to_claim(failures, n)
            settled = "no number of seeds" if more is None else f"about {n + more} seeds"
            evidence += (
                f"; too few to say whether more or fewer than {stats.TOLERATED_RATE:.0%} fail "
                f"(at this rate {settled} would tell)"
            )
    onset = float(judged.loc[judged["verdict"] == "present", "onset"].median()) if failures else np.nan
    return Diagnosis(code, where=where, verdict=verdict, rate=rate, interval=interval, failures=failures, n=n,
                     onset=onset, evidence=evidence, source=source, members=members, **texts)  # fmt: skip


SCORES = (
    ("high_quality_share", "default"), ("modes_covered", "default"), ("kl_off_mode", ""), ("near_share", ""),
    ("cells_covered", ""), ("test_accuracy", ""), ("test_rmse", ""),
)  # fmt: skip
"""What two runs are compared by at their last step, where they have it."""

RATE = " rate"
"""How the name of a quantity ends that counts failed seeds."""


ALPHA = 0.05
"""Share of tables, of failures and of scores each, in which a variant compared with itself may be called different."""


def compare(a: Run, b: Run) -> pd.DataFrame:
    """Return paired differences a - b on the seeds that both runs share.

    One row a quantity: quantity, a, b (means), difference, low, high (for scores, 95 % bootstrap interval, for reading),
    p_value (of the exact test that decides: McNemar's for failures, the sign-flip test for scores), n, more_seeds (for
    failures: how many more would probably tell the two apart, 0 when told, none when no number would), p_holm and answer (see
    `corrected`). Diverged seeds count as failures, and leave a score without a mean.

    Raises
    ------
    InputError
        When the data differ, a run mixes several numbers, or fewer than 2 seeds are shared.
    """
    if a.experiment.data != b.experiment.data:
        raise InputError(f"runs on different data cannot be compared: {a.experiment.data!r} and {b.experiment.data!r}")
    if a.experiment.varied or b.experiment.varied:
        raise InputError("a run with several values of a number cannot be compared as one; run each value by itself")
    shared = sorted(set(a.experiment.seeds) & set(b.experiment.seeds))
    if len(shared) < 2:
        raise InputError(f"a paired comparison needs at least 2 common seeds; these runs share {len(shared)}")
    rows = []
    found = [(run, diagnose(run)) for run in (a, b)]
    for code in DIAGNOSES:
        one, other = (_failed(run, diagnoses[code], shared) for run, diagnoses in found)
        if one is not None and other is not None:
            row = _row(f"{code}{RATE}", one, other)
            more = stats.more_seeds_to_compare(list(one), list(other))
            rows.append(row | {"p_value": stats.mcnemar(list(one), list(other)), "more_seeds": more})
    for name, index in SCORES:
        if all(((run.trace["name"] == name) & (run.trace["index"] == index)).any() for run in (a, b)):
            one, other = (_by_seed(run, trace.last(run.trace, name, index), shared) for run in (a, b))
            difference = stats.paired_difference(one, other)
            bounds = {"low": difference.low, "high": difference.high, "p_value": stats.sign_flip(one, other)}
            rows.append(_row(name, one, other) | bounds)
    names = ("quantity", "a", "b", "difference", "low", "high", "p_value", "n", "more_seeds")
    return corrected(pd.DataFrame(rows, columns=list(names)).astype({"more_seeds": float}))


def _row(quantity: str, one: np.ndarray, other: np.ndarray) -> dict[str, Any]:
    means = {"a": one.mean(), "b": other.mean(), "difference": one.mean() - other.mean()}
    return {"quantity": quantity, **means, "low": np.nan, "high": np.nan, "n": len(one)}


def corrected(comparisons: pd.DataFrame) -> pd.DataFrame:
    """Return rows of `compare` that are shown together, with answers that allow for their number.

    Adds p_holm, the p-value corrected by Holm's method among all failures of the table, or all of its scores, and answer: "a
    is higher" or "b is higher" where it is at most ALPHA, else "inconclusive".
    """
    kind = comparisons["quantity"].str.endswith(RATE)
    p = comparisons.groupby(kind)["p_value"].transform(lambda values: stats.holm(values))
    higher = np.where(comparisons["difference"] > 0, "a is higher", "b is higher")
    return comparisons.assign(p_holm=p, answer=np.where(p <= ALPHA, higher, "inconclusive"))


def _by_seed(run: Run, values: pd.Series, seeds: list[int]) -> np.ndarray:
    place = {member.seed: member.place for member in run.experiment.members()}
    return np.array([values.loc[place[seed]] for seed in seeds], dtype=float)


def _failed(run: Run, found: Diagnosis, seeds: list[int]) -> np.ndarray | None:
    """Return 1 for a failed seed and 0 else; None when the check does not apply to every seed."""
    members = found.members
    if members.empty or not members["verdict"].isin(["present", "absent"]).all():
        return None
    return _by_seed(run, (members.set_index("member")["verdict"] == "present").astype(float), seeds)


from ganlab.diagnoses import (  # noqa: E402, F401  (each registers its check above)
    discriminator_overfitting,
    divergence,
    memorisation,
    mode_collapse,
    non_convergence,
    vanishing_gradients,
)
