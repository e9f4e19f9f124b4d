"""What stands on a page: from runs to sections of verdicts, evidence, settings and sources.

Composition only: numbers come from `diagnoses`, `stats` and `trace`, pictures from `plots`, the look from `report`.
"""

from __future__ import annotations

from collections.abc import Sequence

from ganlab.experiment import Run
from ganlab.pages.classifiers import classifier_page
from ganlab.pages.gans import gan_page
from ganlab.report import Page

__all__ = ["classifier_page", "gan_page", "pages_of"]


def pages_of(runs: Sequence[Run]) -> list[Page]:
    """Return a page for the GANs among the runs, and one for the classifiers of each data set."""
    gans = [run for run in runs if run.experiment.kind == "gan"]
    classifiers = [run for run in runs if run.experiment.kind == "classifier"]
    data = dict.fromkeys(run.experiment.data for run in classifiers)
    pages = [gan_page(gans)] if gans else []
    return pages + [classifier_page([r for r in classifiers if r.experiment.data == d], f"classifiers-{d}") for d in data]
