"""What is looked at is left as it was: random streams wherever they lie, buffers, and the memory that the looks take."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, Dataset, RandomSampler

from ganlab import Recorder, look, looks
from ganlab.borrowed import untouched
from ganlab.registry import InputError
from tests.test_recorder import Conditional, mlp

Draw = Callable[[int], Tensor]


# --- random streams --------------------------------------------------------------------------------------------------------

TORCH, NUMPY, PLAIN = torch.Generator(), np.random.default_rng(0), random.Random(0)


def of_torch(n: int, generator: torch.Generator = TORCH) -> Tensor:
    return torch.randn(n, 6, generator=generator)


def of_numpy(n: int) -> Tensor:
    return torch.from_numpy(NUMPY.standard_normal((n, 6), np.float32))


class Sampler:
    """Has streams of its own, of each kind, deep inside."""

    of_all = random.Random(3)

    def __init__(self) -> None:
        self.torch, self.held = torch.Generator(), {"numpy": [np.random.default_rng(1), np.random.RandomState(1)]}

    def sample_z(self, n: int) -> Tensor:
        numpy, old = self.held["numpy"]
        by_hand = torch.tensor([self.of_all.random() + float(old.standard_normal()) for _ in range(n)])[:, None]
        drawn = torch.from_numpy(numpy.standard_normal((n, 6), np.float32))
        return torch.randn(n, 6, generator=self.torch) + drawn + self.helped(n) + by_hand

    def helped(self, n: int) -> Tensor:
        return of_numpy(n)

    __call__ = sample_z


class Slots:
    __slots__ = ("generator",)

    def __init__(self) -> None:
        self.generator = torch.Generator()


class Held(nn.Module):
    """A generator whose noise comes from an object of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.noise = mlp(6, 2), Sampler()

    def forward(self, z: Tensor) -> Tensor:
        made: Tensor = self.net(z + self.noise.sample_z(len(z)))
        return made


def start() -> None:
    """Set all streams that belong to no object to their beginnings."""
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    TORCH.manual_seed(0)
    NUMPY.bit_generator.state = np.random.default_rng(0).bit_generator.state
    PLAIN.seed(0)
    Sampler.of_all.seed(0)


def closure() -> Draw:
    inside = {"a sampler": Sampler()}
    return lambda n: inside["a sampler"].sample_z(n)


def slots() -> Draw:
    held = Slots()
    return lambda n: torch.randn(n, 6, generator=held.generator)


LATENTS: dict[str, Callable[[], Draw]] = {
    "default": lambda: of_torch, "global": lambda: of_numpy, "bound method": lambda: Sampler().sample_z, "object": Sampler,
    "closure": closure, "slots": slots, "partial": lambda: partial(of_torch, generator=torch.Generator()),
    "calls functions": lambda: lambda n: of_numpy(n) + of_torch(n),
    "nested": lambda: lambda n: torch.stack([torch.randn(6, generator=TORCH) for _ in range(n)]),
    "plain": lambda: lambda n: torch.tensor([[PLAIN.gauss(0, 1) for _ in range(6)] for _ in range(n)]),
    "shared": lambda: lambda n: torch.randn(n, 6) + random.random() + np.random.standard_normal(),  # noqa: NPY002
}  # fmt: skip


@pytest.mark.parametrize("name", LATENTS)
def test_latents_leave_the_stream_that_draws_them_where_it_was(name: str) -> None:
    start()
    draw = LATENTS[name]()
    expected = draw(3), draw(3)
    nets = mlp(6, 2), mlp(2, 1)
    start()
    draw = LATENTS[name]()
    first = draw(3)
    one = Recorder(*nets, data="ring8", latent=draw, every=1, evaluation=60)
    one.record(0)
    assert not one.fault
    assert torch.equal(first, expected[0])
    assert torch.equal(draw(3), expected[1])
    assert not torch.equal(draw(3), expected[1])


def test_streams_that_a_net_holds_in_an_object_are_left_and_are_the_same_at_each_look() -> None:
    start()
    net, other = Held(), Held()
    start()
    expected = other.noise.sample_z(3)
    start()
    one = Recorder(net, mlp(2, 1), data="ring8", latent=6, every=1, evaluation=60, cost=1)
    one.record(0)
    one.record(1)
    assert not one.fault
    assert torch.equal(net.noise.sample_z(3), expected)
    distance = one.run.trace.set_index(["name", "step"])["value"]["distance"]
    assert distance[0] == distance[1]


