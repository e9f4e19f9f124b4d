"""Cells of real data in place of modes: what they are on data whose answer is known, and mode collapse judged by them."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

import ganlab
from ganlab import data, rng
from ganlab.diagnoses import diagnose
from ganlab.measures import PARTS, measure_all
from ganlab.metrics import Cells, cells_of, count_in_cells, effective_number
from ganlab.metrics.cells import CELLS, LEAST, WIDE, narrowed, units
from ganlab.pages.gans import gan_page
from ganlab.pages.page import render
from ganlab.watch import REFERENCE, cells_in_place_of_modes
from tests.planted import run_of

Sample = Callable[[int, torch.Generator], Tensor]


def table(n: int, generator: torch.Generator) -> Tensor:
    """Thirty columns of five causes; one is a category, one skewed, one constant, and each has another unit."""
    mixing = torch.randn(5, 30, generator=torch.Generator().manual_seed(5))
    x = torch.randn(n, 5, generator=generator) @ mixing + 0.3 * torch.randn(n, 30, generator=generator)
    x[:, 0], x[:, 1], x[:, 2] = (x[:, 0] > 0).float(), x[:, 1].exp(), 7.0
    return x * 10 ** torch.linspace(-3, 4, 30)


def normal(n: int, generator: torch.Generator) -> Tensor:
    return 5 + 0.2 * torch.randn(n, 1, generator=generator)


def squares(n: int, generator: torch.Generator) -> Tensor:
    """Images of a square at one of many places, `[n, 1, 9, 9]`."""
    row, column = (torch.randint(6, (n, 1), generator=generator) for _ in range(2))
    i = torch.arange(9)
    inside = ((i >= row) & (i < row + 4))[:, :, None] & ((i >= column) & (i < column + 4))[:, None]
    return inside[:, None].float() + 0.05 * torch.randn(n, 1, 9, 9, generator=generator)


REAL: dict[str, Sample] = {
    "ring": data.get("ring8").sample, "wide ring": data.get("ring", std=0.4).sample, "normal": normal, "table": table,
    "digits": data.get("digits").sample, "squares": squares,
}  # fmt: skip


@cache
def cells(name: str, n: int = 2500) -> Cells:
    return cells_of(REAL[name](REFERENCE, rng.stream(0, "reference")), n)


def judged(name: str, sample: Sample, n_seeds: int = 3, n: int = 2500) -> ganlab.diagnoses.Diagnosis:
    """Return what is said of a generator that samples like this all through a short run."""
    run = run_of(lambda n, step, g: sample(n, g), n_seeds, n=n, steps=(0, 100, 200), cells=cells(name, n))
    return diagnose(run)["mode_collapse"]


# --- what cells are ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "k"), [("ring8", 8), ("ring8_tutorial", 8), ("ring8_unequal", 8), ("grid25", 25)])
def test_cells_of_data_that_fall_apart_are_their_modes(name: str, k: int) -> None:
    made = data.get(name)
    found = cells_of(made.sample(REFERENCE, rng.stream(0, "reference")), 2500)
    place = found.centres * found.unit + found.middle
    nearest = torch.cdist(place, made.modes).min(1)
    assert sorted(nearest.indices.tolist()) == list(range(k))
    assert float(nearest.values.max()) < float(made.std.max())
    np.testing.assert_allclose(found.share, made.weights[nearest.indices], atol=0.03)


def test_images_that_fall_apart_have_a_cell_for_each_kind() -> None:
    assert len(cells("squares").share) == 36


@pytest.mark.parametrize("name", ["wide ring", "normal", "table", "digits"])
@pytest.mark.parametrize("n", [250, 1000, 2500])
def test_other_data_have_at_most_twenty_cells_each_due_enough_samples(name: str, n: int) -> None:
    share = cells(name, n).share
    assert 1 < len(share) <= CELLS
    assert float(share.sum()) == pytest.approx(1)
    assert float(share.min()) * n >= LEAST


def test_columns_have_their_own_unit_and_pixels_share_one() -> None:
    x = torch.stack([torch.arange(8.0), 100 * torch.arange(8.0), torch.full((8,), 3.0)], 1)
    np.testing.assert_allclose(units(x), [np.arange(8).std(), 100 * np.arange(8).std(), 1])
    np.testing.assert_allclose(units(x[:, None]), np.full(3, np.sqrt((x.numpy().var(0)).mean())))


def test_the_effective_number_counts_groups_that_lie_apart() -> None:
    """Three groups of shares 1/2, 1/4 and 1/4 are 1 / (1/4 + 1/16 + 1/16) things."""
    x = 100 * torch.eye(4)[torch.tensor([0] * 8 + [1] * 4 + [2] * 4)]
    assert float(effective_number(x, torch.tensor(1.0))) == pytest.approx(8 / 3)
    assert float(effective_number(x, torch.tensor(1e9))) == pytest.approx(1)


def test_a_second_real_sample_is_near_fills_the_cells_and_is_as_wide_and_as_diverse() -> None:
    for name, sample in REAL.items():
        got = count_in_cells(sample(2500, rng.stream(7, "data")), cells(name))
        assert float(got.counts.sum()) == pytest.approx(2500 * float(got.near))
        assert float(got.near) > 0.95, name
        assert float((got.counts / got.due - 1).abs().max()) < 0.6, name
        np.testing.assert_allclose([got.spread, got.overall, got.diversity], 1, atol=0.12, err_msg=name)


def test_known_modes_and_few_samples_have_no_cells() -> None:
    assert cells_in_place_of_modes(data.get("ring8"), 2500) == ()
    assert cells_in_place_of_modes(data.get("digits"), 2 * LEAST - 1) == ()
    assert len(cells_in_place_of_modes(data.get("digits"), 2500).share) > 10


def test_real_samples_that_are_not_finite_are_left_out() -> None:
    def sample(n: int, g: torch.Generator, share: float) -> Tensor:
        x = normal(n, g)
        return torch.where(torch.rand(n, 1, generator=g) < share, torch.nan, x)

    for share, k in ((0.2, 10), (0.9, 0)):
        broken = SimpleNamespace(sample=partial(sample, share=share), shape=(1,))
        found = cells_in_place_of_modes(broken, 2500)
        assert len(found.centres if k else found) >= k
        assert not k or torch.isfinite(found.centres).all()


# --- few real samples, and wide ones ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [60, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["ring", "table"])
def test_a_perfect_sampler_held_against_few_rows_is_not_called_bad(name: str, rows: int) -> None:
    """Over 12 draws of the rows: its samples are near the data, and nearly all its measures are in the bands."""
    inside: list[bool] = []
    for seed in range(12):
        points = data.Points(REAL[name](rows, rng.stream(seed, "data")))
        perfect = REAL[name](1000, rng.stream(100 + seed, "latent"))
        assert float(count_in_cells(perfect, cells_in_place_of_modes(points, 1000)).near) > 0.5
        found = measure_all(points, points.sample(512, rng.stream(seed, "evaluation"))[None], perfect[None])
        bands = [found[name, PARTS][0, :3].tolist() for name in ("precision", "density", "coverage")]
        inside += [low <= value <= high for value, low, high in bands]
    assert np.mean(inside) > 0.75  # 95 % are meant; of 36, and three go together


@pytest.mark.parametrize("name", ["normal", "table"])
@pytest.mark.parametrize("rows", [60, 200])
def test_few_rows_make_no_collapse_of_a_perfect_sampler_and_hide_none(name: str, rows: int) -> None:
    for seed in range(3):
        points = data.Points(REAL[name](rows, rng.stream(seed, "data")))
        found = cells_in_place_of_modes(points, 1000)
        for sample, failures in ((REAL[name], 0), (few(name, 1), 2)):
            run = run_of(lambda n, step, g, sample=sample: sample(n, g), 2, n=1000, steps=(0, 100), cells=found)
            assert diagnose(run)["mode_collapse"].failures == failures


def test_wide_samples_are_compared_by_sums_that_keep_distances() -> None:
    for x in (torch.randn(40, 3, 40, 40), (torch.rand(40, 4801) < 0.05).float(), torch.eye(40, 5000)):
        got = torch.pdist(narrowed(x, torch.ones(x[0].numel())))
        assert got.shape == torch.pdist(x.flatten(1)).shape
        ratio = got / torch.pdist(x.flatten(1))
        assert float((ratio - 1).abs().max()) < 0.12  # of 780, with a std of at most 0.022
    row = torch.randn(3, WIDE)
    assert torch.equal(narrowed(row, torch.ones(WIDE)), row)


def test_wide_images_may_come_in_parts_and_are_judged_as_narrow_ones() -> None:
    """Squares at 36 places, each pixel 25 times: 2025 numbers."""

    def wide(n: int, g: torch.Generator) -> Tensor:
        return squares(n, g).repeat_interleave(5, 2).repeat_interleave(5, 3)

    found = cells_in_place_of_modes(SimpleNamespace(sample=wide, shape=(1, 45, 45)), 2500)
    assert len(found.share) == 36
    got = count_in_cells(wide(2500, rng.stream(7, "data")), found)
    assert float(got.near) > 0.95
    np.testing.assert_allclose([got.spread, got.overall, got.diversity], 1, atol=0.12)


# --- the verdict ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REAL)
def test_real_data_are_not_collapsed(name: str) -> None:
    found = judged(name, REAL[name], 8)
    assert (found.failures, found.n) == (0, 8), found.members["evidence"][0]
    assert "cells held" in found.members["evidence"][0]
    assert "without known modes" in found.members["evidence"][0]


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("n", [1000, 2500])
def test_false_alarms_on_real_data_stay_under_one_percent(name: str, n: int) -> None:
    found = judged(name, REAL[name], 1000, n)
    assert found.n == 1000
    assert found.failures <= 10


def few(name: str, k: int) -> Sample:
    """Return samples that are k real ones with tiny jitter."""

    def sample(n: int, g: torch.Generator) -> Tensor:
        x = REAL[name](n, g)
        return x[torch.arange(n) % k] + 0.01 * x.std(0) * torch.randn(x.shape, generator=g)

    return sample


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("k", [1, 5])
def test_tiny_jitter_around_few_points_is_collapse(name: str, k: int) -> None:
    found = judged(name, few(name, k))
    assert (found.failures, found.n) == (3, 3)
    assert "cells lost" in found.members["evidence"][0]


@pytest.mark.parametrize("name", REAL)
def test_half_of_the_data_lost_is_collapse(name: str) -> None:
    """That which lies beyond the middle along one direction."""

    def cut(n: int, g: torch.Generator) -> Tensor:
        x = REAL[name](2 * n, g)
        along = torch.linspace(1, -1, cells(name).unit.numel(), dtype=torch.float64)  # of images, how much more is at the top
        return x[(x.flatten(1) / cells(name).unit @ along).argsort()[:n]]

    found = judged(name, cut)
    assert found.failures == 3, found.members["evidence"][0]


@pytest.mark.parametrize("name", ["ring", "squares"])
def test_lost_spread_inside_all_cells_is_collapse(name: str) -> None:
    def shrunken(n: int, g: torch.Generator) -> Tensor:
        c, x = cells(name), REAL[name](n, g)
        z = (x.flatten(1) - c.middle) / c.unit
        centre = c.centres[torch.cdist(z, c.centres).argmin(1)]
        return ((centre + 0.1 * (z - centre)) * c.unit + c.middle).float().reshape(x.shape)

    found = judged(name, shrunken)
    assert found.failures == 3
    assert "spread inside cells 0.1" in found.members["evidence"][0]


def spread_out(name: str, size: float) -> Sample:
    """Return a shapeless cloud about the mean of the data, each number as wide as in the data, times a size."""

    def sample(n: int, g: torch.Generator) -> Tensor:
        x = REAL[name](1000, rng.stream(3, "data"))
        return x.mean(0) + size * x.std(0) * torch.randn(n, *x.shape[1:], generator=g)

    return sample


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("size", [1.0, 3.0])
def test_bad_samples_are_not_collapse_if_they_differ_among_each_other(name: str, size: float) -> None:
    """Far from the data, the nearest cell of nearly all of them may be one and the same."""
    found = judged(name, spread_out(name, size))
    assert found.failures == 0, found.members["evidence"][0]


@pytest.mark.parametrize("name", ["table", "digits", "squares"])
def test_noise_on_real_samples_is_not_collapse(name: str) -> None:
    def noisy(n: int, g: torch.Generator) -> Tensor:
        x = REAL[name](n, g)
        return x + 0.5 * x.std(0) * torch.randn(x.shape, generator=g)

    assert judged(name, noisy).failures == 0


@pytest.mark.parametrize("name", REAL)
def test_bad_samples_that_are_all_alike_are_collapse(name: str) -> None:
    """A point far from the data, and two of them: the spread overall is then as large as the data's."""
    for k in (1, 2):

        def away(n: int, g: torch.Generator, k: int = k) -> Tensor:
            x = REAL[name](n, g)
            side = (torch.arange(n) % k).float().reshape(-1, *[1] * (x.ndim - 1))
            return x.mean(0) + x.std(0) * (20 + 4 * side + 0.01 * torch.randn(x.shape, generator=g))

        found = judged(name, away)
        a_quarter = (name, k) == ("ring", 2)  # of what eight modes are
        assert found.failures == (0 if a_quarter else 3), (k, found.members["evidence"][0])
        assert "0% of samples near the data" in found.members["evidence"][0]


