"""What a frozen generator saw, on traces whose decay is known; the surface on discriminators that are known; and their page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from scipy import stats as scipy_stats
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm
from torch import nn

from benchmarks.vanishing_gradients import PROFILES, experiments
from ganlab import data, frozen, frozen_plots, plots, rng, stats, trace
from ganlab.dynamics.gaussians import pulls
from ganlab.engine import stack
from ganlab.experiment import Experiment, Run, outcome
from ganlab.game import Batch, Game, State, initial
from ganlab.pages import pages_of, vanishing_page
from ganlab.pages.page import Figure, Page, Table, render
from ganlab.surface import line, logit_at, pull_at, surfaces
from ganlab.train import environment, run

AGE, EVERY, UPDATES, SEEDS = 40, 20, 400, 5

Gradient = Callable[[np.ndarray, int], np.ndarray]
"""From updates since the generator froze and a seed to lengths of its gradient."""


def planted(subject: str, gradient: Gradient, n_critic: int = 1, age: int = AGE, fresh: bool = True, n: int = SEEDS) -> Run:
    """Return a run that froze and whose gradient goes like this; before that it is 7."""
    settings: dict[str, object] = {"frozen_at": age, "n_critic": n_critic, "objective": "minimax"}
    settings |= {} if fresh else {"fresh_discriminator": False}
    experiment = Experiment("gan", subject, "ring8", tuple(range(n)), age + UPDATES // n_critic, EVERY, settings)
    steps = np.arange(0, experiment.steps + 1, EVERY)
    updates = np.maximum(steps - age, 0) * n_critic
    sizes = np.stack([np.where(steps >= age, gradient(updates, seed), 7.0) for seed in range(n)], 1)
    accuracy = np.where(updates >= 60, 1.0, 0.5)[:, None].repeat(n, 1)
    quantities = [(name, ("",), values[..., None]) for name, values in (
        ("generator_gradient", sizes), ("signal_at_fakes_median", sizes**2), ("discriminator_accuracy", accuracy),
    )]  # fmt: skip
    table = trace.tidy(experiment.id, list(range(n)), steps.tolist(), quantities)
    places = np.linspace(-3, 3, 33)
    samples = {
        "surface_axes": np.stack([places, places]), "surface_logits": np.tile(places, (n, 33, 1)),
        "surface_pulls": np.full((n, 11, 11, 2), 1e-3), "generated": np.zeros((n, 1, 9, 2)), "real": np.ones((9, 2)),
    }  # fmt: skip
    known = environment("cpu", torch.float32, "vmap", 2.5) | {"sources": {subject: f"The paper of {subject}"}}
    return Run(experiment, table, outcome(experiment, {}), samples, known)


def halving(updates: np.ndarray, seed: int) -> np.ndarray:
    """Loses 5 decades per thousand updates, from a size of the seed's own."""
    return (1 + seed) * 10.0 ** (-5 * updates / 1000)


def growing(updates: np.ndarray, seed: int) -> np.ndarray:
    """Up by 10 from 100 to 400 updates in the middle, and ever more apart."""
    return 10.0 ** ((updates - 100) / 300 * (1 + 0.1 * (seed - 2)))


# --- decay -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_critic", [1, 5])
def test_an_exponential_decay_has_its_rate_whatever_its_size_and_the_updates_in_a_step(n_critic: int) -> None:
    found = frozen.decay(planted("gan", halving, n_critic))
    np.testing.assert_allclose(found["rate"], 5.0, rtol=1e-9)
    np.testing.assert_allclose(found["lost"], 2.0, rtol=1e-9)
    np.testing.assert_allclose(found["span"], 1.5, rtol=1e-9)
    np.testing.assert_allclose(found["spearman"], -1.0)


def test_time_begins_when_the_generator_freezes_and_counts_updates() -> None:
    table = frozen.since_frozen(planted("gan", halving, n_critic=5), "generator_gradient")
    assert list(table.index) == [0, 100, 200, 300, 400]
    np.testing.assert_allclose(table.iloc[0], [1, 2, 3, 4, 5])


