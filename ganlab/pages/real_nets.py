"""The part of the page about convergence that is about nets: who settles, and what each instrument says of who does not."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from ganlab import convergence_plots, plots, stats
from ganlab.convergence import instruments
from ganlab.diagnoses import Diagnosis, diagnose
from ganlab.dynamics_plots import panels
from ganlab.experiment import AGES, Run
from ganlab.pages.page import Cell, Figure, Section, Table, Text
from ganlab.pages.shared import apart, compared

Seen = dict[str, pd.DataFrame]
"""What the instruments say, by variant."""


def answer(runs: Sequence[Run]) -> str:
    """Return how many trainings of nets do not settle, variant by variant."""
    found = [(run, diagnose(run)["non_convergence"]) for run in runs]
    failures, n = sum(d.failures for _, d in found), sum(d.n for _, d in found)
    said = ", ".join(f"{run.experiment.subject} {d.failures} of {d.n}" for run, d in found)
    data = " and ".join(dict.fromkeys(run.experiment.data for run in runs))
    return f"Of {n} trainings of nets on {data}, {failures} do not settle within {_steps(runs)} steps: {said}."


def sections(runs: Sequence[Run]) -> list[Section]:
    """Return the sections about nets: verdict, evidence, and what the words mean."""
    colours = plots.palette(run.experiment.subject for run in runs)
    seen = {run.experiment.subject: instruments(run) for run in runs}
    judged = [diagnose(run)["non_convergence"] for run in runs]
    turned = [run for run in runs if "path" in run.samples]
    evidence = [_planes(runs, seen, colours), _averages(runs, colours), _spectra(runs, seen, colours)]
    rotation = [_paths(turned, seen, colours), _eigenvalues(turned, seen, colours)] if turned else []
    return [
        Section("Nets: the verdict", [_verdicts(runs, judged, seen, colours), _instruments(seen, colours)]),
        Section("Nets: what moves", evidence),
        *([Section("Nets: why it moves", rotation)] if rotation else []),
        Section("Nets: what the words mean", [Text(_words(judged[0]))]),
    ]


def _steps(runs: Sequence[Run]) -> str:
    return " or ".join(f"{n:,}" for n in sorted({run.experiment.steps for run in runs}))


def _n(runs: Sequence[Run]) -> str:
    return " or ".join(str(n) for n in sorted({len(run.outcome) for run in runs}))


# --- the verdict -------------------------------------------------------------------------------------------------------


def _verdicts(runs: Sequence[Run], judged: Sequence[Diagnosis], seen: Seen, colours: plots.Colours) -> Table:
    rows: list[list[Cell | str]] = []
    for run, d in zip(runs, judged, strict=True):
        subject = run.experiment.subject
        found = seen[subject]
        name = Cell(subject, swatch=colours[subject])
        rows.append([name, _rate(run, d), _moves(found), _cycles(found, "mode_"), _cycles(found, "")])
    return Table(
        "Do nets settle, and if not, do they come round?",
        ["variant", "seeds that do not settle", "what still moves", "modes come round", "the generator comes round"],
        rows,
        "First column: failed seeds of those that could be judged and the claim about the rate that they allow; the rate with "
        "its 95 % Wilson interval; the median step since when. Then medians over all seeds in the second half of the run: how "
        "far samples move from one look to the next, in standard deviations of the data (two sets of "
        f"{compared(runs[0])} samples of one normal law are about {apart(runs[0]):.2f} apart), and how many modes are held at "
        "one look and at some look. Last: in how many seeds something comes round again and again - the shares of the modes, "
        "or the generator's parameters in the plane in which they move most - with the median period, and the autocorrelation "
        "at that period, 1 for an exact repetition. Chance finds a cycle in 5 % of series without one, so one seed of few is "
        "no evidence.",
    )  # fmt: skip


def _rate(run: Run, d: Diagnosis) -> Cell:
    if not d.n:
        return Cell(d.verdict, tone="inconclusive", note=d.evidence)
    note = f"{d.rate:.0%} [{d.interval[0]:.0%}, {d.interval[1]:.0%}]"
    note += f"\nsince step {d.onset:g}" if d.failures else ""
    diverged = int((run.outcome["status"] == "diverged").sum())
    note += f"\n{diverged} diverged" if diverged else ""
    return Cell(f"{d.failures} of {d.n}: {d.verdict}", tone=d.verdict, note=note)


def _moves(found: pd.DataFrame) -> Cell:
    said = f"{found['motion'].median():.2f} std a look"
    if "held" not in found:
        return Cell(said)
    return Cell(said, note=f"{found['held'].median():.1f} modes at a look, {found['ever_held'].median():g} at some")


def _cycles(found: pd.DataFrame, prefix: str) -> Cell:
    if f"{prefix}period" not in found:
        return Cell("not recorded")
    period = found[f"{prefix}period"]
    round_ = period.notna()
    said = f"{round_.sum()} of {len(period)} seeds"
    if not round_.any():
        return Cell(said)
    return Cell(said, note=f"every {period.median():.0f} steps, score {found.loc[round_, f'{prefix}score'].median():.2f}")


_INSTRUMENTS: tuple[tuple[str, str, str], ...] = (
    ("drift", "drift", "{:.2f}"),
    ("forgotten", "forgetting", "{:+.2f}"),
    ("rotation_index", "rotation index", "{:.2g}"),
    ("largest_real_part", "strongest push", "{:+.2g}"),
    ("path_attraction", "attraction", "{:+.2f}"),
    ("path_rotation", "crossing", "{:.2f}"),
    ("loss_period", "round of the loss", "{:.0f}"),
)
"""Column of `instruments`, heading, format."""


def _instruments(seen: Seen, colours: plots.Colours) -> Table:
    columns = [c for c in _INSTRUMENTS if all(c[0] in found for found in seen.values())]
    rows: list[list[Cell | str]] = []
    for variant, found in seen.items():
        row: list[Cell | str] = [Cell(variant, swatch=colours[variant], note=f"n = {len(found)}")]
        for name, _, form in columns:
            row.append(_spread(found[name], form, _chances(found) if name == "forgotten" else ""))
        rows.append(row)
    return Table(
        "What every instrument says",
        ["variant", *(heading for _, heading, _ in columns)],
        rows,
        "Medians over seeds, below them the smallest and the largest; for reading, not for ranking. Drift: 1 for a straight "
        "line, near 0 for what comes back. Forgetting: how much worse the discriminator tells fakes of the "
        f"last {AGES} looks from real samples than when they were made, and the chances themselves. Rotation index: radians "
        "turned while a distance changes by a factor e; below 1 the game mostly pulls or pushes, above it mostly turns. "
        "Strongest push: the largest real part of the game's eigenvalues; above 0 some direction is driven away. Attraction "
        "and crossing: from the path below; 1 and 0 where all points to the end, 0 and more than 0 where the gradient crosses "
        "the path. Round of the loss: steps in its strongest wave, which a slow trend can be too.",
    )  # fmt: skip


def _chances(found: pd.DataFrame) -> str:
    return f"from {found['then'].median():.2f} to {found['now'].median():.2f}"


def _spread(values: pd.Series, form: str, more: str = "") -> Cell:
    known = values[values.notna()]
    if known.empty:
        return Cell("none")
    said = f"[{form.format(known.min())}, {form.format(known.max())}]"
    missing = len(values) - len(known)
    notes = [said, more, f"{missing} without a value" if missing else ""]
    return Cell(form.format(known.median()), note="\n".join(note for note in notes if note))


# --- what moves --------------------------------------------------------------------------------------------------------


def _planes(runs: Sequence[Run], seen: Seen, colours: plots.Colours) -> Figure:
    frame = convergence_plots.frame_plane(runs)
    shown = frame.assign(seed=[f"seed {seed}" for seed in frame["seed"]])
    shown = shown[shown["seed"].isin(list(dict.fromkeys(shown["seed"]))[:SHOWN])]
    draw = partial(convergence_plots.draw_plane, colours=colours)
    said = "; ".join(f"{v} in {int(found['period'].notna().sum())} of {len(found)} seeds" for v, found in seen.items())
    return Figure(
        "Where does the generator go in the second half of training?",
        lambda: plots.grid(shown, draw, col="variant", row="seed", height=1.5, aspect=1.0, equal=True, margin_titles=True),
        frame,
        f"The generator's parameters in the plane in which they move most, a column per variant, a row per seed. "
        f"Cycles: {said}.",
        f"Each panel is one seed in a plane of its own, scaled to the same spread; darker is later, the dot is the end. Up to "
        f"{SHOWN} of {_n(runs)} seeds are shown. A cycle is a line that goes round and round; a straight way or one bend is "
        "not, since a walk without aim gives one smooth bend here too, which is why a test and not the eye decides. It finds "
        f"cycles for {said}.",
    )  # fmt: skip


SHOWN = 4
"""Seeds with a panel of their own."""


def _averages(runs: Sequence[Run], colours: plots.Colours) -> Figure:
    frame = convergence_plots.frame_averages(runs)
    draw = partial(convergence_plots.draw_averages, colours=colours)
    said = "; ".join(_difference(frame, colours))
    least = stats.fewest_seeds(len(colours))
    return Figure(
        "Is the average generator better than the last one?",
        lambda: plots.grid(frame, draw, col="variant", wrap=min(4, len(colours)), height=2.2, aspect=0.9),
        frame,
        f"Distance of generated samples to the data, for the last generator and for the mean of its parameters over the second "
        f"half, a line per seed. Average less last: {said}.",
        "A line for each seed: on the left its last generator, on the right the one whose parameters are the mean over all "
        "looks of the second half; lower is nearer to the data. A good average beside a bad last one is the sign of a circle. "
        f"Average less last, mean over seeds with its 95 % paired bootstrap interval: {said}. p: exact sign-flip test, "
        f"after Holm's correction for the variants here; fewer than {least} seeds show nothing.",
    )  # fmt: skip


def _difference(frame: pd.DataFrame, colours: plots.Colours) -> list[str]:
    pairs = [part for _, part in frame.groupby("variant", sort=False)]
    p = stats.holm([stats.sign_flip(part["average"], part["last"]) for part in pairs])
    said = []
    for variant, part, p_value in zip(colours, pairs, p, strict=True):
        d = stats.paired_difference(part["average"], part["last"])
        interval = f"[{d.low:+.2f}, {d.high:+.2f}]" if np.isfinite([d.low, d.high]).all() else "no interval"
        chance = f"p = {p_value:.2g}" if np.isfinite(p_value) else "not tested"
        said.append(f"{variant} {d.estimate:+.2f} ({interval}, {chance}, n = {d.n})")
    return said


def _spectra(runs: Sequence[Run], seen: Seen, colours: plots.Colours) -> Figure:
    frame = convergence_plots.frame_spectrum(runs)
    draw = partial(convergence_plots.draw_spectrum, colours=colours)
    said = "; ".join(f"{v} {found['loss_period'].median():.0f} steps" for v, found in seen.items())
    return Figure(
        "Does the discriminator's loss swing, and how fast?",
        lambda: plots.grid(frame, draw, col="variant", wrap=min(4, len(colours)), height=1.9, aspect=1.1),
        frame,
        f"Share of the variance of the discriminator's loss by the length of a wave, a panel per variant. "
        f"Strongest wave, median: {said}.",
        "The loss of every step in the second half of training, its straight trend taken out, as a sum of waves: how much of "
        "its variance is in waves of that many steps. A hill in the middle is a swing; most of it on the left is the noise of "
        "batches, most on the right a slow change. "
        f"Thin: each of {_n(runs)} seeds; thick: their median. Strongest wave, median over seeds: {said}.",
    )  # fmt: skip


# --- why it moves ------------------------------------------------------------------------------------------------------


def _medians(runs: Sequence[Run], seen: Seen, *headings: str) -> str:
    """Return medians over seeds of these instruments, run by run, as they stand in the table."""
    chosen = [column for column in _INSTRUMENTS if column[1] in headings]
    by_run = ((run.experiment.subject, seen[run.experiment.subject]) for run in runs)
    return "; ".join(
        f"{variant} {', '.join(f'{heading} {form.format(found[name].median())}' for name, heading, form in chosen)}"
        for variant, found in by_run
    )


def _paths(runs: Sequence[Run], seen: Seen, colours: plots.Colours) -> Figure:
    frame = convergence_plots.frame_path(runs)
    said = _medians(runs, seen, "attraction", "crossing")
    return Figure(
        "Does the gradient point to where training ends?",
        lambda: convergence_plots.paths(frame, colours),
        frame,
        f"Angle and length of both players' gradient on the straight line from early to last parameters, a column per variant, "
        f"a line per seed. Medians about the end: {said}.",
        "On the straight line from the parameters after a tenth of the training (0) to the last ones (1, dotted) and a bit "
        "beyond. Above: the cosine of the angle between the way back to the start and the joint gradient of both players, "
        "which gradient steps go against. An end that attracts has a cosine above 0 before it and below 0 after it; an end "
        "that is circled has a bump of one sign there, since the gradient crosses the line; a spiral has both. Below: lengths "
        "of the generator's (solid) and the discriminator's gradient (dotted); at a point of rest both fall to 0 at 1. "
        f"Thin lines: each of {_n(runs)} seeds. Medians over seeds within 0.1 of the end: {said}.",
    )  # fmt: skip


def _eigenvalues(runs: Sequence[Run], seen: Seen, colours: plots.Colours) -> Figure:
    frame = convergence_plots.frame_eigenvalues(runs)
    draw = partial(convergence_plots.draw_eigenvalues, colours=colours)
    said = _medians(runs, seen, "rotation index", "strongest push")
    return Figure(
        "Does the game pull or turn where training ends?",
        lambda: panels(frame, draw, "variant", min(4, len(runs)), (2.6, 2.5)),
        frame,
        f"The 20 largest eigenvalues of the game's Jacobian at the last parameters in the complex plane, a panel per variant, "
        f"all seeds. {said}.",
        "Near the last parameters the game of both gradients is a linear map, and these are its largest eigenvalues, 20 for "
        f"each of {_n(runs)} seeds. Left of the upright line: pulled in; right: pushed away; off the level line: turned, the "
        f"faster the farther. Logarithmic beyond {convergence_plots.LINEAR:g}. Of plain gradient steps, whatever optimiser "
        f"trained. Rotation index and strongest push, medians over seeds: {said}.",
    )  # fmt: skip


def _words(d: Diagnosis) -> list[str]:
    return [
        f"Does not settle: {d.threshold}. A diverged seed counts as failed. ({d.source})",
        "Look: a moment at which samples, logits and parameters are read. The latents are the same at every look, so what "
        "moves is the generator. Second half: the looks after half of the steps.",
        "Comes round: the moves between looks repeat after some looks more exactly than those of a walk without aim would, "
        "after a time at which they were opposite; at a level of 5 % for all periods together. It takes 48 looks, and three "
        "rounds.",
        "Parameters are seen along 8 fixed random directions, which keep distances on average; the plane is the one in which "
        "these move most.",
        "Path and eigenvalues: Berard et al. 2020, section 4. They are measured with more samples than an update has, the same "
        "all along. The eigenvalues are those of the players' descent: papers that take the Jacobian of the gradients have the "
        "opposite sign.",
        f"What might help: {d.advice}",
    ]  # fmt: skip
