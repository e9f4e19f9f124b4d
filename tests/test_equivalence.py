"""Mapped = looped = the plain loop, for everything that is registered; and a seed alone = the same seed in a crowd."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_leaves, tree_map

from ganlab import data, nets, profiles, reference, watch
from ganlab.draws import BLOCK, draw
from ganlab.engine import MAPS, stack
from ganlab.experiment import Experiment
from ganlab.game import Batch, Game, State, initial, step
from ganlab.objectives import OBJECTIVES
from ganlab.optim import OPTIMIZERS
from ganlab.parts import PARTS
from ganlab.planning import build, plan, plan_game
from ganlab.registry import InputError
from ganlab.rng import PURPOSES, stream
from ganlab.train import run, train
from ganlab.updates import UPDATES
from ganlab.variants import VARIANTS

SMALL = {
    "hidden": (6, 5), "activation": "tanh", "batch": 12, "latent": 3, "evaluation": 16, "seeds": [0, 3], "steps": 6,
}  # fmt: skip

OWN_NETS = "recipe:"
"""Variants of this name bring nets and batches of published size with them; all that they are made of is in others, too."""

LONG = ("unrolled5", "unrolled10", "sga", "wgan_gp", "wgan_lp")
"""Variants whose steps are long; fewer of them will do."""

GAMES: list[dict[str, Any]] = [
    *({"variant": name} for name in VARIANTS if OWN_NETS not in name and name not in LONG),
    *({"variant": name, "steps": 3} for name in LONG),
    {"variant": "donsker_varadhan"},
    {"variant": "zero_sum"},
    {"variant": "nsgan", "activation": "relu"},
    {"variant": "wgan_gp", "activation": "relu", "steps": 4},
    {"variant": "wgan_lp", "lr": 0.1, "steps": 4},  # at the usual rate slopes do not come to 1
    # rates of their own, clipping, memory of every kind
    {"variant": "wgan", "weight_clipping": 0.05, "lr": 1e-2, "n_critic": 2, "lr_discriminator": 2e-2},
    {"variant": "least_squares", "optimizer": "rmsprop", "lr_discriminator": 2e-3},
    {"variant": "least_squares", "optimizer": "sgd", "momentum": 0.5, "lr": 2e-2},
    {"variant": "least_squares", "optimizer": "optimistic", "lr": 2e-2},
    {"variant": "nsgan", "lookahead": 2, "average": 0.9, "historical_averaging": 0.1},
    # a generator that stands still: from the start, from a step on; against a discriminator that begins anew, or goes on
    {"variant": "nsgan", "frozen_at": 0},
    {"variant": "wgan", "frozen_at": 2, "lr": 1e-2},
    {"variant": "nsgan", "frozen_at": 3, "average": 0.9, "instance_noise": 0.3, "noise_steps": 4.0},
    {"variant": "gan", "frozen_at": 3, "update": "simultaneous", "optimizer": "sgd", "momentum": 0.9, "lr": 1e-2},
    {"variant": "unrolled1", "frozen_at": 2, "fresh_discriminator": False, "optimizer": "optimistic", "steps": 4},
    # update rules with all that they have to differentiate through
    {"variant": "hinge", "r1": 0.3, "update": "simultaneous"},
    *(
        {"variant": "wgan_gp", "n_critic": 1, "update": name, "steps": 3}
        for name in ("extragradient", "consensus", "symplectic")
    ),
    {"variant": "ali", "update": "symplectic", "optimizer": "sgd", "lr": 1e-2, "steps": 3},
    {"variant": "acgan", "update": "consensus", "dragan": 0.5, "optimizer": "sgd", "lr": 1e-3, "steps": 3},
    {"variant": "infogan", "update": "extragradient", "optimizer": "optimistic_adam"},
    # looking ahead through every optimiser, penalties included
    *(
        {"variant": "unrolled1", "unroll": 2, "optimizer": name, "lr": 1e-2, "momentum": -0.5, "steps": 3}
        for name in OPTIMIZERS
    ),
    {"variant": "unrolled1", "update": "simultaneous", "gradient_penalty": 1.0, "weight_clipping": 0.2, "steps": 3},
    {"variant": "acgan", "unroll": 2, "steps": 3},
    # what the discriminator is shown, in company
    {"variant": "relativistic", "noise_steps": 4.0, "instance_noise": 0.5},
    {"variant": "veegan", "instance_noise": 0.3, "packing": 2, "gradient_penalty": 1.0},
    {"variant": "cgan", "dragan": 1.0, "orthogonal": 0.1},
    {"variant": "nsgan", "latent_law": "uniform", "packing": 3, "dragan": 1.0},
]

LOOSER = {"gdpp": 2e-3}
"""Relative and absolute tolerance against the plain loop, 1e-9 elsewhere. These nets' features lie close together, and so do
the eigenvalues of their kernel; see `test_gdpp_has_the_gradient_of_eigh`."""


def called(settings: dict[str, Any]) -> str:
    return "-".join(str(value) if key == "variant" else f"{key}={value}" for key, value in settings.items())


def experiment(settings: dict[str, Any], **more: object) -> Experiment:
    settings = {**SMALL, **settings, **more}
    return plan(settings.pop("variant"), "ring8", **settings)


def final(made: Experiment, engine: str) -> tuple[np.ndarray, np.ndarray]:
    result = train(*build(made), made, engine=engine, dtype=torch.float64, watch=False, keep_state=True)
    return result.samples["generator"], result.samples["discriminator"]


def plain(game: Game, distribution: Any, made: Experiment, member: int, **numbers: float) -> reference.Trained:
    one = made.members()[member]
    return reference.train(
        game, distribution, seed=one.seed, steps=made.steps, batch=made.settings["batch"],
        numbers={**one.numbers, **numbers}, dtype=torch.float64,
    )  # fmt: skip


def vector(net: nn.Module) -> np.ndarray:
    return nn.utils.parameters_to_vector(net.parameters()).detach().numpy()


@pytest.mark.parametrize("settings", GAMES, ids=called)
def test_mapped_looped_and_plain_training_agree(settings: dict[str, Any]) -> None:
    """In float64, where nothing but the order of sums may differ.

    That grows where Adam divides a gradient that is all rounding, as the last bias's of a discriminator of which only
    differences of logits count: 1e-17 over epsilon, 1e-8.
    """
    made = experiment(settings)
    game, distribution = build(made)
    mapped, looped = final(made, "vmap"), final(made, "loop")
    tolerance = LOOSER.get(settings["variant"], 1e-9)
    start = initial(game, made.seeds[0])
    for i, (one, other) in enumerate(zip(mapped, looped, strict=True)):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)
        stands = i == 0 and settings.get("frozen_at") == 0
        assert (np.abs(one[0] - start[i].parameters.numpy()).max() > 1e-5) is not stands, "training moved nothing"
    for member in made.members():
        trained = plain(game, distribution, made, member.place)
        for net, vectors in zip(trained[:2], mapped, strict=True):
            np.testing.assert_allclose(vectors[member.place], vector(net), rtol=tolerance, atol=tolerance)


def test_all_that_is_registered_is_held_to_the_plain_loop() -> None:
    made = [experiment(settings) for settings in GAMES]
    for name, registry in (("objective", OBJECTIVES), ("update", UPDATES), ("optimizer", OPTIMIZERS)):
        assert {e.settings[name] for e in made} == set(registry)
    assert {name for e in made for name in e.settings["penalties"]} == set(PARTS)


@pytest.mark.parametrize("name", PARTS)
def test_the_plain_loop_hears_every_part(name: str) -> None:
    """Guards the tests above against agreeing on nothing: half the weight, limit or size ends elsewhere.

    At a rate that is high enough for slopes above 1, which the one-sided penalty waits for.
    """
    settings = next(settings for settings in GAMES if name in experiment(settings).settings["penalties"])
    made = experiment(settings, seeds=[0], steps=4, lr=0.1)
    game, distribution = build(made)
    whole, half = (plain(game, distribution, made, 0, **{name: x * made.numbers[name][0]}) for x in (1, 0.5))
    assert max(np.abs(vector(a) - vector(b)).max() for a, b in zip(whole[:2], half[:2], strict=True)) > 1e-7


def chained(made: Experiment, advance: Any, steps: int) -> tuple[State, list[Any]]:
    """Return state and losses after some steps of a mapped step, without `train` around it."""
    game, distribution = build(made)
    members, double = made.members(), partial(torch.Tensor.to, dtype=torch.float64)
    for net in game.nets:
        net.to("cpu", torch.float64)
    state = tree_map(double, stack([initial(game, m.seed) for m in members]))
    numbers = {name: torch.tensor([m.numbers[name] for m in members], dtype=torch.float64) for name in made.numbers}
    streams = [{purpose: stream(m.seed, purpose) for purpose in PURPOSES} for m in members]
    draws = tree_map(double, stack([draw(game, distribution, s, made.settings["batch"]) for s in streams]))
    mapped, seen = advance(torch.func.vmap(partial(step, game))), []
    for i in range(steps):
        state, losses = mapped(state, tree_map(lambda leaf, i=i: leaf[:, i], draws), numbers)
        seen.append(losses)
    return state, seen


AVERAGED = [
    *({"variant": name} for name in ("ema", "wgan_gp", "extra_adam", "consensus")),
    {"variant": "ema", "frozen_at": 2, "average": 0.9},
]


@pytest.mark.parametrize("settings", AVERAGED, ids=called)
def test_losses_and_the_running_mean_are_those_of_the_plain_loop(settings: dict[str, Any]) -> None:
    made = experiment(settings, steps=4)
    state, losses = chained(made, lambda mapped: mapped, made.steps)
    for member in made.members():
        trained = plain(*build(made), made, member.place)
        ours = np.array([[loss[member.place].item() for loss in pair] for pair in losses])
        np.testing.assert_allclose(ours.T, [trained.discriminator_loss, trained.generator_loss], rtol=1e-9)
        if trained.average is not None:
            mean = state.generator.kept["average"][member.place]
            np.testing.assert_allclose(mean, vector(trained.average), rtol=1e-9, atol=1e-12)
            assert np.abs(vector(trained.average) - vector(trained.generator)).max() > 1e-4


def test_gdpp_has_the_gradient_of_eigh() -> None:
    """On features whose eigenvalues lie 0.3 apart or more.

    There the width of equal eigenvalues, e = 1e-5, changes a gap d by e^2 / d^2 = 1e-9 of it, and the shares by e / 8 = 1e-6.
    """
    generator = partial(nets.mlp, 3, 2, (6, 5), "tanh")
    discriminator = partial(nets.mlp, 2, 1, (6, 3), "tanh", initial={"law": "orthogonal", "gain": 1.5})
    game = Game(generator, discriminator, penalties={"gdpp": 1.0})
    ring = data.get("ring8")
    made = plan_game(game, ring, seeds=[0, 3], steps=4, batch=12, evaluation=16)
    trained = train(game, ring, made, dtype=torch.float64, keep_state=True, watch=False).samples
    for member in made.members():
        whole, half = (plain(game, ring, made, member.place, gdpp=weight) for weight in (1.0, 0.5))
        np.testing.assert_allclose(trained["generator"][member.place], vector(whole.generator), rtol=1e-6, atol=1e-6)
        assert np.abs(vector(whole.generator) - vector(half.generator)).max() > 1e-4


def test_a_seed_alone_and_in_a_crowd_sees_the_same_draws() -> None:
    game, distribution = build(experiment({"variant": "wgan_gp"}))
    alone = draw(game, distribution, {p: stream(3, p) for p in PURPOSES}, 8)
    crowd = [draw(game, distribution, {p: stream(s, p) for p in PURPOSES}, 8) for s in (0, 3, 9)]
    for one, other in zip(tree_leaves(alone), tree_leaves(crowd[1]), strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(crowd[0].real, crowd[1].real)


@pytest.mark.parametrize("width", [1, 3, 8])
def test_a_seed_starts_and_looks_the_same_in_any_crowd(width: int) -> None:
    """Initial samples come from initial weights and evaluation noise: equal bits at any width of the batch."""
    made = experiment({"variant": "non_saturating"}, seeds=[5, *range(10, 9 + width)], steps=1)
    other = experiment({"variant": "non_saturating"}, seeds=[20, 5], steps=1)
    first, second = (train(*build(e), e, dtype=torch.float64) for e in (made, other))
    np.testing.assert_allclose(first.samples["generated"][0, 0], second.samples["generated"][1, 0], rtol=0, atol=1e-7)


def test_a_seed_trains_the_same_in_any_crowd() -> None:
    alone = final(experiment({"variant": "wgan_gp"}, seeds=[3]), "vmap")
    crowd = final(experiment({"variant": "wgan_gp"}, seeds=[0, 3, 7, 8]), "vmap")
    for one, other in zip(alone, crowd, strict=True):
        np.testing.assert_allclose(one[0], other[1], rtol=1e-10, atol=1e-12)


def test_a_shorter_run_is_the_beginning_of_a_longer_one() -> None:
    short, long = (
        run("nsgan", "ring8", seeds=2, every=BLOCK, hidden=(6,), batch=8, evaluation=16, steps=steps)
        for steps in (BLOCK, 2 * BLOCK)
    )
    keys = ["name", "index", "member", "step"]
    other = long.trace[long.trace["step"] <= BLOCK][[*keys, "value"]]
    one = short.trace[short.trace["name"].isin(other["name"])][[*keys, "value"]]  # measures are read at the end alone
    assert {"generator_loss", "mode_count", "motion"} <= set(one["name"])
    np.testing.assert_array_equal(one.sort_values(keys)["value"], other.sort_values(keys)["value"])


def test_looking_changes_nothing() -> None:
    """Final parameters with probes at every step equal those without, bit for bit, for every variant."""
    for variant in ("nsgan", "wgan", "wgan_gp", "dragan", "r3gan"):
        made = experiment({"variant": variant}, every=1)
        seen, unseen = (train(*build(made), made, watch=watch, keep_state=True) for watch in (True, False))
        for player in ("generator", "discriminator"):
            assert (seen.samples[player] == unseen.samples[player]).all(), variant


def test_samples_are_looked_at_alike_mapped_and_one_by_one() -> None:
    """In a process, too, that has looked at nothing before."""
    made = experiment({"variant": "nsgan"})
    game, distribution = build(made)
    state = stack([initial(game, member.seed) for member in made.members()])
    profiles._directions.cache_clear()
    seen = watch.evaluation(game, distribution, made.members(), 12, 16)
    mapped, looped = (MAPS[way](partial(watch.look_at_samples, game, distribution))(state, seen, {}, ()) for way in MAPS)
    for one, other in zip(tree_leaves(mapped), tree_leaves(looped), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_probing_leaves_the_global_random_state_alone() -> None:
    before = torch.random.get_rng_state()
    run("nsgan", "ring8", seeds=1, steps=2, hidden=(4,), batch=4, evaluation=8)
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_same_run_twice_gives_the_same_bits() -> None:
    one, other = (run("dragan", "ring8", seeds=2, steps=5, hidden=(4,), batch=4, evaluation=8) for _ in range(2))
    assert one.experiment.id == other.experiment.id
    assert one.trace.equals(other.trace)


def test_numbers_differ_between_members_of_one_batch() -> None:
    both = experiment({"variant": "nsgan"}, lr=[1e-3, 5e-3], lr_discriminator=1e-3)
    single = experiment({"variant": "nsgan"}, lr=5e-3, lr_discriminator=1e-3)
    assert [m.numbers["lr"] for m in both.members()] == [1e-3, 1e-3, 5e-3, 5e-3]
    np.testing.assert_allclose(final(both, "vmap")[0][2:], final(single, "vmap")[0], rtol=1e-10, atol=1e-12)


def test_a_diverging_member_is_an_outcome_and_leaves_the_others_alone() -> None:
    """The first member's rate is huge; the second must end with the bits it has beside a healthy first one."""
    settings = {"variant": "lsgan", "optimizer": "sgd", "activation": "relu", "seeds": [0], "steps": 60}
    settings |= {"lr_discriminator": 1e-3}
    sick = experiment(settings, lr=[1e12, 1e-3])
    well = experiment(settings, lr=[2e-3, 1e-3])
    first, second = (train(*build(e), e, keep_state=True) for e in (sick, well))
    assert list(first.outcome["status"]) == ["diverged", "finished"]
    assert list(second.outcome["status"]) == ["finished", "finished"]
    assert first.outcome["step"][0] >= 1
    assert "generator" in first.outcome["place"][0] or "discriminator" in first.outcome["place"][0]
    assert (first.samples["generator"][1] == second.samples["generator"][1]).all()
    assert not np.isfinite(first.samples["generator"][0]).all()


