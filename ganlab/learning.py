"""The same for small nets that learn from tables and series, over many seeds as one program: classes, numbers, what comes next.

`run` is the whole of it in one call; `plan` turns names and numbers into an `Experiment`, and `perform` trains it. The step is
written for one member and mapped by `engine.Advance`, as a GAN's is. Each seed has its own split into training and test set,
its own initial weights and its own batches; nets with the same seed share them all but the weights.

What a task is - loss, what is measured, what it is held against without training - is a line in `tasks.py`.
"""

from __future__ import annotations

import hashlib
import inspect
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import grad_and_value
from torch.utils._pytree import tree_map

from ganlab import rng, trace
from ganlab.data.series import Series
from ganlab.data.tables import LABELLED, Labelled, Split
from ganlab.draws import BLOCK
from ganlab.engine import MAPS, Advance, stack
from ganlab.experiment import Experiment, Member, Run, at_least, number_values, outcome, schedule
from ganlab.fitting import fit
from ganlab.net import Net
from ganlab.nets import NETS
from ganlab.optim import OPTIMIZERS, Memory, Numbers, Optimizer
from ganlab.registry import InputError, Registry, unknown
from ganlab.tasks import SCALINGS, TASKS, Scaling, Task, predictions, scaled_by, seasonal
from ganlab.train import Tick, environment

LEARNERS = tuple(name for name, net in NETS.items() if {"n_in", "n_out"} <= set(inspect.signature(net).parameters))
"""Nets that can be made for any table or series that has their shape."""

NUMBERS: Mapping[str, float] = {
    "lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "momentum": 0.0, "decay": 0.99,
}  # fmt: skip
"""Numbers that may differ between members, and torch's defaults of them; a run has those of its optimiser."""

STRUCTURE: Mapping[str, Any] = {"optimizer": "adam", "batch": 0, "test_share": 0.2, "scaling": "train", "shuffled": False}
"""Settings, and what they are when nobody says otherwise; see `plan`."""


# --- from names to things ----------------------------------------------------------------------------------------------


def run(
    net: str, data: str | Labelled, *, seeds: int | Sequence[int] = 20, steps: int = 500, every: int | None = None,
    tick: Tick | None = None, **settings: Any,
) -> Run:  # fmt: skip
    """Train a net over many seeds at once and return what was seen; arguments as in `plan`.

    Example
    -------
    >>> result = run("mlp", "breast_cancer", hidden=(8,), seeds=2, steps=60, lr=1e-2)
    >>> bool(result.trace.query("name == 'test_accuracy' and step == 60")["value"].min() > 0.9)
    True
    """
    return train(data, plan(net, data, seeds=seeds, steps=steps, every=every, **settings), tick=tick)


def plan(
    net: str, data: str | Labelled, *, seeds: int | Sequence[int] = 20, steps: int = 500, every: int | None = None,
    **settings: Any,
) -> Experiment:  # fmt: skip
    """Return the experiment that these names and numbers define. Raises InputError for what is unknown or impossible.

    Parameters
    ----------
    net
        One of `LEARNERS`, such as "mlp", "linear" or "lstm".
    data
        A name in `LABELLED`, or a `Table` or `Series` of your own.
    seeds
        How many (0, 1, ...), or a list of integers; each has its own split, weights and batches.
    steps, every
        Updates, and updates between two looks.
    settings
        By name: the net's own (`hidden=(16,)`, `activation`, ...); `optimizer` and its numbers (`lr`, or a list of them);
        `batch`, rows an update (0: all), drawn without replacement; `test_share` (0.2); `scaling`, the rows by whose means and
        standard deviations inputs and targets are scaled: "train", "whole" (which leaks what is to be predicted) or "none";
        `shuffled`, true to give the training rows each other's labels; for a series `window`.

    Example
    -------
    >>> plan("linear", "diabetes", seeds=2).settings["batch"]
    353
    """
    if net not in LEARNERS:
        raise InputError(unknown("net that learns from tables and series", net, LEARNERS))
    own = {name: p.default for name, p in inspect.signature(NETS[net]).parameters.items() if name not in ("n_in", "n_out")}
    chosen = {**STRUCTURE, **{name: value for name, value in settings.items() if name in STRUCTURE}}
    optimizer = OPTIMIZERS[chosen["optimizer"]]
    known = {*STRUCTURE, *optimizer.numbers, *own, "window"}
    for name in settings:
        if name not in known:
            raise InputError(unknown(f"setting of a {net} that learns", name, known))
    _check(chosen)
    numbers = {name: number_values(name, settings.get(name, NUMBERS[name])) for name in optimizer.numbers}
    chosen["net"] = {name: _plain(settings.get(name, default)) for name, default in own.items()}
    chosen |= {"window": settings["window"]} if "window" in settings else {}
    if not isinstance(data, str):
        chosen["sha256"] = _digest(data)
    named = data if isinstance(data, str) else data.name
    planned = Experiment("learner", net, named, *schedule(seeds, steps, every), chosen, numbers)
    lesson = prepare(data, planned, planned.members()[0])
    network(planned, lesson)
    n, batch = len(lesson.split.x), chosen["batch"] or len(lesson.split.x)
    if batch > n:
        raise InputError(f"batch must be at most the {n} training rows of {named!r}; got {batch}. 0 takes them all")
    return replace(planned, settings={**chosen, "batch": batch})


