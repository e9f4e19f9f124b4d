"""Measures of the samples at the end of a run, each beside what a perfect sampler of the same size scores.

A measure is read once, at the last step. It has four parts: its value (index ""), the ends of the band that holds 95 % of
perfect samplers ("low", "high"), and the number of generated samples ("n").

A perfect sampler is simulated by a second sample from the data's law. Where data are given points, whose law nobody knows, it
is one half of the points held against the other, and samples are held against as many points, none of them twice: drawn with
replacement from few, most points would have a copy at no distance, and anything but a copy would look bad.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import torch
from scipy import stats as scipy_stats
from torch import Tensor

from ganlab import rng
from ganlab.metrics import (
    birthday_test,
    cell_divergence,
    different_bins,
    energy_test,
    from_data,
    from_law,
    log_density_gap,
    perfect_band,
    precision_recall_density_coverage,
    units,
    vendi_score,
)
from ganlab.metrics.cells import WIDE, narrowed
from ganlab.registry import Registry

SAMPLES, OF_IMAGES, OF_VENDI, OF_DENSITY = 500, 250, 100, 1000
"""Most samples that are measured, for at most `FEW_DIMENSIONS` and for more; for the Vendi score, whose cost grows with the
cube; and against a density, which needs no second sample. With these a member on the plane takes a tenth of a second."""

FEW_DIMENSIONS = 8

PERFECT = 40
"""Perfect samplers that are simulated where a band has no closed form, once for all members: the fewest that have a tail."""

BINS, DUE = 20, 20
"""Most bins of the data, and real samples that each should have."""

PARTS = ("", "low", "high", "n")


class Beside(NamedTuple):
    """A measure of each member, the band of perfect samplers, and the number of samples."""

    value: Tensor
    """`[member]`"""
    low: float
    high: float
    n: int


class Clouds:
    """What measures are shown: samples of each member and as many real ones, and where to draw more.

    Parameters
    ----------
    real, fake
        `[member, n, *shape]`; real ones are not used where the data are given points.
    """

    def __init__(self, data: Any, real: Tensor, fake: Tensor, device: str = "cpu") -> None:
        self.data, self.samples, self.device = data, fake.flatten(2).cpu(), device
        few = self.samples.shape[2] <= FEW_DIMENSIONS
        most = SAMPLES if few else OF_IMAGES
        shown = data.sample(SAMPLES if self.samples.shape[2] <= WIDE else SAMPLES // 4, self.generator).cpu()
        self.unit, self.points = units(shown), torch.empty(0)
        if hasattr(data, "distinct") and len(data.points) > 1:
            self.points = narrowed(data.distinct(2 * most, self.generator).cpu(), self.unit)
            real = self.points[: len(self.points) // 2].expand(len(fake), -1, -1)
        self.n = min(most, real.shape[1], fake.shape[1])
        self.real = real[:, : self.n] if len(self.points) else self._in_units(real)
        self.fake = self._in_units(fake)

    def _in_units(self, samples: Tensor) -> Tensor:
        return torch.stack([narrowed(x[: self.n].cpu(), self.unit) for x in samples])

    @cached_property
    def generator(self) -> torch.Generator:
        """A generator of real samples, which belongs to no seed."""
        return rng.stream(1, "reference", self.device)

    def band(self, measure: Callable[[Tensor, Tensor], Any], n: int) -> Any:
        """Return what a measure with named numbers gives perfect samplers of n samples, as bands."""
        draw = from_data(self.points, n, n) if len(self.points) else from_law(self.data, n, n)

        def in_units(generator: torch.Generator) -> tuple[Tensor, Tensor]:
            real, fake = draw(generator)
            return (real, fake) if len(self.points) else (narrowed(real.cpu(), self.unit), narrowed(fake.cpu(), self.unit))

        return perfect_band(measure, in_units, self.generator, PERFECT)


MEASURES: Registry[Callable[[Clouds], Mapping[str, Beside]]] = Registry("measure")
"""Facts: `needs`, "density" where the data's must be known. In units of the data, as cells are."""


