"""The page about GANs: the verdict matrix first, then what it rests on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ganlab import plots, stats, trace
from ganlab.diagnoses import RATE, Diagnoses, Diagnosis, compare, corrected, diagnose
from ganlab.experiment import Run
from ganlab.pages.measures import measured
from ganlab.pages.page import Cell, Figure, Page, Section, Table, Text
from ganlab.pages.shared import distinct, environment, mistakes, settings, sources

CEILING = 1 - math.exp(-4.5)
"""Share of high-quality samples of a perfect sampler under the default rule, in any dimension."""

POOR = 0.1
"""Below this share of high quality a generator's samples are poor, whether collapsed or not."""

BASELINE = "nsgan"
"""What other variants are compared with, where it is among them: the GAN that everybody trains."""


def gan_page(runs: Sequence[Run], name: str = "mode_collapse", title: str = "Do these GANs collapse?") -> Page:
    """Return the page about GAN runs: the verdict matrix first, then what it rests on."""
    runs = distinct(runs)
    all_found = [diagnose(run) for run in runs]
    found = [d["mode_collapse"] for d in all_found]
    colours = plots.palette(run.experiment.subject for run in runs)
    by_data = {data: [r for r in runs if r.experiment.data == data] for data in dict.fromkeys(r.experiment.data for r in runs)}
    judged = [(run, d) for run, d in zip(runs, found, strict=True) if d.n]
    evidence = [_rates_figure([run for run, _ in judged], [d for _, d in judged], colours)] if judged else []
    for data, group in by_data.items():
        planar = [r for r in group if "modes" in r.samples and r.samples["modes"].shape[1] == 2]
        if planar:
            evidence.append(final_figure(planar, data, colours))
            evidence += [samples_figure(run, colours) for run in planar]
        evidence += [
            images_figure(run) for run in group if "generated" in run.samples and run.samples["generated"].shape[3:4] == (1,)
        ]
    measures = [measured(group, data, colours) for data, group in by_data.items()]
    curves = []
    for data, group in by_data.items():
        collapsed = [(run, d) for run, d in judged if run.experiment.data == data]
        if any(d.failures for _, d in collapsed):
            curves.append(survival_figure([run for run, _ in collapsed], [d for _, d in collapsed], data, colours))
        curves += [curves_figure(group, data, colours, *what) for what in CURVES if has(group, what[0])]
    sections = [
        Section("The verdict", [_matrix(runs, found, colours), every_failure(runs, all_found, colours)]),
        Section("Mistakes in the loop", [block for run in runs for block in mistakes(run)]),
        Section("The verdict: against the plain GAN", _comparisons(by_data, colours)),
        Section("The evidence: samples", evidence),
        Section("The evidence: measures of the samples", [table for table in measures if table]),
        Section("The evidence: every seed over time", curves),
        Section("The evidence: every seed that failed", _failures(runs, all_found, colours)),
        Section("What the words mean", [Text(definitions(all_found[0]))]),
        Section("Settings", [settings(runs), Text(environment(runs))]),
        Section("Sources", [Text(sources(runs))]),
    ]
    return Page(name, title, _answer(found), [section for section in sections if section.blocks])


def has(runs: Sequence[Run], name: str) -> bool:
    """Return whether all runs have this quantity."""
    return all((run.trace["name"] == name).any() for run in runs)


def _answer(found: Sequence[Diagnosis]) -> str:
    if not any(d.n for d in found):
        return f"No run could be judged: {found[0].evidence}."
    words = ("present", "absent", "inconclusive", "not applicable")
    n = {word: sum(d.verdict == word for d in found) for word in words}
    failures, seeds = sum(d.failures for d in found), sum(d.n for d in found)
    tolerated = f"{stats.TOLERATED_RATE:.0%}"
    parts = [
        f"mode collapse at a rate above {tolerated} is shown for {n['present']}" if n["present"] else "",
        f"a rate below {tolerated} for {n['absent']}" if n["absent"] else "",
        f"{n['inconclusive']} {'are' if n['inconclusive'] != 1 else 'is'} inconclusive at this number of seeds"
        if n["inconclusive"]
        else "",
        f"{n['not applicable']} could not be judged"
        if n["not applicable"]
        else "",
    ]
    return (
        f"{failures} of {seeds} training runs collapsed. Of {len(found)} combinations of variant and data, "
        + "; ".join(part for part in parts if part) + "."
    )  # fmt: skip


