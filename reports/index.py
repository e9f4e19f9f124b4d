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

import benchmarks.mnist_baselines
import benchmarks.mode_collapse
import reports.mnist_baselines
import reports.mode_collapse
from ganlab.cli import finish
from ganlab.data.images import mnist
from ganlab.pages.page import prepare, write
from ganlab.store import Store
from ganlab.sweep import sweep

STUDIES = {
    "mode_collapse": (benchmarks.mode_collapse.experiments, reports.mode_collapse.page),
    "mnist_baselines": (benchmarks.mnist_baselines.experiments, reports.mnist_baselines.page),
}


@dataclass(frozen=True)
class Index:
    """Train what is missing and write the report; stop it at any time, the same command continues."""

    studies: Annotated[tuple[Literal["mode_collapse", "mnist_baselines"], ...], tyro.conf.Positional] = ()
    """Which studies; all when left out."""
    profile: Literal["quick", "standard", "full"] = "quick"
    """How much to train: quick takes at most 5 minutes on two cores."""
    store: Path = Path("runs")
    """Folder of runs."""
    out: Path = Path("reports/html/index.html")
    """The file to write."""
    workers: int | None = None
    """Processes; none takes one per core."""
    download: bool = False
    """Fetch MNIST first when it is missing; without it the baselines run on what is there."""


def main(settings: Index) -> int:
    """Run the studies and print the path of the report."""
    prepare(settings.out)
    if settings.download:
        mnist(download=True)
    chosen = {name: STUDIES[name] for name in settings.studies or STUDIES}
    planned = {name: experiments(settings.profile) for name, (experiments, _) in chosen.items()}
    console = Console(stderr=True)
    runs = iter(sweep([e for group in planned.values() for e in group], Store(settings.store), settings.workers, console))
    console.print("drawing the report", markup=False)
    pages = [page([next(runs) for _ in planned[name]]) for name, (_, page) in chosen.items()]
    path = write(pages, settings.out, " ".join(["python -m reports.index", *settings.studies, "--profile", settings.profile]))
    Console().print(Text(f"report: {path.resolve()}"), soft_wrap=True)
    return 0


if __name__ == "__main__":
    settings = tyro.cli(Index, prog="python -m reports.index")
    finish(lambda: main(settings))
