"""A network of two layers by hand, on the table of people: trained here, in seconds, over many seeds at once."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ganlab import by_hand, lecture_plots, plots, stats
from ganlab.by_hand import Array, Weights, forward, inputs, stacked, targets, train
from ganlab.pages.page import Cell, Figure, Section, Table, Text
from ganlab.pages.shared import mean_text

Answers = NDArray[np.bool_]

SEEDS = 500
"""Nets are tiny and go together: enough for a rate of 97 % to be told from one of 95 %."""

SHOWN = 60
"""Seeds drawn as lines."""

SLIDE, SHUFFLED, SLOW = "as on the slide", "positions shuffled", "scaled, rate 0.001"


class Trained(NamedTuple):
    """One training over many seeds."""

    known: Answers
    """Whether each of the people with a position is told right, `[person, seed]`."""
    outputs: Array
    """What is said of the people without one, `[person, seed]`."""
    errors: Array
    """`[epoch, seed]`"""

    @property
    def right(self) -> Answers:
        """Whether the unknown people are told as the lecture has them, `[person, seed]`."""
        answers = [by_hand.RIGHT[name] for name in by_hand.UNKNOWN]
        return np.stack([(said > 0.5) == answer for said, answer in zip(self.outputs, answers, strict=True)])


def trainings(seeds: int = SEEDS, epochs: int = 1000) -> dict[str, Trained]:
    """Return the three trainings of the section; a seed starts from the same weights in all of them."""
    start, x, y = stacked([by_hand.drawn(seed) for seed in range(seeds)]), inputs(by_hand.KNOWN), targets()
    mean, std = x.mean(0), x.std(0)
    shuffled = np.stack([np.random.default_rng([seed, 1]).permutation(y) for seed in range(seeds)])
    ask = inputs(by_hand.UNKNOWN)
    return {
        SLIDE: _trained(start, x, np.tile(y, (seeds, 1)), ask, 0.1, epochs),
        SHUFFLED: _trained(start, x, shuffled, ask, 0.1, epochs),
        SLOW: _trained(start, (x - mean) / std, np.tile(y, (seeds, 1)), (ask - mean) / std, 0.001, epochs),
    }


def _trained(start: Weights, x: Array, y: Array, ask: Array, rate: float, epochs: int) -> Trained:
    w, errors = train(start, x, y, rate, epochs)
    known = np.stack([(forward(w, example)[1] > 0.5) == (y[:, i] > 0.5) for i, example in enumerate(x)])
    return Trained(known, np.stack([forward(w, person)[1] for person in ask]), errors)


def section(largest_gap: float, seeds: int = SEEDS) -> Section:
    """Return the section.

    Parameters
    ----------
    largest_gap
        Largest difference of a gradient by hand to that of PyTorch.
    """
    found = trainings(seeds)
    both: dict[str, Answers] = {name: np.all(t.right, axis=0) for name, t in found.items()}
    slide = stats.rate(int(both[SLIDE].sum()), seeds)
    jamal = stats.rate(int(found[SHUFFLED].right[0].sum()), seeds)
    errors = lecture_plots.frame_errors({name: t.errors for name, t in found.items()}, min(seeds, SHOWN))
    outputs = lecture_plots.frame_outputs({name: t.outputs[:, : min(seeds, 300)] for name, t in found.items()}, by_hand.UNKNOWN)
    said = "; ".join(f"{name} {mean_text(t.errors[-1], lambda error: f'{error:.2g}')}" for name, t in found.items())
    return Section(
        "Can two layers, written by hand, tell a researcher from a data scientist?",
        [
            Text(
                [
                    f"Trained on four people, the network tells both unknown ones as the lecture does in {slide} of "
                    f"seeds. With the positions shuffled before training it is a coin: Jamal comes out right in {jamal}. "
                    f"PyTorch finds the same gradients, to {largest_gap:.1g}: backpropagation is the chain rule and no more."
                ]
            ),
            _people(found[SLIDE]),
            _rates(found, both),
            Figure(
                "Does the error fall?",
                lambda: plots.grid(
                    errors,
                    partial(plots.draw_curves, colours=plots.palette(found), label="mean squared error", unit="epoch"),
                    col="variant", height=2.2, aspect=1.4,
                ),
                errors,
                f"Mean squared error by epoch, a panel per training; mean at the end: {said}.",
                f"Thin lines: {min(seeds, SHOWN)} of {seeds} seeds; thick: their median. Mean at the end over all {seeds}, "
                f"with 95 % Student-t intervals: {said}. Shuffled positions are often learned just as well: a low error on "
                "what was trained on proves nothing.",
            ),
            Figure(
                "What does the network say of Jamal and Mina?",
                lambda: plots.grid(
                    outputs, partial(lecture_plots.draw_outputs, colours=plots.palette(by_hand.UNKNOWN)), col="training",
                    height=1.7, aspect=1.9,
                ),
                outputs,
                "Outputs for the two unknown people, a dot per seed, a panel per training.",
                f"A dot for each of {min(seeds, 300)} seeds. Left of the dotted line: researcher; right of it: data "
                f"scientist. Under '{SLOW}' the answers are still scattered as the initial weights have them: that is what "
                "too little training looks like.",
            ),
        ],
    )  # fmt: skip


def _people(slide: Trained) -> Table:
    rows: list[list[Cell | str]] = []
    medians = dict(zip(by_hand.UNKNOWN, slide.outputs, strict=True))
    for name, (hours, papers, position) in by_hand.PEOPLE.items():
        said = Cell("")
        if name in medians:
            low, middle, high = np.percentile(medians[name], [2.5, 50, 97.5])
            said = Cell(by_hand.POSITIONS[by_hand.RIGHT[name]], note=f"output {middle:.2f} [{low:.2f}, {high:.2f}]")
        rows.append([name, str(hours), str(papers), position, said])
    return Table(
        "The people", ["name", "working time", "papers", "position", "what the network says"], rows,
        f"Output: the median over {slide.outputs.shape[1]} seeds and the middle 95 % of them; 0 is researcher, 1 data "
        f"scientist. The network sees the numbers minus {by_hand.MEANS[0]} and {by_hand.MEANS[1]}.",
    )  # fmt: skip


def _rates(found: dict[str, Trained], both: dict[str, Answers]) -> Table:
    rows: list[list[Cell | str]] = []
    others = [name for name in found if name != SLIDE]
    tested = [stats.mcnemar(both[SLIDE].tolist(), both[name].tolist()) for name in others]
    p = dict(zip(others, stats.holm(tested), strict=True))
    for name, trained in found.items():
        n = trained.right.shape[1]
        shares = (trained.known.all(0), *trained.right, both[name])
        rows.append([name, *(Cell(*_share(share, n)) for share in shares), _p(p[name]) if name in p else ""])
    return Table(
        "How often is it right?",
        ["training", "all four trained on", *by_hand.UNKNOWN, "both", "McNemar's p against the slide"],
        rows,
        "Shares of seeds with 95 % Wilson intervals; a seed is a draw of normal initial weights. McNemar's exact test of both "
        "being right, on the same seeds, corrected by Holm for this table. As on the slide: one "
        "person at a time, rate 0.1, 1000 epochs; the hidden layer is blamed through the old output weights. Shuffled: the "
        "same with the four positions dealt anew for each seed. Scaled: inputs of mean 0 and variance 1 at a rate of 0.001, "
        "as in the PyTorch version of the example, which is too little training.",
    )


def _p(value: float) -> str:
    return "below 1e-9" if value < 1e-9 else f"{value:.2g}"


def _share(holds: Answers, n: int) -> tuple[str, str, str]:
    found = stats.rate(int(holds.sum()), n)
    return f"{found.estimate:.1%}", "", f"[{found.low:.1%}, {found.high:.1%}], n={n}"
