"""The lecture's examples on one page: a section a study, in the order of the slides. A file here is the section of one study."""

from __future__ import annotations

from ganlab.pages.page import Page, Section


def lecture_page(*studies: Section, name: str = "lecture") -> Page:
    """Return the page of these studies, which are numbered in their order."""
    sections = [Section(f"{i}. {study.title}", study.blocks) for i, study in enumerate(studies, 1)]
    answer = (
        f"{len(sections)} examples of the lecture as small studies. Each begins with what came out, over many seeds and with an "
        "interval where dice are thrown; pictures come after the numbers."
    )
    return Page(name, "The lecture, runnable", answer, sections)
