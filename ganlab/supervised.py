"""The same for one net and labels: the lecture's MLP and CNN baselines on images of digits, over several seeds.

`plan` turns names and numbers into an `Experiment`; `perform` trains it and returns the `Run`. A plain loop over
ordinary modules: under vmap a convolution becomes a grouped one, which gains nothing on a CPU. Every registered net
whose name ends in `_classifier` can be trained here.
"""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax, nll_loss, pad
from torch.optim.lr_scheduler import LambdaLR

from ganlab import data as distributions
from ganlab import experiment as experiments
from ganlab import rng, trace
from ganlab.data.images import LabelledImages, scaled
from ganlab.engine import PRECISIONS, products
from ganlab.experiment import Experiment, Member, Run, at_least, number_values, outcome, schedule
from ganlab.nets import NETS
from ganlab.optim import OPTIMIZERS
from ganlab.registry import InputError, unknown
from ganlab.train import Tick, environment

CLASSIFIERS = {name.removesuffix("_classifier"): name for name in NETS if name.endswith("_classifier")}
"""The registered net of each classifier."""

CHUNK = 500
"""Images evaluated at once: few enough for the activations to stay near a core's cache."""

N_HARDEST = 20
"""Test images kept for looking at."""

SHIFTS = (0, 1, 2, 3)
"""Pixels by which test images are moved at the end, in each of the four directions."""

N_SHIFTED = 500
"""Test images that are moved."""


def plan(
    classifier: str, data: str = "mnist", *, seeds: int | Sequence[int] = 5, epochs: int = 4, every: int = 1, **settings: Any
) -> Experiment:
    """Return the experiment that these names and numbers define. Raises InputError for what is unknown or impossible.

    Parameters
    ----------
    classifier, data
        "mlp" or "cnn", and "mnist" or "digits", which needs no download.
    seeds
        How many (0, 1, ...), or a list of integers.
    epochs, every
        Passes over the training images, and passes between two looks.
    settings
        By name: `batch`, images an update (128); `n_train`, training images (0: all), the first of a random order
        of the seed's own that is the same for all nets; `n_test`, test images (0: all), the first of a random order that is the
        same for all; `lr`, where Adam starts, to fall to 0 along a cosine (1e-3, or a list);
        `precision`, "bfloat16" to take products in it while training; `shuffled`, true to give the training images each
        other's labels.

    Example
    -------
    >>> plan("mlp", "digits", seeds=2, epochs=3).settings["n_train"]
    1437
    """
    if classifier not in CLASSIFIERS:
        raise InputError(unknown("classifier", classifier, CLASSIFIERS))
    for name in settings:
        if name not in (known := ("batch", "n_train", "n_test", "lr", "precision", "shuffled")):
            raise InputError(unknown("setting of a classifier", name, known))
    at_least("epochs", epochs)
    lr, batch = number_values("lr", settings.get("lr", 1e-3)), settings.get("batch", 128)
    at_least("batch", batch)
    images = _images(data)
    n_train, available = settings.get("n_train") or len(images.train), len(images.train)
    at_least("n_train", n_train)
    if not batch <= n_train <= available:
        raise InputError(
            f"n_train must be at least the batch, {batch}, and at most the {available} training images of {data!r}; "
            f"got {n_train}. 0 takes them all"
        )
    n_test, available = settings.get("n_test") or len(images.test), len(images.test)
    at_least("n_test", n_test)
    if n_test > available:
        raise InputError(f"n_test must be at most the {available} test images of {data!r}; got {n_test}. 0 takes them all")
    precision = settings.get("precision", "full")
    if precision not in PRECISIONS:
        raise InputError(unknown("precision", precision, PRECISIONS))
    shuffled = settings.get("shuffled", False)
    if not isinstance(shuffled, bool):
        raise InputError(f"shuffled must be True or False; got {shuffled!r}")
    structure = {"batch": batch, "n_train": n_train, "schedule": "cosine", **_sizes(classifier)}
    if shuffled:
        structure["shuffled"] = True
    if precision != "full":
        structure["precision"] = precision
    if n_test < available:
        structure["n_test"] = n_test
    return Experiment("classifier", classifier, images.name, *schedule(seeds, epochs, every), structure, {"lr": lr})


