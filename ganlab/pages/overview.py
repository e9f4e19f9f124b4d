"""The first page of a report on several studies: which failures happened, and what avoids each on the same seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from ganlab import stats
from ganlab.diagnoses import ALPHA, DIAGNOSES, Diagnosis, diagnose
from ganlab.experiment import Run
from ganlab.pages.gans import BASELINE
from ganlab.pages.page import Cell, Page, Section, Table, Text
from ganlab.pages.shared import distinct


class Judged(NamedTuple):
    """A run, and one diagnosis of it."""

    run: Run
    found: Diagnosis


class Pair(NamedTuple):
    """Where a failure happened, and the run that had least of it on the same data and seeds."""

    failing: Judged
    avoiding: Judged | None
    p_value: float
    """Exact McNemar, after Holm's correction for `compared` pairs."""
    compared: int

    @property
    def told(self) -> str:
        """Whether the test tells the two apart: "less" or "more" of it befell the avoiding run; "" where it does not."""
        if self.avoiding is None or self.p_value > ALPHA:
            return ""
        return "less" if self.avoiding.found.failures < self.failing.found.failures else "more"


def overview_page(studies: Mapping[str, Sequence[Run]], name: str = "overview") -> Page:
    """Return the page: for each failure and data set the usual GAN, and what fails least on the same seeds.

    Runs are compared within a study, where they share data, seeds and what freezes.

    Parameters
    ----------
    studies
        Runs of each study, by its name.
    """
    judged = {study: [(run, diagnose(run)) for run in distinct(runs)] for study, runs in studies.items()}
    rows: list[list[Cell | str]] = []
    said, never, not_judged = [], [], []
    for code in DIAGNOSES:
        mine = {study: [Judged(run, found[code]) for run, found in both if found[code].n] for study, both in judged.items()}
        title, seeds = DIAGNOSES.entry(code).facts["title"], sum(j.found.n for study in mine.values() for j in study)
        pairs = [(study, pair) for study, runs in mine.items() for pair in _pairs(runs)]
        if pairs:
            rows += [[Cell(title, note=f"study {study}"), _happens(pair.failing), _avoids(pair)] for study, pair in pairs]
            told_apart_first = sorted((pair for _, pair in pairs), key=lambda p: (p.told != "less", -p.failing.found.rate))
            said.append(_sentence(title, told_apart_first[0]))
        elif seeds:
            never.append(f"{title.lower()} (0 of {seeds} seeds)")
        else:
            not_judged.append(title.lower())
    n_seeds = sum(len(run.experiment.members()) for runs in studies.values() for run in runs)
    rest = [f"Not seen: {', '.join(never)}."] if never else []
    rest += [f"Could not be judged on these runs: {', '.join(not_judged)}."] if not_judged else []
    tables = [Table(
        "What failed, and what did not", ["failure", "happens", "is avoided"], rows,
        "Failed seeds of those that could be judged, with the 95 % Wilson interval of the rate. Happens: to the usual GAN, "
        f"{BASELINE}; where that did not fail, to the run with most failures. Avoided: the run of the same study, on the same "
        "data and seeds, in which fewest failed; runs of which some seed could not be judged are left out. The exact McNemar "
        "test says whether that is more than chance, after Holm's correction for all pairs from which the two were chosen, at "
        f"{ALPHA:.0%}.",
    )] if rows else []  # fmt: skip
    answer = f"Of {n_seeds} trainings: " + "; ".join(said) + "." if said else f"None of {n_seeds} trainings is seen to fail."
    sections = [Section("The failures", [*tables, *([Text(rest)] if rest else [])])]
    return Page(name, "What fails here, and what avoids it?", answer, [section for section in sections if section.blocks])


def _alike(study: Sequence[Judged]) -> list[list[Judged]]:
    """Return the runs of a study in groups that can be compared seed by seed: the same data and seeds, all of them judged."""
    groups: dict[object, list[Judged]] = {}
    for judged in study:
        e = judged.run.experiment
        if judged.found.n == len(e.seeds):
            frozen = tuple(e.settings.get(key) for key in ("frozen_at", "fresh_discriminator"))
            groups.setdefault((e.data, e.seeds, frozen), []).append(judged)
    return list(groups.values())


def _pairs(study: Sequence[Judged]) -> list[Pair]:
    """Return a pair for each group of a study in which a seed failed; where none can be compared, the worst run alone."""
    pairs = [pair for group in _alike(study) if (pair := _pair(group))]
    worst = max(study, key=lambda j: j.found.failures, default=None)
    return pairs or ([Pair(worst, None, 1.0, 0)] if worst and worst.found.failures else [])


def _pair(group: Sequence[Judged]) -> Pair | None:
    """Return where the failure happened in a group, and the run that had least of it; None where no seed failed.

    The usual GAN is chosen before anything is seen, so that it is compared with each other run; where it did not fail, any
    pair could have been shown, and all of them count.
    """
    usual = [j for j in group if j.run.experiment.subject.split(" ")[0] == BASELINE and j.found.failures]
    failing = usual[0] if usual else max(group, key=lambda j: j.found.failures)
    if not failing.found.failures:
        return None
    others = [j for j in group if j is not failing]
    if not others:
        return Pair(failing, None, 1.0, 0)
    avoiding = min(others, key=lambda j: j.found.failures)
    tested = [(failing, other) for other in others] if usual else list(combinations(group, 2))
    p_values = stats.holm([stats.mcnemar(_failed(a), _failed(b)) for a, b in tested])
    at = next(i for i, (a, b) in enumerate(tested) if {id(a), id(b)} == {id(failing), id(avoiding)})
    return Pair(failing, avoiding, float(p_values[at]), len(tested))


def _failed(judged: Judged) -> list[bool]:
    return list(judged.found.members.sort_values("seed")["verdict"] == "present")


def _rate(d: Diagnosis) -> str:
    return f"{d.rate:.0%} [{d.interval[0]:.0%}, {d.interval[1]:.0%}]"


def _happens(judged: Judged) -> Cell:
    d, e = judged.found, judged.run.experiment
    note = f"{_rate(d)}\nsince step {d.onset:g} of {e.steps} (median)"
    return Cell(f"{e.title}: {d.failures} of {d.n}", tone="present", note=note)


def _avoids(pair: Pair) -> Cell:
    if pair.avoiding is None:
        return Cell("nothing to compare with", tone="inconclusive", note="no other run has the same data and seeds, all judged")
    d, e = pair.avoiding.found, pair.avoiding.run.experiment
    note = f"{_rate(d)}\np = {pair.p_value:.2g} after correction for {pair.compared} pair{'s' * (pair.compared > 1)}"
    tone = {"less": "absent", "more": "present"}.get(pair.told, "inconclusive")
    return Cell(f"{e.subject}: {d.failures} of {d.n}", tone=tone, note=note)


def _sentence(title: str, pair: Pair) -> str:
    d, e = pair.failing.found, pair.failing.run.experiment
    said = f"{title.lower()} befell {d.failures} of {d.n} seeds of {e.title}"
    if pair.avoiding is None:
        return said
    other = pair.avoiding.found
    told = {"less": "", "more": " (which is worse)"}.get(pair.told, " (not told apart)")
    return f"{said} and {other.failures} of {other.n} of {pair.avoiding.run.experiment.subject}{told}"
