"""Optimisers that torch.optim has not, and their steps as formulas, for a generator that looks through them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ganlab.reference.players import Judge, Players


def optimizer(name: str, net: nn.Module, lr: float, numbers: Mapping[str, float]) -> torch.optim.Optimizer:
    """Return the optimiser of one player: torch's own where there is one."""
    if name in ("adam", "optimistic_adam"):
        kind = torch.optim.Adam if name == "adam" else OptimisticAdam
        return kind(net.parameters(), lr=lr, betas=(numbers["beta1"], numbers["beta2"]), eps=numbers["epsilon"])
    if name == "rmsprop":
        return torch.optim.RMSprop(net.parameters(), lr=lr, alpha=numbers["decay"], eps=numbers["epsilon"])
    if name == "optimistic":
        return Optimistic(net.parameters(), {"lr": lr})
    if numbers["momentum"] < 0:
        return HeavyBall(net.parameters(), {"lr": lr, "momentum": numbers["momentum"]})
    return torch.optim.SGD(net.parameters(), lr=lr, momentum=numbers["momentum"])


class HeavyBall(torch.optim.Optimizer):
    """Gradient descent with momentum of either sign; torch.optim.SGD refuses negative ones (Gidel et al. 2019b)."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    velocity = self.state[p].setdefault("momentum_buffer", torch.zeros_like(p))
                    velocity.mul_(group["momentum"]).add_(p.grad)
                    p.sub_(group["lr"] * velocity)


class Optimistic(torch.optim.Optimizer):
    """Daskalakis et al. 2018, equation 3; the first step, which has no past, is a plain one."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    past = self.state[p].get("past", p.grad)
                    p.sub_(2 * group["lr"] * p.grad - group["lr"] * past)
                    self.state[p]["past"] = p.grad.clone()


class OptimisticAdam(torch.optim.Adam):
    """Daskalakis et al. 2018, algorithm 1: each of Adam's moves is made twice, and the move before it taken back."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        parameters = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        before = [p.clone() for p in parameters]
        super().step()
        for p, old in zip(parameters, before, strict=True):
            move = p - old
            p.add_(move - self.state[p].get("move", torch.zeros_like(p)))
            self.state[p]["move"] = move


# --- looking ahead ---------------------------------------------------------------------------------------------------------


class Ahead:
    """A discriminator's module with the parameters that it will have."""

    def __init__(self, module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
        self.module, self.tensors = module, tensors

    def __call__(self, x: Tensor) -> Tensor:
        return functional_call(self.module, dict(self.tensors), (x,))

    def parameters(self) -> Iterator[Tensor]:
        return iter(self.tensors.values())

    def modules(self) -> Iterator[nn.Module]:
        return self.module.modules()


def looked_ahead(players: Players, loss: Callable[[Ahead], Tensor]) -> Judge:
    """Return the discriminator `unroll` updates on, as a function of the generator (Metz et al. 2017, equation 8)."""
    game, numbers, module = players.game, players.numbers, players.discriminator
    lr, move = numbers["lr_discriminator"], _MOVES[game.optimizer]
    ahead = Ahead(module, dict(module.named_parameters()))
    memories = [dict(players.optimizer_d.state[p]) if p in players.optimizer_d.state else {} for p in module.parameters()]
    for _ in range(game.unroll):
        gradients = torch.autograd.grad(
            loss(ahead), list(ahead.parameters()), create_graph=True, materialize_grads=True
        )
        moves = [move(g, memory, numbers) for g, memory in zip(gradients, memories, strict=True)]
        moved = [p - lr * m for p, m in zip(ahead.parameters(), moves, strict=True)]
        if "weight_clipping" in game.penalties:
            moved = [p.clamp(-numbers["weight_clipping"], numbers["weight_clipping"]) for p in moved]
        ahead = Ahead(module, dict(zip(ahead.tensors, moved, strict=True)))
    return ahead


# Each takes a gradient and a parameter's memory, which has the names that torch.optim gives it, updates the memory, and
# returns the move for a learning rate of 1.


def _sgd(g: Tensor, memory: dict[str, Any], numbers: Mapping[str, float]) -> Tensor:
    past = memory.get("momentum_buffer")
    memory["momentum_buffer"] = velocity = g if past is None else numbers["momentum"] * past + g
    return velocity


def _rmsprop(g: Tensor, memory: dict[str, Any], numbers: Mapping[str, float]) -> Tensor:
    memory["square_avg"] = v = numbers["decay"] * memory.get("square_avg", 0.0) + (1 - numbers["decay"]) * g**2
    return g / (_root(v) + numbers["epsilon"])


def _adam(g: Tensor, memory: dict[str, Any], numbers: Mapping[str, float]) -> Tensor:
    beta1, beta2 = numbers["beta1"], numbers["beta2"]
    memory["step"] = t = float(memory.get("step", 0)) + 1  # torch keeps it in float32
    memory["exp_avg"] = m = beta1 * memory.get("exp_avg", 0.0) + (1 - beta1) * g
    memory["exp_avg_sq"] = v = beta2 * memory.get("exp_avg_sq", 0.0) + (1 - beta2) * g**2
    return m / (1 - beta1**t) / (_root(v / (1 - beta2**t)) + numbers["epsilon"])


def _optimistic(g: Tensor, memory: dict[str, Any], numbers: Mapping[str, float]) -> Tensor:
    past, memory["past"] = memory.get("past", g), g
    return 2 * g - past


def _optimistic_adam(g: Tensor, memory: dict[str, Any], numbers: Mapping[str, float]) -> Tensor:
    past = memory.get("move", 0.0)
    memory["move"] = move = -numbers["lr_discriminator"] * _adam(g, memory, numbers)
    return (past - 2 * move) / numbers["lr_discriminator"]


def _root(v: Tensor) -> Tensor:
    """Return the square root, with derivative 0 at 0."""
    return torch.where(v > 0, torch.where(v > 0, v, 1.0).sqrt(), 0.0)


_MOVES: Mapping[str, Callable[[Tensor, dict[str, Any], Mapping[str, float]], Tensor]] = {
    "sgd": _sgd, "rmsprop": _rmsprop, "adam": _adam, "optimistic": _optimistic, "optimistic_adam": _optimistic_adam,
}  # fmt: skip
