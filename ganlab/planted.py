"""Runs whose truth is known: both players follow a script in place of an optimiser, and the real probes look at them.

A generator of a mixture with shares, spread, place, angle and size as its parameters, and a discriminator that is a hill over
each mode, sloping to the horizon or flat beyond its foot. A `World` says how these numbers move over a run, what is wrong with
it, and since when. How often the diagnoses are right about worlds is in `calibration.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from ganlab import data as distributions
from ganlab import watch
from ganlab.data.mixtures import Mixture
from ganlab.engine import MAPS, stack
from ganlab.experiment import Experiment, Member, Run, outcome
from ganlab.game import Game, State, initial
from ganlab.probes import has_held_out

Script = Callable[[float, np.random.Generator], Mapping[str, Any]]
"""From progress in [0, 1] and a seed's own random numbers, the same at every look, to the numbers that differ from `SOUND`."""

SOUND: Mapping[str, Any] = {
    "shares": 1.0, "spread": 1.0, "shift": 0.0, "angle": 0.0, "size": 1.0,
    "height": 0.3, "foot": 0.5, "flat": 0.0, "ballast": 1.0, "copied": 0.0, "learnt": 0.0,
}  # fmt: skip
"""A perfect generator before a discriminator that has nearly given up. `shares` of the modes, relative; `spread` of each and
`size` of the whole, as multiples; `shift` along the first axis, in the data's standard deviations; `angle` about the origin, in
turns; `height` of the discriminator's hills, in nats, and radius of their `foot`, in the unit of shift; whether the ground
beyond is `flat`, from 0 to 1; `ballast`, length of parameters that do nothing. Where the data are fixed points: share of
samples `copied` from them, and `learnt`, what the discriminator adds to a logit at such a point, in nats."""

LATENT = 1
"""Latents beside one for each dimension: the first chooses the mode."""


class PlantedGenerator(nn.Module):
    """Modes chosen by the first latent, places in them by the others, `[n, 1 + d] -> [n, d]`."""

    modes: Tensor
    std: Tensor
    points: Tensor

    def __init__(self, mixture: Mixture) -> None:
        super().__init__()
        k, d = mixture.modes.shape
        self.register_buffer("modes", mixture.modes.float())
        self.register_buffer("std", mixture.std.float())
        self.scale = mixture.variance**0.5
        self.shares, self.shift = nn.Parameter(torch.ones(k)), nn.Parameter(torch.zeros(d))
        self.register_buffer("points", torch.zeros(1, d) if mixture.points is None else mixture.points)
        self.spread, self.angle, self.size, self.ballast, self.copied = (nn.Parameter(torch.ones(1)) for _ in range(5))

    def forward(self, z: Tensor) -> Tensor:
        u = torch.special.ndtr(z[:, 0].contiguous())
        edges = (self.shares / self.shares.sum()).cumsum(0)
        mode = (u[:, None] > edges[:-1]).sum(1)
        x = self.modes[mode] + self.spread * self.std[mode] * z[:, 1:]
        c, s = torch.cos(2 * math.pi * self.angle), torch.sin(2 * math.pi * self.angle)
        x = torch.cat([c * x[:, :1] - s * x[:, 1:2], s * x[:, :1] + c * x[:, 1:2], x[:, 2:]], 1)
        x = self.size * x + self.scale * self.shift + 0.0 * self.ballast
        v = torch.special.ndtr(z[:, 1].contiguous())  # which are copied, and of which point
        copy = self.points[(v * 1e6).long() % len(self.points)]
        return torch.where((v * 1e3 % 1 < self.copied)[:, None], copy, x)


class PlantedDiscriminator(nn.Module):
    """A hill over each mode, `[n, d] -> [n]`: falling with the distance to the nearest, or flat from a bit beyond its foot."""

    modes: Tensor
    points: Tensor

    def __init__(self, mixture: Mixture) -> None:
        super().__init__()
        self.register_buffer("modes", mixture.modes.float())
        self.register_buffer("points", mixture.modes.float() if mixture.points is None else mixture.points)
        self.scale = mixture.variance**0.5
        self.height, self.foot, self.flat, self.ballast, self.learnt = (nn.Parameter(torch.ones(1)) for _ in range(5))

    def forward(self, x: Tensor) -> Tensor:
        away = (x[:, None] - self.modes).square().sum(-1).amin(1).add(1e-12).sqrt() / self.scale
        slope = 1 - 2 * away / self.foot
        hill = self.flat * torch.tanh(10 * slope) + (1 - self.flat) * slope
        known = (x[:, None] - self.points).abs().sum(-1).amin(1) < 1e-6
        return self.height * hill + self.learnt * known + 0.0 * self.ballast


