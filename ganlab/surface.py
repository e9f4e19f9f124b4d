"""The discriminator seen whole: its logits over the plane or a line, and where it would pull a generator with samples there.

For data of one or two numbers only, where a picture says more than a norm. Kept with a run once, at its end; on a line, which
takes little room, at every moment at which samples are kept.
"""

from __future__ import annotations

from operator import itemgetter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import grad, vmap
from torch.utils._pytree import tree_map

from ganlab.game import Batch, Game, State
from ganlab.objectives import OBJECTIVES

N_PLACES = 33
"""Along each axis; every third place has an arrow, the middle one of three."""

N_ALONG = 129
"""Places along a line."""

MARGIN = 1.4
"""Half the width of the grid, in half widths of the data."""


def surfaces(game: Game, state: State, batch: Batch, real: Tensor) -> dict[str, NDArray[np.float32]]:
    """Return what the discriminators of a run's members look like from above; nothing where a logit is no function of a place.

    Parameters
    ----------
    state, batch
        Of all members, and one update's draws for each; leaves `[member, ...]`.
    real
        Samples of the data `[n, *shape]`, which say what part of the plane to show.

    Returns
    -------
    dict
        `surface_logits [member, y, x]`, `surface_pulls [member, y, x, 2]`, and `surface_axes [2, place]`, the places along x
        and along y.
    """
    if real.shape[1:] != (2,) or not has_surface(game, *(members := _members(state, batch))[0], real):
        return {}
    low, high = real.amin(0).double(), real.amax(0).double()
    centre, half = (low + high) / 2, MARGIN * float((high - low).max()) / 2
    axes = torch.stack([torch.linspace(c - half, c + half, N_PLACES) for c in centre.tolist()])
    y, x = torch.meshgrid(axes[1], axes[0], indexing="ij")
    places = torch.stack([x.flatten(), y.flatten()], 1)
    logits, pulls = (
        torch.stack([look(game, *member, places) for member in members]).unflatten(1, x.shape) for look in (logit_at, pull_at)
    )
    return {
        "surface_axes": axes.numpy(),
        "surface_logits": logits.float().cpu().numpy(),
        "surface_pulls": pulls[:, 1::3, 1::3].float().cpu().numpy(),
    }


def line(game: Game, state: State, batch: Batch, real: Tensor) -> dict[str, NDArray[np.float32]]:
    """Return the same for data of one number: `line_places [place]`, `line_logits` and `line_pulls [member, place]`.

    Arguments as for `surfaces`; nothing where a logit is no function of a place.
    """
    if real.shape[1:] != (1,) or not has_surface(game, *(members := _members(state, batch))[0], real):
        return {}
    low, high = float(real.min()), float(real.max())
    centre, half = (low + high) / 2, MARGIN * (high - low) / 2
    places = torch.linspace(centre - half, centre + half, N_ALONG)[:, None]
    logits, pulls = (torch.stack([look(game, *member, places).flatten() for member in members]) for look in (logit_at, pull_at))
    return {
        "line_places": places[:, 0].numpy(),
        "line_logits": logits.float().cpu().numpy(),
        "line_pulls": pulls.float().cpu().numpy(),
    }


def _members(state: State, batch: Batch) -> list[tuple[State, Batch]]:
    return [tree_map(itemgetter(m), (state, batch)) for m in range(len(state.generator.parameters))]


def has_surface(game: Game, state: State, batch: Batch, real: Tensor) -> bool:
    """Return whether a logit is a function of a place: of one sample of numbers, whatever lies beside it in the batch."""
    if real.ndim > 2 or game.packing > 1 or game.shown != "sample":
        return False
    together = logit_at(game, state, batch, real[:8])
    alone = torch.cat([logit_at(game, state, batch, real[i : i + 1]) for i in range(len(together))])
    return torch.allclose(together, alone, rtol=1e-3, atol=1e-5, equal_nan=True)


def logit_at(game: Game, state: State, batch: Batch, places: Tensor) -> Tensor:
    """Return one discriminator's logits at places `[n, d]`, without noise."""
    places = places.to(batch.real)
    psi, theta = state.discriminator.parameters, state.generator.parameters
    return game.show_as_they_are(psi, theta, places, places, batch).logits(places)


def pull_at(game: Game, state: State, batch: Batch, places: Tensor) -> Tensor:
    """Return where the objective would have the generator's samples go, were they all at one place, `[n, d]`.

    Minus the gradient of the generator's loss by the place, without regularisers, on the real samples of the batch. For losses
    that see one fake sample at a time that is the pull on a sample there, whatever the others do.
    """
    real = logit_at(game, state, batch, batch.real)

    def loss(place: Tensor) -> Tensor:
        fake = logit_at(game, state, batch, place[None]).expand(len(real))
        return OBJECTIVES[game.objective](real, fake).generator

    return -vmap(grad(loss))(places.to(batch.real))
