"""Optimisers held to torch's own, and where torch has none, to their papers' formulas in numpy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from ganlab.optim import OPTIMIZERS

F64 = torch.float64

TWINS: dict[str, tuple[dict[str, float], Callable[[list[Tensor]], torch.optim.Optimizer]]] = {
    "adam": (
        {"lr": 0.03, "beta1": 0.5, "beta2": 0.98, "epsilon": 1e-3},
        lambda p: torch.optim.Adam(p, lr=0.03, betas=(0.5, 0.98), eps=1e-3),
    ),
    "rmsprop": ({"lr": 0.02, "decay": 0.9, "epsilon": 1e-3}, lambda p: torch.optim.RMSprop(p, lr=0.02, alpha=0.9, eps=1e-3)),
    "sgd": ({"lr": 0.05, "momentum": 0.8}, lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.8)),
}


CHANGED = {"beta1": 0.0, "momentum": 0.0, "epsilon": 1e-8}


@pytest.mark.parametrize(
    ("name", "changed"),
    [(name, {}) for name in TWINS]
    + [(name, {key: value}) for name in TWINS for key, value in CHANGED.items() if key in OPTIMIZERS[name].numbers],
    ids=str,
)
def test_optimiser_steps_as_torch_does(name: str, changed: dict[str, float]) -> None:
    """50 steps on a bent valley with noisy gradients, in float64; 1e-12 for the order of operations."""
    numbers, make = TWINS[name]
    numbers = {**numbers, **changed}
    assert set(numbers) == set(OPTIMIZERS[name].numbers)
    generator = torch.Generator().manual_seed(0)
    mine = torch.randn(4, generator=generator, dtype=F64)
    theirs = mine.clone().requires_grad_()
    twin = make([theirs])
    for group in twin.param_groups:
        for ours, torchs in (("momentum", "momentum"), ("epsilon", "eps")):
            if ours in changed:
                group[torchs] = changed[ours]
        if "beta1" in changed:
            group["betas"] = (changed["beta1"], group["betas"][1])
    given = {key: torch.tensor(value, dtype=F64) for key, value in numbers.items()}
    memory = OPTIMIZERS[name].init(mine)
    start = mine.clone()
    for _ in range(50):
        noise = torch.randn(4, generator=generator, dtype=F64)
        gradient = mine**3 - mine.flip(0) + noise
        mine, memory = OPTIMIZERS[name].update(gradient, memory, mine, given)
        theirs.grad = theirs.detach() ** 3 - theirs.detach().flip(0) + noise
        twin.step()
        np.testing.assert_allclose(mine.numpy(), theirs.detach().numpy(), rtol=1e-11, atol=1e-12)
    assert (mine - start).abs().max() > 0.1


Array = np.ndarray


def optimistic(x: Array, gradient: Callable[[Array], Array], lr: float) -> Iterator[Array]:
    """Daskalakis et al. 2018, equation 3: :math:`x_{t+1} = x_t - 2 \\eta g_t + \\eta g_{t-1}`, the first step a plain one."""
    before = g = gradient(x)
    while True:
        x = x - 2 * lr * g + lr * before
        yield x
        before, g = g, gradient(x)


def optimistic_adam(
    x: Array, gradient: Callable[[Array], Array], lr: float, beta1: float, beta2: float, epsilon: float
) -> Iterator[Array]:
    """Daskalakis et al. 2018, algorithm 1: twice Adam's step, less the step before, which is 0 at first."""
    m, v, before, t = 0 * x, 0 * x, 0 * x, 0
    while True:
        g, t = gradient(x), t + 1
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        now = (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + epsilon)
        x = x - 2 * lr * now + lr * before
        before = now
        yield x


def heavy_ball(x: Array, gradient: Callable[[Array], Array], lr: float, momentum: float) -> Iterator[Array]:
    """Polyak 1964: :math:`x_{t+1} = x_t - \\eta g_t + \\beta (x_t - x_{t-1})`; torch refuses a beta below 0."""
    before = x
    while True:
        x, before = x - lr * gradient(x) + momentum * (x - before), x
        yield x


