"""What does it cost to be watched? A user's loop with and without the recorder, in turns within one process.

`pytest benchmarks/recorder.py` times a hundred steps and the look after them; `python -m benchmarks.recorder` prints the ratio
of watched and unwatched time for nets of each kind, at the default cadence.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from rich.console import Console
from torch import nn

from ganlab import Recorder, nets

STEPS, ROUNDS = 200, 5

Step = Callable[[], tuple[torch.Tensor, torch.Tensor]]


def loop(kind: str) -> tuple[nn.Module, nn.Module, int, torch.Tensor, Step]:
    """Return nets, the size of a latent, data, and a step as a user writes it; kinds are "mlp" on the plane and "dcgan"."""
    torch.manual_seed(0)
    if kind == "mlp":
        n_latent, batch, data = 16, 256, torch.randn(5000, 2)
        generator, discriminator = nets.mlp(n_latent, 2), nets.mlp(2, 1)
    else:
        n_latent, batch, data = 64, 64, torch.rand(5000, 1, 28, 28) * 2 - 1
        generator, discriminator = nets.dcgan_generator(n_latent, (1, 28, 28)), nets.dcgan_discriminator((1, 28, 28))
    moves = [torch.optim.Adam(net.parameters(), 2e-4, betas=(0.5, 0.999)) for net in (generator, discriminator)]
    score = nn.BCEWithLogitsLoss()
    ones, zeros = torch.ones(batch), torch.zeros(batch)

    def step() -> tuple[torch.Tensor, torch.Tensor]:
        real, fake = data[torch.randint(len(data), (batch,))], generator(torch.randn(batch, n_latent))
        d_loss = score(discriminator(real).flatten(), ones) + score(discriminator(fake.detach()).flatten(), zeros)
        moves[1].zero_grad()
        d_loss.backward()
        moves[1].step()
        g_loss = score(discriminator(fake).flatten(), ones)
        moves[0].zero_grad()
        g_loss.backward()
        moves[0].step()
        return d_loss, g_loss

    return generator, discriminator, n_latent, data, step


def seconds(step: Step, recorder: Recorder | None, n: int = STEPS) -> float:
    """Return how long n steps keep the processor, whatever else it does meanwhile."""
    started = time.process_time()
    for _ in range(n):
        d_loss, g_loss = step()
        if recorder is not None:
            recorder.record(d_loss=d_loss, g_loss=g_loss)
    return time.process_time() - started


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("kind", ["mlp", "dcgan"])
def test_steps(benchmark: BenchmarkFixture, kind: str, watched: bool) -> None:
    generator, discriminator, n_latent, data, step = loop(kind)
    recorder = Recorder(generator, discriminator, data=data, latent=n_latent) if watched else None
    benchmark.pedantic(seconds, (step, recorder, 100), rounds=3, warmup_rounds=1)


def main() -> None:
    """Print the cost for each kind, with one thread."""
    torch.set_num_threads(1)
    console = Console()
    for kind in ("mlp", "dcgan"):
        generator, discriminator, n_latent, data, step = loop(kind)
        recorder = Recorder(generator, discriminator, data=data, latent=n_latent)
        seconds(step, recorder, 300)  # the first look does more than the others
        ratios = []
        for _ in range(ROUNDS):
            watched, left = seconds(step, recorder), time.perf_counter()
            ratios.append(watched / seconds(step, None))
            recorder._budget._began += time.perf_counter() - left  # else it would take the unwatched steps for the loop's time
        said = f"{kind}: watched over unwatched {median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
        own = f"{recorder.cost:.1%} by its own clock, {recorder.run.experiment.every} steps between looks"
        console.print(f"{said}, {own}", markup=False, highlight=False)


if __name__ == "__main__":
    main()