def _matrix(runs: Sequence[Run], found: Sequence[Diagnosis], colours: plots.Colours) -> Table:
    by_place = {(run.experiment.subject, run.experiment.data): (run, d) for run, d in zip(runs, found, strict=True)}
    data = list(dict.fromkeys(run.experiment.data for run in runs))
    rows: list[list[Cell | str]] = []
    for variant, colour in colours.items():
        row: list[Cell | str] = [Cell(variant, swatch=colour)]
        for column in data:
            run, d = by_place.get((variant, column), (None, None))
            row.append(_verdict_cell(run, d) if run is not None and d is not None else Cell("not run"))
        rows.append(row)
    return Table(
        "Share of seeds whose generator collapsed, by variant and data",
        ["variant", *data],
        rows,
        "Each cell: failed seeds and the claim that they allow about the rate; the rate with its 95 % Wilson interval "
        "(corrected near 0 and 1); medians over seeds at the last step. The claim is about whether more or fewer than "
        f"{stats.TOLERATED_RATE:.0%} of all seeds would fail (exact binomial, 2.5 % error on each side, which with few seeds "
        f"is stricter than the interval); to claim fewer takes at least {stats.seeds_to_claim_absence()} seeds.",
    )


def every_failure(runs: Sequence[Run], found: Sequence[Diagnoses], colours: plots.Colours) -> Table:
    """Return how many seeds of each run failed in which way; diagnoses that apply to none of the runs are left out."""
    codes = [d.code for d in found[0] if any(other[d.code].verdict != "not applicable" for other in found)]
    rows: list[list[Cell | str]] = []
    for run, mine in zip(runs, found, strict=True):
        row: list[Cell | str] = [Cell(run.experiment.subject, swatch=colours[run.experiment.subject], note=run.experiment.data)]
        for code in codes:
            d = mine[code]
            low, high = d.interval
            note = f"[{low:.0%}, {high:.0%}]" + (f"\nsince step {d.onset:g}" if d.failures else "") if d.n else "not judged"
            said, tone = (f"{d.failures} of {d.n}", d.verdict) if d.n else (d.verdict, "inconclusive")
            row.append(Cell(said, tone=tone, note=note))
        rows.append(row)
    return Table(
        "How each seed fails", ["variant", *(found[0][code].title for code in codes)], rows,
        "Seeds that failed of those that could be judged, the rate's 95 % Wilson interval, and the median step since when. The "
        "colour is the claim about the rate. What each failure is stands below.",
    )  # fmt: skip


def _verdict_cell(run: Run, d: Diagnosis) -> Cell:
    if d.n == 0:
        return Cell(d.verdict, tone="inconclusive", note=d.evidence)
    note = f"{d.rate:.0%} [{d.interval[0]:.0%}, {d.interval[1]:.0%}]\n"
    if "mode_count" in set(run.trace["name"].unique()):
        parts, name, index, good = "modes", "modes_covered", "default", "high quality"
        quality = trace.last(run.trace, "high_quality_share", "default")
    else:
        parts, name, index, good = "cells", "cells_covered", "", "near the data"
        quality = trace.last(run.trace, "near_share")
    n_parts = trace.select(run.trace, f"{parts[:-1]}_count")["index"].nunique()
    note += f"{trace.last(run.trace, name, index).median():g} of {n_parts} {parts}, {quality.median():.0%} {good}"
    poor = int((quality < POOR).sum())
    diverged = int((run.outcome["status"] == "diverged").sum())
    if poor:
        note += f"\n{poor} of {len(quality)} with poor samples"
    if diverged:
        note += f"\n{diverged} of {len(quality)} diverged, left out of medians"
    return Cell(f"{d.failures} of {d.n}: {d.verdict}", tone=d.verdict, note=note)


