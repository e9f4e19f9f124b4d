"""How fast do many seeds train? Rates of the mapped batch against the plain loop, and against what the machine can do.

`nox -s throughput` measures and writes the page; `python -m benchmarks.throughput` measures, stores and prints. Record single
candidates with `pytest benchmarks/throughput.py --benchmark-only --benchmark-json out.json`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pytest
import tyro
from pytest_benchmark.fixture import BenchmarkFixture
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks import peers
from ganlab import throughput, timing
from ganlab.cli import finish
from ganlab.experiment import Run
from ganlab.store import Store
from ganlab.throughput import Candidate
from ganlab.workers import Dead, Team

CORES = os.cpu_count() or 1

RING8: dict[str, Any] = {"hidden": (128, 128), "latent": 2, "batch": 256}
"""Generator 2-128-128-2, discriminator 2-128-128-1: the usual size in the literature."""
WIDTHS: dict[str, Any] = {"generator": (2, 128, 128, 2), "discriminator": (2, 128, 128, 1), "batch": 256}
STUDY: dict[str, Any] = {"hidden": (64, 64), "batch": 64, "activation": "tanh"}
"""Nets of the mode collapse study."""
MNIST_MLP: dict[str, Any] = {"shape": (1, 28, 28), "hidden": (256, 256), "latent": 64, "batch": 64}
DCGAN: dict[str, Any] = {"shape": (1, 28, 28), "channels": (64, 32), "latent": 64, "batch": 32, "piece": 32}
DCGAN32: dict[str, Any] = {"shape": (1, 32, 32), "channels": (128, 64, 32), "latent": 64, "batch": 32, "piece": 32}

DTYPES = {"full": "float32", "bfloat16": "bfloat16"}
"""Of matrix products alone, by the precision whose limit they are."""

PER_CORE = 4
"""Members of a process that has one core: their operands stay near its cache."""

CROWD = 256
"""Members of a mapped batch on a GPU, where its rate is best with these nets."""

OBJECTIVES = {name: {"variant": name, **RING8} for name in ("gan", "nsgan", "lsgan", "hinge", "rpgan")}
PENALTIES: dict[str, dict[str, Any]] = {
    "none": RING8, "r1": {"r1": 0.1, **RING8}, "r2": {"r2": 0.1, **RING8}, "dragan": {"dragan": 10.0, **RING8},
    "gradient penalty": {"gradient_penalty": 0.1, **RING8}, "wgan_gp, 5 critic updates": {"variant": "wgan_gp", **RING8},
}  # fmt: skip
BATCHES = {f"batch {n}": {**RING8, "batch": n} for n in (16, 64, 256, 1024)}
NETS = {"ring8 MLP": RING8, "MNIST MLP": MNIST_MLP, "DCGAN 28 x 28": DCGAN}

Way = tuple[int, bool]
"""Members of a mapped batch, and whether its step is compiled."""


def against_plain(group: str, works: Mapping[str, Mapping[str, Any]], ways: Sequence[Way]) -> list[Candidate]:
    """Return, for each work, the plain loop and the mapped one in each way."""
    found = []
    for name, work in works.items():
        base = f"{group}: {name}, plain loop"
        found.append(Candidate(base, group, "benchmarks.loops:plain", work, threads=CORES, base=base, series="plain loop"))
        ours = _without_piece(work)
        found += [
            Candidate(
                f"{group}: {name}, {n} mapped{', compiled' if compiled else ''}", group, "benchmarks.loops:mapped",
                {**ours, "members": n, "compiled": compiled}, threads=CORES, base=base, series=_series(compiled),
            )
            for n, compiled in ways
        ]  # fmt: skip
    return found


def _without_piece(work: Mapping[str, Any]) -> dict[str, Any]:
    """Return the work without the length of the plain loop's calls."""
    return {key: value for key, value in work.items() if key != "piece"}


def _series(compiled: bool) -> str:
    return "mapped, compiled" if compiled else "mapped"


