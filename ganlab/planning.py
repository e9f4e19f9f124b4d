"""From names and numbers to an experiment, and from an experiment to a game and its data. Refuses what cannot be.

Everything that a user can get wrong in words is said here, before any work; `train.py` then only trains.
"""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ganlab import data as distributions
from ganlab import rng
from ganlab.data.mixtures import Mixture
from ganlab.engine import DTYPES, MAPS, PRECISIONS
from ganlab.experiment import Experiment, at_least, number_values, schedule
from ganlab.game import Batch, Game
from ganlab.layers import Bidirectional, OneAgainstGenerators, Projection, Several
from ganlab.nets import ACTIVATIONS, NETS
from ganlab.parts import PARTS, Parts, check
from ganlab.probes import DUE, has_modes
from ganlab.registry import InputError, unknown
from ganlab.regularizers import CATEGORIES_OF_FAKES
from ganlab.variants import NEUTRAL, NUMBERS, PLACEMENT, ROLES, SHORT, STRUCTURE, USUAL_NET, recipe

Seeds = int | Sequence[int]

WATCHING = ("evaluation", "rotation")
"""Structure that is about what is seen of a game, and not the game's own."""


def plan(
    variant: str,
    data: Any = None,
    *,
    seeds: Seeds = 8,
    steps: int | None = None,
    every: int | None = None,
    **settings: Any,
) -> Experiment:
    """Return the experiment that these names and numbers define; arguments as in `ganlab.run`.

    Raises
    ------
    InputError
        For anything unknown or out of range, and for parts that do not go together.

    Example
    -------
    >>> plan("wgan_gp", "ring8", lr=[1e-3, 1e-4], lr_discriminator=1e-3, seeds=2).members()[3].numbers["lr"]
    0.0001
    """
    chosen = {**recipe(variant)}
    own_penalties = chosen.pop("penalties")
    usual_data, usual_steps = chosen.pop("data", "ring8"), chosen.pop("steps", 3000)
    _check_known("setting", settings, {*STRUCTURE, *NEUTRAL, *NUMBERS, *PARTS, *SHORT, *ROLES})
    found = distribution(usual_data if data is None else data)
    usual = {**STRUCTURE, **NEUTRAL, "evaluation": evaluation_size(found)}
    structure = {name: settings.get(name, chosen.get(name, default)) for name, default in usual.items()}
    structure |= {role: net_settings(role, chosen.get(role, {}), settings) for role in ROLES}
    structure["penalties"] = [name for name in PARTS if name in own_penalties or name in settings]
    if structure["labelled"] and structure["categories"] == 0:
        structure["categories"] = getattr(found, "n_classes", 0)
    _check_structure(structure, found)
    chosen |= settings
    weights = {name: chosen.get(name, own_penalties.get(name)) for name in structure["penalties"]}
    numbers = _numbers(Parts.of(structure), chosen, weights)
    steps = usual_steps if steps is None else steps
    _check_frozen(structure, steps)
    return Experiment("gan", variant, found.name, *schedule(seeds, steps, every), _without_neutral(structure), numbers)


def plan_game(
    game: Game, data: Any = None, *, seeds: Seeds = 8, steps: int | None = None, every: int | None = None, **settings: Any
) -> Experiment:
    """Return the experiment of a game with nets of one's own, which are named by their text and first initial weights."""
    _check_known("setting for a Game", settings, {*NUMBERS, *PLACEMENT, *WATCHING, "batch", *game.penalties})
    found = distribution("ring8" if data is None else data)
    usual = {**STRUCTURE, **NEUTRAL, "evaluation": evaluation_size(found)}
    structure = {
        **{name: getattr(game, name) for name in (*STRUCTURE, *NEUTRAL) if hasattr(game, name)},
        **{name: settings.get(name, usual) for name, usual in PLACEMENT.items()},
        **{name: settings.get(name, usual[name]) for name in ("batch", *WATCHING)},
        "penalties": list(game.penalties),
        **{net.role: str(net) for net in game.nets},
        **{f"{net.role}_weights": hashlib.sha256(net.initial(0).numpy().tobytes()).hexdigest()[:16] for net in game.nets},
    }  # fmt: skip
    _check_structure(structure, found)
    weights = {name: settings.get(name, weight) for name, weight in game.penalties.items()}
    numbers = _numbers(Parts.of(structure), {"average": game.average, **settings}, weights)
    steps = 3000 if steps is None else steps
    _check_frozen(structure, steps)
    return Experiment("gan", "own nets", found.name, *schedule(seeds, steps, every), _without_neutral(structure), numbers)


