"""PyTorch against TensorFlow, and JAX: the lecture's MLP in each, from the same weights on the same batches."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Drawing

from ganlab import plots, stats, throughput, trace
from ganlab.experiment import Run
from ganlab.lecture_plots import draw_differences, frame_differences
from ganlab.pages.page import Block, Cell, Figure, Section, Table, Text
from ganlab.throughput import times

SAME = 1e-4
"""Losses, in nats, that differ by no more are called the same."""

Lines = Mapping[str, tuple[int, int]]
"""By program, the lines of code of its net and optimiser, and of its training loop."""

TITLE = "PyTorch, TensorFlow or JAX: do they compute the same, and which is fastest?"


SMALL = "Shortened here: trained on scikit-learn's digits of 8 x 8 pixels in place of MNIST, as always at the quick profile."


def section(runs: Sequence[Run], lines: Lines) -> Section:
    """Return the section of the measurement, or without one of what to install."""
    if not runs:
        missing = (
            "Nothing was measured: the extra frameworks, which is Keras, TensorFlow and JAX, is not installed here. The "
            "command nox -s frameworks installs it, in an environment of its own (more than a gigabyte), and writes this page "
            "with it."
        )
        return Section(TITLE, [Text([missing, _lines_answer(lines)]), _lines_table(lines)])
    (run,) = runs
    programs, failed = [c.label for c in throughput.candidates_of(run.experiment)], throughput.failed(run)
    if run.experiment.settings["reference"] in failed:
        return Section(TITLE, [Text(["PyTorch could not be measured, so nothing is compared."]), _failures(failed)])
    alive = [label for label in programs if label not in failed]
    small = [SMALL] if run.experiment.data == "digits" else []
    blocks: list[Block] = [
        Text([*_same_answer(run, alive), *_speed_answer(run), _lines_answer(lines), *small]),
        _same_table(run, alive), _differences_figure(run), _speed_table(run), _lines_table(lines),
    ]  # fmt: skip
    return Section(TITLE, [*blocks, *([_failures(failed)] if failed else []), _settings(run)])


# --- do they compute the same? -------------------------------------------------------------------------------------------


def differences(run: Run, reference: str) -> pd.DataFrame:
    """Return how far each program's loss is from the reference's: a row for each seed and update, a column a program.

    A loss that is not a number is infinitely far from all others.
    """
    rows = trace.select(run.trace, "loss")
    losses = rows.pivot_table(index=["seed", "step"], columns="index", values="value", dropna=False, sort=False)
    return losses.sub(losses[reference], axis=0).abs().fillna(np.inf).drop(columns=reference)


def _same(found: pd.Series) -> stats.Rate:
    """Return in how many seeds all updates are the same."""
    largest = found.groupby("seed").max()
    return stats.rate(int((largest <= SAME).sum()), len(largest))


def _same_answer(run: Run, alive: Sequence[str]) -> list[str]:
    own, matched = (run.experiment.settings[name] for name in ("reference", "matched"))
    plain, adjusted = differences(run, own), differences(run, matched)
    others = [label for label in alive if label != own]
    if not others:
        return ["No program but PyTorch's could be measured, so nothing is compared."]
    largest, told = plain[others].max().max(), {name: _share(_same(adjusted[name])) for name in others}
    each = "; ".join(f"{share} ({name})" for name, share in told.items())
    where = f"{told[others[0]]} seeds" if len(set(told.values())) == 1 else each
    typical = adjusted[others].groupby("seed").max().median().max()
    digits = ", in the last digits of a number of 32 bits" if typical <= SAME else ""
    agree = (
        f"With Keras's Adam in PyTorch too, they are the same, to {SAME:g} at every update, in {where}; the typical largest "
        f"difference is {typical:.1g}{digits}."
    )
    updates = run.experiment.settings["updates"]
    if largest <= SAME:
        return [f"Yes: over {updates} updates the losses differ by {largest:.1g} at most. {agree}"]
    because = "for more reasons than how Adam is written"
    if typical <= SAME:
        because = (
            "because PyTorch and Keras write Adam differently: epsilon stands in another place, and the bias corrections are "
            "of another precision"
        )
    return [
        "As usually written, no: from the same weights, on the same batches, with the same numbers for Adam, the losses of "
        f"{updates} updates differ by up to {largest:.1g}, {because}. {agree}"
    ]


def _share(found: stats.Rate) -> str:
    return f"{found.failures} of {found.n}"


def _same_table(run: Run, alive: Sequence[str]) -> Table:
    own, matched = (run.experiment.settings[name] for name in ("reference", "matched"))
    plain, adjusted = differences(run, own), differences(run, matched)
    names = [*(label for label in alive if label != own), *(name for name in plain if name not in alive)]
    rows: list[list[Cell | str]] = []
    for name in map(str, names):
        rows.append([name, _difference(plain[name]), _difference(adjusted[name]) if name != matched else ""])
    return Table(
        "Do they compute the same losses?",
        ["trained by", f"largest difference to {own} as it is", f"to {matched}"],
        rows,
        f"Differences of the training loss, in nats, over {run.experiment.settings['updates']} updates of each of "
        f"{len(run.experiment.seeds)} seeds, which are weights and orders of the data; below each in how many seeds all "
        f"updates agree to {SAME:g}, with a 95 % Wilson interval, and the first update that does not. PyTorch has Adam as in "
        "algorithm 1 of Kingma and Ba (2015); Keras, on whatever framework, has the form at the end of their section 2, where "
        "the same epsilon is 32 times as large at the first update, and works out the bias corrections in float32. The rows "
        "below the programs change one of these things in PyTorch alone; the last two are controls, which must differ. Where "
        "programs of one formula part by more than the last digit, a neuron stood so near to the kink of its ReLU that "
        "rounding decided whether it fired.",
    )


def _difference(found: pd.Series) -> Cell:
    same, beyond = _same(found), found[found > SAME].index.get_level_values("step")
    first = f"; first at update {min(beyond) + 1}" if len(beyond) else ""
    interval = f"[{same.low:.0%}, {same.high:.0%}]"
    return Cell(f"{found.max():.1e}", note=f"same in {_share(same)} {interval}{first}")


def _differences_figure(run: Run) -> Figure:
    own, matched = (run.experiment.settings[name] for name in ("reference", "matched"))
    frame = frame_differences({f"to {name}": differences(run, name) for name in (own, matched)})
    colours = plots.palette(frame["program"])

    def draw() -> Drawing:
        figure = plots.grid(frame, partial(draw_differences, colours=colours, same=SAME), col="against", height=2.8, aspect=1.3)
        lines = {line.get_label(): line for ax in figure.axes for line in ax.lines if line.get_label() in colours}
        figure.legend([lines[name] for name in colours], list(colours), loc="upper center", bbox_to_anchor=(0.5, 0), ncol=2)
        return figure

    return Figure(
        "How far apart are the losses at each update?",
        draw,
        frame,
        "Largest difference of the losses over seeds by update, a line a program, on a logarithmic axis; "
        f"the largest of all is {frame['difference'].max():.1g}.",
        f"The largest of {len(run.experiment.seeds)} seeds at each update, on a logarithmic axis; under the dotted line losses "
        "are the same. Differences below 0.00000001, and 0, are drawn there. Lines of programs that agree lie on each other; "
        "the data has them all.",
    )


# --- how fast, and how long? ---------------------------------------------------------------------------------------------


def _speed_answer(run: Run) -> list[str]:
    rows = [row for row in throughput.table(run).to_dict("records") if row["label"] != row["base"]]
    told = "; ".join(
        f"{row['label']} {times(row['ratio'])} [{times(row['ratio_low'])}, {times(row['ratio_high'])}], {_pace(row)}"
        for row in rows
    )
    return [f"Updates a second, times PyTorch's, on one thread of this machine: {told}."] if rows else []


def _pace(row: Mapping[Hashable, float]) -> str:
    if row["ratio_high"] < 1:
        return "slower"
    return "faster" if row["ratio_low"] > 1 else "no difference is shown"


def _lines_answer(lines: Lines) -> str:
    told = "; ".join(f"{label} {loop}" for label, (_, loop) in lines.items())
    return f"Lines of code of the training loop: {told}."


def _speed_table(run: Run) -> Table:
    rows: list[list[Cell | str]] = []
    table = throughput.table(run)
    shares = table["cpu_share"]
    for row in table.to_dict("records"):
        label = row["label"]
        interval = f"[{times(row['ratio_low'])}, {times(row['ratio_high'])}]" if label != row["base"] else "the reference"
        seconds = [trace.last(run.trace, name, label).iloc[0] for name in ("import_seconds", "first_step_seconds")]
        rows.append(
            [
                label, f"{row['rate']:,.0f}", Cell(times(row["ratio"]), note=interval), *(f"{s:.1f}" for s in seconds),
                f"{row['peak_bytes'] / 1e9:.1f}",
            ]
        )  # fmt: skip
    return Table(
        "How fast is it?", ["program", "updates/s", "times PyTorch", "import (s)", "first update (s)", "memory (GB)"], rows,
        f"Processes of one thread that take turns, medians of {run.experiment.steps} rounds with 95 % intervals of the ratio, "
        f"taken round by round; each had {shares.min():.0%} of a core or more. The loss is read after every update, as by "
        "somebody who trains a GAN. PyTorch runs eagerly, also under Keras; the others compile the update when it is first "
        "made. That, and what is loaded only then, is in the first update and not in the rate.",
    )  # fmt: skip


def _lines_table(lines: Lines) -> Table:
    rows = [[label, str(net), str(loop)] for label, (net, loop) in lines.items()]
    return Table(
        "How much is there to write?", ["program", "lines: net, optimiser", "lines: loop"], rows,
        "Lines without blank ones, comments and docstrings, of the scripts 14_*.py in examples/lecture, which are what is "
        "measured.",
    )  # fmt: skip


def _failures(failed: Mapping[str, str]) -> Table:
    return Table("What could not be measured", ["program", "reason"], [[label, reason] for label, reason in failed.items()])


def _settings(run: Run) -> Table:
    settings, versions = run.experiment.settings, run.experiment.settings["versions"]
    told = {
        "net": "the lecture's MLP, hidden layers of 512 and 256 with ReLU", "data": run.experiment.data,
        "batch": settings["batch"], "updates": settings["updates"],
        "optimiser": f"Adam, rate {run.experiment.numbers['lr'][0]:g}",
        "epsilon": f"{settings['epsilon']:g}; Keras's default would be 1e-07", "seeds": len(run.experiment.seeds),
        "machine": settings["machine"]["cpu"],
    }  # fmt: skip
    rows: list[list[Cell | str]] = [[name, str(value)] for name, value in [*told.items(), *versions.items()]]
    return Table("What was run", ["setting", "value"], rows, folded=True)
