"""From names to a run: plan -> build -> init -> draw -> mapped step -> mapped probes. The main path.

`run` is the whole of it in one call. `plan` turns names and numbers into an `Experiment`, refusing what cannot be;
`build` turns that into a game and its data; `train` trains all members and returns the `Run`.
"""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from ganlab import __version__, probes, rng, trace
from ganlab import data as distributions
from ganlab.experiment import Experiment, Member, Run
from ganlab.game import Batch, Game, State, StepLosses, initial, step
from ganlab.nets import ACTIVATIONS, mlp
from ganlab.optim import OPTIMIZERS, Numbers
from ganlab.penalties import CONSTRAINTS, PENALTIES
from ganlab.registry import InputError, unknown
from ganlab.variants import NUMBERS, STRUCTURE, recipe

BLOCK = 32
"""Steps drawn at once for each member; fixed, so that a seed's draws depend neither on the crowd nor on the run's length."""

MOMENTS = 30
"""About how often samples are kept for looking at."""

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
    if isinstance(variant, Game):
        distribution = _distribution(data)
        experiment = _plan_own(variant, distribution, seeds, steps, every, settings)
        return train(variant, distribution, experiment, device=device, dtype=dtype, engine=engine, tick=tick)
    if isinstance(data, str):
        experiment = plan(variant, data, seeds=seeds, steps=steps, every=every, **settings)
        game, distribution = build(experiment)
    else:
        distribution = _distribution(data)
        experiment = _plan(variant, distribution.name, seeds, steps, every, settings)
        game = _game(experiment, distribution.shape)
    return train(game, distribution, experiment, device=device, dtype=dtype, engine=engine, tick=tick)


def plan(
    variant: str, data: str, *, seeds: int | Sequence[int], steps: int, every: int | None = None, **settings: Any
) -> Experiment:
    """Return the experiment that these names and numbers define. Raises InputError as `run` does."""
    return _plan(variant, distributions.get(data).name, seeds, steps, every, settings)