def _check(chosen: Mapping[str, Any]) -> None:
    at_least("batch", chosen["batch"], 0)
    if chosen["scaling"] not in SCALINGS:
        raise InputError(unknown("scaling", chosen["scaling"], SCALINGS))
    if not isinstance(chosen["test_share"], float) or not 0 < chosen["test_share"] < 1:
        raise InputError(f"test_share must be a number above 0 and below 1; got {chosen['test_share']!r}")
    if not isinstance(chosen["shuffled"], bool):
        raise InputError(f"shuffled must be True or False; got {chosen['shuffled']!r}")


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _digest(data: Any) -> str:
    """Return what tells data of one's own apart."""
    parts = [data.numbers, torch.tensor([data.window, data.period or 0])] if isinstance(data, Series) else [data.x, data.y]
    return hashlib.sha256(b"".join(part.contiguous().numpy().tobytes() for part in parts)).hexdigest()[:16]


class Batch(NamedTuple):
    """Scaled inputs `[batch, *features]` and targets; many steps at once have a leading axis."""

    x: Tensor
    y: Tensor


class Lesson(NamedTuple):
    """What one member learns from: its data, split and scaling, and the stream that its batches come from."""

    data: Any
    split: Split
    scaling: Scaling
    stream: torch.Generator

    @property
    def rows(self) -> Batch:
        """All training rows, scaled."""
        return Batch(self.scaling.inputs(self.split.x), self.scaling.targets(self.split.y))

    @property
    def task(self) -> Task:
        """What is to be learned from data of this kind, held against the last period too where windows reach back so far."""
        task, data = TASKS[self.named], self.data
        within = isinstance(data, Series) and data.period is not None and data.period <= data.window
        return seasonal(task, data.period) if within else task

    @property
    def named(self) -> str:
        if isinstance(self.data, Series):
            return "forecasting"
        return "classification" if self.data.classes else "regression"


def prepare(data: str | Labelled, experiment: Experiment, member: Member) -> Lesson:
    """Return a member's lesson; its data are drawn first, then its split, then its batches, all from the seed's own stream."""
    settings, stream = experiment.settings, rng.stream(member.seed, "data")
    found: Any = LABELLED[data](stream) if isinstance(data, str) else data
    if "window" in settings:
        if not isinstance(found, Series):
            raise InputError(f"window is a setting of series, and {found.name!r} is a table")
        at_least("window", settings["window"])
        found = replace(found, window=settings["window"])
    split = found.split(settings["test_share"], stream)
    if settings["shuffled"]:
        split = split._replace(y=split.y[torch.randperm(len(split.y), generator=stream)])
    return Lesson(found, split, scaled_by(split, settings["scaling"]), stream)


def network(experiment: Experiment, lesson: Lesson) -> Net:
    """Return the experiment's net, made for what a lesson has."""
    x, y = lesson.split.x, lesson.split.y
    n_in = x.shape[1] if x.ndim == 2 else tuple(x.shape[1:])
    n_out: Any = len(lesson.data.classes) if not y.is_floating_point() else 1 if y.shape[1] == 1 else (y.shape[1],)
    return Net(partial(NETS[experiment.subject], n_in, n_out, **experiment.settings["net"]), "learner")


# --- one member --------------------------------------------------------------------------------------------------------


class State(NamedTuple):
    """A learner: its parameters as one vector, and its optimiser's memory."""

    parameters: Tensor
    memory: Memory


