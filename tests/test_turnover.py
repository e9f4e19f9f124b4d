"""Mode hopping told apart from coverage and from collapse, on planted histograms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ganlab import data, trace
from ganlab.turnover import expected_turnover, hopping, turnover
from tests.planted import of_modes, perfect, run_of

EVEN = np.full(8, 1 / 8)


def worlds(seed: int, n: int = 1000, looks: int = 16) -> np.ndarray:
    """Counts `[step, member, mode]` of a hopper, a healthy generator, a collapsed one, and one that swaps two halves."""
    generator = np.random.default_rng(seed)
    step = np.arange(looks)
    hopper = np.eye(8)[step % 8]
    half = np.where((step[:, None] % 2 == 0) == (np.arange(8) < 4), 0.25, 0.0)
    laws = np.stack([hopper, np.tile(EVEN, (looks, 1)), np.tile(np.eye(8)[3], (looks, 1)), half], axis=1)
    return generator.multinomial(n, laws)


def test_hopping_is_told_apart_in_twenty_of_twenty() -> None:
    for seed in range(20):
        found = hopping(worlds(seed), EVEN, window=16)
        assert found.at_each_look.tolist() == [1, 8, 1, 4]
        assert found.over_all.tolist() == [8, 8, 1, 8]
        np.testing.assert_allclose(found.turnover, [1, expected_turnover(EVEN, 1000), 0, 1], atol=0.02)


def test_turnover_is_the_total_variation_between_looks() -> None:
    counts = np.array([[[8, 0]], [[6, 2]], [[0, 4]]])
    np.testing.assert_allclose(turnover(counts), [[0.25], [0.75]])


def test_a_generator_that_stands_still_scores_the_expected_turnover() -> None:
    weights = np.array([0.4, 0.3, 0.2, 0.1])
    counts = np.random.default_rng(0).multinomial(800, weights, size=(3000, 1))
    assert turnover(counts).mean() == pytest.approx(expected_turnover(weights, 800), rel=0.03)


def test_the_window_is_the_end_of_the_run() -> None:
    counts = worlds(0)
    counts[:10] = counts[:1]  # all stood still at first
    found = hopping(counts, EVEN, window=3)
    assert found.over_all[0] == 3
    assert hopping(counts, EVEN, window=99).at_each_look.shape == (4,)
    single = hopping(counts, EVEN, window=1)
    assert np.isnan(single.turnover).all()
    np.testing.assert_array_equal(single.at_each_look, single.over_all)


def test_looks_without_finite_counts_hold_nothing_and_have_no_turnover() -> None:
    counts = worlds(0).astype(float)
    counts[-1, 1] = np.nan
    counts[-2, 3] = 0
    found = hopping(counts, EVEN, window=4)
    assert np.isnan(found.turnover).tolist() == [False, True, False, True]
    assert found.at_each_look.tolist() == [1, 6, 1, 3]
    assert found.over_all[1] == 8
    assert math.isclose(np.nanmax(turnover(counts)), 1)


def test_it_reads_the_table_of_a_run() -> None:
    """The planted hopper of the diagnosis of mode collapse, whose looks draw afresh."""
    ring = data.get("ring8")
    hopper = run_of(lambda n, step, g: of_modes(ring, [step // 100 % 8])(n, step, g), n_seeds=2, n=500)
    healthy = run_of(perfect, n_seeds=2, n=500)
    for run, at_each, moved in ((hopper, 1, 1.0), (healthy, 8, expected_turnover(EVEN, 494))):
        counts = np.stack([trace.wide(run.trace, "mode_count", str(k)).to_numpy() for k in range(8)], axis=-1)
        found = hopping(counts, EVEN, window=8)
        assert found.at_each_look.tolist() == [at_each] * 2
        assert found.over_all.tolist() == [8, 8]
        np.testing.assert_allclose(found.turnover, moved, atol=0.03)