def _comparisons(by_data: dict[str, list[Run]], colours: plots.Colours) -> list[Table]:
    tables = []
    for data, group in by_data.items():
        base = next((run for run in group if run.experiment.subject == BASELINE), None)
        if base is None or len(group) < 2 or not (has(group, "high_quality_share") or has(group, "near_share")):
            continue
        paired = [r for r in group if r is not base and len(set(r.experiment.seeds) & set(base.experiment.seeds)) > 1]
        if not paired:
            continue
        compared = [compare(run, base).assign(variant=run.experiment.subject) for run in paired]
        frame = corrected(pd.concat(compared, ignore_index=True))
        quantities = list(frame["quantity"].unique())
        rows: list[list[Cell | str]] = []
        for variant, mine in frame.groupby("variant", sort=False):
            found = mine.set_index("quantity")
            name = Cell(str(variant), swatch=colours[str(variant)], note=f"{found['n'].iloc[0]} seeds")
            rows.append([name, *(_difference(found, quantity) for quantity in quantities)])
        header = ["variant", *(_QUANTITIES.get(q, q.replace("_", " ")) for q in quantities)]
        tables.append(Table(f"Against {BASELINE} on {data}, seed by seed", header, rows, _how_compared(frame)))
    return tables


def _how_compared(frame: pd.DataFrame) -> str:
    n_rates = int(frame["quantity"].str.endswith(RATE).sum())
    kinds = [(n, what) for n, what in ((n_rates, "rate"), (len(frame) - n_rates, "score")) if n]
    counted = " and, by themselves, ".join(
        f"{n} {what}{'s' * (n > 1)} (which takes at least {stats.fewest_seeds(n)} common seeds)" for n, what in kinds
    )
    return (
        f"Difference to {BASELINE} on the same seeds; for scores with its 95 % paired bootstrap interval, for reading. Exact "
        "tests decide, McNemar's for rates and the sign-flip test for scores, at 5 % after Holm's correction for the "
        f"comparisons in this table: {counted}. "
        "Divergence: Kullback-Leibler over modes and one bin for samples on none."
    )


_QUANTITIES = {"kl_off_mode": "divergence (nats)"}


def _difference(found: pd.DataFrame, quantity: str) -> Cell:
    if quantity not in found.index:
        return Cell("not compared")
    row = found.loc[quantity]
    share = quantity.endswith((RATE, "share"))
    number = (lambda x: f"{x:+.0%}") if share else (lambda x: f"{x:+.2g}")
    if quantity.endswith(RATE):
        said = []
    elif np.isfinite(row["low"]):
        said = [f"[{number(row['low'])}, {number(row['high'])}]"]
    else:
        said = ["no interval: " + ("a seed has no value" if np.isnan(row["p_value"]) else "too few seeds")]
    if np.isfinite(row["p_value"]):
        said.append(f"p = {row['p_value']:.2g}, corrected {row['p_holm']:.2g}")
    said.append(str(row["answer"]).replace("a is", "it is").replace("b is", BASELINE + " is"))
    return Cell(number(row["difference"]), note=", ".join(said))


def _rates_figure(runs: Sequence[Run], found: Sequence[Diagnosis], colours: plots.Colours) -> Figure:
    frame = plots.frame_rates(runs, found)
    said = "; ".join(f"{r.variant} on {r.data} {r.failures} of {r.n}" for r in frame.itertuples())
    n = " and ".join(str(n) for n in sorted(set(frame["n"])))
    return Figure(
        "How often does each variant collapse?",
        lambda: plots.grid(
            frame,
            partial(plots.draw_rates, colours=colours),
            col="data",
            height=0.45 * len(colours) + 1.0,
            aspect=4.2 / (0.45 * len(colours) + 1.0),
        ),
        frame,
        f"Share of collapsed seeds by variant with 95 % intervals: {said}.",
        f"Points: share of {n} seeds; bars: 95 % Wilson interval, corrected near 0 and 1; dotted: the tolerated "
        f"rate of {stats.TOLERATED_RATE:.0%}.",
    )


def survival_figure(runs: Sequence[Run], found: Sequence[Diagnosis], data: str, colours: plots.Colours) -> Figure:
    frame = plots.frame_survival(runs, found)
    said = "; ".join(_since_when(str(variant), curve) for variant, curve in frame.groupby("variant", sort=False))
    return Figure(
        f"Since when are collapsed seeds collapsed, on {data}?",
        lambda: plots.grid(
            frame, partial(plots.draw_survival, colours=colours), col="variant", wrap=min(3, len(runs)), height=1.9, aspect=1.55
        ),
        frame,
        f"Share of seeds that have not collapsed for good, by step, on {data}, a panel per variant, with intervals: {said}.",
        f"{said}. Line: the share that has not collapsed for good (Kaplan-Meier). It falls where a seed collapses and stays so "
        "to its end, or diverges: one that recovered is no failure, and one that never held all modes fails at step 0. Band: "
        "95 % interval at each step. Tick: seeds that were not collapsed when their run ended; what they would do later is not "
        "known.",
    )