def build(experiment: Experiment, data: Any = None) -> tuple[Game, Any]:
    """Return the game and the data of a planned experiment; `data` where they are an object and not a name."""
    found = distribution(experiment.data if data is None else data)
    s, shape = experiment.settings, tuple(found.shape)
    parts = {f.name: s[f.name] for f in fields(Parts) if f.name in s and f.name != "penalties"}
    penalties = {name: experiment.numbers[name][0] for name in s["penalties"]}
    average = experiment.numbers.get("average", (None,))[0]
    game = Game(
        partial(_generator, s, shape), partial(_discriminator, s, shape), penalties=penalties, latent=s["latent"],
        average=average, **parts,
    )  # fmt: skip
    return game, found


def evaluation_size(data: Any) -> int:
    """Return how many samples a look takes unless told: the usual number, or as many as give each known mode its `DUE`."""
    lightest = float(data.weights.min()) if has_modes(data) else 1.0
    return max(STRUCTURE["evaluation"], math.ceil(DUE / lightest - 1e-6))


def _generator(s: Mapping[str, Any], shape: tuple[int, ...]) -> nn.Module:
    """Return a generator as the settings say, with an encoder or in several copies where the game needs them."""
    p, settings = Parts.of(s), dict(s["generator"])
    net = NETS[settings.pop("net")]
    if "identification" in p.penalties:
        return Several(p.categories, lambda: net(s["latent"], _plain_shape(shape), **settings))
    made = net(s["latent"] + p.categories, _plain_shape(shape), **settings)
    if p.shown != "latent":
        return made
    return Bidirectional(made, net(_plain_shape(shape), s["latent"], **{**settings, "output": None}))


def _discriminator(s: Mapping[str, Any], shape: tuple[int, ...]) -> nn.Module:
    """Return a discriminator as the settings say, for what it is shown and with the scores it has to give."""
    p, settings = Parts.of(s), dict(s["discriminator"])
    net, head = NETS[settings.pop("net")], settings.pop("head", None)
    size = math.prod(shape)
    if head == "projection":
        *hidden, width = settings.pop("hidden")
        features = net(size, width, hidden, **{**settings, "output": settings["activation"]})
        return Projection(features, width, p.categories)
    n_in = {
        "sample": _plain_shape((p.packing * shape[0], *shape[1:])),
        "label": size + p.categories,
        "latent": p.packing * (size + s["latent"]),
    }[p.shown]
    scored = [name for name in p.penalties if name in CATEGORIES_OF_FAKES]
    made = net(n_in, 1 + p.categories if scored else 1, **settings)
    return nn.Sequential(made, OneAgainstGenerators()) if "identification" in scored else made


def _plain_shape(shape: tuple[int, ...]) -> Any:
    """Return the size of a vector, or the shape of an image."""
    return shape[0] if len(shape) == 1 else shape


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


