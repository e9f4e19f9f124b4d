"""The recorder: sees what our own probes see, moves nothing in the user's program, and never stops it."""

from __future__ import annotations

import errno
import random
import resource
import shutil
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, spectral_norm
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import ganlab
from ganlab import Recorder, borrowed, looks, recorder, rng
from ganlab.borrowed import BorrowedGame, BorrowedView
from ganlab.diagnoses import verdicts_of
from ganlab.game import Batch, Game
from ganlab.look import examples_of
from ganlab.probes import PROBES, View
from ganlab.registry import InputError


def mlp(n_in: int, n_out: int, *last: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(n_in, 16), nn.LeakyReLU(0.2), nn.Linear(16, n_out), *last)


# --- nets of every style, and a loop that trains them -------------------------------------------------------------------


class Conditional(nn.Module):
    """Takes labels beside latent or sample."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.embed, self.net = nn.Embedding(3, 4), mlp(n_in + 4, n_out)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        made: Tensor = self.net(torch.cat([x, self.embed(label)], 1))
        return made


class Sequence(nn.Module):
    """Reads or writes a sequence, with an LSTM."""

    def __init__(self, n_in: int, n_out: int, reads: bool) -> None:
        super().__init__()
        self.lstm, self.head, self.reads = nn.LSTM(n_in, 8, batch_first=True), nn.Linear(8, n_out), reads

    def forward(self, x: Tensor) -> Tensor:
        steps = x if self.reads else x[:, None].expand(-1, 5, -1)
        hidden = self.lstm(steps)[0]
        out: Tensor = self.head(hidden[:, -1] if self.reads else hidden)
        return out


class Restless(nn.Module):
    """Draws numbers of its own from every global stream, and keeps what it saw in attributes."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.net, self.calls, self.seen = mlp(n_in, n_out), 0, torch.zeros(1)

    def forward(self, x: Tensor) -> tuple[Tensor, str]:
        self.calls += 1
        self.seen = x.detach().mean()
        noise = float(np.random.standard_normal()) + random.random()  # noqa: NPY002
        return self.net(x + 1e-3 * noise * torch.randn_like(x)), "a label"


def dcgan(wrap: Callable[[nn.Module], nn.Module] = lambda layer: layer) -> tuple[nn.Module, nn.Module]:
    generator = nn.Sequential(
        nn.ConvTranspose2d(6, 8, 4), nn.BatchNorm2d(8), nn.ReLU(), nn.ConvTranspose2d(8, 1, 4, 2, 1), nn.Tanh()
    )
    discriminator = nn.Sequential(
        wrap(nn.Conv2d(1, 8, 4, 2, 1)), nn.BatchNorm2d(8), nn.LeakyReLU(0.2), nn.Dropout2d(0.3), wrap(nn.Conv2d(8, 1, 4))
    )
    return generator, discriminator


STYLES: dict[str, tuple[Callable[[], tuple[nn.Module, nn.Module]], tuple[int, ...], tuple[int, ...], bool]] = {
    "plain": (lambda: (mlp(6, 2), mlp(2, 1)), (6,), (2,), False),
    "sigmoid": (lambda: (mlp(6, 2), mlp(2, 1, nn.Sigmoid())), (6,), (2,), False),
    "dcgan": (dcgan, (6, 1, 1), (1, 8, 8), False),
    "spectral_norm": (lambda: dcgan(spectral_norm), (6, 1, 1), (1, 8, 8), False),
    "parametrized": (lambda: dcgan(parametrizations.spectral_norm), (6, 1, 1), (1, 8, 8), False),
    "conditional": (lambda: (Conditional(6, 2), Conditional(2, 1)), (6,), (2,), True),
    "sequences": (lambda: (Sequence(6, 2, False), Sequence(2, 1, True)), (6,), (5, 2), False),
    "restless": (lambda: (Restless(6, 2), Restless(2, 1)), (6,), (2,), False),
    "wrapped": (lambda: (nn.DataParallel(mlp(6, 2)), nn.DataParallel(mlp(2, 1))), (6,), (2,), False),
    "scaler": (lambda: (mlp(6, 2), mlp(2, 1)), (6,), (2,), False),
}
"""Nets, shape of a latent, shape of a sample, and whether they are given labels."""


def first(output: Any) -> Tensor:
    found: Tensor = output[0] if isinstance(output, tuple) else output
    return found


Watched = Callable[[int, Tensor, tuple[Tensor, ...], Tensor, Tensor], Any]


def loop(style: str, steps: int = 12, attach: Callable[[nn.Module, nn.Module], Watched] | None = None) -> dict[str, Any]:
    """Train nets of a style as a user would, and return all that may have been moved.

    The style "scaler" trains in half precision, with losses scaled so far up that its first steps overflow and are left out.
    """
    build, z_shape, shape, labelled = STYLES[style]
    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    generator, discriminator = build()
    nets = {"generator": generator, "discriminator": discriminator}
    optimisers = {role: torch.optim.Adam(net.parameters(), 1e-2) for role, net in nets.items()}
    bce = nn.BCELoss() if style == "sigmoid" else nn.BCEWithLogitsLoss()
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**20, growth_interval=3, enabled=style == "scaler")
    half = torch.autocast("cpu", torch.float16, enabled=style == "scaler")
    watched = attach(generator, discriminator) if attach else None
    for step in range(steps):
        real, label = torch.randn(8, *shape).clamp(-1, 1), (torch.randint(3, (8,)),) if labelled else ()
        with half:
            fake = first(generator(torch.randn(8, *z_shape), *label))
            of_real, of_fake = (first(discriminator(x, *label)).reshape(-1) for x in (real, fake.detach()))
            d_loss = bce(of_real, torch.ones(8)) + bce(of_fake, torch.zeros(8))
        optimisers["discriminator"].zero_grad()
        scaler.scale(d_loss).backward()
        scaler.step(optimisers["discriminator"])
        with half:
            g_loss = bce(first(discriminator(fake, *label)).reshape(-1), torch.ones(8))
        optimisers["generator"].zero_grad()
        scaler.scale(g_loss).backward()
        scaler.step(optimisers["generator"])
        scaler.update()
        if watched:
            watched(step, real, label, d_loss, g_loss)
    left: dict[str, Any] = {"torch": torch.get_rng_state(), "numpy": np.random.get_state()[1], "random": random.getstate()}  # type: ignore[index]  # noqa: NPY002
    left |= {f"scaler {name}": value for name, value in scaler.state_dict().items()}
    for role, net in nets.items():
        kept = enumerate(optimisers[role].state.values())
        left |= {f"{role} optimiser {i} {name}": value for i, state in kept for name, value in state.items()}
        left |= {f"{role} {name}": p for name, p in net.state_dict().items()}
        left |= {f"{role} gradient {name}": p.grad for name, p in net.named_parameters()}
        left |= {f"{role} mode {name}": part.training for name, part in net.named_modules()}
        left |= {f"{role} {name}": part.seen for name, part in net.named_modules() if isinstance(part, Restless)}
        left |= {f"{role} {name} calls": part.calls for name, part in net.named_modules() if isinstance(part, Restless)}
    return left


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    def equal(x: Any, y: Any) -> bool:
        if isinstance(x, Tensor):
            return torch.equal(x, y)
        return bool(np.array_equal(x, y)) if isinstance(x, np.ndarray) else bool(x == y)

    return list(a) == list(b) and all(equal(a[name], b[name]) for name in a)