def build(experiment: Experiment) -> tuple[Game, Any]:
    """Return the game and the data of a planned experiment."""
    distribution = distributions.get(experiment.data)
    return _game(experiment, distribution.shape), distribution


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
    mapped = MAPS[engine] if engine in MAPS else _refuse(unknown("engine", engine, MAPS))

    # initialise: one state a member, from its own streams
    place = partial(torch.Tensor.to, device=device, dtype=dtype)
    for net in game.nets:
        net.to(device, dtype)
    _check_shapes(game, data)
    batch_size, n_evaluation = experiment.settings["batch"], experiment.settings["evaluation"]
    state: State = tree_map(place, _stack([initial(game, member.seed) for member in members]))
    numbers = {name: torch.tensor([m.numbers[name] for m in members], dtype=dtype, device=device) for name in members[0].numbers}
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
    for start in range(0, experiment.steps, BLOCK):
        draws = tree_map(place, _stack([_draw(game, data, s, batch_size) for s in streams]))
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
    if keep_state:
        arrays |= {"generator": state.generator.parameters.cpu().numpy()}
        arrays |= {"discriminator": state.discriminator.parameters.cpu().numpy()}
    return Run(
        experiment=experiment,
        trace=_tidy(experiment, members, readings),
        outcome=_outcome(experiment, members, faults),
        samples=arrays,
        environment=environment(device, dtype, engine, time.perf_counter() - started),
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


def _draw(game: Game, data: Any, streams: Mapping[str, torch.Generator], batch: int) -> Batch:
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


def _outcome(experiment: Experiment, members: Sequence[Member], faults: Mapping[int, tuple[int, str]]) -> pd.DataFrame:
    rows = []
    for m in members:
        fault = faults.get(m.place)
        varied = {name: m.numbers[name] for name in experiment.varied}
        status, at, where = ("diverged", *fault) if fault else ("finished", pd.NA, "")
        rows.append({"member": m.place, "seed": m.seed, **varied, "status": status, "step": at, "place": where})
    return pd.DataFrame(rows).astype({"step": "Int64"})


def environment(device: str, dtype: torch.dtype, engine: str, seconds: float) -> dict[str, Any]:
    """Return what else the numbers depend on: versions, device, precision, threads."""
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else platform.machine()
    return {
        "ganlab": __version__, "torch": str(torch.__version__), "numpy": np.__version__,
        "python": platform.python_version(), "system": platform.system(), "device": device, "device_name": name,
        "dtype": str(dtype).removeprefix("torch."), "engine": engine, "threads": torch.get_num_threads(),
        "cores": os.cpu_count(), "seconds": round(seconds, 3),
    }  # fmt: skip


# --- from names to an experiment ---------------------------------------------------------------------------------------


def _plan(
    variant: str, data: str, seeds: int | Sequence[int], steps: int, every: int | None, settings: Mapping[str, Any]
) -> Experiment:
    chosen = {**recipe(variant)}
    own_penalties = chosen.pop("penalties")
    known = {*STRUCTURE, *NUMBERS, *PENALTIES, *CONSTRAINTS}
    for name in settings:
        if name not in known:
            raise InputError(unknown("setting", name, known))
    chosen |= settings
    penalties = [name for name in (*PENALTIES, *CONSTRAINTS) if name in own_penalties or name in settings]
    structure = {name: chosen.get(name, default) for name, default in STRUCTURE.items()} | {"penalties": penalties}
    _check_structure(structure)
    weights = {name: chosen.get(name, own_penalties.get(name)) for name in penalties}
    numbers = _numbers(str(structure["optimizer"]), chosen, weights)
    structure["hidden"] = list(structure["hidden"])
    return Experiment("gan", variant, data, *_schedule(seeds, steps, every), structure, numbers)


def _plan_own(
    game: Game, data: Any, seeds: int | Sequence[int], steps: int, every: int | None, settings: Mapping[str, Any]
) -> Experiment:
    """Return the experiment of a user's game; its nets are described by their text."""
    known = {*NUMBERS, "batch", "evaluation", *game.penalties}
    for name in settings:
        if name not in known:
            raise InputError(unknown("setting for a Game", name, known))
    structure = {
        "objective": game.objective, "update": game.update, "optimizer": game.optimizer, "n_critic": game.n_critic,
        "batch": settings.get("batch", STRUCTURE["batch"]), "latent": game.latent,
        "evaluation": settings.get("evaluation", STRUCTURE["evaluation"]), "penalties": list(game.penalties),
        "generator": str(game.nets[0]), "discriminator": str(game.nets[1]),
    }  # fmt: skip
    _check_structure(structure)
    numbers = _numbers(game.optimizer, settings, {**game.penalties, **{k: settings[k] for k in game.penalties if k in settings}})
    return Experiment("gan", "own nets", data.name, *_schedule(seeds, steps, every), structure, numbers)


def _numbers(optimizer: str, chosen: Mapping[str, Any], weights: Mapping[str, Any]) -> dict[str, tuple[float, ...]]:
    """Return the values of every number that the optimiser and the penalties read."""
    values = {name: chosen.get(name, NUMBERS[name]) for name in OPTIMIZERS[optimizer].numbers}
    rate = chosen.get("lr_discriminator", NUMBERS["lr_discriminator"])
    values["lr_discriminator"] = values["lr"] if rate is None else rate
    varied_lr = isinstance(values["lr"], list | tuple) and len(values["lr"]) > 1
    if varied_lr and rate is None:
        raise InputError("with several values of lr, say which lr_discriminator goes with them (one value, or a list to cross)")
    return {name: _values(name, value) for name, value in {**values, **weights}.items()}


def _values(name: str, given: Any) -> tuple[float, ...]:
    values = tuple(given) if isinstance(given, list | tuple) else (given,)
    fraction = name in ("beta1", "beta2", "momentum", "decay")
    allowed = "at least 0 and below 1" if fraction else "at least 0" if name not in ("lr", "lr_discriminator") else "above 0"
    for value in values:
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        good = number and value >= 0 and (value < 1 or not fraction) and (value > 0 or allowed != "above 0")
        if not good:
            raise InputError(f"{name} must be a finite number {allowed}, or a list of such; got {value!r}")
    if not values or len(set(values)) < len(values):
        raise InputError(f"{name} must have at least one value and none twice; got {given!r}")
    return tuple(float(value) for value in values)


def _schedule(seeds: int | Sequence[int], steps: int, every: int | None) -> tuple[tuple[int, ...], int, int]:
    members = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
    if not members or len(set(members)) < len(members) or any(not isinstance(s, int) or s < 0 for s in members):
        raise InputError(f"seeds must be a count of at least 1, or different integers of at least 0; got {seeds!r}")
    _at_least_one("steps", steps)
    every = max(1, steps // MOMENTS) if every is None else every
    _at_least_one("every", every)
    return members, steps, every


def _check_structure(structure: Mapping[str, Any]) -> None:
    for name in ("batch", "latent", "n_critic", "evaluation"):
        _at_least_one(name, structure[name], 2 if name in ("batch", "evaluation") else 1)
    hidden = structure.get("hidden", (1,))
    if not isinstance(hidden, list | tuple) or not hidden:
        raise InputError(f"hidden must be a list of layer widths, such as (128, 128); got {hidden!r}")
    for width in hidden:
        _at_least_one("each hidden width", width)
    if structure.get("activation", "relu") not in ACTIVATIONS:
        raise InputError(unknown("activation", structure["activation"], ACTIVATIONS))


def _at_least_one(name: str, value: Any, least: int = 1) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InputError(f"{name} must be a whole number of at least {least}; got {value!r}")


def _game(experiment: Experiment, shape: tuple[int, ...]) -> Game:
    s = experiment.settings
    size, latent, hidden = math.prod(shape), s["latent"], tuple(s["hidden"])

    def generator() -> nn.Module:
        net = mlp(latent, size, hidden, s["activation"])
        return net if len(shape) == 1 else nn.Sequential(net, nn.Tanh(), nn.Unflatten(1, shape))

    def discriminator() -> nn.Module:
        net = mlp(size, 1, hidden, s["activation"])
        return net if len(shape) == 1 else nn.Sequential(nn.Flatten(), net)

    penalties = {name: experiment.numbers[name][0] for name in s["penalties"]}
    return Game(
        generator, discriminator, objective=s["objective"], penalties=penalties, update=s["update"],
        optimizer=s["optimizer"], n_critic=s["n_critic"], latent=latent,
    )  # fmt: skip


def _distribution(data: Any) -> Any:
    if isinstance(data, str):
        return distributions.get(data)
    if isinstance(data, Tensor):
        return distributions.Points(data)
    if isinstance(data, distributions.DataDistribution):
        return data
    raise InputError(
        f"data must be a name, a tensor [n, *shape], or an object with name, shape and sample(n, generator); got {type(data).__name__}"
    )


def _check_shapes(game: Game, data: Any) -> None:
    """Raise InputError when the nets do not fit the data or each other, before any training."""
    generator, discriminator = (net.build(0) for net in game.nets)
    try:
        with torch.no_grad():
            fake = generator(torch.zeros(2, game.latent or 0))
            if tuple(fake.shape) != (2, *data.shape):
                raise InputError(
                    f"the generator turns latents (2, {game.latent}) into {tuple(fake.shape)}, but samples of "
                    f"{data.name!r} are (2, {', '.join(map(str, data.shape))}); change its last layer"
                )
            logits = discriminator(fake)
    except RuntimeError as error:
        raise InputError(f"the nets do not fit latent size {game.latent} and data {tuple(data.shape)}: {error}") from error
    if logits.numel() != 2:
        raise InputError(
            f"the discriminator must give one logit a sample, (2,) or (2, 1) for two samples; got {tuple(logits.shape)}"
        )


def _refuse(message: str) -> Any:
    raise InputError(message)
