"""The page about convergence: nets first, watched by every instrument; then games with known answers, which say why.

Which methods arrive, which circle, and what the literature says; the part about nets is in `real_nets.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import product
from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure as Drawing

from ganlab import dynamics_plots, plots
from ganlab.dynamics import GAMES, RULES, eigenvalues
from ganlab.dynamics.methods import METHODS, PLAYS, Method
from ganlab.dynamics.verdicts import Judged, judge
from ganlab.dynamics_plots import Found, Plan
from ganlab.experiment import Run
from ganlab.forked import forked
from ganlab.pages import real_nets
from ganlab.pages.page import Cell, Figure, Page, Section, Table, Text
from ganlab.pages.shared import distinct, environment, settings, sources

TONES = {"converges": "absent", "converges sublinearly": "inconclusive", "undecided": "inconclusive"}
"""Tone of a verdict's cell; all others are failures."""

IN_WORDS = {
    "converges": ("arrives", "arrive"), "converges sublinearly": ("arrives ever more slowly", "arrive ever more slowly"),
    "cycles": ("circles", "circle"), "diverges": ("runs away", "run away"),
    "undecided": ("needs more steps to tell", "need more steps to tell"),
}  # fmt: skip
"""Verdicts on one method, and on several."""

STEP, STEPS = 0.2, 4096
"""Step size of the published notebook; steps that tell all its methods apart."""

DRAWN = ("simultaneous", "alternating", "extragradient")
"""Paths in the phase portraits: more would hide each other."""

BILINEAR: dict[str, dict[str, float]] = {
    "simultaneous": {}, "alternating": {}, "extragradient": {}, "optimistic": {}, "implicit": {}, "consensus": {"gamma": 1.0},
    "negative_momentum": {"momentum": -0.5}, "lookahead": {},
}  # fmt: skip
"""Symplectic gradient adjustment has the line of consensus here."""

AVERAGED: dict[str, dict[str, Any]] = {
    "simultaneous": {}, "simultaneous, clip 1.5": {"clip": 1.5}, "alternating": {"rule": "alternating"},
    "optimistic": {"rule": "optimistic"},
}  # fmt: skip


def convergence_page(
    maps: Sequence[Plan],
    methods: Sequence[str] = tuple(METHODS),
    plays: Sequence[str] = tuple(PLAYS),
    runs: Sequence[Run] = (),
    name: str = "convergence",
) -> Page:
    """Return the page; what is about games with known answers is computed here, in seconds.

    Parameters
    ----------
    maps
        Which maps over two step sizes to show.
    methods, plays
        Names in `METHODS` and `PLAYS`.
    runs
        Runs of nets, watched with `rotation=True`; without any the page is about games with known answers alone.
    """
    runs = distinct(runs)
    keys = list(product(methods, plays))
    found = dict(zip(keys, forked(_judged, keys), strict=True))
    sections = [
        Section("The smallest GAN", [Text(_explained())]),
        Section("The smallest GAN: the verdict", [_verdicts(found), _eigenvalues(methods, found)]),
        Section("The smallest GAN: paths", [_portraits(found), *_distances(found)]),
        Section("The smallest GAN: other ways of moving", [_contraction(), _averages()]),
        Section("The smallest GAN: two step sizes", [_maps(maps)]),
        Section("What the words mean", [Text(_words())]),
        Section("How it was computed", [Text(_method())]),
        Section("Sources", [Text(_sources(methods))]),
    ]
    answer = _answer(found)
    if runs:
        nets = Section("Settings of the nets", [settings(runs), Text(environment(runs)), Text(sources(runs))])
        sections = [*real_nets.sections(runs), *sections, nets]
        answer = f"{real_nets.answer(runs)} {answer}"
    return Page(name, "Which GAN methods converge, and which circle?", answer, sections)


def _judged(key: tuple[str, str]) -> Judged:
    """Return the verdict on a method, in this way of playing."""
    method = METHODS[key[0]]
    return judge(method.game, step_size=STEP, steps=STEPS, **PLAYS[key[1]], **method.numbers)


