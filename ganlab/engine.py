"""How the step of one member becomes fast training of many: mapped with vmap, traced, or compiled; on a GPU captured as well.

Four ways to go through a stretch of steps, all of the same pure step:

- "vmap": each step once for all members together. No start-up; what short runs and tests use.
- traced: the mapped step is traced once into a graph of plain operations, which then runs as it is. The same operations in the
  same order, so the same bits, without the layers of Python that find them anew: half the time of small nets.
- compiled: the step is traced once into a graph of plain operations and compiled. On a CPU it is the graph of one member (a few
  in bfloat16), called for one after the other through the whole stretch, which keeps a member's weights in the core's cache;
  on a GPU it is the graph of all members together, and several steps of it are captured as one CUDA graph and one launch.
- "loop": members one by one, uncompiled. Slow, and what to debug with.

A step that cannot be compiled runs traced, one that cannot be traced runs mapped, and the run says why.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d, linear
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map, tree_unflatten

WORTH_COMPILING = 60_000
"""Updates in a whole run, all members together, from which compiling pays on two cores. It takes 20 to 60 seconds with a
cold cache and 5 to 15 with a warm one, and saves half a millisecond an update with nets of 64 units, one with nets of 128. The
same for every block of a run, so that how members are split decides nothing."""

WORTH_TRACING = 400
"""Steps of a run from which tracing pays: it takes the time of a hundred mapped steps and saves a third of each."""

THIN = 2
"""Matrix products with a side of at most this many are sums of a few columns, which a compiler joins with their neighbours; the
libraries for products take ten times as long for them as for their arithmetic."""

GROUPS = {"full": 1, "bfloat16": 4}
"""Most members in one call of a compiled step on a CPU, by the precision of products. Those of one member in full keep a core
busy; in bfloat16 they are so short that starting each costs as much, and four at once run a quarter faster."""

LAUNCH = 8
"""Steps in one launch on a GPU: the state is copied once for all of them."""

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
    n_steps, n_updates
        Steps of the whole run, and updates of all its members, by which it is decided whether tracing and compiling pay.
    compiled
        The decision, if it is made already.

    Attributes
    ----------
    compiled, because
        Whether steps run compiled, and why or why not.
    traced, compile_seconds
        Whether they run traced, compiled or not, and how long it took to make them so.
    group
        Members in one call of a compiled step.
    """

    def __init__(
        self,
        step: Callable[..., Any],
        numbers: Mapping[str, Tensor],
        *,
        engine: str = "vmap",
        precision: str = "full",
        device: str = "cpu",
        n_steps: int = 0,
        n_updates: int = 0,
        compiled: bool | None = None,
    ) -> None:
        self._step, self._numbers, self._device = step, numbers, device
        self._precision = precision
        self._mapped = MAPS[engine](step)
        self.compiled, self.because = decide(engine, device, n_updates, compiled)
        self.traced = self.compiled or (engine == "vmap" and n_steps >= WORTH_TRACING)
        self.compile_seconds, self.group = 0.0, 1
        self._stretch: Groups | Launches | None = None

    def __call__(self, state: Any, draws: Any, first: int, last: int) -> tuple[Any, Any]:
        """Return the state after steps `first` to `last` of `draws [member, step, ...]`, and losses `[step, member]`."""
        if self.traced and self._stretch is None:
            self._trace(state, draws)
        if self._stretch is not None:
            with torch.no_grad():
                return self._stretch(state, draws, first, last)
        losses = []
        with products(self._precision):
            for i in range(first, last):
                state, seen = self._mapped(state, tree_map(lambda leaf, i=i: leaf[:, i], draws), self._numbers)
                losses.append(seen)
        return state, stack(losses)

    def _trace(self, state: Any, draws: Any) -> None:
        """Trace the step for what it will be called with, and compile it if so decided; say why where that fails."""
        started = time.perf_counter()
        n, gpu = len(tree_leaves(state)[0]), self._device.startswith("cuda")
        while self.traced and self._stretch is None:
            widest = GROUPS[self._precision] if self.compiled and not gpu else n
            group = next(width for width in range(widest, 0, -1) if n % width == 0)
            try:
                stretch = Groups(self._step, self._numbers, group, self._precision, state, draws, self.compiled)
                with torch.no_grad():
                    stretch(state, draws, 0, 1)  # what compiles may still not run
                    self._stretch = Launches(stretch, state, draws) if gpu else stretch
                self.group = group if self.compiled else 1
            except Exception as error:  # tracing, lowering and the C++ compiler each have their own
                reason = f"failed ({type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]})"
                self.because = f"compiling {reason}" if self.compiled else f"{self.because}; tracing {reason}"
                self.compiled, self.traced = False, self.compiled
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


