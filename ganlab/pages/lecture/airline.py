"""The airline's passengers: recurrent nets against naive forecasts, one step ahead and on their own; what a leak is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd

from ganlab import learning_plots, plots, stats, trace
from ganlab.experiment import Run
from ganlab.learning_plots import called
from ganlab.pages.lecture import learned
from ganlab.pages.lecture.learned import Comparison, compare, difference, p_text, plain, signed
from ganlab.pages.page import Cell, Figure, Section, Table, Text
from ganlab.pages.shared import mean_cell, mean_text

REFERENCES = ("persistence", "seasonal naive", "autoregression")

LINE = "linear regression"

LEAKED = "lstm, scaled by the whole"

WHAT = {
    "persistence": "the last month again",
    "seasonal naive": "the same month of the year before",
    "autoregression": "a linear function of the 12 months before, by least squares: AR(12)",
}


def section(runs: Sequence[Run]) -> Section:
    """Return the section of the runs of this study: nets on the airline, leaks, a random walk, and the toy sequences."""
    airline = [run for run in runs if run.experiment.data == "airline"]
    (windows,) = (run for run in runs if run.experiment.data == "airline_windows")
    walks = [run for run in runs if run.experiment.data == "random_walk"]
    written = [run for run in runs if run.experiment.data.startswith("waves")]
    named = {called(run): run for run in airline}
    others = [(name, "lstm", *_shared(run, named["lstm"])) for name, run in named.items() if name != "lstm"]
    decided = compare(others, higher_is_better=False)
    leak, mlp = (next(c for c in decided if c.a == name) for name in (LEAKED, "mlp"))
    naive, forms = _against_references(named["lstm"]), _against_line(written)
    return Section(
        "Airline passengers: does an LSTM forecast better than saying that nothing changes?",
        [
            Text(
                [
                    _answer(named["lstm"], naive), _mlp_answer(named["mlp"], mlp), _leak_answer(leak),
                    _windows_answer(windows, named["lstm"]), _writing_answer(written, forms),
                ]
            ),
            _forecasters(airline),
            learned.scores_figure(
                "How far do seeds differ?", airline, "rmse", "RMSE one month ahead",
                f"A point for each seed ({_counted(named)}), above them the mean with its 95 % interval; the three without a "
                "net have one forecast.",
            ),
            learned.comparisons(
                "Is the LSTM better than no net at all?", naive, signed,
                "RMSE one month ahead, so that less is better: each seed's less the one of a forecast that has no seeds.",
            ),
            learned.comparisons("Which net is better?", decided, signed, "RMSE one month ahead, so that less is better."),
            _forecasts_figure(named["lstm"], "predicted", "What is forecast one month ahead?"),
            _forecasts_figure(named["lstm"], "free", "What is forecast when no month after training is known?"),
            _walks(walks),
            _sequences(written, forms),
            *(_written_figure(next(run for run in written if run.experiment.data == data)) for data in FORMS),
            learned.what_was_run(runs),
        ],
    )  # fmt: skip


def _errors(run: Run, name: str = "test_rmse") -> pd.Series:
    return trace.last(run.trace, name)


def _reference(run: Run, index: str, name: str = "reference_rmse") -> pd.Series:
    return trace.select(run.trace, name, index).set_index("member")["value"]


def _beats(run: Run) -> stats.Rate:
    """Return the share of seeds whose forecasts are nearer than persistence; a diverged seed's are not."""
    better = _errors(run) < _reference(run, "persistence")
    return stats.rate(int(better.sum()), len(better))


def _against_references(lstm: Run) -> list[Comparison]:
    """Return the LSTM beside each forecast without a net, whose error is the same whatever the seed."""
    pairs = [(called(lstm), name, _errors(lstm), _reference(lstm, name)) for name in REFERENCES]
    return compare(pairs, higher_is_better=False)


def _answer(lstm: Run, naive: Sequence[Comparison]) -> str:
    said = []
    for c in naive:
        verdict = "not told apart from" if not c.p <= 0.05 else f"{'better' if c.difference.estimate < 0 else 'worse'} than"
        by = f"{_reference(lstm, c.b).iloc[0]:.1f}: {difference(c, signed)}, {p_text(c)}"
        said.append(f"{verdict} {'a linear ' if c.b == 'autoregression' else ''}{c.b} ({by})")
    return (
        f"The LSTM misses the next month by {mean_text(_errors(lstm), plain)} thousand passengers (RMSE, "
        f"{len(lstm.experiment.seeds)} seeds) and beats persistence in {_beats(lstm)} of seeds. In the mean it is "
        f"{'; '.join(said)} (exact sign-flip tests on the seeds, corrected for {len(naive)})."
    )


