"""The recorder in other people's frameworks: a callback for Lightning, and where readings go. None of them is needed here.

Recipes for ignite, accelerate and others, which need no code, are in docs/recorder.md.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from ganlab.borrowed import refuse_waiting
from ganlab.experiment import Run
from ganlab.listeners import Sink
from ganlab.loop.batches import floating
from ganlab.loop.hooks import Hook
from ganlab.recorder import Recorder
from ganlab.registry import InputError

PREFIX = "ganlab"
"""What tags begin with."""

Real = Callable[[Any], Any]
"""From a batch to real samples, or to a tuple of these and the nets' further inputs."""


# --- Lightning -----------------------------------------------------------------------------------------------------------


class _Watching:
    """What the callback does in each of Lightning's hooks; whatever fails in here is said once, and training goes on."""

    def __init__(
        self, generator: str = "generator", discriminator: str = "discriminator", real: Real | None = None, **settings: Any
    ) -> None:
        super().__init__()
        self._names, self._real, self._settings = (generator, discriminator), real, settings
        self.recorder: Recorder | None = None
        self._n_steps, self._closed = 0, False
        self._shape: tuple[int, ...] | None = None
        """Of one sample, as the generator last made it."""
        self._handle: Any = None

    @property
    def run(self) -> Run:
        """What was seen, see `Recorder.run`. Raises InputError before training."""
        if self.recorder is None:
            raise InputError("nothing was seen yet: training has not begun, or this process is not the one that records")
        return self.recorder.run

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Attach a recorder to the module's nets, in the main process alone. Raises InputError where that cannot be."""
        self._closed = False
        if self.recorder is not None:  # it was fitted before, and goes on
            return
        nets: list[nn.Module] = []
        for name in self._names:
            if (net := getattr(pl_module, name, None)) is None:
                raise InputError(f"the module has no attribute {name!r}; say where its nets are, as in generator='net_g'")
            nets.append(net)
        for net in nets:  # in every process, since one that stops alone lets the others wait
            refuse_waiting(net, getattr(trainer, "world_size", 1))
        if getattr(trainer, "is_global_zero", True):
            self.recorder = Recorder(nets[0], nets[1], **self._settings)
            self._handle = nets[0].register_forward_hook(Hook(self._see_shape))

    def _see_shape(self, module: nn.Module, args: Any, output: Any) -> None:
        made = floating(output)
        self._shape = None if made is None else tuple(made.shape[1:])

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Record a step; a batch is one, however many optimisers stepped, which `trainer.global_step` counts apart."""
        stop = self._record(outputs, batch)
        if self._settings.get("stop_when") and getattr(trainer, "world_size", 1) > 1:  # else the others would wait for this one
            stop = trainer.strategy.reduce_boolean_decision(stop, all=False)
        if stop:
            trainer.should_stop = True

    def _record(self, outputs: Any, batch: Any) -> bool:
        """Return whether training should stop; False in a process that does not record."""
        if self.recorder is None or self.recorder.fault:
            return False
        step, self._n_steps = self._n_steps, self._n_steps + 1
        try:
            real, inputs = self._shown(batch)
        except Exception as error:  # the user's function may fail in any way
            self.recorder._stand_aside(error)
            return False
        return self.recorder.record(step, real, inputs=inputs, **_losses(outputs))

    def _shown(self, batch: Any) -> tuple[Tensor | None, tuple[Any, ...]]:
        found = batch if self._real is None else self._real(batch)
        if isinstance(found, Mapping):
            return self._samples(found), ()
        if isinstance(found, tuple | list):
            inputs = tuple(found[1:]) if self._real is not None else ()
            return (found[0] if found else None), inputs
        return found, ()

    def _samples(self, batch: Mapping[Any, Any]) -> Tensor | None:
        """Return the one part of a batch that can be samples: real numbers, of the shape that the generator makes.

        Raises InputError where there is no such part, or are several, and samples are needed.
        """
        parts = [part for part in batch.values() if isinstance(part, Tensor) and part.is_floating_point()]
        fitting = [part for part in parts if self._shape in (None, tuple(part.shape[1:]))]
        if len(fitting) == 1:
            return fitting[0]
        if self._settings.get("data") is not None:
            return None
        raise InputError(
            f"which part of the batch is the real samples? {len(fitting)} of {list(batch)} could be; say it, as in "
            "real=lambda batch: batch['image']"
        )

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        """Look a last time, and write the run where a store was given."""
        self._close()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """The same when training is stopped, by Ctrl-C or an error."""
        self._close()

    def _close(self) -> None:
        if self._handle is not None:
            self._handle.remove()
        if self.recorder is not None and not self._closed:
            self._closed = True
            self.recorder.close()

    def state_dict(self) -> dict[str, Any]:
        """Return the number of steps done, which goes into Lightning's checkpoints."""
        return {"n_steps": self._n_steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on counting where the checkpoint was."""
        self._n_steps = int(state.get("n_steps", 0))


def _losses(outputs: Any) -> dict[str, Any]:
    """Return the two losses where `training_step` returns them by name."""
    if not isinstance(outputs, Mapping):
        return {}
    return {name: outputs[name] for name in ("d_loss", "g_loss") if outputs.get(name) is not None}


def LightningCallback(
    generator: str = "generator", discriminator: str = "discriminator", real: Real | None = None, **settings: Any
) -> Any:
    """Return a callback for `lightning.Trainer(callbacks=[...])`, or that of pytorch_lightning, that records a GAN's training.

    Parameters
    ----------
    generator, discriminator
        Names of the module's attributes that hold the nets.
    real
        From a batch to its real samples, or to a tuple of these and the nets' further inputs, such as labels. None takes the
        batch, its first part, or of a dictionary the part that is like the generator's samples.
    settings
        Of `ganlab.Recorder`, such as `data`, `latent`, `every`, `store`. With `stop_when` training stops as
        `trainer.should_stop` has it, in all processes at once.

    Returns
    -------
    Callback
        With `recorder` and, once training has begun, `run`. Steps are counted in batches: `trainer.global_step` counts every
        optimiser's step, twice as many in a GAN. Losses are recorded where `training_step` returns them as "d_loss" and
        "g_loss". With several devices the main process alone records.

    Raises
    ------
    ImportError
        Without Lightning.
    """
    for name in ("lightning.pytorch", "pytorch_lightning"):
        try:
            base = importlib.import_module(name).Callback
        except ImportError:
            continue
        return type("LightningCallback", (_Watching, base), {})(generator, discriminator, real, **settings)
    raise ImportError("LightningCallback needs Lightning: pip install lightning")


# --- where readings go -----------------------------------------------------------------------------------------------------


def tensorboard(writer: Any, prefix: str = PREFIX) -> Sink:
    """Return a sink for `Recorder(sinks=[...])` that writes scalars with a `SummaryWriter`, tagged as `tags` says.

    Example
    -------
    >>> class Writer:
    ...     def add_scalar(self, tag, value, step): print(tag, value, step)
    >>> tensorboard(Writer())(100, {"distance": 0.5, "generator_gradient_by_layer/0.weight": 2.0})
    ganlab/distance 0.5 100
    ganlab_generator_gradient_by_layer/0.weight 2.0 100
    """

    def sink(step: int, readings: Mapping[str, float]) -> None:
        for tag, value in tags(readings, prefix).items():
            writer.add_scalar(tag, value, step)

    return sink


def wandb(run: Any, prefix: str = PREFIX) -> Sink:
    """Return a sink for `Recorder(sinks=[...])` that logs to a run of Weights & Biases, tagged as `tags` says.

    wandb wants steps that rise, over all that a run is told: log your own values at the same steps, after `record`. What is
    told for a step that does not rise is left out, since wandb drops it with a warning.

    Example
    -------
    >>> class Run:
    ...     def log(self, values, step): print(values, step)
    >>> log = wandb(Run())
    >>> log(100, {"distance": 0.5})
    {'ganlab/distance': 0.5} 100
    >>> log(50, {"distance": 0.7})
    """
    last = -1

    def sink(step: int, readings: Mapping[str, float]) -> None:
        nonlocal last
        if step > last:
            last = step
            run.log(tags(readings, prefix), step=step)

    return sink


def tags(readings: Mapping[str, float], prefix: str = PREFIX) -> dict[str, float]:
    """Return readings by tags that boards group well: `ganlab/distance`, and a group for each reading of several parts.

    Example
    -------
    >>> tags({"distance": 0.5, "mode_count/3": 12.0})
    {'ganlab/distance': 0.5, 'ganlab_mode_count/3': 12.0}
    """
    grouped = {}
    for name, value in readings.items():
        quantity, _, part = name.partition("/")
        grouped[f"{prefix}_{quantity}/{part}" if part else f"{prefix}/{quantity}"] = value
    return grouped