def draw(rows: Batch, batch: int, generator: torch.Generator) -> Batch:
    """Return one member's batches for a block of steps: in each, training rows drawn without replacement."""
    chosen = torch.rand(BLOCK, len(rows.x), generator=generator).argsort(1)[:, :batch]
    return Batch(rows.x[chosen], rows.y[chosen])


def step(
    net: Net, task: Task, optimizer: Optimizer, state: State, batch: Batch, numbers: Numbers
) -> tuple[State, dict[str, Tensor]]:
    """Return the state after one update, and what shows where numbers cease to be finite: the loss, each layer's largest."""

    def loss(parameters: Tensor) -> Tensor:
        return task.loss(net.apply(parameters, batch.x), batch.y)

    gradient, value = grad_and_value(loss)(state.parameters)
    parameters, memory = optimizer.update(gradient, state.memory, state.parameters, numbers)
    layers = {f"layer {name}": layer.abs().amax() for name, layer in net.unflatten(parameters).items()}
    return State(parameters, memory), {"training loss": value, **layers}


def look(net: Net, task: Task, state: State, split: Split, scaling: Scaling) -> dict[str, Tensor]:
    """Return losses (of scaled targets) and measures on training and test set; all NaN once something is not finite."""
    read = {}
    for part, x, y in (("train", split.x, split.y), ("test", split.test_x, split.test_y)):
        outputs = net.apply(state.parameters, scaling.inputs(x))
        read[f"{part}_loss"] = task.loss(outputs, scaling.targets(y))
        read[f"{part}_{task.measure}"] = task.measured(task.predict(outputs, scaling), y)
    sound = torch.isfinite(read["train_loss"]) & torch.isfinite(state.parameters).all()
    return {name: torch.where(sound, value, torch.nan) for name, value in read.items()}


# --- all members -------------------------------------------------------------------------------------------------------


def perform(experiment: Experiment, tick: Tick | None = None, *, places: Sequence[int] | None = None) -> Run:
    """Train a planned experiment on named data, or its members at these places: what a sweep's workers do."""
    return train(experiment.data, experiment, places=places, tick=tick)


def train(
    data: str | Labelled,
    experiment: Experiment,
    *,
    dtype: torch.dtype = torch.float32,
    engine: str = "vmap",
    compiled: bool | None = None,
    places: Sequence[int] | None = None,
    tick: Tick | None = None,
) -> Run:
    """Train every member of an experiment and return the run; arguments as in `ganlab.train.train`.

    A member that turns non-finite gets the outcome "diverged" with step and place; what is read off it from then on is NaN.

    Returns
    -------
    Run
        Trace: `train_loss`, `test_loss`, and the task's measure on both sets, such as `test_accuracy` (a share) or `test_rmse`
        (in the data's unit); at the last step `n_parameters`, `reference_accuracy` or `reference_rmse` by reference on the
        member's own test set, and where forecasts are fed back `free_rmse` and `free_reference_rmse`. Samples by member:
        `inputs [member, n_test, *features]`, `truth [member, n_test, ...]`, `predicted [member, n_test, output]`, `references
        [member, reference, n_test, output]`; where forecasts are fed back `free` and `free_references` of the same shapes.
    """
    started = time.perf_counter()
    members, settings = experiment.members(places), experiment.settings
    if "sha256" in experiment.settings and _digest(data) != experiment.settings["sha256"]:
        raise InputError(f"these are not the data that {experiment.title} was planned on; give `train` the same")
    lessons = [prepare(data, experiment, member) for member in members]
    task, optimizer, net = lessons[0].task, OPTIMIZERS[settings["optimizer"]], network(experiment, lessons[0])

    def place(leaf: Tensor) -> Tensor:
        return leaf.to(dtype) if leaf.is_floating_point() else leaf

    parameters = [place(net.initial(member.seed)) for member in members]
    state: State = stack([State(p, optimizer.init(p)) for p in parameters])
    split, scaling = (tree_map(place, stack([lesson[i] for lesson in lessons])) for i in (1, 2))
    rows: list[Batch] = [tree_map(place, lesson.rows) for lesson in lessons]
    numbers = {name: torch.tensor([m.numbers[name] for m in members], dtype=dtype) for name in experiment.numbers}

    # map one member's step and look over all of them, and train
    advance = Advance(
        partial(step, net, task, optimizer), numbers,
        engine=engine, n_steps=experiment.steps, n_updates=experiment.steps * len(experiment.members()), compiled=compiled,
    )  # fmt: skip
    looks = MAPS[engine](partial(look, net, task))
    def drawn() -> Batch:
        batch: Batch = stack([draw(own, settings["batch"], lesson.stream) for own, lesson in zip(rows, lessons, strict=True)])
        return batch

    state, readings, faults = fit(
        advance, state, drawn, lambda state: looks(state, split, scaling), experiment.steps, experiment.every, tick
    )

    samples, at_end = _tested(net, task, engine, state, split, scaling, lessons)
    at_end["n_parameters"] = [""], np.full((1, len(members), 1), net.n_parameters)
    return Run(
        experiment=experiment,
        trace=_tidy(experiment, members, readings, at_end),
        outcome=outcome(experiment, {members[m].place: fault for m, fault in faults.items()}, places),
        samples=samples,
        environment=environment("cpu", dtype, engine, time.perf_counter() - started)
        | {"compiled": advance.compiled, "compiled_because": advance.because, "traced": advance.traced}
        | {"compile_seconds": advance.compile_seconds}
        | {"task": lessons[0].named, "references": list(task.references), "unit": getattr(lessons[0].data, "unit", "")}
        | {"classes": list(getattr(lessons[0].data, "classes", ())), "sources": _sources(experiment, lessons[0])},
    )


