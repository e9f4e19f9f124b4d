"""Somebody's own nets as a game that the probes can read, without moving anything in them.

A borrowed net is called with copies of its parameters and buffers, so that batch norm, dropout and spectral norm do what they
do in training and keep nothing of it. Derivatives are taken by `torch.autograd`, which any module allows, and not by
`torch.func`, which many do not.
"""

from __future__ import annotations

import random
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from ganlab.game import Batch, Game, Player, Shown, State
from ganlab.loop.hooks import unseen
from ganlab.objectives import OBJECTIVES
from ganlab.probes import View
from ganlab.registry import InputError, unknown
from ganlab.streams import shared_streams, streams_of
from ganlab.updates import NOTHING

Latent = tuple[Tensor, ...]
"""What a borrowed generator is called with: latents first, then what it is conditioned on."""


def bare(module: nn.Module) -> nn.Module:
    """Return the module inside what compiles it or copies it to several devices."""
    while True:
        inner = getattr(module, "_orig_mod", None)
        if inner is None and isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
            inner = module.module
        if inner is None:
            return module
        module = inner


class BorrowedNet:
    """A module as a function `apply(vector, *inputs)` of its parameters in one vector; the module keeps its own.

    Raises
    ------
    InputError
        For what is no module, or has no parameters, or some that are not there yet; for batch norm that waits for others.
    """

    def __init__(self, module: nn.Module, role: str) -> None:
        if not isinstance(module, nn.Module):
            raise InputError(f"the {role} must be an nn.Module; got {type(module).__name__}")
        self.role, self.module = role, bare(module)
        parameters = dict(self.module.named_parameters())
        if lazy := [name for name, p in parameters.items() if isinstance(p, nn.parameter.UninitializedParameter)]:
            raise InputError(f"parameter {lazy[0]!r} of the {role} has no shape yet; call the net once before it is recorded")
        if not parameters:
            raise InputError(f"the {role} has no parameters to train")
        refuse_waiting(self.module, torch.distributed.get_world_size() if _distributed() else 1)
        self.shapes = {name: p.shape for name, p in parameters.items()}
        self.sizes = [p.numel() for p in parameters.values()]
        self.dtypes = [p.dtype for p in parameters.values()]

    def __str__(self) -> str:
        return str(self.module)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the parameter tensors, in the order in which they lie in the vector."""
        return tuple(self.shapes)

    @property
    def n_parameters(self) -> int:
        return sum(self.sizes)

    def vector(self) -> Tensor:
        """Return a copy of the parameters as they are now, `[n_parameters]`, float32 or wider."""
        joined = torch.cat([p.detach().reshape(-1) for p in self.module.parameters()])
        return joined.to(torch.promote_types(joined.dtype, torch.float32))

    def unflatten(self, vector: Tensor) -> dict[str, Tensor]:
        """Return the parameters by name, each of its own type."""
        parts = zip(self.shapes.items(), vector.split(self.sizes), self.dtypes, strict=True)
        return {name: part.view(shape).to(dtype) for (name, shape), part, dtype in parts}

    def apply(self, vector: Tensor, *inputs: Tensor) -> Any:
        """Return the module's output with these parameters, and with copies of its buffers."""
        buffers = {name: buffer.detach().clone() for name, buffer in self.module.named_buffers()}
        with as_the_user():
            return functional_call(self.module, {**self.unflatten(vector), **buffers}, inputs)


def _distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def refuse_waiting(module: nn.Module, n_processes: int) -> None:
    """Raise InputError where a call of the module in one process would wait for all others."""
    if n_processes < 2:
        return
    if any(isinstance(part, nn.SyncBatchNorm) for part in module.modules()):
        raise InputError(
            "batch norm that is synchronised between devices would wait for the others at each look; use plain batch norm"
        )
    whole = not any(type(part).__name__ == "FullyShardedDataParallel" for part in module.modules())
    if not whole or any(hasattr(p, "placements") or hasattr(p, "ds_id") for p in module.parameters()):  # DTensor; DeepSpeed
        raise InputError(
            "parameters that are sharded between devices are not whole in any process, and a look would wait for the others; "
            "use DistributedDataParallel"
        )


