"""What a member trains on: real samples, latents and noise, drawn many steps at once from the member's own streams."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ganlab import rng
from ganlab.game import Batch, Game

BLOCK = 32
"""Steps drawn at once for each member; fixed, so that a seed's draws depend neither on the crowd nor on the run's length."""


def draw(game: Game, data: Any, streams: Mapping[str, torch.Generator], batch: int) -> Batch:
    """Return one member's draws for a block: leaves `[step, draw, ...]`, see `ganlab.game.Batch`."""
    lead = (BLOCK, game.n_draws)
    real, latent = pairs(game, data, math.prod(lead) * batch, streams["data"], streams["latent"], streams["category"])
    return Batch(
        real.reshape(*lead, batch, *data.shape),
        latent.reshape(*lead, batch, -1),
        rng.uniform((*lead, *game.noise_shape(batch, data.shape)), streams["penalty"]),
        rng.normal((*lead, 2, batch, *data.shape), streams["jitter"]) if game.perturbed else (),
    )


def pairs(
    game: Game, data: Any, n: int, of_data: torch.Generator, of_latent: torch.Generator, of_category: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return real samples and latents; where there are categories, a latent ends in one: its real sample's, if labelled."""
    real, category = data.sample_labelled(n, of_data) if game.labelled else (data.sample(n, of_data), None)
    latent = rng.LAWS[game.latent_law](n, game.latent or 0, of_latent)
    if game.categories and category is None:
        category = torch.randint(game.categories, (n,), generator=of_category, device=of_category.device)
    if category is not None:
        latent = torch.cat([latent, one_hot(category, game.categories).float()], 1)
    return real, latent
