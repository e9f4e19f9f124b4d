"""Mapped = looped = the plain loop, and a seed alone = the same seed in a crowd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ganlab import data, nets, reference
from ganlab.experiment import Experiment
from ganlab.game import UPDATES, Batch, Game, initial
from ganlab.objectives import OBJECTIVES
from ganlab.optim import OPTIMIZERS
from ganlab.penalties import CONSTRAINTS, PENALTIES
from ganlab.registry import InputError
from ganlab.rng import PURPOSES, stream
from ganlab.train import BLOCK, build, draw, plan, run, train

STEPS = 12
SMALL = {"hidden": (6, 5), "batch": 8, "latent": 3, "evaluation": 16, "seeds": [0, 3], "steps": STEPS}

WEIGHTS = {"r1": 0.7, "r2": 0.4, "gradient_penalty": 0.5, "dragan": 2.0, "weight_clipping": 0.05}
GAMES = [
    *({"variant": name} for name in OBJECTIVES),
    *({"variant": "non_saturating", name: WEIGHTS[name]} for name in [*PENALTIES, *CONSTRAINTS]),
    *({"variant": "wasserstein", "gradient_penalty": 0.5, "n_critic": n} for n in (2, 3)),
    *({"variant": "hinge", "r1": 0.3, "update": name} for name in UPDATES),
    *(
        {"variant": "least_squares", "optimizer": name, "momentum": 0.5, "lr_discriminator": 2e-3}
        for name in OPTIMIZERS
    ),
]


def experiment(settings: dict, **more: object) -> Experiment:
    settings = {**SMALL, **settings, **more}
    return plan(settings.pop("variant"), "ring8", **settings)


def final(made: Experiment, engine: str) -> tuple[np.ndarray, np.ndarray]:
    result = train(*build(made), made, engine=engine, dtype=torch.float64, watch=False, keep_state=True)
    return result.samples["generator"], result.samples["discriminator"]


@pytest.mark.parametrize("settings", GAMES, ids=lambda s: "-".join(f"{k}={v}" for k, v in s.items()))
def test_mapped_looped_and_plain_training_agree(settings: dict) -> None:
    """In float64, where nothing but the order of sums may differ: 1e-10 after 12 steps of Adam."""
    made = experiment(settings)
    game, distribution = build(made)
    mapped, looped = final(made, "vmap"), final(made, "loop")
    for one, other in zip(mapped, looped, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)
    for member in made.members():
        plain = reference.train(
            game, distribution, seed=member.seed, steps=STEPS, batch=8, numbers=member.numbers, dtype=torch.float64
        )
        for net, vectors in zip(plain[:2], mapped, strict=True):
            vector = nn.utils.parameters_to_vector(net.parameters()).detach().numpy()
            np.testing.assert_allclose(vectors[member.place], vector, rtol=1e-10, atol=1e-12)


def test_training_moves_the_parameters() -> None:
    """Guards the tests above against agreeing on standing still."""
    made = experiment({"variant": "non_saturating"})
    game, _ = build(made)
    start = initial(game, 0).generator.parameters.numpy()
    assert np.abs(final(made, "vmap")[0][0] - start).max() > 1e-3


def test_a_seed_alone_and_in_a_crowd_sees_the_same_draws() -> None:
    game, distribution = build(experiment({"variant": "wgan_gp"}))
    alone = draw(game, distribution, {p: stream(3, p) for p in PURPOSES}, 8)
    crowd = [draw(game, distribution, {p: stream(s, p) for p in PURPOSES}, 8) for s in (0, 3, 9)]
    for one, other in zip(alone, crowd[1], strict=True):
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
    one = short.trace[["name", "index", "member", "step", "value"]]
    other = long.trace[long.trace["step"] <= BLOCK][["name", "index", "member", "step", "value"]]
    keys = ["name", "index", "member", "step"]
    np.testing.assert_array_equal(one.sort_values(keys)["value"], other.sort_values(keys)["value"])


def test_looking_changes_nothing() -> None:
    """Final parameters with probes at every step equal those without, bit for bit, for every variant."""
    for variant in ("nsgan", "wgan", "wgan_gp", "dragan", "rpgan_r1_r2"):
        made = experiment({"variant": variant}, every=1)
        seen, unseen = (train(*build(made), made, watch=watch, keep_state=True) for watch in (True, False))
        for player in ("generator", "discriminator"):
            assert (seen.samples[player] == unseen.samples[player]).all(), variant


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
    settings = {"variant": "lsgan", "optimizer": "sgd", "seeds": [0], "steps": 60, "lr_discriminator": 1e-3}
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
            self.calls = 0

        def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
            points = torch.randn(n, 2, generator=generator)
            if n == BLOCK * 2 * 8:  # a block of training draws: 2 updates a step, batch 8
                steps = points.view(BLOCK, 2, 8, 2)
                if self.calls == start // BLOCK:
                    steps[start % BLOCK, 0, 3] = float("nan")
                self.calls += 1
            return points

    result = run("nsgan", Poisoned(), seeds=1, steps=2 * BLOCK, hidden=(4,), batch=8, evaluation=16)
    assert list(result.outcome["status"]) == ["diverged"]
    assert (result.outcome["step"][0], result.outcome["place"][0]) == (start + 1, "discriminator loss")


def test_users_nets_train_mapped_as_in_a_plain_loop() -> None:
    def generator() -> nn.Module:
        return nn.Sequential(
            nn.Linear(3, 6, bias=False), nn.BatchNorm1d(6, track_running_stats=False), nn.ReLU(), nn.Linear(6, 2)
        )

    def discriminator() -> nn.Module:
        return nn.Sequential(nets.spectral_norm(nn.Linear(2, 6)), nn.LeakyReLU(0.2), nn.Linear(6, 1))

    game = Game(generator, discriminator, objective="hinge", penalties={"r1": 0.5})
    ring = data.get("ring8")
    result = run(game, ring, seeds=2, steps=STEPS, batch=8, evaluation=16, dtype=torch.float64)
    made = result.experiment
    mapped = train(game, ring, made, dtype=torch.float64, keep_state=True, watch=False).samples
    for member in made.members():
        plain = reference.train(
            game, ring, seed=member.seed, steps=STEPS, batch=8, numbers=member.numbers, dtype=torch.float64
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
