"""The same for autoencoders and variational autoencoders of images, over many seeds; their samples are judged as a GAN's are.

`run` is the whole of it in one call; `plan` turns names and numbers into an `Experiment`, and `perform` trains it. The step is
written for one member and mapped by `engine.Advance`. What a model makes small, and where the latents of its samples come from,
is in `coders.py`; what is read off a member and kept, in `decoded.py`. Nets see brightness, 0 for black and 1 for white.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.func import grad_and_value
from torch.utils._pytree import tree_map

from ganlab import data as distributions
from ganlab import rng, trace
from ganlab.coders import LIKELIHOODS, MODELS, Coder
from ganlab.data.images import LabelledImages, scaled
from ganlab.decoded import FITTED, Looks, brightness, evaluation, kept, look, references
from ganlab.draws import BLOCK
from ganlab.engine import MAPS, Advance, stack
from ganlab.experiment import Experiment, Run, at_least, number_values, outcome, schedule
from ganlab.fitting import fit
from ganlab.layers import Bidirectional
from ganlab.learning import NUMBERS, State
from ganlab.measures import measure_all
from ganlab.net import Net
from ganlab.nets import NETS
from ganlab.optim import OPTIMIZERS, Numbers, Optimizer
from ganlab.planning import net_settings
from ganlab.probes import WHOLE
from ganlab.registry import InputError, Registry, unknown
from ganlab.train import SHOWN, Tick, environment
from ganlab.variants import SHORT
from ganlab.watch import copying, tidy

STRUCTURE: Mapping[str, Any] = {"optimizer": "adam", "batch": 64, "latent": 2, "evaluation": 1000}
"""Settings, and what they are when nobody says otherwise; see `plan`."""

USUAL: Mapping[str, float] = {**NUMBERS, "beta": 1.0, "noise": 0.1}
"""Numbers that may differ between members; a run has those of its optimiser, model and likelihood."""


# --- from names to things ------------------------------------------------------------------------------------------------


def run(
    model: str, data: str | LabelledImages = "digits", *, seeds: int | Sequence[int] = 20, steps: int = 2000,
    every: int | None = None, tick: Tick | None = None, **settings: Any,
) -> Run:  # fmt: skip
    """Train a model over many seeds at once and return what was seen; arguments as in `plan`.

    Example
    -------
    >>> result = run("vae", seeds=2, steps=10, hidden=(16,), evaluation=60)
    >>> result.samples["codes"].shape
    (2, 360, 2)
    """
    return train(data, plan(model, data, seeds=seeds, steps=steps, every=every, **settings), tick=tick)


def plan(
    model: str, data: str | LabelledImages = "digits", *, seeds: int | Sequence[int] = 20, steps: int = 2000,
    every: int | None = None, **settings: Any,
) -> Experiment:  # fmt: skip
    """Return the experiment that these names and numbers define. Raises InputError for what is unknown or impossible.

    Parameters
    ----------
    model
        "autoencoder" or "vae".
    data
        "digits", "mnist", or `LabelledImages` of your own.
    seeds
        How many (0, 1, ...), or a list of integers.
    steps, every
        Updates, and updates between two looks.
    settings
        By name: `latent`, the numbers in a code (2); `hidden` and `activation` of both nets, or `encoder` and `decoder` as
        `{"net": "mlp", "hidden": (64, 32)}`; `optimizer` and its numbers (`lr`, or a list of them); `batch`; `evaluation`,
        samples a look takes. Of a "vae" also `likelihood`, "bernoulli" (the usual) or "gaussian", and the numbers `beta`, the
        weight of the divergence (1), and `noise`, the gaussian one's standard deviation in brightness (0.1).

    Example
    -------
    >>> plan("vae", beta=[1, 4], seeds=2).members()[3].numbers["beta"]
    4.0
    """
    kind, images = MODELS[model], _images(data)
    chosen = {**STRUCTURE, **({"likelihood": "bernoulli"} if kind.drawn else {})}
    chosen |= {name: settings[name] for name in chosen if name in settings}
    optimizer = OPTIMIZERS[chosen["optimizer"]]
    likelihood = LIKELIHOODS[chosen["likelihood"]].numbers if kind.drawn else ()
    numbers = (*optimizer.numbers, *kind.numbers, *likelihood)
    known = {*chosen, *numbers, *SHORT, "encoder", "decoder"}
    for name in settings:
        if name not in known:
            raise InputError(unknown(f"setting of this {model}", name, known))
    at_least("latent", chosen["latent"])
    for name in ("batch", "evaluation"):
        at_least(name, chosen[name], 2)
    values = {name: number_values(name, settings.get(name, USUAL[name])) for name in numbers}
    if 0.0 in values.get("noise", ()):
        raise InputError("noise, the standard deviation of a pixel, must be above 0; got 0")
    chosen |= {role: net_settings(role, {}, settings) for role in ("encoder", "decoder")}
    if chosen.get("likelihood") == "bernoulli" and chosen["decoder"].get("output"):
        output = chosen["decoder"]["output"]
        raise InputError(f"the bernoulli likelihood takes logits; leave out the decoder's output={output!r}")
    if not isinstance(data, str):
        chosen["sha256"] = _digest(images)
    planned = Experiment("autoencoder", model, images.name, *schedule(seeds, steps, every), chosen, values)
    _check_fit(planned, images)
    return planned


def _images(data: str | LabelledImages) -> LabelledImages:
    """Return images with labels. Raises InputError when there are none, or they do not go together."""
    images = distributions.get(data) if isinstance(data, str) else data
    if not isinstance(images, LabelledImages):
        named = getattr(images, "name", type(images).__name__)
        raise InputError(f"data {named!r} are no images with labels; autoencoders take 'digits', 'mnist' or LabelledImages")
    for part in ("train", "test"):
        pixels, labels = getattr(images, part), getattr(images, f"{part}_labels")
        if tuple(pixels.shape[1:]) != images.shape[1:]:
            raise InputError(
                f"all images of {images.name!r} must have the size {images.shape[1:]} of the training images; got "
                f"{tuple(pixels.shape[1:])} to test on"
            )
        if len(labels) != len(pixels):
            raise InputError(f"{images.name!r} has {len(labels)} labels for {len(pixels)} {part} images; give one for each")
    return images


def _digest(images: LabelledImages) -> str:
    """Return what tells images of one's own apart."""
    parts = (images.train, images.train_labels, images.test, images.test_labels)
    return hashlib.sha256(b"".join(part.contiguous().numpy().tobytes() for part in parts)).hexdigest()[:16]