def perform(experiment: Experiment, tick: Tick | None = None, *, places: Sequence[int] | None = None) -> Run:
    """Train every member of an experiment, side by side, and return the run; with `places`, these members' part of it.

    A member that turns non-finite gets the outcome "diverged" with the epoch of the look that finds it and the place, and is
    trained no further: what is read off it from then on is NaN. Both classifiers see the same images in the same order for
    the same seed.

    Returns
    -------
    Run
        Trace, a step being an epoch and 0 before training: `train_loss` (on as many training images as there are test
        images) and `test_loss`, in nats; `test_accuracy`, a share; `train_images_per_second`, on the clock of training
        alone and from epoch 1; at the last epoch `n_parameters`, `confusion`, test images by "true,predicted", and
        `shifted_accuracy`, that of test images moved by so many pixels, a mean over the four directions.
        Samples, over the finished members and none without any: `hardest [n, h, w]`, the test images of highest mean
        loss, uint8; `hardest_labels [n]`; `hardest_predicted [n, member]`, -1 for the diverged; `hardest_probability
        [n]`, the mean probability of the true class. A part has what `join` finds these from: `test [n_test, h, w]`,
        `test_labels [n_test]`, `test_losses` and `test_predicted [member, n_test]`.
    """
    part = _train(experiment, tick, places)
    return part if places is not None else replace(join([part]), environment=part.environment)


def join(parts: Sequence[Run]) -> Run:
    """Return the run of these parts: `ganlab.experiment.join`, and then the hardest images over all members."""
    run = experiments.join(parts)
    return replace(run, samples=_hardest(run.samples))


def _train(experiment: Experiment, tick: Tick | None, places: Sequence[int] | None) -> Run:
    """Return the part of the run that has these members."""
    started = time.perf_counter()
    images, members = _tested_on(_images(experiment.data), experiment.settings.get("n_test")), experiment.members(places)
    trainings = [_training(experiment, member, images) for member in members]

    watched = sorted({*range(0, experiment.steps, experiment.every), experiment.steps})
    readings: list[list[tuple[float, ...]]] = []
    faults: dict[int, tuple[int, str]] = {}
    for before, epoch in pairwise([0, *watched]):
        looks = [next(training, DIVERGED) for training in trainings]
        readings.append([look[:4] for look in looks])
        faults |= {m: (epoch, look.fault) for m, look in enumerate(looks) if look.fault}
        if epoch and tick:
            tick(epoch - before)

    scores = {m: look.scores for m, look in enumerate(looks) if m not in faults}
    shifted = {m: look.shifted for m, look in enumerate(looks) if m not in faults}
    return Run(
        experiment=experiment,
        trace=_tidy(experiment, members, watched, np.asarray(readings), scores, shifted, images),
        outcome=outcome(experiment, {members[m].place: fault for m, fault in faults.items()}, places),
        samples=_tested(scores, images, len(members)),
        environment=environment("cpu", torch.float32, "loop", time.perf_counter() - started)
        | {
            "sources": {
                experiment.subject: NETS.entry(CLASSIFIERS[experiment.subject]).source,
                experiment.data: distributions.DATA.entry(experiment.data.partition(":")[0]).source,
                "adam": OPTIMIZERS.entry("adam").source,
            }
        },
    )


# --- one member ------------------------------------------------------------------------------------------------------


class Look(NamedTuple):
    """What is read off one member after an epoch; scores are log-probabilities `[n_test, class]`.

    `shifted` is the accuracy at each of SHIFTS, at the last epoch alone.
    """

    train_loss: float
    test_loss: float
    test_accuracy: float
    train_images_per_second: float
    scores: Tensor
    fault: str
    shifted: Sequence[float] = ()


DIVERGED = Look(math.nan, math.nan, math.nan, math.nan, torch.empty(0), "")
"""What is read off a member after the epoch in which it diverged."""