@dataclass(frozen=True)
class World:
    """A run by script, and its truth.

    Parameters
    ----------
    family
        What kind of cause it is; families are kept together when thresholds are tried on worlds that they were not made on.
    failures
        Codes of the diagnoses that are right on it.
    onset
        Progress at which the failure begins, for each code that has one beginning.
    script
        The numbers that differ from `SOUND`, by progress and seed.
    fault
        Progress at which it turns non-finite, if it does.
    """

    name: str
    family: str
    script: Script = field(repr=False)
    failures: Sequence[str] = ()
    onset: float | None = None
    objective: str = "non_saturating"
    data: str = "ring8"
    fault: float | None = None
    unknown: Sequence[str] = ()
    """Codes about which the truth is open: two people might label it differently."""


class ModesHidden:
    """A distribution of which only samples are known."""

    def __init__(self, known: Any) -> None:
        self.name, self.shape, self.sample = known.name, known.shape, known.sample


def run_of(
    world: World, seeds: Sequence[int] = range(4), *, looks: int = 26, every: int = 100, evaluation: int = 2500,
    modes_known: bool = True,
) -> Run:  # fmt: skip
    """Return the run of a world, watched as any other; with `modes_known=False` as if the data were somebody's points."""
    mixture = distributions.get(world.data)
    data: Any = mixture if modes_known else ModesHidden(mixture)
    d = mixture.shape[0]
    game = Game(partial(PlantedGenerator, mixture), partial(PlantedDiscriminator, mixture), world.objective, latent=LATENT + d)
    experiment = Experiment(
        "gan", f"planted: {world.name}", mixture.name, tuple(seeds), (looks - 1) * every, every,
        {"objective": world.objective, "batch": 256, "evaluation": evaluation, "penalties": ()},
    )  # fmt: skip
    members = experiment.members()
    start = [initial(game, member.seed) for member in members]
    seen = watch.evaluation(game, data, members, 256, evaluation)
    at_players, at_samples = (
        MAPS[way](partial(look, game, data))
        for way, look in (("vmap", watch.look_at_players), ("loop", watch.look_at_samples))
    )
    readings: list[tuple[int, Any]] = []
    fake, before, past = torch.empty(0), (), ()
    for i in range(looks):
        state = stack([_placed(game, s, world, m, i / (looks - 1)) for s, m in zip(start, members, strict=True)])
        numbers: dict[str, Tensor] = {}
        reading, fake, before = at_samples(state, seen, numbers, before)
        play, past = at_players(state, seen, numbers, past)
        readings.append((i * every, play | reading))
    faults = {}
    if world.fault is not None:
        faults = {m.place: (round(world.fault * experiment.steps), "generator loss") for m in members}
    table = watch.tidy(experiment, members, readings)
    if has_held_out(data):
        copying = [(experiment.steps, watch.copying(data, fake, members))]
        table = pd.concat([table, watch.tidy(experiment, members, copying)], ignore_index=True)
    return Run(experiment, table, outcome(experiment, faults), {}, {"sources": {}})


def _placed(game: Game, state: State, world: World, member: Member, progress: float) -> State:
    """Return the state of both players at that progress."""
    script = world.script(progress, np.random.default_rng(member.seed))
    values = {**SOUND, **script}
    if unknown := set(values) - set(SOUND):
        raise KeyError(f"a script moves {sorted(SOUND)}; got {sorted(unknown)}")
    players = []
    for net, player in zip(game.nets, state, strict=True):
        parts = [
            torch.as_tensor(values[name], dtype=torch.float32).expand(shape) if name != "shift"
            else torch.cat([torch.as_tensor(values[name], dtype=torch.float32).view(1), torch.zeros(shape[0] - 1)])
            for name, shape in net.shapes.items()
        ]  # fmt: skip
        players.append(player._replace(parameters=torch.cat([part.reshape(-1) for part in parts])))
    return State(*players)


__all__ = ["SOUND", "ModesHidden", "PlantedDiscriminator", "PlantedGenerator", "Script", "World", "run_of"]
