"""The page about frozen generators: does a signal reach them while the discriminator trains to the end?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pandas as pd
from matplotlib.figure import Figure as Drawing

from ganlab import frozen, frozen_plots, plots, stats, trace
from ganlab.dynamics.gaussians import pulls
from ganlab.experiment import Run
from ganlab.pages.frozen_claims import NON_SATURATING, PENALISED, SATURATING, claims
from ganlab.pages.page import Block, Cell, Figure, Page, Section, Table, Text
from ganlab.pages.shared import bounded, environment, settings, sources

TITLE = "Does the generator still get a signal when the discriminator is trained to the end?"

_SIZES = (frozen.GRADIENT, frozen.AT_MEDIAN_FAKE)

_WORDS = {
    SATURATING: "with the saturating loss",
    NON_SATURATING: "with the non-saturating loss",
    PENALISED: "with a Wasserstein critic and a gradient penalty",
}
"""The losses that the question is about."""

GAPS = ((1, 1.0), (4, 1.0), (8, 1.0), (4, 0.5))
"""Gap and spread of the two normal laws in the table."""


def vanishing_page(runs: Sequence[Run], name: str = "vanishing_gradients", title: str = TITLE) -> Page:
    """Return the page about runs whose generator freezes: what its gradient lost, seed by seed, and why."""
    runs = list({run.experiment.id: run for run in runs}.values())
    parts = [part for run in runs for part in run.parts()]
    fresh, lasting = ([run for run in parts if frozen.begins_anew(run) is anew] for anew in (True, False))
    colours = plots.palette(run.experiment.subject for run in fresh)
    sections = [
        Section("The answer", [_table(fresh, colours), _decay_figure(fresh, colours), claims(fresh)] if fresh else []),
        Section("The evidence: every seed over time", _curves(fresh, colours)),
        Section("The evidence: jumps", _tails_figure(fresh, colours)),
        Section("The evidence: the discriminator from above", _surface(fresh)),
        Section("The evidence: the lecture's experiment", going_on(lasting)),
        Section("Why: two normal laws, exactly", [_gaussians()]),
        Section("What the words mean", [Text(_definitions())]),
        Section("Settings", [*(settings(_labelled(some)) for some in (fresh, lasting) if some), Text(environment(runs))]),
        Section("Sources", [Text(sources(runs))]),
    ]
    return Page(name, title, _answer(fresh or lasting), [section for section in sections if section.blocks])


def _labelled(runs: Sequence[Run]) -> list[Run]:
    """Return the runs with their age in their name; those that differ in their objective are named by it."""
    named = []
    for run in runs:
        e = run.experiment
        alike = len({r.experiment.settings["objective"] for r in _of(runs, e.subject)}) == 1
        name = e.subject if alike else e.settings["objective"]
        named.append(replace(run, experiment=replace(e, subject=f"{name} at {frozen.age(run)}")))
    return named


def _of(runs: Sequence[Run], variant: str) -> list[Run]:
    return [run for run in runs if run.experiment.subject == variant]


def _updates(run: Run) -> int:
    return int(frozen.since_frozen(run, frozen.GRADIENT).index[-1])


# --- the answer ----------------------------------------------------------------------------------------------------------


def _answer(runs: Sequence[Run]) -> str:
    """Return what the three losses of the question lost, age by age, where they were run; else what each run lost."""
    told = [(words, _of(runs, variant)) for variant, words in _WORDS.items()]
    told = [(words, ran) for words, ran in told if ran]
    if not told:
        return f"Decades lost: {'; '.join(f'{run.experiment.subject} {bounded(frozen.lost(run))}' for run in runs)}."
    ages = " / ".join(str(age) for age in sorted({frozen.age(run) for _, ran in told for run in ran}))
    seeds = " or ".join(str(n) for n in sorted({len(run.experiment.members()) for run in runs}))
    said = []
    for words, ran in told:
        gradient, fake = (" / ".join(f"{frozen.lost(run, name).estimate:.1f}" for run in ran) for name in _SIZES)
        said.append(f"{words} its gradient lost {gradient} decades and the pull on the median fake {fake}")
    return (
        f"Over {_updates(told[0][1][0])} discriminator updates, with a generator frozen after {ages} steps ({seeds} seeds "
        f"each): {'; '.join(said)}. A decade is a factor of ten; a loss below zero is a gain."
    )


def _table(runs: Sequence[Run], colours: plots.Colours) -> Table:
    """Return decades lost per thousand updates, by variant and age."""
    ages = sorted({frozen.age(run) for run in runs})
    rows: list[list[Cell | str]] = []
    for variant, colour in colours.items():
        by_age = {frozen.age(run): run for run in _of(runs, variant)}
        rows.append([Cell(variant, swatch=colour), *(_cell(by_age[a]) if a in by_age else "not run" for a in ages)])
    return Table(
        "Decades of the generator's gradient lost per thousand discriminator updates",
        ["variant", *(f"frozen after {a} steps" for a in ages)],
        rows,
        "Each cell: the mean over seeds with its 95 % interval (Student t); decades lost in all, from first to last look, "
        "and the same for the pull on the median fake; the median rank correlation of gradient and update; the median of the "
        "discriminator's accuracy at the end. A decade is a factor of ten; below zero the gradient grew.",
    )  # fmt: skip


def _cell(run: Run) -> Cell:
    found = frozen.decay(run)
    rate, lost = (stats.mean(found[name].to_numpy()) for name in ("rate", "lost"))
    lines = [
        f"in all {bounded(lost)}", f"at the median fake {bounded(frozen.lost(run, frozen.AT_MEDIAN_FAKE))}",
        f"rank correlation {found['spearman'].median():+.2f}, n={rate.n}",
    ]  # fmt: skip
    if (run.trace["name"] == "discriminator_accuracy").any():
        accuracy = frozen.since_frozen(run, "discriminator_accuracy").iloc[-1]
        lines.append(f"accuracy {accuracy.median():.1%}")
    zeros = int((frozen.since_frozen(run, frozen.AT_MEDIAN_FAKE) == 0).iloc[-1].sum())
    if zeros:
        lines.append(f"exactly 0 at the median fake for {zeros} at the end")
    diverged = int((run.outcome["status"] == "diverged").sum())
    if diverged:
        lines.append(f"{diverged} of {rate.n} diverged")
    return Cell(bounded(rate), note="\n".join(lines))


def _decay_figure(runs: Sequence[Run], colours: plots.Colours) -> Figure:
    frame = frozen_plots.frame_decay(runs)
    titled = frame.assign(panel=[f"frozen after {age} steps" for age in frame["age"]])
    said = "; ".join(f"{r.variant} after {r.age} steps {r.rate:+.2f}" for r in frame.itertuples())
    height = 0.36 * len(colours) + 1.0
    draw = partial(frozen_plots.draw_decay, colours=colours)
    return Figure(
        "How fast does the signal go?",
        lambda: plots.grid(titled, draw, col="panel", height=height, aspect=3.1 / height),
        frame,
        f"Decades lost per thousand discriminator updates, a row per variant, a panel per age: {said}.",
        f"Points: means over {' or '.join(map(str, sorted(set(frame['n']))))} seeds; bars: 95 % intervals; dotted: a gradient "
        "that keeps its size.",
    )  # fmt: skip


# --- the evidence ------------------------------------------------------------------------------------------------------


_QUANTITIES = (
    (frozen.GRADIENT, "gradient length", "How long is the generator's gradient?", True),
    (frozen.AT_MEDIAN_FAKE, "pull", "How strong is the pull on the median fake?", True),
    ("discriminator_accuracy", "accuracy", "How well does the discriminator tell real from fake?", False),
)


def _curves(runs: Sequence[Run], colours: plots.Colours) -> list[Block]:
    figures: list[Block] = []
    for name, label, question, log in _QUANTITIES:
        have = [run for run in runs if (run.trace["name"] == name).any()]
        if have:
            figures.append(curves_figure(have, colours, name, label, question, log))
    return figures


def curves_figure(
    runs: Sequence[Run], colours: plots.Colours, name: str, label: str, question: str, log: bool
) -> Figure:  # fmt: skip
    frame = frozen_plots.frame_since(runs, name)
    if log:
        frame["value"] = frame["value"].where(frame["value"] != 0, frozen.SMALLEST)
    shown = frame.rename(columns={"updates": "step"})
    draw = partial(plots.draw_curves, colours=colours, label=label, unit="updates", log=log, from_zero=False)
    ends = {v: [f"{frozen.since_frozen(run, name).iloc[-1].median():.2g}" for run in _of(runs, v)] for v in colours}
    said = "; ".join(f"{variant} {' / '.join(values)}" for variant, values in ends.items() if values)
    n = max(len(run.experiment.members()) for run in runs)

    panels = shown.assign(age=[f"frozen at {age}" for age in shown["age"]])
    return Figure(
        question,
        lambda: plots.grid(panels, draw, col="variant", row="age", height=1.75, aspect=1.0, margin_titles=True),
        frame,
        f"{label} over discriminator updates since the generator froze, a column per variant, a row per age. Medians at "
        f"the last look, age by age: {said}.",
        f"Thin lines: each of {n} seeds; thick: their median. A row per age of the generator. Medians at the last look, age by "
        f"age: {said}.",
    )  # fmt: skip


def _tails_figure(runs: Sequence[Run], colours: plots.Colours) -> list[Block]:
    have = [run for run in runs if (run.trace["name"] == frozen.COORDINATE).any()]
    frame = frozen_plots.frame_tails(have)
    if frame.empty:
        return []
    titled = frame.assign(panel=[f"frozen after {age} steps" for age in frame["age"]])
    means = {
        (variant, age): frozen.typical(part["late"]) for (variant, age), part in frame.groupby(["variant", "age"], sort=False)
    }
    said = "; ".join(f"{variant} after {age} steps {bounded(mean, 1)} (n={mean.n})" for (variant, age), mean in means.items())
    against = "".join(f" {words}." for words in _against_penalised(frame))
    height = 0.36 * len(colours) + 1.0
    return [
        Figure(
            "Do the gradient's coordinates jump more than noise would?",
            lambda: plots.grid(
                titled, partial(frozen_plots.draw_tails, colours=colours), col="panel", height=height, aspect=3.1 / height
            ),
            frame,
            f"Tails of the jumps of the gradient's coordinates in the last quarter, a row per variant, a panel per age: "
            f"{said}.{against}",
            f"{said}.{against} Dots: seeds; bars: geometric means with 95 % intervals. Dotted: {frozen.NORMAL:.1f} of a normal "
            f"law and {frozen.CAUCHY:.1f} of Cauchy's. All that moves is the discriminator: tails that are as heavy under "
            "other losses too are its own jumps.",
        )
    ]  # fmt: skip


def _against_penalised(frame: pd.DataFrame) -> list[str]:
    """Return, age by age, whether the non-saturating loss has heavier tails than the penalised critic on the same seeds."""
    said = []
    for age, part in frame.groupby("age", sort=False):
        late = part.pivot(index="seed", columns="variant", values="late")
        if {NON_SATURATING, PENALISED} <= set(late):
            pairs = late[[PENALISED, NON_SATURATING]].dropna()
            heavier, p = frozen.factor(pairs[PENALISED], pairs[NON_SATURATING])
            said.append(
                f"{NON_SATURATING} over {PENALISED} after {age} steps: x {bounded(heavier, 1)}, sign-flip p = {p:.2g}, "
                f"n={heavier.n}"
            )
    return said


def _surface(runs: Sequence[Run]) -> list[Block]:
    chosen = [run for v in (SATURATING, PENALISED) for run in _of(runs, v) if "surface_logits" in run.samples]
    if not chosen:
        return []
    frame = frozen_plots.frame_surface(chosen, [f"frozen at {frozen.age(run)}" for run in chosen])
    ends = [(run, frozen.since_frozen(run, frozen.AT_MEDIAN_FAKE).iloc[-1].to_numpy()[0]) for run in chosen]
    said = "; ".join(f"{run.experiment.subject} after {frozen.age(run)} steps {length:.2g}" for run, length in ends)
    seed = chosen[0].experiment.seeds[0]
    return [
        Figure(
            "Where would the discriminator send the generator's samples?",
            lambda: frozen_plots.surfaces(frame),
            frame,
            f"The plane at the last update, a row per variant, a column per age: logits in grey, real and fake samples, and "
            f"arrows for the pull. The pull on the median fake: {said}.",
            f"Seed {seed} of each run, at the last update. Light: taken for real; dark: for fake, each panel on its own scale. "
            f"Blue circles: real samples; orange dots: the frozen generator's. Arrows show direction only; their colour is the "
            f"length of the pull. On the median fake it is: {said}.",
        )
    ]  # fmt: skip


def going_on(runs: Sequence[Run]) -> list[Block]:
    """Return the lecture's experiment: the whole run, the discriminator going on as it is when the generator freezes."""
    if not runs:
        return []
    names = {id(run): str(run.experiment.settings["objective"]) for run in runs}
    parts, said = [], []
    for run in runs:
        for name in (frozen.GRADIENT, "discriminator_accuracy"):
            if (run.trace["name"] == name).any():
                rows = trace.select(run.trace, name)[["seed", "step", "value"]]
                parts.append(rows.assign(variant=names[id(run)], quantity=name.replace("_", " ")))
        lost = frozen.lost(run)
        said.append(f"{names[id(run)]}: {bounded(lost)} decades lost in {_updates(run)} updates (n={lost.n})")
    frame = pd.concat(parts, ignore_index=True)[["variant", "quantity", "seed", "step", "value"]]
    colours = plots.palette(names.values())
    age, text = frozen.age(runs[0]), "; ".join(said)

    def drawn() -> Drawing:
        return frozen_plots.whole_runs(frame, age, colours)

    return [
        Figure(
            f"And when the discriminator goes on as it is, on the data {runs[0].experiment.data.partition(':')[0]!r}?",
            drawn, frame,
            f"Gradient of the generator and accuracy of the discriminator over a whole run whose generator freezes at step "
            f"{age}. {text}.",
            f"The lecture asks to freeze the generator in the example of points on a line, and to train on "
            f"({runs[0].experiment.subject}). Dotted: where it freezes; the discriminator goes on as it is. {text}.",
        )
    ]  # fmt: skip