Quantities = dict[str, tuple[list[str], NDArray[Any]]]
"""Labels of parts and values `[look, member, part]`, by name."""


def _tested(
    net: Net, task: Task, engine: str, state: State, split: Split, scaling: Scaling, lessons: Sequence[Lesson]
) -> tuple[dict[str, NDArray[Any]], Quantities]:
    """Return what members and references say of the test sets, as samples and as quantities."""

    def of_member(state: State, split: Split, scaling: Scaling) -> dict[str, Tensor]:
        def predict(x: Tensor) -> Tensor:
            return task.predict(net.apply(state.parameters, scaling.inputs(x)), scaling)

        return predictions(predict, task, split)

    with torch.no_grad():
        said = MAPS[engine](of_member)(state, split, scaling)
    fitted = [[fit(lesson.split) for fit in task.references.values()] for lesson in lessons]
    referred = stack(
        [
            stack([predictions(predict, task, lesson.split) for predict in found])
            for found, lesson in zip(fitted, lessons, strict=True)
        ]
    )
    measured = torch.func.vmap(task.measured)
    truth = stack([lesson.split.test_y for lesson in lessons])
    names = list(task.references)
    of_references = {name: torch.stack([measured(p, truth) for p in found.unbind(1)], 1) for name, found in referred.items()}
    quantities: Quantities = {f"reference_{task.measure}": (names, of_references["predicted"].numpy()[None])}
    if task.runs_free:
        quantities[f"free_{task.measure}"] = [""], measured(said["free"], truth).numpy()[None, :, None]
        quantities[f"free_reference_{task.measure}"] = names, of_references["free"].numpy()[None]
    samples = {"inputs": split.test_x, "truth": truth, **said, "references": referred["predicted"]}
    samples |= {"free_references": referred["free"]} if task.runs_free else {}
    return {name: array.numpy() for name, array in samples.items()}, quantities


def _tidy(
    experiment: Experiment, members: Sequence[Member], readings: Sequence[tuple[int, dict[str, Tensor]]], at_end: Quantities
) -> pd.DataFrame:
    """Return the trace of what was read at looks, and at the end."""
    seeds, places = [m.seed for m in members], [m.place for m in members]
    moments = [now for now, _ in readings]
    looked = [(name, [""], torch.stack([read[name] for _, read in readings]).numpy()[..., None]) for name in readings[0][1]]
    last = [(name, labels, values) for name, (labels, values) in at_end.items()]
    parts = [trace.tidy(experiment.id, seeds, *when, places) for when in ((moments, looked), ([experiment.steps], last))]
    return trace.check(pd.concat(parts, ignore_index=True))


def _sources(experiment: Experiment, lesson: Lesson) -> dict[str, str]:
    parts: list[tuple[Registry[Any], str]] = [
        (NETS, experiment.subject), (LABELLED, experiment.data), (TASKS, lesson.named),
        (OPTIMIZERS, experiment.settings["optimizer"]),
    ]  # fmt: skip
    return {name: registry.entry(name).source for registry, name in parts if name in registry}

