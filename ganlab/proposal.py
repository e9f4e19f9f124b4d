"""What to try against a run's failures: the remedies of the table that fit, as experiments, in as few mapped batches as can be.

Nothing is trained here. A remedy that does not fit is left out with the reason, and `Proposal.outlook` says beforehand what the
seeds at hand can tell.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from ganlab import stats
from ganlab.diagnoses import Diagnosis, diagnose
from ganlab.experiment import Experiment, Run, schedule
from ganlab.registry import InputError
from ganlab.remedies import REMEDIES, Remedy, Times, against

PLANNING = "ganlab.planning"
"""Where names and numbers become an experiment; imported when remedies are planned, so reading results needs no torch."""

MOST = 6
"""Remedies tried unless they are named: as many as eight failing seeds can tell apart from chance (6 x 2 / 2^8 < 0.05)."""

SIGNIFICANT = 0.05
"""Largest p-value, after Holm's correction, at which a remedy is said to help."""


class Arm(NamedTuple):
    """A remedy as an experiment: the control with its settings changed."""

    remedy: Remedy
    experiment: Experiment

    def change(self, control: Experiment) -> str:
        """Return what differs from the control, as a reader would write it."""
        said = []
        for name in self.remedy.sets:
            value = self.experiment.numbers.get(name, (self.experiment.settings.get(name),))[0]
            added = self.remedy.sets[name]
            if isinstance(added, Mapping):
                said.append(f"{name} {', '.join(f'{k}={v}' for k, v in added.items())}")
            else:
                said.append(f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}")
        gone = [name for name in control.settings["penalties"] if name not in self.experiment.settings["penalties"]]
        return ", ".join([*said, *(f"no {name}" for name in gone)])


@dataclass(frozen=True)
class Proposal:
    """What is to be trained to repair a run.

    Parameters
    ----------
    run
        The run that fails.
    control
        What the remedies are compared with: the run's experiment, or the same with the seeds asked for.
    failing
        The diagnoses to be repaired.
    arms
        The remedies that fit.
    left_out
        The remedies that do not fit or are not tried, with the reason.
    batches
        The experiments that train the arms, and the control when it is retrained: those that differ in numbers alone go as one.
    """

    run: Run
    control: Experiment
    failing: tuple[Diagnosis, ...]
    arms: tuple[Arm, ...]
    left_out: Mapping[str, str]
    batches: tuple[Experiment, ...]

    @property
    def retrained(self) -> bool:
        """Whether the control is trained too, since its seeds are not the run's own."""
        return self.control != self.run.experiment

    def tried(self) -> list[tuple[str, str, str, str]]:
        """Return a row for each arm: remedy, change, whether it is one of numbers or of structure, and who names it."""
        codes = [d.code for d in self.failing]
        return [
            (
                arm.remedy.name, arm.change(self.control), "numbers" if arm.remedy.numbers_only else "structure",
                "; ".join(f"{c.replace('_', ' ')}: {s}" for c, s in arm.remedy.against.items() if c in codes),
            )
            for arm in self.arms
        ]  # fmt: skip

    def pairs(self) -> list[tuple[Diagnosis, Arm]]:
        """Return each failure with each remedy that is named against it: the comparisons that will be made."""
        return [(d, arm) for d in self.failing for arm in self.arms if d.code in arm.remedy.against]

    def outlook(self) -> str:
        """Return what these seeds can tell at best: that a remedy rescues every failing seed."""
        d, m = max(self.failing, key=lambda d: d.failures), len(self.pairs())
        failures, n = d.failures, len(self.control.seeds)
        compared = f"{m} comparison{'s' if m > 1 else ''} on {n} seeds"
        if self.retrained:
            return f"{compared}; how many of them fail unchanged is trained anew"
        best = min(1.0, m * p_value(failures, 0))
        told = f"{compared}, {failures} of which fail by {d.title.lower()}; a remedy that rescues all has "
        told += f"a corrected p of {best:.2g}"
        if best <= SIGNIFICANT:
            return told
        needed = next(n for n in range(1, 100) if m * p_value(n, 0) <= SIGNIFICANT)
        return f"{told}, which tells nothing; it takes {needed} failing seeds, about {math.ceil(needed * n / failures)} in all"



