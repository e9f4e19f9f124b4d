"""Training a GAN as everybody writes it. Read this one first; the two losses are in `losses.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import nn

from ganlab import rng
from ganlab.draws import BLOCK, draw
from ganlab.game import Batch, Game
from ganlab.reference.losses import discriminator_loss, generator_loss
from ganlab.reference.optimizers import optimizer
from ganlab.reference.past import Past
from ganlab.reference.penalties import clip
from ganlab.reference.players import Players
from ganlab.reference.rules import RULES


class Trained(NamedTuple):
    """What the loop leaves: two modules, the losses of every step, and the generator's running mean, if there is one."""

    generator: nn.Module
    discriminator: nn.Module
    discriminator_loss: list[float]
    generator_loss: list[float]
    average: nn.Module | None = None


def train(
    game: Game,
    data: Any,
    *,
    seed: int = 0,
    steps: int,
    batch: int,
    numbers: Mapping[str, float],
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> Trained:
    """Train one seed of a game with an ordinary loop, on the draws that `ganlab.run` gives the same seed.

    Parameters
    ----------
    numbers
        Learning rates and the rest by name, as in `Experiment.members()[i].numbers`; weights of penalties included.
    """
    generator, discriminator = (net.build(seed).to(device, dtype) for net in game.nets)
    optimizer_g = optimizer(game.optimizer, generator, numbers["lr"], numbers)
    optimizer_d = optimizer(game.optimizer, discriminator, numbers["lr_discriminator"], numbers)
    players = Players(game, numbers, generator, discriminator, optimizer_g, optimizer_d)
    past = Past(players)
    streams = {purpose: rng.stream(seed, purpose, device) for purpose in rng.PURPOSES}
    d_losses, g_losses = [], []

    for now in range(steps):
        if now % BLOCK == 0:
            block = [d.to(dtype) if len(d) else d for d in draw(game, data, streams, batch)]
        today = Batch(*(d[now % BLOCK] if len(d) else d for d in block))

        if game.update in RULES:
            d_loss, g_loss = RULES[game.update](players, today)
        else:
            for i in range(game.n_critic):
                # 1. train the discriminator, on real samples and on fake ones
                players.optimizer_d.zero_grad()
                d_loss = discriminator_loss(players, today.draw(i))
                d_loss.backward()
                if game.update == "alternating":
                    _move_discriminator(players)

            # 2. train the generator, unless it is frozen
            optimizer_g.zero_grad()
            g_loss = generator_loss(players, today.draw(game.n_draws - 1))
            g_loss.backward(inputs=list(generator.parameters()))  # leaves the discriminator's gradients as they are
            if game.update == "simultaneous":
                _move_discriminator(players)
            if not players.frozen:
                optimizer_g.step()

        past.update()
        if players.now == game.frozen_at and game.fresh_discriminator:
            _begin_anew(players, seed)
        d_losses.append(d_loss.detach())
        g_losses.append(g_loss.detach())
    losses = torch.stack(d_losses).tolist(), torch.stack(g_losses).tolist()  # not before: a GPU would be waited for
    return Trained(generator, players.discriminator, *losses, past.average)


def _begin_anew(players: Players, seed: int) -> None:
    """Give the players a discriminator and an optimiser that have seen nothing (Arjovsky and Bottou 2017, figure 2)."""
    like = next(players.discriminator.parameters())
    players.discriminator = players.game.nets[1].build(seed).to(like.device, like.dtype)
    rate = players.numbers["lr_discriminator"]
    players.optimizer_d = optimizer(players.game.optimizer, players.discriminator, rate, players.numbers)


def _move_discriminator(players: Players) -> None:
    players.optimizer_d.step()
    if "weight_clipping" in players.game.penalties:
        clip(players.discriminator.parameters(), players.numbers["weight_clipping"])
