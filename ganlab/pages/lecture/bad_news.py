"""Not all is good news: non-convergence, mode collapse and a diminished gradient, each beside a remedy on the same seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np

from ganlab import frozen, lecture_plots, plots, stats, trace
from ganlab.diagnoses import diagnose
from ganlab.dynamics import simulate
from ganlab.dynamics.verdicts import verdict
from ganlab.experiment import Run
from ganlab.pages.gans import curves_figure, final_figure
from ganlab.pages.lecture.judged import colours, folded_settings, named, ranged
from ganlab.pages.lecture.learned import percent
from ganlab.pages.page import Cell, Figure, Section, Table, Text
from ganlab.pages.shared import mean_text
from ganlab.pages.vanishing_gradients import curves_figure as gradient_figure

STARTS, STEPS = 20, 1024
"""Of the smallest GAN: where it begins is all that a seed can change."""

DIRAC = {"GAN": {}, "GAN + R1 0.3": {"r1": 0.3}}

LIVE = ("usual GAN", "R3GAN")
LOSSES = ("saturating loss", "non-saturating loss", "Wasserstein and penalty")

GONE = 1.0
"""Decades of the generator's gradient, from which it counts as diminished: nine tenths of it are gone."""


class Trial(NamedTuple):
    """A failure that happens, and what becomes of the same seeds with a remedy."""

    failure: str
    happens: str
    failed: list[bool]
    remedy: str
    still: list[bool]


def paths(starts: int = STARTS) -> dict[str, np.ndarray]:
    """Return alternating steps of the Dirac-GAN from random places, with and without R1, `[step, start, player]`."""
    begin = np.random.default_rng(0).normal(0, 1, (starts, 2))
    return {
        name: simulate("dirac_gan", rule="alternating", steps=STEPS, start=begin, **numbers) for name, numbers in DIRAC.items()
    }


def section(runs: Sequence[Run]) -> Section:
    """Return the section of these runs: a GAN and its remedy on the grid, then frozen generators under three losses."""
    usual, remedied = live = [named(run, name) for run, name in zip(runs, LIVE, strict=False)]
    saturating, *others = still = [named(run, name) for run, name in zip(runs[2:], LOSSES, strict=True)]
    walked = paths()
    lasting = {name: [verdict(np.linalg.norm(path[:, i], axis=-1)) != "converges" for i in range(STARTS)]
               for name, path in walked.items()}  # fmt: skip
    trials = [
        Trial("Non-convergence", "the smallest GAN", lasting["GAN"], "R1 of weight 0.3", lasting["GAN + R1 0.3"]),
        *(
            _trial(title, usual, remedied, code)
            for title, code in (("Non-convergence", "non_convergence"), ("Mode collapse", "mode_collapse"))
        ),
        *(
            Trial("Diminished gradient", "saturating loss, generator frozen at step 0", _gone(saturating), name, _gone(run))
            for name, run in zip(LOSSES[1:], others, strict=True)
        ),
    ]
    frame = lecture_plots.frame_paths(walked)
    return Section(
        "Not all is good news: what fails, and what stops it?",
        [
            Text(
                [
                    f"Each failure is provoked here, beside a remedy with a name on the same seeds. {_answer(trials)}",
                    "Non-convergence: the players circle and never settle. Mode collapse: the generator makes little of all "
                    "there is. Diminished gradient: the discriminator is so good that the generator learns nothing, seen here "
                    "by a generator that is frozen before its first step.",
                    "R3GAN's samples are those of a running mean of its generator, and a mean moves less than what it is "
                    "taken of: what settles on the grid may be the mean and not the game. And what neither collapses nor "
                    f"moves need not be good: {_quality(live)}.",
                ]
            ),
            _table(trials),
            Figure(
                "Non-convergence: does the smallest GAN settle?",
                lambda: plots.grid(
                    frame, partial(lecture_plots.draw_paths, colours=plots.palette(walked)), col="method", height=2.6,
                    aspect=1.0, equal=True,
                ),
                frame,
                "Paths of generator and discriminator in the plane: circles without R1, spirals to the middle with it.",
                f"Six of {STARTS} starts (dots) and {lecture_plots.PATH_STEPS} steps of {STEPS}; data and fake are one point "
                "each, and the discriminator is one slope. The cross is where both are done. With alternating steps the plain "
                "GAN circles for ever; R1 makes the same paths spiral in.",
            ),
            _ends(live),
            _said_of_means(
                ranged(
                    curves_figure(
                        live, usual.experiment.data, colours(live), "motion", "", "movement (std)",
                        "Non-convergence: does the generator still move?", False, None,
                    )
                )
            ),
            ranged(
                gradient_figure(
                    still, colours(still), frozen.GRADIENT, "gradient length",
                    "Diminished gradient: what is left for a generator that stands still?", True,
                ),
                "updates",
            ),
            folded_settings([*live, *still]),
        ],
    )  # fmt: skip