def propose(
    run: Run, *, where: str | None = None, seeds: int | Sequence[int] | None = None, remedies: Sequence[str] = ()
) -> Proposal:
    """Return the remedies that fit what fails in a run, and the experiments that try them; arguments as of `repair`."""
    e = run.experiment
    if e.kind != "gan":
        raise InputError(f"only runs of GANs that ganlab trained can be repaired; {e.id} is of kind {e.kind!r}")
    for name in remedies:
        REMEDIES.entry(name)
    part = part_of(run, where)
    failing = _failing(part)
    _check_rebuilt(part.experiment)
    control = part.experiment if seeds is None else _with_seeds(part.experiment, seeds)
    named = dict.fromkeys(r.name for d in failing for r in against(d.code))
    for name in remedies:
        if name not in named:
            raise InputError(
                f"{name!r} is not named against {' or '.join(d.title.lower() for d in failing)}; these are: {', '.join(named)}"
            )
    arms: list[Arm] = []
    left_out: dict[str, str] = {}
    for name in REMEDIES:
        if name not in named or (remedies and name not in remedies):
            continue
        found = changed(control, REMEDIES[name])
        if isinstance(found, str):
            left_out[name] = found
        elif len(arms) == MOST and not remedies:
            left_out[name] = f"the first {MOST} that fit are tried; ask for it by name"
        else:
            arms.append(Arm(REMEDIES[name], found))
    if not arms:
        why = "; ".join(f"{name}: {reason}" for name, reason in left_out.items()) or "none is in the table"
        raise InputError(f"no remedy fits {', '.join(d.title.lower() for d in failing)} in {e.title} ({e.id}): {why}")
    trained = [arm.experiment for arm in arms]
    batches = merged(trained if control == part.experiment else [control, *trained])
    return Proposal(part, control, tuple(failing), tuple(arms), left_out, tuple(batches))


def changed(control: Experiment, remedy: Remedy) -> Experiment | str:
    """Return the experiment with the remedy's settings, or a sentence that says why it does not apply."""
    for misfit in remedy.misfits:
        value = control.settings[misfit.setting]
        named = set(value if isinstance(value, list) else [value]) & set(misfit.values)
        if bool(named) != misfit.others:
            return f"{misfit.setting} is {', '.join(sorted(named)) or value}: {misfit.reason}"
    weights = {name: control.numbers[name][0] for name in control.settings["penalties"]}
    sets = {name: weights.get(name, _value(value, control)) for name, value in remedy.sets.items()}
    nets = {role: {**control.settings[role], **value} for role, value in sets.items() if isinstance(value, Mapping)}
    try:
        found = _plan(control, {**sets, **nets}, remedy.drops)
    except InputError as error:
        return str(error)
    return "the run has it already" if found == control else found


def merged(experiments: Sequence[Experiment]) -> list[Experiment]:
    """Return experiments that train the same members in as few mapped batches as their numbers allow.

    Two that differ in one number alone become one with several values of it, as long as no member is added.
    """
    found = list(dict.fromkeys(experiments))
    for i, one in enumerate(found):
        for j in range(i + 1, len(found)):
            both = _joined(one, found[j])
            if both:
                return merged([*found[:i], both, *found[i + 1 : j], *found[j + 1 :]])
    return found


def _joined(a: Experiment, b: Experiment) -> Experiment | None:
    if replace(a, numbers={}) != replace(b, numbers={}) or list(a.numbers) != list(b.numbers):
        return None
    different = [name for name in a.numbers if a.numbers[name] != b.numbers[name]]
    if len(different) != 1 or set(a.numbers[different[0]]) & set(b.numbers[different[0]]):
        return None
    (name,) = different
    return replace(a, numbers={**a.numbers, name: (*a.numbers[name], *b.numbers[name])})