@dataclass(frozen=True, eq=False)
class BorrowedGame(Game):
    """Two borrowed nets and the objective they are trained by; latents and their conditions are a tuple.

    `shown` is "label" where the nets are conditioned, since what a logit says then depends on more than a sample: held-out
    samples and fakes of earlier looks have no conditions beside them, and no logit of them is read.
    """

    n_latents: int = 1
    """Tensors at the start of a latent that the generator alone is given; the others are conditions of both nets."""
    probabilities: bool = False
    """Whether the discriminator ends in a sigmoid, though the objective is one of logits."""

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise InputError(unknown("objective", self.objective, OBJECTIVES))
        nets = BorrowedNet(self.generator, "generator"), BorrowedNet(self.discriminator, "discriminator")  # type: ignore[arg-type]
        object.__setattr__(self, "nets", nets)

    @property
    def device(self) -> torch.device:
        """Where the generator is."""
        return next(self.nets[0].module.parameters()).device

    @property
    def dtypes(self) -> tuple[torch.dtype, torch.dtype]:
        """Of both nets' first parameters that are real numbers."""
        of_generator, of_discriminator = (
            next((kind for kind in net.dtypes if kind.is_floating_point), torch.float32) for net in self.nets
        )
        return of_generator, of_discriminator

    def state(self) -> State:
        """Return copies of both nets' parameters as they are now."""
        return State(*(Player(net.vector(), ()) for net in self.nets))

    def generate(self, theta: Tensor, latent: Any) -> Tensor:
        """Return fake samples `[n, *shape]`."""
        made: Tensor = first(self.nets[0].apply(theta, *latent))
        return made

    def show_as_they_are(self, psi: Tensor, theta: Tensor, real: Tensor, fake: Tensor, batch: Batch) -> Shown:
        """Return what the discriminator is shown of these samples, each with its conditions."""
        conditions = batch.latent[self.n_latents :]

        def score(x: Tensor) -> Tensor:
            output = first(self.nets[1].apply(psi, x, *conditions))
            return logits(output, self.probabilities)[:, None]

        return Shown(score, lambda x: x, real, fake, fake)


def first(output: Any) -> Tensor:
    """Return the output, or the first of several. Raises InputError for what is no tensor."""
    while isinstance(output, tuple | list) and output:
        output = output[0]
    if isinstance(output, Mapping) and output:
        return first(next(iter(output.values())))
    if not isinstance(output, Tensor):
        raise InputError(f"a net must return a tensor, or a tuple that begins with one; got {type(output).__name__}")
    return output


def logits(output: Tensor, probabilities: bool) -> Tensor:
    """Return a discriminator's output as logits `[n]`, float32 or wider: the mean over patches where there are several.

    A probability that is rounded to 0 or 1 has the logit at which that happens, and no gradient, as in training.
    """
    flat = output.reshape(len(output), -1)
    flat = flat.to(torch.promote_types(flat.dtype, torch.float32))
    if probabilities:
        ends = torch.finfo(output.dtype)
        flat = flat.clamp(min=ends.tiny).log() - (1 - flat).clamp(min=ends.eps / 2).log()
    return flat.mean(1)


