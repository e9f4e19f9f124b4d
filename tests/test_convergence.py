"""Nets that settle or circle: a game of nets that circles by construction, read by every instrument, and each reading alone."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from ganlab import convergence_plots, rng, train, watch
from ganlab.convergence import instruments, recognition
from ganlab.cycles import path_end
from ganlab.diagnoses import diagnose
from ganlab.draws import draw
from ganlab.experiment import AGES, Run, join
from ganlab.game import Batch, Game, initial
from ganlab.pages import convergence_page
from ganlab.pages.page import Figure, Table, render
from ganlab.planning import build, distribution, plan, plan_game
from ganlab.probes import AXES, View, axes, positions
from ganlab.probes import recognition as probe
from ganlab.profiles import distance, profile
from ganlab.registry import InputError
from ganlab.trace import COLUMNS, last, select
from tests.test_convergence_page import MAP

POINTS = torch.tensor([[-1.0], [1.0]])
STEPS, EVERY, RATE = 504, 4, 0.15
ROUND = 2 * np.pi / RATE
"""Steps in which the two numbers of the game below come round; 12 rounds in all."""


class Shifted(nn.Module):
    """The data themselves, shifted by the only parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.ones(1))

    def forward(self, z: Tensor) -> Tensor:
        return torch.sign(z) + self.shift


