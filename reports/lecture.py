"""The page of the lecture: a section for each of its studies, in the order of the slides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from benchmarks.lecture.frameworks import lines
from benchmarks.lecture.two_layers import largest_gap
from ganlab.experiment import Run
from ganlab.pages.lecture import (
    airline,
    applications,
    autoencoders,
    bad_news,
    breast_cancer,
    digits,
    frameworks,
    lecture_page,
    line,
    mnist,
    neuron,
    regression,
    step_by_step,
    two_layers,
    vectors,
)
from ganlab.pages.page import Page, Section

SECTIONS: dict[str, Callable[[Sequence[Run]], Section]] = {
    "neuron": lambda _: neuron.section(),
    "two_layers": lambda _: two_layers.section(largest_gap()),
    "regression": regression.section,
    "breast_cancer": breast_cancer.section,
    "mnist": mnist.section,
    "airline": airline.section,
    "autoencoders": autoencoders.section,
    "step_by_step": step_by_step.section,
    "vectors": vectors.section,
    "line": line.section,
    "digits": digits.section,
    "bad_news": bad_news.section,
    "applications": applications.section,
    "frameworks": lambda runs: frameworks.section(runs, lines()),
}
"""In the order of the slides, a function of the runs of the study of this name in `benchmarks.lecture`; those of a study that
trains nothing there are none."""


def page(runs: Mapping[str, Sequence[Run]]) -> Page:
    """Return the page of these runs, by study."""
    sections = [section(runs.get(name, ())) for name, section in SECTIONS.items()]
    return lecture_page(*sections, runs=[run for mine in runs.values() for run in mine])
