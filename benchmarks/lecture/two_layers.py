"""Are the derivatives written out by hand those that PyTorch finds?"""

from __future__ import annotations

import numpy as np

from ganlab import by_autograd, by_hand


def largest_gap(seeds: int = 20) -> float:
    """Return the largest difference of a gradient by hand to that of PyTorch, over seeds, people and weights."""
    x, y = by_hand.inputs(by_hand.KNOWN), by_hand.targets()
    gaps = []
    for seed in range(seeds):
        w = by_hand.drawn(seed)
        for person, position in zip(x, y, strict=True):
            pairs = zip(by_hand.backward(w, person, position), by_autograd.backward(w, person, position), strict=True)
            gaps.append(max(np.abs(one - other).max() for one, other in pairs))
    return float(max(gaps))
