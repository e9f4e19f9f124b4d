"""The main path: plan -> build -> init -> draw -> mapped step -> mapped probes.

`run` is the whole of it in one call; `train` trains the members of a planned experiment (see `planning.py`) and returns the
`Run`. The step is in `game.py`, draws are made in `draws.py`, looks taken in `watch.py`.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from ganlab import __version__, probes, rng, trace
from ganlab import data as distributions
from ganlab.data.images import LabelledImages
from ganlab.draws import BLOCK, draw
from ganlab.engine import MAPS, Advance, beside, stack
from ganlab.experiment import MOMENTS, Experiment, Run, outcome
from ganlab.game import UPDATES, Batch, Game, State, StepLosses, initial, step
from ganlab.objectives import OBJECTIVES
from ganlab.optim import OPTIMIZERS
from ganlab.penalties import CONSTRAINTS, PENALTIES
from ganlab.planning import build, check_fit, distribution, plan, plan_game
from ganlab.registry import InputError, Registry, unknown
from ganlab.surface import line, surfaces
from ganlab.variants import PLACEMENT, VARIANTS
from ganlab.watch import (
    asked_classes,
    at_end,
    evaluation,
    look_at_average,
    look_at_players,
    look_at_samples,
    obedience,
    tidy,
    turning,
)

SHOWN = 512
"""Samples kept at each moment: enough to see a mode of 25, few enough to store."""

LOSSES = 2048
"""Last steps whose losses are kept, for their spectrum: 16 kB a member."""

EARLY = 0.1
"""Part of a run after which it has left its first weights behind: where the path to its end begins."""

Tick = Callable[[int], None]
"""Told the steps finished since it was last told."""

Streams = Sequence[Mapping[str, torch.Generator]]
"""Of each member, by purpose."""


def run(
    variant: str | Game = "nsgan",
    data: Any = None,
    *,
    seeds: int | Sequence[int] = 8,
    steps: int | None = None,
    every: int | None = None,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    engine: str = "vmap",
    compiled: bool | None = None,
    tick: Tick | None = None,
    **settings: Any,
) -> Run:
    """Train a GAN over many seeds at once, watched, and return what was seen.

    Parameters
    ----------
    variant
        Name of a variant or objective, or a `Game` of your own nets.
    data
        Name of a data distribution, an object with `sample(n, generator)` and `shape`, or a tensor `[n, *shape]`; None takes
        that of the recipe, or "ring8".
    seeds
        How many (0, 1, ...), or a list of integers.
    steps
        Generator updates; None takes those of the recipe, or 3000.
    every
        Steps between two looks of the probes; None looks about 20 times.
    device, dtype, engine
        Where, in which precision, and whether members are mapped ("vmap") or trained one by one ("loop").
    compiled
        Whether the mapped step is compiled; None does so where it pays, and the run's environment says which and why.
    settings
        By name: `batch`, `latent`, `hidden=(128, 128)`, `lr`, `lr_discriminator`, `beta1`, `n_critic`, a penalty's weight as
        in `r1=10`, `precision="bfloat16"`, ... A list of values for a number trains members for each value.

    Raises
    ------
    InputError
        For anything unknown or impossible, before any work.

    Example
    -------
    >>> result = run("nsgan", "ring8", seeds=2, steps=10, hidden=(8,), batch=16, evaluation=50)
    >>> list(result.outcome["status"])
    ['finished', 'finished']
    """
    real = None if data is None else distribution(data)
    settings |= {"device": device, "dtype": str(dtype).removeprefix("torch."), "engine": engine}
    if isinstance(variant, Game):
        experiment = plan_game(variant, real, seeds=seeds, steps=steps, every=every, **settings)
        game, real = variant, real or distribution(experiment.data)
    else:
        experiment = plan(variant, real, seeds=seeds, steps=steps, every=every, **settings)
        game, real = build(experiment, real)
    return train(game, real, experiment, compiled=compiled, tick=tick)


def perform(experiment: Experiment, tick: Tick | None = None, *, places: Sequence[int] | None = None) -> Run:
    """Train a planned experiment, or its members at these places, with the default engine: what a sweep's workers do."""
    return train(*build(experiment), experiment, places=places, tick=tick)


