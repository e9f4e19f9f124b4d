"""The looks at one run: evenly spaced at any time, within bounded memory and a bounded part of the time.

When they become many or dear, every second one is dropped and the next ones are twice as far apart.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from ganlab.experiment import MOMENTS
from ganlab.look import Look
from ganlab.probes import WHOLE
from ganlab.profiles import motion
from ganlab.train import SHOWN

LOOKS = 200
"""Most looks that are kept."""

KEPT = 200_000
"""Numbers kept of the samples of one moment, which are 4 samples or more and at most `SHOWN`; of images so large that these are
more numbers, fewer moments are kept."""

FEWEST = 4

LATER = 0.8
"""Part of the time looks may take that is for those after the first, which does more than the others."""


class Budget:
    """What part of a loop's time was spent on it, and how much may be."""

    def __init__(self, share: float) -> None:
        self.share = share
        """At most 1, which is no limit."""
        self.spent = 0.0
        self._began, self._first, self._since = 0.0, 0, 0.0

    def begin(self, step: int, now: float) -> None:
        """Note when the first step was done; nothing happens at later ones."""
        if not self._began:
            self._first, self._began = step, now

    @property
    def has_begun(self) -> bool:
        return self._began > 0

    @property
    def seconds(self) -> float:
        """Since the first step."""
        return time.perf_counter() - self._began if self._began else 0.0

    @property
    def cost(self) -> float:
        """The part of the time since the first step that was spent, on what is being done now as well."""
        now = time.perf_counter() - self._since if self._since else 0.0
        return (self.spent + now) / max(self.seconds, 1e-9)

    @contextmanager
    def booked(self) -> Iterator[None]:
        """Add what is done inside to what was spent."""
        self._since = time.perf_counter()
        try:
            yield
        finally:
            self.spent += time.perf_counter() - self._since
            self._since = 0.0

    def spared(self, step: int, price: float, share: float) -> float:
        """Return the seconds that each step leaves for looks, `price` of which were just spent and are not booked yet."""
        a_step = (self.seconds - self.spent - price) / max(1, step - self._first)
        later = LATER * share
        return math.inf if self.share == 1 else later / (1 - later) * max(a_step, 1e-12)


class Looks:
    """What was seen, oldest first."""

    def __init__(self, every: int) -> None:
        self.asked, self.every = every, every
        """Steps between two looks, as asked and as it is now."""
        self.kept: list[Look] = []
        """Without their samples, which the last one alone has in `fake`."""
        self.moments: list[int] = []
        """Steps of the looks of which some samples are kept."""
        self._room = torch.empty(0)
        """Of these samples, `[moment, n, *shape]`; made once, so that none lies between what looks need for a moment."""
        self.fake = torch.empty(0)
        self._apart, self._prices = 1, deque[float](maxlen=9)

    def __len__(self) -> int:
        return len(self.kept)

    @property
    def last(self) -> Look:
        return self.kept[-1]

    def is_due(self, step: int) -> bool:
        """Return whether it is time for the next one."""
        if not self.kept:
            return True
        origin = self.kept[0].step
        return (step - origin) // self.every > (self.last.step - origin) // self.every

    def add(self, seen: Look) -> None:
        """Keep a look, and some of its samples now and then."""
        self.fake = seen.fake
        if len(self.kept) % self._apart == 0:
            self._keep(seen)
        self.kept.append(seen._replace(fake=torch.empty(0)))

    def _keep(self, seen: Look) -> None:
        """Keep some samples of a look, and drop every second such moment where they are too many."""
        if not self.moments:
            some = seen.fake[: max(FEWEST, min(SHOWN, KEPT // seen.fake[0].numel()))]
            self._room = some.new_empty(1 + max(2, min(2 * MOMENTS, 2 * MOMENTS * KEPT // some.numel())), *some.shape)
        self._room[len(self.moments)] = seen.fake[: self._room.shape[1]]
        self.moments.append(seen.step)
        if len(self.moments) == len(self._room):
            self.moments, self._apart = self.moments[::2], 2 * self._apart
            for i in range(len(self.moments)):
                self._room[i] = self._room[2 * i]

    def widen(self, price: float, spared: float, real: Tensor) -> None:
        """Drop every second look while there are too many, or they are dearer than what is spared for them a step."""
        if len(self.kept) > 1:  # the first does more than the others
            self._prices.append(price)
        dear = len(self._prices) > 2 and float(np.median(self._prices)) / spared
        while len(self.kept) > LOOKS or (dear > self.every and len(self.kept) > 2):
            self.kept, self.every = self.kept[::2], 2 * self.every
            for before, now in pairwise(self.kept):
                now.readings["motion", WHOLE] = motion(now.profile, before.profile, real)[None].double()

    def shown(self) -> tuple[Tensor, list[int]]:
        """Return the samples that are kept, `[moment, n, *shape]`, and their steps; the last look's are among them."""
        before = [step for step in self.moments if step < self.last.step]
        return torch.cat([self._room[: len(before)], self.fake[None, : self._room.shape[1]]]), [*before, self.last.step]
