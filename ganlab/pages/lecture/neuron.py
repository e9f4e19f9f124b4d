"""One neuron with different activation functions: all of it computed on the spot."""

from __future__ import annotations

import numpy as np

from ganlab import lecture_plots, plots
from ganlab.by_hand import ACTIVATIONS, CORNERS, GATES, Weights, forward, gate, neuron
from ganlab.pages.page import Cell, Figure, Section, Table, Text

SHARED = Weights(np.array([[0.0, 1.0], [0.0, 1.0]]), np.zeros(2), np.array([0.0, 1.0]), np.zeros(()))
"""Three neurons with the same weights (0, 1) and no bias, two of which feed the third."""


def section() -> Section:
    """Return the section."""
    frame, plane = lecture_plots.frame_responses(), lecture_plots.frame_decisions()
    return Section(
        "What can one neuron do?",
        [
            Text(
                [
                    "One neuron can be the gates AND and OR, and cannot be XOR. It adds up its inputs, each times a weight, "
                    "adds a bias, and passes the sum through an activation function. With two inputs it draws one straight "
                    "line: on one side the sum is above 0, on the other below. For XOR that is not enough: its two answers of "
                    "1 lie at opposite corners, and no line has both on one side and the other two corners on the other. That "
                    "takes a second layer."
                ]
            ),
            _gates(),
            Figure(
                "What does each activation make of the weighted sum?",
                lambda: plots.grid(frame, lecture_plots.draw_response, col="activation", wrap=4, height=1.8, aspect=1.35),
                frame,
                f"Response curves of {', '.join(ACTIVATIONS)}, with their slopes.",
                "Line: the response; dashed: its slope, which is what learning goes by. The step's slope is 0 wherever it "
                "has one, so nothing is learned through it. Sigmoid and tanh are flat far from 0: their slope vanishes. "
                "ReLU is flat below 0; leaky ReLU keeps a slope there, and that of ELU and SELU fades.",
            ),
            Figure(
                "Where does a neuron draw its line?",
                lambda: plots.grid(
                    plane, lecture_plots.draw_decision, col="activation", row="gate", height=1.35, aspect=1.0, equal=True,
                    margin_titles=True,
                ),
                plane,
                "The plane of two inputs, a column per activation and a row per gate: the line lies in the same place under "
                "every activation. For AND one corner lies on it and three below; for OR two lie on it, one above, one below.",
                "Shading: the response, darker is more. Orange: where the weighted sum is 0. Filled corners: the gate says "
                "1. The line comes from weights and bias; the activation only says how sharply the answer changes across "
                "it. Corners on the line count as 1.",
            ),
            _golden(),
        ],
    )  # fmt: skip


def _gates() -> Table:
    rows: list[list[Cell | str]] = [
        [name, f"{weights[0]:g}, {weights[1]:g}", f"{threshold:g}", *(f"{said:g}" for said in gate(name))]
        for name, (weights, threshold) in GATES.items()
    ]
    return Table(
        "One neuron with a step as a gate",
        ["gate", "weights", "threshold", *(f"{x:g} and {y:g}" for x, y in CORNERS)],
        rows,
        "The neuron says 1 where the weighted sum of its inputs reaches the threshold.",
    )


def _golden() -> Table:
    rows: list[list[Cell | str]] = [
        ["one neuron", "weights 3 and 1, bias -1, inputs 4 and 1", f"{neuron([4, 1], [3, 1], -1):.10f}"],
        ["three, in two layers", "all weights 0 and 1, no bias, inputs 2 and 3",
         f"{forward(SHARED, np.array([2.0, 3.0]))[1]:.10f}"],
    ]  # fmt: skip
    return Table("Sigmoid neurons to check your own code with", ["net", "numbers", "output"], rows)