def coder_of(experiment: Experiment, images: LabelledImages) -> Coder:
    """Return the nets of an experiment, made for these images."""
    s, model = experiment.settings, MODELS[experiment.subject]
    likelihood = LIKELIHOODS[s["likelihood"]] if model.drawn else None
    return Coder(Net(partial(_nets, s, images.shape, model.per_code), "autoencoder"), model, likelihood, s["latent"])


def _nets(s: Mapping[str, Any], shape: tuple[int, ...], per_code: int) -> nn.Module:
    encoder, decoder = dict(s["encoder"]), dict(s["decoder"])
    made = NETS[encoder.pop("net")](shape, per_code * s["latent"], **encoder)
    return Bidirectional(NETS[decoder.pop("net")](s["latent"], shape, **decoder), made)


def _check_fit(experiment: Experiment, images: LabelledImages) -> None:
    """Raise InputError when the nets do not turn images into codes and back."""
    x, latent = images.training[:2], experiment.settings["latent"]
    try:
        coder = coder_of(experiment, images)
        theta = coder.net.initial(0)
        with torch.no_grad():
            made = {"encoder": coder.encode(theta, x), "decoder": coder.decode(theta, torch.zeros(2, latent))}
    except (RuntimeError, TypeError) as error:  # whatever a net says of a shape that it was not made for
        raise InputError(f"the nets do not fit images {images.shape} and latent={latent}: {error}") from error
    wanted = {"encoder": (2, latent * coder.model.per_code), "decoder": tuple(x.shape)}
    for role, shape in wanted.items():
        if tuple(made[role].shape) != shape:
            raise InputError(f"the {role} must give {shape} for two images; got {tuple(made[role].shape)}; take another net")


# --- one member ----------------------------------------------------------------------------------------------------------


class Batch(NamedTuple):
    """Images in brightness `[batch, *shape]`, and a standard normal number for each entry of their codes."""

    x: Tensor
    noise: Tensor


def draw(images: LabelledImages, settings: Mapping[str, Any], streams: Mapping[str, torch.Generator]) -> Batch:
    """Return one member's batches for a block of steps; images are those that a GAN of this seed and batch sees."""
    lead = (BLOCK, settings["batch"])
    x = images.sample(math.prod(lead), streams["data"]).reshape(*lead, *images.shape)
    return Batch(brightness(x, images.low), rng.normal((*lead, settings["latent"]), streams["latent"]))


def step(coder: Coder, optimizer: Optimizer, state: State, batch: Batch, numbers: Numbers) -> tuple[State, dict[str, Tensor]]:
    """Return the state after one update, and what shows where numbers cease to be finite: the loss, each layer's largest."""

    def loss(theta: Tensor) -> Tensor:
        return coder.model.terms(coder, theta, batch.x, batch.noise, numbers)["loss"].mean()

    gradient, value = grad_and_value(loss)(state.parameters)
    parameters, memory = optimizer.update(gradient, state.memory, state.parameters, numbers)
    layers = {f"layer {name}": layer.abs().amax() for name, layer in coder.net.unflatten(parameters).items()}
    return State(parameters, memory), {"training loss": value, **layers}


# --- all members ---------------------------------------------------------------------------------------------------------


def perform(experiment: Experiment, tick: Tick | None = None, *, places: Sequence[int] | None = None) -> Run:
    """Train a planned experiment on named data, or its members at these places: what a sweep's workers do."""
    return train(experiment.data, experiment, places=places, tick=tick)