def _training(experiment: Experiment, member: Member, images: LabelledImages) -> Iterator[Look]:
    """Yield a look before training and after every so many epochs; the last one is that in which something is not finite."""
    images = _selected(images, experiment.settings["n_train"], member.seed)
    if experiment.settings.get("shuffled"):
        anothers = torch.randperm(len(images.train_labels), generator=rng.stream(member.seed, "category"))
        images = replace(images, train_labels=images.train_labels[anothers])
    n, batch = len(images.train), experiment.settings["batch"]
    n_updates = experiment.steps * math.ceil(n / batch)
    with rng.initialising(member.seed, "classifier"):
        net = network(experiment, images).to(memory_format=torch.channels_last)  # convolutions: up to 1.4 times faster
    optimizer = torch.optim.Adam(net.parameters(), lr=member.numbers["lr"], fused=True)
    decay = LambdaLR(optimizer, lambda update: (1 + math.cos(math.pi * update / n_updates)) / 2)
    order, precision = rng.stream(member.seed, "data"), experiment.settings.get("precision", "full")

    yield _look(net, images, torch.zeros(1), math.nan)
    losses, seconds, done = [], 0.0, 0
    for epoch in range(1, experiment.steps + 1):
        started = time.perf_counter()
        for chosen in torch.split(torch.randperm(n, generator=order), batch):
            with products(precision):
                loss = cross_entropy(net(scaled(images.train[chosen])), images.train_labels[chosen])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            decay.step()
            losses.append(loss.detach())
        seconds, done = seconds + time.perf_counter() - started, done + n
        if epoch % experiment.every == 0 or epoch == experiment.steps:
            look = _look(net, images, torch.stack(losses), done / seconds)
            yield look._replace(shifted=_shifted(net, images)) if epoch == experiment.steps and not look.fault else look
            if look.fault:
                return
            losses, seconds, done = [], 0.0, 0


@torch.no_grad()
def _look(net: nn.Module, images: LabelledImages, losses: Tensor, speed: float) -> Look:
    """Return what is read off a net after an epoch with these losses of its updates."""
    labels, n = images.test_labels, len(images.test)
    scores = _log_probabilities(net, images.test)
    train_loss = nll_loss(_log_probabilities(net, images.train[:n]), images.train_labels[:n])
    test_loss = nll_loss(scores, labels)
    layers = {f"layer {name}": value for name, value in net.named_parameters()}
    quantities = {"training loss": losses, **layers, "evaluated loss": train_loss + test_loss}
    fault = next((name for name, value in quantities.items() if not torch.isfinite(value).all()), "")
    accuracy = math.nan if fault else float((scores.argmax(1) == labels).float().mean())
    return Look(float(train_loss), float(test_loss), accuracy, speed, scores, fault)


@torch.no_grad()
def _shifted(net: nn.Module, images: LabelledImages) -> list[float]:
    """Return the accuracy on the first test images at each of SHIFTS, the mean over four directions; black moves in."""
    pixels, labels = images.test[:N_SHIFTED], images.test_labels[:N_SHIFTED]
    height, width = pixels.shape[1:]
    found = []
    for by in SHIFTS:
        wide = pad(pixels, (by,) * 4)
        corners = [(0, by), (2 * by, by), (by, 0), (by, 2 * by)]
        moved = [wide[:, y : y + height, x : x + width] for y, x in corners[: 4 if by else 1]]
        right = [(_log_probabilities(net, m).argmax(1) == labels).float().mean() for m in moved]
        found.append(float(torch.stack(right).mean()))
    return found


def _log_probabilities(net: nn.Module, pixels: Tensor) -> Tensor:
    """Return the logarithm of the probability of each class, in nats, `[n, class]`."""
    return torch.cat([log_softmax(net(scaled(chunk)), 1) for chunk in torch.split(pixels, CHUNK)])


# --- what is kept ----------------------------------------------------------------------------------------------------