def beside(device: str) -> Callable[[Callable[[], Any]], Any]:
    """Return what calls a function that makes tensors on a device beside what that does: on a GPU, on a stream of its own.

    A stream takes a thousand launches before it lets the next one wait, and the draws of hundreds of members are more: behind
    a stretch of steps most of them would begin when it ends. They go one stretch ahead and no further, for their memory.
    """
    if not device.startswith("cuda"):
        return lambda function: function()
    aside, here = torch.cuda.Stream(device), torch.cuda.current_stream(device)
    reached = [here.record_event()]  # by the stretch before the last

    def call(function: Callable[[], Any]) -> Any:
        aside.wait_event(reached.pop())
        reached.append(here.record_event())
        with torch.cuda.stream(aside):
            made = function()
        here.wait_stream(aside)
        for leaf in tree_leaves(made):
            leaf.record_stream(here)
        return made

    return call


class Groups:
    """A traced stretch `(state, draws, first, last) -> (state, losses)`: each group of members through all steps of it.

    State and draws are lists of leaves here, since trees cost a twentieth of a step.

    Parameters
    ----------
    group
        Members in one call of the step, by which all of them can be divided.
    state, draws
        What it will be called with; nothing of another shape can be.
    compiled
        Whether the graph is compiled, or runs as it is traced.
    """

    def __init__(
        self, step: Callable[..., Any], numbers: Mapping[str, Tensor], group: int, precision: str, state: Any, draws: Any,
        compiled: bool,
    ) -> None:  # fmt: skip
        self._numbers, self._group, self._alone = tree_leaves(numbers), group, compiled and group == 1
        leaves, self._structure = tree_flatten(state)
        example = (state, tree_map(lambda leaf: leaf[:, 0], draws), numbers)
        one = tree_map(lambda leaf: leaf[self._groups(len(leaves[0]))[0]].clone(), example)
        self._graph = Graph(step if self._alone else torch.func.vmap(step), one, precision, compiled)
        if self._graph.structure[0] != self._structure:
            raise TypeError("a step must return a state of the structure that it was given")

    def __call__(self, state: Any, draws: Any, first: int, last: int) -> tuple[Any, Any]:
        leaves, drawn = tree_leaves(state), tree_leaves(draws)
        ends, losses = [], []
        for group in self._groups(len(leaves[0])):
            own, fixed = [leaf[group] for leaf in leaves], [leaf[group] for leaf in self._numbers]
            seen = []
            for batch in zip(*(self._by_step(leaf[group], first, last) for leaf in drawn), strict=True):
                made = self._graph.run(*own, *batch, *fixed)
                own, loss = made[: len(own)], made[len(own) :]
                seen.append(torch.stack(list(loss)))
            ends.append(own)
            losses.append(torch.stack(seen).view(last - first, len(loss), -1))
        by_kind = torch.cat(losses, 2).transpose(0, 1).unbind()  # each [step, member]
        joined = [torch.stack(leaf) if self._alone else torch.cat(leaf) for leaf in zip(*ends, strict=True)]
        return tree_unflatten(joined, self._structure), tree_unflatten(list(by_kind), self._graph.structure[1])

    def _groups(self, n: int) -> list[Any]:
        """Return what picks each group out of a leaf `[member, ...]`: a place, or a slice of places."""
        return [m if self._alone else slice(m, m + self._group) for m in range(0, n, self._group)]

    def _by_step(self, leaf: Tensor, first: int, last: int) -> Iterable[Tensor]:
        """Return one member's draws `[step, ...]`, or a group's `[member, step, ...]`, step by step, each in one piece."""
        return leaf[first:last].unbind() if self._alone else (leaf[:, i].contiguous() for i in range(first, last))


class Graph:
    """A function of trees that returns a tuple of trees, traced or compiled for arguments like the example and no others.

    Traced into plain operations, derivatives included, nothing of Python is left to guard at each call: with nets of this size,
    guards and dispatch cost as much as the thin products.

    Attributes
    ----------
    run
        From the leaves of the arguments to the leaves of what is returned.
    structure
        Of each tree that is returned.
    """

    def __init__(self, function: Callable[..., Any], example: tuple[Any, ...], precision: str, compiled: bool) -> None:
        from torch.fx.experimental.proxy_tensor import make_fx

        leaves, structure = tree_flatten(example)

        def flat(*leaves: Tensor) -> list[Tensor]:
            with Products(precision, joined=True) if compiled else products(precision):
                made = [tree_flatten(tree) for tree in function(*tree_unflatten(list(leaves), structure))]
            self.structure = [found for _, found in made]
            return [leaf for leaves, _ in made for leaf in leaves]

        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's about its own insides
            graph = make_fx(flat)(*leaves)
            if compiled:
                self.run = _compile(graph, leaves)
            else:
                graph.graph.eliminate_dead_code()
                graph.recompile()
                self.run = graph


