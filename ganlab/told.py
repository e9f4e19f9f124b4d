"""What somebody else's loop tells of its steps: numbers, losses, and real samples."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ganlab.train import LOSSES

PENDING = 512
"""Losses that wait where they are until they are read together, so that no step waits for a device."""

BEYOND, WITHIN = 0.25, 1 / 8
"""Samples of a step are not like the data where their middle 98 % leave the data's range by this part of it on a side, or are
narrower than this part of the data's own: images of 0 to 1 beside ones of -1 to 1, or of 0 to 255."""

FEWEST = 8
"""Samples from which that is said."""


class Told(NamedTuple):
    """What the loop said of one step."""

    step: int
    discriminator: Any
    generator: Any

    def by_role(self) -> Iterator[tuple[str, Any]]:
        """Yield each player's loss that was told, by its role."""
        for role, loss in (("discriminator", self.discriminator), ("generator", self.generator)):
            if loss is not None:
                yield role, loss


class Losses:
    """The losses of the last steps."""

    def __init__(self) -> None:
        self.read: deque[Told] = deque(maxlen=LOSSES)
        """Those that were fetched, oldest first."""
        self.broken: tuple[int, str] | None = None
        """Step and place of the first that was not finite, among those fetched."""
        self._waiting: list[Told] = []

    def tell(self, step: int, discriminator: Any, generator: Any) -> bool:
        """Take note of losses, tensors, numbers or None, and return whether so many wait that they should be fetched."""
        if discriminator is not None or generator is not None:
            self._waiting.append(Told(step, _kept(discriminator), _kept(generator)))
        return len(self._waiting) >= PENDING

    def fetch(self) -> None:
        """Fetch the losses that wait."""
        for told in self._waiting:
            self.read.append(Told(told.step, *(None if loss is None else float(loss) for loss in told[1:])))
            for role, loss in self.read[-1].by_role():
                if not math.isfinite(loss) and self.broken is None:
                    self.broken = told.step, f"{role} loss"
        self._waiting = []


def whole(step: Any) -> int | None:
    """Return a step as a number, also from a tensor; None where it is none."""
    try:
        return None if step is None else int(step)
    except Exception:  # whatever a loop calls a step, it goes on
        return None


def unlike(told: Any, real: Tensor) -> str:
    """Return how real samples that a step was told with differ in scale from the data `[n, *shape]`; nothing where not."""
    if not isinstance(told, Tensor) or len(told) < FEWEST or told.is_complex():
        return ""
    (low, high), (q1, q99) = _middle(told), _middle(real)
    least, most = float(real.min()), float(real.max())
    room = BEYOND * (most - least)
    if least - room <= low and high <= most + room and high - low >= WITHIN * (q99 - q1):
        return ""
    return (
        f"the loop's real samples lie in {low:.3g} to {high:.3g}, those of data= in {least:.3g} to {most:.3g}; verdicts hold "
        "the generator against data=, so give it as the discriminator is shown it"
    )


def _middle(samples: Tensor) -> tuple[float, float]:
    numbers = samples.detach().flatten().float().cpu().sort().values
    low, high = (float(numbers[int(q * (len(numbers) - 1))]) for q in (0.01, 0.99))
    return low, high


def _kept(loss: Any) -> Any:
    if not isinstance(loss, Tensor):
        return loss
    return loss.detach().mean(dtype=torch.float32) if loss.ndim else loss.detach().clone()