def _tidy(
    experiment: Experiment, members: Sequence[Member], epochs: Sequence[int], readings: NDArray[np.float64],
    scores: Mapping[int, Tensor], shifted: Mapping[int, Sequence[float]], images: LabelledImages,
) -> pd.DataFrame:  # fmt: skip
    """Return the trace: what was read `[look, member, quantity]`, and the last epoch's confusion and shifts."""
    seeds, places = [m.seed for m in members], [m.place for m in members]
    n_classes = _n_classes(images)
    confusion = np.full((1, len(seeds), n_classes**2), np.nan)
    moved = np.full((1, len(seeds), len(SHIFTS)), np.nan)
    for m, score in scores.items():
        moved[0, m] = shifted[m]
        cell = images.test_labels * n_classes + score.argmax(1)
        confusion[0, m] = torch.bincount(cell, minlength=n_classes**2).numpy()
    cells = [f"{true},{predicted}" for true in range(n_classes) for predicted in range(n_classes)]
    with torch.device("meta"):  # counts without memory or random numbers
        size = np.full((1, len(seeds), 1), sum(p.numel() for p in network(experiment, images).parameters()))
    looked = [(name, [""], readings[..., i : i + 1]) for i, name in enumerate(Look._fields[:3])]
    last = [
        ("n_parameters", [""], size), ("confusion", cells, confusion),
        ("shifted_accuracy", [str(by) for by in SHIFTS], moved),
    ]  # fmt: skip
    when = [(epochs, looked), (epochs[1:], [(Look._fields[3], [""], readings[1:, :, 3:])]), (epochs[-1:], last)]
    parts = [trace.tidy(experiment.id, seeds, steps, quantities, places) for steps, quantities in when]
    return trace.check(pd.concat(parts, ignore_index=True))


def _tested(scores: Mapping[int, Tensor], images: LabelledImages, n_members: int) -> dict[str, NDArray[Any]]:
    """Return the test images, and each member's losses and predictions on them: NaN and -1 for the diverged."""
    losses = torch.full((n_members, len(images.test)), math.nan)
    predicted = torch.full((n_members, len(images.test)), -1)
    for m, score in scores.items():
        losses[m], predicted[m] = nll_loss(score, images.test_labels, reduction="none"), score.argmax(1)
    return {
        "test": images.test.numpy(), "test_labels": images.test_labels.numpy(), "test_losses": losses.numpy(),
        "test_predicted": predicted.numpy(),
    }  # fmt: skip


def _hardest(samples: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the test images of highest loss in the mean over members, the hardest first, and what was said of them."""
    finished = (samples["test_predicted"] >= 0).all(1)
    if not finished.any():
        return {}
    losses = torch.from_numpy(samples["test_losses"][finished])
    worst = losses.mean(0).argsort(descending=True)[:N_HARDEST]
    chosen = worst.numpy()
    return {
        "hardest": samples["test"][chosen], "hardest_labels": samples["test_labels"][chosen],
        "hardest_predicted": samples["test_predicted"][:, chosen].T,
        "hardest_probability": torch.exp(-losses[:, worst]).mean(0).numpy(),
    }  # fmt: skip


# --- from names to things --------------------------------------------------------------------------------------------


def _images(name: str) -> LabelledImages:
    images = distributions.get(name)
    if not isinstance(images, LabelledImages):
        raise InputError(f"data {name!r} has no labels to learn; classifiers take 'mnist' or 'digits'")
    return images


def _selected(images: LabelledImages, n: int, seed: int) -> LabelledImages:
    """Return the images with the first n of the seed's own order for training, which are the same for every net."""
    if n == len(images.train):
        return images
    chosen = torch.randperm(len(images.train), generator=rng.stream(seed, "evaluation"))[:n]
    return replace(images, train=images.train[chosen], train_labels=images.train_labels[chosen])


def _tested_on(images: LabelledImages, n: int | None) -> LabelledImages:
    """Return the images with n for testing, the same for every seed and net; None takes them all."""
    if n is None:
        return images
    chosen = torch.randperm(len(images.test), generator=rng.stream(0, "evaluation"))[:n]
    return replace(images, test=images.test[chosen], test_labels=images.test_labels[chosen])


def _n_classes(images: LabelledImages) -> int:
    return int(images.test_labels.max()) + 1


def _sizes(classifier: str) -> dict[str, list[int]]:
    """Return the sizes of a classifier's net that the data leave open."""
    arguments = inspect.signature(NETS[CLASSIFIERS[classifier]]).parameters
    return {name: list(a.default) for name, a in arguments.items() if name not in ("height", "width", "n_classes")}


def network(experiment: Experiment, images: LabelledImages) -> nn.Module:
    """Return a new net of the experiment, made for these images."""
    sizes = {name: experiment.settings[name] for name in _sizes(experiment.subject)}
    return NETS[CLASSIFIERS[experiment.subject]](*images.shape[1:], n_classes=_n_classes(images), **sizes)