def measure_all(data: Any, real: Tensor, fake: Tensor, device: str = "cpu") -> dict[Any, Tensor]:
    """Return all measures of members' samples `[member, n, *shape]` against real ones, as readings `[member, part]`."""
    clouds = Clouds(data, real, fake, device)
    readings: dict[Any, Tensor] = {}
    for entry in MEASURES.entries():
        if entry.facts.get("needs") == "density" and not getattr(data, "has_density", False):
            continue
        for name, found in entry.thing(clouds).items():
            rest = torch.tensor(found[1:], dtype=torch.float64).expand(len(found.value), 3)
            readings[name, PARTS] = torch.cat([found.value[:, None].double(), rest], 1)
    return readings


@MEASURES.register(source="precision and recall: Kynkaanniemi et al. 2019; density and coverage: Naeem et al. 2020")
def support(clouds: Clouds) -> dict[str, Beside]:
    """Precision, recall, density and coverage: which samples lie in balls that reach to the 5th nearest neighbour of others."""
    found = precision_recall_density_coverage(clouds.real, clouds.fake)
    band = clouds.band(precision_recall_density_coverage, clouds.n)
    names = ("precision", "recall", "density", "coverage")
    return {name: Beside(getattr(found, name), *_ends(getattr(band, name)), clouds.n) for name in names}


@MEASURES.register(source="Richardson and Weiss 2018; correction: Holm 1979")
def bins(clouds: Clouds) -> dict[str, Beside]:
    """Bins of the data whose share differs by a test at 5 % each (`ndb`), and after Holm's correction (`ndb_corrected`)."""
    k = max(1, min(BINS, clouds.n // DUE))
    found = different_bins(clouds.real, clouds.fake, rng.stream(1, "reference"), k)
    low, high = (float(scipy_stats.binom.ppf(part, k, 0.05)) for part in (0.025, 0.975))
    return {
        "ndb": Beside(found.different, low, high, clouds.n),
        "ndb_corrected": Beside(found.different_corrected, 0.0, 0.0, clouds.n),
    }


@MEASURES.register(source="Friedman and Dieng 2023")
def vendi(clouds: Clouds) -> dict[str, Beside]:
    """Effective number of different samples, under a Gaussian kernel as wide as the median distance of real ones."""
    n = min(OF_VENDI, clouds.n)
    found = vendi_score(clouds.real[:, :n], clouds.fake[:, :n])
    return {"vendi": Beside(found.fake, *_ends(clouds.band(vendi_score, n).fake), n)}


@MEASURES.register(source="Arora, Risteski and Zhang 2018")
def birthday(clouds: Clouds) -> dict[str, Beside]:
    """Equally likely outcomes that would give as many near-duplicates as there are, by the birthday paradox."""
    found = birthday_test(clouds.real, clouds.fake, rng.stream(1, "reference"))
    low, high = float(found.support_low.nanmedian()), float(found.support_high.nanmedian())
    return {"birthday_support": Beside(found.support, low, high, clouds.n)}


@MEASURES.register(source="Szekely and Rizzo 2004")
def same_law(clouds: Clouds) -> dict[str, Beside]:
    """The p-value of the energy test: how often a perfect sampler is as far from the data."""
    found = energy_test(clouds.real, clouds.fake, rng.stream(1, "reference"))
    return {"energy_p": Beside(found.p_value, 0.05, 1.0, clouds.n)}


@MEASURES.register(source="mean log-density less minus the entropy", needs="density")
def likelihood(clouds: Clouds) -> dict[str, Beside]:
    """How much likelier samples are under the data's density than data are, in nats."""
    found = log_density_gap(clouds.samples[:, :OF_DENSITY], clouds.data)
    reach = float(scipy_stats.norm.ppf(0.975)) * found.null_std
    return {"log_density_gap": Beside(found.gap, -reach, reach, found.n)}


@MEASURES.register(source="Pearson 1900, in cells whose masses are exact", needs="density")
def exact_cells(clouds: Clouds) -> dict[str, Beside]:
    """KL divergence from the true density in cells of known mass: modes, cut into 4 shells; in nats."""
    found = cell_divergence(clouds.samples[:, :OF_DENSITY], clouds.data, rng.stream(1, "reference"))
    return {"cell_divergence": Beside(found.kl, 0.0, found.high, found.n)}


def _ends(band: Any) -> tuple[float, float]:
    return band.low, band.high
