"""The lecture's examples on one page: a section a study, in the order of the slides. A file here is one study's section."""

from __future__ import annotations

from collections.abc import Sequence

from ganlab.diagnoses import DIAGNOSES
from ganlab.experiment import Run
from ganlab.pages.page import Page, Section, Text
from ganlab.pages.shared import environment, sources


def lecture_page(*studies: Section, runs: Sequence[Run] = (), name: str = "lecture") -> Page:
    """Return the page of these studies, numbered in their order, and at its end what the verdicts mean.

    Parameters
    ----------
    runs
        All runs that the studies are about, for how they were trained and their sources.
    """
    sections = [Section(f"{i}. {study.title}", study.blocks) for i, study in enumerate(studies, 1)]
    words = [f"{entry.facts['title']}: {entry.facts['threshold']}. ({entry.source})" for entry in DIAGNOSES.entries()]
    sections.append(Section("What the verdicts mean", [Text(words)]))
    if runs:
        sections.append(Section("How it was computed, and sources", [Text([*environment(runs), *sources(runs)])]))
    seeds = sum(len(run.experiment.members()) for run in runs)
    trained = f" {seeds} GANs and other nets were trained for it." if runs else ""
    answer = (
        f"{len(studies)} examples of the lecture as small studies. Each begins with what came out, with its "
        "interval over seeds wherever dice are thrown, or says that nothing was measured; pictures come after the numbers."
        f"{trained}"
    )
    return Page(name, "The lecture, runnable", answer, sections)
