"""Mixtures: the centres of rings and grids, every named definition by its numbers, exact densities, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from scipy.special import logsumexp

from ganlab import data, rng
from ganlab.data.mixtures import Mixture
from ganlab.registry import InputError

# --- geometry ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 2, 7, 8, 12, 100])
def test_a_ring_of_k_modes_has_k_distinct_places_at_equal_angles(k: int) -> None:
    made = data.get("ring", modes=k, radius=3.0)
    x, y = made.modes.numpy().T
    np.testing.assert_allclose(np.hypot(x, y), 3.0)
    np.testing.assert_allclose(np.exp(1j * np.angle(x + 1j * y)), np.exp(2j * np.pi * np.arange(k) / k), atol=1e-12)
    assert len({(round(a, 9), round(b, 9)) for a, b in made.modes.tolist()}) == k
    np.testing.assert_allclose(made.weights.numpy(), 1 / k)


def test_a_ring_that_closes_on_itself_is_what_the_slip_was() -> None:
    """Eight angles from 0 to 2 pi, both ends among them: seven places, one of them twice."""
    angle = np.linspace(0, 2 * np.pi, 8)
    places = {(round(math.cos(a), 9) + 0.0, round(math.sin(a), 9) + 0.0) for a in angle}
    made = data.get("ring8_unrolled_notebook")
    assert {(round(a, 9) + 0.0, round(b, 9) + 0.0) for a, b in made.modes.tolist()} == places
    assert len(places) == 7
    assert (made.weights * 8).tolist() == pytest.approx([2, 1, 1, 1, 1, 1, 1])
    share = (made.sample(20_000, rng.stream(0, "data")) - made.modes[0]).norm(dim=1) < 0.1
    assert float(share.double().mean()) == pytest.approx(2 / 8, abs=4 * math.sqrt(0.25 * 0.75 / 20_000))


@pytest.mark.parametrize(("rows", "columns"), [(5, 5), (4, 6), (1, 3), (1, 1)])
@pytest.mark.parametrize("centred", [True, False])
def test_a_grid_has_its_rows_and_columns(rows: int, columns: int, centred: bool) -> None:
    made = data.get("grid", rows=rows, columns=columns, spacing=1.5, centred=centred)
    shift = np.array([(columns - 1) / 2, (rows - 1) / 2]) if centred else np.zeros(2)
    wanted = {tuple(1.5 * (np.array([i, j]) - shift)) for i in range(columns) for j in range(rows)}
    assert {tuple(m) for m in made.modes.tolist()} == wanted
    assert len(made.modes) == rows * columns


# --- the definitions in use --------------------------------------------------------------------------------------------

WGAN_GP = 1.414, 2.828
NAMED = [
    # name, modes, radius or spacing, std, weights doubled, fixed points, stratified
    ("ring8", 8, 2.0, 0.02, False, None, False),
    ("ring8_unrolled_notebook", 7, 1.0, 0.01, True, None, False),
    ("ring8_pacgan", 8, 1.0, 0.01, False, 100_000, False),
    ("ring8_wgan_gp", 8, 2 / WGAN_GP[0], 0.02 / WGAN_GP[0], False, None, False),
    ("ring8_numerics", 8, 1.0, 0.01, False, None, True),
    ("ring8_mustangs", 8, 2.0, 0.01, False, 50_000, False),
    ("ring8_tutorial", 8, 2.0, 0.08, False, 2000, False),
    ("ring10_presgan", 10, 3.0, 0.05, False, None, False),
    ("ring12_lipizzaner", 11, 4.0, 0.0, True, None, False),
    ("grid25", 25, 2.0, 0.05, False, None, False),
    ("grid100", 100, 2.0, 0.05, False, None, False),
    ("grid25_pacgan", 25, 2.0, 0.05, False, 100_000, False),
    ("grid25_wgan_gp", 25, 2 / WGAN_GP[1], 0.05 / WGAN_GP[1], False, 100_000, True),
    ("grid25_bourgan", 25, 2.0, 0.1, False, 1250, True),
    ("grid16_sga", 16, 1.0, 0.02, False, None, True),
    ("grid24_mustangs", 24, 2.0, 0.01, False, 50_000, False),
    ("grid36_lipizzaner", 36, 0.8, 0.0, False, None, False),
]


@pytest.mark.parametrize(("name", "k", "size", "std", "doubled", "points", "stratified"), NAMED)
def test_named_definition_has_its_published_numbers(
    name: str, k: int, size: float, std: float, doubled: bool, points: int | None, stratified: bool
) -> None:
    made = data.get(name)
    modes = made.modes.numpy()
    assert modes.shape == (k, 2)
    if name.startswith("ring"):
        np.testing.assert_allclose(np.linalg.norm(modes, axis=1), size)
    else:
        gaps = np.diff(np.unique(modes.round(9)[:, 0])), np.diff(np.unique(modes.round(9)[:, 1]))
        np.testing.assert_allclose(np.concatenate(gaps), size, atol=1e-8)
    np.testing.assert_allclose(made.std.numpy(), std)
    np.testing.assert_allclose((made.weights / made.weights.min()).numpy(), [2 if doubled else 1] + [1] * (k - 1))
    assert (None if made.points is None else len(made.points)) == points
    assert made.stratified == stratified
    assert made.has_density == (std > 0)


def test_a_cube_has_a_thousand_modes_at_equal_spacing_about_the_origin() -> None:
    made = data.get("cube1000")
    assert made.modes.shape == (1000, 3)
    assert sorted(set(made.modes.flatten().tolist())) == [-9, -7, -5, -3, -1, 1, 3, 5, 7, 9]
    assert len(torch.unique(made.modes, dim=0)) == 1000
    assert made.separation == pytest.approx(40)  # as hard to join as grid25


def test_unequal_weights_are_ten_to_one_in_turn() -> None:
    made = data.get("ring8_unequal")
    assert torch.equal(made.modes, data.get("ring8").modes)
    _, mode = made.sample_labelled(44_000, rng.stream(0, "data"))
    counts = torch.bincount(mode, minlength=8)
    wanted = np.array([10_000, 1000] * 4)
    np.testing.assert_allclose(counts, wanted, atol=4 * math.sqrt(10_000), rtol=0)
    assert abs(counts[1::2] - 1000).max() < 4 * math.sqrt(1000)


def test_the_1200_dimensional_data_lie_on_a_shell_and_not_within_ten_standard_deviations() -> None:
    """26.45 +- 0.71 from their mean; 27.62 holds 95 % of them, by the chi law of their 700 noisy dimensions."""
    made = data.get("mixture1200")
    x, mode = made.sample_labelled(1000, rng.stream(0, "data"))
    distance = (x - made.modes[mode]).norm(dim=1)
    assert float(distance.mean()) == pytest.approx(26.45, abs=0.1)
    assert float(distance.std()) == pytest.approx(0.71, abs=0.06)
    assert float(distance.min()) > 10
    assert scipy_stats.chi.ppf(0.95, made.dimensions) == pytest.approx(27.62, abs=0.005)
    assert float((distance < 27.62).double().mean()) == pytest.approx(0.95, abs=4 * math.sqrt(0.05 * 0.95 / 1000))


def test_places_that_differ_between_sources() -> None:
    assert data.get("grid24_mustangs").modes.min(0).values.tolist() == [0, 0]  # from a corner, not centred
    assert data.get("grid24_mustangs").modes.max(0).values.tolist() == [10, 6]
    assert sorted(set(data.get("grid16_sga").modes.flatten().tolist())) == [-1.5, -0.5, 0.5, 1.5]
    assert sorted(set(data.get("grid25").modes.flatten().tolist())) == [-4, -2, 0, 2, 4]
    corners = data.get("grid36_lipizzaner").modes
    assert (corners.min().item(), corners.max().item()) == pytest.approx((-2, 2))
    line = data.get("line5_madgan")
    assert line.modes.flatten().tolist() == [10, 20, 60, 80, 110]
    assert line.std.flatten().tolist() == [3, 3, 2, 2, 1]


def test_1200_dimensions_have_noise_on_the_first_700() -> None:
    made = data.get("mixture1200")
    assert made.modes[:, 0].tolist() == [-1, -0.5, 0, 0.5, -2, -2.5, 10, 0.25, -13, -5.5]
    assert (made.modes == made.modes[:, :1]).all()
    samples = made.sample(60, rng.stream(0, "data"))
    home = samples[:, -1:]
    assert (samples[:, 700:] == home).all()
    assert set(home.flatten().tolist()) <= set(made.modes[:, 0].tolist())
    distance = (samples - home).norm(dim=1)
    assert float(distance.mean()) == pytest.approx(26.45, abs=4 * 0.71 / math.sqrt(60))


@pytest.mark.parametrize(
    ("name", "ratio"),
    [("ring8", 76.5), ("ring8_pacgan", 76.5), ("ring8_tutorial", 19.1), ("grid25", 40.0), ("grid16_sga", 50.0)],
)
def test_separation_is_the_nearest_distance_over_std(name: str, ratio: float) -> None:
    assert data.get(name).separation == pytest.approx(ratio, abs=0.05)


def test_separation_of_one_mode_or_of_points_is_infinite() -> None:
    assert data.get("ring", modes=1).separation == math.inf
    assert data.get("ring12_lipizzaner").separation == math.inf


# --- density -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2, 5])
def test_log_density_agrees_with_scipy(d: int) -> None:
    generator = np.random.default_rng(d)
    modes, std = generator.normal(size=(4, d)), generator.uniform(0.3, 2, size=(4, d))
    weights = generator.uniform(1, 3, size=4)
    x = 3 * generator.normal(size=(50, d))
    parts = [
        np.log(w / weights.sum()) + scipy_stats.multivariate_normal(m, np.diag(s**2)).logpdf(x)
        for m, s, w in zip(modes, std, weights, strict=True)
    ]
    made = Mixture(modes, std, weights.tolist())
    np.testing.assert_allclose(made.log_prob(torch.from_numpy(x)).numpy(), logsumexp(parts, axis=0), rtol=1e-11, atol=1e-12)


def test_log_density_takes_a_standard_deviation_and_not_a_variance() -> None:
    made = data.get("ring", modes=1, radius=1.0, std=0.01)
    peak = made.log_prob(torch.tensor([[1.0, 0.0]]))
    assert float(peak) == pytest.approx(-math.log(2 * math.pi * 0.01**2), rel=1e-12)


def test_log_density_far_away_is_finite_and_in_float64() -> None:
    far = data.get("ring8").log_prob(torch.tensor([[1e3, 0.0]]))
    assert far.dtype == torch.float64
    assert float(far) == pytest.approx(-0.5 * (998 / 0.02) ** 2, rel=1e-6)


@pytest.mark.parametrize("name", ["ring12_lipizzaner", "grid36_lipizzaner", "mixture1200"])
def test_point_masses_have_no_density_and_say_so(name: str) -> None:
    made = data.get(name)
    assert not made.has_density
    with pytest.raises(InputError, match=f"{name} has point masses \\(std 0\\), so it has no density"):
        made.log_prob(made.modes)


# --- drawing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [None, (10, 1, 1, 4)])
def test_samples_have_the_weights_means_and_stds_declared(weights: tuple[float, ...] | None) -> None:
    n, std = 20_000, [[0.1, 0.2], [0.3, 0.1], [0.2, 0.2], [0.1, 0.1]]
    made = data.get("mixture", modes=[[0, 0], [9, 0], [0, 9], [9, 9]], std=std, weights=weights)
    samples = made.sample(n, rng.stream(0, "data")).double()
    nearest = torch.cdist(samples, made.modes).argmin(1)
    due = np.ones(4) / 4 if weights is None else np.array(weights) / sum(weights)
    for k in range(4):
        own = samples[nearest == k]
        assert len(own) / n == pytest.approx(due[k], abs=4 * math.sqrt(due[k] * (1 - due[k]) / n))
        error = np.array(std[k]) / math.sqrt(len(own))
        assert (np.abs(own.mean(0).numpy() - made.modes[k].numpy()) < 4.5 * error).all()
        assert (np.abs(own.std(0).numpy() - np.array(std[k])) < 4.5 * error / math.sqrt(2)).all()


def test_a_fixed_set_is_the_same_for_every_seed_and_nothing_else_is_drawn() -> None:
    made = data.get("ring", points=50)
    allowed = {tuple(p) for p in made.points.tolist()}
    for seed in range(3):
        drawn = {tuple(p) for p in made.sample(500, rng.stream(seed, "data")).tolist()}
        assert drawn <= allowed
        assert len(drawn) == 50
    assert torch.equal(data.get("ring", points=50).points, made.points)
    fresh = data.get("ring").sample(500, rng.stream(0, "data"))
    assert len({tuple(p) for p in fresh.tolist()}) == 500


@pytest.mark.parametrize("n", [16, 20, 3])
def test_stratified_batches_have_each_mode_equally_often_up_to_the_remainder(n: int) -> None:
    made = data.get("ring", stratified=True)
    rests = []
    for seed in range(20):
        nearest = torch.cdist(made.sample(n, rng.stream(seed, "data")).double(), made.modes).argmin(1)
        counts = torch.bincount(nearest, minlength=8)
        assert set(counts.tolist()) <= {n // 8, n // 8 + 1}
        rests.append(tuple(counts.tolist()))
    assert (len(set(rests)) > 1) == (n % 8 > 0)  # the remainder goes to other modes each time


def test_samples_of_point_masses_are_the_points() -> None:
    made = data.get("grid36_lipizzaner")
    allowed = {tuple(m) for m in made.modes.float().tolist()}
    assert {tuple(x) for x in made.sample(2000, rng.stream(0, "data")).tolist()} == allowed


def test_a_longer_draw_begins_like_a_shorter_one_only_by_the_same_generator_state() -> None:
    made = data.get("ring8")
    generator = rng.stream(0, "data")
    first, second = made.sample(30, generator), made.sample(30, generator)
    assert not torch.equal(first, second)


# --- settings ----------------------------------------------------------------------------------------------------------


def test_settings_in_the_name_are_those_in_keywords() -> None:
    text = "ring:modes=3,std=0.1,weights=(2,1,1),radius=1.5,points=20"
    one = data.get(text)
    other = data.get("ring", modes=3, std=0.1, weights=(2, 1, 1), radius=1.5, points=20)
    for a, b in ((one.modes, other.modes), (one.std, other.std), (one.weights, other.weights), (one.points, other.points)):
        assert torch.equal(a, b)
    assert one.name == other.name == text


@pytest.mark.parametrize(
    "text", ["ring", "ring:modes=12,std=0.1", "grid:rows=2,columns=3,centred=False", "ring:weights=(2,1),modes=2"]
)
def test_the_name_of_data_builds_the_same_data_again(text: str) -> None:
    made = data.get(text)
    again = data.get(made.name)
    assert again.name == made.name
    assert torch.equal(made.modes, again.modes)
    assert torch.equal(made.weights, again.weights)
    assert torch.equal(made.std, again.std)


def test_keywords_win_over_settings_in_the_name() -> None:
    assert len(data.get("ring:modes=3", modes=5).modes) == 5


@pytest.mark.parametrize("given", [[[0, 0], [1, 1]], ((0.0, 0.0), (1.0, 1.0)), np.eye(2), torch.eye(2)], ids=type)
def test_a_mixture_is_given_by_lists_tuples_or_arrays(given: Any) -> None:
    made = data.get("mixture", modes=given, std=[0.1, 0.2])
    assert made.modes.shape == (2, 2)
    assert made.std.tolist() == [[0.1, 0.1], [0.2, 0.2]]
    assert made.shape == (2,)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rin8", "unknown data distribution 'rin8'; did you mean 'ring8'"),
        ("ring9", "unknown data distribution 'ring9'; did you mean 'ring"),
        ("", "unknown data distribution ''"),
        ("ring:mods=8", "unknown setting of data 'ring' 'mods'; did you mean 'modes'. Known: modes, points, radius"),
        ("ring8:std=0.1", "unknown setting of data 'ring8' 'std'"),
        ("ring:modes", "cannot read the data settings 'modes'; write them as in 'ring:modes=12,std=0.1,weights"),
        ("ring:modes=", "cannot read the data settings"),
        ("ring:modes=3,modes=4", "cannot read the data settings"),
        ("ring:modes=__import__('os').getpid()", "cannot read the data settings"),
        ("ring:**{}", "cannot read|unknown setting"),
        ("ring:modes=0", "modes must be a whole number of at least 1; got 0"),
        ("ring:modes=2.5", "modes must be a whole number of at least 1; got 2.5"),
        ("ring:modes='8'", "modes must be a whole number of at least 1; got '8'"),
        ("ring:modes=True", "modes must be a whole number"),
        ("ring:radius=0", "radius must be a finite number above 0; got 0"),
        ("ring:radius=1e999", "radius must be a finite number above 0; got inf"),
        ("ring:radius='2'", "radius must be a finite number above 0; got '2'"),
        ("ring:std=-0.1", "std must be finite and not negative: one number, .8. or .8, 2.; got -0.1"),
        ("ring:std=1e999", "std must be finite"),
        ("ring:std='a'", "std must be numbers; got 'a'"),
        ("ring:std=(0.1,0.2)", "std must be finite and not negative"),
        ("ring:modes=2,std=((1,2,3),(4,5,6))", "std must be finite and not negative"),
        ("ring:weights=(1,2)", r"weights must be 8 positive numbers, one per mode; got \(1, 2\)"),
        ("ring:modes=2,weights=(1,0)", "weights must be 2 positive numbers"),
        ("ring:modes=2,weights=(1,-1)", "weights must be 2 positive numbers"),
        ("ring:modes=2,weights=(1,1e999)", "weights must be 2 positive numbers"),
        ("ring:modes=2,weights='ab'", "weights must be numbers"),
        ("ring:modes=2,weights=(2,1),stratified=True", "stratified batches draw each mode equally often, so weights must be"),
        ("ring:points=0", "points must be a whole number of at least 1; got 0"),
        ("ring:points=2.5", "points must be a whole number of at least 1; got 2.5"),
        ("grid:rows=0", "rows must be a whole number of at least 1; got 0"),
        ("grid:columns=1.5", "columns must be a whole number of at least 1; got 1.5"),
        ("grid:spacing=-1", "spacing must be a finite number above 0; got -1"),
        ("mixture", "data 'mixture' needs a value for modes"),
        ("mixture:modes=[]", "modes must be finite numbers"),
        ("mixture:modes=[1,2]", r"modes must be finite numbers \[k, d\]; got shape \(2,\)"),
        ("mixture:modes=[[1,2],[3]]", "modes must be numbers"),
        ("mixture:modes=[[1,2],[3,1e999]]", "modes must be finite numbers"),
        ("mixture:modes=[[1,2],[3,4],[1,2]]", "two modes have the same centre; give each centre once, with a larger weight"),
    ],
)
def test_what_cannot_be_is_refused_with_what_came_and_what_is_allowed(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        data.get(name)


def test_settings_in_a_name_run_no_code(tmp_path: Any) -> None:
    target = tmp_path / "made"
    with pytest.raises(InputError):
        data.get(f"ring:modes=open({str(target)!r},'w')")
    assert not target.exists()


# --- points ------------------------------------------------------------------------------------------------------------


def test_given_points_are_drawn_with_replacement_and_nothing_else() -> None:
    points = torch.arange(12, dtype=torch.float64).view(6, 2)
    made = data.Points(points, "mine")
    drawn = made.sample(300, rng.stream(0, "data"))
    assert drawn.dtype == torch.float32
    assert made.shape == (2,)
    assert {tuple(x) for x in drawn.tolist()} == {tuple(x) for x in points.tolist()}


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (torch.zeros(5), r"floating-point tensor \[n, \*shape\]; got torch.float32 \(5,\)"),
        (torch.zeros(5, 2, dtype=torch.int64), "got torch.int64"),
        ([[1.0, 2.0]], "got list"),
        (torch.tensor([[1.0, math.nan]]), "data 'mine' has non-finite values; remove them before training"),
    ],
)
def test_points_that_cannot_be_trained_on_are_refused(points: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        data.Points(points, "mine")


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    k=st.integers(1, 6), d=st.integers(1, 3), n=st.integers(1, 30), seed=st.integers(0, 99), stratified=st.booleans(),
    points=st.one_of(st.none(), st.integers(1, 20)),
)  # fmt: skip
def test_any_mixture_gives_n_finite_samples_with_a_finite_density(
    k: int, d: int, n: int, seed: int, stratified: bool, points: int | None
) -> None:
    modes = np.random.default_rng(seed).normal(size=(k, d))
    made = Mixture(modes, 0.5, points=points, stratified=stratified)
    samples = made.sample(n, rng.stream(seed, "data"))
    assert samples.shape == (n, d)
    assert torch.isfinite(made.log_prob(samples)).all()
    assert made.weights.sum().item() == pytest.approx(1)