def _answer(found: Found) -> str:
    stated = {key: METHODS[key[0]].published[key[1]] for key in found if key[1] in METHODS[key[0]].published}
    agreed = sum(found[key].verdict == word for key, word in stated.items())
    play = "simultaneous" if any(p == "simultaneous" for _, p in found) else next(iter(found))[1]
    groups = {word: [m for (m, p), judged in found.items() if p == play and judged.verdict == word] for word in IN_WORDS}
    said = "; ".join(f"{_listed(group)} {IN_WORDS[word][len(group) > 1]}" for word, group in groups.items() if group)
    return (
        f"On the smallest GAN, with {play} steps of {STEP}, {said}. Of {len(stated)} verdicts that the literature states, "
        f"{agreed} are ours too."
    )


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _explained() -> list[str]:
    return [
        "The data are one point, at 0. The generator makes one point, θ. The discriminator is a straight line through 0 with "
        "slope ψ, D(x) = ψ x: it says on which side of 0 it believes the data to be less likely. This is the Dirac-GAN.",
        "Two numbers are all there is to train, so a whole training is a path in a plane, and how it ends can be worked out "
        "with pencil and paper. It is done when θ = 0 (the point lies on the data) and ψ = 0 (the discriminator finds "
        "nothing): the equilibrium.",
        "When θ is right of 0, the discriminator tilts its line until it says so; the generator then moves left; it arrives at "
        "0 while the line is still tilted, and overshoots. What follows depends on the method: a circle, a spiral in, a spiral "
        "out.",
        "Methods that fail here, with nothing else to go wrong, have no reason to converge on real data; methods that converge "
        "here may still fail there.",
    ]


# --- the verdict -----------------------------------------------------------------------------------------------------------


def _verdicts(found: Found) -> Table:
    plays = list(dict.fromkeys(play for _, play in found))
    rows: list[list[Cell | str]] = []
    for method in dict.fromkeys(method for method, _ in found):
        rows.append([method, *(_verdict(found[method, play], METHODS[method].published.get(play)) for play in plays)])
    return Table(
        "What becomes of each method, by the way in which the players move",
        ["method", *plays],
        rows,
        "Each cell is one game and one way of moving, from two starts, next to the equilibrium and at (1, 1); step size "
        f"{STEP}, {STEPS} steps. Second line: whether the literature states a verdict, and which. Nothing is drawn at random, "
        "so there is nothing to average (n = 1 is all). Number after a method: the weight of its penalty, limit or noise.",
    )


def _verdict(judged: Judged, published: str | None) -> Cell:
    note = "not stated" if published is None else "as stated" if published == judged.verdict else f"stated: {published}"
    if judged.far == "diverges" and judged.verdict == "converges":
        note += "\nfrom (1, 1): diverges"
    return Cell(judged.verdict, TONES.get(judged.verdict, "present"), note)


def _eigenvalues(methods: Sequence[str], found: Found) -> Table:
    rows: list[list[Cell | str]] = []
    for name in methods:
        method, flow = METHODS[name], found.get((name, "flow"))
        rows.append(
            [
                name,
                method.formula,
                _values(method),
                _reading(method.eigenvalues),
                f"{method.largest_step:.3g}" if method.largest_step else "none",
                _verdict(flow, method.published.get("flow")) if flow else "",
            ]
        )
    return Table(
        "Eigenvalues at the equilibrium, and what they say",
        ["method", "formula", "eigenvalues", "in words", "steps up to", "flow"],
        rows,
        "Next to the equilibrium the field is a linear map, and its eigenvalues are its fate: a negative real part pulls in, "
        "an imaginary part turns. With a real part of 0 it only turns, and what the linear map leaves out decides. Second "
        "line: how far the eigenvalues of the computed Jacobian are from the closed form. Steps up to: 2|Re|/|eigenvalue|², "
        "below which simultaneous steps converge. w: weight of the penalty; s: standard deviation of the noise.",
    )