@pytest.mark.parametrize("start", [0, BLOCK + 5])
def test_divergence_is_dated_to_its_first_step(start: int) -> None:
    """Data that turn non-finite at a known draw make the discriminator's loss the first bad quantity, at that step."""

    class Poisoned:
        name, shape = "poisoned", (2,)

        def __init__(self) -> None:
            law = stream(0, "data")
            self.blocks = [torch.randn(BLOCK * 2 * 8, 2, generator=law) for _ in range(2)]  # 2 updates a step, batch 8

        def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
            points = torch.randn(n, 2, generator=generator)
            if torch.equal(points, self.blocks[start // BLOCK]):
                points.view(BLOCK, 2, 8, 2)[start % BLOCK, 0, 3] = float("nan")
            return points

    result = run("nsgan", Poisoned(), seeds=1, steps=2 * BLOCK, hidden=(4,), batch=8, evaluation=16)
    assert list(result.outcome["status"]) == ["diverged"]
    assert (result.outcome["step"][0], result.outcome["place"][0]) == (start + 1, "discriminator loss")


def test_a_fault_that_does_not_come_again_is_told_as_such() -> None:
    """Data with a memory, which cannot be drawn again, as a stand-in for a device that does not repeat itself."""

    class Once:
        name, shape, n_left = "once", (2,), 1

        def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
            points = torch.randn(n, 2, generator=generator)
            if n == BLOCK * 2 * 9 and self.n_left:
                self.n_left -= 1
                points[0] = float("nan")
            return points

    result = run("nsgan", Once(), seeds=1, steps=2 * BLOCK, every=BLOCK, hidden=(4,), batch=9, evaluation=16)
    assert list(result.outcome["status"]) == ["diverged"]
    assert list(result.outcome["place"]) == ["steps 1 to 32, finite when repeated"]


def test_faults_of_many_steps_are_found_where_the_probes_look() -> None:
    """Between two looks nothing is asked, so that a GPU is not waited for; the first step is found all the same."""
    settings = {"steps": 4 * BLOCK, "hidden": (4,), "batch": 8, "evaluation": 16, "optimizer": "sgd"}
    settings |= {"lr": [1e-3, 30.0], "lr_discriminator": 0.1}
    often, rarely = (run("lsgan", "ring8", seeds=2, every=every, **settings) for every in (8, 4 * BLOCK))
    assert sorted(often.outcome["status"]) == ["diverged", "diverged", "finished", "finished"]
    assert often.outcome.equals(rarely.outcome)


def test_users_nets_train_mapped_as_in_a_plain_loop() -> None:
    def generator() -> nn.Module:
        return nn.Sequential(
            nn.Linear(3, 6, bias=False), nn.BatchNorm1d(6, track_running_stats=False), nn.ReLU(), nn.Linear(6, 2)
        )

    def discriminator() -> nn.Module:
        return nn.Sequential(nets.spectral_norm(nn.Linear(2, 6)), nn.LeakyReLU(0.2), nn.Linear(6, 1))

    game = Game(generator, discriminator, objective="hinge", penalties={"r1": 0.5})
    ring = data.get("ring8")
    result = run(game, ring, seeds=2, steps=12, batch=8, evaluation=16, dtype=torch.float64)
    made = result.experiment
    mapped = train(game, ring, made, dtype=torch.float64, keep_state=True, watch=False).samples
    for member in made.members():
        plain = reference.train(
            game, ring, seed=member.seed, steps=12, batch=8, numbers=member.numbers, dtype=torch.float64
        )
        for net, player in zip(plain[:2], ("generator", "discriminator"), strict=True):
            vector = nn.utils.parameters_to_vector(net.parameters()).detach().numpy()
            np.testing.assert_allclose(mapped[player][member.place], vector, rtol=1e-9, atol=1e-11)


def test_runs_on_unnamed_mixtures_or_in_another_precision_have_names_of_their_own() -> None:
    tiny = {"seeds": 1, "steps": 1, "hidden": (4,), "batch": 4, "evaluation": 8}
    near, far = (run("nsgan", data.mixtures.Mixture([[0, 0], [x, x]], 0.1), **tiny) for x in (1, 5))
    assert near.experiment.id != far.experiment.id
    single, double = (run("nsgan", "ring8", dtype=dtype, **tiny) for dtype in (torch.float32, torch.float64))
    assert single.experiment.id != double.experiment.id


def test_a_net_with_dice_of_its_own_is_refused() -> None:
    class Noisy(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x + 0.1 * torch.randn_like(x))

    game = Game(lambda: nn.Linear(3, 2), lambda: Noisy(2, 1))
    with pytest.raises(InputError, match="the discriminator draws random numbers of its own"):
        run(game, "ring8", seeds=1, steps=1, batch=4)


def test_batch_draws_are_cut_by_update() -> None:
    batch = Batch(torch.arange(6.0).view(3, 2, 1), torch.zeros(3, 2, 4), torch.zeros(3, 2, 0))
    assert batch.draw(1).real.flatten().tolist() == [2.0, 3.0]
