"""The page about the diagnoses themselves: how often they are right on runs whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from ganlab import plots, stats
from ganlab.calibration import NEAR, Score, balanced, scores
from ganlab.diagnoses import DIAGNOSES
from ganlab.pages.page import Cell, Figure, Page, Section, Table, Text

TARGET = 0.95


def calibration_page(frame: pd.DataFrame, unknown: pd.DataFrame | None = None, name: str = "calibration") -> Page:
    """Return the page about a frame of judgements, see `ganlab.calibration.judgements`.

    `unknown` has the judgements of mode collapse where modes are hidden.
    """
    as_they_are = frame[frame["strictness"] == 1.0]
    tried, scored = (scores(as_they_are[as_they_are["half"] == half]) for half in ("tried", "scored"))
    without_modes = [] if unknown is None else _without_modes(unknown)
    sections = [
        Section("The verdict", [_table(scored, "On the half of the families that no threshold was tried on")]),
        Section("The verdict: mode collapse without known modes", without_modes),
        Section("The evidence: thresholds", [_figure(frame), Text(_tried(frame))]),
        Section("The evidence: the other half", [_table(tried, "On the half that thresholds were tried on")]),
        Section("The evidence: every world", [_worlds(as_they_are)]),
        Section("What the words mean", [Text(_definitions())]),
    ]
    shown = [section for section in sections if section.blocks]
    return Page(name, "How often are the diagnoses right?", _answer(scored, as_they_are), shown)


def _title(code: str) -> str:
    return str(DIAGNOSES.entry(code).facts["title"])


def _answer(scored: Sequence[Score], frame: pd.DataFrame) -> str:
    good = [s for s in scored if all(r is None or r.estimate >= TARGET for r in (s.sensitivity, s.specificity))]
    n = frame.drop_duplicates(["world", "seed"])
    return (
        f"On {n['world'].nunique()} kinds of planted runs, {n['world'].size} in all, {len(good)} of {len(scored)} diagnoses "
        f"find at least {TARGET:.0%} of the failures and leave at least {TARGET:.0%} of the sound runs alone, on families of "
        "causes that their thresholds were not tried on."
    )


def _rate(rate: stats.Rate | None) -> Cell:
    if rate is None:
        return Cell("")
    tone = "" if rate.estimate >= TARGET else "present"
    return Cell(f"{rate.estimate:.0%}", tone=tone, note=f"{rate.failures} of {rate.n} [{rate.low:.0%}, {rate.high:.0%}]")


def _table(found: Sequence[Score], title: str) -> Table:
    rows: list[list[Cell | str]] = [
        [
            _title(s.code), _rate(s.sensitivity), _rate(s.specificity), _rate(s.near),
            "" if np.isnan(s.delay) else f"{s.delay:+.0%}", s.missed or "none",
        ]
        for s in found
    ]  # fmt: skip
    return Table(
        title,
        ["diagnosis", "failures found", "sound runs left alone", f"onset within {NEAR:.0%}", "median delay", "wrong on"],
        rows,
        "Seeds of planted worlds, with 95 % Wilson intervals; an inconclusive verdict on a failure counts as one that was not "
        "found. Delay: the onset that was told less the true one, as a part of the run, where the failure has one beginning.",
    )


def _without_modes(frame: pd.DataFrame) -> list[Table]:
    """Return how often mode collapse is judged rightly where only samples of the data are known."""
    as_they_are = frame[frame["strictness"] == 1.0]
    rows: list[list[Cell | str]] = []
    for half in ("scored", "tried"):
        for s in scores(as_they_are[as_they_are["half"] == half]):
            delay = "" if np.isnan(s.delay) else f"{s.delay:+.0%}"
            rows.append([half, _rate(s.sensitivity), _rate(s.specificity), _rate(s.near), delay, s.missed or "none"])
    return [
        Table(
            "Mode collapse, modes unknown",
            ["half", "failures found", "sound runs left alone", f"onset within {NEAR:.0%}", "median delay", "wrong on"],
            rows,
            f"{as_they_are['world'].nunique()} worlds whose modes are hidden: those above that fail by mode collapse or by "
            "nothing, and others on data that do not fall apart into clumps. Judged by cells of real samples.",
        )
    ]


def _figure(frame: pd.DataFrame) -> Figure:
    curve = balanced(frame).assign(diagnosis=lambda f: [_title(code) for code in f["code"]])
    colours = plots.palette(["tried", "scored"])

    def draw(part: pd.DataFrame, ax: Axes) -> Axes:
        for half, rows in part.groupby("half", sort=False):
            rows = rows.sort_values("strictness")
            ax.plot(rows["strictness"], rows["balanced"], marker="o", color=colours[str(half)], label=str(half), alpha=0.8)
        ax.axvline(1.0, color=plt.rcParams["text.color"], linestyle=":", linewidth=1)
        ax.set_xscale("log")
        ax.set_xticks([0.25, 0.5, 1, 2, 4], ["1/4", "1/2", "1", "2", "4"])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_ylim(0.4, 1.03)
        ax.set_xlabel("strictness")
        ax.set_ylabel("share right")
        ax.legend(loc="lower left")
        return ax

    own = curve[(curve["strictness"] == 1) & (curve["half"] == "scored")]
    said = "; ".join(f"{r['diagnosis']} {r['balanced']:.0%}" for r in own.to_dict("records"))
    return Figure(
        "Would other thresholds do better?",
        lambda: plots.grid(curve, draw, col="diagnosis", wrap=2, height=2.1, aspect=1.5),
        curve,
        f"Mean of the two shares over a common factor on all thresholds of a diagnosis, on both halves. At 1, scored: {said}.",
        "Mean of the share of failures found and of sound runs left alone, over a factor on all thresholds of a diagnosis at "
        "once. Dotted: the thresholds as they are. A wide plateau means that little hangs on where exactly they are.",
    )


def _tried(frame: pd.DataFrame) -> list[str]:
    curve = balanced(frame)
    said = []
    for code, rows in curve[curve["half"] == "tried"].groupby("code", sort=False):
        best = rows["balanced"].max()
        factors = sorted(rows[rows["balanced"] >= best - 1e-9]["strictness"])
        own = float(rows[rows["strictness"] == 1.0]["balanced"].iloc[0])
        verdict = "the thresholds as they are, are among the best" if own >= best - 1e-9 else f"as they are: {own:.0%}"
        said.append(f"{_title(str(code))}: best at {best:.0%} with factors {factors[0]:g} to {factors[-1]:g}; {verdict}.")
    return said


def _worlds(frame: pd.DataFrame) -> Table:
    codes = list(dict.fromkeys(frame["code"]))
    rows: list[list[Cell | str]] = []
    for (world, family, half), part in frame.groupby(["world", "family", "half"], sort=False):
        row: list[Cell | str] = [Cell(str(world), note=f"{family}, {half}")]
        for code in codes:
            mine = part[part["code"] == code]
            if mine.empty:
                row.append(Cell("open", note="not judged"))
                continue
            right = bool((mine["truth"] == mine["flagged"]).all())
            said = ", ".join(f"{count} {verdict}" for verdict, count in mine["said"].value_counts().items())
            planted = "planted" if mine["truth"].iloc[0] else "sound"
            row.append(Cell(planted, tone="" if right else "present", note=said))
        rows.append(row)
    return Table(
        f"{len(rows)} worlds", ["world", *map(_title, codes)], rows,
        "What was planted, and under it the verdicts on its seeds. Open: two people might label it differently.", folded=True,
    )  # fmt: skip


def _definitions() -> list[str]:
    told = [f"{e.facts['title']}: {e.facts['threshold']}. ({e.source})" for e in DIAGNOSES.entries()]
    return [
        "A planted world is a generator of a mixture and a discriminator whose numbers are moved by a script in place of an "
        "optimiser. The same probes look at them as at any run.",
        "Families are causes: each is in one half only, so that the half that is scored has none of the causes on which "
        "thresholds were tried.",
        *told,
    ]