def _values(method: Method) -> Cell:
    if method.eigenvalues is None:
        return Cell("none")
    numbers: dict[str, Any] = {k: v for k, v in method.numbers.items() if k != "clip"}
    low, high = method.eigenvalues
    computed = sorted(eigenvalues(method.game, **numbers), key=lambda z: (round(z.real, 6), z.imag))
    gap = max(abs(computed[0] - low), abs(computed[1] - high))
    real, turn = f"{high.real:.4g}" if high.real else "", f"{high.imag:.4g}i" if high.imag != 1 else "i"
    text = f"{real} ± {turn}".strip() if high.imag else f"{low.real:.4g}, {real}"
    return Cell(text, note=f"computed to {gap:.0e}" if gap else "computed: the same")


def _reading(values: tuple[complex, complex] | None) -> str:
    if values is None:
        return "no linear part"
    if max(z.real for z in values) == 0:
        return "only turns"
    return "pulls in and turns" if values[0].imag else "pulls in, no turn"


# --- the evidence ----------------------------------------------------------------------------------------------------------


def _portraits(found: Found) -> Figure:
    drawn = [play for play in DRAWN if any(p == play for _, p in found)]
    frame = dynamics_plots.frame_portrait(found, drawn)
    draw = partial(dynamics_plots.draw_portrait, colours=plots.palette(PLAYS))
    said = "; ".join(f"{m}, {p}: {found[m, p].verdict}" for m, p in found if p in drawn)
    return Figure(
        "Where do the players go?",
        lambda: dynamics_plots.panels(frame, draw, "method", 5, (2.05, 2.3)),
        frame,
        f"Phase portraits of {frame['method'].nunique()} methods, arrows for the field and paths of 300 steps. {said}.",
        "Arrows: where both players are pushed, their length left out. Lines: 300 steps from the dot at (1, 1); cross: the "
        "equilibrium. One path each, as nothing is random.",
    )


def _distances(found: Found) -> list[Figure]:
    """Return two figures, as what arrives needs another scale than what does not."""
    frame = dynamics_plots.frame_distances(found)
    pulled = frame["method"].map(lambda name: METHODS[str(name)].largest_step > 0)
    kinds = {
        "where the linear part pulls in": (frame[pulled], dynamics_plots.FLOOR),
        "where it only turns": (frame[~pulled], 1e-2),
    }
    return [_distance_figure(kind, part.reset_index(drop=True), low) for kind, (part, low) in kinds.items() if len(part)]


def _distance_figure(kind: str, frame: pd.DataFrame, lowest: float) -> Figure:
    draw = partial(dynamics_plots.draw_distances, colours=plots.palette(PLAYS), lowest=lowest)
    last = frame[frame["step"] == frame["step"].max()]
    said = "; ".join(f"{r.method}, {r.play}: {r.distance:.2g}" for r in last.itertuples())
    return Figure(
        f"How far from the equilibrium, {kind}?",
        lambda: dynamics_plots.panels(frame, draw, "method", 5, (2.05, 2.0)),
        frame,
        f"Distance to the equilibrium over steps on a logarithmic axis, after {frame['step'].max()} steps: {said}.",
        "A straight line down is convergence by a factor per step; a line that flattens is slower than that; a level one is a "
        f"circle. From (1, 1), n = 1 path each, drawn down to {lowest:g}.",
    )


def _contraction() -> Figure:
    frame = dynamics_plots.frame_contraction(BILINEAR)
    gap = float((frame["measured"] - frame["factor"]).abs().max())
    below = frame[frame["factor"] < 1 - 1e-9].groupby("rule")["step_size"].max()
    said = "; ".join(
        f"{rule.replace('_', ' ')} {f'up to {below[rule]:.2g}' if rule in below else 'never'}" for rule in BILINEAR
    )

    def draw() -> Drawing:
        figure, ax = plt.subplots(figsize=(7.2, 3.6), layout="constrained")
        dynamics_plots.draw_contraction(frame, ax)
        return figure

    return Figure(
        "Which ways of moving arrive where plain steps circle?",
        draw,
        frame,
        f"Factor on the squared distance per step of the bilinear game over the step size. Below 1: {said}.",
        "The bilinear game, min over θ, max over ψ of θψ, only turns. Lines: closed forms; dots: simulations of 400 steps, "
        f"which differ by at most {gap:.1g}. Below the dotted line a rule converges, within step sizes up to 1.2: {said}. "
        "Consensus has weight 1, momentum -0.5, lookahead goes half the way back every 5 steps.",
    )


