"""The loops that are timed: each works for ever, and tells its meter what it has done.

`plain` is what everybody writes, `mapped` is ours, `products` does a step's matrix products and nothing else. Set-up lies
before the first report; a call that must be made again and again is long enough for its own set-up not to count.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from ganlab import reference
from ganlab.data import Points
from ganlab.draws import BLOCK
from ganlab.experiment import Experiment
from ganlab.flops import step_products
from ganlab.game import Game
from ganlab.nets import NETS
from ganlab.planning import build, plan, plan_game
from ganlab.registry import InputError
from ganlab.train import train
from ganlab.workers import Meter

FOREVER = 10**7
"""Steps of a training that is stopped from outside."""

def plain(meter: Meter, *, variant: str = "nsgan", compiled: bool = False, piece: int = 4 * BLOCK, **work: Any) -> None:
    """The plain loop, one seed; `compiled` has torch.compile on both nets, the rest of the step stays eager.

    Parameters
    ----------
    piece
        Steps of a call, whole blocks of draws; making nets and optimisers anew for it is half a percent.
    """
    device = work.get("device", "cpu")
    game, data, experiment = _planned(variant, 1, piece, **work)
    if compiled:
        nets = {role: partial(_compiled, getattr(game, role)) for role in ("generator", "discriminator")}
        game = replace(game, **nets)
    batch, numbers = experiment.settings["batch"], experiment.members()[0].numbers
    loop = partial(reference.train, game, data, batch=batch, numbers=numbers, device=device)
    if compiled:
        started = time.perf_counter()
        loop(steps=2)
        meter.note(compile_seconds=time.perf_counter() - started)
    else:  # the same work either way, and torch counts it in eager code only
        with Flops() as counter:
            loop(steps=1)
        meter.note(flops=counter.total)
    while True:
        loop(steps=piece)
        meter(piece)


def mapped(
    meter: Meter, *, members: int, variant: str = "nsgan", compiled: bool = False, every: int | None = None, **work: Any
) -> None:  # fmt: skip
    """`ganlab.train` on many seeds, draws included; watched every so many steps if that is given, else unwatched.

    A piece of work is a block of steps, or the fewest blocks that hold a whole number of looks.
    """
    game, data, experiment = _planned(variant, members, FOREVER, **work)
    if compiled:
        trial = train(game, data, replace(experiment, steps=1), watch=False, compiled=True).environment
        if not trial["compiled"]:
            raise InputError(f"not compiled: {trial['compiled_because']}")
        meter.note(compile_seconds=trial["compile_seconds"])
    piece, done = math.lcm(BLOCK, every or 1), 0

    def tick(steps: int) -> None:
        nonlocal done
        done += steps
        if done % piece == 0:
            meter(piece * members)

    train(game, data, replace(experiment, every=every or 1), watch=every is not None, compiled=compiled, tick=tick)


def whole_run(meter: Meter, *, members: int, steps: int, variant: str = "nsgan", compiled: bool = False, **work: Any) -> None:
    """`ganlab.train` from seeds to a finished `Run`, watched as usual; a piece of work is a run."""
    game, data, experiment = _planned(variant, members, steps, **work)
    while True:
        train(game, data, experiment, compiled=compiled)
        meter(1)


def products(
    meter: Meter, *, generator: Sequence[int], discriminator: Sequence[int], batch: int, n_critic: int = 1,
    members: int = 1, dtype: str = "float32", device: str = "cpu",
) -> None:  # fmt: skip
    """The matrix products of a step, one after the other, into memory that is there: what no engine can do without.

    Those of several members are batched, as a GPU needs it.
    """
    shapes = step_products(generator, discriminator, batch, n_critic)
    lead = (members,) if members > 1 else ()
    made = partial(torch.randn, dtype=getattr(torch, dtype), device=device)
    operands = [(made(*lead, p.m, p.k), made(*lead, p.k, p.n), made(*lead, p.m, p.n)) for p in shapes]
    meter.note(flops=sum(p.flops for p in shapes))
    with torch.inference_mode():
        while True:
            for a, b, out in operands:
                torch.matmul(a, b, out=out)
            meter(members)


class Flops(TorchDispatchMode):
    """Counts the operations of matrix products and convolutions, by torch's own formulas.

    `FlopCounterMode` does the same, but follows modules too, which fails under `autograd.grad` and so with penalties.
    """

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if (formula := flop_registry.get(func._overloadpacket)) is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=out)
        return out


# --- from settings to a game ---------------------------------------------------------------------------------------------


def _planned(
    variant: str, members: int, steps: int, *, data: Any = "ring8", shape: Sequence[int] = (), channels: Sequence[int] = (),
    **settings: Any,
) -> tuple[Game, Any, Experiment]:  # fmt: skip
    """Return game, data and experiment; random images where a `shape` is given, and DCGAN's nets where `channels` are."""
    if shape:
        generator = torch.Generator().manual_seed(0)
        images = torch.rand(512, *shape, generator=generator) * 2 - 1
        data = Points(images, f"random images {' x '.join(map(str, shape))}")
    if not channels:
        experiment = plan(variant, data, seeds=members, steps=steps, **settings)
        return *build(experiment, data if shape else None), experiment
    latent, image = settings.pop("latent"), tuple(shape)
    game = Game(
        partial(NETS["dcgan_generator"], latent, image, tuple(channels)),
        partial(NETS["dcgan_discriminator"], image, 1, tuple(reversed(channels))),
        latent=latent,
    )
    return game, data, plan_game(game, data, seeds=members, steps=steps, **settings)


def _compiled(build_net: Callable[[], nn.Module]) -> nn.Module:
    net: nn.Module = torch.compile(build_net())
    return net
