"""The discriminator over the plane: its logits on a grid, and where it would pull a generator whose samples lie there.

For data of two numbers only, where a picture says more than a norm. Kept with a run once, at its end.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import grad, vmap

from ganlab.objectives import OBJECTIVES
from ganlab.probes import View

N_PLACES = 33
"""Along each axis; every third place has an arrow, the middle one of three."""

MARGIN = 1.4
"""Half the width of the grid, in half widths of the data."""


def surfaces(views: Sequence[View], real: Tensor) -> dict[str, NDArray[np.float32]]:
    """Return what the discriminators of a run's members look like from above; nothing where a logit is no function of a place.

    Parameters
    ----------
    views
        One a member.
    real
        Samples of the data `[n, *shape]`, which say what part of the plane to show.

    Returns
    -------
    dict
        `surface_logits [member, y, x]`, `surface_pulls [member, y, x, 2]`, and `surface_axes [2, place]`, the places along x
        and along y.
    """
    if not has_surface(views[0], real):
        return {}
    low, high = real.amin(0).double(), real.amax(0).double()
    centre, half = (low + high) / 2, MARGIN * float((high - low).max()) / 2
    axes = torch.stack([torch.linspace(c - half, c + half, N_PLACES) for c in centre.tolist()])
    y, x = torch.meshgrid(axes[1], axes[0], indexing="ij")
    places = torch.stack([x.flatten(), y.flatten()], 1)
    logits = torch.stack([logit_at(view, places) for view in views]).unflatten(1, x.shape)
    pulls = torch.stack([pull_at(view, places) for view in views]).unflatten(1, x.shape)
    return {
        "surface_axes": axes.numpy(),
        "surface_logits": logits.float().cpu().numpy(),
        "surface_pulls": pulls[:, 1::3, 1::3].float().cpu().numpy(),
    }


def has_surface(view: View, real: Tensor) -> bool:
    """Return whether a logit is a function of a place: of one sample of two numbers, whatever lies beside it in the batch."""
    if real.shape[1:] != (2,) or view.game.packing > 1 or view.game.shown != "sample":
        return False
    together = logit_at(view, real[:8])
    alone = torch.cat([logit_at(view, real[i : i + 1]) for i in range(len(together))])
    return torch.allclose(together, alone, rtol=1e-3, atol=1e-5, equal_nan=True)


def logit_at(view: View, places: Tensor) -> Tensor:
    """Return the discriminator's logits at places `[n, 2]`, without noise."""
    (theta, *_), (psi, *_) = view.state
    places = places.to(view.batch.real)
    return view.game.show_as_they_are(psi, theta, places, places, view.batch).logits(places)


def pull_at(view: View, places: Tensor) -> Tensor:
    """Return where the objective would have the generator's samples go, were they all at one place, `[n, 2]`.

    Minus the gradient of the generator's loss by the place, without regularisers, on the real samples of the batch. For losses
    that see one fake sample at a time that is the pull on a sample there, whatever the others do.
    """
    real = logit_at(view, view.batch.real)

    def loss(place: Tensor) -> Tensor:
        fake = logit_at(view, place[None]).expand(len(real))
        return OBJECTIVES[view.game.objective](real, fake).generator

    return -vmap(grad(loss))(places.to(view.batch.real))
