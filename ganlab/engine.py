"""How the step of one member becomes fast training of many: mapped with vmap, or compiled; on a GPU captured as well.

Three ways to go through a stretch of steps, all of the same pure step:

- "vmap": each step once for all members together. No start-up; what short runs and tests use.
- compiled: the step is traced once into a graph of plain operations and compiled. On a CPU it is the graph of ONE member,
  called for one member after the other through the whole stretch, which keeps a member's weights in the core's cache; on a
  GPU it is the graph of all members together, captured as a CUDA graph so that a step is one launch.
- "loop": members one by one, uncompiled. Slow, and what to debug with.

A step that cannot be compiled runs mapped, and says why.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d, linear
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

WORTH_COMPILING = 60_000
"""Updates of all members together from which compiling pays on a CPU."""

THIN = 2
"""Matrix products with a side of at most this many are sums of a few columns, which a compiler joins with their neighbours; the
libraries for products take ten times as long for them as for their arithmetic."""

DTYPES = ("float32", "float64")
PRECISIONS = ("full", "bfloat16")


def stack(items: Sequence[Any]) -> Any:
    """Return one tree whose leaves have a leading member axis."""
    return tree_map(lambda *leaves: torch.stack(leaves), *items)


def _member(tree: Any, m: int) -> Any:
    return tree_map(lambda leaf: leaf[m], tree)


def _loop(function: Callable[..., Any]) -> Callable[..., Any]:
    """Map by calling one member after the other. Errors name the member."""

    def mapped(*stacked: Any) -> Any:
        results = []
        for m in range(len(tree_flatten(stacked)[0][0])):
            try:
                results.append(function(*(_member(tree, m) for tree in stacked)))
            except Exception as error:
                error.add_note(f"while training member {m}")
                raise
        return stack(results)

    return mapped


MAPS: Mapping[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {"vmap": torch.func.vmap, "loop": _loop}
"""From a function of one member to a function of all, by name."""


class Advance:
    """Training of all members through a stretch of steps: `advance(state, draws, first, last) -> (state, losses)`.

    Parameters
    ----------
    step
        The step of one member, `(state, batch, numbers) -> (state, losses)`.
    numbers
        The members' numbers, leaves `[member]`.
    engine, precision, device
        As in `ganlab.variants.PLACEMENT`.
    n_updates
        Updates of all members in the whole run, by which it is decided whether compiling pays.
    compiled
        The decision, if it is made already.

    Attributes
    ----------
    compiled, because, compile_seconds
        Whether steps run compiled, why or why not, and how long compiling took.
    """

    def __init__(
        self,
        step: Callable[..., Any],
        numbers: Mapping[str, Tensor],
        *,
        engine: str = "vmap",
        precision: str = "full",
        device: str = "cpu",
        n_updates: int = 0,
        compiled: bool | None = None,
    ) -> None:
        self._step, self._numbers, self._device = step, numbers, device
        self._products = Products(precision)
        self._mapped = MAPS[engine](step)
        self.compiled, self.because = decide(engine, device, n_updates, compiled)
        self.compile_seconds = 0.0
        self._graph: Callable[..., Any] | None = None

    def __call__(self, state: Any, draws: Any, first: int, last: int) -> tuple[Any, Any]:
        """Return the state after steps `first` to `last` of `draws [member, step, ...]`, and losses `[step, member]`."""
        if self.compiled and self._graph is None:
            self._compile(state, draws)
        if self._graph is None:
            with self._products:
                return self._together(self._mapped, state, draws, first, last)
        with torch.no_grad():
            if self._device.startswith("cuda"):
                return self._together(self._graph, state, draws, first, last)
            return self._one_by_one(self._graph, state, draws, first, last)

    def _together(self, function: Callable[..., Any], state: Any, draws: Any, first: int, last: int) -> tuple[Any, Any]:
        losses = []
        for i in range(first, last):
            state, seen = function(state, tree_map(lambda leaf, i=i: leaf[:, i], draws), self._numbers)
            losses.append(seen)
        return state, stack(losses)

    def _one_by_one(self, function: Callable[..., Any], state: Any, draws: Any, first: int, last: int) -> tuple[Any, Any]:
        states, losses = [], []
        for m in range(len(tree_flatten(state)[0][0])):
            own, numbers, mine = _member(state, m), _member(self._numbers, m), _member(draws, m)
            seen = []
            for i in range(first, last):
                own, loss = function(own, _member(mine, i), numbers)
                seen.append(loss)
            states.append(own)
            losses.append(stack(seen))
        return stack(states), tree_map(lambda *leaves: torch.stack(leaves, 1), *losses)

    def _compile(self, state: Any, draws: Any) -> None:
        """Compile the step for what it will be called with; when that fails, say why and stay mapped."""
        started = time.perf_counter()
        example = (state, tree_map(lambda leaf: leaf[:, 0], draws), self._numbers)
        try:
            if self._device.startswith("cuda"):
                self._graph = Captured(compiled(torch.func.vmap(self._step), example, self._products), example)
            else:
                self._graph = compiled(self._step, tuple(_member(tree, 0) for tree in example), self._products)
        except Exception as error:  # tracing, lowering and the C++ compiler each have their own
            reason = str(error).strip().partition("\n")[0]
            self.compiled, self.because = False, f"compiling failed ({type(error).__name__}: {reason[:200]})"
        self.compile_seconds = round(time.perf_counter() - started, 3)


def decide(engine: str, device: str, n_updates: int, wish: bool | None) -> tuple[bool, str]:
    """Return whether to compile, and why: the same answer for the same work on every machine of a kind."""
    if engine == "loop":
        return False, "members are trained one by one"
    if wish is not None:
        return wish, "as asked for"
    if device.startswith("cuda"):
        return True, "on a GPU launches limit a step"
    if n_updates < WORTH_COMPILING:
        return False, f"{n_updates:,} updates in all; compiling pays from {WORTH_COMPILING:,}"
    return True, f"{n_updates:,} updates in all"


def compiled(function: Callable[..., Any], example: tuple[Any, ...], products: Products) -> Callable[..., Any]:
    """Return the function compiled for arguments like the example: same structure, shapes and types, which are not checked.

    It is traced into plain operations, derivatives included, so that nothing of Python is left to guard at each call: with nets
    of this size, guards and dispatch cost as much as the thin products.
    """
    from torch import _inductor
    from torch._guards import TracingContext, tracing
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.proxy_tensor import make_fx
    from torch.fx.experimental.symbolic_shapes import ShapeEnv

    leaves, structure = tree_flatten(example)
    made: Any = None

    def flat(*leaves: Tensor) -> list[Tensor]:
        nonlocal made
        with products.joined():
            out, made = tree_flatten(function(*tree_unflatten(list(leaves), structure)))
        return list(out)

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's about its own insides
        graph = make_fx(flat)(*leaves)
        with tracing(TracingContext(FakeTensorMode(shape_env=ShapeEnv()))):  # without one the cache on disk is not used
            run = _inductor.compile(graph, leaves)

    def call(*arguments: Any) -> Any:
        return tree_unflatten(list(run(*tree_flatten(arguments)[0])), made)

    return call


class Captured:
    """A compiled step of all members on a GPU, captured as one CUDA graph: a call copies the inputs and is one launch.

    State that comes back is that of the graph's own memory, and is copied before the next launch overwrites it.
    """

    def __init__(self, function: Callable[..., Any], example: tuple[Any, ...]) -> None:
        self._inputs = [leaf.clone() for leaf in tree_flatten(example)[0]]
        arguments = tree_unflatten(self._inputs, tree_flatten(example)[1])
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(3):  # whatever is allocated at first calls must not be captured
                function(*arguments)
        torch.cuda.current_stream().wait_stream(aside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._outputs = function(*arguments)

    def __call__(self, *arguments: Any) -> Any:
        torch._foreach_copy_(self._inputs, tree_flatten(arguments)[0])
        self._graph.replay()
        return tree_map(torch.clone, self._outputs)


class Products(TorchFunctionMode):
    """How layers take their products inside this context: in full, or in bfloat16 with weights and sums in float32.

    `joined()` is the form for a compiler: thin products as sums, and biases apart, so that both join their neighbours.
    """

    def __init__(self, precision: str = "full", joined: bool = False) -> None:
        super().__init__()
        self.precision, self._joined = precision, joined

    def joined(self) -> Products:
        return Products(self.precision, joined=True)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        half = self.precision == "bfloat16"
        if func is linear and (half or self._joined):
            return self._linear(*args, **(kwargs or {}))
        if func in (conv2d, conv_transpose2d) and half:
            x, weight, bias, *rest = args
            y = func(x.bfloat16(), weight.bfloat16(), None, *rest, **(kwargs or {})).to(x.dtype)
            return y if bias is None else y + bias[:, None, None]
        return func(*args, **(kwargs or {}))

    def _linear(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        if self._joined and weight.shape[1] <= THIN:
            y = sum((x[..., k, None] * weight[:, k] for k in range(1, weight.shape[1])), x[..., 0, None] * weight[:, 0])
        elif self._joined and weight.shape[0] <= THIN:
            y = torch.stack([(x * row).sum(-1) for row in weight], -1)
        elif self.precision == "bfloat16":
            y = (x.bfloat16() @ weight.bfloat16().T).to(x.dtype)
        else:
            y = x @ weight.T
        return y if bias is None else y + bias
