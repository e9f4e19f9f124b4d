"""The engine: compiled = mapped = one by one, what it decides and says, and how products are taken."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import fisher_exact
from torch import nn
from torch.func import grad

from ganlab import engine, reference
from ganlab.diagnoses import diagnose
from ganlab.engine import PRECISIONS, WORTH_COMPILING, Advance, Products, decide
from ganlab.experiment import Experiment
from ganlab.game import UPDATES
from ganlab.registry import InputError
from ganlab.train import build, plan, train
from ganlab.variants import VARIANTS

SMALL = {"hidden": (6, 5), "batch": 12, "latent": 3, "evaluation": 16, "seeds": [0, 3], "steps": 2, "epsilon": 1e-3}
"""An epsilon well above the rounding of small gradients, which Adam would else magnify to steps of its full rate."""

NAMED = [name for name in VARIANTS if not name.startswith("recipe:")]


def planned(variant: str, **settings: object) -> Experiment:
    return plan(variant, "ring8", **{**SMALL, **settings})


def final(made: Experiment, **how: object) -> tuple[np.ndarray, np.ndarray, dict]:
    run = train(*build(made), made, dtype=torch.float64, watch=False, keep_state=True, **how)
    return run.samples["generator"], run.samples["discriminator"], dict(run.environment)


def assert_same(made: Experiment) -> None:
    *mapped, _ = final(made, compiled=False)
    *compiled, environment = final(made, compiled=True)
    assert environment["compiled"], environment["compiled_because"]
    for one, other in zip(mapped, compiled, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


def assert_traced_alike(made: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced, the same operations run in the same order, so that nothing may differ."""
    mapped = train(*build(made), made, keep_state=True)
    monkeypatch.setattr(engine, "WORTH_TRACING", made.steps)
    traced = train(*build(made), made, keep_state=True)
    assert (mapped.environment["traced"], traced.environment["traced"]) == (False, True)
    assert traced.trace.equals(mapped.trace)
    for name in ("generator", "discriminator", "losses"):
        assert (traced.samples[name] == mapped.samples[name]).all(), name


