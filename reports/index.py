"""All studies in one report: train what is missing, then write reports/html/index.html.

`python -m reports.index --profile quick`, or `nox -s report`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console
from rich.text import Text

import benchmarks.convergence
import benchmarks.lecture
import benchmarks.mnist_baselines
import benchmarks.mode_collapse
import benchmarks.pacgan
import benchmarks.phase_map
import benchmarks.throughput
import benchmarks.vanishing_gradients
import reports.calibration
import reports.convergence
import reports.lecture
import reports.mnist_baselines
import reports.mode_collapse
import reports.pacgan
import reports.phase_map
import reports.throughput
import reports.vanishing_gradients
from ganlab.cli import finish
from ganlab.data.images import mnist
from ganlab.pages import overview_page
from ganlab.pages.page import prepare, write
from ganlab.store import Store
from ganlab.sweep import sweep

STUDIES = {
    "mode_collapse": (benchmarks.mode_collapse.experiments, reports.mode_collapse.page),
    "vanishing_gradients": (benchmarks.vanishing_gradients.experiments, reports.vanishing_gradients.page),
    "convergence": (benchmarks.convergence.experiments, reports.convergence.page),
    "mnist_baselines": (benchmarks.mnist_baselines.experiments, reports.mnist_baselines.page),
    "phase_map": (benchmarks.phase_map.experiments, reports.phase_map.page),
    "pacgan": (benchmarks.pacgan.experiments, reports.pacgan.page),
}

LONG = ("phase_map", "pacgan")
"""Studies that are trained only when asked for by name: they would take most of the quick report's time."""

TAUGHT = {"lecture": (benchmarks.lecture.experiments, benchmarks.lecture.measure, reports.lecture.page)}
"""Studies made of several small ones, whose experiments, measurements and runs are by the small one's name. Only when asked for
by name."""

MEASURED = {"throughput": (benchmarks.throughput.measure, reports.throughput.page)}
"""Studies of this machine: only when asked for by name, and after all training, which would disturb them."""

PLAYED = {"calibration": reports.calibration.page}
"""Studies without training: what the diagnoses say about planted worlds. Only when asked for by name."""

Study = Literal[
    "mode_collapse", "vanishing_gradients", "convergence", "mnist_baselines", "phase_map", "pacgan", "lecture", "calibration",
    "throughput",
]  # fmt: skip


@dataclass(frozen=True)
class Index:
    """Train what is missing and write the report; stop it at any time, the same command continues."""

    studies: Annotated[tuple[Study, ...], tyro.conf.Positional] = ()
    """Which studies; when left out all but phase_map, pacgan (long), lecture, calibration, and throughput (of this machine)."""
    profile: Literal["quick", "standard", "full"] = "quick"
    """How much to train: quick takes about 5 minutes on two cores."""
    store: Path = Path("runs")
    """Folder of runs."""
    out: Path = Path("reports/html/index.html")
    """The file to write."""
    workers: int | None = None
    """Processes; none takes one per core."""
    block: int | None = None
    """Members trained as one batch; none chooses by speed and memory."""
    download: bool = False
    """Fetch MNIST first when it is missing; without it the baselines run on what is there."""


def main(settings: Index) -> int:
    """Run the studies and print the path of the report."""
    prepare(settings.out)
    if settings.download:
        mnist(download=True)
    names = settings.studies or tuple(name for name in STUDIES if name not in LONG)
    chosen = {name: STUDIES[name] for name in names if name in STUDIES}
    planned = {name: plan(settings.profile) for name, (plan, _) in chosen.items()}
    console = Console(stderr=True)
    taught = {name: TAUGHT[name][0](settings.profile) for name in names if name in TAUGHT}
    groups = [*planned.values(), *(group for lessons in taught.values() for group in lessons.values())]
    experiments = [e for group in groups for e in group]
    runs = iter(sweep(experiments, Store(settings.store), settings.workers, console, settings.block))
    played = [PLAYED[name](settings.profile) for name in names if name in PLAYED]
    measured = {name: MEASURED[name][0](settings.profile, Store(settings.store)) for name in names if name in MEASURED}
    console.print("drawing the report", markup=False)
    found = {name: [next(runs) for _ in planned[name]] for name in chosen}
    pages = [page(found[name]) for name, (_, page) in chosen.items()]
    for name, lessons in taught.items():
        _, measure, page = TAUGHT[name]
        trained = {lesson: [next(runs) for _ in group] for lesson, group in lessons.items()}
        pages.append(page(trained | measure(settings.profile, Store(settings.store))))
    pages += played
    pages += [MEASURED[name][1](timings) for name, timings in measured.items()]
    gans = {name.replace("_", " "): mine for name, mine in found.items() if mine[0].experiment.kind == "gan"}
    if len(gans) > 1:
        pages.insert(0, overview_page(gans))
    path = write(pages, settings.out, " ".join(["python -m reports.index", *settings.studies, "--profile", settings.profile]))
    Console().print(Text(f"report: {path.resolve()}"), soft_wrap=True)
    return 0


if __name__ == "__main__":
    settings = tyro.cli(Index, prog="python -m reports.index")
    finish(lambda: main(settings))
