"""The main path: plan -> build -> init -> draw -> mapped step -> mapped probes.

`run` is the whole of it in one call; `train` trains the members of a planned experiment (see `planning.py`) and returns the
`Run`. The step is in `game.py`, what is looked at in `probes.py`.
"""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from ganlab import __version__, probes, rng, trace
from ganlab import data as distributions
from ganlab.experiment import MOMENTS, Experiment, Member, Run, outcome
from ganlab.game import UPDATES, Batch, Game, State, StepLosses, initial, step
from ganlab.objectives import OBJECTIVES
from ganlab.optim import OPTIMIZERS, Numbers
from ganlab.penalties import CONSTRAINTS, PENALTIES
from ganlab.planning import build, check_fit, distribution, plan, plan_game
from ganlab.registry import InputError, Registry, unknown
from ganlab.variants import VARIANTS

BLOCK = 32
"""Steps drawn at once for each member; fixed, so that a seed's draws depend neither on the crowd nor on the run's length."""

USUAL = {"device": "cpu", "dtype": "float32", "engine": "vmap"}
"""How a run is computed unless said otherwise; anything else is part of its settings, and so of its name."""

SHOWN = 512
"""Samples kept at each moment: enough to see a mode of 25, few enough to store."""

Tick = Callable[[int], None]
"""Told the steps finished since it was last told."""


