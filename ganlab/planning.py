"""From names and numbers to an experiment, and from an experiment to a game and its data. Refuses what cannot be.

Everything that a user can get wrong in words is said here, before any work; `train.py` then only trains.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ganlab import data as distributions
from ganlab import rng
from ganlab.data.mixtures import Mixture
from ganlab.experiment import Experiment, at_least, number_values, schedule
from ganlab.game import UPDATES, Game, check_turns
from ganlab.nets import ACTIVATIONS, mlp
from ganlab.objectives import OBJECTIVES
from ganlab.optim import OPTIMIZERS
from ganlab.penalties import CONSTRAINTS, PENALTIES
from ganlab.registry import InputError, unknown
from ganlab.variants import NUMBERS, STRUCTURE, recipe

Seeds = int | Sequence[int]


def plan(
    variant: str, data: Any, *, seeds: Seeds = 8, steps: int = 3000, every: int | None = None, **settings: Any
) -> Experiment:
    """Return the experiment that these names and numbers define; arguments as in `ganlab.run`.

    Raises
    ------
    InputError
        For anything unknown or out of range.

    Example
    -------
    >>> plan("wgan_gp", "ring8", lr=[1e-3, 1e-4], lr_discriminator=1e-3, seeds=2).members()[3].numbers["lr"]
    0.0001
    """
    chosen = {**recipe(variant)}
    own_penalties = chosen.pop("penalties")
    _check_known("setting", settings, {*STRUCTURE, *NUMBERS, *PENALTIES, *CONSTRAINTS})
    chosen |= settings
    penalties = [name for name in (*PENALTIES, *CONSTRAINTS) if name in own_penalties or name in settings]
    structure = {name: chosen.get(name, default) for name, default in STRUCTURE.items()} | {"penalties": penalties}
    _check_structure(structure)
    weights = {name: chosen.get(name, own_penalties.get(name)) for name in penalties}
    numbers = _numbers(structure["optimizer"], chosen, weights)
    structure["hidden"] = list(structure["hidden"])
    return Experiment("gan", variant, distribution(data).name, *schedule(seeds, steps, every), structure, numbers)


def plan_game(
    game: Game, data: Any, *, seeds: Seeds = 8, steps: int = 3000, every: int | None = None, **settings: Any
) -> Experiment:
    """Return the experiment of a game with nets of one's own, which are named by their text and first initial weights."""
    _check_known("setting for a Game", settings, {*NUMBERS, "batch", "evaluation", *game.penalties})
    structure = {
        "objective": game.objective, "update": game.update, "optimizer": game.optimizer, "n_critic": game.n_critic,
        "batch": settings.get("batch", STRUCTURE["batch"]), "latent": game.latent,
        "evaluation": settings.get("evaluation", STRUCTURE["evaluation"]), "penalties": list(game.penalties),
        **{net.role: str(net) for net in game.nets},
        **{f"{net.role}_weights": hashlib.sha256(net.initial(0).numpy().tobytes()).hexdigest()[:16] for net in game.nets},
    }  # fmt: skip
    _check_structure(structure)
    weights = {name: settings.get(name, weight) for name, weight in game.penalties.items()}
    numbers = _numbers(game.optimizer, settings, weights)
    return Experiment("gan", "own nets", distribution(data).name, *schedule(seeds, steps, every), structure, numbers)


def build(experiment: Experiment, data: Any = None) -> tuple[Game, Any]:
    """Return the game and the data of a planned experiment; `data` where they are an object and not a name."""
    found = distribution(experiment.data if data is None else data)
    s, shape = experiment.settings, found.shape
    size, hidden = math.prod(shape), tuple(s["hidden"])

    def generator() -> nn.Module:
        net = mlp(s["latent"], size, hidden, s["activation"])
        return net if len(shape) == 1 else nn.Sequential(net, nn.Tanh(), nn.Unflatten(1, shape))

    def discriminator() -> nn.Module:
        net = mlp(size, 1, hidden, s["activation"])
        return net if len(shape) == 1 else nn.Sequential(nn.Flatten(), net)

    penalties = {name: experiment.numbers[name][0] for name in s["penalties"]}
    game = Game(
        generator, discriminator, objective=s["objective"], penalties=penalties, update=s["update"],
        optimizer=s["optimizer"], n_critic=s["n_critic"], latent=s["latent"],
    )  # fmt: skip
    return game, found