def _compile(graph: torch.fx.GraphModule, leaves: Sequence[Tensor]) -> Callable[..., Any]:
    from torch import _inductor
    from torch._guards import TracingContext, tracing
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.symbolic_shapes import ShapeEnv

    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # on a CPU the lack of CUDA is no news
    fake = FakeTensorMode(shape_env=ShapeEnv(), static_shapes=True)  # without a ShapeEnv the cache on disk is not used
    with tracing(TracingContext(fake)):
        return _inductor.compile(graph, [fake.from_tensor(leaf) for leaf in leaves])


class Launches:
    """A stretch on a GPU in few launches: `LAUNCH` steps, or a single one, captured as a CUDA graph.

    The state stays in memory of its own through a stretch, and is copied there before it and from there after it.
    """

    def __init__(self, stretch: Groups, state: Any, draws: Any) -> None:
        self._state, self._structure = tree_flatten(tree_map(torch.clone, state))
        self._stretch, self._pool = stretch, torch.cuda.graph_pool_handle()
        self._captured = {n: self._capture(draws, n) for n in (LAUNCH, 1)}

    def __call__(self, state: Any, draws: Any, first: int, last: int) -> tuple[Any, Any]:
        torch._foreach_copy_(self._state, tree_leaves(state))
        losses = []
        while first < last:
            n = LAUNCH if first + LAUNCH <= last else 1
            graph, drawn, seen = self._captured[n]
            torch._foreach_copy_(drawn, [leaf[:, first : first + n] for leaf in tree_leaves(draws)])
            graph.replay()
            losses.append(tree_map(torch.clone, seen))
            first += n
        return tree_unflatten([leaf.clone() for leaf in self._state], self._structure), _joined(losses)

    def _capture(self, draws: Any, n: int) -> tuple[torch.cuda.CUDAGraph, list[Tensor], Any]:
        """Return n steps as a graph, where it reads draws, and where it leaves losses."""
        drawn = tree_map(lambda leaf: leaf[:, :n].clone(), draws)

        def steps() -> Any:
            state, losses = self._stretch(tree_unflatten(self._state, self._structure), drawn, 0, n)
            torch._foreach_copy_(self._state, tree_leaves(state))
            return losses

        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            steps()  # whatever is allocated or loaded at a first call must not be captured
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            losses = steps()
        return graph, tree_leaves(drawn), losses


def _joined(losses: Sequence[Any]) -> Any:
    """Return losses `[step, ...]` of stretches that follow each other as those of one."""
    return tree_map(lambda *leaves: torch.cat(leaves), *losses)


def products(precision: str) -> AbstractContextManager[Any]:
    """Return the context in which uncompiled code takes its products; in full there is nothing to do, and nothing is slowed."""
    return nullcontext() if precision == "full" else Products(precision)


class Products(TorchFunctionMode):
    """How layers take their products inside this context: in full, or in bfloat16 with weights and sums in float32.

    Thin linear layers are in full in any case: there is nothing to gain in them, and they are what reads and writes samples.

    `joined` is the form for a compiler: thin products as sums, and biases apart, so that both join their neighbours.
    """

    def __init__(self, precision: str = "full", joined: bool = False) -> None:
        super().__init__()
        self.precision, self._joined = precision, joined

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
        n_out, n_in = weight.shape
        if min(n_in, n_out) > THIN and self.precision == "bfloat16":
            y = (x.bfloat16() @ weight.bfloat16().T).to(x.dtype)
        elif n_in <= THIN and self._joined:
            # through the identity, which lays the columns side by side in memory, so that what reads them is vectorised
            columns = torch.eye(n_in, dtype=weight.dtype, device=weight.device) @ weight.T
            y = sum((x[..., k, None] * column for k, column in enumerate(columns[1:], 1)), x[..., 0, None] * columns[0])
        elif n_out <= THIN and self._joined:
            y = torch.stack([(x * row).sum(-1) for row in weight], -1)
        else:
            y = x @ weight.T
        return y if bias is None else y + bias
