"""What an autograd graph says: the operation an output comes from, what it hangs on, and which losses were taken of it.

Nodes are only read. Where the graph passes a player's output it is marked in the node's own `metadata`, so that no graph is
kept alive.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ganlab.loop.record import Squash

Node = Any
MOST_NODES = 4000
"""A walk ends after so many nodes; losses lie in the first few dozen."""

VIEWS = {
    "View", "UnsafeView", "Reshape", "ReshapeAlias", "Squeeze", "Unsqueeze", "Select", "Slice", "Index", "Alias", "Clone",
    "ToCopy", "Expand", "Transpose", "Permute", "AsStrided", "T",
}  # fmt: skip
SCALED = {"Neg", "Mul", "Div", "Sub", "Rsub"}
PLAIN = VIEWS | SCALED | {"Add", "Clamp", "ClampMin", "ClampMax", "Cat", "NanToNum", "Unbind", "Split"}
"""Operations after which a bounded number is still bounded, if all else in them is a constant."""
WITH_LOGITS = {"BinaryCrossEntropyWithLogits", "Softplus", "LogSigmoid"}


def operation(node: Node) -> str:
    """Return the name of a node's operation: "Sigmoid" for SigmoidBackward0."""
    return re.sub(r"Backward\d*$", "", str(node.name()))


def parents(node: Node) -> list[Node]:
    """Return the nodes that a node's inputs come from."""
    return [parent for parent, _ in node.next_functions if parent is not None]


def mark(output: Tensor, key: object, number: int) -> None:
    """Note in an output's node that it is the output of that forward."""
    if output.grad_fn is not None:
        output.grad_fn.metadata[key] = number  # type: ignore[index]


def marked(node: Node, key: object) -> int | None:
    """Return the forward whose output this node made."""
    found: int | None = node.metadata.get(key)
    return found


def last_operation(output: Tensor) -> str | None:
    """Return the operation that made the output's numbers, views aside; None without a graph."""
    node = output.grad_fn
    while node is not None and operation(node) in VIEWS and parents(node):
        node = parents(node)[0]
    return None if node is None else operation(node)


def walk(roots: list[Node], *, until: Any = lambda node: False) -> Iterator[Node]:
    """Yield the nodes that lie behind the roots, each once, not going on behind those for which `until` holds."""
    seen: set[Node] = set()
    waiting = list(roots)
    while waiting and len(seen) < MOST_NODES:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        yield node
        if not until(node):
            waiting += parents(node)


class Origin(NamedTuple):
    """What a tensor hangs on: forwards of the generator, and whether operations of the user's own lie between."""

    forwards: frozenset[int]
    custom: bool


def origin(x: Tensor, key: object) -> Origin:
    """Return which marked outputs a tensor hangs on."""
    if x.grad_fn is None:
        return Origin(frozenset(), False)
    nodes = list(walk([x.grad_fn], until=lambda node: marked(node, key) is not None))
    forwards = frozenset(number for node in nodes if (number := marked(node, key)) is not None)
    between = [node for node in nodes if marked(node, key) is None]
    return Origin(forwards, any(is_custom(node) for node in between))


def is_custom(node: Node) -> bool:
    """Return whether a node is a function written in Python, which may turn gradients round."""
    return isinstance(node, torch.autograd.function.BackwardCFunction)


def leaves(nodes: list[Node]) -> dict[int, Tensor]:
    """Return the leaf tensors among nodes that gradients end in, by identity."""
    return {id(node.variable): node.variable for node in nodes if hasattr(node, "variable")}


class Losses(NamedTuple):
    """What a loss is made of."""

    squashes: tuple[Squash, ...]
    squares: bool
    repaired: int


def losses(roots: list[Node], key: object) -> Losses:
    """Return the logarithms and cross entropies of the discriminator's outputs that a loss is made of."""
    squashes, squares, repaired = [], False, 0
    for node in walk(roots, until=lambda node: marked(node, key) is not None):
        name = operation(node)
        squares |= name in ("MseLoss", "Pow", "SmoothL1Loss")
        if name in ("Log", "BinaryCrossEntropy") or name in WITH_LOGITS:
            found = _squash(node, name, key)
            if found.forward is not None:
                squashes.append(found)
        if name == "NanToNum":
            repaired += int((~torch.isfinite(node._saved_self)).sum())
    return Losses(tuple(squashes), squares, repaired)


def _squash(node: Node, name: str, key: object) -> Squash:
    """Follow what a loss takes, down to the discriminator's output and the sigmoid in it."""
    loss = "logits" if name in WITH_LOGITS else "log" if name == "Log" else "bce"
    n_sigmoids, guard, epsilon, forward, squashed = 0, None, None, None, False
    below = node.next_functions[0][0]
    while below is not None:
        forward = marked(below, key) if forward is None else forward
        step = operation(below)
        if step == "Sigmoid":
            n_sigmoids += 1
        elif step in ("Softmax", "Tanh", "Exp", "Reciprocal", "HardSigmoid", "HardTanh"):
            squashed = True
        elif step in ("Clamp", "ClampMin"):
            squashed = True
            if n_sigmoids == 0:
                low = getattr(below, "_saved_min", None)
                guard, epsilon = "clamp", float(low) if isinstance(low, int | float) else None
        elif step not in PLAIN or (len(parents(below)) > 1 and step != "Cat") or (step in SCALED and forward is not None):
            break
        elif step == "Add" and len(below.next_functions) == 2 and n_sigmoids == 0 and forward is None and guard is None:
            guard, epsilon = "epsilon", _added(node, below)
        below = parents(below)[0] if parents(below) else None
    guard = guard if loss != "logits" else None
    return Squash(loss, n_sigmoids, guard, epsilon, forward, squashed or n_sigmoids > 0)  # type: ignore[arg-type]


def _added(log: Node, add: Node) -> float | None:
    """Return the epsilon of log(x + epsilon), where x was small enough for it to be read off."""
    if operation(log) != "Log":
        return None
    below = parents(add)[0]
    turned = operation(below) == "Rsub"
    sigmoid = parents(below)[0] if turned else below
    if operation(sigmoid) != "Sigmoid":
        return None
    x = sigmoid._saved_result.double()
    added = log._saved_self.double().flatten() - (1 - x if turned else x).flatten()
    estimate = float(added[log._saved_self.flatten().argmin()])
    return estimate if estimate > 1e-6 and math.isfinite(estimate) else None
