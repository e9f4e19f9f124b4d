"""From runs to one HTML file: what stands on a page, and how pages become a file.

The files about runs only compose: numbers come from `diagnoses`, `stats` and `trace`, pictures from `plots`; `page.py` renders.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ganlab.experiment import Run
from ganlab.frozen import is_frozen
from ganlab.pages.applications import application_page
from ganlab.pages.classifiers import classifier_page
from ganlab.pages.convergence import convergence_page
from ganlab.pages.gans import gan_page
from ganlab.pages.learners import learner_page
from ganlab.pages.overview import overview_page
from ganlab.pages.page import Page, write
from ganlab.pages.phase_map import phase_page
from ganlab.pages.published import published_page
from ganlab.pages.recorded import recorded_page
from ganlab.pages.repair import repair_page
from ganlab.pages.throughput import throughput_page
from ganlab.pages.vanishing_gradients import vanishing_page
from ganlab.registry import InputError

__all__ = [
    "application_page", "classifier_page", "convergence_page", "gan_page", "learner_page", "overview_page", "pages_of",
    "phase_page", "published_page", "recorded_page", "repair_page", "report", "throughput_page", "vanishing_page",
]  # fmt: skip


def report(runs: Run | Sequence[Run], path: str | Path) -> Path:
    """Write one HTML file about these runs and return its path.

    Example
    -------
    >>> import ganlab, tempfile
    >>> run = ganlab.run("nsgan", "ring8", seeds=2, steps=10, hidden=(8,), batch=16)
    >>> report(run, tempfile.mkdtemp() + "/report.html").name
    'report.html'
    """
    runs = [runs] if isinstance(runs, Run) else list(runs)
    if not runs:
        raise InputError("a report needs at least one run; `ganlab list runs` shows what is stored")
    return write(pages_of(runs), path)


def pages_of(runs: Sequence[Run]) -> list[Page]:
    """Return a page for each run recorded at one seed, one for the other GANs among the runs, one for those whose generator
    freezes, one for those over several numbers, one for the samples of autoencoders, one for the classifiers of each data set,
    one for the learners of each, one for each application, and one for timings."""
    recorded = [run for run in runs if run.experiment.kind == "recorded" and len(run.outcome) == 1]
    gans = [run for run in runs if run.experiment.kind in ("gan", "recorded") and run not in recorded and not is_frozen(run)]
    frozen = [run for run in runs if run.experiment.kind == "gan" and is_frozen(run)]
    maps = [run for run in gans if len(run.experiment.varied) > 1]
    gans = [run for run in gans if len(run.experiment.varied) < 2]
    classifiers = [run for run in runs if run.experiment.kind == "classifier"]
    coders = [run for run in runs if run.experiment.kind == "autoencoder"]
    data = dict.fromkeys(run.experiment.data for run in classifiers)
    pages = [recorded_page(run) for run in recorded]
    pages += ([gan_page(gans)] if gans else []) + ([phase_page(maps)] if maps else [])
    pages += [vanishing_page(frozen)] if frozen else []
    pages += [gan_page(coders, "autoencoders", "What do these autoencoders draw?")] if coders else []
    pages += [classifier_page([r for r in classifiers if r.experiment.data == d], f"classifiers-{d}") for d in data]
    learners = [run for run in runs if run.experiment.kind == "learner"]
    data = dict.fromkeys(run.experiment.data for run in learners)
    pages += [learner_page([r for r in learners if r.experiment.data == d], f"learners-{d}") for d in data]
    titles = dict.fromkeys(run.experiment.title for run in runs if run.experiment.kind == "application")
    pages += [application_page([r for r in runs if r.experiment.title == t], t.replace(" on ", "-")) for t in titles]
    measured = [run for run in runs if run.experiment.kind == "throughput"]
    return pages + ([throughput_page(measured)] if measured else [])