def train(
    game: Game,
    data: Any,
    experiment: Experiment,
    *,
    dtype: torch.dtype | None = None,
    engine: str | None = None,
    compiled: bool | None = None,
    watch: bool = True,
    keep_state: bool = False,
    places: Sequence[int] | None = None,
    tick: Tick | None = None,
) -> Run:
    """Train every member of an experiment and return the run.

    A member that turns non-finite gets the outcome "diverged" with step and place; the others go on untouched.

    Parameters
    ----------
    dtype, engine
        In place of those of the experiment.
    compiled
        Whether the mapped step is compiled; None decides by the amount of work, see `ganlab.engine.decide`.
    watch
        False trains without probes, to time and to prove that looking changes nothing.
    keep_state
        True keeps the final parameters among the run's samples, as `generator` and `discriminator [member, parameter]`.
    places
        Which members, as places in `experiment.members()`; None trains them all. `ganlab.experiment.join` makes one run of
        such parts.
    """
    started = time.perf_counter()
    members = experiment.members(places)
    chosen = {name: experiment.settings.get(name, usual) for name, usual in PLACEMENT.items()}
    device, precision, engine = chosen["device"], chosen["precision"], engine or chosen["engine"]
    dtype = dtype or getattr(torch, chosen["dtype"])
    if engine not in MAPS:
        raise InputError(unknown("engine", engine, MAPS))

    # initialise: one state a member, from its own streams
    check_place(device, dtype)
    check_fit(game, data)
    place = partial(torch.Tensor.to, device=device, dtype=dtype)
    for net in game.nets:
        net.to(device, dtype)
    data = data.to(device) if hasattr(data, "to") else data  # images are held where they are used
    batch_size, n_evaluation = experiment.settings["batch"], experiment.settings["evaluation"]
    state: State = tree_map(place, stack([initial(game, member.seed) for member in members]))
    numbers = {
        name: torch.tensor([m.numbers[name] for m in members], dtype=dtype, device=device) for name in members[0].numbers
    }
    streams = [{purpose: rng.stream(m.seed, purpose, device) for purpose in rng.PURPOSES} for m in members]
    looks: Any = tree_map(place, evaluation(game, data, members, batch_size, n_evaluation, device)) if watch else ()

    # map one member's step and probes over all of them
    n_updates = experiment.steps * (game.n_critic + 1 + game.unroll) * len(experiment.members())
    advance = Advance(
        partial(step, game), numbers,
        engine=engine, precision=precision, device=device, n_steps=experiment.steps, n_updates=n_updates, compiled=compiled,
    )  # fmt: skip
    at_players = MAPS[engine](partial(look_at_players, game, data))
    # on a CPU a member's evaluation samples alone stay in its cache
    at_samples = MAPS[engine if device.startswith("cuda") else "loop"](partial(look_at_samples, game, data))
    watched = set(range(0, experiment.steps, experiment.every)) | {experiment.steps} if watch else set()
    kept = _spread(sorted(watched), MOMENTS)
    readings: list[tuple[int, Any]] = []
    samples: list[Tensor] = []
    lines: list[dict[str, Any]] = []
    real = data.sample(SHOWN, rng.stream(experiment.seeds[0], "evaluation")).cpu() if watch else torch.empty(0)
    faults: dict[int, tuple[int, str]] = {}

    turns: bool = experiment.settings.get("rotation", False)
    fake, before, past = torch.empty(0), (), ()
    early, average, n_late = state, torch.empty(0), 0
    lately: list[Tensor] = []

    def record(now: int) -> None:
        nonlocal fake, before, past, early, average, n_late
        if now in watched:
            reading, fake, before = at_samples(state, looks, numbers, before)
            play, past = at_players(state, looks, numbers, past)
            readings.append((now, play | reading))
            if now in kept:
                samples.append(fake[:, :SHOWN].float().cpu())
                lines.append(line(game, state, looks[0], real))
            if turns and now - experiment.every < EARLY * experiment.steps <= now:
                early = state
            if 2 * now >= experiment.steps:
                n_late += 1
                theta = state.generator.parameters
                average = torch.lerp(average, theta, 1 / n_late) if n_late > 1 else theta

    # train in blocks: draw, step, look; where something is looked at, find what is no longer finite
    aside = beside(device)

    def drawn(streams: Streams) -> Batch:
        batch: Batch = aside(lambda: tree_map(place, stack([draw(game, data, s, batch_size) for s in streams])))
        return batch

    draws: Batch | None = None
    sound = torch.ones(len(members), dtype=torch.bool, device=device)
    checked = 0, state, _copies(streams)
    for start in range(0, experiment.steps, BLOCK):
        del draws  # the largest thing here; two blocks need not fit
        draws = drawn(streams)
        end = min(start + BLOCK, experiment.steps)
        due = [now for now in range(start, end) if now in watched]
        for first, last in pairwise(sorted({start, *due, end})):
            record(first)
            state, losses = advance(state, draws, first - start, last - start)
            sound &= _finite(losses)
            if watch and end > experiment.steps - LOSSES:
                lately.append(torch.stack(tuple(losses), -1))
        if due or end == experiment.steps:  # nowhere else, since to ask a GPU is to wait for it
            broken = [m for m in _broken(sound, state) if m not in faults]
            if broken:
                faults |= _first_faults(game, advance, drawn, *checked, end, broken)
            checked = end, state, _copies(streams)
        if tick:
            tick(end - start)
    record(experiment.steps)

    table = tidy(experiment, members, readings)
    arrays: dict[str, Any] = {}
    if watch:
        once = at_end(data, looks, fake, members, device) | MAPS[engine](partial(look_at_average, game))(average, looks)
        if game.labelled and isinstance(data, LabelledImages):
            once |= obedience(data, looks.latent, fake)
        if turns:
            turned, arrays = turning(game, data, early, state, numbers, members, n_evaluation, device)
            once |= turned
        table = trace.check(pd.concat([table, tidy(experiment, members, [(experiment.steps, once)])], ignore_index=True))
        arrays |= {
            "losses": torch.cat(lately)[-LOSSES:].transpose(0, 1).float().cpu().numpy(),
            "generated": torch.stack(samples, 1).numpy(),
            "moments": np.asarray(sorted(kept)),
            "real": real.numpy(),
            **surfaces(game, state, looks[0], real),
        }
        if game.labelled and isinstance(data, LabelledImages):
            arrays |= {"asked": asked_classes(data, looks.latent[:, :SHOWN]).cpu().numpy()}
        if lines[0]:
            arrays |= {name: np.stack([found[name] for found in lines], 1) for name in ("line_logits", "line_pulls")}
            arrays |= {"line_places": lines[0]["line_places"]}
        if probes.has_modes(data):
            arrays |= {"modes": data.modes.numpy(), "std": data.std.numpy()}
    if keep_state:
        arrays |= {"generator": state.generator.parameters.cpu().numpy()}
        arrays |= {"discriminator": state.discriminator.parameters.cpu().numpy()}
    return Run(
        experiment=experiment,
        trace=table,
        outcome=outcome(experiment, {members[m].place: fault for m, fault in faults.items()}, places),
        samples=arrays,
        environment=environment(device, dtype, engine, time.perf_counter() - started)
        | {"precision": precision, "compiled": advance.compiled, "compiled_because": advance.because}
        | {"traced": advance.traced, "group": advance.group, "compile_seconds": advance.compile_seconds}
        | {"sources": _sources(experiment)},
    )