MERE_SHAPES = ("View", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Alias", "Select", "Slice", "Mean", "ToCopy", "Clone")


def last_operation(output: Tensor) -> str:
    """Return the name of the operation that made a tensor with a graph, those that only change its shape left out."""
    node = output.grad_fn
    while node is not None and any(word in node.name() for word in MERE_SHAPES):
        node = node.next_functions[0][0]
    return "" if node is None else node.name()


class BorrowedView(View):
    """A `View` of borrowed nets: the same quantities, by `torch.autograd`."""

    @cached_property
    def generation(self) -> tuple[Tensor, Any]:
        theta = self.state.generator.parameters.detach().requires_grad_()
        sample = self.game.generate(theta, self.batch.latent)

        def back(at_sample: Tensor) -> tuple[Tensor]:
            return (_gradient(sample, theta, at_sample),)

        return sample.detach(), back

    @cached_property
    def judged(self) -> tuple[tuple[Tensor, Tensor], Tensor, Tensor]:
        """Logits of real and fake, the discriminator's loss, and its gradient."""
        theta, psi = self.state.generator.parameters, self.state.discriminator.parameters.detach().requires_grad_()
        seen = self.game.show(psi, theta, self.sample, self.batch, self.numbers)
        real, fake = seen.logits(seen.real), seen.logits(seen.fake)
        loss = OBJECTIVES[self.game.objective](real, fake).discriminator
        return (real.detach(), fake.detach()), loss.detach(), _gradient(loss, psi)

    @cached_property
    def logits(self) -> tuple[Tensor, Tensor]:
        return self.judged[0]

    @cached_property
    def pull(self) -> tuple[tuple[Tensor, Tensor], Tensor]:
        theta, psi = self.state.generator.parameters, self.state.discriminator.parameters
        psi = psi.detach().requires_grad_()  # as in training: a checkpoint refuses to be computed again where that has changed
        sample = self.sample.detach().requires_grad_()
        loss = self.game.loss_at_fakes(sample, theta, psi, self.batch, self.numbers, NOTHING)
        return (_gradient(loss, sample), torch.zeros_like(theta)), loss.detach()

    @cached_property
    def moves(self) -> Mapping[str, tuple[Tensor, Tensor]]:
        (at_sample, _), g_loss = self.pull
        _, d_loss, of_discriminator = self.judged
        return {"generator": (self.generation[1](at_sample)[0], g_loss), "discriminator": (of_discriminator, d_loss)}


def _gradient(of: Tensor, by: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return the derivative, 0 where nothing depends on it."""
    if not of.requires_grad:
        return torch.zeros_like(by)
    (found,) = torch.autograd.grad(of, by, weight, retain_graph=True, allow_unused=True)
    return torch.zeros_like(by) if found is None else found.detach()


_USERS_DEVICE: ContextVar[torch.device | None] = ContextVar("users_device", default=None)


@contextmanager
def on_cpu() -> Iterator[None]:
    """Let tensors be made on the CPU inside, where the program has set another default device; see `as_the_user`."""
    usual = torch.get_default_device()
    if usual.type == "cpu":
        yield
        return
    token = _USERS_DEVICE.set(usual)
    try:
        with torch.device("cpu"):
            yield
    finally:
        _USERS_DEVICE.reset(token)


@contextmanager
def as_the_user() -> Iterator[None]:
    """Let tensors be made where the program has them made, inside `on_cpu`: what is called here is the user's own."""
    usual = _USERS_DEVICE.get()
    with ExitStack() as stack:
        if usual is not None:
            stack.enter_context(usual)
        yield


@contextmanager
def in_modes(parts: Sequence[nn.Module], modes: Sequence[bool]) -> Iterator[None]:
    """Let modules be in these modes, training or not; in their own where none are given."""
    now = [part.training for part in parts]
    try:
        for part, training in zip(parts, modes or now, strict=True):
            part.training = training
        yield
    finally:
        for part, training in zip(parts, now, strict=True):
            part.training = training


def _put_back(now: dict[Any, Any], before: dict[Any, Any]) -> None:
    if list(now) != list(before) or any(before[name] is not value for name, value in now.items()):
        for name in list(now):
            if name not in before or len(now) < len(before):  # the order matters too, of hooks for one
                del now[name]
        now.update(before)


def _put_back_set(now: set[Any], before: set[Any]) -> None:
    now.intersection_update(before)
    now.update(before)


def _refill(now: Any, before: Any) -> None:
    if len(now) != len(before) or any(one is not other for one, other in zip(now, before, strict=True)):
        now.clear()
        now.extend(before)


def _overwrite(now: Tensor, before: Tensor, version: int) -> None:
    if now._version != version:
        now.data.copy_(before)


def _remembered(value: Any) -> Callable[[], Any] | None:
    """Return what puts a module's attribute back as it is now, in place; None for what is not changed in place."""
    match value:
        case dict():
            return partial(_put_back, value, dict(value))
        case list() | deque():
            return partial(_refill, value, list(value))
        case set():
            return partial(_put_back_set, value, set(value))
        case Tensor() if not value.is_inference():
            return partial(_overwrite, value, value.detach().clone(), value._version)
        case np.ndarray() if value.flags.writeable:
            return partial(np.copyto, value, value.copy())
    return None


def _attributes(parts: Sequence[nn.Module]) -> list[Callable[[], Any]]:
    """Return what puts all attributes of modules back, and what lies in them."""
    inside = [_remembered(value) for part in parts for value in part.__dict__.values()]
    return [put for put in inside if put is not None] + [partial(_put_back, p.__dict__, dict(p.__dict__)) for p in parts]


def _lend_buffers(parts: Sequence[nn.Module]) -> None:
    """Give modules copies of their buffers, for what calls them once more in a backward pass, such as checkpointing.

    Their own are put back with the other attributes; their version would not tell that batch norm has changed them.
    """
    copies: dict[int, Tensor] = {}  # a buffer of two modules stays one
    for part in parts:
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = copies.setdefault(id(buffer), buffer.detach().clone())


@contextmanager
def untouched(*things: Any) -> Iterator[None]:
    """Let nets be called inside, and leave all random streams and the modules' own attributes as they were.

    `things` are the nets, and whatever else is called that may have random generators of its own, see `streams_of`. Attributes
    are put back with the lists, dictionaries, sets and tensors that they are; what a net writes elsewhere, into a global list
    or a file, is not seen. Inside, random numbers are the same each time, gradients can be taken whatever surrounds the call,
    and nothing is compiled or cast to another precision.
    """
    modules = [thing for thing in things if isinstance(thing, nn.Module)]
    parts = list(dict.fromkeys(part for module in modules for part in module.modules()))
    put_back = _attributes(parts) + streams_of(*things)
    kinds = {p.device.type for module in modules for p in module.parameters() if p.device.type != "meta"}
    shared = {stream: stream.get_state() for stream in shared_streams()}
    states = random.getstate(), np.random.get_state()  # noqa: NPY002  (the stream that users share)
    with ExitStack() as stack:
        stack.enter_context(unseen())
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in {"cpu", *kinds}:
            stack.enter_context(torch.autocast(kind, enabled=False))
        if "torch._dynamo" in sys.modules:
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        try:
            _lend_buffers(parts)
            random.seed(0)
            np.random.seed(0)  # noqa: NPY002
            for stream in shared:
                stream.manual_seed(0)
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002
            for stream in shared_streams():
                if stream in shared:
                    stream.set_state(shared[stream])
                else:  # of a device that was first used inside: it was at its beginning
                    stream.manual_seed(stream.initial_seed())
            for put in put_back:
                put()