def test_a_gradient_of_exactly_nothing_counts_as_the_smallest_number() -> None:
    found = frozen.decay(planted("gan", lambda updates, seed: np.where(updates < 300, 1.0, 0.0)))
    np.testing.assert_allclose(found["lost"], 44.853, atol=1e-3)
    assert (found["spearman"] < 0).all()


def test_a_seed_that_is_not_finite_has_no_decay_and_leaves_no_interval() -> None:
    broken = planted("gan", lambda updates, seed: np.where((updates > 200) & (seed == 1), np.nan, halving(updates, seed)))
    found = frozen.decay(broken)
    assert found.isna().all(axis=1).tolist() == [False, True, False, False, False]
    assert stats.mean(found["rate"].to_numpy()).high == np.inf


def test_a_constant_gradient_loses_nothing_and_has_no_rank() -> None:
    found = frozen.decay(planted("gan", lambda updates, seed: np.ones(len(updates))))
    np.testing.assert_allclose(found[["rate", "lost", "span"]], 0, atol=1e-9)
    assert found["spearman"].isna().all()


def test_certainty_is_dated_to_its_first_look() -> None:
    run = planted("gan", halving)
    assert (frozen.certain_after(run) == 60).all()
    never = run.trace.assign(value=np.where(run.trace["name"] == "discriminator_accuracy", 0.9, run.trace["value"]))
    assert frozen.certain_after(replace(run, trace=never)).isna().all()


def test_growth_of_the_spread_has_its_factor_and_covers_no_growth_for_equal_laws() -> None:
    draws = np.random.default_rng(0)
    before = draws.lognormal(size=200)
    found = frozen.spread_growth(before, 10 * before, draws, n=200)
    assert (found.estimate, found.low, found.high) == pytest.approx((10, 10, 10))  # every resample has the factor
    studies = [frozen.spread_growth(*draws.lognormal(size=(2, 20)), draws, n=200) for _ in range(200)]
    assert sum(found.low <= 1 <= found.high for found in studies) >= 180  # 95 % would be missed one time in 300
    assert frozen.spread_growth([1.0], [2.0], draws).high == np.inf


def test_a_factor_within_seeds_is_told_by_few_seeds_however_they_differ() -> None:
    before = 10.0 ** np.arange(8)
    grown, p = frozen.factor(before, 3 * before)
    assert (grown.estimate, grown.low, grown.high, p) == pytest.approx((3, 3, 3, 2**-7))
    noise = np.random.default_rng(0).normal(size=(500, 2, 8))
    p_values = [frozen.factor(10.0**one, 10.0**other)[1] for one, other in noise]
    assert np.mean(np.array(p_values) <= 0.05) <= 0.08  # 5 % and three standard errors
    none, p = frozen.factor([0.0, 1.0], [1.0, 1.0])
    assert not np.isfinite(none.high)
    assert np.isnan(p)


# --- jumps -------------------------------------------------------------------------------------------------------------


Law = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]


def jumping(law: Law, late: float = 1.0, every: int = 2, subject: str = "nsgan") -> Run:
    """Return a run whose coordinates are noise about a bent course, and whose length is noise that grows by a factor."""
    settings = {"frozen_at": 0, "n_critic": 1, "objective": "minimax"}
    made = Experiment("gan", subject, "ring8", tuple(range(4)), 1600, every, settings)
    steps = np.arange(0, 1601, every)
    draws = np.random.default_rng(0)
    noise = np.where(steps < 850, 1.0, late)[:, None] * draws.normal(0, 0.01, (len(steps), 4))
    length = 10 ** (steps[:, None] / 400 + noise)
    sizes = 10.0 ** np.arange(-3, 4)  # coordinates of all sizes, and one that never moves
    coordinates = np.stack([size * (law(draws, (len(steps), 4)) + (steps[:, None] / 100) ** 2) for size in sizes], -1)
    coordinates = np.concatenate([coordinates, np.ones_like(coordinates[..., :1])], -1)
    labels = tuple(map(str, range(8)))
    quantities = [
        *((name, ("",), length[..., None]) for name in ("generator_gradient", "signal_at_fakes_median")),
        ("generator_gradient_coordinate", labels, coordinates),
    ]
    table = trace.tidy(made.id, list(range(4)), steps.tolist(), quantities)
    known = environment("cpu", torch.float32, "vmap", 2.5) | {"sources": {}}
    return Run(made, table, outcome(made, {}), {}, known)


