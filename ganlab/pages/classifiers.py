"""The page about classifiers of digits: accuracy, speed and mistakes, with a paired comparison."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from ganlab import plots, stats, trace
from ganlab.diagnoses import compare
from ganlab.experiment import Run
from ganlab.pages.page import Cell, Figure, Page, Section, Table, Text
from ganlab.pages.shared import distinct, environment, settings, sources


def classifier_page(runs: Sequence[Run], name: str = "mnist_baselines") -> Page:
    """Return the page about classifiers of digits: accuracy, speed and mistakes, with a paired comparison."""
    runs = distinct(runs)
    data = runs[0].experiment.data
    colours = plots.palette(run.experiment.subject for run in runs)
    sections = [
        Section("The verdict", [_classifier_table(runs, colours), *_classifier_comparison(runs)]),
        Section(
            "The evidence",
            [
                _learning_figure(runs, colours),
                confusion_figure(runs),
                *(_hardest_figure(run) for run in runs if "hardest" in run.samples),
            ],
        ),
        Section("Settings", [settings(runs), Text(environment(runs))]),
        Section("Sources", [Text(sources(runs))]),
    ]
    stand_in = (
        " These are the 8 x 8 digits of scikit-learn. For MNIST set GANLAB_DATA to the folder that holds MNIST/raw, or add "
        "--download to the study."
    )
    return Page(name, f"MLP or CNN on {data}?", _classifier_answer(runs) + (stand_in if data != "mnist" else ""), sections)


def _final(run: Run, name: str) -> stats.Interval:
    return stats.mean(trace.last(run.trace, name).to_numpy())


def _per_second(run: Run) -> stats.Interval:
    """Return training images per second: the median epoch of each seed, over seeds."""
    return stats.mean(trace.wide(run.trace, "train_images_per_second").median().to_numpy())


def _classifier_answer(runs: Sequence[Run]) -> str:
    said = ", ".join(f"{r.experiment.subject} {_final(r, 'test_accuracy').estimate:.2%}" for r in runs)
    if len(runs) != 2 or len(set(runs[0].experiment.seeds) & set(runs[1].experiment.seeds)) < 2:
        return f"Mean test accuracy: {said}."
    (row,) = (r for r in compare(runs[1], runs[0]).to_dict("records") if r["quantity"] == "test_accuracy")
    a, b = runs[1].experiment.subject, runs[0].experiment.subject
    better = {"a is higher": f"the {a} is better", "b is higher": f"the {b} is better"}
    return (
        f"Mean test accuracy: {said}. On the same {row['n']} seeds {better.get(row['answer'], 'no difference is shown')} "
        f"({row['difference']:+.2%}, {_bounds(row['low'], row['high'])}, {_p(row['p_value'])})."
    )


def _p(value: float) -> str:
    return f"p = {value:.2g}" if np.isfinite(value) else "not tested: a seed has no value"


def _bounds(low: float, high: float) -> str:
    if np.isfinite(low):
        return f"95 % interval {low:+.2%} to {high:+.2%}"
    return f"no interval: it takes {stats.fewest_seeds()} seeds, all with a value"


def _classifier_table(runs: Sequence[Run], colours: plots.Colours) -> Table:
    rows: list[list[Cell | str]] = []
    for run in runs:
        accuracy, speed = _final(run, "test_accuracy"), _per_second(run)
        rows.append(
            [
                Cell(run.experiment.subject, swatch=colours[run.experiment.subject]),
                Cell(f"{accuracy.estimate:.2%}", note=f"[{accuracy.low:.2%}, {accuracy.high:.2%}], n={accuracy.n}"),
                Cell(f"{speed.estimate:,.0f}", note=f"[{speed.low:,.0f}, {speed.high:,.0f}]"),
                f"{trace.last(run.trace, 'n_parameters').iloc[0]:,.0f}",
                str(run.experiment.steps),
                f"{run.experiment.settings['n_train']:,}",
            ]
        )
    threads = runs[0].environment["threads"]
    return Table(
        "Accuracy, speed and size",
        ["classifier", "test accuracy", "training images/s", "parameters", "epochs", "training images"],
        rows,
        "Means over seeds with 95 % Student-t intervals: over initial weights, the choice and the order of training images, "
        "on one fixed test set, whose own sampling error is not in them. "
        f"Speed: median epoch of each seed, with {threads} "
        "thread(s) a process while other runs trained beside it; compare the two, not with other machines.",
    )


def _classifier_comparison(runs: Sequence[Run]) -> list[Table]:
    if len(runs) != 2 or len(set(runs[0].experiment.seeds) & set(runs[1].experiment.seeds)) < 2:
        return []
    a, b = runs[1], runs[0]
    frame = compare(a, b).set_index("quantity")
    rows: list[list[Cell | str]] = []
    for quantity, row in frame.iterrows():
        rows.append(
            [
                str(quantity).replace("_", " "),
                f"{row['a']:.2%}",
                f"{row['b']:.2%}",
                Cell(f"{row['difference']:+.2%}", note=f"{_bounds(row['low'], row['high'])}, n={row['n']}"),
                Cell(_named(row["answer"], a, b), note=_p(row["p_holm"])),
            ]
        )
    return [
        Table(
            "Seed by seed",
            ["quantity", a.experiment.subject, b.experiment.subject, "difference", "answer"],
            rows,
            "Both classifiers see the same images in the same order for the same seed. The interval is a paired "
            "bootstrap, for reading; the exact sign-flip test decides, at 5 %.",
        )
    ]


def _named(answer: str, a: Run, b: Run) -> str:
    return answer.replace("a is", a.experiment.subject + " is").replace("b is", b.experiment.subject + " is")


def _learning_figure(runs: Sequence[Run], colours: plots.Colours) -> Figure:
    frame = plots.frame_curves(runs, "test_accuracy")
    frame = frame[frame["step"] > 0].rename(columns={"variant": "classifier"})
    draw = partial(plots.draw_curves, colours=colours, label="test accuracy", unit="epoch", from_zero=False)
    said = "; ".join(f"{run.experiment.subject} {_final(run, 'test_accuracy').estimate:.2%}" for run in runs)
    return Figure(
        "How fast do they learn?",
        lambda: plots.grid(
            frame,
            lambda part, ax: draw(part.rename(columns={"classifier": "variant"}), ax),
            col="classifier",
            height=2.6,
            aspect=1.5,
        ),
        frame,
        f"Test accuracy by epoch, a panel per classifier; mean at the end: {said}.",
        f"Thin lines: each of {len(runs[0].experiment.seeds)} seeds; thick: their median. At the end: {said}.",
    )


def confusion_figure(runs: Sequence[Run]) -> Figure:
    frame = plots.frame_confusion(runs)
    mistakes = frame[frame["true"] != frame["predicted"]].sort_values("images", ascending=False)
    first = mistakes.groupby("classifier", sort=False).head(1)
    said = "; ".join(
        f"{r.classifier} most often takes {r.true} for {r.predicted} ({r.images:.3g} images)" for r in first.itertuples()
    )
    return Figure(
        "What do they confuse?",
        lambda: plots.grid(frame, plots.draw_confusion, col="classifier", height=3.4, aspect=1.0),
        frame,
        f"Confusion matrices without the diagonal, mean over seeds: {said}.",
        f"Test images in the mean over {len(runs[0].experiment.seeds)} seeds, correct ones left out: {said}.",
    )


def _hardest_figure(run: Run) -> Figure:
    frame = plots.frame_hardest(run)
    names = list(dict.fromkeys(frame["digit"]))
    return Figure(
        f"Which digits are hardest for the {run.experiment.subject}?",
        lambda: plots.grid(frame, plots.draw_image, col="digit", wrap=6, height=1.35, aspect=1.0),
        frame,
        f"The twelve test digits with the highest loss: {'; '.join(names)}.",
        f"Highest mean loss over {len(run.experiment.seeds)} seeds: what it is, what it was read as most often, and by how "
        "many seeds.",
    )