def test_onset_strictness_and_columns_are_those_of_known_modes() -> None:
    ring = cells("ring")

    def half(n: int, step: int, g: torch.Generator) -> Tensor:
        x = REAL["ring"](2 * n, g)
        return x[x[:, 0] > 0.1][: n - 300] if step >= 500 else x[:n]

    found = diagnose(run_of(half, 2, n=2500, cells=ring))["mode_collapse"]
    assert list(found.members["onset"]) == [600, 600]
    assert {"missing", "tilt", "spread", "high_quality_share"} <= set(found.members)
    assert len(found.members["missing"][0].split()) == 5


def test_samples_that_are_not_finite_are_never_sound() -> None:
    found = judged("ring", lambda n, g: torch.full((n, 2), torch.nan))
    assert found.failures == 3
    assert "samples are not finite" in found.members["evidence"][0]


@pytest.mark.parametrize("shape", [(2,), (1, 8, 8), (30,), (1,)])
def test_a_tensor_of_ones_own_is_judged_when_it_is_trained_on(shape: tuple[int, ...]) -> None:
    """An untrained generator gives nearly one point: collapsed, whatever the data; the verdict applies."""
    points = torch.randn(400, *shape, generator=torch.Generator().manual_seed(0))
    run = ganlab.run("nsgan", points, seeds=2, steps=2, every=1, hidden=(8,), batch=16, evaluation=200)
    found = diagnose(run)["mode_collapse"]
    assert found.n == 2
    assert "without known modes" in found.members["evidence"][0]


def test_cells_are_the_same_for_every_seed_and_alone() -> None:
    points = torch.randn(300, 2, generator=torch.Generator().manual_seed(0))
    both, one = (
        ganlab.run("nsgan", points, seeds=seeds, steps=1, hidden=(8,), batch=16, evaluation=200).trace
        for seeds in ((3, 4), (4,))
    )
    names = ["cell_count", "cell_due", "near_share", "diversity"]
    a = both[(both["seed"] == 4) & both["name"].isin(names)]["value"].to_numpy()
    np.testing.assert_allclose(a, one[one["name"].isin(names)]["value"].to_numpy(), rtol=1e-4)


def test_the_page_of_runs_on_ones_own_data_counts_their_cells() -> None:
    points = torch.randn(300, 2, generator=torch.Generator().manual_seed(0))
    small = {"seeds": 3, "steps": 2, "every": 1, "hidden": (8,), "batch": 16, "evaluation": 200}
    page = gan_page([ganlab.run(variant, points, **small) for variant in ("nsgan", "hinge")])
    text = render([page], "")
    assert "of 6 training runs collapsed" in page.answer
    assert re.search(r"\d of \d cells, \d+% near the data", text)
    assert "How many cells of the data are covered" in text
    assert "not applicable" not in page.answer
