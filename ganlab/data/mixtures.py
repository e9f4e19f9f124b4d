"""Gaussian mixtures with exact density: rings and grids, and every named definition found in the literature.

"Eight Gaussians on a ring" is not one data set: radius, spread and even the number of distinct centres differ between
papers. A mixture is therefore its centres, spreads and weights as data, and each named one says whose it is. Centres are
distinct, always: a ring that its source closed on itself is given here by the distinct centres and the weights it had.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ganlab import rng
from ganlab.data import DATA, Held
from ganlab.registry import InputError


class Mixture:
    r"""A mixture of axis-aligned Gaussians, :math:`p(x) = \sum_k w_k \mathcal N(x; m_k, \mathrm{diag}(s_k^2))`.

    Parameters
    ----------
    modes
        Centres `[k, d]`, all distinct.
    std
        Standard deviation: one number, one per mode `[k]`, or one per mode and dimension `[k, d]`. Zero is a point
        mass, which has no density.
    weights
        Relative weight of each mode; None is equal weights.
    points
        Train on a fixed set of that many samples, drawn once, in place of fresh ones; the density stays the mixture's.
    stratified
        Draw each mode equally often in a batch (up to the remainder, which is spread at random).
    """

    name: str = ""

    def __init__(
        self,
        modes: Any,
        std: Any = 0.02,
        weights: Sequence[float] | None = None,
        points: int | None = None,
        stratified: bool = False,
    ) -> None:
        self.modes = _tensor("modes", modes)
        if self.modes.ndim != 2 or not len(self.modes) or not torch.isfinite(self.modes).all():
            raise InputError(f"modes must be finite numbers [k, d]; got shape {tuple(self.modes.shape)}")
        if len(torch.unique(self.modes, dim=0)) < len(self.modes):
            raise InputError(
                "two modes have the same centre; give each centre once, with a larger weight if it was meant twice"
            )
        k, d = self.modes.shape
        spread = _tensor("std", std)
        spread = spread[:, None] if spread.ndim == 1 else spread
        if spread.shape not in ((), (k, 1), (k, d)) or not torch.isfinite(spread).all() or (spread < 0).any():
            raise InputError(f"std must be finite and not negative: one number, [{k}] or [{k}, {d}]; got {std!r}")
        self.std = spread.expand(k, d).clone()
        mass = torch.ones(k, dtype=torch.float64) if weights is None else _tensor("weights", weights)
        if mass.shape != (k,) or not torch.isfinite(mass).all() or (mass <= 0).any():
            raise InputError(f"weights must be {k} positive numbers, one per mode; got {weights!r}")
        if stratified and not torch.equal(mass, mass[:1].expand(k)):
            raise InputError(f"stratified batches draw each mode equally often, so weights must be equal; got {weights!r}")
        self.weights = mass / mass.sum()
        self.shape = (d,)
        self.stratified = stratified
        self.points: Tensor | None = None
        self._law = Held(self.modes.float(), self.std.float(), self.weights.cumsum(0))
        if points is not None:
            check_count("points", points)
            self.points, labels = self._fresh(points, rng.stream(0, "data"))
            self._fixed = Held(self.points, labels)

    @property
    def scale(self) -> Tensor:
        """Standard deviation of each mode and dimension, `[k, d]`."""
        return self.std

    @cached_property
    def dimensions(self) -> int:
        """Number of dimensions in which the modes have any spread (at least 1)."""
        return max(1, int((self.std > 0).any(0).sum()))

    @cached_property
    def variance(self) -> float:
        """Variance about the mean of the whole distribution, summed over dimensions."""
        apart = self.modes - self.weights @ self.modes
        return float((self.weights @ (self.std.square() + apart.square())).sum())

    @property
    def separation(self) -> float:
        """Smallest distance between two centres over the largest std: how hard the modes are to join."""
        if len(self.modes) == 1:
            return math.inf
        distance = torch.cdist(self.modes, self.modes, compute_mode="donot_use_mm_for_euclid_dist")
        nearest = distance[~torch.eye(len(self.modes), dtype=torch.bool)].min()
        return float(nearest / self.std.max())

    @property
    def has_density(self) -> bool:
        """Whether `log_prob` exists: no dimension of any mode is a point mass."""
        return bool((self.std > 0).all())

    @property
    def n_classes(self) -> int:
        """Number of labels: one for each mode."""
        return len(self.modes)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Return n samples `[n, d]`, float32, on the generator's device."""
        return self.sample_labelled(n, generator)[0]

    def sample_labelled(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return what `sample` returns, and the mode each sample was drawn from, `[n]`, int64."""
        if self.points is None:
            return self._fresh(n, generator)
        points, labels = self._fixed.on(generator.device)
        index = torch.randint(len(points), (n,), generator=generator, device=generator.device)
        return points[index], labels[index]

    @property
    def training(self) -> Tensor | None:
        """The fixed points that all samples are, `[points, d]`; None where every sample is a fresh one."""
        return self.points

    def held_out(self, n: int, generator: torch.Generator) -> Tensor:
        """Return n samples `[n, d]` of the mixture itself, whatever the fixed points."""
        return self._fresh(n, generator)[0]

    def _fresh(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        k, device = len(self.modes), generator.device
        modes, std, cumulative = self._law.on(device)
        if self.stratified:
            rest = torch.randperm(k, generator=generator, device=device)[: n % k]
            mode = torch.cat([torch.arange(k, device=device).repeat(n // k), rest])
        else:
            u = torch.rand(n, generator=generator, dtype=torch.float64, device=device)
            mode = torch.searchsorted(cumulative, u, right=True).clamp_(max=k - 1)
        noise = torch.randn(n, *self.shape, generator=generator, device=device)
        return modes[mode] + std[mode] * noise, mode

    def log_prob(self, x: Tensor) -> Tensor:
        """Return the exact log-density at `x [n, d]` in nats, `[n]`, float64.

        Raises InputError when a mode is a point mass, which has no density.
        """
        if not self.has_density:
            raise InputError(f"{self.name or 'this mixture'} has point masses (std 0), so it has no density")
        z = (x.double()[:, None] - self.modes) / self.std
        log_normal = -0.5 * z.square().sum(-1) - self.std.log().sum(-1) - 0.5 * self.shape[0] * math.log(2 * math.pi)
        return torch.logsumexp(log_normal + self.weights.log(), dim=1)


@DATA.register(source="Gaussian mixture")
def mixture(
    modes: Any,
    std: Any = 0.02,
    weights: Sequence[float] | None = None,
    points: int | None = None,
    stratified: bool = False,
) -> Mixture:
    """Any mixture: centres, std and weights as lists."""
    return Mixture(modes, std, weights, points, stratified)


@DATA.register(source="Metz et al. 2017, Unrolled GAN, section 3.1")
def ring(
    modes: int = 8,
    radius: float = 2.0,
    std: float = 0.02,
    weights: Sequence[float] | None = None,
    points: int | None = None,
    stratified: bool = False,
) -> Mixture:
    """Gaussians at equal angles on a circle; the first lies on the positive x axis."""
    check_count("modes", modes)
    _check_length("radius", radius)
    angle = 2 * math.pi * torch.arange(modes, dtype=torch.float64) / modes
    return Mixture(radius * torch.stack([angle.cos(), angle.sin()], 1), std, weights, points, stratified)


@DATA.register(source="Dumoulin et al. 2017, ALI, section 4")
def grid(
    rows: int = 5,
    columns: int = 5,
    spacing: float = 2.0,
    std: float = 0.05,
    weights: Sequence[float] | None = None,
    points: int | None = None,
    stratified: bool = False,
    centred: bool = True,
) -> Mixture:
    """Gaussians on a rectangular grid, centred at the origin or starting there."""
    check_count("rows", rows)
    check_count("columns", columns)
    _check_length("spacing", spacing)
    x, y = (spacing * torch.arange(n, dtype=torch.float64) for n in (columns, rows))
    centres = torch.cartesian_prod(x, y)
    return Mixture(centres - centres.mean(0) if centred else centres, std, weights, points, stratified)


def cube(side: int, spacing: float, std: float) -> Mixture:
    """Gaussians on a cubic grid in three dimensions, centred at the origin."""
    along = spacing * (torch.arange(side, dtype=torch.float64) - (side - 1) / 2)
    return Mixture(torch.cartesian_prod(along, along, along), std)


def pacgan_1200d() -> Mixture:
    """Ten modes in 1200 dimensions: unit noise on the first 700, none on the rest, so there is no density."""
    shift = [-1, -0.5, 0, 0.5, -2, -2.5, 10, 0.25, -13, -5.5]
    std = torch.cat([torch.ones(700), torch.zeros(500)])
    return Mixture(torch.tensor(shift)[:, None].expand(-1, 1200), std.expand(10, -1))


def _tensor(name: str, given: Any) -> Tensor:
    try:
        return torch.as_tensor(given, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{name} must be numbers; got {given!r}") from error


def check_count(name: str, value: Any) -> None:
    """Raise InputError unless the value is a whole number of at least 1."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InputError(f"{name} must be a whole number of at least 1; got {value!r}")


def _check_length(name: str, value: Any) -> None:
    if not isinstance(value, int | float) or not 0 < value < math.inf:
        raise InputError(f"{name} must be a finite number above 0; got {value!r}")


def _named(name: str, make: Callable[..., Mixture], source: str, summary: str, **settings: Any) -> None:
    def build() -> Mixture:
        distribution = make(**settings)
        distribution.name = name
        return distribution

    DATA.add(name, build, source=source, summary=summary)


_UNROLLED, _SLIP = "Metz et al. 2017", "its ring closes on itself, so one centre has double weight"
_PACGAN, _WGAN_GP = "Lin et al. 2018, PacGAN, released code", "Gulrajani et al. 2017, released toy code"
_named("ring8", ring, _UNROLLED, "8 modes, radius 2, std 0.02")
_named(
    "ring8_unrolled_notebook",
    ring,
    "unrolled_gan notebook and GDPP code",
    f"7 modes, radius 1, std 0.01; {_SLIP}",
    modes=7,
    radius=1.0,
    std=0.01,
    weights=(2, 1, 1, 1, 1, 1, 1),
)
_named("ring8_pacgan", ring, _PACGAN, "8 modes, radius 1, std 0.01, 100 000 fixed points", radius=1.0, std=0.01, points=100_000)
_named("ring8_wgan_gp", ring, _WGAN_GP, "ring8 divided by 1.414", radius=2 / 1.414, std=0.02 / 1.414)
_named(
    "ring8_numerics",
    ring,
    "Mescheder et al. 2017, Numerics of GANs, notebook",
    "8 modes, radius 1, std 0.01, stratified batches",
    radius=1.0,
    std=0.01,
    stratified=True,
)
_named(
    "ring8_mustangs",
    ring,
    "Toutouh et al. 2019, Mustangs, test configuration",
    "8 modes, radius 2, std 0.01, 50 000 fixed points",
    std=0.01,
    points=50_000,
)
_named(
    "ring8_tutorial",
    ring,
    "Toutouh 2026, tutorial on co-evolving GANs",
    "8 modes, radius 2, std 0.08, 2000 fixed points",
    std=0.08,
    points=2000,
)
_named(
    "ring10_presgan",
    ring,
    "Dieng et al. 2019, PresGAN, released code",
    "10 modes, radius 3, std 0.05",
    modes=10,
    radius=3.0,
    std=0.05,
)
_named(
    "ring12_lipizzaner",
    ring,
    "Lipizzaner, toy data",
    f"11 point masses, radius 4; {_SLIP}",
    modes=11,
    radius=4.0,
    std=0.0,
    weights=(2, *[1] * 10),
)
_named(
    "ring8_unequal",
    ring,
    "weights 10 : 1 as an option of Toutouh 2026, tutorial; which modes are the heavy ones: ganlab",
    "ring8 with weights 10 and 1 in turn",
    weights=(10, 1) * 4,
)
_named("grid25", grid, "Dumoulin et al. 2017, ALI; PacGAN", "5 x 5 modes, spacing 2, std 0.05")
_named("grid25_pacgan", grid, _PACGAN, "grid25 as 100 000 fixed points", points=100_000)
_named(
    "grid25_wgan_gp",
    grid,
    _WGAN_GP,
    "grid25 divided by 2.828, 100 000 fixed balanced points",
    spacing=2 / 2.828,
    std=0.05 / 2.828,
    points=100_000,
    stratified=True,
)
_named(
    "grid25_bourgan",
    grid,
    "Xiao et al. 2018, BourGAN, code default",
    "5 x 5 modes, spacing 2, std 0.1, 50 fixed points a mode",
    std=0.1,
    points=1250,
    stratified=True,
)
_named(
    "grid16_sga",
    grid,
    "Balduzzi et al. 2018, SGA notebook",
    "4 x 4 modes, spacing 1, std 0.02, stratified batches",
    rows=4,
    columns=4,
    spacing=1.0,
    std=0.02,
    stratified=True,
)
_named(
    "grid24_mustangs",
    grid,
    "Toutouh et al. 2019, Mustangs, test configuration",
    "6 x 4 modes, spacing 2, std 0.01, from the origin, 50 000 fixed points",
    rows=4,
    columns=6,
    std=0.01,
    points=50_000,
    centred=False,
)
_named(
    "grid36_lipizzaner",
    grid,
    "Lipizzaner, toy data",
    "6 x 6 point masses on [-2, 2]^2",
    rows=6,
    columns=6,
    spacing=0.8,
    std=0.0,
)
_named(
    "line5_madgan",
    mixture,
    "Ghosh et al. 2018, MAD-GAN (numbers from secondary sources)",
    "5 modes in one dimension",
    modes=[[10], [20], [60], [80], [110]],
    std=[3, 3, 2, 2, 1],
)
_named("grid100", grid, "ganlab: grid25 continued", "10 x 10 modes, spacing 2, std 0.05", rows=10, columns=10)
_named(
    "cube1000",
    cube,
    "ganlab: as many modes as stacked MNIST, three digits as three coordinates",
    "10 x 10 x 10 modes in three dimensions, spacing 2, std 0.05",
    side=10,
    spacing=2.0,
    std=0.05,
)
_named("mixture1200", pacgan_1200d, "Lin et al. 2018, PacGAN, released code", "10 modes in 1200 dimensions")
