"""Experiment: the frozen settings that define a run. Run: an experiment with what was seen.

Plain data, no torch. An experiment is named by the hash of its settings, so the same settings are the same run. What touches a
table imports numpy and pandas for itself: naming a run needs neither.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ganlab.registry import InputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

FORMAT = 1
"""Version of what a stored run means; raised when a change of the code would give the same settings other numbers."""

MOMENTS = 20
"""About how often a run is looked at, and how often samples are kept, when nobody says otherwise."""

AGES = 4
"""Looks whose fakes are kept, to ask whether the discriminator still knows them."""

BY_MEMBER = frozenset(
    {
        "generated", "losses", "path", "eigenvalues", "generator", "discriminator", "line_logits", "line_pulls",
        "surface_logits", "surface_pulls", "test_losses", "test_predicted", "inputs", "truth", "predicted", "references",
        "free", "free_references", "asked", "rebuilt", "codes", "atlas", "parameters",
        "motions",
    }
)  # fmt: skip
"""The samples whose first axis is the member; the others are the same for all members."""


class Member(NamedTuple):
    """One trained pair of players: its place in the mapped batch, its seed, and its own numbers."""

    place: int
    seed: int
    numbers: dict[str, float]


@dataclass(frozen=True, eq=False)
class Experiment:
    """Names and numbers that define a run, all of them resolved: nothing is left to a default that may move.

    Parameters
    ----------
    kind
        What is trained: "gan", "recorded" for a GAN in somebody else's loop, "classifier" for the supervised baselines on
        images, "learner" for tables and series, "autoencoder", or "application" for what GANs are used for; what is timed:
        "throughput", or "frameworks" for one net in PyTorch, TensorFlow and JAX.
    subject
        The variant, classifier, net or autoencoder, by name; for nets of your own, the text that describes them.
    data
        The data distribution, by name and settings.
    seeds
        One member per seed for every combination of numbers.
    steps
        Generator updates (classifiers: epochs; others: updates).
    every
        Steps between two looks of the probes.
    settings
        Structure: names and sizes that are the same for all members.
    numbers
        For each number the values it takes; several values of several numbers are crossed.
    """

    kind: str
    subject: str
    data: str
    seeds: tuple[int, ...]
    steps: int
    every: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    numbers: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The name of the run: 16 hexadecimal digits of the SHA-256 of its settings."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Experiment) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def members(self, places: Sequence[int] | None = None) -> list[Member]:
        """Return the members, every combination of numbers and within it every seed; only those at `places` when given.

        Raises InputError for a place that there is not, and for places that do not rise.
        """
        combinations = itertools.product(*self.numbers.values())
        pairs = itertools.product(combinations, self.seeds)
        members = [Member(i, seed, dict(zip(self.numbers, c, strict=True))) for i, (c, seed) in enumerate(pairs)]
        if places is None:
            return members
        if not places or list(places) != sorted(set(places)) or not 0 <= places[0] <= places[-1] < len(members):
            raise InputError(f"places must be rising whole numbers from 0 to {len(members) - 1}; got {list(places)}")
        return [members[place] for place in places]

    @property
    def varied(self) -> tuple[str, ...]:
        """The numbers that differ between members."""
        return tuple(name for name, values in self.numbers.items() if len(values) > 1)

    @property
    def title(self) -> str:
        """A short name for people, such as "wgan_gp on ring8"."""
        return f"{self.subject} on {self.data}"

    def to_json(self) -> str:
        """Return the settings as canonical JSON: sorted keys, no NaN."""
        content = {
            "format": FORMAT,
            "kind": self.kind,
            "subject": self.subject,
            "data": self.data,
            "seeds": list(self.seeds),
            "steps": self.steps,
            "every": self.every,
            "settings": dict(self.settings),
            "numbers": {name: list(values) for name, values in self.numbers.items()},
        }
        return json.dumps(content, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Experiment:
        """Return the experiment that `to_json` wrote. Raises InputError for another format."""
        content = json.loads(text)
        if content.pop("format", None) != FORMAT:
            raise InputError(f"this is not an experiment of format {FORMAT}; it was written by another ganlab version")
        content["seeds"] = tuple(content["seeds"])
        content["numbers"] = {name: tuple(values) for name, values in content["numbers"].items()}
        return cls(**content)


@dataclass(frozen=True, eq=False)
class Run:
    """An experiment and what was seen while it ran.

    Parameters
    ----------
    trace
        The tidy table, see `ganlab.trace`.
    outcome
        One row a member: member, seed, the numbers that differ, status ("finished" or "diverged"), and the step and
        place of the first non-finite value (empty when there was none).
    samples
        Arrays saved for looking at, by name. GAN runs: `generated [member, moment, n, *shape]`, `moments [moment]`
        (steps), `real [n, *shape]`, `losses [member, step, player]` of the last steps (discriminator, generator); on the plane
        `surface_logits` and `surface_pulls`, on a line `line_logits` and `line_pulls [member, moment, place]`, see
        `ganlab.surface`; with `rotation=True` `path` and `eigenvalues`, see `ganlab.rotation.Turning`. Recorded runs:
        `motions [member, look, look]`, how far samples moved from any look to any other.
    environment
        Versions, device, dtype, threads, seconds.
    """

    experiment: Experiment
    trace: pd.DataFrame
    outcome: pd.DataFrame
    samples: Mapping[str, NDArray[Any]]
    environment: Mapping[str, Any]

    def save(self, path: str | Path) -> Path:
        """Write the run as a folder under the store `path`, and return the folder."""
        from ganlab.store import Store

        return Store(path).save(self)

    def parts(self) -> list[Run]:
        """Return a run for each combination of numbers, its subject telling which; itself when there is one."""
        e, members = self.experiment, self.experiment.members()
        if not e.varied:
            return [self]
        parts = []
        for label, places in self.groups():
            numbers = {name: (value,) for name, value in members[places[0]].numbers.items()}
            place = {int(old): new for new, old in enumerate(places)}
            tables = [t[t["member"].isin(places)].reset_index(drop=True) for t in (self.trace, self.outcome)]
            trace, outcome = (table.assign(member=table["member"].map(place)) for table in tables)
            samples = {name: a[places] if name in BY_MEMBER else a for name, a in self.samples.items()}
            experiment = replace(e, subject=f"{e.subject} {label}", numbers=numbers)
            parts.append(replace(self, experiment=experiment, trace=trace, outcome=outcome, samples=samples))
        return parts

    def groups(self) -> Iterator[tuple[str, NDArray[np.int64]]]:
        """Yield a label and the places of the members for every combination of numbers.

        A run of one combination has one group, labelled "".
        """
        import numpy as np

        varied = self.experiment.varied
        places: dict[str, list[int]] = {}
        for member in self.experiment.members():
            label = ", ".join(f"{name}={member.numbers[name]:g}" for name in varied)
            places.setdefault(label, []).append(member.place)
        for label, group in places.items():
            yield label, np.asarray(group)


# --- one run from parts of its members ----------------------------------------------------------------------------------


def join(parts: Sequence[Run]) -> Run:
    """Return the run of which these parts hold some members each, with rows in the order of members trained together.

    Parameters
    ----------
    parts
        Runs of one experiment, each of other members; together they have them all.

    Returns
    -------
    Run
        Its environment has the seconds of all parts together, `block`, the number of members of each part, and where parts
        differ in anything else, the different values in a list.

    Raises
    ------
    ValueError
        When the parts are of different experiments, or a member is missing or there twice.
    """
    import numpy as np
    import pandas as pd

    experiment, n_members = parts[0].experiment, len(parts[0].experiment.members())
    parts = sorted(parts, key=lambda part: int(part.outcome["member"].iloc[0]))
    outcome = pd.concat([part.outcome for part in parts], ignore_index=True).sort_values("member", ignore_index=True)
    if any(part.experiment != experiment for part in parts) or outcome["member"].tolist() != list(range(n_members)):
        raise ValueError(f"the parts must have the {n_members} members of one experiment; got {outcome['member'].tolist()}")
    rank = {name: i for i, name in enumerate(parts[0].trace["name"].unique())}
    trace = pd.concat([part.trace for part in parts], ignore_index=True)
    order = trace.assign(rank=trace["name"].map(rank)).sort_values(["rank", "step", "member"], kind="stable").index
    trace = trace.loc[order].reset_index(drop=True)
    places = np.concatenate([part.outcome["member"] for part in parts]).argsort()
    samples = {
        name: np.concatenate([part.samples[name] for part in parts])[places] if name in BY_MEMBER else array
        for name, array in parts[0].samples.items()
    }
    return Run(experiment, trace, outcome, samples, _joined([part.environment for part in parts], parts))


def _joined(environments: Sequence[Mapping[str, Any]], parts: Sequence[Run]) -> dict[str, Any]:
    values = {name: [environment.get(name) for environment in environments] for name in environments[0]}
    different = {name: [v for i, v in enumerate(found) if v not in found[:i]] for name, found in values.items()}
    joined = {name: found if len(found) > 1 else found[0] for name, found in different.items()}
    if "seconds" in values:
        joined["seconds"] = round(sum(float(environment["seconds"]) for environment in environments), 3)
    return {**joined, "block": [len(part.outcome) for part in parts]}


# --- refusing what cannot be, and telling how it ended ----------------------------------------------------------------


def schedule(seeds: int | Sequence[int], steps: int, every: int | None) -> tuple[tuple[int, ...], int, int]:
    """Return seeds, steps and cadence, resolved. Raises InputError for what is not a count, or seeds given twice."""
    members = tuple(range(seeds) if type(seeds) is int else seeds if isinstance(seeds, Sequence) else ())
    if not members or len(set(members)) < len(members) or any(not isinstance(s, int) or not 0 <= s < 2**63 for s in members):
        raise InputError(f"seeds must be a count of at least 1, or different integers of at least 0; got {seeds!r}")
    at_least("steps", steps)
    every = max(1, steps // MOMENTS) if every is None else every
    at_least("every", every)
    return members, steps, every


def at_least(name: str, value: Any, least: int = 1) -> None:
    """Raise InputError unless the value is a whole number of at least `least`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InputError(f"{name} must be a whole number of at least {least}; got {value!r}")