def _averages() -> Figure:
    frame = dynamics_plots.frame_averages(AVERAGED)
    draw = partial(dynamics_plots.draw_averages, colours=plots.palette(["last", "average"]))
    end = frame[frame["step"] == frame["step"].max()]
    said = "; ".join(f"{r.play}: last {r.last:.3g}, average {r.average:.2g}" for r in end.itertuples())
    return Figure(
        "Is the average of all steps better than the last one?",
        lambda: dynamics_plots.panels(frame, draw, "play", 4, (2.35, 2.0)),
        frame,
        f"Distance of the learned mean from the true one over 1000 steps of 0.1. At the end, {said}.",
        "A WGAN learns the mean (3, 4) of a Gaussian. A good average beside a bad last step is the sign of a circle: the path "
        f"goes round the answer without coming nearer. At the end, n = 1 path each, {said}.",
    )


def _maps(maps: Sequence[Plan]) -> Figure:
    frame = dynamics_plots.frame_maps(maps)
    said = "; ".join(_shares(str(title), part) for title, part in frame.groupby("game", sort=False))
    return Figure(
        "Does it help when the discriminator takes larger steps?",
        lambda: dynamics_plots.panels(frame, dynamics_plots.draw_map, "game", 2, (4.1, 3.1), share=False),
        frame,
        f"Verdicts of simultaneous steps over the generator's step size and the ratio of step sizes. {said}.",
        f"A mark for each of {len(frame)} pairs of step sizes, n = 1 as nothing is random; the line: where eigenvalues say "
        "that convergence next to the equilibrium ends. The quadratic game needs τ above 2, however small the steps; a "
        f"penalty makes the Dirac-GAN converge at any τ, if steps are small. {said}.",
    )


def _shares(title: str, part: pd.DataFrame) -> str:
    counts = part["verdict"].value_counts()
    return f"{title}: " + ", ".join(f"{word} in {n} of {len(part)}" for word, n in counts.items())


# --- words -----------------------------------------------------------------------------------------------------------------


def _words() -> list[str]:
    return [
        "converges: the distance to the equilibrium falls by a factor per step, in the long run.",
        "converges sublinearly: it falls ever more slowly, as a power of the number of steps; for NS-GAN, ten times nearer "
        "takes a hundred times as long.",
        "cycles: it keeps its distance, neither arriving nor leaving; or, where plain steps leave and far paths come back, it "
        "ends on a circle of its own.",
        "diverges: it grows in the long run, or is no longer finite.",
        "undecided: too few steps to tell.",
        "flow: what all ways of moving approach with tiny steps. Simultaneous: both players move at once. Alternating: the "
        "generator, then the discriminator, which sees the move. Extragradient: both look one step ahead, and move by what "
        "they see there. Optimistic: as if the last change of the gradient came once more.",
    ]


def _method() -> list[str]:
    return [
        "The verdict compares the largest distance in three windows, each twice as long as the one before, up to the last "
        "step: a factor per step falls twice as much from one to the next, a power of the steps falls as much, a circle does "
        "not change (by more than 1 %).",
        "Published verdicts are about paths next to the equilibrium. There the start is a millionth away; where that path "
        "grows or keeps its distance, the one from (1, 1) decides, as it has the terms that the linear map leaves out.",
        "All in float64 with numpy: ganlab.dynamics.verdicts.judge gives a cell of the table, ganlab.dynamics.simulate a path.",
    ]


def _sources(methods: Sequence[str]) -> list[str]:
    games = dict.fromkeys([*(METHODS[name].game for name in methods), "bilinear", "mean_wgan", "quadratic"])
    rules = dict.fromkeys([*(str(settings["rule"]) for settings in PLAYS.values()), *BILINEAR])
    return [f"{name}: {registry.entry(name).source}" for registry, names in ((GAMES, games), (RULES, rules)) for name in names]
