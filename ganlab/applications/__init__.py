"""What GANs are used for, on images with labels: a file an application, and what all of them share.

`plan` turns names and numbers into an `Experiment`, `perform` trains it. What is compared - with the GAN and without - is a
number of the experiment, so that its members are pairs: the same images, initial weights and batches for the same seed. Images
are read as lists of pixels in [-1, 1], since perceptrons map over members and convolutions gain nothing by it on a CPU.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import grad_and_value
from torch.utils._pytree import tree_map

from ganlab import data as distributions
from ganlab import rng, trace
from ganlab.data.images import LabelledImages, scaled
from ganlab.data.tables import Split
from ganlab.engine import Advance, stack
from ganlab.experiment import Experiment, Member, Run, at_least, number_values, outcome, schedule
from ganlab.fitting import Fitted, fit
from ganlab.learning import State
from ganlab.net import Net
from ganlab.nets import NETS
from ganlab.optim import OPTIMIZERS, Numbers
from ganlab.registry import InputError, Registry, unknown
from ganlab.train import Tick, environment

OPTIMIZER = OPTIMIZERS["adam"]


class Found(NamedTuple):
    """What an application saw: how training ended, what is read once at the end, arrays to look at by member."""

    fitted: Fitted
    once: Mapping[str, Tensor]
    """`[member, 1]`, by name."""
    samples: Mapping[str, NDArray[Any]]


class Application(NamedTuple):
    """How an application is trained, and its settings.

    Parameters
    ----------
    learn
        From a `Training` to what was seen.
    structure
        Settings that are the same for all members, and what they are unless said otherwise.
    numbers
        The same for numbers; several values are what is compared.
    check
        Raises InputError for settings that cannot be on these images.
    """

    learn: Callable[[Training], Found]
    structure: Mapping[str, Any]
    numbers: Mapping[str, float | tuple[float, ...]]
    check: Callable[[Mapping[str, Any], LabelledImages], None] = lambda settings, images: None


APPLICATIONS: Registry[Application] = Registry("application")


# --- from names to things ------------------------------------------------------------------------------------------------


def plan(
    application: str, data: str = "digits", *, seeds: int | Sequence[int] = 20, steps: int = 500, every: int | None = None,
    **settings: Any,
) -> Experiment:  # fmt: skip
    """Return the experiment that these names and numbers define. Raises InputError for what is unknown or impossible.

    Parameters
    ----------
    application
        A name in `APPLICATIONS`.
    data
        "digits" or "mnist".
    seeds, steps, every
        As in `ganlab.run`; a seed is what is learned from, all initial weights and all batches.
    settings
        By name: the application's own, see its file, and Adam's numbers.

    Example
    -------
    >>> plan("translation", seeds=2).numbers["adversarial"]
    (0.0, 1.0)
    """
    chosen = APPLICATIONS[application]
    usual = {"lr": 1e-3, "beta1": 0.5, "beta2": 0.999, "epsilon": 1e-8, **chosen.numbers}
    for name in settings:
        if name not in (known := (*chosen.structure, *usual)):
            raise InputError(unknown(f"setting of {application}", name, known))
    structure = {name: settings.get(name, default) for name, default in chosen.structure.items()}
    numbers = {name: number_values(name, settings.get(name, default)) for name, default in usual.items()}
    found = labelled_images(data)
    at_least("batch", structure["batch"])
    for name, widths in structure.items():
        if name.startswith("hidden"):
            if not isinstance(widths, list | tuple):
                raise InputError(f"{name} must be a list of widths, such as (128,); got {widths!r}")
            for width in widths:
                at_least(f"each of {name}", width)
    chosen.check(structure, found)
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in structure.items()}
    return Experiment("application", application, found.name, *schedule(seeds, steps, every), plain, numbers)


def labelled_images(name: str) -> LabelledImages:
    """Return images by name. Raises InputError for data that are none, or have no labels."""
    found = distributions.get(name)
    if not isinstance(found, LabelledImages):
        raise InputError(f"data {name!r} are no images with labels; applications take 'digits' or 'mnist'")
    if found.low != -1.0:
        raise InputError(f"applications take images in [-1, 1]; those of {name!r} begin at {found.low:g}, leave out low")
    return found


def check_labels(settings: Mapping[str, Any], images: LabelledImages) -> None:
    """Raise InputError unless there can be as many labelled images, equally many of each class."""
    at_least("labels", settings["labels"])
    least = int(torch.bincount(images.train_labels).min())
    if settings["labels"] % images.n_classes or settings["labels"] > least * images.n_classes:
        raise InputError(
            f"labels must be a multiple of the {images.n_classes} classes of {images.name!r}, at most {least} of each; got "
            f"{settings['labels']}"
        )


# --- what all of them share ----------------------------------------------------------------------------------------------


class Training(NamedTuple):
    """Some members of an experiment, and how they are trained; arguments as in `ganlab.train.train`."""

    experiment: Experiment
    members: Sequence[Member]
    images: LabelledImages
    dtype: torch.dtype = torch.float32
    engine: str = "vmap"
    compiled: bool | None = None
    tick: Tick | None = None

    @property
    def split(self) -> Split:
        """All training and test images as lists of pixels, with their classes."""
        images = self.images
        x, test_x = (scaled(pixels, images.low).flatten(1).to(self.dtype) for pixels in (images.train, images.test))
        return Split(x, images.train_labels, test_x, images.test_labels)

    @property
    def settings(self) -> Mapping[str, Any]:
        return self.experiment.settings

    @property
    def n_pixels(self) -> int:
        return self.images.train[0].numel()

    def stream(self, purpose: str) -> list[torch.Generator]:
        """Return a new stream for each member; members of one seed draw the same."""
        return [rng.stream(member.seed, purpose) for member in self.members]

    def initial(self, net: Net) -> State:
        """Return all members' initial states of a net."""
        states: State = stack([self._initial(net, member.seed) for member in self.members])
        return states

    def _initial(self, net: Net, seed: int) -> State:
        parameters = net.initial(seed).to(self.dtype)
        return State(parameters, OPTIMIZER.init(parameters))

    def fit(
        self, step: Callable[..., Any], state: Any, drawn: Callable[[], Any], look: Callable[[Any], dict[str, Tensor]]
    ) -> Fitted:
        """Return what becomes of all members in the experiment's steps, see `ganlab.fitting.fit`."""
        e = self.experiment
        numbers = {name: torch.tensor([m.numbers[name] for m in self.members], dtype=self.dtype) for name in e.numbers}
        advance = Advance(
            step, numbers, engine=self.engine, n_steps=e.steps, n_updates=2 * e.steps * len(e.members()),
            compiled=self.compiled,
        )  # fmt: skip
        placed: Callable[[], Any] = lambda: tree_map(self._place, drawn())  # noqa: E731
        return fit(advance, state, placed, look, e.steps, e.every, self.tick)

    def _place(self, leaf: Tensor) -> Tensor:
        return leaf.to(self.dtype) if leaf.is_floating_point() else leaf