# --- moments -------------------------------------------------------------------------------------------------------


def _spread(moments: Sequence[int], n: int) -> set[int]:
    """Return about n of the moments, evenly spread, first and last among them."""
    if len(moments) <= n:
        return set(moments)
    return {moments[round(i * (len(moments) - 1) / (n - 1))] for i in range(n)}


# --- non-finite values -------------------------------------------------------------------------------------------------


def _copies(streams: Streams) -> Streams:
    return [{purpose: generator.clone_state() for purpose, generator in s.items()} for s in streams]


def _finite(losses: StepLosses) -> Tensor:
    """Return which members had finite losses `[step, member]` throughout, `[member]`."""
    return torch.isfinite(torch.stack(tuple(losses))).all(0).all(0)


def _broken(sound: Tensor, state: State) -> list[int]:
    """Return the members with a non-finite parameter now, or a non-finite loss before."""
    for player in state:
        sound = sound & torch.isfinite(player.parameters).all(1)
    return torch.nonzero(~sound).flatten().tolist()


def _first_faults(
    game: Game, advance: Advance, drawn: Callable[[Streams], Batch], start: int, state: State, streams: Streams, end: int,
    broken: Sequence[int],
) -> dict[int, tuple[int, str]]:  # fmt: skip
    """Return step and place of each broken member's first non-finite value, by going through steps `start` to `end` again."""
    found: dict[int, tuple[int, str]] = {}
    for now in range(start, end):
        if (now - start) % BLOCK == 0:
            draws = drawn(streams)
        state, losses = advance(state, draws, (now - start) % BLOCK, (now - start) % BLOCK + 1)
        for m in _broken(_finite(losses), state):
            if m in broken and m not in found:
                found[m] = (now + 1, _place(game, state, losses, m))
        if len(found) == len(broken):
            break
    return {m: (end, f"steps {start + 1} to {end}, finite when repeated") for m in broken} | found