def _mlp_answer(mlp: Run, against: Comparison) -> str:
    return (
        f"An MLP that sees the 12 months at once misses by {mean_text(_errors(mlp), plain)} ({len(mlp.experiment.seeds)} "
        f"seeds). On the same seeds {against.answer}, MLP less LSTM: {difference(against, signed)}."
    )


def _leak_answer(c: Comparison) -> str:
    moves = (
        f"moves the error by {difference(c, signed)}" if c.p <= 0.05 else f"does not show in the error: {difference(c, signed)}"
    )
    return (
        "Leakage: tutorials scale by the whole series, whose mean and spread include the months to be forecast, so that the "
        f"net is told how far the passengers will grow. On the same seeds that {moves}. Either way it is no forecast: nobody "
        "knew these numbers in July 1958."
    )


def _windows_answer(at_random: Run, in_time: Run) -> str:
    leaking, honest, months = _on_the_same_months(at_random, in_time)
    (c,) = compare([("the split at random", "the split in time", leaking, honest)], higher_is_better=False)
    random, time = (mean_text(values, plain) for values in (leaking, honest))
    verdict = f"{difference(c, signed)}, {p_text(c)}"
    return (
        "A leak that is easier to overlook: the same windows of 12 months and a month after them, split at random and not in "
        "time, so that the months before and after a test month are learned from. On those months that both splits test "
        f"({months[0]} to {months[1]} a seed) the LSTM is then off by {random} in place of {time} (RMSE): {verdict}. What it "
        "has learned is to fill gaps, which nobody asked for."
    )


def _on_the_same_months(a: Run, b: Run) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Return two runs' errors on the test months that they share, a value a seed, and the fewest and most of these months."""
    errors, months = [], []
    for m in range(min(len(run.experiment.seeds) for run in (a, b))):
        one, other = (run.samples["inputs"][m, :, :, 0] for run in (a, b))
        places = np.nonzero((one[:, None] == other).all(-1))
        missed = [run.samples["predicted"][m, at] - run.samples["truth"][m, at] for run, at in zip((a, b), places, strict=True)]
        errors.append([float(np.sqrt((x**2).mean())) if len(x) else np.nan for x in missed])
        months.append(len(places[0]))
    leaking, honest = np.array(errors).T
    return leaking, honest, (min(months), max(months))


def _shared(a: Run, b: Run) -> tuple[np.ndarray, np.ndarray]:
    """Return the errors of two runs on the seeds that both have."""
    one, other = (_errors(run).set_axis(list(run.experiment.seeds)) for run in (a, b))
    seeds = [seed for seed in a.experiment.seeds if seed in b.experiment.seeds]
    return one[seeds].to_numpy(), other[seeds].to_numpy()


def _counted(named: Mapping[str, Run]) -> str:
    return ", ".join(f"{name} {len(run.experiment.seeds)}" for name, run in named.items())


def _forecasters(airline: Sequence[Run]) -> Table:
    rows: list[list[Cell | str]] = []
    for run in airline:
        beats = _beats(run)
        share = Cell(f"{beats.failures} of {beats.n}", note=f"{beats.estimate:.0%} [{beats.low:.0%}, {beats.high:.0%}]")
        rows.append([called(run), mean_cell(_errors(run), plain), mean_cell(_errors(run, "free_rmse"), plain), share])
    for name in REFERENCES:
        one, free = (_reference(airline[0], name, kind).iloc[0] for kind in ("reference_rmse", "free_reference_rmse"))
        rows.append([Cell(name, note=WHAT[name]), f"{one:.2f}", f"{free:.2f}", ""])
    return Table(
        "How far are forecasts off?",
        ["forecast by", "one month ahead (RMSE)", "29 months on its own (RMSE)", "seeds that beat persistence"],
        rows,
        "Thousands of passengers a month. All learn from the first 115 months and are tested on the last 29, from the 12 "
        "months before; on its own: each forecast is read as if it had been seen. Nets: means over seeds with 95 % "
        "Student-t intervals, over initial weights and batches, on one series; shares with Wilson intervals. Their settings "
        "were chosen by the error on these very months, which flatters them. The others have no seeds: their forecasts are "
        "determined.",
    )