class Slope(nn.Module):
    """A line through 0."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.slope * x


@pytest.fixture(scope="module")
def circling() -> Run:
    """The bilinear game as a Wasserstein GAN: it goes round the answer and never arrives."""
    how = {"seeds": 2, "steps": STEPS, "every": EVERY, "batch": 512, "evaluation": 256, "lr": RATE, "rotation": True}
    made = plan_game(bilinear(), POINTS, **how)
    run = train.train(bilinear(), distribution(POINTS), made)
    return replace(run, experiment=replace(made, subject="circling"))


def bilinear() -> Game:
    return Game(Shifted, Slope, "wasserstein", update="alternating", optimizer="sgd", latent=1)


# --- all instruments on a game that circles --------------------------------------------------------------------------------


def test_a_game_of_nets_that_circles_is_seen_by_every_instrument(circling: Run) -> None:
    found = instruments(circling)
    assert len(found) == 2
    np.testing.assert_allclose(found["period"], ROUND, rtol=0.05)
    assert (found["score"] > 0.8).all()
    assert (found["drift"] < 0.1).all()
    np.testing.assert_allclose(found["loss_period"], ROUND / 2, rtol=0.15)  # the product of two waves
    assert (found["rotation_index"] == np.inf).all()
    assert (found["path_attraction"].abs() < 0.05).all()
    assert (found["path_rotation"] > 0.2).all()
    assert (found["motion"] > 0.2).all()
    assert "held" not in found  # its data have no modes


def test_the_average_of_a_circle_is_near_its_centre_while_the_last_is_not(circling: Run) -> None:
    last_one, average = (last(circling.trace, name) for name in ("distance", "distance_of_average"))
    assert (last_one > 0.4).all()
    assert (average < 0.2 * last_one).all()
    position = select(circling.trace, "generator_position", "0")
    shift = position[2 * position["step"] >= STEPS].groupby("member")["value"].mean() / float(axes(1)[0])
    assert (shift.abs() < 0.05).all()
    looks = watch.evaluation(bilinear(), distribution(POINTS), circling.experiment.members(), 512, 256)
    for m in range(2):
        fake = torch.sign(looks.latent[m]) + shift[m]
        wanted = float(distance(profile(fake), looks.real[m]))
        assert average[m] == pytest.approx(wanted, rel=1e-4)


def test_the_eigenvalues_of_a_game_with_a_known_jacobian_are_its_own(circling: Run) -> None:
    """[[0, 1], [-1, 0]], up to the mean sign of finitely many latents, which changes neither."""
    values = circling.samples["eigenvalues"]
    assert values.shape == (2, 20)
    np.testing.assert_allclose(np.sort_complex(values[:, :2]), [[-1j, 1j]] * 2, atol=1e-12)
    assert np.isnan(values[:, 2:]).all()


# --- each reading alone ----------------------------------------------------------------------------------------------------


def asked(weight: float, **parts: object) -> dict[str, float]:
    """Return what a linear discriminator of this weight says of real samples at 1 to 2 and of past fakes at -2 to -1."""
    game = Game(lambda: nn.Linear(1, 1), lambda: nn.Linear(1, 1, bias=False), latent=1, **parts)
    state = initial(game, 0)
    state = state._replace(discriminator=state.discriminator._replace(parameters=torch.tensor([weight])))
    real = torch.linspace(1, 2, 8)[:, None]
    view = View(game, state, Batch(real, torch.zeros(8, 1), torch.empty(0)), torch.zeros(8, 1), {}, None, past=-real)
    return {name: float(value) for (name, _), value in probe(view).items()}


def test_a_forgetful_discriminator_reads_one_half_and_one_that_remembers_reads_one() -> None:
    assert [asked(w)["past_separation"] for w in (1.0, 0.0, -1.0)] == [1.0, 0.5, 0.0]


def test_where_a_companion_is_shown_nothing_is_asked_about_the_past() -> None:
    view = SimpleNamespace(game=SimpleNamespace(shown="label"))
    assert probe(view) == {}


def test_a_look_remembers_as_many_fakes_of_each_of_the_last_looks() -> None:
    past: object = ()
    seen = []
    for look in range(6):
        view = SimpleNamespace(sample=torch.full((8, 1), float(look)), past=past)
        past = View.remembered.func(view)  # type: ignore[attr-defined]
        seen.append(past.flatten().tolist())
    assert seen[0] == [0.0] * 8
    assert seen[2] == [2, 2, 1, 1, 0, 0, 0, 0]
    assert seen[5] == [5, 5, 4, 4, 3, 3, 2, 2]


def test_what_was_told_then_is_the_mean_over_the_looks_whose_fakes_are_asked_about_now() -> None:
    told, again = np.linspace(0.5, 1.0, 7), np.full(7, 0.6)
    series = {"separation": told, "past_separation": again}
    rows = [("r", 0, 0, i, name, "", v) for name, x in series.items() for i, v in enumerate(x)]
    run = SimpleNamespace(trace=pd.DataFrame(rows, columns=list(COLUMNS)))
    then, now = recognition(run)
    assert np.isnan(then[:AGES]).all()
    np.testing.assert_allclose(then[5, 0], told[1:5].mean())
    assert (now == 0.6).all()


def test_positions_keep_distances_on_average_and_are_the_same_anywhere() -> None:
    torch.manual_seed(5)
    x = torch.randn(200, 300)
    ratio = (x @ axes(300).T).square().sum(1) / x.square().sum(1)
    assert 0.9 < float(ratio.mean()) < 1.1
    np.testing.assert_allclose(axes(300)[0, :2].numpy() * AXES**0.5, [1.117622, -1.387125], atol=1e-5)
    game = Game(lambda: nn.Linear(3, 2), lambda: nn.Linear(2, 1), latent=3)
    state = initial(game, 0)
    got = positions(SimpleNamespace(state=state))
    labels = tuple(str(k) for k in range(AXES))
    for role, player in zip(("generator", "discriminator"), state, strict=True):
        np.testing.assert_allclose(got[f"{role}_position", labels], axes(len(player.parameters)) @ player.parameters)


def test_the_end_of_a_path_that_attracts_circles_or_does_both() -> None:
    alpha = np.linspace(-0.1, 1.1, 100)
    attracts, crosses = np.where(alpha < 1, 1.0, -1.0), np.full(100, -0.3)
    assert path_end(alpha, attracts) == (1.0, 0.0)
    assert path_end(alpha, crosses) == pytest.approx((0.0, 0.3))
    assert path_end(alpha, 0.5 * attracts + crosses) == pytest.approx((0.5, 0.3))
    assert path_end(alpha, -attracts).attraction == -1.0


# --- what a run keeps ------------------------------------------------------------------------------------------------------


SMALL = {"seeds": 2, "steps": 70, "every": 9, "hidden": (8,), "batch": 16, "latent": 2, "evaluation": 32}


def test_the_losses_of_the_last_steps_are_kept_whatever_the_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    made, seldom = plan("nsgan", "ring8", **SMALL), plan("nsgan", "ring8", **{**SMALL, "every": 70})
    whole = train.train(*build(made), made).samples["losses"]
    assert whole.shape == (2, 70, 2)
    assert len(np.unique(whole)) == whole.size
    np.testing.assert_array_equal(whole, train.train(*build(seldom), seldom).samples["losses"])
    monkeypatch.setattr(train, "LOSSES", 40)
    np.testing.assert_array_equal(train.train(*build(made), made).samples["losses"], whole[:, -40:])


def test_the_first_losses_are_those_of_the_first_batch() -> None:
    made = plan("nsgan", "ring8", update="simultaneous", **{**SMALL, "steps": 1})
    game, data = build(made)
    kept = train.train(game, data, made).samples["losses"]
    for member in made.members():
        batch = draw(game, data, {p: rng.stream(member.seed, p) for p in rng.PURPOSES}, 16)
        first = Batch(batch.real[0, 0], batch.latent[0, 0], batch.noise[0, 0])
        (theta, *_), (psi, *_) = initial(game, member.seed)
        wanted = [game.discriminator_loss(psi, theta, first, {}), game.generator_loss(theta, psi, first, {})]
        np.testing.assert_allclose(kept[member.place, 0], [float(x.detach()) for x in wanted], rtol=1e-6)


def test_rotation_is_measured_when_asked_for_and_changes_nothing_else() -> None:
    plain, asked_for = (plan("r1gan", "ring8", rotation=r, **SMALL) for r in (False, True))
    assert plain == plan("r1gan", "ring8", **SMALL)
    assert plain != asked_for
    one, other = (train.train(*build(made), made, keep_state=True) for made in (plain, asked_for))
    np.testing.assert_array_equal(one.samples["generator"], other.samples["generator"])
    assert "path" not in one.samples
    assert other.samples["path"].shape == (2, 100, 4)
    assert np.isfinite(other.samples["path"]).all()
    new = {"rotation_index", "largest_real_part", "path_attraction", "path_rotation"}
    assert set(other.trace["name"]) - set(one.trace["name"]) == new
    parts = [train.train(*build(asked_for), asked_for, places=[place]) for place in (0, 1)]
    joined = join(parts)
    assert joined.samples["losses"].shape == (2, 70, 2)
    np.testing.assert_allclose(joined.samples["eigenvalues"], other.samples["eigenvalues"], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("value", [1, "yes", None])
def test_rotation_is_a_yes_or_no(value: object) -> None:
    with pytest.raises(InputError, match="rotation must be True or False"):
        plan("nsgan", "ring8", rotation=value)


def test_a_diverged_member_has_no_path_no_eigenvalues_and_leaves_the_others_theirs() -> None:
    rates = {"lr": [1e-3, 1e30], "lr_discriminator": 1e-3}
    made = plan("nsgan", "ring8", optimizer="sgd", rotation=True, **{**SMALL, **rates, "seeds": 1})
    run = train.train(*build(made), made)
    assert list(run.outcome["status"]) == ["finished", "diverged"]
    for name in ("path", "eigenvalues"):
        assert np.isfinite(run.samples[name][0]).all()
    assert np.isnan(run.samples["eigenvalues"][1]).all()
    assert np.isnan(run.samples["path"][1, :, 1:]).all()
    found = instruments(run)
    assert np.isnan(found.loc[1, ["period", "loss_period", "rotation_index", "distance_of_average"]].astype(float)).all()
    assert convergence_page([MAP], ("GAN",), ("simultaneous",), [run]).answer.startswith("Of 2 trainings")


# --- the page --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs(circling: Run) -> list[Run]:
    made = plan("nsgan", "ring8", rotation=True, **SMALL)
    return [circling, train.train(*build(made), made)]


def test_the_page_says_what_diagnosis_and_instruments_say(runs: list[Run]) -> None:
    page = convergence_page([MAP], ("GAN",), ("simultaneous",), runs)
    d = [diagnose(run)["non_convergence"] for run in runs]
    assert f"circling {d[0].failures} of {d[0].n}, nsgan {d[1].failures} of {d[1].n}" in page.answer
    assert d[0].failures == 2
    blocks = [block for section in page.sections for block in section.blocks]
    tables = {block.title: block for block in blocks if isinstance(block, Table)}
    verdict = tables["Do nets settle, and if not, do they come round?"]
    every = tables["What every instrument says"]
    first = verdict.cells()[0]
    assert first[1].text == f"2 of 2: {d[0].verdict}"
    assert "[" in first[1].note
    assert first[3].text == "not recorded"
    assert first[4].text == "2 of 2 seeds"
    assert first[4].note.startswith(f"every {instruments(runs[0])['period'].median():.0f} steps")
    assert [cell.text for cell in every.cells()[0]][:2] == ["circling", f"{instruments(runs[0])['drift'].median():.2f}"]
    figures = [b for b in blocks if isinstance(b, Figure)][:5]
    for figure in figures:
        assert figure.title.endswith("?")
        assert len(figure.frame) > 3
        assert len(figure.alt) > 60
        assert "2" in figure.caption  # n
    assert "n = 2" in figures[1].caption
    assert "no interval" in figures[1].caption
    assert render([page], "a command").count("<img ") == len([b for b in blocks if isinstance(b, Figure)])


def test_frames_have_every_seed(runs: list[Run]) -> None:
    path = convergence_plots.frame_path(runs)
    assert path.groupby(["variant", "seed"]).size().tolist() == [100] * 4
    spectrum = convergence_plots.frame_spectrum(runs)
    np.testing.assert_allclose(spectrum.groupby(["variant", "seed"])["share"].sum(), 1, atol=1e-9)
    assert len(convergence_plots.frame_eigenvalues(runs)) == 2 * 2 + 2 * 20
    plane = convergence_plots.frame_plane(runs)
    for _, part in plane.groupby(["variant", "seed"]):
        assert float((part["x"] ** 2 + part["y"] ** 2).mean()) == pytest.approx(1)
    pairs = convergence_plots.frame_averages(runs).set_index(["variant", "seed"])
    assert pairs.loc[("circling", 1), "average"] == last(runs[0].trace, "distance_of_average")[1]