def engines(group: str = "ring8", members: int = 16, brief: bool = False) -> list[Candidate]:
    """Return the ways of training the ring's nets, with the step's matrix products alone as the limit of each layout.

    `brief` leaves out what takes long to compile.
    """
    base, plain, mapped = f"{group}: plain loop, all threads", "benchmarks.loops:plain", "benchmarks.loops:mapped"
    layouts = {"all threads": (CORES, 1), "one process a core": (1, CORES)}
    limits = {(p, n): f"{group}: matrix products, {layout}{', bfloat16' if p == 'bfloat16' else ''}"
              for p in ("full", "bfloat16") for layout, (_, n) in layouts.items()}  # fmt: skip

    def way(name: str, loop: str, processes: int = 1, **settings: Any) -> Candidate:
        limit = limits[settings.get("precision", "full"), processes]
        series = "plain loop" if loop == plain else _series(settings.get("compiled", False))
        threads = CORES if processes == 1 else 1
        return Candidate(
            f"{group}: {name}", group, loop, {**RING8, **settings}, "member_steps", threads, processes, base, limit, series
        )

    a_core = f"mapped, {PER_CORE} members a core"
    ways = [
        way("plain loop, all threads", plain),
        way("plain loops, one a core", plain, CORES),
        way(f"mapped, {members} members", mapped, members=members),
        way(f"{a_core}, compiled", mapped, CORES, members=PER_CORE, compiled=True),
    ]
    if not brief:
        ways += [
            way("plain loop, compiled nets", plain, compiled=True),
            way(a_core, mapped, CORES, members=PER_CORE),
            way(f"mapped, {members} members, compiled", mapped, members=members, compiled=True),
            way(f"{a_core}, compiled, bfloat16", mapped, CORES, members=PER_CORE, compiled=True, precision="bfloat16"),
        ]
    alone = [
        Candidate(
            label, group, "benchmarks.loops:products", {**WIDTHS, "dtype": DTYPES[precision]}, "member_steps",
            CORES if processes == 1 else 1, processes, base, label, "matrix products",
        )
        for (precision, processes), label in limits.items()
        if any(way.limit == label for way in ways)
    ]  # fmt: skip
    return [*ways, *alone]


def engines_on_a_gpu(group: str = "ring8", members: int = CROWD) -> list[Candidate]:
    """Return the ways of training the ring's nets on a GPU, with the step's matrix products of as many members as the limit."""
    base = f"{group}: plain loop"
    limits = {p: f"{group}: matrix products, {members} members{', bfloat16' if p == 'bfloat16' else ''}" for p in DTYPES}

    def way(name: str, precision: str = "full", **settings: Any) -> Candidate:
        return Candidate(
            f"{group}: {name}", group, "benchmarks.loops:mapped", {**RING8, "precision": precision, **settings}, threads=CORES,
            base=base, limit=limits[precision], series=_series(settings["compiled"]),
        )  # fmt: skip

    return [
        Candidate(base, group, "benchmarks.loops:plain", RING8, threads=CORES, base=base, series="plain loop"),
        way("1 member, compiled", members=1, compiled=True),
        way(f"mapped, {members} members", members=members, compiled=False),
        way(f"mapped, {members} members, compiled", members=members, compiled=True),
        way(f"mapped, {members} members, compiled, bfloat16", "bfloat16", members=members, compiled=True),
        *(
            Candidate(label, group, "benchmarks.loops:products", {**WIDTHS, "members": members, "dtype": DTYPES[precision]},
                      threads=CORES, base=base, limit=label, series="matrix products")
            for precision, label in limits.items()
        ),
    ]  # fmt: skip


def members(nets: dict[str, Any], name: str, counts: Sequence[int], compiled: Sequence[bool]) -> list[Candidate]:
    """Return the curve of rates over the number of members, against the plain loop."""
    group = f"members, {name}"
    base = f"{group}: plain loop"
    curve = [
        Candidate(
            f"{group}: {n} {_series(c)}", group, "benchmarks.loops:mapped",
            {**_without_piece(nets), "members": n, "compiled": c}, threads=CORES, base=base, series=_series(c), axis="members",
            x=n,
        )
        for c in compiled for n in counts
    ]  # fmt: skip
    return [Candidate(base, group, "benchmarks.loops:plain", nets, threads=CORES, base=base, series="plain loop"), *curve]


def costs(axis: str, values: Sequence[int]) -> list[Candidate]:
    """Return whole watched runs that differ in one quantity: what they cost must not grow faster than it."""
    settings: dict[str, Any] = {**STUDY, "members": 8, "steps": 128, "evaluation": 1000}

    def at(x: int) -> dict[str, Any]:
        return {**settings, "data": f"ring:modes={x}"} if axis == "modes" else {**settings, axis: x}

    group = f"cost of {axis}"
    return [
        Candidate(f"{group}: {x} {axis}", group, "benchmarks.loops:whole_run", at(x), "runs", CORES, series="whole run",
                  axis=axis, x=x)
        for x in values
    ]  # fmt: skip