class Noisy(Dataset[tuple[Tensor, int]]):
    """Adds noise of its own stream to each sample that is read."""

    def __init__(self) -> None:
        self.points, self.dice = torch.zeros(80, 2), np.random.default_rng(0)

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return self.points[i] + torch.from_numpy(self.dice.standard_normal(2, np.float32)) + torch.randn(2), i


@pytest.mark.parametrize("as_loader", [False, True])
def test_reading_examples_leaves_the_streams_of_a_dataset_and_its_loader(as_loader: bool) -> None:
    def build() -> tuple[Noisy, DataLoader[Any]]:
        torch.manual_seed(0)
        data, dice = Noisy(), torch.Generator()
        return data, DataLoader(data, 8, sampler=RandomSampler(data, generator=dice), generator=dice)

    expected = next(iter(build()[1]))[0]
    data, loader = build()
    Recorder(mlp(6, 2), mlp(2, 1), data=loader if as_loader else data, latent=6)
    torch.manual_seed(0)
    assert torch.equal(next(iter(loader))[0], expected)


# --- devices ---------------------------------------------------------------------------------------------------------------


def test_streams_of_all_devices_in_use_are_left_whichever_the_nets_are_on(monkeypatch: pytest.MonkeyPatch) -> None:
    devices = torch.Generator().manual_seed(1), torch.Generator().manual_seed(2)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "default_generators", devices)
    before = [stream.get_state() for stream in devices]

    def draw(n: int) -> Tensor:
        return torch.randn(n, 6, generator=torch.cuda.default_generators[1])

    one = Recorder(mlp(6, 2), mlp(2, 1), data="ring8", latent=draw, every=1, evaluation=60)
    one.record(0)
    assert not one.fault
    assert all(torch.equal(stream.get_state(), state) for stream, state in zip(devices, before, strict=True))


def test_a_device_that_is_first_used_inside_is_at_its_beginning_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    device, used = torch.Generator().manual_seed(7), []
    before = device.get_state()
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: bool(used))
    monkeypatch.setattr(torch.cuda, "default_generators", (device,))
    with untouched():
        used.append(1)
        torch.randn(5, generator=device)
    assert torch.equal(device.get_state(), before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_recording_moves_nothing_on_cuda() -> None:
    def trained(watched: bool) -> list[Tensor]:
        torch.manual_seed(0)
        generator = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2)).cuda()
        discriminator = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2), nn.Dropout(0.3), nn.Linear(16, 1)).cuda()
        optimisers = [torch.optim.Adam(net.parameters(), 1e-2) for net in (generator, discriminator)]
        draw = lambda n: torch.randn(n, 6, device="cuda")  # noqa: E731
        points = torch.randn(60, 2)
        one = Recorder(generator, discriminator, data=points, latent=draw, every=2, evaluation=60, cost=1) if watched else None
        for step in range(8):
            real, fake = torch.randn(8, 2, device="cuda"), generator(draw(8))
            losses = -discriminator(generator(draw(8))).mean(), (discriminator(fake.detach()) - discriminator(real)).mean()
            for optimiser, loss in zip(optimisers, losses, strict=True):
                optimiser.zero_grad()
                loss.backward()
            for optimiser in optimisers:
                optimiser.step()
            if one:
                one.record(step, real=real)
        assert one is None or not one.fault
        left = [*generator.state_dict().values(), *discriminator.state_dict().values()]
        left += [p.grad for net in (generator, discriminator) for p in net.parameters()]
        return [*left, torch.get_rng_state(), *torch.cuda.get_rng_state_all()]

    assert all(torch.equal(a, b) for a, b in zip(trained(True), trained(False), strict=True))


# --- buffers ---------------------------------------------------------------------------------------------------------------


