"""The page of the PacGAN study: its table as published, and ours."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchmarks.pacgan import DATA, PACKINGS, as_published, small
from ganlab.experiment import Run
from ganlab.pages import published_page
from ganlab.pages.page import Page
from ganlab.pages.published import Published, Quantity, Reported

MODES = Quantity("modes", "modes_covered", "pacgan", better="more")
QUALITY = Quantity("high quality, %", "high_quality_share", "pacgan", better="more", factor=100)
REVERSE_KL = Quantity(
    "reverse KL, nats", "reverse_kl", "", better="less", missing=lambda run: math.log(len(run.samples["modes"]))
)

_PRINTED = {
    DATA[0]: (
        ((6.3, 0.5), (98.2, 0.2), (0.45, 0.09)),
        ((7.9, 0.1), (95.6, 2.0), (0.07, 0.03)),
        ((7.8, 0.1), (97.7, 0.3), (0.10, 0.02)),
        ((7.8, 0.1), (95.9, 1.4), (0.07, 0.02)),
    ),
    DATA[1]: (
        ((17.3, 0.8), (94.8, 0.7), (0.70, 0.07)),
        ((23.8, 0.7), (91.3, 0.8), (0.13, 0.04)),
        ((24.6, 0.4), (94.2, 0.4), (0.06, 0.02)),
        ((24.8, 0.2), (93.6, 0.6), (0.04, 0.01)),
    ),
}
"""Rows of GAN and PacGAN2 to 4; mean and standard error of ten runs of modes, high quality in per cent, reverse KL."""

TABLES = tuple(
    Published(
        setup=setup,
        source="Lin et al. 2018, PacGAN, table 1",
        steps=400_000,
        quantities=(MODES, QUALITY, REVERSE_KL),
        reported={
            (data, name(packing)): tuple(Reported(mean, error, n=10) for mean, error in row)
            for data, rows in _PRINTED.items()
            for packing, row in zip(PACKINGS, rows, strict=True)
        },
        baseline=name(1),
        ordered=(MODES, REVERSE_KL),
        rule=(
            "Modes: those with at least one of 2500 samples within 3 standard deviations (the source's rule); high quality: "
            "the share of such samples, 98.9 % for a perfect sampler; reverse KL: of the high-quality samples' histogram over "
            "modes to equal weights, ln(modes) when all lie on one; a generator without any high-quality sample counts as that."
        ),
    )
    for setup, name in (("Small nets", small), ("The source's nets", as_published))
)


def page(runs: Sequence[Run]) -> Page:
    """Return the page of these runs."""
    return published_page(runs, TABLES, "pacgan", "Does packing keep modes? PacGAN's table, and ours beside it")