def _place(game: Game, state: State, losses: StepLosses, m: int) -> str:
    """Return the first non-finite quantity of a member in the order in which a step makes them, or ""."""
    order = [("discriminator", losses.discriminator, 1), ("generator", losses.generator, 0)]
    for role, loss, player in order:
        if not torch.isfinite(loss[:, m]).all():
            return f"{role} loss"
        for layer, value in game.nets[player].unflatten(state[player].parameters[m]).items():
            if not torch.isfinite(value).all():
                return f"{role} layer {layer}"
    return ""


# --- what is kept ------------------------------------------------------------------------------------------------------


def environment(device: str, dtype: torch.dtype, engine: str, seconds: float) -> dict[str, Any]:
    """Return what else the numbers depend on: versions, device, precision, threads."""
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else platform.machine()
    return {
        "ganlab": __version__, "torch": str(torch.__version__), "numpy": np.__version__,
        "python": platform.python_version(), "system": platform.system(), "device": device, "device_name": name,
        "dtype": str(dtype).removeprefix("torch."), "engine": engine, "threads": torch.get_num_threads(),
        "cores": os.cpu_count(), "seconds": round(seconds, 3),
    }  # fmt: skip


def _sources(experiment: Experiment) -> dict[str, str]:
    """Return where the named parts of an experiment come from, for the report's bibliography."""
    settings = experiment.settings
    parts: list[tuple[Registry[Any], str]] = [
        (VARIANTS, experiment.subject), (distributions.DATA, experiment.data.partition(":")[0]),
        (OBJECTIVES, settings["objective"]), (OPTIMIZERS, settings["optimizer"]), (UPDATES, settings["update"]),
        *((PENALTIES if name in PENALTIES else CONSTRAINTS, name) for name in settings["penalties"]),
    ]  # fmt: skip
    return {name: registry.entry(name).source for registry, name in parts if name in registry}


def check_place(device: str, dtype: torch.dtype) -> None:
    """Raise InputError when there is no such device here, or it cannot hold numbers of this kind."""
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise InputError(f"dtype must be a floating-point type of torch, such as torch.float64; got {dtype!r}")
    try:
        torch.zeros(1, dtype=dtype, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:  # whichever torch was built with or without
        raise InputError(f"cannot compute on device {device!r}: {error}; device='cpu' is always there") from error