@pytest.mark.parametrize("variant", ["nsgan", "r3gan", "acgan", "consensus", "unrolled1"])
@pytest.mark.parametrize("seeds", [[3], [0, 3]])
def test_the_traced_step_gives_the_bits_of_the_mapped_one(
    variant: str, seeds: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_traced_alike(planned(variant, seeds=seeds), monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("variant", NAMED)
def test_the_traced_step_of_every_variant_gives_the_bits_of_the_mapped_one(
    variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_traced_alike(planned(variant, steps=10), monkeypatch)


def test_in_bfloat16_the_traced_step_gives_the_bits_of_the_mapped_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert_traced_alike(planned("nsgan", precision="bfloat16"), monkeypatch)


def test_a_step_that_cannot_be_traced_runs_mapped_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a net that reads a number back from the graph, which has none yet."""

    def broken(function: object) -> None:
        raise RuntimeError("data-dependent flow")

    made = planned("nsgan")
    *mapped, _ = final(made)
    monkeypatch.setattr(engine, "WORTH_TRACING", 1)
    monkeypatch.setattr("torch.fx.experimental.proxy_tensor.make_fx", broken)
    *other, environment = final(made)
    assert not environment["traced"]
    assert environment["compiled_because"].endswith("; tracing failed (RuntimeError: data-dependent flow)")
    for one, two in zip(mapped, other, strict=True):
        assert (one == two).all()


@pytest.fixture
def traced_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph of plain operations, run as it is: all of compiling but the compiler."""
    monkeypatch.setattr("torch._inductor.compile", lambda graph, leaves: graph)


LONG = ("unrolled5", "unrolled10")
"""Variants whose step takes many seconds to trace; unrolled1 does the same once."""


@pytest.mark.usefixtures("traced_only")
@pytest.mark.parametrize("variant", [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in NAMED])
def test_the_traced_step_equals_the_mapped_one(variant: str) -> None:
    assert_same(planned(variant))


@pytest.mark.usefixtures("traced_only")
@pytest.mark.parametrize("update", UPDATES)
def test_the_traced_step_equals_the_mapped_one_under_every_update_rule(update: str) -> None:
    assert_same(planned("nsgan", update=update, r1=0.5, instance_noise=0.1, noise_steps=3.0, average=0.9, lookahead=2))


@pytest.mark.usefixtures("traced_only")
@pytest.mark.parametrize("how", [{}, {"fresh_discriminator": False}, {"n_critic": 2, "average": 0.9}])
def test_the_traced_step_of_a_frozen_generator_equals_the_mapped_one(how: dict[str, object]) -> None:
    assert_same(planned("nsgan", frozen_at=2, steps=4, **how))


@pytest.mark.compiles
@pytest.mark.parametrize("variant", NAMED)
def test_the_compiled_step_equals_the_mapped_one(variant: str) -> None:
    assert_same(planned(variant))


def test_the_compiled_step_of_one_variant_equals_the_mapped_one() -> None:
    """The real compiler once in the fast tests; all variants have a session of their own."""
    assert_same(planned("wgan_gp", n_critic=1))


def test_a_failure_to_compile_is_told_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(graph: object, leaves: object) -> None:
        raise RuntimeError("no working C++ compiler\nand a long story")

    made = planned("nsgan")
    *mapped, _ = final(made, compiled=False)
    monkeypatch.setattr("torch._inductor.compile", broken)
    *other, environment = final(made, compiled=True)
    assert not environment["compiled"]
    assert environment["compiled_because"] == "compiling failed (RuntimeError: no working C++ compiler)"
    for one, two in zip(mapped, other, strict=True):
        assert (one == two).all()


def test_what_compiles_and_does_not_run_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def unfit(*leaves: object) -> None:
        raise AssertionError("expected size 4==4, stride 32768==1024 at dim=0")

    monkeypatch.setattr("torch._inductor.compile", lambda graph, leaves: unfit)
    *_, environment = final(planned("nsgan", precision="bfloat16", seeds=4), compiled=True)
    assert (environment["compiled"], environment["group"]) == (False, 1)
    assert "AssertionError: expected size 4==4" in environment["compiled_because"]


def test_every_block_of_a_run_decides_alike() -> None:
    made = planned("nsgan", seeds=8)
    one, other = (train(*build(made), made, watch=False, places=places) for places in (range(2), range(2, 8)))
    assert one.environment["compiled_because"] == other.environment["compiled_because"]
    assert one.environment["compiled_because"].startswith("32 updates in all")


@pytest.mark.usefixtures("traced_only")
def test_members_with_numbers_of_their_own_are_compiled_once() -> None:
    made = planned("r1gan", r1=[0.0, 1.0], lr=[1e-3, 5e-3], lr_discriminator=1e-3)
    assert len(made.members()) == 8
    assert_same(made)


@pytest.mark.usefixtures("traced_only")
@pytest.mark.parametrize(("n", "group"), [(1, 1), (4, 4), (6, 3), (7, 1), (8, 4)])
def test_members_in_bfloat16_go_in_groups_of_one_size(n: int, group: int) -> None:
    """The same rounded factors, mapped and compiled: what differs is the order of float32 sums."""
    made = planned("nsgan", precision="bfloat16", seeds=n, steps=3)
    game, data = build(made)
    one, other = (train(game, data, made, compiled=c, watch=False, keep_state=True) for c in (True, False))
    assert one.environment["group"] == group
    for player in ("generator", "discriminator"):
        np.testing.assert_allclose(one.samples[player], other.samples[player], rtol=1e-3, atol=2e-4)


@pytest.mark.usefixtures("traced_only")
def test_a_compiled_member_that_diverges_is_found_and_leaves_the_others_alone() -> None:
    made = plan(
        "lsgan", "ring8", lr=[1e12, 1e-3], lr_discriminator=1e-3, optimizer="sgd",
        **{**SMALL, "seeds": [0], "steps": 40},
    )  # fmt: skip
    one, other = (train(*build(made), made, compiled=c, keep_state=True) for c in (True, False))
    assert list(one.outcome["status"]) == ["diverged", "finished"]
    assert one.outcome.equals(other.outcome)
    np.testing.assert_allclose(one.samples["generator"][1], other.samples["generator"][1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("engine", "device", "n", "wish", "wanted", "because"),
    [
        ("vmap", "cpu", WORTH_COMPILING - 1, None, False, "compiling pays from"),
        ("vmap", "cpu", WORTH_COMPILING, None, True, "updates in all"),
        ("vmap", "cpu", 1, True, True, "as asked for"),
        ("vmap", "cpu", 10 * WORTH_COMPILING, False, False, "as asked for"),
        ("loop", "cpu", 10 * WORTH_COMPILING, True, False, "one by one"),
        ("vmap", "cuda", 1, None, True, "launches"),
    ],
)
def test_compiling_is_decided_by_the_amount_of_work(
    engine: str, device: str, n: int, wish: bool | None, wanted: bool, because: str
) -> None:
    decision, reason = decide(engine, device, n, wish)
    assert decision == wanted
    assert because in reason


def test_an_error_in_the_loop_names_the_member() -> None:
    def step(state: torch.Tensor, batch: torch.Tensor, numbers: dict) -> tuple:
        if numbers["lr"] > 1:
            raise ValueError("too fast")
        return state, state.sum()

    advance = Advance(step, {"lr": torch.tensor([0.5, 2.0])}, engine="loop")
    with pytest.raises(ValueError, match="too fast") as caught:
        advance(torch.zeros(2, 3), torch.zeros(2, 1, 4), 0, 1)
    assert caught.value.__notes__ == ["while training member 1"]


def test_unknown_precision_engine_and_type_are_refused() -> None:
    for name, wrong, near in (("precision", "bfloat", "bfloat16"), ("engine", "vmop", "vmap"), ("dtype", "float23", "float32")):
        with pytest.raises(InputError, match=f"unknown {name} '{wrong}'; did you mean '{near}'"):
            planned("nsgan", **{name: wrong})


# --- products ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_in", "n_out"), [(1, 5), (2, 5), (5, 1), (5, 2), (2, 2), (5, 7)])
@pytest.mark.parametrize("bias", [True, False])
def test_joined_products_are_those_of_a_linear_layer_with_their_gradients(n_in: int, n_out: int, bias: bool) -> None:
    layer = nn.Linear(n_in, n_out, bias=bias, dtype=torch.float64)
    x = torch.randn(4, n_in, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def value(x: torch.Tensor) -> torch.Tensor:
        return layer(x).sin().sum()

    wanted = layer(x), grad(value)(x)
    with Products(joined=True):
        found = layer(x), grad(value)(x)
    for one, other in zip(wanted, found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("layer", [nn.Linear(6, 5), nn.Conv2d(3, 4, 3, padding=1), nn.ConvTranspose2d(3, 4, 4, 2, 1)], ids=str)
def test_bfloat16_products_round_their_factors_and_nothing_else(layer: nn.Module) -> None:
    """A sum of products of rounded factors: 8 bits each, so a relative error of 2^-8 of the terms; the result is float32."""
    shape = (4, 6) if isinstance(layer, nn.Linear) else (4, 3, 6, 6)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    full = layer(x)
    with Products("bfloat16"):
        half = layer(x)
    assert half.dtype == layer.weight.dtype == torch.float32
    assert 0 < (full - half).abs().max() < 0.05
    assert torch.equal(layer(x), full)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_precision_is_part_of_a_run_and_recorded(precision: str) -> None:
    made = planned("nsgan", precision=precision)
    run = train(*build(made), made, watch=False, keep_state=True)
    assert run.environment["precision"] == precision
    assert (made.id == planned("nsgan").id) == (precision == "full")
    assert np.isfinite(run.samples["generator"]).all()
    assert run.samples["generator"].dtype == np.float32


def failures(steps: int, **more: object) -> int:
    """Return how many of 16 seeds collapse."""
    settings = {"seeds": 16, "steps": steps, "every": 160, "hidden": (32, 32), "batch": 64, "latent": 8, "lr": 3e-3}
    settings |= {"activation": "tanh", "beta2": 0.99, "evaluation": 1000}
    made = plan("nsgan", "ring8", **{**settings, **more})
    return diagnose(train(*build(made), made))["mode_collapse"].failures


def differ(a: int, b: int) -> bool:
    """Return whether two rates of 16 differ by Fisher's exact test at 1 %."""
    return fisher_exact([[a, 16 - a], [b, 16 - b]]).pvalue < 0.01


@pytest.mark.slow
def test_bfloat16_products_do_not_move_the_rate_of_collapse() -> None:
    """After 1600 steps about half of these seeds collapse, as the modes begin to flicker, in either precision."""
    full, half = failures(1600), failures(1600, precision="bfloat16")
    assert not differ(full, half), (full, half)
    assert 0 < full < 16


@pytest.mark.slow
def test_the_comparison_above_sees_a_difference_where_there_is_one() -> None:
    """After 800 steps nearly none has collapsed, and with a discriminator that hardly learns nearly all have."""
    assert differ(failures(800), failures(800, lr_discriminator=1e-5))


# --- with a GPU ----------------------------------------------------------------------------------------------------------

cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")


@cuda
@pytest.mark.parametrize("variant", ["nsgan", "wgan_gp", "r1gan"])
def test_on_a_gpu_the_captured_step_equals_the_mapped_one(variant: str) -> None:
    assert_same(planned(variant, device="cuda"))


@cuda
def test_a_gpu_gives_a_seed_the_same_draws_in_any_crowd() -> None:
    alone, crowd = (final(planned("nsgan", device="cuda", seeds=seeds))[0] for seeds in ([3], [0, 3, 9]))
    np.testing.assert_allclose(alone[0], crowd[1], rtol=1e-9)


@cuda
@pytest.mark.parametrize("variant", ["nsgan", "wgan_gp", "unrolled5"])
def test_on_a_gpu_the_captured_step_equals_the_plain_loop(variant: str) -> None:
    made = planned(variant, device="cuda", seeds=[3], steps=11)  # one launch of several steps, and single ones
    game, data = build(made)
    settings = {"batch": made.settings["batch"], "numbers": made.members()[0].numbers, "device": "cuda"}
    plain = reference.train(game, data, seed=3, steps=11, dtype=torch.float64, **settings)
    for found, net in zip(final(made)[:2], (plain.generator, plain.discriminator), strict=True):
        wanted = torch.cat([p.detach().flatten() for p in net.parameters()]).cpu().numpy()
        np.testing.assert_allclose(found[0], wanted, rtol=1e-8, atol=1e-10)


@cuda
def test_a_watched_run_on_a_gpu_has_verdicts_and_dates_its_faults() -> None:
    settings = {"optimizer": "sgd", "lr": [1e-3, 1e12], "lr_discriminator": 1e-3, "steps": 70, "every": 35, "device": "cuda"}
    made = planned("lsgan", **settings)
    run = train(*build(made), made)
    assert run.environment["compiled"], run.environment["compiled_because"]
    assert sorted(run.outcome["status"]) == ["diverged", "diverged", "finished", "finished"]
    assert run.outcome["step"].dropna().max() < 35
    assert diagnose(run)["mode_collapse", "lr=1e+12"].failures == 2
