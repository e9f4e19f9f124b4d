"""Number of statistically different bins: where the weights of two samples differ, without known modes."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import stats as scipy_stats
from torch import Tensor

from ganlab.metrics.members import over_members, sizes
from ganlab.metrics.neighbours import Array, nearest
from ganlab.stats import holm

LEVEL = 0.05


class DifferentBins(NamedTuple):
    """Numbers for samples `[n, d]`, tensors `[member]` with members."""

    different: Any
    """Bins whose shares differ by a z-test at 5 % each: a perfect sampler has a twentieth of its bins here."""
    different_corrected: Any
    """Bins that differ by an exact test with Holm's correction: a perfect sampler has any at all in at most 5 % of cases."""
    js: Any
    """Jensen-Shannon divergence of the two samples' shares, in nats."""
    bins: Any
    """Bins made: as asked for, or as many as there are distinct real samples."""
    expected: Any
    """`different` of a perfect sampler with many samples a bin; 4.2 in place of 5 at 100 bins of 25."""
    js_floor: Any
    """`js` of a perfect sampler, to first order."""
    n_real: int
    n_fake: int


def different_bins(real: Tensor, fake: Tensor, generator: torch.Generator, bins: int = 100) -> DifferentBins:
    """Return in how many cells of the real data a generator's share differs from the data's.

    Bins are the cells of k-means on the real samples; each sample is in the bin of its nearest centre. The bins are fitted to
    the very samples that are counted in them, as in the paper.

    Parameters
    ----------
    real, fake
        `[n, d]` or `[member, n, d]`; some 20 samples a bin or more, or the tests have no power.
    generator
        Seeds k-means.
    bins
        100 as in the paper.

    Source: Richardson and Weiss 2018, section 3.1 (raw count, pooled two-proportion z-test); correction: Holm 1979 on the
    conditional exact test of Fisher. A bin that both samples leave empty, or both fill, counts as equal.
    """
    n_real, n_fake = sizes(real, fake)
    seed = int(torch.randint(2**31, (), generator=generator, device=generator.device))
    names = ("different", "different_corrected", "js", "bins", "expected", "js_floor")
    found = over_members(_different_bins, names, real, fake, bins=bins, seed=seed)
    return DifferentBins(**found, n_real=n_real, n_fake=n_fake)


def _different_bins(real: Array, fake: Array, bins: int, seed: int) -> tuple[float, ...]:
    centres = k_means(real, bins, seed)
    k, n, m = len(centres), len(real), len(fake)
    ours, theirs = (np.bincount(nearest(x, centres, 1)[1][:, 0], minlength=k) for x in (real, fake))
    raw, corrected = (_z_test(ours, theirs) <= LEVEL).sum(), (holm(_exact_test(ours, theirs)) <= LEVEL).sum()
    expected = LEVEL * k if k > 1 else 0.0
    return float(raw), float(corrected), _js(ours / n, theirs / m), k, expected, (k - 1) / 8 * (1 / n + 1 / m)


def k_means(points: Array, k: int, seed: int) -> Array:
    """Return the centres of at most k cells, `[k, d]`; fewer when there are fewer distinct points."""
    from sklearn.cluster import KMeans  # slow to import, and few need it
    from sklearn.exceptions import ConvergenceWarning

    k = min(k, len(np.unique(points, axis=0)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # cells that are not final are cells all the same
        centres: Array = KMeans(k, n_init=1, random_state=seed).fit(points).cluster_centers_
    return centres


def _z_test(ours: Any, theirs: Any) -> Array:
    """Return the two-sided p-value for each bin, by the pooled two-proportion z-test; 1 where there is no variance."""
    n, m = ours.sum(), theirs.sum()
    pooled = (ours + theirs) / (n + m)
    error = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    z = np.divide(ours / n - theirs / m, error, out=np.zeros(len(error)), where=error > 0)
    return np.asarray(2 * scipy_stats.norm.sf(np.abs(z)))


def _exact_test(ours: Any, theirs: Any) -> Array:
    """Return twice the smaller tail of each bin's hypergeometric law given both totals, at most 1."""
    law = scipy_stats.hypergeom(ours.sum() + theirs.sum(), ours + theirs, ours.sum())
    return np.asarray(np.minimum(1, 2 * np.minimum(law.cdf(ours), law.sf(ours - 1))))


def _js(p: Array, q: Array) -> float:
    middle = (p + q) / 2
    return float(scipy_stats.entropy(p, middle) + scipy_stats.entropy(q, middle)) / 2