def looks(every: int = 160) -> list[Candidate]:
    """Return training that the probes look at about as often as in a usual run of 3000 steps, beside the same without.

    Every five blocks of draws, so that a piece of work holds one look.
    """
    works = {
        "ring8 MLP, compiled": {**RING8, "members": PER_CORE, "compiled": True},
        "64 wide on grid25": {**STUDY, "data": "grid25", "members": 2 * PER_CORE},
    }
    found = []
    for name, work in works.items():
        group = f"looks, {name}"
        base = f"{group}: without probes"
        found += [
            Candidate(label, group, "benchmarks.loops:mapped", {**work, **more}, processes=CORES, base=base, series="mapped")
            for label, more in ((base, {}), (f"{group}: a look every {every} steps", {"every": every}))
        ]
    return found


def images(nets: Sequence[str]) -> list[Candidate]:
    """Return the training of classifiers against a lecture's loop."""
    found = []
    for net in nets:
        group = f"MNIST {net}"
        base = f"{group}: torchvision and DataLoader"
        ours = {"net": net, "n_train": 4096 if net == "mlp" else 1024}
        found += [
            Candidate(base, group, "benchmarks.image_loops:lecture", {"net": net}, "images", CORES, base=base,
                      series="plain loop"),
            *(
                Candidate(f"{group}: ganlab.supervised{name}", group, "benchmarks.image_loops:ours", {**ours, **more}, "images",
                          CORES, base=base, series="ganlab.supervised")
                for name, more in (("", {}), (", bfloat16", {"precision": "bfloat16"}))
            ),
        ]  # fmt: skip
    return found


def rivals() -> list[Candidate]:
    """Return other libraries on the ring's nets, where they are installed, against the plain loop and our best."""
    group = "peers"
    base = f"{group}: plain loop, all threads"
    ours = {**RING8, "members": PER_CORE, "compiled": True}
    return [
        Candidate(base, group, "benchmarks.loops:plain", RING8, threads=CORES, base=base, series="plain loop"),
        Candidate(f"{group}: ganlab, {PER_CORE} members a core, compiled", group, "benchmarks.loops:mapped", ours,
                  processes=CORES, base=base, series="mapped, compiled"),
        *(
            Candidate(f"{group}: {name}", group, loop, settings, threads=CORES if processes == 1 else 1,
                      processes=processes, base=base, series="another library")
            for name, loop, settings, processes in peers.loops(CORES)
        ),
    ]  # fmt: skip


PROFILES: dict[str, Callable[[], list[Candidate]]] = {
    "quick": lambda: [*engines(brief=True), *members(STUDY, "64 wide", (1, 4, 16, 64), [False]), *images(["mlp"])],
    "standard": lambda: [
        *engines(),
        *members(STUDY, "64 wide", (1, 2, 4, 8, 16, 32, 64), [False, True]),
        *against_plain("objective", OBJECTIVES, [(16, True)]),
        *against_plain("penalty", PENALTIES, [(16, True)]),
        *against_plain("batch size", BATCHES, [(16, True)]),
        *against_plain("nets", NETS, [(4, False), (4, True)]),
        *costs("members", (1, 4, 16, 64)), *costs("steps", (64, 128, 256, 512, 1024)), *costs("modes", (2, 4, 8, 16, 32, 64)),
        *looks(), *images(["mlp", "cnn"]),
        *rivals(),
    ],
    "full": lambda: [
        *PROFILES["standard"](),
        *members(RING8, "128 wide", (1, 2, 4, 8, 16, 32, 64), [False, True]),
        *against_plain("DCGAN", {"32 x 32": DCGAN32}, [(1, False), (1, True), (4, False), (4, True)]),
    ],
}  # fmt: skip

ON_A_GPU: dict[str, Callable[[], list[Candidate]]] = {
    "quick": lambda: [
        *engines_on_a_gpu(),
        *against_plain("penalty", {name: PENALTIES[name] for name in ("wgan_gp, 5 critic updates",)}, [(CROWD, True)]),
        *against_plain("nets", {"DCGAN 28 x 28": DCGAN}, [(64, True)]),
    ],
    "standard": lambda: [
        *engines_on_a_gpu(),
        *members(RING8, "128 wide", (1, 4, 16, 64, 256, 1024), [True]),
        *against_plain("objective", OBJECTIVES, [(CROWD, True)]),
        *against_plain("penalty", PENALTIES, [(CROWD, True)]),
        *against_plain("batch size", BATCHES, [(CROWD, True)]),
        *against_plain("nets", NETS, [(64, False), (64, True)]),
    ],
    "full": lambda: [
        *ON_A_GPU["standard"](), *members(STUDY, "64 wide", (1, 4, 16, 64, 256, 1024, 4096), [False, True]),
        *members(DCGAN32, "DCGAN 32 x 32", (1, 4, 16, 64, 256), [True]),
    ],
}  # fmt: skip
"""The same on a GPU. Classifiers and other libraries are measured on the CPU only."""