def recorded(style: str, seen: list[Recorder], **settings: Any) -> Callable[[nn.Module, nn.Module], Watched]:
    """Return what attaches a recorder with these settings to nets of a style."""
    _, z_shape, shape, labelled = STYLES[style]
    points = torch.randn(60, *shape, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    data: Any = (points, torch.arange(60) % 3) if labelled else points

    def attach(generator: nn.Module, discriminator: nn.Module) -> Watched:
        usual: dict[str, Any] = {"data": data, "latent": z_shape, "every": 3, "cost": 1, "evaluation": 60}
        one = Recorder(generator, discriminator, **usual | settings)
        seen.append(one)
        return lambda step, real, label, d, g: one.record(step, real=real, inputs=label, d_loss=d, g_loss=g)

    return attach


@pytest.mark.parametrize("style", STYLES)
def test_recording_moves_nothing(style: str) -> None:
    seen: list[Recorder] = []
    assert same(loop(style, attach=recorded(style, seen, check=True)), loop(style))
    assert not seen[0].fault
    assert seen[0].mistakes == []
    run = seen[0].run
    assert run.trace["step"].unique().tolist() == [0, 3, 6, 9, 11]
    assert np.isfinite(run.trace.loc[run.trace["name"] == "signal_reach", "value"]).all()


def test_the_comparison_would_see_a_look_that_moves_something() -> None:
    def attach(generator: nn.Module, discriminator: nn.Module) -> Watched:
        return lambda *_: generator(torch.zeros(2, 6))

    assert not same(loop("restless", attach=attach), loop("restless"))


@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16)])
def test_it_looks_whatever_surrounds_the_call(around: Callable[[], Any]) -> None:
    seen: list[Recorder] = []
    attach = recorded("dcgan", seen)

    def inside(generator: nn.Module, discriminator: nn.Module) -> Watched:
        watched = attach(generator, discriminator)

        def call(*told: Any) -> None:
            with around():
                watched(*told)

        return call

    assert same(loop("dcgan", attach=inside), loop("dcgan"))
    assert not seen[0].fault
    alone: list[Recorder] = []
    loop("dcgan", attach=recorded("dcgan", alone))
    np.testing.assert_array_equal(seen[0].run.trace["value"], alone[0].run.trace["value"])


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")  # dynamo's own
@pytest.mark.parametrize("part", [False, True], ids=["whole nets", "a part of each"])
def test_compiled_nets_are_read_and_compiled_no_further(part: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[int] = []

    def backend(graph: torch.fx.GraphModule, _: Any) -> Callable[..., Any]:
        compiled.append(1)
        return graph.forward

    def compile_(net: nn.Module) -> Any:
        return torch.compile(net, backend=backend)

    build, *rest = STYLES["plain"]

    def built() -> tuple[nn.Module, nn.Module]:
        one, other = (nn.Sequential(compile_(net[:2]), *net[2:]) if part else compile_(net) for net in build())  # type: ignore[index]
        return one, other

    monkeypatch.setitem(STYLES, "compiled", (built, *rest))  # type: ignore[arg-type]
    try:
        plain = loop("compiled")
        n, seen = len(compiled), []  # type: ignore[var-annotated]
        torch._dynamo.reset()
        assert same(loop("compiled", attach=recorded("compiled", seen)), plain)
    finally:
        torch._dynamo.reset()
    assert n > 0
    assert len(compiled) == 2 * n
    assert not seen[0].fault


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch was built without distributed")
def test_nets_wrapped_for_several_processes_are_read(tmp_path: Path) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    build, *rest = STYLES["plain"]
    wrap = torch.nn.parallel.DistributedDataParallel
    STYLES["distributed"] = (lambda: tuple(wrap(net) for net in build()), *rest)  # type: ignore[arg-type]
    seen: list[Recorder] = []
    try:
        assert same(loop("distributed", attach=recorded("distributed", seen)), loop("distributed"))
    finally:
        del STYLES["distributed"]
        torch.distributed.destroy_process_group()
    assert not seen[0].fault


def test_nets_in_half_precision_are_read() -> None:
    generator, discriminator = mlp(6, 2).bfloat16(), mlp(2, 1).bfloat16()
    one = Recorder(generator, discriminator, data="ring8", latent=6, every=1)
    one.record(0)
    assert not one.fault
    assert one.run.environment["dtype"] == "bfloat16"


def test_it_sees_what_our_own_probes_see() -> None:
    generator, discriminator = mlp(6, 2), mlp(2, 1)
    game, own = BorrowedGame(generator, discriminator), Game(lambda: mlp(6, 2), lambda: mlp(2, 1), latent=6)
    state = game.state()
    data = ganlab.data.get("ring8")
    stream = rng.stream(0, "evaluation")
    batch = Batch(data.sample(32, stream), rng.normal((32, 6), stream), torch.empty(0))
    real = data.sample(64, stream)
    theirs = BorrowedView(game, state, batch._replace(latent=(batch.latent,)), (), {}, data, real)  # type: ignore[arg-type]
    view = View(own, state, batch, batch.latent, {}, data, real)
    compared = 0
    for entry in PROBES.entries():
        if entry.facts["reads"] == "players" and not entry.facts.get("needs"):
            for key, value in entry.thing(view).items():
                torch.testing.assert_close(entry.thing(theirs)[key], value, rtol=1e-4, atol=1e-6)
                compared += 1
    assert compared > 15


# --- what it says ----------------------------------------------------------------------------------------------------------


class OfTheRing(nn.Module):
    """Draws from the ring of 8 modes: all of them, or some."""

    def __init__(self, modes: int = 8) -> None:
        super().__init__()
        self.data, self.modes = ganlab.data.get("ring8"), modes
        self.shift = nn.Parameter(torch.zeros(2))

    def forward(self, z: Tensor) -> Tensor:
        turn = torch.distributions.Normal(0.0, 1.0).cdf(z[:, 0])
        centre = self.data.modes.float()[(turn * self.modes).long().clamp(max=self.modes - 1)]
        made: Tensor = centre + self.data.std[0].float() * z[:, 1:3] + self.shift
        return made


@pytest.mark.parametrize(("modes", "verdict"), [(8, "absent"), (5, "present")])
def test_a_generator_that_misses_modes_is_told_from_one_that_does_not(modes: int, verdict: str) -> None:
    with Recorder(OfTheRing(modes), mlp(2, 1), data="ring8", latent=3, every=10, cost=1) as one:
        for step in range(101):
            one.record(step)
    found = one.verdicts()
    assert found["mode_collapse"].verdict == verdict
    assert ("3 of 8 modes" in found["mode_collapse"].evidence) == (modes == 5)
    assert {found[code].verdict for code in ("divergence", "non_convergence", "vanishing_gradients")} == {"absent"}
    assert "at one seed" in repr(found)
    assert ganlab.diagnose(one.run)["mode_collapse"].verdict == "inconclusive"  # the rate over seeds


@pytest.mark.parametrize(("modes", "verdict"), [(8, "absent"), (3, "present")])
def test_without_known_modes_it_is_held_against_real_samples(modes: int, verdict: str) -> None:
    points = ganlab.data.get("ring8").sample(4000, rng.stream(5, "data"))
    with Recorder(OfTheRing(modes), mlp(2, 1), data=points, latent=3, every=10, cost=1) as one:
        for step in range(51):
            one.record(step)
    assert one.verdicts()["mode_collapse"].verdict == verdict
    assert {"ndb", "coverage", "near_share"} <= set(one.run.trace["name"])


def test_samples_that_are_merely_bad_are_no_failure_and_are_not_passed_over() -> None:
    """Noise far from the data, as diverse as they are: it is neither of the failures, and nobody should think it is good."""
    points = ganlab.data.get("ring8").sample(4000, rng.stream(5, "data"))
    far = OfTheRing(8)
    far.shift.data.fill_(9.0)
    one, good = (
        Recorder(generator, mlp(2, 1), data=points, latent=3, every=1, cost=1, name="far") for generator in (far, OfTheRing(8))
    )
    for step in range(30):
        one.record(step)
        good.record(step)
    assert one.verdicts()["mode_collapse"].verdict == good.verdicts()["mode_collapse"].verdict == "absent"
    assert one.verdicts().line().endswith("; 0% of samples near the data")
    assert "Quality: 0% of samples near the data. Bad samples are by themselves no failure." in repr(one.verdicts())
    assert int(good.verdicts().quality.partition("%")[0]) > 80


class Sure(nn.Module):
    """Knows the generator's samples, and gives it nothing: steep between, flat at both."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(60.0))

    def forward(self, x: Tensor) -> Tensor:
        return (10 - x[:, :1]) * self.scale


def test_vanishing_gradients_depend_on_the_objective() -> None:
    points = torch.randn(2000, 2, generator=torch.Generator().manual_seed(0))
    generator = mlp(3, 2)
    with torch.no_grad():
        generator[-1].bias.add_(20)
    found = {}
    for objective in ("minimax", "non_saturating"):
        with Recorder(generator, Sure(), data=points, objective=objective, latent=3, every=1, cost=1) as one:
            for step in range(20):
                one.record(step)
        found[objective] = one.verdicts()["vanishing_gradients"].verdict
    assert found == {"minimax": "present", "non_saturating": "absent"}


class Nearest(nn.Module):
    """Knows some points by heart: the nearer to one of them, the realer."""

    def __init__(self, points: Tensor) -> None:
        super().__init__()
        self.points, self.scale = points, nn.Parameter(torch.tensor(1.0))

    def forward(self, x: Tensor) -> Tensor:
        return -self.scale * torch.cdist(x, self.points).amin(1)


class Copies(nn.Module):
    """Makes the points that it knows by heart, or fresh ones of the same law."""

    def __init__(self, points: Tensor | None) -> None:
        super().__init__()
        self.points, self.shift = points, nn.Parameter(torch.zeros(()))

    def forward(self, z: Tensor) -> Tensor:
        made: Tensor = z + self.shift
        return made if self.points is None else self.points[(z[:, 0].abs() * 1e6).long() % len(self.points)] + self.shift


@pytest.mark.parametrize(("copies", "verdict"), [(True, "present"), (False, "absent")])
def test_held_out_data_tell_who_knows_training_data_by_heart(copies: bool, verdict: str) -> None:
    dice = torch.Generator().manual_seed(2)
    train, held_out = torch.randn(300, 4, generator=dice), torch.randn(1500, 4, generator=dice)
    other = torch.randn(300, 4, generator=dice)
    nets = Copies(train if copies else None), Nearest(train if copies else other)
    with Recorder(*nets, data=train, held_out=held_out, latent=4, every=1, cost=1) as one:
        for step in range(12):
            one.record(step)
        assert one.verdicts()["memorisation"].verdict == verdict  # at any step, and not at the end alone
    for found in (one.verdicts(), verdicts_of(one.run)):
        assert found["memorisation"].verdict == verdict
        assert found["discriminator_overfitting"].verdict == verdict


@pytest.mark.parametrize(("turns", "verdict"), [(True, "present"), (False, "absent")])
def test_a_generator_that_turns_over_modes_does_not_converge(turns: bool, verdict: str) -> None:
    generator = OfTheRing()
    with Recorder(generator, mlp(2, 1), data="ring8", latent=3, every=1, cost=1) as one:
        for step in range(40):
            if turns:
                generator.data.modes = generator.data.modes.roll(1, 0)
                generator.modes = 4
            one.record(step)
    assert one.verdicts()["non_convergence"].verdict == verdict


@pytest.mark.parametrize("last", [nn.Sigmoid(), nn.Sequential(nn.Sigmoid(), nn.Flatten(0))])
def test_probabilities_are_read_as_logits(last: nn.Module) -> None:
    generator, body = mlp(6, 2), mlp(2, 1)
    runs = []
    for discriminator in (body, nn.Sequential(body, last)):
        one = Recorder(generator, discriminator, data="ring8", latent=6, every=1, cost=1)
        one.record(0)
        runs.append(one.run.trace.set_index(["name", "index"])["value"])
    for name in ("separation", "real_logit_mean", "signal_reach", "generator_loss", "generator_gradient"):
        assert runs[0][name, ""] == pytest.approx(runs[1][name, ""], rel=1e-3), name


def test_a_critic_that_ends_in_a_sigmoid_is_taken_as_it_is() -> None:
    one = Recorder(mlp(6, 2), mlp(2, 1, nn.Sigmoid()), data="ring8", objective="wasserstein", latent=6, every=1)
    one.record(0)
    assert 0 <= float(one.run.trace.set_index("name")["value"]["real_logit_mean"]) <= 1


def test_a_loss_that_is_not_finite_is_an_outcome_even_if_the_loop_repairs_it() -> None:
    one = Recorder(OfTheRing(), mlp(2, 1), data="ring8", latent=3, every=10, cost=1)
    for step in range(61):
        one.record(step, d_loss=torch.tensor(float("nan") if step == 37 else 0.5), g_loss=0.7)
    assert one.run.outcome.loc[0, ["status", "step", "place"]].tolist() == ["diverged", 37, "discriminator loss"]
    assert one.verdicts()["divergence"].verdict == "present"
    assert one.verdicts()["divergence"].onset == 37


def test_a_weight_that_is_not_finite_is_named() -> None:
    discriminator = mlp(2, 1)
    one = Recorder(mlp(3, 2), discriminator, data="ring8", latent=3, every=10, cost=1)
    for step in range(21):
        if step == 15:
            with torch.no_grad():
                discriminator[2].bias.fill_(torch.inf)
        one.record(step)
    assert one.run.outcome.loc[0, ["status", "step", "place"]].tolist() == ["diverged", 20, "discriminator layer 2.bias"]


def test_told_losses_stand_in_place_of_the_objective() -> None:
    one = Recorder(mlp(3, 2), mlp(2, 1), data="ring8", latent=3, every=2, cost=1)
    for step in range(5):
        one.record(step, d_loss=torch.tensor([1.0, 3.0]), g_loss=torch.tensor(13.82))
    last = one.run.trace.set_index(["name", "step"])["value"]
    assert last["discriminator_loss", 4] == 2
    assert last["generator_loss", 4] == pytest.approx(13.82)
    assert one.run.samples["losses"].tolist() == [[[2.0, pytest.approx(13.82)]] * 5]


def test_verdicts_stop_a_loop_and_are_called_back() -> None:
    told: list[str] = []
    one = Recorder(
        OfTheRing(3), mlp(2, 1), data="ring8", latent=3, every=1, cost=1,
        stop_when="mode_collapse", on_verdict=lambda verdicts: told.append(verdicts.line()),
    )  # fmt: skip
    stopped = next(step for step in range(100) if one.record(step))
    assert stopped < 20
    assert told[-1].startswith("mode collapse since step")


def test_status_lines_are_plain_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    one = Recorder(OfTheRing(3), mlp(2, 1), data="ring8", latent=3, every=1, cost=1, status=True)
    for step in range(40):
        one.record(step)
    said = capsys.readouterr().err
    assert "mode collapse since step" in said
    assert "\x1b" not in said
    assert "\r" not in said
    assert len(said.splitlines()) < 6


# --- data, latents, steps ---------------------------------------------------------------------------------------------------


class Words(Dataset[str]):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, i: int) -> str:
        return "word"


class Endless(IterableDataset[Tensor]):
    def __iter__(self) -> Iterator[Tensor]:
        yield from iter(lambda: torch.zeros(2), None)


def points(n: int = 1200) -> Tensor:
    return ganlab.data.get("ring8").sample(n, rng.stream(3, "data"))


@pytest.mark.parametrize(
    "data",
    [
        points(), points().numpy(), TensorDataset(points()), TensorDataset(points(), torch.zeros(1200)),
        DataLoader(TensorDataset(points()), 32),
    ],
    ids=["tensor", "array", "dataset", "labelled dataset", "loader"],
)
def test_data_come_in_many_forms(data: Any) -> None:
    nets, before = (mlp(3, 2), mlp(2, 1)), torch.get_rng_state()
    one = Recorder(*nets, data=data, latent=3, every=1, cost=1)
    assert torch.equal(before, torch.get_rng_state())
    one.record(0)
    assert not one.fault
    assert one.run.experiment.data == examples_of(points(), None).data.name


def test_without_data_it_takes_the_first_real_samples() -> None:
    one = Recorder(mlp(3, 2), mlp(2, 1), latent=3, every=5, cost=1)
    for step in range(60):
        one.record(step, real=points(64) + step)
    looked = one.run.trace["step"].unique()
    assert looked[0] == 15  # 1024 samples are at hand
    assert set(np.diff(looked)) == {4, 5}
    assert one.run.trace["step"].max() == 59


def test_a_short_loop_is_held_against_the_few_real_samples_there_were() -> None:
    one = Recorder(mlp(3, 2), mlp(2, 1), latent=3)
    for step in range(3):
        one.record(step, real=points(64))
    assert one.run.trace["step"].unique().tolist() == [2]


def test_no_sample_is_generated_alone() -> None:
    """Batch norm in training cannot do with one."""
    one = Recorder(*dcgan(), data=torch.randn(50, 1, 8, 8).clamp(-1, 1), every=1, evaluation=17)
    one.record(0, real=torch.zeros(8, 1, 8, 8))
    assert not one.fault


def test_images_may_be_flat_for_the_nets() -> None:
    images = torch.rand(300, 1, 4, 4)
    one = Recorder(mlp(3, 16), mlp(16, 1), data=images, latent=3, every=1, cost=1)
    one.record(0)
    assert one.run.samples["generated"].shape[3:] == (1, 4, 4)


@pytest.mark.parametrize("latent", [3, (3,), lambda n: torch.randn(n, 3), torch.randn(50, 3), None])
def test_latents_come_in_many_forms_and_stay_the_same(latent: Any) -> None:
    one = Recorder(mlp(3, 2), mlp(2, 1), data="ring8", latent=latent, every=1, cost=1)
    for step in range(3):
        one.record(step)
    assert not one.fault
    assert trace_of(one, "motion") == [0, 0, 0]


def trace_of(one: Recorder, name: str) -> list[float]:
    table = one.run.trace
    return list(table.loc[table["name"] == name, "value"])


def test_the_size_of_a_latent_is_read_off_a_transposed_convolution() -> None:
    one = Recorder(*dcgan(), data=torch.randn(50, 1, 8, 8), every=1)
    assert one.record(0) is False
    assert not one.fault


def test_steps_that_do_not_rise_are_counted() -> None:
    """As when a loop counts batches anew in each epoch."""
    one = Recorder(mlp(3, 2), mlp(2, 1), data="ring8", latent=3, every=4, cost=1)
    for _ in range(3):
        for i in range(5):
            one.record(i)
    assert one.run.trace["step"].unique().tolist() == [0, 4, 8, 12, 14]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objective": "wasserstien"}, "unknown objective 'wasserstien'; did you mean 'wasserstein'"),
        ({"latent": 4}, r"cannot be called with latents \(8, 4\)"),
        ({"latent": 0}, "latent must be the size"),
        ({"latent": "big"}, "latent must be the size"),
        ({"data": torch.randn(50, 3)}, r"makes samples \(8, 2\), but real ones are \[n, 3\]"),
        ({"data": "ring9"}, "unknown data distribution 'ring9'"),
        ({"data": (torch.randn(50, 2), torch.zeros(49))}, "as many conditions as real samples, 50; got 49"),
        ({"data": Words()}, "must be tensors of one shape; the first is a str"),
        ({"data": Endless()}, "a dataset without a length cannot be looked at beforehand"),
        ({"every": 0}, "every must be a whole number of at least 1"),
        ({"cost": 0}, "above 0 and at most 1; got 0"),
        ({"stop_when": "colapse"}, "unknown diagnosis 'colapse'"),
        ({"evaluation": 1}, "evaluation must be"),
        ({"seed": -1}, "seed must be"),
        ({"generator": "a net"}, "the generator must be an nn.Module; got str"),
        ({"check": 0}, "check must be a whole number of at least 1; got 0"),
        ({"generator": nn.Identity()}, "no parameters"),
        ({"discriminator": nn.LazyLinear(1)}, "has no shape yet"),
        ({"held_out": torch.zeros(3, 2)}, "held_out= goes with data"),
    ],
)
def test_what_does_not_fit_is_said_before_training(settings: dict[str, Any], message: str) -> None:
    usual: dict[str, Any] = {"generator": mlp(3, 2), "discriminator": mlp(2, 1), "data": "ring8", "latent": 3}
    with pytest.raises(InputError, match=message):
        Recorder(**usual | settings)


def test_batch_norm_that_waits_for_other_processes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    nets = nn.Sequential(nn.Linear(3, 2), nn.SyncBatchNorm(2)), mlp(2, 1)
    monkeypatch.setattr("ganlab.borrowed._distributed", lambda: True)
    for n, refused in ((1, False), (2, True)):
        monkeypatch.setattr(torch.distributed, "get_world_size", lambda n=n: n)
        if refused:
            with pytest.raises(InputError, match="would wait for the others"):
                BorrowedGame(*nets)
        else:
            BorrowedGame(*nets)


def test_nothing_seen_is_said() -> None:
    with pytest.raises(InputError, match="nothing was seen of 'mine' yet; give data="):
        _ = Recorder(mlp(3, 2), mlp(2, 1), latent=3, name="mine").run


# --- it never hurts ----------------------------------------------------------------------------------------------------------


def raising(*_: Any, **__: Any) -> Any:
    raise RuntimeError("out of luck")


@pytest.mark.parametrize("broken", ["look", "against", "verdicts_of", "run_of"])
def test_what_raises_inside_is_said_once_and_training_goes_on(
    broken: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Recorder] = []
    attach = recorded("dcgan", seen, stop_when="divergence")

    def late(generator: nn.Module, discriminator: nn.Module) -> Watched:
        watched = attach(generator, discriminator)
        monkeypatch.setattr(recorder, broken, raising)
        return watched

    assert same(loop("dcgan", attach=late), loop("dcgan"))
    assert seen[0].fault == "RuntimeError: out of luck"
    assert len([said for said in caplog.messages if "stands aside" in said]) == 1


def test_a_net_that_fails_when_looked_at_leaves_all_as_it_was() -> None:
    """In the middle of a look: random numbers were drawn, buffers moved."""
    seen: list[Recorder] = []
    attach = recorded("restless", seen)
    failing = {"now": False}

    def watched(generator: nn.Module, discriminator: nn.Module) -> Watched:
        call = attach(generator, discriminator)
        discriminator.register_forward_hook(lambda *_: raising() if failing["now"] else None)

        def inside(*args: Any) -> None:
            failing["now"] = True
            call(*args)
            failing["now"] = False

        return inside

    assert same(loop("restless", attach=watched), loop("restless"))
    assert "out of luck" in seen[0].fault


def closed_at(
    step: int, attach: Callable[[nn.Module, nn.Module], Watched], seen: list[Recorder], just_before: Callable[[], Any] = int
) -> Callable[[nn.Module, nn.Module], Watched]:  # fmt: skip
    """Return what attaches a recorder that is closed, and so writes, while the loop has steps to go, of which it is told."""

    def attached(generator: nn.Module, discriminator: nn.Module) -> Watched:
        watched = attach(generator, discriminator)

        def call(now: int, *told: Any) -> None:
            watched(now, *told)
            if now == step:
                just_before()
                seen[0].close()

        return call

    return attached


def test_a_full_disk_costs_the_stored_run_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("ganlab.store._write", full)
    seen: list[Recorder] = []
    attach = recorded("restless", seen, store=tmp_path / "runs", check=True)
    assert same(loop("restless", attach=closed_at(7, attach, seen)), loop("restless"))
    assert "No space left on device" in seen[0].fault
    assert len(caplog.messages) == 1
    assert seen[0].run.trace["step"].unique().tolist() == [0, 3, 6, 7]  # it is still at hand


def test_a_store_that_is_gone_costs_the_stored_run_and_nothing_else(tmp_path: Path) -> None:
    place, seen = tmp_path / "runs", list[Recorder]()
    attach = recorded("restless", seen, store=place, check=True)
    closed = closed_at(7, attach, seen, lambda: place.write_text("a file now"))
    assert same(loop("restless", attach=closed), loop("restless"))
    assert "cannot write" in seen[0].fault
    assert place.read_text() == "a file now"


@pytest.mark.parametrize("closed", [False, True], ids=["while it records", "once it has written"])
def test_a_store_that_is_deleted_meanwhile_is_made_anew(closed: bool, tmp_path: Path) -> None:
    place, seen = tmp_path / "runs", list[Recorder]()
    attach = recorded("restless", seen, store=place)

    def gone() -> None:
        if closed:
            seen[0].close()
        shutil.rmtree(place, ignore_errors=True)

    assert same(loop("restless", attach=closed_at(7, attach, seen, gone)), loop("restless"))
    assert not seen[0].fault
    assert len(ganlab.Store(place).ids()) == 1


def test_a_run_is_stored_also_when_the_loop_fails(tmp_path: Path) -> None:
    def train() -> None:
        with Recorder(mlp(3, 2), mlp(2, 1), data="ring8", latent=3, every=1, cost=1, store=tmp_path) as one:
            for step in range(5):
                one.record(step)
                if step == 3:
                    raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train()
    (name,) = ganlab.Store(tmp_path).ids()
    stored = ganlab.load(tmp_path / name)
    assert stored.experiment.kind == "recorded"
    assert stored.trace["step"].unique().tolist() == [0, 1, 2, 3]
    assert ganlab.report(stored, tmp_path / "report.html").stat().st_size > 10_000


@pytest.mark.parametrize("calls", [11, 12, 13])
def test_deleting_the_recorder_leaves_nothing_behind(calls: int) -> None:
    """At a call of the discriminator, for each of the three of a step, while the loop is looked through."""
    alive: list[weakref.ref[Recorder]] = []
    untouched = torch.autograd.backward

    def attach(generator: nn.Module, discriminator: nn.Module) -> Watched:
        seen: list[Recorder] = []
        held = [recorded("dcgan", seen, check=True)(generator, discriminator)]
        alive.append(weakref.ref(seen.pop()))
        n = [0]

        def count(*_: Any) -> None:
            n[0] += 1
            if n[0] == calls:
                held.clear()

        def call(*told: Any) -> None:
            before = n[0]
            for watched in held:
                watched(*told)
            n[0] = before  # looks are no calls of the loop

        discriminator.register_forward_pre_hook(count)
        return call

    assert same(loop("dcgan", attach=attach), loop("dcgan"))
    assert alive[0]() is None
    assert torch.autograd.backward is untouched


def test_a_sink_that_fails_is_told_no_more(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[int] = []
    sinks = [raising, lambda step, readings: heard.append(step if "signal_reach" in readings else -1)]
    one = Recorder(mlp(3, 2), mlp(2, 1), data="ring8", latent=3, every=1, cost=1, sinks=sinks)
    for step in range(4):
        one.record(step)
    assert heard == [0, 1, 2, 3]
    assert len(caplog.messages) == 1
    assert not one.fault


def test_closing_looks_a_last_time_also_without_a_store() -> None:
    with Recorder(mlp(3, 2), mlp(2, 1), data="ring8", latent=3, every=5, cost=1, evaluation=50) as one:
        for step in range(9):
            one.record(step)
        assert "From 2 looks" in str(one.verdicts())
    assert "From 3 looks" in str(one.verdicts())


def test_the_last_look_is_in_the_mode_of_training() -> None:
    seen: list[Recorder] = []
    nets: list[nn.Module] = []
    attach = recorded("dcgan", seen, every=100)

    def keep(generator: nn.Module, discriminator: nn.Module) -> Watched:
        nets.extend([generator, discriminator])
        return attach(generator, discriminator)

    loop("dcgan", attach=keep)
    for net in nets:
        net.eval()
    ends = trace_of(seen[0], "generator_norm")
    assert len(ends) == 2
    assert not nets[0].training
    expected = Recorder(nets[0].train(), nets[1].train(), data=seen[0]._at.data, latent=(6, 1, 1), every=1, evaluation=60)  # type: ignore[union-attr]
    expected.record(0, real=torch.zeros(8, 1, 8, 8))
    assert trace_of(seen[0], "distance")[-1] == pytest.approx(trace_of(expected, "distance")[0], rel=1e-6)


# --- mistakes in the loop --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("detached", "check"), [(True, True), (False, True), (False, 5)])
def test_mistakes_of_the_loop_are_named_while_its_nets_are_watched(
    detached: bool, check: bool | int, caplog: pytest.LogCaptureFixture
) -> None:
    torch.manual_seed(0)
    generator, discriminator = mlp(3, 2), mlp(2, 1)
    of_generator, of_discriminator = (torch.optim.Adam(net.parameters(), 1e-3) for net in (generator, discriminator))
    bce = nn.BCEWithLogitsLoss()
    with Recorder(generator, discriminator, data=points(), latent=3, every=2, cost=1, check=check) as one:
        for step in range(30):
            real, fake = points()[16 * step :][:16], generator(torch.randn(16, 3))
            d_loss = bce(discriminator(real), torch.ones(16, 1))
            d_loss = d_loss + bce(discriminator(fake.detach() if detached else fake), torch.zeros(16, 1))
            of_discriminator.zero_grad()
            d_loss.backward(retain_graph=True)
            of_discriminator.step()
            g_loss = bce(discriminator(fake), torch.ones(16, 1))
            g_loss.backward()
            of_generator.step()
            of_generator.zero_grad()
            one.record(step, real=real, d_loss=d_loss, g_loss=g_loss)
    assert [found.code for found in one.mistakes] == ([] if detached else ["L103"])
    assert [found["code"] for found in one.run.environment["mistakes"]] == [found.code for found in one.mistakes]
    assert one.run.environment["checked"] == {"steps": 20 if check is True else check, "faults": []}
    assert any("L103" in said for said in caplog.messages) != detached
    assert not hasattr(generator, "_forward_hooks") or not generator._forward_hooks


def test_a_check_that_fails_is_told_from_one_that_finds_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def planted(*args: object) -> None:
        raise RuntimeError("out of luck")

    seen = []
    for broken in (False, True):
        if broken:
            monkeypatch.setattr(ganlab.loop.watching.Watch, "_forward", planted)
        generator, discriminator = mlp(3, 2), mlp(2, 1)
        with Recorder(generator, discriminator, data=points(), latent=3, every=1, cost=1, check=True) as one:
            for step in range(3):
                discriminator(generator(torch.randn(16, 3)))
                one.record(step)
        assert one.mistakes == []
        assert one.fault == ""
        seen.append(one.run.environment["checked"])
    assert [found["faults"] for found in seen] == [[], ["a call of the generator: RuntimeError: out of luck"]]
    assert [said for said in caplog.messages if "not looked through" in said]


# --- what others would trip over ---------------------------------------------------------------------------------------


class Keeps(nn.Module):
    """Keeps what it saw in lists, tensors that are no buffers, a buffer that comes later, and random streams of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.history, self.total = mlp(3, 2), [0], torch.zeros(2)
        self.own, self.numbers = torch.Generator().manual_seed(3), np.random.default_rng(3)
        self.register_buffer("late", None)

    def forward(self, z: Tensor) -> Tensor:
        self.history.append(len(z))
        self.total.add_(1)
        self.late = torch.ones(1)
        made: Tensor = self.net(z + 1e-3 * torch.randn(z.shape, generator=self.own) * self.numbers.standard_normal())
        return made


def test_what_a_net_keeps_in_place_is_put_back() -> None:
    generator, stream = Keeps(), torch.Generator().manual_seed(5)
    hook = generator.register_forward_hook(lambda *_: hook.remove())  # one that is called once
    states = [generator.own.get_state(), generator.numbers.bit_generator.state, stream.get_state()]
    one = Recorder(generator, mlp(2, 1), data="ring8", latent=lambda n: torch.randn(n, 3, generator=stream))
    one.record(0)
    assert not one.fault
    assert (generator.history, generator.total.tolist(), generator.late) == ([0], [0, 0], None)
    assert torch.equal(states[0], generator.own.get_state())
    assert states[1] == generator.numbers.bit_generator.state
    assert torch.equal(states[2], stream.get_state())
    assert len(generator._forward_hooks) == 1


def test_a_net_that_draws_from_numpy_draws_the_same_at_each_look() -> None:
    one = Recorder(Restless(3, 2), mlp(2, 1), data="ring8", latent=3, every=1, cost=1)
    for step in range(3):
        one.record(step)
    assert trace_of(one, "motion") == [0, 0, 0]


class OnDefault(nn.Module):
    """Makes a tensor without saying where."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.made = net, ""

    def forward(self, x: Tensor) -> Tensor:
        places.append(torch.zeros(1).device.type)
        made: Tensor = self.net(x)
        return made


places: list[str] = []


def test_it_works_where_another_device_is_the_default() -> None:
    places.clear()
    nets = OnDefault(mlp(3, 2)), mlp(2, 1)
    before = torch.get_default_device()
    torch.set_default_device("meta")  # where nothing can be read
    try:
        one = Recorder(*nets, data="ring8", latent=3, every=1, cost=1)
        one.record(0)
        assert not one.fault
        assert one.run.trace["step"].unique().tolist() == [0]
        assert torch.get_default_device().type == "meta"
    finally:
        torch.set_default_device(before)
    assert set(places) == {"meta"}  # the user's own code finds what the user has set


@pytest.mark.parametrize("kind", [torch.uint8, torch.int64, torch.float64])
def test_conditioned_data_of_any_type_are_read(kind: torch.dtype) -> None:
    real, labels = (torch.rand(500, 2) * 50).to(kind), torch.arange(500) % 3
    one = Recorder(Conditional(3, 2), Conditional(2, 1), data=(real, labels), latent=3, every=1, cost=1)
    one.record(0)
    assert not one.fault
    assert one.run.samples["real"].dtype == np.float32


def test_held_out_data_may_be_an_array() -> None:
    one = Recorder(mlp(3, 2), mlp(2, 1), data=points(), held_out=points(300).numpy().astype(np.float64), latent=3)  # type: ignore[arg-type]
    one.record(0)
    assert not one.fault


def test_steps_may_be_numbers_of_numpy() -> None:
    one = Recorder(mlp(3, 2), mlp(2, 1), data="ring8", latent=3, every=1, cost=1)
    for step in np.arange(1000, 1003):
        one.record(step)
    assert one.run.trace["step"].unique().tolist() == [1000, 1001, 1002]


def test_not_every_step_has_real_samples() -> None:
    one = Recorder(mlp(3, 2), mlp(2, 1), latent=3, every=1, cost=1)
    for real in (points(600), None, points(600)):
        one.record(real=real)
    assert not one.fault
    assert one.run.trace["step"].unique().tolist() == [2]


def test_inputs_that_are_no_tensors_are_told() -> None:
    one = Recorder(Conditional(3, 2), Conditional(2, 1), latent=3)
    one.record(0, real=points(64), inputs=0.5)
    assert "inputs= must be tensors [batch, ...] that go with the real samples; got float" in one.fault


def test_nets_on_several_devices_are_refused() -> None:
    with pytest.raises(InputError, match="the nets lie on several devices, cpu, meta; both must be on one"):
        Recorder(mlp(3, 2), mlp(2, 1).to("meta"), data="ring8", latent=3)


class Chosen(nn.Module):
    """Has a first parameter of whole numbers, and a complex buffer that it counts in."""

    def __init__(self) -> None:
        super().__init__()
        self.kept, self.net = nn.Parameter(torch.tensor([2, 0, 1]), requires_grad=False), mlp(3, 2)
        self.register_buffer("turns", torch.zeros(2, dtype=torch.complex64))

    def forward(self, z: Tensor) -> Tensor:
        self.turns += 1j
        made: Tensor = self.net(z[:, self.kept])
        return made


def test_parameters_of_whole_numbers_and_complex_buffers_are_left_as_they_are() -> None:
    generator = Chosen()
    one = Recorder(generator, mlp(2, 1), data="ring8", latent=3)
    one.record(0, d_loss=torch.tensor(3), g_loss=1)  # losses may be whole too
    assert not one.fault
    assert generator.kept.tolist() == [2, 0, 1]
    assert not generator.turns.any()
    assert one.run.samples["losses"].tolist() == [[[3, 1]]]


@pytest.mark.parametrize("part", ["placements", "ds_id"])
def test_sharded_parameters_are_refused_where_others_would_be_waited_for(part: str) -> None:
    net = mlp(3, 2)
    setattr(net[0].weight, part, 1)
    borrowed.refuse_waiting(net, 1)
    with pytest.raises(InputError, match="are sharded between devices"):
        borrowed.refuse_waiting(net, 2)


def test_a_fault_before_the_first_look_is_said_once_also_with_a_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recorder, "look", raising)
    with Recorder(mlp(3, 2), mlp(2, 1), data="ring8", latent=3, store=tmp_path) as one:
        one.record(0)
    assert len(caplog.messages) == 1


def test_a_callback_that_fails_is_called_no_more(caplog: pytest.LogCaptureFixture) -> None:
    one = Recorder(mlp(3, 2), mlp(2, 1), data="ring8", latent=3, every=1, cost=1, on_verdict=raising)
    for step in range(4):
        one.record(step)
    assert not one.fault
    assert [said.partition(" fails")[0] for said in caplog.messages] == ["on_verdict of the recorder of 'recorded'"]


def test_a_terminal_that_is_gone_costs_the_status_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def gone(*_: Any, **__: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    one = Recorder(mlp(3, 2), mlp(2, 1), data="ring8", latent=3, every=1, cost=1, status=True)
    monkeypatch.setattr(one._listeners._console, "print", gone)
    for step in range(3):
        one.record(step)
    assert not one.fault
    assert len(caplog.messages) == 1


def hooks(*nets: nn.Module) -> int:
    return sum(len(net._forward_hooks) for net in nets)


@pytest.mark.parametrize("end", ["fault", "deleted", "updates that are not seen"])
def test_nothing_watches_the_loop_for_ever(end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    nets, untouched = (mlp(3, 2), mlp(2, 1)), torch.autograd.backward
    one = Recorder(*nets, data="ring8", latent=3, check=True)
    assert hooks(*nets) == 2
    if end == "fault":
        monkeypatch.setattr(recorder, "look", raising)
        one.record(0)
    elif end == "deleted":
        del one
    else:
        for step in range(200):
            one.record(step)
    assert hooks(*nets) == 0
    assert torch.autograd.backward is untouched


def test_conditions_that_are_no_labels_can_be_checked_too() -> None:
    nets = nn.Bilinear(3, 4, 2), nn.Bilinear(2, 4, 1)
    one = Recorder(*nets, data=(points(100), torch.randn(100, 4)), latent=3, check=True)
    one.record(0)
    one.close()
    assert not one.fault


def test_what_a_device_was_told_before_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1.0]
    monkeypatch.setattr(recorder.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(recorder, "_wait_for", lambda device: now.__setitem__(0, now[0] + 5.0))
    one = Recorder(mlp(3, 2), mlp(2, 1), data="ring8", latent=3, every=1, evaluation=50)
    for step in range(10):
        now[0] += 1.0
        one.record(step)
    assert one.cost == 0


def test_verdicts_that_are_awaited_keep_within_the_part_too(monkeypatch: pytest.MonkeyPatch) -> None:
    now, true, called = [1.0], recorder.verdicts_of, []
    monkeypatch.setattr(recorder.time, "perf_counter", lambda: now[0])

    def dear(*args: Any) -> Any:
        now[0] += 0.2
        called.append(now[0])
        return true(*args)

    monkeypatch.setattr(recorder, "verdicts_of", dear)
    one = Recorder(mlp(3, 2), mlp(2, 1), data="ring8", latent=3, every=10, evaluation=50, stop_when="divergence")
    for step in range(2000):
        now[0] += 0.01
        one.record(step)
    assert len(called) > 1
    assert one.cost <= 0.025 + 0.2 / now[0]


# --- cost and memory ---------------------------------------------------------------------------------------------------------


def test_looks_stay_few_and_evenly_spaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "LOOKS", 10)
    generator = mlp(3, 2)
    one = Recorder(generator, mlp(2, 1), data="ring8", latent=3, every=2, cost=1, evaluation=50)
    other = Recorder(generator, mlp(2, 1), data="ring8", latent=3, every=8, cost=1, evaluation=50)
    for step in range(65):
        for watching in (one, other):
            watching.record(step)
        with torch.no_grad():
            generator[-1].bias.add_(0.1)
    assert one.run.trace["step"].unique().tolist() == list(range(0, 65, 8))
    assert one.run.experiment.every == 8
    assert trace_of(one, "motion") == pytest.approx(trace_of(other, "motion"))  # as if no look had been dropped


@pytest.mark.parametrize(("a_step", "every"), [(1.0, 10), (0.01, 160)])
def test_looks_keep_within_their_part_of_the_time(a_step: float, every: int, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(recorder.time, "perf_counter", lambda: now[0])
    true = recorder.look

    def look(*args: Any) -> Any:
        now[0] += 0.05
        return true(*args)

    monkeypatch.setattr(recorder, "look", look)
    one = Recorder(mlp(3, 2), mlp(2, 1), data="ring8", latent=3, every=10, evaluation=50)
    for step in range(2000):
        now[0] += a_step
        one.record(step)
    assert one._looks.every == every
    assert (f"{every} steps apart and not 10 as asked" in str(one.verdicts())) == (every > 10)
    assert one.cost < 0.05 + 3 * 0.05 / now[0]
    assert one.run.environment["looks_cost"] == round(one.cost, 4)


def test_a_hundred_thousand_records_change_nothing(tmp_path: Path) -> None:
    """A thousand of them at each step of the loop."""
    seen: list[Recorder] = []
    attach = recorded("plain", seen, data="ring8", every=1000, store=tmp_path)

    def often(generator: nn.Module, discriminator: nn.Module) -> Watched:
        watched = attach(generator, discriminator)
        return lambda step, *told: [watched(1000 * step + i, *told) for i in range(1000)]

    assert same(loop("plain", steps=100, attach=often), loop("plain", steps=100))
    seen[0].close()
    assert not seen[0].fault
    assert 90 < seen[0].run.trace["step"].nunique() <= looks.LOOKS + 1
    assert seen[0].run.trace["step"].max() == 99_999
    assert written(tmp_path) < 50e6


def written(folder: Path) -> int:
    """Return how many bytes lie in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def peak() -> float:
    """Return the most memory that this process has taken, in MB; on Linux without what it was forked from had taken."""
    if sys.platform == "linux":
        (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


def grown_by_many_records(n: int, folder: str) -> None:
    """Print by how much memory grows, in MB, from where two nets are built to where a run of n steps is written."""
    generator, discriminator, loss = mlp(3, 2), mlp(2, 1), torch.zeros(())
    before = peak()
    with Recorder(generator, discriminator, data="ring8", latent=3, every=100, cost=1, store=folder) as one:
        for step in range(n):
            one.record(step, d_loss=loss, g_loss=loss)
    assert not one.fault
    assert one.run.trace["step"].max() == n - 1
    print(peak() - before)


@pytest.mark.slow
def test_a_million_steps_stay_small(tmp_path: Path) -> None:
    """In a process of its own, whose memory nothing else has taken before."""
    code = f"from tests import test_recorder; test_recorder.grown_by_many_records(1_000_000, {str(tmp_path)!r})"
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 0 < float(done.stdout) < 300
    assert 0 < written(tmp_path) < 50e6