def run(
    variant: str | Game = "nsgan",
    data: Any = "ring8",
    *,
    seeds: int | Sequence[int] = 8,
    steps: int = 3000,
    every: int | None = None,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    engine: str = "vmap",
    tick: Tick | None = None,
    **settings: Any,
) -> Run:
    """Train a GAN over many seeds at once, watched, and return what was seen.

    Parameters
    ----------
    variant
        Name of a variant or objective, or a `Game` of your own nets.
    data
        Name of a data distribution, an object with `sample(n, generator)` and `shape`, or a tensor `[n, *shape]`.
    seeds
        How many (0, 1, ...), or a list of integers.
    steps
        Generator updates.
    every
        Steps between two looks of the probes; None looks about 30 times.
    device, dtype, engine
        Where, in which precision, and whether members are mapped ("vmap") or trained one by one ("loop").
    settings
        By name: `batch`, `latent`, `hidden=(128, 128)`, `lr`, `lr_discriminator`, `beta1`, `n_critic`, a penalty's weight as
        in `r1=10`, ... A list of values for a number trains members for each value.

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
    real = distribution(data)
    if isinstance(variant, Game):
        game, experiment = variant, plan_game(variant, real, seeds=seeds, steps=steps, every=every, **settings)
    else:
        experiment = plan(variant, real, seeds=seeds, steps=steps, every=every, **settings)
        game, _ = build(experiment, real)
    chosen = {"device": device, "dtype": str(dtype).removeprefix("torch."), "engine": engine}
    special = {name: value for name, value in chosen.items() if value != USUAL[name]}
    experiment = replace(experiment, settings={**experiment.settings, **special})
    return train(game, real, experiment, device=device, dtype=dtype, engine=engine, tick=tick)


def perform(experiment: Experiment, tick: Tick | None = None) -> Run:
    """Train a planned experiment with the default engine: what a sweep calls in its workers."""
    return train(*build(experiment), experiment, tick=tick)


def train(
    game: Game,
    data: Any,
    experiment: Experiment,
    *,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    engine: str = "vmap",
    watch: bool = True,
    keep_state: bool = False,
    tick: Tick | None = None,
) -> Run:
    """Train every member of an experiment and return the run.

    A member that turns non-finite gets the outcome "diverged" with step and place; the others go on untouched.

    Parameters
    ----------
    watch
        False trains without probes, to time and to prove that looking changes nothing.
    keep_state
        True keeps the final parameters among the run's samples, as `generator` and `discriminator [member, parameter]`.
    """
    started = time.perf_counter()
    members = experiment.members()
    if engine not in MAPS:
        raise InputError(unknown("engine", engine, MAPS))
    mapped = MAPS[engine]

    # initialise: one state a member, from its own streams
    _check_place(device, dtype)
    place = partial(torch.Tensor.to, device=device, dtype=dtype)
    for net in game.nets:
        net.to(device, dtype)
    check_fit(game, data)
    data = data.to(device) if hasattr(data, "to") else data  # images are held where they are used
    batch_size, n_evaluation = experiment.settings["batch"], experiment.settings["evaluation"]
    state: State = tree_map(place, _stack([initial(game, member.seed) for member in members]))
    numbers = {
        name: torch.tensor([m.numbers[name] for m in members], dtype=dtype, device=device) for name in members[0].numbers
    }
    streams = [{purpose: rng.stream(m.seed, purpose) for purpose in rng.PURPOSES} for m in members]
    looks = _evaluation(game, data, members, batch_size, n_evaluation, place)

    # map one member's step and probes over all of them
    advance = mapped(partial(step, game))
    look = mapped(partial(_look, game, data))
    watched = set(range(0, experiment.steps, experiment.every)) | {experiment.steps} if watch else set()
    kept = _spread(sorted(watched), MOMENTS)
    readings: list[tuple[int, Any]] = []
    samples: list[Tensor] = []
    faults: dict[int, tuple[int, str]] = {}

    def record(now: int) -> None:
        if now in watched:
            reading, fake = look(state, looks, numbers)
            readings.append((now, reading))
            if now in kept:
                samples.append(fake[:, :SHOWN].float().cpu())

    # train in blocks: draw, step, look, and find what is no longer finite
    draws: Batch | None = None
    for start in range(0, experiment.steps, BLOCK):
        del draws  # the largest thing here; two blocks need not fit
        draws = tree_map(place, _stack([draw(game, data, s, batch_size) for s in streams]))
        length = min(BLOCK, experiment.steps - start)
        before, seen = state, []
        for i in range(length):
            record(start + i)
            state, losses = advance(state, Batch(*(d[:, i] for d in draws)), numbers)
            seen.append(losses)
        broken = [m for m in _non_finite(state, seen) if m not in faults]
        if broken:
            faults |= _first_faults(game, advance, before, draws, numbers, length, start, broken)
        if tick:
            tick(length)
    record(experiment.steps)

    arrays: dict[str, Any] = {}
    if watch:
        arrays = {
            "generated": torch.stack(samples, 1).numpy(),
            "moments": np.asarray(sorted(kept)),
            "real": data.sample(SHOWN, rng.stream(members[0].seed, "evaluation")).cpu().numpy(),
        }
        if probes.has_modes(data):
            arrays |= {"modes": data.modes.numpy(), "std": data.std.numpy()}
    if keep_state:
        arrays |= {"generator": state.generator.parameters.cpu().numpy()}
        arrays |= {"discriminator": state.discriminator.parameters.cpu().numpy()}
    return Run(
        experiment=experiment,
        trace=_tidy(experiment, members, readings),
        outcome=outcome(experiment, faults),
        samples=arrays,
        environment=environment(device, dtype, engine, time.perf_counter() - started) | {"sources": _sources(experiment)},
    )


# --- mapping a function of one member over members ---------------------------------------------------------------------


def _stack(items: Sequence[Any]) -> Any:
    """Return one tree whose leaves have a leading member axis."""
    return tree_map(lambda *leaves: torch.stack(leaves), *items)


def _loop(function: Callable[..., Any]) -> Callable[..., Any]:
    """Map by calling one member after the other: slow, and what to debug with. Errors name the member."""

    def mapped(*stacked: Any) -> Any:
        first = stacked[0]
        while not isinstance(first, Tensor):
            first = first[0]
        results = []
        for i in range(len(first)):
            try:
                results.append(function(*(tree_map(lambda leaf, i=i: leaf[i], tree) for tree in stacked)))
            except Exception as error:
                error.add_note(f"while training member {i}")
                raise
        return _stack(results)

    return mapped


MAPS: Mapping[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {"vmap": torch.func.vmap, "loop": _loop}


# --- draws -------------------------------------------------------------------------------------------------------------


def draw(game: Game, data: Any, streams: Mapping[str, torch.Generator], batch: int) -> Batch:
    """Return one member's draws for a block: leaves `[step, draw, batch, ...]`."""
    lead, n = (BLOCK, game.n_draws), BLOCK * game.n_draws * batch
    real = data.sample(n, streams["data"]).reshape(*lead, batch, *data.shape)
    latent = torch.randn(*lead, batch, game.latent or 0, generator=streams["latent"])
    width = 1 + math.prod(data.shape) if game.draws_noise else 0
    noise = torch.rand(*lead, batch, width, generator=streams["penalty"])
    return Batch(real, latent, noise)