FORMULAS: list[tuple[str, Callable[..., Iterator[Array]], dict[str, float]]] = [
    ("optimistic", optimistic, {"lr": 0.05}),
    ("optimistic_adam", optimistic_adam, {"lr": 0.03, "beta1": 0.5, "beta2": 0.98, "epsilon": 1e-3}),
    ("optimistic_adam", optimistic_adam, {"lr": 0.03, "beta1": 0.0, "beta2": 0.9, "epsilon": 1e-8}),
    ("sgd", heavy_ball, {"lr": 0.05, "momentum": -0.5}),
    ("sgd", heavy_ball, {"lr": 0.05, "momentum": 0.9}),
]


@pytest.mark.parametrize(("name", "formula", "numbers"), FORMULAS, ids=lambda v: getattr(v, "__name__", str(v)))
def test_optimiser_steps_as_its_paper_says(
    name: str, formula: Callable[..., Iterator[Array]], numbers: dict[str, float]
) -> None:
    """50 steps on a bent valley with noisy gradients, in float64; 1e-12 for the order of operations."""
    assert set(numbers) == set(OPTIMIZERS[name].numbers)
    random = np.random.default_rng(0)
    noise = random.standard_normal((50, 4))
    start = random.standard_normal(4)
    of_twin = iter(noise)
    twin = formula(start, lambda x: x**3 - x[::-1] + next(of_twin), **numbers)
    given = {key: torch.tensor(value, dtype=F64) for key, value in numbers.items()}
    mine = torch.from_numpy(start)
    memory = OPTIMIZERS[name].init(mine)
    for push in torch.from_numpy(noise):
        mine, memory = OPTIMIZERS[name].update(mine**3 - mine.flip(0) + push, memory, mine, given)
        np.testing.assert_allclose(mine.numpy(), next(twin), rtol=1e-11, atol=1e-12)
    assert np.abs(mine.numpy() - start).max() > 0.1


def test_every_optimiser_has_a_twin() -> None:
    assert set(OPTIMIZERS) == {*TWINS, *(name for name, *_ in FORMULAS)}


def first_step(name: str, gradient: Tensor, **numbers: float) -> Tensor:
    start = torch.zeros(2, dtype=F64)
    given = {key: torch.tensor(value, dtype=F64) for key, value in numbers.items()}
    moved, _ = OPTIMIZERS[name].update(gradient, OPTIMIZERS[name].init(start), start, given)
    return moved


def test_first_steps_of_the_optimistic_optimisers() -> None:
    """A plain gradient step without Adam; with it twice Adam's first step, which is the learning rate itself."""
    gradient = torch.tensor([3.0, -0.2], dtype=F64)
    np.testing.assert_allclose(first_step("optimistic", gradient, lr=0.1).numpy(), [-0.3, 0.02], rtol=1e-15)
    adam = {"lr": 0.1, "beta1": 0.5, "beta2": 0.999, "epsilon": 0.0}
    np.testing.assert_allclose(first_step("adam", gradient, **adam).numpy(), [-0.1, 0.1], rtol=1e-12)
    np.testing.assert_allclose(first_step("optimistic_adam", gradient, **adam).numpy(), [-0.2, 0.2], rtol=1e-12)


def test_optimistic_steps_are_gradient_steps_where_the_gradient_does_not_change() -> None:
    numbers, gradient = {"lr": torch.tensor(0.1, dtype=F64)}, torch.tensor([1.0, -2.0], dtype=F64)
    x = torch.zeros(2, dtype=F64)
    memory = OPTIMIZERS["optimistic"].init(x)
    for t in range(1, 6):
        x, memory = OPTIMIZERS["optimistic"].update(gradient, memory, x, numbers)
        np.testing.assert_allclose(x.numpy(), [-0.1 * t, 0.2 * t], rtol=1e-14)


NUMBERS = {name: numbers for name, _, numbers in FORMULAS} | {name: numbers for name, (numbers, _) in TWINS.items()}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimiser_leaves_its_arguments_alone_and_passes_non_finite_gradients_on(name: str) -> None:
    given = {key: torch.tensor(value) for key, value in NUMBERS[name].items()}
    parameters, gradient = torch.ones(3), torch.tensor([1.0, math.nan, math.inf])
    memory = OPTIMIZERS[name].init(parameters)
    copies = [x.clone() for x in (parameters, gradient, *memory)]
    moved, _ = OPTIMIZERS[name].update(gradient, memory, parameters, given)
    for before, after in zip(copies, (parameters, gradient, *memory), strict=True):
        assert torch.equal(before.nan_to_num(7), after.nan_to_num(7))
    assert torch.isfinite(moved[0])
    assert not torch.isfinite(moved[1:]).any()


