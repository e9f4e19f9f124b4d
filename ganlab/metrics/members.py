"""A measure of one cloud of samples, applied to the cloud of each member.

A measure is written in numpy for `[n, d]` in float64, and is never shown a sample that is not finite.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganlab.metrics.neighbours import Array
from ganlab.registry import InputError


def sizes(*clouds: Tensor) -> tuple[int, ...]:
    """Return how many samples each cloud `[n, d]` or `[member, n, d]` has.

    Raises
    ------
    InputError
        When a cloud is empty or of another shape, or clouds differ in dimensions or in members.
    """
    shapes = [tuple(cloud.shape) for cloud in clouds]
    crowds = {shape[0] for shape in shapes if len(shape) == 3}
    if any(len(s) not in (2, 3) or 0 in s for s in shapes) or len({s[-1] for s in shapes}) > 1 or len(crowds) > 1:
        raise InputError(
            f"samples must be [n, d] or [member, n, d], not empty, with the same d and members (flatten images); got {shapes}"
        )
    return tuple(shape[-2] for shape in shapes)


def over_members(
    measure: Callable[..., Sequence[float]], names: Sequence[str], *clouds: Tensor, **settings: Any
) -> dict[str, Any]:
    """Return what `measure(*clouds, **settings)` gives, by name: numbers for clouds `[n, d]`, else tensors `[member]`.

    A cloud without a member axis is shared by all members. A member with a sample that is not finite has NaN everywhere. Clouds
    that `sizes` refuses are refused.
    """
    sizes(*clouds)
    crowds = {len(cloud) for cloud in clouds if cloud.ndim == 3}
    arrays = [cloud.detach().to("cpu", torch.float64).numpy() for cloud in clouds]

    def one(member: int) -> Sequence[float]:
        mine: list[Array] = [a[member] if a.ndim == 3 else a for a in arrays]
        if not all(np.isfinite(a).all() for a in mine):
            return [math.nan] * len(names)
        return measure(*mine, **settings)

    if not crowds:
        return dict(zip(names, map(float, one(0)), strict=True))
    rows = torch.tensor([list(map(float, one(m))) for m in range(crowds.pop())], dtype=torch.float64)
    return dict(zip(names, rows.unbind(1), strict=True))