def _gaussians() -> Table:
    rows: list[list[Cell | str]] = []
    for gap, std in GAPS:
        found = pulls(gap, std)
        total = found.saturating + found.non_saturating
        numbers = (found.saturating, found.non_saturating, total, found.wasserstein)
        rows.append([f"gap {gap}, spread {std:g}", *(f"{x:.3g}" if x < 0.01 else f"{x:.5g}" for x in numbers)])
    return Table(
        "The pull on the fakes' mean against the best discriminator",
        ["two normal laws", "saturating", "non-saturating", "their sum", "Wasserstein"],
        rows,
        "Exact, by quadrature. The farther apart, the less the saturating loss pulls and the more the non-saturating one does; "
        "sample by sample the two add up to gap / spread squared, since a logistic function and its complement make 1. A "
        "Wasserstein critic pulls by 1 at any distance.",
    )  # fmt: skip


def _definitions() -> list[str]:
    return [
        "The protocol: a GAN trains for some steps, its age; its generator then stands still, a fresh discriminator with a "
        "fresh optimiser takes the place of the old one and trains alone. (Arjovsky and Bottou 2017, figure 2)",
        "Update: one of the discriminator, since the generator froze. An age counts the generator's steps; variants with a "
        "critic make several discriminator updates in each.",
        "The gradient is that of the loss the generator really minimises, by its weights, on a batch that is the same at every "
        "look; its length is the Euclidean norm. A few fakes beside the data can make nearly all of it: the median fake tells "
        "whether the others are still told where to go.",
        f"Decades: powers of ten. Lost per thousand updates: minus the slope of a straight line through log10 of the length. A "
        f"gradient of exactly 0 counts as {frozen.SMALLEST:.1e}, the smallest number there is.",
        "Jump: the second difference of three successive looks, which a straight course has none of. Within a seed jumps are "
        "read off log10 of the gradient's length, by their interquartile range, and tails off 16 of its coordinates, by the "
        "width of the middle 95 % of jumps over that of their middle half. At first and at the end: in the first and the last "
        f"quarter of the looks from {frozen.SETTLED} updates on.",
        "Pull: where the objective would have fake samples go that all lay at one place, minus the gradient of its loss there.",
        "A long gradient is not yet a good one: that of the non-saturating loss grows without bound as the discriminator wins, "
        "and points wherever this one happens to rise.",
    ]  # fmt: skip
