"""Rates, intervals and comparisons over seeds. Plain numpy, SciPy and pandas; no torch, no disk.

Every estimate here carries its n and an interval, and a claim that the seeds cannot carry is "inconclusive". Intervals are
for reading; exact tests decide. One concept a file: `intervals` (a mean), `rates`, `bootstrap` (scores over tasks), `pairs`
(two variants on the same seeds), `many` (several comparisons), `failure_times`, `more_seeds`.
"""

from ganlab.stats.bootstrap import interquartile_mean, probability_of_improvement
from ganlab.stats.failure_times import cost_to_first_success, median_time, survival
from ganlab.stats.intervals import Interval, mean, mean_of_finite
from ganlab.stats.many import fewest_seeds, holm
from ganlab.stats.more_seeds import more_seeds_to_claim, more_seeds_to_compare
from ganlab.stats.pairs import mcnemar, paired_difference, sign_flip
from ganlab.stats.rates import TOLERATED_RATE, Claim, Rate, claim, rate, seeds_to_claim_absence

__all__ = [
    "TOLERATED_RATE", "Claim", "Interval", "Rate", "claim", "cost_to_first_success", "fewest_seeds", "holm",
    "interquartile_mean", "mcnemar", "mean", "mean_of_finite", "median_time", "more_seeds_to_claim",
    "more_seeds_to_compare", "paired_difference", "probability_of_improvement", "rate", "seeds_to_claim_absence", "sign_flip",
    "survival",
]  # fmt: skip