ROUNDS = {"quick": 6, "standard": 8, "full": 12}
"""Six is the smallest number that has a 95 % interval of the median."""


def measure(profile: str, store: Store, device: str = "cpu") -> list[Run]:
    """Measure the candidates of a profile here and now, store the run, and return it after all earlier ones."""
    if device == "cpu":
        chosen = PROFILES[profile]()
    else:
        chosen = [replace(c, settings={**c.settings, "device": device}) for c in ON_A_GPU[profile]()]
    store.prepare()
    planned = timing.plan(chosen, profile=profile, rounds=ROUNDS[profile], device=device, warm=profile != "quick")
    with Progress(console=Console(stderr=True), disable=not Console(stderr=True).is_terminal) as progress:
        task = progress.add_task("measuring", total=planned.steps)
        run = timing.perform(planned, lambda rounds: progress.advance(task, rounds))
    store.save(run)
    stored = {name: store.experiment(name).kind for name in store.ids() if name != run.experiment.id}
    return [*(store.load(name) for name, kind in stored.items() if kind == "throughput"), run]


@dataclass(frozen=True)
class Throughput:
    """Measure member-steps per second of the mapped batch and the plain loop, store and print them."""

    profile: Literal["quick", "standard", "full"] = "quick"
    """How much to measure: quick takes about five minutes on two cores."""
    device: str = "cpu"
    """What is measured: "cpu", or a GPU as in "cuda"."""
    store: Path = Path("runs")
    """Folder of runs."""


def main(settings: Throughput) -> int:
    """Measure, store, and print a table."""
    *_, run = measure(settings.profile, Store(settings.store), settings.device)
    console = Console()
    console.print(shown(run))
    for label, reason in throughput.failed(run).items():
        console.print(f"not measured: {label}: {reason}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"run: {run.experiment.id} in {settings.store}", markup=False, highlight=False, soft_wrap=True)
    return 0


def shown(run: Run) -> Table:
    """Return the table that is printed."""
    grid = Table(box=None, pad_edge=False)
    for column in ("candidate", "a second", "ratio to its base", "share of the limit"):
        grid.add_column(column, overflow="fold")
    for row in throughput.table(run).to_dict("records"):
        ratio, share = (
            f"{row[name]:.2f} [{row[f'{name}_low']:.2f}, {row[f'{name}_high']:.2f}]" if row[name] == row[name] else ""
            for name in ("ratio", "share")
        )
        grid.add_row(row["label"], f"{row['rate']:,.4g} {row['unit'].replace('_', '-')}", ratio, share)
    return grid


# --- as pytest-benchmark runs --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measured() -> dict[str, dict[str, Any]]:
    """Return the row of each engine, from one interleaved measurement."""
    run = timing.perform(timing.plan(engines(), profile="pytest", rounds=ROUNDS["quick"], warm=False))
    rows = {row["label"]: row for row in throughput.table(run).to_dict("records")}
    return rows | {label: {"failed": reason} for label, reason in throughput.failed(run).items()}


@pytest.fixture
def team(request: pytest.FixtureRequest) -> Iterator[Team]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as cache:
        team = Team(request.param, cache)
        try:
            team.start()
            yield team
        except Dead as error:
            pytest.skip(str(error))
        finally:
            team.close()


@pytest.mark.parametrize("team", engines(), indirect=True, ids=lambda c: c.label)
def test_block(benchmark: BenchmarkFixture, team: Team, measured: dict[str, dict[str, Any]]) -> None:
    """A block of at least 200 ms; extra_info has the rates and shares of one interleaved measurement of all engines."""
    _, pieces = timing.long_enough(team.run)
    row = measured[team.candidate.label]
    benchmark.extra_info.update({key: value for key, value in row.items() if value == value})
    benchmark.pedantic(team.run, (pieces,), rounds=5, warmup_rounds=1)


if __name__ == "__main__":
    finish(lambda: main(tyro.cli(Throughput, prog="python -m benchmarks.throughput")))