def number_values(name: str, given: Any) -> tuple[float, ...]:
    """Return the values that a number takes. Raises InputError for one outside its range, or given twice."""
    values = tuple(given) if isinstance(given, list | tuple) else (given,)
    fraction = name in ("beta1", "beta2", "decay", "average")
    signed = name == "momentum"  # below 0 it is negative momentum (Gidel et al. 2019b)
    rate = name in ("lr", "lr_discriminator")
    allowed = (
        "above -1 and below 1" if signed else "at least 0 and below 1" if fraction else "above 0" if rate else "at least 0"
    )
    for value in values:
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        good = number and (abs(value) < 1 if signed else value >= 0 and (value < 1 or not fraction) and (value > 0 or not rate))
        if not good:
            raise InputError(f"{name} must be a finite number {allowed}, or a list of such; got {value!r}")
    if not values or len(set(values)) < len(values):
        raise InputError(f"{name} must have at least one value and none twice; got {given!r}")
    return tuple(float(value) for value in values)


def outcome(experiment: Experiment, faults: Mapping[int, tuple[int, str]], places: Sequence[int] | None = None) -> pd.DataFrame:
    """Return one row a member: how it ended, and step and place of its first non-finite value.

    Parameters
    ----------
    faults
        Step and place of the first non-finite value, by the place of the member; others finished.
    places
        The members that were trained; None for all.
    """
    import pandas as pd

    rows = []
    for m in experiment.members(places):
        fault = faults.get(m.place)
        varied = {name: m.numbers[name] for name in experiment.varied}
        status, at, where = ("diverged", *fault) if fault else ("finished", pd.NA, "")
        rows.append({"member": m.place, "seed": m.seed, **varied, "status": status, "step": at, "place": where})
    return pd.DataFrame(rows).astype({"step": "Int64"})