def train(
    data: str | LabelledImages,
    experiment: Experiment,
    *,
    dtype: torch.dtype = torch.float32,
    engine: str = "vmap",
    compiled: bool | None = None,
    keep_state: bool = False,
    places: Sequence[int] | None = None,
    tick: Tick | None = None,
) -> Run:
    """Train every member of an experiment and return the run; arguments as in `ganlab.train.train`.

    A member that turns non-finite gets the outcome "diverged" with step and place; what is read off it from then on is NaN.

    Returns
    -------
    Run
        Trace: `train_` and `test_` `loss`, `rmse` (of rebuilt images, a pixel, in brightness) and of a VAE `elbo`,
        `log_likelihood` and `kl` (nats an image); of the samples what is read off a GAN's: `distance`, `cell_count`, ..., and
        at the last step all measures, such as `coverage`. At the last step also `n_parameters`, and on the images that
        `test_` was measured on `reference_rmse` of PCA and, with the gaussian likelihood, `reference_log_likelihood` of
        probabilistic PCA. Samples: `generated [member, 1, n, *shape]` and what `ganlab.decoded.kept` keeps; with `keep_state`
        `parameters [member, parameter]`.
    """
    started = time.perf_counter()
    images, settings, members = _images(data), experiment.settings, experiment.members(places)
    if "sha256" in experiment.settings and _digest(images) != experiment.settings["sha256"]:
        raise InputError(f"these are not the data that {experiment.title} was planned on; give `train` the same")
    coder, optimizer = coder_of(experiment, images), OPTIMIZERS[settings["optimizer"]]

    # initialise: one state a member, from its own streams
    place = partial(torch.Tensor.to, dtype=dtype)
    coder.net.to("cpu", dtype)
    parameters = [place(coder.net.initial(member.seed)) for member in members]
    state: State = stack([State(theta, optimizer.init(theta)) for theta in parameters])
    numbers = {name: torch.tensor([m.numbers[name] for m in members], dtype=dtype) for name in experiment.numbers}
    streams = [{purpose: rng.stream(m.seed, purpose) for purpose in ("data", "latent")} for m in members]
    looks: Looks = tree_map(place, evaluation(images, settings, members))
    seen = place(scaled(images.train[:FITTED], 0.0))

    # map one member's step over all of them; a member's evaluation samples alone stay in a core's cache
    advance = Advance(
        partial(step, coder, optimizer), numbers,
        engine=engine, n_steps=experiment.steps, n_updates=experiment.steps * len(experiment.members()), compiled=compiled,
    )  # fmt: skip
    one_by_one = MAPS["loop"](partial(look, coder, images, seen))
    fake, before = torch.empty(0), ()

    def drawn() -> Batch:
        batch: Batch = tree_map(place, stack([draw(images, settings, own) for own in streams]))
        return batch

    @torch.no_grad()
    def looked(now: State) -> dict[Any, Tensor]:
        nonlocal fake, before
        readings, fake, before = one_by_one(now.parameters, looks, numbers, before)
        return dict(readings)

    state, readings, faults = fit(advance, state, drawn, looked, experiment.steps, experiment.every, tick)

    once = measure_all(images, looks.real, fake) | copying(images, fake, members) | references(coder, images, looks, numbers)
    once["n_parameters", WHOLE] = torch.full((len(members), 1), coder.net.n_parameters)
    table = [tidy(experiment, members, found) for found in (readings, [(experiment.steps, once)])]
    arrays = kept(coder, images, state.parameters, seen) | {"generated": fake[:, None, :SHOWN].float().numpy()}
    arrays |= {"real": images.sample(SHOWN, rng.stream(experiment.seeds[0], "evaluation")).numpy()}
    arrays |= {"moments": np.asarray([experiment.steps])}
    if keep_state:
        arrays["parameters"] = state.parameters.numpy()
    return Run(
        experiment=experiment,
        trace=trace.check(pd.concat(table, ignore_index=True)),
        outcome=outcome(experiment, {members[m].place: fault for m, fault in faults.items()}, places),
        samples=arrays,
        environment=environment("cpu", dtype, engine, time.perf_counter() - started)
        | {"compiled": advance.compiled, "compiled_because": advance.because, "traced": advance.traced}
        | {"compile_seconds": advance.compile_seconds, "sources": _sources(experiment)},
    )


def _sources(experiment: Experiment) -> dict[str, str]:
    settings = experiment.settings
    parts: list[tuple[Registry[Any], str]] = [
        (MODELS, experiment.subject), (distributions.DATA, experiment.data.partition(":")[0]),
        (OPTIMIZERS, settings["optimizer"]), (LIKELIHOODS, settings.get("likelihood", "")),
        *((NETS, settings[role]["net"]) for role in ("encoder", "decoder")),
    ]  # fmt: skip
    return {name: registry.entry(name).source for registry, name in parts if name in registry}
