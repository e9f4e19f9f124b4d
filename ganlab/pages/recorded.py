"""The page about one run of a GAN that somebody else's loop trained: what is wrong with it, since when, and what to try."""

from __future__ import annotations

from dataclasses import replace

from ganlab import frozen_plots, plots
from ganlab.diagnoses import Verdicts, diagnose, verdicts_of
from ganlab.experiment import Run
from ganlab.pages.gans import CURVES, curves_figure, definitions, has, images_figure, samples_figure
from ganlab.pages.measures import measured
from ganlab.pages.page import Block, Cell, Figure, Page, Section, Table, Text
from ganlab.pages.shared import environment, mistakes, settings, sources


def recorded_page(run: Run) -> Page:
    """Return the page of a run of one seed: verdicts by name first, then what they rest on."""
    e, found = run.experiment, verdicts_of(run)
    colours = plots.palette([e.subject])
    losses = [("discriminator_loss", "", "discriminator's loss"), ("generator_loss", "", "generator's loss")]
    curves = [(name, index, label, f"How does the {label} go?", False, None) for name, index, label in losses]
    shown = [*CURVES, *curves]
    measures = measured([run], e.data, colours)
    sections = [
        Section("The verdict", [_verdicts(found), Text([*_notes(run), *_advice(found), _how_often(run)])]),
        Section("Mistakes in the loop", mistakes(run)),
        Section("The evidence: samples", _samples(run, colours)),
        Section("The evidence: over time", [curves_figure([run], e.data, colours, *c) for c in shown if has([run], c[0])]),
        Section("The evidence: measures of the samples", [measures] if measures else []),
        Section("What the words mean", [Text(definitions(diagnose(run)))]),
        Section("How it was seen", [settings([run]), Text([_looked(run), *environment([run])])]),
        Section("Sources", [Text(sources([run]))]),
    ]
    title = f"Does {e.subject} fail on {e.data}?"
    return Page(f"recorded-{e.id[:6]}", title, _answer(run, found), [section for section in sections if section.blocks])


def _answer(run: Run, found: Verdicts) -> str:
    judged = {word: [one for one in found.values() if one.verdict == word] for word in ("present", "absent", "inconclusive")}
    here = [f"{one.title.lower()} since step {one.onset:g}" for one in judged["present"]]
    absent, open_ = ([one.title.lower() for one in judged[word]] for word in ("absent", "inconclusive"))
    codes = list(dict.fromkeys(mistake["code"] for mistake in run.environment["mistakes"]))
    said = [f"The loop itself is at fault: {_listed(codes)}."] if codes else []
    said += [f"{_listed(here)}.".capitalize()] if here else []
    said += [f"No {_listed(absent, 'or')}."] if absent else []
    said += [f"It is too early to tell about {_listed(open_)}."] if open_ else []
    said += [f"{found.quality[:1].upper()}{found.quality[1:]}."] if found.quality else []
    return " ".join(said) or "Nothing could be judged."


def _listed(names: list[str], word: str = "and") -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {word} {names[-1]}"


def _verdicts(found: Verdicts) -> Table:
    rows: list[list[Cell | str]] = []
    order = ("present", "inconclusive", "absent", "not applicable")
    for one in sorted(found.values(), key=lambda one: order.index(one.verdict)):
        since = f"since step {one.onset:g}" if one.verdict == "present" else ""
        tone = "" if one.verdict == "not applicable" else one.verdict
        rows.append([one.title, Cell(one.verdict, tone=tone, note=since), one.evidence])
    caption = "A verdict is about this run. What each failure is, and since when a run is called failed, stands below."
    return Table("What was looked for, and found", ["failure", "verdict", "evidence"], rows, caption)


def _advice(found: Verdicts) -> list[str]:
    return [f"What to try against {one.title.lower()}: {one.advice[0].lower()}{one.advice[1:]}" for one in found.present]


def _notes(run: Run) -> list[str]:
    return [f"Mind that {note}." for note in run.environment["notes"]]


def _how_often(run: Run) -> str:
    return (
        f"This is one run, of seed {run.experiment.seeds[0]}: it says what happened, and not how often it would happen. "
        "ganlab.repeat(train, seeds=32) trains the same program over seeds and gives a rate with its interval."
    )


def _looked(run: Run) -> str:
    e, about = run.experiment, run.environment
    fault = f" The recorder failed and saw nothing after that: {about['fault']}." if about["fault"] else ""
    return (
        f"{about['looks']} looks, {e.every} steps apart, took {about['looks_cost']:.1%} of the time since the first record."
        f"{fault} Losses are those that the loop told, where it told them, else those of the named objective."
    )


def _samples(run: Run, colours: plots.Colours) -> list[Block]:
    blocks: list[Block] = []
    if "modes" in run.samples and run.samples["modes"].shape[1] == 2:
        blocks.append(replace(samples_figure(run, colours), folded=False))
    if run.samples["generated"].shape[3:4] == (1,):
        blocks.append(images_figure(run))
    if "surface_logits" in run.samples:
        blocks.append(_surface(run))
    return blocks


def _surface(run: Run) -> Figure:
    last = f"step {run.samples['moments'][-1]}"
    frame = frozen_plots.frame_surface([run], [last])
    return Figure(
        "Where would the discriminator send the generator's samples?",
        lambda: frozen_plots.surfaces(frame),
        frame,
        f"The plane at {last}: logits in grey, real and fake samples, and arrows for the pull of the objective.",
        "Light: taken for real; dark: for fake. Blue circles: real samples; orange dots: the generator's. Arrows show "
        "direction only; their colour is the length of the pull.",
    )
