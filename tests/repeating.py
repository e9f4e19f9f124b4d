"""Training functions for `ganlab.repeat`, at the top of a module as it asks: one tiny GAN, whole or with one thing wrong."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ganlab import Recorder, data

STEPS = 24


def recorder(seed: int, **settings: object) -> Recorder:
    """A recorder of two tiny nets with random weights, at every fourth step."""
    generator = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 2))
    discriminator = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
    usual = {"data": "ring8", "every": 4, "cost": 1, "evaluation": 64, "seed": seed, "name": "tiny"}
    return Recorder(generator, discriminator, **{**usual, **settings})  # type: ignore[arg-type]


def play(watching: Recorder, steps: int = STEPS, lr: float = 0.05) -> Recorder:
    """Train the two nets of a recorder by plain gradient steps."""
    generator, discriminator = (net.module for net in watching._game.nets)
    ring, dice, loss = data.get("ring8"), torch.Generator().manual_seed(0), nn.functional.softplus
    optimizers = [torch.optim.SGD(net.parameters(), lr) for net in (discriminator, generator)]
    for step in range(steps):
        real = ring.sample(16, dice)
        for which, optimizer in enumerate(optimizers):
            optimizer.zero_grad()
            fake = discriminator(generator(torch.randn(16, 2)))
            lost = loss(-fake).mean() if which else loss(-discriminator(real)).mean() + loss(fake).mean()
            lost.backward()
            optimizer.step()
        watching.record(step, real)
    return watching


def train(seed: int) -> Recorder:
    return play(recorder(seed))


def reseeds(seed: int) -> Recorder:
    """Sets a seed of its own."""
    torch.manual_seed(0)
    return train(seed)


def hurt(seed: int) -> Recorder:
    """Seed 1 raises, seed 2 dies."""
    if seed == 1:
        raise ValueError("no luck")
    if seed == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return train(seed)


def dice(seed: int) -> Recorder:
    """Tells the first random numbers by the name of what failed."""
    raise ValueError(f"{torch.rand(1).item():.6f} {np.random.rand():.6f} {random.random():.6f}")  # noqa: NPY002


def nothing(seed: int) -> None:
    train(seed)


def wide(seed: int) -> Recorder:
    """Seed 1 has other samples to measure."""
    return play(recorder(seed, evaluation=64 + seed), steps=2)


def gathers(seed: int) -> Recorder:
    """Each seed is held against the real samples that it happens to see."""
    return play(recorder(seed, data=torch.rand(64, 2)), steps=2)


def short(seed: int) -> Recorder:
    return play(recorder(seed), steps=STEPS - 4 * seed)


def forever(seed: int) -> Recorder:
    """Leaves a mark, and trains without end."""
    Path(f"begun-{seed}").touch()
    time.sleep(600)
    return train(seed)
