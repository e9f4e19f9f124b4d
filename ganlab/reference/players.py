"""The two players, and what the discriminator is shown when one of them moves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from ganlab.game import Batch, Game


class Judge(Protocol):
    """A discriminator: the module itself, or the same module with the parameters that it will have later."""

    def __call__(self, x: Tensor, /) -> Tensor: ...
    def parameters(self) -> Iterator[Tensor]: ...
    def modules(self) -> Iterator[nn.Module]: ...


@dataclass
class Players:
    """Both players and the rules; `now` counts finished steps."""

    game: Game
    numbers: Mapping[str, float]
    generator: nn.Module
    discriminator: nn.Module
    optimizer_g: torch.optim.Optimizer
    optimizer_d: torch.optim.Optimizer
    now: int = 0
    past: Mapping[str, list[Tensor]] = field(default_factory=dict)
    """For historical averaging: the sum of a player's parameters at the start and after each step, by role."""

    @property
    def frozen(self) -> bool:
        """Whether the generator stands still."""
        return self.game.frozen_at is not None and self.now >= self.game.frozen_at


class Turn(NamedTuple):
    """What there is to see when a player moves."""

    players: Players
    discriminator: Judge
    batch: Batch
    sample: Tensor
    """The generator's samples as it made them."""
    real: Tensor
    """What the discriminator is shown of the data."""
    fake: Tensor
    label: Tensor | None
    """What it reads beside them, one-hot."""

    def scores(self, x: Tensor) -> Tensor:
        """Return the discriminator's outputs, `[n]`, `[n, 1]` or `[n, 1 + category]`."""
        return self.discriminator(x if self.label is None else torch.cat([x.flatten(1), self.label], 1))

    def logits(self, x: Tensor) -> Tensor:
        """Return the logits `[n]`."""
        return first(self.scores(x))


def first(scores: Tensor) -> Tensor:
    """Return the logit of each sample, which comes before its scores, if it has any."""
    return scores.flatten() if scores.numel() == len(scores) else scores[:, 0]


def show(players: Players, discriminator: Judge, batch: Batch, sample: Tensor, *, noise: bool = True) -> Turn:
    """Return a turn with these fake samples: noise is added, then companions, then packs are formed."""
    game, real, fake, label = players.game, batch.real, sample, None
    if noise and "instance_noise" in game.penalties:
        std = _noise_now(players)
        real, fake = real + std * batch.jitter[0], fake + std * batch.jitter[1]
    if game.shown == "label":
        label = batch.latent[:, -game.categories :]
    if game.shown == "latent":
        code = players.generator.get_submodule("encoder")(batch.real)
        real, fake = torch.cat([real.flatten(1), code], 1), torch.cat([fake.flatten(1), batch.latent], 1)
    if game.packing > 1:
        real, fake = _packed(real, game.packing), _packed(fake, game.packing)
    return Turn(players, discriminator, batch, sample, real, fake, label)


def _packed(x: Tensor, n: int) -> Tensor:
    """Return every n neighbours as one sample with n times the channels (Lin et al. 2018)."""
    return torch.cat([x[i::n] for i in range(n)], 1)


def _noise_now(players: Players) -> float:
    """Return the noise's std at this step, which falls linearly to 0 over `noise_steps`."""
    std, steps = players.numbers["instance_noise"], players.numbers["noise_steps"]
    return std * max(0.0, 1 - players.now / steps) if steps > 0 else std