def net_settings(role: str, own: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a net: the usual ones, the variant's, then those for both nets, then those for this one."""
    given = settings.get(role, {})
    if not isinstance(given, Mapping):
        raise InputError(f"{role} must be settings of a net by name, such as {{'hidden': (64, 64)}}; got {given!r}")
    name = given.get("net", own.get("net", "mlp"))
    same = name == own.get("net", "mlp")  # another net does not inherit the settings of the variant's
    found = {"net": name, **(USUAL_NET if name == "mlp" else {}), **(own if same else {})}
    found |= {short: settings[short] for short in SHORT if short in settings} | dict(given)
    known = inspect.signature(NETS[name]).parameters
    for setting, value in found.items():
        if setting not in ("net", "head") and (setting not in known or setting in ("n_in", "n_out")):
            raise InputError(unknown(f"setting of the net {name!r}", setting, set(known) - {"n_in", "n_out"}))
        if setting == "hidden":
            if not isinstance(value, list | tuple) or not value:
                raise InputError(f"hidden must be a list of layer widths, such as (128, 128); got {value!r}")
            for width in value:
                at_least("each hidden width", width)
        if setting == "activation" and str(value) not in ACTIVATIONS:
            raise InputError(unknown("activation", value, ACTIVATIONS))
        if setting == "head" and (value != "projection" or role != "discriminator" or name != "mlp"):
            raise InputError(f"head can be 'projection', of a discriminator that is an mlp; got {value!r} of a {role} {name!r}")
    return {setting: list(value) if isinstance(value, tuple) else value for setting, value in found.items()}


def _without_neutral(structure: Mapping[str, Any]) -> dict[str, Any]:
    """Return the structure without what is not in use, so that a part that is added one day renames no run without it."""
    return {name: value for name, value in structure.items() if name not in NEUTRAL or value != NEUTRAL[name]}


def _check_structure(structure: Mapping[str, Any], data: Any) -> None:
    for name in ("batch", "latent", "n_critic", "evaluation"):
        at_least(name, structure[name], 2 if name in ("batch", "evaluation") else 1)
    if not isinstance(structure["rotation"], bool):
        raise InputError(f"rotation must be True or False; got {structure['rotation']!r}")
    parts = Parts.of(structure)
    check(parts)
    for name, known in (("dtype", DTYPES), ("engine", MAPS), ("precision", PRECISIONS)):
        if structure[name] not in known:
            raise InputError(unknown(name, structure[name], known))
    if structure["batch"] % parts.packing or structure["batch"] < 2 * parts.packing:
        raise InputError(f"batch must be 2 packs or more, a multiple of packing={parts.packing}; got {structure['batch']}")
    if parts.labelled and getattr(data, "n_classes", 0) != parts.categories:
        raise InputError(
            f"labelled=True needs data with {parts.categories} labels, and {data.name!r} has {getattr(data, 'n_classes', 0)}; "
            "take a mixture, or images of digits"
        )
    head = structure["discriminator"].get("head") if isinstance(structure["discriminator"], Mapping) else None
    if head == "projection" and parts.shown != "label":
        raise InputError("head='projection' reads the label of each sample; use shown='label' with labelled=True")


def _check_frozen(structure: Mapping[str, Any], steps: int) -> None:
    if structure["frozen_at"] is not None and isinstance(steps, int) and structure["frozen_at"] >= steps:
        raise InputError(
            f"frozen_at must be less than steps={steps}, which count from the start, so that the discriminator trains against "
            f"the frozen generator; got frozen_at={structure['frozen_at']}"
        )


def _numbers(parts: Parts, chosen: Mapping[str, Any], weights: Mapping[str, Any]) -> dict[str, tuple[float, ...]]:
    """Return the values of every number that the optimiser, the update rule and the penalties read."""
    values = {name: chosen.get(name, NUMBERS[name]) for name in parts.numbers}
    rate = chosen.get("lr_discriminator", NUMBERS["lr_discriminator"])
    values["lr_discriminator"] = values["lr"] if rate is None else rate
    if isinstance(values["lr"], list | tuple) and len(values["lr"]) > 1 and rate is None:
        raise InputError("with several values of lr, say which lr_discriminator goes with them (one value, or a list to cross)")
    if chosen.get("average") is not None:
        values["average"] = chosen["average"]
    return {name: number_values(name, value) for name, value in {**values, **weights}.items()}


def _repeatable(output: Callable[[], Any], role: str) -> Any:
    """Return a net's output. Raises InputError when it depends on torch's global random state."""
    outputs = []
    for seed in (0, 1):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            outputs.append(output())
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
    n = 2 * game.packing
    theta, psi = (net.initial(0) for net in game.nets)
    latent = torch.zeros(n, (game.latent or 0) + game.categories)
    batch = Batch(data.sample(n, rng.stream(0, "evaluation")), latent, torch.empty(0))
    try:
        with torch.no_grad():
            fake = _repeatable(lambda: game.generate(theta, latent), "generator")
            if not isinstance(fake, Tensor) or tuple(fake.shape) != (n, *data.shape):
                what = tuple(fake.shape) if isinstance(fake, Tensor) else type(fake).__name__
                raise InputError(
                    f"the generator turns latents {tuple(latent.shape)} into {what}, but samples of "
                    f"{data.name!r} are ({n}, {', '.join(map(str, data.shape))}); change its last layer"
                )
            seen = game.show_as_they_are(psi, theta, batch.real, fake, batch)
            scores = _repeatable(lambda: game.nets[1].apply(psi, seen.read(seen.fake)), "discriminator")
    except InputError:
        raise
    except Exception as error:  # a user's forward may fail in any way
        raise InputError(f"the nets do not fit latent size {game.latent} and data {tuple(data.shape)}: {error}") from error
    width = 1 + game.categories if game.scores_categories else 1
    allowed = ((2, width),) if width > 1 else ((2,), (2, 1))
    if not isinstance(scores, Tensor) or tuple(scores.shape) not in allowed:
        what = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        wanted = f"a logit and {game.categories} scores" if width > 1 else "one logit"
        raise InputError(
            f"the discriminator must give {wanted} a sample, {' or '.join(map(str, allowed))} for two samples; got {what}"
        )