def _forecasts_figure(run: Run, sample: str, title: str) -> Figure:
    frame = learning_plots.frame_forecasts(run, sample).assign(all="")
    unit = str(run.environment["unit"])
    shades = plots.palette([called(run), *REFERENCES])
    error = mean_text(_errors(run, {"predicted": "test_rmse", "free": "free_rmse"}[sample]), plain)
    return Figure(
        title,
        lambda: plots.grid(
            frame, partial(learning_plots.draw_forecasts, colours=shades, unit=unit), col="all", height=3.2, aspect=1.8
        ),
        frame.drop(columns="all"),
        f"The last 29 months, forecast by the {run.experiment.subject} and by three references.",
        f"Black: what came. Thin: each of {len(run.experiment.seeds)} seeds, off by {error} in the mean (RMSE); thick: their "
        "median, month by month. Dashed: forecasts without a net.",
    )


def _walks(walks: Sequence[Run]) -> Table:
    pairs = [(run.experiment.subject, "persistence", _errors(run), _reference(run, "persistence")) for run in walks]
    return learned.comparisons(
        "And where nothing can be known?", compare(pairs, higher_is_better=False), signed,
        "RMSE on random walks, one for each seed, whose steps no forecast can know: that nothing changes is the best "
        "forecast there is, and a net that seemed to beat it would show a fault of the measurement.",
    )  # fmt: skip


FORMS = {
    "waves_from_number": "one-to-many: from a frequency to 12 values",
    "waves_continued": "sequence-to-sequence: from 12 values to the 12 after them",
}


def _against_line(runs: Sequence[Run]) -> list[Comparison]:
    """Return each net that writes sequences beside linear regression."""
    pairs = [(run.experiment.subject, LINE, _errors(run), _reference(run, LINE)) for run in runs]
    return compare(pairs, higher_is_better=False)


def _writing_answer(runs: Sequence[Run], forms: Sequence[Comparison]) -> str:
    said = []
    for data, form in FORMS.items():
        mine = [(run, c) for run, c in zip(runs, forms, strict=True) if run.experiment.data == data]
        nets = "; ".join(f"{c.a} {mean_text(_errors(run), plain)} ({c.answer})" for run, c in mine)
        line = mean_text(_reference(mine[0][0], LINE), plain)
        said.append(f"{form.capitalize().replace(':', ',')}: {LINE} is off by {line}; {nets}")
    return f"Writing whole sequences (RMSE, {len(runs[0].experiment.seeds)} seeds). {'. '.join(said)}."


def _sequences(runs: Sequence[Run], forms: Sequence[Comparison]) -> Table:
    rows: list[list[Cell | str]] = [
        [
            Cell(run.experiment.subject, note=FORMS[run.experiment.data]),
            mean_cell(_errors(run), plain),
            *(mean_cell(_reference(run, name), plain) for name in (LINE, "mean")),
            Cell(c.answer, note=f"{difference(c, signed)}, {p_text(c)}"),
        ]
        for run, c in zip(runs, forms, strict=True)
    ]
    return Table(
        "Can it write whole sequences?",
        ["written by", "the net (RMSE)", LINE, "the mean", "net less line"],
        rows,
        "Waves of height 1, on test waves that training did not see. A second recurrent layer writes value after value, "
        "each from its state and its own last output. Means over seeds with 95 % Student-t intervals; many-to-one is the "
        "airline above. Net less line: decided by the exact sign-flip test at 5 %, corrected by Holm for "
        f"{len(forms)} comparisons, with paired bootstrap intervals.",
    )


def _written_figure(run: Run) -> Figure:
    frame = learning_plots.frame_written(run)
    colour = plots.palette([run.experiment.subject])[run.experiment.subject]
    form = FORMS[run.experiment.data]
    return Figure(
        f"What is written, {form.partition(':')[0]}?",
        lambda: plots.grid(frame, partial(learning_plots.draw_written, colour=colour), col="seed", height=1.7, aspect=1.1),
        frame,
        f"Waves that the {run.experiment.subject} should write, and what it writes.",
        f"{form.capitalize()}. Line: the wave; points: what the {run.experiment.subject} wrote; a test wave of each of "
        f"{frame['seed'].nunique()} seeds. Over {len(run.experiment.seeds)} seeds it is off by "
        f"{mean_text(_errors(run), plain)}.",
    )
