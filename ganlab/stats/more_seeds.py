"""How many more seeds would settle a question, if they go on as those seen.

The rates seen are taken for the true ones, which they are not: read the answer as an order of magnitude. A second look at
the same question has a second chance of a false answer; where that matters, judge the new seeds by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import binom

from ganlab.stats.pairs import discordant, mcnemar
from ganlab.stats.rates import TOLERATED_RATE, claim

POWER = 0.8
"""The chance of an answer that is planned for, as is usual."""

MOST = 100_000
"""A question that takes more seeds is not settled by seeds."""


def more_seeds_to_claim(
    failures: int, n: int, tolerated: float = TOLERATED_RATE, level: float = 0.95, power: float = POWER
) -> int | None:
    """Return how many more seeds let `claim` say present or absent with this power, if they fail at the rate seen so far.

    0 when the claim stands already; None when no number of seeds would settle it, the rate seen being the tolerated one, or
    so near to it that it takes more than MOST.

    Example
    -------
    >>> more_seeds_to_claim(0, 8), more_seeds_to_claim(2, 8), more_seeds_to_claim(1, 10)
    (28, 40, None)

    Source: exact binomial power; the claim is `claim`'s.
    """
    if claim(failures, n, tolerated, level) != "inconclusive":
        return 0
    if n == 0 or failures / n == tolerated:
        return None
    tail = (1 - level) / 2

    def chance(more: int) -> float:
        present = binom.isf(tail, n + more, tolerated) + 1  # the fewest failures that are claimed too many
        absent = binom.ppf(tail, n + more, tolerated) - 1  # the most that are claimed few
        return float(binom.sf(present - failures - 1, more, failures / n) + binom.cdf(absent - failures, more, failures / n))

    return _smallest(lambda more: chance(more) >= power)


def more_seeds_to_compare(
    failed_a: Sequence[bool], failed_b: Sequence[bool], level: float = 0.95, power: float = POWER
) -> int | None:
    """Return how many more common seeds let `mcnemar` tell two variants apart with this power, if they go on as before.

    Each new seed is one on which only a fails, or only b, at the rates seen so far; those seen count in the test.
    0 when the test tells them apart already; None when it never would at this difference: both failed alone equally often,
    or differ by so little that it takes more than MOST.

    Example
    -------
    >>> more_seeds_to_compare([True] * 4 + [False] * 4, [False] * 8)
    5
    >>> more_seeds_to_compare([True, False], [False, True]) is None
    True

    Source: power of McNemar's test given both rates of discordant pairs, as Miettinen 1968, exact and given what was seen.
    """
    only_a, only_b = discordant(failed_a, failed_b)
    if mcnemar(failed_a, failed_b) <= 1 - level:
        return 0
    if only_a == only_b:
        return None
    share, tail = only_a / (only_a + only_b), (1 - level) / 2

    def chance(more: int) -> float:
        new = _likely(more, (only_a + only_b) / len(failed_a))  # discordant ones among the new seeds
        all_ = only_a + only_b + new
        first = binom.ppf(tail, all_, 0.5)
        most = first - (binom.cdf(first, all_, 0.5) > tail)  # the fewer of both may be this many, and the test still tells
        told = binom.cdf(most - only_a, new, share) + binom.sf(all_ - most - only_a - 1, new, share)
        return float(binom.pmf(new, more, (only_a + only_b) / len(failed_a)) @ told)

    return _smallest(lambda more: chance(more) >= power)


def _likely(n: int, p: float) -> np.ndarray:
    """Return the counts of a binomial law that are not next to impossible: all but 1e-12."""
    return np.arange(binom.ppf(1e-12, n, p), binom.isf(1e-12, n, p) + 1)


def _smallest(enough: Callable[[int], bool]) -> int | None:
    """Return a number that is enough while one fewer is not, or None above MOST.

    Exact tests gain power in a saw of few seeds' width, so a number a little smaller may be enough too.
    """
    few, many = 0, 1
    while not enough(many):
        few, many = many, 2 * many
        if many > MOST:
            return None
    while many - few > 1:
        half = (few + many) // 2
        few, many = (few, half) if enough(half) else (half, many)
    return many