def _evaluation(
    game: Game, data: Any, members: Sequence[Member], batch: int, n: int, place: Callable[[Tensor], Tensor]
) -> tuple[Batch, Tensor]:
    """Return what the probes look at: one update's draws, and the latents of the evaluation samples."""

    def draw(member: Member) -> tuple[Batch, Tensor]:
        generator = rng.stream(member.seed, "evaluation")
        real = data.sample(batch, generator)
        latent = torch.randn(max(n, batch), game.latent or 0, generator=generator)
        noise = torch.rand(batch, 1 + math.prod(data.shape) if game.draws_noise else 0, generator=generator)
        return Batch(real, latent[:batch], noise), latent[:n]

    stacked: tuple[Batch, Tensor] = tree_map(place, _stack([draw(member) for member in members]))
    return stacked


def _look(game: Game, data: Any, state: State, looks: tuple[Batch, Tensor], numbers: Numbers) -> tuple[Any, Tensor]:
    """Return all readings of one member, in the order of their names, and its samples."""
    batch, latent = looks
    fake = game.generate(state.generator.parameters, latent)
    view = probes.View(game, state, batch, fake, numbers, data)
    readings: dict[Any, Tensor] = {}
    for probe in probes.applicable(data):
        readings |= probe(view)
    return readings, fake


def _spread(moments: Sequence[int], n: int) -> set[int]:
    """Return about n of the moments, evenly spread, first and last among them."""
    if len(moments) <= n:
        return set(moments)
    return {moments[round(i * (len(moments) - 1) / (n - 1))] for i in range(n)}


# --- non-finite values -------------------------------------------------------------------------------------------------


def _non_finite(state: State, losses: Sequence[StepLosses]) -> list[int]:
    """Return the members with a non-finite parameter now, or a non-finite loss in these steps."""
    seen = torch.stack([torch.stack(pair) for pair in losses]).sum((0, 1))
    total = seen + state.generator.parameters.sum(1) + state.discriminator.parameters.sum(1)
    if bool(torch.isfinite(total).all()):  # the usual case, one number to look at
        return []
    finite = torch.stack([torch.isfinite(torch.stack(pair)).all(0) for pair in losses]).all(0)
    for player in state:
        finite &= torch.isfinite(player.parameters).all(1)
    return torch.nonzero(~finite).flatten().tolist()


def _first_faults(
    game: Game, advance: Callable[..., Any], state: State, draws: Batch, numbers: Numbers, length: int, start: int,
    broken: Sequence[int],
) -> dict[int, tuple[int, str]]:  # fmt: skip
    """Return step and place of each broken member's first non-finite value, by going through the block again."""
    found: dict[int, tuple[int, str]] = {}
    for i in range(length):
        state, losses = advance(state, Batch(*(d[:, i] for d in draws)), numbers)
        for m in broken:
            if m not in found and (where := _place(game, state, losses, m)):
                found[m] = (start + i + 1, where)
    return found


def _place(game: Game, state: State, losses: StepLosses, m: int) -> str:
    """Return the first non-finite quantity of a member in the order in which a step makes them, or ""."""
    order = [("discriminator", losses.discriminator, 1), ("generator", losses.generator, 0)]
    for role, loss, player in order:
        if not torch.isfinite(loss[m]):
            return f"{role} loss"
        for layer, value in game.nets[player].unflatten(state[player].parameters[m]).items():
            if not torch.isfinite(value).all():
                return f"{role} layer {layer}"
    return ""


# --- what is kept ------------------------------------------------------------------------------------------------------


def _tidy(experiment: Experiment, members: Sequence[Member], readings: Sequence[tuple[int, Any]]) -> pd.DataFrame:
    if not readings:
        return pd.DataFrame(columns=list(trace.COLUMNS))
    quantities = []
    for key in readings[0][1]:
        values = torch.stack([reading[key] for _, reading in readings]).double().cpu().numpy()
        quantities.append((*key, values))
    return trace.tidy(experiment.id, [m.seed for m in members], [now for now, _ in readings], quantities)


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


def _check_place(device: str, dtype: torch.dtype) -> None:
    """Raise InputError when there is no such device here, or it cannot hold numbers of this kind."""
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise InputError(f"dtype must be a floating-point type of torch, such as torch.float64; got {dtype!r}")
    try:
        torch.zeros(1, dtype=dtype, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:  # whichever torch was built with or without
        raise InputError(f"cannot compute on device {device!r}: {error}; device='cpu' is always there") from error