def _since_when(variant: str, curve: pd.DataFrame) -> str:
    """Return how many seeds collapsed, how many of them from the start, and by which step half of all had."""
    failures, n = int(curve["failures"].sum()), int(curve["at_risk"].iloc[0])
    at_once, half = int(curve["failures"].iloc[0]), stats.median_time(curve).estimate
    said = f"{variant} {failures} of {n}"
    if at_once:
        said += ", from the start" if at_once == failures else f", {at_once} from the start"
    return said + (f", half by step {half:g}" if 0 < half < np.inf else "")


def final_figure(runs: Sequence[Run], data: str, colours: plots.Colours) -> Figure:
    parts = []
    for run in runs:
        last = plots.frame_samples(run, n_moments=2)
        last = last[last["step"] == f"step {run.samples['moments'][-1]}"]
        parts.append(last.assign(variant=run.experiment.subject, rank=last["seed"].str.partition(":")[0]))
    frame = pd.concat(parts, ignore_index=True).drop(columns=["seed"])
    ranks = list(dict.fromkeys(frame["rank"]))

    def draw(part: pd.DataFrame, ax: Axes) -> Axes:
        return plots.draw_samples(part, ax, colour=colours[part["variant"].iloc[0]])

    return Figure(
        f"Where do the samples lie at the end, on {data}?",
        lambda: plots.grid(frame, draw, col="variant", row="rank", height=1.5, aspect=1.0, equal=True, margin_titles=True),
        frame,
        f"Small multiples for {data}: a column per variant; a row for the {', '.join(ranks)} seed by divergence; samples "
        "against true modes at each run's last step.",
        f"Open circles: true modes; dots: {_dots(frame, ['variant', 'rank'])} samples. "
        + ("One seed." if ranks == ["only"] else "Best, median and worst by the divergence that counts samples off all modes."),
    )


def _dots(frame: pd.DataFrame, panel: list[str]) -> str:
    """Return how many samples a panel shows."""
    return " or ".join(str(n) for n in sorted(set(frame[frame["kind"] == "sample"].groupby(panel).size())))


def samples_figure(run: Run, colours: plots.Colours) -> Figure:
    """Return the samples of some seeds at several moments, against the true modes."""
    frame = plots.frame_samples(run)
    draw = partial(plots.draw_samples, colour=colours[run.experiment.subject])
    places = plots.ranked_members(run)
    members = run.experiment.members()
    seeds = ", ".join(f"{rank} {members[place].seed}" for rank, place in places.items())
    return Figure(
        f"Samples over time: {run.experiment.title}",
        lambda: plots.grid(frame, draw, col="step", row="seed", height=1.5, aspect=1.0, equal=True, margin_titles=True),
        frame,
        f"Samples of {run.experiment.title} at {frame['step'].nunique()} moments, by seed ({seeds}), against the true modes.",
        f"Seeds: {seeds}, of {len(run.experiment.seeds)}. The evaluation noise is the same at every step, so dots move only "
        "because the generator does.",
        folded=True,
    )


def images_figure(run: Run) -> Figure:
    frame = plots.frame_images(run)
    n = frame["picture"].nunique()
    return Figure(
        f"What does {run.experiment.title} draw at the end?",
        lambda: plots.grid(frame, plots.draw_image, col="picture", wrap=6, height=1.35, aspect=1.0),
        frame,
        f"{n} generated images of {run.experiment.title} at step {run.samples['moments'][-1]}, the seeds taking turns.",
        f"{n} samples, not chosen, at step {run.samples['moments'][-1]}; {len(run.experiment.seeds)} seeds take turns.",
    )


CURVES = (
    ("modes_covered", "default", "modes covered", "How many modes are covered?", False, None),
    ("high_quality_share", "default", "high-quality share", "How good are the samples?", False, CEILING),
    ("cells_covered", "", "cells of the data covered", "How many cells of the data are covered?", False, None),
    ("near_share", "", "share near the data", "How many samples are near the data?", False, None),
    ("separation", "", "P(real logit > fake logit)", "Does the discriminator tell real from fake?", False, 0.5),
    ("signal_reach", "", "reach of the signal at the median fake", "How much signal reaches the generator?", True, None),
    ("motion", "", "std moved since the look before", "Does the generator still move?", False, None),
)
"""What is drawn over time: name and index of the quantity, its label, the question, whether on a log axis, a reference."""