def perceptron(n_in: int, n_out: int, hidden: Sequence[int], role: str, **settings: Any) -> Net:
    """Return a perceptron as a function of its parameters, leaky where it judges, with tanh where it draws."""
    return Net(lambda: NETS["mlp"](n_in, n_out, tuple(hidden), **settings), role)


def few(y: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Return the places of n rows, equally many of each class, drawn without replacement.

    Example
    -------
    >>> y = torch.tensor([0, 0, 0, 1, 1, 1])
    >>> y[few(y, 4, torch.Generator().manual_seed(0))].tolist()
    [0, 0, 1, 1]
    """
    order = torch.randperm(len(y), generator=generator)
    n_classes = int(y.max()) + 1
    return torch.cat([order[y[order] == label][: n // n_classes] for label in range(n_classes)])


def updated(loss: Callable[[Tensor], Tensor], player: State, numbers: Numbers) -> tuple[State, Tensor]:
    """Return a player after one step of Adam down its loss, and the loss before it."""
    gradient, value = grad_and_value(loss)(player.parameters)
    return State(*OPTIMIZER.update(gradient, player.memory, player.parameters, numbers)), value


def largest(**players: State) -> dict[str, Tensor]:
    """Return each player's largest weight, which shows where numbers cease to be finite."""
    return {f"weights of the {name}": player.parameters.abs().amax() for name, player in players.items()}


def accuracies(scores: Callable[[Tensor], Tensor], split: Split, own: Tensor) -> dict[str, Tensor]:
    """Return the accuracy on the test images, and on the training images at the member's own places."""
    return {
        "test_accuracy": accuracy(scores(split.test_x), split.test_y),
        "train_accuracy": accuracy(scores(split.x[own]), split.y[own]),
    }


def accuracy(scores: Tensor, y: Tensor) -> Tensor:
    """Return the share of rows whose highest score `[n, class]` is their class's; NaN where a score is not finite."""
    right = (scores.argmax(-1) == y).to(scores.dtype).mean()
    return torch.where(torch.isfinite(scores).all(), right, torch.nan)


# --- all members ---------------------------------------------------------------------------------------------------------


def perform(experiment: Experiment, tick: Tick | None = None, *, places: Sequence[int] | None = None) -> Run:
    """Train a planned experiment, or its members at these places: what a sweep's workers do."""
    return train(experiment, places=places, tick=tick)


def train(
    experiment: Experiment,
    *,
    dtype: torch.dtype = torch.float32,
    engine: str = "vmap",
    compiled: bool | None = None,
    places: Sequence[int] | None = None,
    tick: Tick | None = None,
) -> Run:
    """Train every member of an experiment and return the run; arguments as in `ganlab.train.train`.

    What is in the trace and among the samples is said in each application's file. A member that turns non-finite gets the
    outcome "diverged" with step and place; what is read off it from then on is NaN.
    """
    started = time.perf_counter()
    members, application = experiment.members(places), APPLICATIONS.entry(experiment.subject)
    images = labelled_images(experiment.data)
    found = application.thing.learn(Training(experiment, members, images, dtype, engine, compiled, tick))
    table = _tidy(experiment, members, found)
    faults = {members[m].place: fault for m, fault in found.fitted.faults.items()}
    about = distributions.DATA.entry(experiment.data.partition(":")[0])
    return Run(
        experiment=experiment,
        trace=table,
        outcome=outcome(experiment, faults, places),
        samples=found.samples,
        environment=environment("cpu", dtype, engine, time.perf_counter() - started)
        | {"sources": {entry.name: entry.source for entry in (application, about, OPTIMIZERS.entry("adam"))}},
    )


def _tidy(experiment: Experiment, members: Sequence[Member], found: Found) -> pd.DataFrame:
    """Return the trace of what was read at looks, and at the end."""
    seeds, places = [m.seed for m in members], [m.place for m in members]
    moments = [now for now, _ in found.fitted.readings]

    by_name: dict[str, Tensor] = {
        name: torch.stack([read[name] for _, read in found.fitted.readings]) for name in found.fitted.readings[0][1]
    }
    looked = [(name, [""], values[..., None].double().numpy()) for name, values in by_name.items()]
    once = [(name, [""], values[None].double().numpy()) for name, values in found.once.items()]
    tables = [trace.tidy(experiment.id, seeds, *when, places) for when in ((moments, looked), (moments[-1:], once)) if when[1]]
    return trace.check(pd.concat(tables, ignore_index=True))


from ganlab.applications import augmentation, semi_supervised, translation  # noqa: E402, F401  (they register themselves)