class Checkpointed(nn.Module):
    """Computes a block with batch norm once more in the backward pass."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Linear(n_in, 16), nn.BatchNorm1d(16), nn.ReLU())
        self.head = nn.Linear(16, n_out)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.head(checkpoint(self.block, x, use_reentrant=False))
        return made


def test_a_block_that_is_computed_again_in_the_backward_pass_leaves_its_buffers() -> None:
    nets = Checkpointed(6, 2), Checkpointed(2, 1)
    own = [(buffer, buffer.clone()) for net in nets for buffer in net.buffers()]
    one = Recorder(*nets, data="ring8", latent=6, every=1, evaluation=60)
    one.record(0)
    assert not one.fault
    now = [buffer for net in nets for buffer in net.buffers()]
    assert all(after is buffer and torch.equal(after, value) for after, (buffer, value) in zip(now, own, strict=True))
    assert [int(net.block[1].num_batches_tracked) for net in nets] == [0, 0]


# --- nets that are given conditions ----------------------------------------------------------------------------------------


def test_conditioned_nets_are_not_asked_about_samples_whose_conditions_are_not_known() -> None:
    torch.manual_seed(0)
    data, held_out = (torch.randn(1000, 2), torch.arange(1000) % 3), torch.randn(300, 2)
    one = Recorder(Conditional(6, 2), Conditional(2, 1), data=data, held_out=held_out, latent=6, every=1, cost=1)
    for step in range(4):
        one.record(step)
    assert not one.fault
    names = set(one.run.trace["name"])
    assert "separation" in names
    assert not names & {"held_out_separation", "past_separation"}
    found = one.verdicts()
    assert found["discriminator_overfitting"].verdict == "not applicable"
    assert "shown more than a sample" in found["discriminator_overfitting"].evidence
    assert found["memorisation"].verdict == "absent"
    with pytest.raises(InputError, match="real samples alone"):
        Recorder(Conditional(6, 2), Conditional(2, 1), data=data, held_out=data, latent=6)  # type: ignore[arg-type]


def test_held_out_samples_are_shown_a_batch_at_a_time() -> None:
    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp(2, 1)

        def forward(self, x: Tensor) -> Tensor:
            sizes.add(len(x))
            made: Tensor = self.net(x)
            return made

    sizes: set[int] = set()
    one = Recorder(mlp(6, 2), Counts(), data=torch.randn(1000, 2), held_out=torch.randn(300, 2), latent=6, every=1)
    one.record(0, real=torch.randn(20, 2))
    assert not one.fault
    assert ("held_out_separation", ("",)) in one._looks.last.readings
    assert max(sizes) == 20


# --- memory ----------------------------------------------------------------------------------------------------------------

IMAGES = """
import resource, sys
import torch
from torch import nn
import ganlab

torch.set_num_threads(1)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)

def watch(nets, data, looks, **settings):
    one = ganlab.Recorder(*nets, data=data, every=1, cost=1, **settings)
    for step in range(looks):
        one.record(step)
    one.close()
    assert not one.fault, one.fault
    return one.run

up = nn.Upsample(scale_factor=16)
generator = nn.Sequential(nn.ConvTranspose2d(8, 16, 4), nn.ReLU(), up, nn.Conv2d(16, 3, 3, padding=1))
discriminator = nn.Sequential(nn.Conv2d(3, 8, 8, 8), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(512, 1))
discriminator(generator(torch.randn(8, 8, 1, 1))).sum().backward()
images = torch.randint(256, (4000, 3, 64, 64), dtype=torch.uint8)
held_out = torch.randint(256, (200, 3, 64, 64), dtype=torch.uint8)
watch((nn.Linear(3, 2), nn.Linear(2, 1)), torch.randn(300, 2), 1, latent=3, evaluation=60)  # imports what looks need
before = peak()
run = watch((generator, discriminator), images, LOOKS, latent=(8, 1, 1), held_out=held_out, store=sys.argv[1])
assert {"near_share", "precision", "copied_share"} <= set(run.trace["name"])
print(peak() - before)
"""


@pytest.mark.slow
def test_watching_images_takes_little_memory(tmp_path: Path) -> None:
    """In a process of its own, since the most that a process has taken never falls."""
    script = IMAGES.replace("LOOKS", "80")
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    assert float(done.stdout) < 300
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 50e6


@pytest.mark.parametrize("side", [64, 256])
def test_of_large_images_fewer_are_kept_and_few_samples_at_few_moments(side: int) -> None:
    data = look.examples_of(torch.zeros(700, 3, side, side, dtype=torch.uint8), None)
    numbers = 3 * side**2
    assert len(data.real) == max(look.FEWEST, look.KEPT // numbers)
    seen = looks.Looks(1)
    for step in range(100):
        seen.add(look.Look(step, {}, torch.empty(0), torch.full((20, 3, side, side), float(step)), ""))
    samples, steps = seen.shown()
    assert samples.numel() <= 45 * looks.KEPT
    assert samples[:, 0, 0, 0, 0].tolist() == steps
    assert len(steps) > 5
    assert steps[-1] == 99
    assert set(np.diff(steps[:-1])) == {steps[1] - steps[0]}
