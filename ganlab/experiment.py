"""Experiment: the frozen settings that define a run. Run: an experiment with what was seen.

Plain data, no torch. An experiment is named by the hash of its settings, so the same settings are the same run.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ganlab.registry import InputError

FORMAT = 1
"""Version of what a stored run means; raised when a change of the code would give the same settings other numbers."""


class Member(NamedTuple):
    """One trained pair of players: its place in the mapped batch, its seed, and its own numbers."""

    place: int
    seed: int
    numbers: dict[str, float]


@dataclass(frozen=True)
class Experiment:
    """Names and numbers that define a run, all of them resolved: nothing is left to a default that may move.

    Parameters
    ----------
    kind
        What is trained: "gan", or "classifier" for the supervised baselines.
    subject
        The variant or classifier, by name; for nets of your own, the text that describes them.
    data
        The data distribution, by name and settings.
    seeds
        One member per seed for every combination of numbers.
    steps
        Generator updates (classifiers: epochs).
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

    def members(self) -> list[Member]:
        """Return the members: every combination of numbers, and within it every seed."""
        combinations = itertools.product(*self.numbers.values())
        pairs = itertools.product(combinations, self.seeds)
        return [Member(i, seed, dict(zip(self.numbers, c, strict=True))) for i, (c, seed) in enumerate(pairs)]

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
        (steps), `real [n, *shape]`.
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

    def groups(self) -> Iterator[tuple[str, NDArray[np.int64]]]:
        """Yield a label and the places of the members for every combination of numbers.

        A run of one combination has one group, labelled "".
        """
        varied = self.experiment.varied
        places: dict[str, list[int]] = {}
        for member in self.experiment.members():
            label = ", ".join(f"{name}={member.numbers[name]:g}" for name in varied)
            places.setdefault(label, []).append(member.place)
        for label, group in places.items():
            yield label, np.asarray(group)