def parts_of(batch: Run) -> list[Run]:
    """Return the runs of a mapped batch, each as the experiment that it is by itself, with its share of the seconds.

    Members of one batch do the same work, so they have equal shares.
    """
    parts, environment = batch.parts(), dict(batch.environment)
    environment |= {"seconds": float(environment.get("seconds", math.nan)) / len(parts)}
    subject = batch.experiment.subject
    return [replace(p, experiment=replace(p.experiment, subject=subject), environment=environment) for p in parts]


def part_of(run: Run, where: str | None) -> Run:
    """Return the run, or of one with several values of a number the combination asked for."""
    labels = [label for label, _ in run.groups()]
    if where is None and len(labels) == 1:
        return run
    if where not in labels or where == "":
        failed = {d.where: d.failures for d in sorted(diagnose(run), key=lambda d: d.failures)}
        listed = "; ".join(f"{label} ({failed.get(label, 0)} failed)" for label in labels if label)
        what = f"{run.experiment.id} has {len(labels)} combination{'s' if len(labels) > 1 else ''} of its numbers"
        raise InputError(f"{what}; got {where!r}, say which one to repair: {listed or 'leave it out'}")
    return parts_of(run)[labels.index(where)]


def _failing(run: Run) -> list[Diagnosis]:
    """Return what fails: a seed did, and a rate below the tolerated one is not shown. Raises InputError when nothing does."""
    found = list(diagnose(run))
    failing = [d for d in found if d.failures and d.verdict != "absent"]
    if not failing:
        looked = "; ".join(f"{d.title.lower()} {d.verdict} ({d.evidence})" for d in found)
        raise InputError(f"nothing to repair in {run.experiment.title} ({run.experiment.id}). Looked at: {looked}")
    return failing


def _check_rebuilt(e: Experiment) -> None:
    """Raise InputError unless the run's stored settings plan the same run."""
    why = ""
    if e.subject == "own nets":
        why = "its nets are your own, and a store keeps no code; change the Game and train it with ganlab.run"
    else:
        try:
            if _plan(e, {}) != e:
                why = "its settings give another run with this version of ganlab; train it again with `ganlab run`"
        except InputError as error:
            why = str(error)
    if why:
        raise InputError(f"{e.title} ({e.id}) cannot be rebuilt from the store: {why}")


def _plan(e: Experiment, sets: Mapping[str, Any], drops: Sequence[str] = ()) -> Experiment:
    """Return the experiment with some settings changed and some penalties dropped.

    It keeps its variant's name, so that it is the run which `ganlab run` gives with these settings; one that is no longer
    that variant, by its objective or a dropped penalty, goes by its objective.
    """
    settings = {name: value for name, value in {**e.settings, **sets}.items() if name != "penalties"}
    numbers = {name: values[0] for name, values in e.numbers.items() if name not in drops}
    objective = settings["objective"]
    other = objective != e.settings["objective"] or any(name in e.settings["penalties"] for name in drops)
    planned: Experiment = importlib.import_module(PLANNING).plan(
        objective if other else e.subject, e.data, seeds=e.seeds, steps=e.steps, every=e.every,
        **{**numbers, **settings},
    )  # fmt: skip
    return planned


def _value(value: Any, e: Experiment) -> Any:
    if isinstance(value, Times):
        return value.factor * (e.steps if value.of == "steps" else e.numbers[value.of][0])
    return value


def _with_seeds(e: Experiment, seeds: int | Sequence[int]) -> Experiment:
    """Return the experiment with other seeds, or with so many from its first on."""
    chosen, _, _ = schedule(seeds, e.steps, e.every)
    return replace(e, seeds=tuple(e.seeds[0] + seed for seed in chosen) if isinstance(seeds, int) else chosen)


def p_value(rescued: int, harmed: int) -> float:
    """Return the exact McNemar p-value when so many seeds failed before only, and so many after only."""
    return stats.mcnemar([True] * rescued + [False] * harmed, [False] * rescued + [True] * harmed)
