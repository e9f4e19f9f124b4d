"""How fast do many seeds train? Member-steps per second of the mapped batch against the plain loop, in one run.

Candidates take turns in every round, so that what disturbs the machine disturbs all of them; ratios are medians of the
rounds' ratios. `python -m benchmarks.throughput` prints the table; `pytest benchmarks/throughput.py` records each candidate.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import pytest
import torch
import tyro
from pytest_benchmark.fixture import BenchmarkFixture
from rich.console import Console
from rich.table import Table

from benchmarks import mode_collapse
from ganlab import reference
from ganlab.planning import build, plan
from ganlab.train import BLOCK, train

NETS: dict[str, dict[str, Any]] = {
    "study": mode_collapse.NETS,
    "large": {"hidden": (128, 128), "batch": 256},
}
"""Those of the mode collapse study, and the usual size in the literature."""

VARIANTS = ("nsgan", "r1gan", "wgan_gp")
STEPS = 4 * BLOCK


def mapped_member_steps(variant: str, nets: str, members: int, threads: int) -> float:
    """Return member-steps per second of the mapped batch."""
    torch.set_num_threads(threads)
    experiment = plan(variant, "ring8", seeds=members, steps=STEPS, **NETS[nets])
    game, data = build(experiment)
    started = time.perf_counter()
    train(game, data, experiment, watch=False)
    return STEPS * members / (time.perf_counter() - started)


def plain_member_steps(variant: str, nets: str, threads: int) -> float:
    """Return steps per second of the plain loop, one seed."""
    torch.set_num_threads(threads)
    experiment = plan(variant, "ring8", seeds=1, steps=STEPS, **NETS[nets])
    game, data = build(experiment)
    batch = experiment.settings["batch"]
    started = time.perf_counter()
    reference.train(game, data, steps=STEPS, batch=batch, numbers=experiment.members()[0].numbers)
    return STEPS / (time.perf_counter() - started)


def _together(pool: ProcessPoolExecutor, function: Callable[..., float], *arguments: Any) -> float:
    """Return what all workers reach together, one thread each."""
    return sum(f.result() for f in [pool.submit(function, *arguments, 1) for _ in range(os.cpu_count() or 1)])


@dataclass(frozen=True)
class Throughput:
    """Measure member-steps per second of the mapped batch and the plain loop."""

    nets: str = "study"
    """"study" or "large"."""
    members: int = 16
    """Members in a mapped batch."""
    rounds: int = 5
    """Rounds in which all candidates take turns, after one to warm up."""


def measure(settings: Throughput, variant: str, pool: ProcessPoolExecutor) -> dict[str, list[float]]:
    """Return each candidate's member-steps per second, round by round."""
    cores, nets, members = os.cpu_count() or 1, settings.nets, settings.members
    candidates: dict[str, Callable[[], float]] = {
        "plain loop": lambda: plain_member_steps(variant, nets, cores),
        "plain loops, one a core": lambda: _together(pool, plain_member_steps, variant, nets),
        f"mapped, {members} members": lambda: mapped_member_steps(variant, nets, members, cores),
        f"mapped, {members} members a core": lambda: _together(pool, mapped_member_steps, variant, nets, members),
    }
    rounds = [{name: run() for name, run in candidates.items()} for _ in range(settings.rounds + 1)][1:]
    return {name: [r[name] for r in rounds] for name in candidates}


def main(settings: Throughput) -> None:
    """Print one table a variant."""
    console = Console()
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        for variant in VARIANTS:
            rates = measure(settings, variant, pool)
            base = next(iter(rates.values()))
            table = Table(title=f"{variant}, {settings.nets} nets, {os.cpu_count()} cores", title_justify="left", box=None)
            for column in ("candidate", "member-steps/s", "ratio to the plain loop", "rounds"):
                table.add_column(column)
            for name, values in rates.items():
                ratios = [v / b for v, b in zip(values, base, strict=True)]
                spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
                table.add_row(name, f"{statistics.median(values):,.0f}", spread, str(len(values)))
            console.print(table)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("members", [1, 8, 16])
def test_mapped(benchmark: BenchmarkFixture, variant: str, members: int) -> None:
    benchmark.extra_info["member_steps"] = STEPS * members
    benchmark.pedantic(mapped_member_steps, (variant, "study", members, os.cpu_count()), rounds=2, warmup_rounds=1)


@pytest.mark.parametrize("variant", VARIANTS)
def test_plain(benchmark: BenchmarkFixture, variant: str) -> None:
    benchmark.extra_info["member_steps"] = STEPS
    benchmark.pedantic(plain_member_steps, (variant, "study", os.cpu_count()), rounds=2, warmup_rounds=1)


if __name__ == "__main__":
    main(tyro.cli(Throughput))