def distribution(data: Any) -> Any:
    """Return a data distribution from a name, a tensor of points, or an object that is one."""
    if isinstance(data, str):
        return distributions.get(data)
    if isinstance(data, Tensor):
        return distributions.Points(data)
    if isinstance(data, Mixture) and not data.name:  # named by its content, so that two of them are two data sets
        content = [data.modes, data.std, data.weights]
        digest = hashlib.sha256(b"".join(part.numpy().tobytes() for part in content)).hexdigest()
        data.name = f"mixture-{digest[:12]}"
    if isinstance(data, distributions.DataDistribution):
        if not data.name:
            raise InputError("the data object must have a name, which tells its runs from those on other data")
        return data
    raise InputError(
        "data must be a name, a tensor [n, *shape], or an object with name, shape and sample(n, generator); "
        f"got {type(data).__name__}"
    )


def _check_known(kind: str, given: Mapping[str, Any], known: set[str]) -> None:
    for name in given:
        if name not in known:
            raise InputError(unknown(kind, name, known))


def _check_structure(structure: Mapping[str, Any]) -> None:
    OBJECTIVES.entry(structure["objective"]), UPDATES.entry(structure["update"]), OPTIMIZERS.entry(structure["optimizer"])
    for name in ("batch", "latent", "n_critic", "evaluation"):
        at_least(name, structure[name], 2 if name in ("batch", "evaluation") else 1)
    check_turns(structure["update"], structure["n_critic"])
    hidden = structure.get("hidden", (1,))
    if not isinstance(hidden, list | tuple) or not hidden:
        raise InputError(f"hidden must be a list of layer widths, such as (128, 128); got {hidden!r}")
    for width in hidden:
        at_least("each hidden width", width)
    if str(structure.get("activation", "relu")) not in ACTIVATIONS:
        raise InputError(unknown("activation", structure["activation"], ACTIVATIONS))


def _numbers(optimizer: str, chosen: Mapping[str, Any], weights: Mapping[str, Any]) -> dict[str, tuple[float, ...]]:
    """Return the values of every number that the optimiser and the penalties read."""
    values = {name: chosen.get(name, NUMBERS[name]) for name in OPTIMIZERS[optimizer].numbers}
    rate = chosen.get("lr_discriminator", NUMBERS["lr_discriminator"])
    values["lr_discriminator"] = values["lr"] if rate is None else rate
    if isinstance(values["lr"], list | tuple) and len(values["lr"]) > 1 and rate is None:
        raise InputError("with several values of lr, say which lr_discriminator goes with them (one value, or a list to cross)")
    return {name: number_values(name, value) for name, value in {**values, **weights}.items()}


def _forward(net: nn.Module, x: Tensor, role: str) -> Any:
    """Return the net's output. Raises InputError when it depends on torch's global random state."""
    outputs = []
    for seed in (0, 1):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            outputs.append(net(x))
    if isinstance(outputs[0], Tensor) and not torch.equal(*outputs):
        raise InputError(
            f"the {role} draws random numbers of its own in forward, so a seed would not repeat; remove that, or feed noise "
            "through the latent"
        )
    return outputs[0]


def check_fit(game: Game, data: Any) -> None:
    """Raise InputError when the nets do not fit the data or each other, or samples are not of the shape they should have."""
    real = data.sample(2, rng.stream(0, "evaluation"))
    if not isinstance(real, Tensor) or tuple(real.shape) != (2, *data.shape):
        what = tuple(real.shape) if isinstance(real, Tensor) else type(real).__name__
        raise InputError(f"data {data.name!r} of shape {tuple(data.shape)} must give tensors [n, *shape]; got {what} for n=2")
    generator, discriminator = (net.build(0) for net in game.nets)
    try:
        with torch.no_grad():
            fake = _forward(generator, torch.zeros(2, game.latent or 0), "generator")
            if not isinstance(fake, Tensor) or tuple(fake.shape) != (2, *data.shape):
                what = tuple(fake.shape) if isinstance(fake, Tensor) else type(fake).__name__
                raise InputError(
                    f"the generator turns latents (2, {game.latent}) into {what}, but samples of "
                    f"{data.name!r} are (2, {', '.join(map(str, data.shape))}); change its last layer"
                )
            logits = _forward(discriminator, fake, "discriminator")
    except InputError:
        raise
    except Exception as error:  # a user's forward may fail in any way
        raise InputError(f"the nets do not fit latent size {game.latent} and data {tuple(data.shape)}: {error}") from error
    if not isinstance(logits, Tensor) or logits.numel() != 2:
        what = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise InputError(f"the discriminator must give one logit a sample, (2,) or (2, 1) for two samples; got {what}")