def curves_figure(
    runs: Sequence[Run],
    data: str,
    colours: plots.Colours,
    name: str,
    index: str,
    label: str,
    question: str,
    log: bool,
    reference: float | None,
) -> Figure:
    frame = plots.frame_curves(runs, name, index)
    if reference == CEILING and not all((run.samples["std"] > 0).all() for run in runs if "std" in run.samples):
        reference = None  # point masses have no ceiling below 100 %
    draw = partial(plots.draw_curves, colours=colours, label=label, log=log, reference=reference)
    ends = frame.groupby("variant", sort=False)["step"].transform("max")
    last = frame[frame["step"] == ends].groupby("variant", sort=False)["value"].median()
    said = "; ".join(f"{variant} {value:.3g}" for variant, value in last.items())
    dotted = "" if reference is None else f" Dotted: {reference:.4g}, what a perfect generator would have."
    diverged = sum(int((run.outcome["status"] == "diverged").sum()) for run in runs)
    left_out = f" {diverged} diverged seeds are left out of medians once they have no value." if diverged else ""
    n = max(len(run.experiment.seeds) for run in runs)
    return Figure(
        f"{question[:-1]}, on {data}?",
        lambda: plots.grid(frame, draw, col="variant", wrap=min(3, len(runs)), height=1.9, aspect=1.55),
        frame,
        f"{label} over steps on {data}, a panel per variant. Medians at the last step: {said}.",
        f"Thin lines: each of {n} seeds; thick: their median. At the last step: {said}.{dotted}{left_out}",
    )


def _failures(runs: Sequence[Run], found: Sequence[Diagnoses], colours: plots.Colours) -> list[Table]:
    """Return a table for each data set: variant, seed, what, onset, evidence, a row per failure of a seed."""
    tables = []
    for data in dict.fromkeys(run.experiment.data for run in runs):
        rows: list[list[Cell | str]] = []
        for run, d in ((run, d) for run, mine in zip(runs, found, strict=True) for d in mine if run.experiment.data == data):
            for r in d.members[d.members["verdict"] == "present"].to_dict("records"):
                name = Cell(run.experiment.subject, swatch=colours[run.experiment.subject])
                rows.append([name, str(r["seed"]), d.title, f"{r['onset']:g}", r["evidence"]])
        if rows:
            header = ["variant", "seed", "failure", "since step", "evidence"]
            caption = "Repeat one of them with `ganlab run --seeds 1 --first-seed SEED` and the settings below."
            tables.append(Table(f"{len(rows)} failures of seeds on {data}", header, rows, caption, folded=True))
    return tables


def definitions(found: Diagnoses) -> list[str]:
    """Return what the failures are, with their sources, and the other words of the page."""
    d = found["mode_collapse"]
    return [
        f"Collapsed: {d.threshold}. A diverged seed counts as failed. ({d.source})",
        *(f"{other.title}: {other.threshold}. ({other.source})" for other in found if other is not d),
        f"High quality: within the region that holds {CEILING:.3%} of a mode, which is 3 standard deviations in two "
        f"dimensions; a perfect sampler therefore scores {CEILING:.2%}, and more means samples too tight.",
        "Covered: a mode with at least a tenth of the high-quality samples that a perfect sampler of the same size would put "
        "there.",
        f"Poor samples: fewer than {POOR:.0%} of high quality. Poor is not collapsed: a generator that spreads over all modes "
        "without meeting any is bad, or not trained long enough. What a mode has of its due is counted among high-quality "
        "samples, and by nearest sample where some mode is due fewer than 20 of those.",
        "Cells, where no modes are known: the clumps that real samples fall apart into, else at most 20 cells of them. A "
        "sample is near the data when it is as near to one of 512 real samples as 99 % of the real samples of its cell are, "
        "or within a quarter of the way to the next cell. Covered: a cell with at least a tenth of the near samples that a "
        "perfect sampler of the same size would have there. Diversity: effective number of different samples, where those "
        "within the size of a cell are alike (Vendi score of order 2), over that of as many real ones.",
        "Best, median, worst: by the Kullback-Leibler divergence over modes plus one bin for samples on no mode.",
        f"What might help: {d.advice}",
    ]
