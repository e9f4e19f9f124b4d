"""What samples say about a generator: each measure with its definition, and what a perfect sampler of the same size scores.

A measure takes samples `[n, d]`, or `[member, n, d]` for a value of each member; a sample that is not finite makes it NaN.
Of known modes: `modes`; of cells of real data in their place: `cells`. Between two samples: `support`, `ndb`, `diversity`,
`distances`, `two_sample`. Against a known density: `density`. Of classes that a classifier gave: `classes`. Copies of training
data: `memorisation`. What a perfect sampler scores where no closed form is known: `null`. How histograms of successive looks
differ is `ganlab.turnover`, which needs no torch.
"""

from ganlab.metrics.cells import Cells, Counted, cells_of, count_in_cells, effective_number, units
from ganlab.metrics.classes import ClassDistance, InceptionScore, class_histogram_distance, inception_score
from ganlab.metrics.density import CellDivergence, LogDensityGap, cell_divergence, log_density_gap
from ganlab.metrics.distances import Frechet, frechet_distance, kernel_distance, sliced_wasserstein, wasserstein
from ganlab.metrics.diversity import Birthday, Vendi, birthday_test, chance_of_no_repeat, vendi_score
from ganlab.metrics.memorisation import Authenticity, Memorisation, authenticity, copied_share, nearest_neighbour_test
from ganlab.metrics.modes import (
    RULES,
    WITHIN_3_STD,
    ModeCoverage,
    Nearest,
    Rule,
    ceiling,
    coverage_alone,
    covered,
    high_quality,
    js,
    kl,
    mode_coverage,
    nearest_modes,
    summary,
)
from ganlab.metrics.ndb import DifferentBins, different_bins
from ganlab.metrics.null import Band, from_data, from_law, perfect_band
from ganlab.metrics.support import Support, expected_coverage, precision_recall_density_coverage
from ganlab.metrics.two_sample import TwoSample, energy_test, mmd_test, sliced_test

__all__ = [
    "RULES", "WITHIN_3_STD", "Authenticity", "Band", "Birthday", "CellDivergence", "Cells", "ClassDistance", "Counted",
    "DifferentBins", "Frechet", "InceptionScore", "LogDensityGap", "Memorisation", "ModeCoverage", "Nearest", "Rule", "Support",
    "TwoSample", "Vendi", "authenticity", "birthday_test", "ceiling", "cell_divergence", "cells_of", "chance_of_no_repeat",
    "class_histogram_distance", "copied_share", "count_in_cells", "coverage_alone", "covered", "different_bins",
    "effective_number", "energy_test", "expected_coverage",
    "frechet_distance", "from_data", "from_law", "high_quality", "inception_score", "js", "kernel_distance", "kl",
    "log_density_gap", "mmd_test", "mode_coverage", "nearest_modes", "nearest_neighbour_test", "perfect_band",
    "precision_recall_density_coverage", "sliced_test", "sliced_wasserstein", "summary", "units", "vendi_score", "wasserstein",
]  # fmt: skip
