"""From what was seen of somebody else's loop to a `Run` like our own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch.utils._pytree import tree_map

from ganlab import rng, trace
from ganlab.borrowed import untouched
from ganlab.experiment import Experiment, Run, outcome
from ganlab.look import Against
from ganlab.looks import KEPT, Looks
from ganlab.measures import measure_all
from ganlab.objectives import OBJECTIVES
from ganlab.probes import has_held_out, has_modes
from ganlab.profiles import motions
from ganlab.surface import surfaces
from ganlab.told import Told
from ganlab.train import SHOWN
from ganlab.watch import copying, tidy

REAL = 12
"""Moments' worth of numbers that real samples may take, at most `SHOWN` of them."""


class Seen(NamedTuple):
    """All that was seen of a loop."""

    at: Against
    looks: Looks
    told: Sequence[Told]
    """Of the last steps."""
    broken: tuple[int, str] | None
    """Step and place of the first value that was not finite."""
    steps: int


def run_of(seen: Seen, name: str, seed: int, environment: Mapping[str, Any], at_end: bool) -> Run:
    """Return the run of one seed; at its end also measures of the samples, and the discriminator over the plane."""
    at, looks = seen.at, seen.looks
    readings = [(one.step, {key: value[None] for key, value in one.readings.items()}) for one in looks.kept]
    experiment = _experiment(seen, name, seed, readings)
    members = experiment.members()
    table, arrays = tidy(experiment, members, readings), _arrays(seen)
    fake = looks.fake[None]
    once = copying(at.data, fake, members) if has_held_out(at.data) else {}
    if at_end:
        once |= measure_all(at.data, at.real[None], fake)
        seen_along = torch.stack([one.profile for one in looks.kept]).double()  # where runs are joined looks are left out
        arrays |= {"motions": motions(seen_along, at.real)[None].numpy(), **_surface(at)}
    if once:
        table = trace.check(pd.concat([table, tidy(experiment, members, [(looks.last.step, once)])], ignore_index=True))
    sources = {at.game.objective: OBJECTIVES.entry(at.game.objective).source}
    ended = outcome(experiment, {} if seen.broken is None else {0: seen.broken})
    return Run(experiment, table, ended, arrays, {**environment, "sources": sources})


def _experiment(seen: Seen, name: str, seed: int, readings: Sequence[tuple[int, Any]]) -> Experiment:
    """Return what the run is, named by what was seen: two runs of one program may differ."""
    content = torch.cat([value.flatten() for _, read in readings for value in read.values()]).numpy()
    game = seen.at.game
    settings = {
        "objective": game.objective, "batch": len(seen.at.batch.real), "evaluation": len(seen.at.latent[0]),
        "generator": str(game.nets[0]), "discriminator": str(game.nets[1]), "penalties": [],
        "seen": hashlib.sha256(content.tobytes()).hexdigest()[:16],
    }  # fmt: skip
    return Experiment("recorded", name, seen.at.data.name, (seed,), seen.steps, seen.looks.every, settings)


def _arrays(seen: Seen) -> dict[str, Any]:
    samples, moments = seen.looks.shown()
    data, numbers = seen.at.data, seen.at.real[0].numel()
    real = seen.at.real[: max(samples.shape[1], min(SHOWN, REAL * KEPT // numbers))].float().numpy()
    arrays: dict[str, Any] = {"generated": samples[None].numpy(), "moments": np.asarray(moments), "real": real}
    if seen.told and all(x is not None for told in seen.told for x in told):
        arrays["losses"] = np.asarray([told[1:] for told in seen.told], np.float32)[None]
    if has_modes(data):
        arrays |= {"modes": data.modes.numpy(), "std": data.std.numpy()}
    return arrays


def _surface(at: Against) -> dict[str, Any]:
    """Return the discriminator over the plane, where data lie on it and its net allows that."""
    if at.real.shape[1:] != (2,):
        return {}
    try:
        with untouched(*(net.module for net in at.game.nets)):
            state, batch = tree_map(lambda leaf: leaf[None], (at.game.state(), at.batch))
            shown = at.data.sample(len(at.real), rng.stream(1, "reference"))  # the same plane for all seeds
            return surfaces(at.game, state, batch, shown)
    except Exception:  # batch norm, for one, has no logit of a place
        return {}