def _answer(trials: Sequence[Trial]) -> str:
    """Return in how many seeds each failure is seen, and in how many still with its remedy."""
    said = (f"{t.failure} ({t.happens}): {_share(t.failed)}, with {t.remedy} {_share(t.still)}" for t in trials)
    return f"Seeds that fail: {'; '.join(said)}."


def _share(failed: Sequence[bool]) -> str:
    return str(stats.rate(sum(failed), len(failed))) if failed else "none could be judged"


def _quality(live: Sequence[Run]) -> str:
    """Return what share of the samples of each is of high quality at the end, over how many seeds."""
    said = "; ".join(
        f"{run.experiment.subject} {mean_text(trace.last(run.trace, 'high_quality_share', 'default'), percent)}" for run in live
    )
    e = live[0].experiment
    return f"after {e.steps} steps the share of samples of high quality is, over {len(e.seeds)} seeds, {said}"


def _ends(live: Sequence[Run]) -> Figure:
    """Return where samples lie at the end, its caption with of how many seeds three are shown."""
    figure, n = final_figure(live, live[0].experiment.data, colours(live)), len(live[0].experiment.seeds)
    return replace(figure, caption=f"{figure.caption} Three of {n} seeds; of all of them, {_quality(live)}.")


def _said_of_means(figure: Figure) -> Figure:
    return replace(figure, caption=f"{figure.caption} Of R3GAN the running mean of the generator is measured.")


def _trial(title: str, usual: Run, remedied: Run, code: str) -> Trial:
    """Return who fails with and without the remedy, of the seeds that can be judged in both: in doubt for neither."""
    before, after = (diagnose(run)[code].members.set_index("seed")["verdict"] for run in (usual, remedied))
    judged = before.isin(["present", "absent"]) & after.reindex(before.index).isin(["present", "absent"])
    failed, still = ((verdict[judged[judged].index] == "present").tolist() for verdict in (before, after))
    return Trial(title, f"the usual GAN on {usual.experiment.data}", failed, "R3GAN and a running mean", still)


def _gone(run: Run) -> list[bool]:
    return (~(frozen.decay(run)["lost"] < GONE)).tolist()  # a seed that diverged has lost it


def _table(trials: Sequence[Trial]) -> Table:
    corrected = stats.holm([stats.mcnemar(t.failed, t.still) for t in trials])
    rows: list[list[Cell | str]] = []
    for trial, p in zip(trials, corrected, strict=True):
        rows.append(
            [
                Cell(trial.failure, note=trial.happens), _rate(trial.failed),
                Cell(trial.remedy), _rate(trial.still), f"{p:.2g}",
            ]
        )  # fmt: skip
    return Table(
        "What fails, and what stops it", ["failure", "seeds that fail", "remedy", "seeds that still fail", "p"], rows,
        "Failed seeds with the rate's 95 % Wilson interval; the colour is the claim about a rate of "
        f"{stats.TOLERATED_RATE:.0%}. Both columns have the same seeds (starting points, for the smallest GAN); p is "
        "McNemar's exact test on them, after Holm's correction for this table. Not converged: the path does not spiral in; "
        "on data, and collapsed: as the verdicts at the end of the page have it. Seeds that cannot be judged in both are "
        f"left out. Diminished: the gradient of a frozen generator lost at least {GONE:g} decade (nine tenths of itself) while "
        "its discriminator trained on.",
    )  # fmt: skip


def _rate(failed: Sequence[bool]) -> Cell:
    if not failed:
        return Cell("no seed could be judged", tone="inconclusive")
    found = stats.rate(sum(failed), len(failed))
    tone = stats.claim(found.failures, found.n)
    return Cell(f"{found.failures} of {found.n}", tone, f"{found.estimate:.0%} [{found.low:.0%}, {found.high:.0%}]")