def normal(draws: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return draws.normal(size=shape)


def cauchy(draws: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return draws.standard_cauchy(shape)


def test_unrest_is_the_noise_about_a_course_of_any_slope() -> None:
    """The second difference of noise has 6 times its variance, and a normal law's middle half is 1.349 std wide."""
    found = frozen.unrest(jumping(normal, late=3.0))
    one = 0.01 * np.sqrt(6) * 1.349
    np.testing.assert_allclose(found["early"], one, rtol=0.25)
    np.testing.assert_allclose(found["late"], 3 * one, rtol=0.25)
    grown, p = frozen.factor(found["early"], found["late"])
    assert (grown.estimate, p) == (pytest.approx(3, rel=0.15), 2**-3)


@pytest.mark.parametrize(("law", "wanted"), [(normal, frozen.NORMAL), (cauchy, frozen.CAUCHY)])
def test_tails_of_a_normal_law_and_of_cauchys_have_their_closed_forms(law: Law, wanted: float) -> None:
    """Sums by Cauchy's law are of it, and so are second differences; sizes and courses of coordinates do not matter."""
    for end in frozen.tails(jumping(law)).to_numpy().T:
        assert scipy_stats.gmean(end) == pytest.approx(wanted, rel=0.15)
    inner, outer = (getattr(scipy_stats, "norm" if law is normal else "cauchy").ppf([0.75, 0.975]))
    assert wanted == pytest.approx(outer / inner, rel=1e-3)


def test_jumps_are_not_read_off_few_looks_nor_off_a_seed_that_is_not_finite() -> None:
    few = jumping(normal, every=100)
    assert frozen.unrest(few).isna().all(axis=None)
    assert frozen.tails(few).isna().all(axis=None)
    whole = jumping(normal)
    broken = whole.trace["value"].mask((whole.trace["seed"] == 2) & (whole.trace["step"] == 1500))
    for found in (read(replace(whole, trace=whole.trace.assign(value=broken))) for read in (frozen.unrest, frozen.tails)):
        assert found["late"].isna().tolist() == [False, False, True, False]
        assert found["early"].notna().all()


def test_coordinates_are_those_of_the_gradient_and_read_for_frozen_generators_alone() -> None:
    tiny = {"seeds": 2, "steps": 2, "every": 1, "hidden": (8,), "batch": 16, "evaluation": 16, "latent": 3}
    going, still = run("nsgan", "ring8", **tiny), run("nsgan", "ring8", frozen_at=0, **tiny)
    assert not (going.trace["name"] == frozen.COORDINATE).any()
    for member in range(2):
        seen = still.trace[(still.trace["name"] == frozen.COORDINATE) & (still.trace["member"] == member)]
        assert seen.groupby("step").size().tolist() == [16] * 3
        lengths = trace.wide(still.trace, "generator_gradient")[member]
        assert (seen.groupby("step")["value"].apply(lambda x: np.linalg.norm(x)) < lengths).all()
        assert seen[seen["step"] == 2]["value"].nunique() > 8


# --- two normal laws ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gap", "std", "saturating"), [(1, 1.0, 0.39797), (4, 1.0, 0.13719), (8, 1.0, 3.93e-4), (4, 0.5, 7.86e-4)]
)
def test_pulls_of_two_normal_laws_are_known(gap: int, std: float, saturating: float) -> None:
    """SciPy integrates the same; the last is that of a gap of 8 in units of the spread, over the spread."""
    found = pulls(gap, std)
    width = gap / std
    integral, _ = quad(lambda z: norm.pdf(z) * expit(width * z - width**2 / 2), -12, 14, points=[width / 2], epsabs=1e-14)
    assert found.saturating == pytest.approx(gap / std**2 * integral, rel=1e-7)
    assert found.saturating == pytest.approx(saturating, rel=1e-3)
    assert found.saturating + found.non_saturating == pytest.approx(gap / std**2, rel=1e-12)
    assert found.wasserstein == 1


# --- the discriminator from above --------------------------------------------------------------------------------------


SLOPE = torch.tensor([3.0, -1.0])


def plane(objective: str) -> tuple[Game, State, Batch]:
    """A discriminator whose logit is a plane of this slope through the origin."""
    game = Game(lambda: nn.Linear(3, 2), lambda: nn.Linear(2, 1), objective=objective)
    state = initial(game, 0)
    state = state._replace(discriminator=state.discriminator._replace(parameters=torch.tensor([*SLOPE, 0.0])))
    law = rng.stream(0, "data")
    batch = Batch(torch.randn(16, 2, generator=law), torch.randn(16, 3, generator=law), torch.empty(16, 0))
    return game, state, batch


@pytest.mark.parametrize(
    ("objective", "share"),
    [("minimax", torch.sigmoid), ("non_saturating", lambda t: torch.sigmoid(-t)), ("wasserstein", torch.ones_like)],
)
def test_the_pull_of_a_plane_is_along_its_slope_by_the_share_of_the_loss(
    objective: str, share: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    places = torch.tensor([[0.0, 0.0], [1.0, 2.0], [-2.0, 0.5]])
    torch.testing.assert_close(logit_at(*plane(objective), places), places @ SLOPE)
    torch.testing.assert_close(pull_at(*plane(objective), places), share(places @ SLOPE)[:, None] * SLOPE)


def test_the_pull_of_a_pairing_loss_is_its_mean_over_real_samples() -> None:
    game, state, batch = plane("relativistic")
    place = torch.tensor([[0.3, -0.4]])
    share = torch.sigmoid(batch.real @ SLOPE - place @ SLOPE).mean()
    torch.testing.assert_close(pull_at(game, state, batch, place), share * SLOPE[None])


def test_the_surface_frames_the_data_and_has_x_along_columns() -> None:
    real = torch.tensor([[-1.0, 0.0], [3.0, 1.0]])
    game, state, batch = plane("wasserstein")
    found = surfaces(game, *(stack([one]) for one in (state, batch)), real)
    np.testing.assert_allclose(found["surface_axes"][:, [0, -1]], [[1 - 2.8, 1 + 2.8], [0.5 - 2.8, 0.5 + 2.8]], rtol=1e-6)
    x, y = np.meshgrid(*found["surface_axes"])
    np.testing.assert_allclose(found["surface_logits"][0], 3 * x - y, atol=1e-5)
    assert found["surface_pulls"].shape == (1, 11, 11, 2)
    np.testing.assert_allclose(found["surface_pulls"][0, ..., 1], -1, rtol=1e-6)


def test_on_a_line_the_discriminator_is_kept_at_every_moment() -> None:
    game = Game(lambda: nn.Linear(2, 1), lambda: nn.Linear(1, 1), objective="wasserstein")
    state = initial(game, 0)
    state = state._replace(discriminator=state.discriminator._replace(parameters=torch.tensor([3.0, 1.0])))
    law = rng.stream(0, "data")
    batch = Batch(torch.randn(16, 1, generator=law), torch.randn(16, 2, generator=law), torch.empty(16, 0))
    found = line(game, *(stack([one]) for one in (state, batch)), torch.tensor([[0.0], [2.0]]))
    np.testing.assert_allclose(found["line_places"][[0, -1]], [1 - 1.4, 1 + 1.4], rtol=1e-6)
    np.testing.assert_allclose(found["line_logits"][0], 3 * found["line_places"] + 1, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["line_pulls"], 3, rtol=1e-6)

    tiny = {"seeds": 2, "steps": 4, "every": 2, "hidden": (8,), "batch": 16, "evaluation": 16}
    kept = run("nsgan", "normal_vectors:dimensions=1", **tiny).samples
    assert kept["line_logits"].shape == kept["line_pulls"].shape == (2, 3, 129)
    assert "line_logits" not in run("nsgan", "ring8", **tiny).samples
    assert "line_logits" not in run("pacgan2", "normal_vectors:dimensions=1", **tiny).samples


@pytest.mark.parametrize("variant", ["pacgan2", "minibatch_std", "cgan", "veegan"])
def test_there_is_no_surface_where_a_logit_is_no_function_of_a_place(variant: str) -> None:
    tiny = {"seeds": 2, "steps": 1, "hidden": (8,), "batch": 16, "evaluation": 16}
    assert "surface_logits" not in run(variant, "ring8", **tiny).samples
    assert run("nsgan", "ring8", **tiny).samples["surface_logits"].shape == (2, 33, 33)
    assert "surface_logits" not in run("nsgan", data.Points(torch.randn(50, 3)), **tiny).samples


# --- the protocol, small -----------------------------------------------------------------------------------------------


def test_the_saturating_gradient_of_a_frozen_generator_decays_and_the_penalised_critics_does_not() -> None:
    """The claim of the study on a small net, and its control: the first goes at three times the rate of the second or more."""
    tiny = {"seeds": 3, "hidden": (24, 24), "batch": 48, "latent": 4, "evaluation": 20, "lr": 5e-3, "frozen_at": 0}
    rates = {
        name: frozen.decay(run(name, "ring8", n_critic=1, steps=160, every=20, **tiny))["rate"].to_numpy()
        for name in ("gan", "wgan_gp")
    }
    assert (rates["gan"] > 2).all()
    assert (rates["wgan_gp"] < rates["gan"] / 3).all()


@pytest.mark.parametrize("profile", PROFILES)
def test_every_variant_of_the_study_has_the_same_updates_and_every_age_its_run(profile: str) -> None:
    made = experiments(profile)
    ring, line = ([e for e in made if (e.data == "ring8") is on] for on in (True, False))
    for e in ring:
        assert (e.steps - e.settings["frozen_at"]) * e.settings["n_critic"] == PROFILES[profile]["updates"]
        assert e.every * e.settings["n_critic"] == PROFILES[profile]["usual"]["every"]  # jumps depend on the time between looks
    runs = {(e.subject, e.settings["frozen_at"]) for e in ring}
    assert runs == {(v, age) for v in PROFILES[profile]["variants"] for age in PROFILES[profile]["ages"]}
    assert all(e.settings["fresh_discriminator"] is False for e in line)
    assert {e.settings["objective"] for e in line} == {"non_saturating", "minimax"}


# --- the page ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    return [
        planted("gan", halving, age=0), planted("gan", halving), planted("nsgan", growing),
        planted("wgan_gp", lambda updates, seed: np.full(len(updates), 1.0 + seed), n_critic=5),
        planted("recipe:course_line", halving, fresh=False),
    ]  # fmt: skip


def tables(runs: list[Run]) -> dict[str, list[list[str]]]:
    """Return the text of every table's cells, by its title."""
    blocks = [block for section in vanishing_page(runs).sections for block in section.blocks]
    found = [block for block in blocks if isinstance(block, Table)]
    return {table.title: [[f"{c.text}\n{c.note}".strip() for c in row] for row in table.cells()] for table in found}


def test_the_page_answers_with_what_was_lost_and_over_how_many_seeds(runs: list[Run]) -> None:
    page = vanishing_page(runs)
    assert page.title == "Does the generator still get a signal when the discriminator is trained to the end?"
    assert page.answer.startswith(
        "Over 400 discriminator updates, with a generator frozen after 0 / 40 steps (5 seeds each): with the saturating loss "
        "its gradient lost 2.0 / 2.0 decades and the pull on the median fake 4.0 / 4.0; with the non-saturating loss"
    )
    assert "with a Wasserstein critic and a gradient penalty its gradient lost 0.0 decades" in page.answer


def test_the_table_has_rates_with_intervals_by_variant_and_age(runs: list[Run]) -> None:
    title = "Decades of the generator's gradient lost per thousand discriminator updates"
    rows = {row[0]: row[1:] for row in tables(runs)[title]}
    said = "5.00 [5.00, 5.00]\nin all 2.00 [2.00, 2.00]\nat the median fake 4.00 [4.00, 4.00]\n"
    assert rows["gan"] == [said + "rank correlation -1.00, n=5\naccuracy 100.0%"] * 2
    found = stats.mean(frozen.decay(runs[2])["rate"].to_numpy())
    assert rows["nsgan"][0] == "not run"
    assert rows["nsgan"][1].startswith(f"{found.estimate:.2f} [{found.low:.2f}, {found.high:.2f}]")


def test_what_was_reported_stands_beside_what_was_seen(runs: list[Run]) -> None:
    rows = {(row[0], row[1][:23]): row[-1] for row in tables(runs)["What was reported or expected, and what was seen here"]}
    assert rows["gan", "reported: loses about 4"] == "2.00 [2.00, 2.00] decades lost\n2 or more: 5/5 = 100% [57%, 100%]"
    assert rows["gan", "the same at the median "] == "4.00 [4.00, 4.00] decades lost\n2 or more: 5/5 = 100% [57%, 100%]"
    assert rows["gan", "expected: falls all the"] == "rank correlation -1.00 [-1.00, -1.00]\nbelow -0.8: 5/5 = 100% [57%, 100%]"
    assert rows["gan", "reported: a fresh discr"] == "accuracy 99% after 60 updates (median)\nreached: 5/5 = 100% [57%, 100%]"
    assert rows["wgan_gp", "expected: a critic of b"].endswith("1 or less: 5/5 = 100% [57%, 100%]")
    assert rows["nsgan", "reported: grows"].startswith("x 10.00 [")
    assert rows["nsgan", "reported: grows"].endswith("p = 0.062\nlonger at the end: 5/5 = 100% [57%, 100%]")
    assert rows["nsgan", "reported: becomes noisi"].startswith("interquartile range over seeds x ")
    assert rows["nsgan", "predicted: coordinates "] == "not recorded"


def test_jumps_have_a_figure_that_says_whose_tails_are_heavier(runs: list[Run]) -> None:
    assert not figures_about("jump", vanishing_page(runs))
    four = [jumping(cauchy), jumping(normal, subject="wgan_gp")]
    (figure,) = figures_about("jump", vanishing_page(four))
    one, other = (scipy_stats.gmean(frozen.tails(run)["late"]) for run in four)
    assert f"nsgan after 0 steps {one:.1f} [" in figure.caption
    assert f"wgan_gp after 0 steps {other:.1f} [" in figure.caption
    assert f"nsgan over wgan_gp after 0 steps: x {one / other:.1f} [" in figure.caption
    assert "sign-flip p = 0.12, n=4" in figure.caption
    assert figure.frame.groupby("variant").size().to_dict() == {"nsgan": 4, "wgan_gp": 4}
    (ax,) = figure.draw().axes
    bars = [line for line in ax.lines if line.get_linewidth() == 3]
    assert [line.get_ydata()[0] for line in bars] == [0, 1]
    assert bars[0].get_xdata()[0] > bars[1].get_xdata()[1]
    plt.close("all")
    rows = {(row[0], row[1][:23]): row[-1] for row in tables(four)["What was reported or expected, and what was seen here"]}
    assert rows["nsgan", "predicted: coordinates "].startswith(f"{one:.1f} [")
    assert rows["nsgan", "predicted: coordinates "].endswith("heavier than normal: 4/4 = 100% [51%, 100%]")
    jumps = frozen.unrest(four[0])
    grown, p = frozen.factor(jumps["early"], jumps["late"])
    assert f"within a seed x {grown.estimate:.2f} [" in rows["nsgan", "reported: becomes noisi"]
    assert f"sign-flip p = {p:.2g}\n" in rows["nsgan", "reported: becomes noisi"]


def figures_about(word: str, page: Page) -> list[Figure]:
    blocks = [block for section in page.sections for block in section.blocks]
    return [block for block in blocks if isinstance(block, Figure) and word in block.title]


def test_a_seed_without_a_value_holds_nothing() -> None:
    broken = planted("gan", lambda updates, seed: np.where(seed == 1, np.nan, halving(updates, seed)))
    first = tables([broken])["What was reported or expected, and what was seen here"][0]
    assert first[2] == "nan (no interval) decades lost\n2 or more: 4/5 = 80% [38%, 99%]"


def test_the_page_renders_every_figure_with_its_words(runs: list[Run]) -> None:
    page = vanishing_page(runs)
    figures = [block for section in page.sections for block in section.blocks if isinstance(block, Figure)]
    assert len(figures) == 1 + 3 + 1 + 1
    assert all(len(figure.alt) > 40 and len(figure.frame) for figure in figures)
    text = render([page], "x")
    assert text.count("<img ") == len(figures)
    assert "recipe:course_line at 40" in text
    assert all(f"{name} at 40" in text for name in ("gan", "nsgan", "wgan_gp"))


def test_a_report_gives_runs_that_freeze_a_page_of_their_own(runs: list[Run]) -> None:
    assert [page.name for page in pages_of(runs)] == ["vanishing_gradients"]
    only = vanishing_page(runs[-1:])
    assert only.answer == "Decades lost: recipe:course_line 2.00 [2.00, 2.00]."


def test_frames_have_every_seed_since_the_generator_froze(runs: list[Run]) -> None:
    frame = frozen_plots.frame_since(runs[:4], "generator_gradient")
    assert frame.groupby(["variant", "age"])["seed"].nunique().tolist() == [SEEDS] * 4
    assert frame.groupby("variant")["updates"].max().to_dict() == {"gan": 400, "nsgan": 400, "wgan_gp": 400}
    first = frame[(frame["variant"] == "gan") & (frame["age"] == AGE) & (frame["updates"] == 0)]
    assert first["value"].tolist() == [1, 2, 3, 4, 5]
    decay = frozen_plots.frame_decay(runs[:2])
    assert decay["rate"].tolist() == pytest.approx([5, 5])
    surface = frozen_plots.frame_surface(runs[:1], ["frozen at 5"])
    assert surface["kind"].value_counts().to_dict() == {"logit": 33 * 33, "pull": 121, "real": 9, "fake": 9}
    logits = surface[surface["kind"] == "logit"]
    np.testing.assert_allclose(logits["value"], logits["x"])


def test_every_panel_has_all_variants_in_one_order_whatever_was_run(runs: list[Run]) -> None:
    frame = frozen_plots.frame_decay(runs[:4])
    colours = plots.palette(frame["variant"])
    for age in (0, AGE):
        _, ax = plt.subplots()
        frozen_plots.draw_decay(frame[frame["age"] == age], ax, colours=colours)
        assert [label.get_text() for label in ax.get_yticklabels()] == ["gan", "nsgan", "wgan_gp"]
        assert ax.get_ylim() == (2.5, -0.5)
    plt.close("all")


def test_arrows_show_direction_and_their_colour_the_length(runs: list[Run]) -> None:
    with plt.rc_context(plots.style()):
        _, ax = plt.subplots()
        assert frozen_plots.draw_surface(frozen_plots.frame_surface(runs[:1], ["frozen at 5"]), ax) is ax
    (arrows,) = [c for c in ax.collections if hasattr(c, "U")]
    np.testing.assert_allclose(np.hypot(arrows.U, arrows.V), 1, rtol=1e-6)
    np.testing.assert_allclose(arrows.get_array(), np.log10(np.hypot(1e-3, 1e-3)), rtol=1e-6)
    plt.close("all")
