"""The page about throughput: how fast, against what, how close to the machine's limit, and what it costs to scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.figure import Figure as Drawing

from ganlab import plots, stats, throughput, throughput_plots
from ganlab.experiment import Run
from ganlab.pages.page import Block, Cell, Figure, Page, Section, Table, Text
from ganlab.throughput import times
from ganlab.throughput_plots import name_of

OTHERS = ("matrix products", "another library")
"""Series that are not ours, and are compared with."""

Row = Mapping[Hashable, Any]
"""A row of `throughput.table`."""


def throughput_page(runs: Sequence[Run], name: str = "throughput") -> Page:
    """Return the page about the newest of these measurements; earlier ones are what it is compared with."""
    runs = sorted({run.experiment.id: run for run in runs}.values(), key=lambda run: run.experiment.settings["measured"])
    now, earlier = runs[-1], runs[:-1]
    table = throughput.table(now)
    colours = plots.palette(c.series for c in throughput.candidates_of(now.experiment))
    title = "How fast do many seeds train?"
    strangers = [run for run in earlier if throughput.differences(now, run)]
    ours = [run for run in earlier if run not in strangers]
    last = [Section("What could not be measured", _failures(now)), Section("How it was measured", [Text(_method(now))])]
    last.append(Section("Settings", [_settings(now), Text([_environment(now)])]))
    if table.empty:
        return Page(name, title, "Nothing could be measured.", [s for s in last if s.blocks])
    groups = list(dict.fromkeys(table["group"]))
    sections = [
        Section("Other machines", _stranger_notes(now, strangers)),
        Section("The verdict", [_verdict(table, groups[0], colours), *_limit(table, groups[0], colours)]),
        Section("The evidence: against the plain loop", _ratio_figures(table, groups, colours)),
        Section("The evidence: how many members at once", _curves(table, groups, colours)),
        Section("The evidence: what growing costs", _costs(table, colours)),
        Section("The evidence: what it takes", [_requirements(table, colours)]),
        Section("Against an earlier measurement", _comparison(now, ours)),
        *last,
    ]
    answer = _answer(now, table, groups[0])
    if strangers and not ours:
        answer += " The other measurements here are of other machines: no ratio to them is claimed."
    return Page(name, title, answer, [section for section in sections if section.blocks])


# --- the verdict ---------------------------------------------------------------------------------------------------------


def _answer(run: Run, table: pd.DataFrame, group: str) -> str:
    machine = run.experiment.settings["machine"]
    where = f"On {machine['device'] or machine['cpu']} with {machine['cores']} cores"
    candidates = {c.label: c for c in throughput.candidates_of(run.experiment)}
    rows = [r for r in table[table["group"] == group].to_dict("records") if r["series"] not in (*OTHERS, "plain loop")]
    rows = [row for row in rows if row["ratio"] == row["ratio"]]
    full = [row for row in rows if candidates[row["label"]].settings.get("precision", "full") == "full"]
    if not full:
        return f"{where}, {len(table)} candidates were measured, and none of ours against the plain loop."
    best, fastest = (max(some, key=lambda row: row["ratio"]) for some in (full, rows))
    said = (
        f'{where}, "{name_of(best["label"])}" trains {best["rate"]:,.0f} {_unit(best["unit"])} a second: '
        f'{_interval(best, "ratio")} times the {name_of(best["base"])}'
    )
    for c in candidates.values():
        beside = c.group == group and c.series == "plain loop" and c.processes > 1
        if beside and (ratio := throughput.ratio(run, best["label"], c.label)) is not None:
            said += f", and {_said(ratio)} times {name_of(c.label)}"
    said += "."
    if best["share"] == best["share"]:
        said += f" That is {best['share']:.0%} of the rate of the same steps' matrix products alone."
    if fastest is not best:
        said += f" With products in bfloat16 it is {_interval(fastest, 'ratio')} times the plain loop."
    return said


def _unit(unit: str) -> str:
    return unit.replace("_", "-")


def _said(interval: stats.Interval) -> str:
    low, text, high = (times(x) for x in (interval.low, interval.estimate, interval.high))
    return f"{text} [{low}, {high}]" if math.isfinite(interval.low) else text


def _interval(row: Row, name: str, number: Callable[[float], str] = times) -> str:
    """Return a number with its interval, or "" where there is none."""
    if row[name] != row[name]:
        return ""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return number(row[name]) + (f" [{number(low)}, {number(high)}]" if math.isfinite(low) else "")


def _cell(row: Row, name: str, number: Callable[[float], str]) -> Cell:
    text, _, rest = _interval(row, name, number).partition(" ")
    return Cell(text, note=rest)


def _verdict(table: pd.DataFrame, group: str, colours: plots.Colours) -> Table:
    rows: list[list[Cell | str]] = []
    for row in table[table["group"] == group].to_dict("records"):
        flops = row["flops_per_second"]
        rows.append(
            [
                Cell(name_of(row["label"]), swatch=colours[row["series"]]),
                _cell(row, "rate", "{:,.0f}".format),
                _cell(row, "ratio", times),
                _cell(row, "share", "{:.0%}".format),
                f"{flops / 1e9:,.0f}" if flops == flops else "",
            ]
        )
    unit = _unit(str(table[table["group"] == group]["unit"].iloc[0]))
    n = int(table["n"].min())
    return Table(
        f"Rates on {group}",
        ["candidate", f"{unit}/s", "times the plain loop", "share of the limit", "GFLOP/s"],
        rows,
        f"Medians of {n} rounds in which all candidates took turns, ratios taken round by round; in brackets the 95 % interval "
        "of the median between order statistics. Limit: the matrix products of the same steps alone, on as many threads and "
        "processes, in the same rounds. GFLOP: matrix products of the plain step.",
    )


def _limit(table: pd.DataFrame, group: str, colours: plots.Colours) -> list[Block]:
    frame = throughput_plots.frame_ratios(table, group, "share")
    frame = frame[frame["series"] != "matrix products"].reset_index(drop=True)
    if frame.empty:
        return []
    said = "; ".join(f"{r.name} {r.value:.0%}" for r in frame.itertuples(index=False))
    return [
        Figure(
            "How much of the machine's limit is used?",
            lambda: _bars(frame, colours, "% of the rate of the matrix products alone", percent=True),
            frame,
            f"Share of the rate at which the step's matrix products alone can be done, with 95 % intervals: {said}.",
            "Dotted: the step's matrix products and nothing else, on the same threads. Above 100 %: an engine may do thin "
            "products by other means than the library of the limit.",
        )
    ]


def _bars(frame: pd.DataFrame, colours: plots.Colours, label: str, percent: bool = False) -> Drawing:
    return throughput_plots.bars(frame, partial(throughput_plots.draw_ratios, colours=colours, label=label, percent=percent))


def _stranger_notes(now: Run, strangers: Sequence[Run]) -> list[Block]:
    """Return a loud note about measurements of other machines."""
    if not strangers:
        return []
    rows: list[list[Cell | str]] = [
        [_when(run), Cell("; ".join(throughput.differences(now, run)), tone="present")] for run in strangers
    ]
    return [
        Table(
            "Not compared: measurements of other machines",
            ["measured", "what differs, this machine against that one"],
            rows,
            "A ratio between two machines says nothing about two versions, so none is given.",
        )
    ]


def _when(run: Run) -> str:
    return str(run.experiment.settings["measured"])[:16].replace("T", " ") + " UTC"


# --- the evidence --------------------------------------------------------------------------------------------------------


def _ratio_figures(table: pd.DataFrame, groups: Sequence[str], colours: plots.Colours) -> list[Block]:
    figures: list[Block] = []
    for group in groups:
        frame = throughput_plots.frame_ratios(table[table["axis"] == ""], group)
        if len(frame) < 2:
            continue
        said = "; ".join(f"{r['name']} {times(r['value'])}" for r in frame.to_dict("records") if r["value"] != 1)
        base = name_of(table[table["group"] == group]["base"].iloc[0])
        base = "the plain loop" if "plain loop" in base else f"the same {base}"
        figures.append(
            Figure(
                f"How many times as fast as {base}, {group}?",
                partial(_bars, frame, colours, f"times {base} on the same work"),
                frame,
                f"Ratios to {base} with 95 % intervals, {group}: {said}.",
                f"Median of {int(table['n'].min())} rounds with its 95 % interval; dotted: {base} on the same work.",
            )
        )
    return figures


def _curves(table: pd.DataFrame, groups: Sequence[str], colours: plots.Colours) -> list[Block]:
    members = table[(table["axis"] == "members") & (table["unit"] == "member_steps")]["group"]
    curved = [group for group in groups if group in set(members)]
    if not curved:
        return []
    frame = throughput_plots.frame_curve(table, curved)
    parts = []
    for (group, series), part in frame.groupby(["group", "series"], sort=False):
        at = part[part["knee"]]
        if len(at):
            beyond = "" if at["x"].iloc[0] < part["x"].max() else ", the largest measured, so the knee may lie beyond it"
            parts.append(f"{group}, {series}: {at['x'].iloc[0]:g} members{beyond} ({at['rate'].iloc[0]:,.0f} a second)")
    said = "; ".join(parts)
    draw = partial(throughput_plots.draw_curve, colours=colours, label="member-steps a second")
    return [
        Figure(
            "How many members at once are worth it?",
            lambda: throughput_plots.panels(frame, draw, "group", 3.0, 1.5),
            frame,
            f"Member-steps a second over the number of members in one mapped batch. Knees: {said}.",
            f"Ring: the knee, the fewest members that reach {throughput.KNEE:.0%} of the best rate. {said}.",
        )
    ]


def _costs(table: pd.DataFrame, colours: plots.Colours) -> list[Block]:
    frame = throughput_plots.frame_costs(table)
    if frame.empty:
        return []
    rows: list[list[Cell | str]] = []
    for quantity, part in frame.groupby("quantity", sort=False):
        if len(part) > 1:
            law = throughput.power_law(part["x"], part["seconds"])
            e = law.exponent
            interval = f"[{e.low:.2f}, {e.high:.2f}], n={e.n}" if math.isfinite(e.low) else f"no interval, n={e.n}"
            values = f"{part['x'].min():g} to {part['x'].max():g}"
            rows.append([str(quantity), values, Cell(f"{e.estimate:.2f}", note=interval), law.verdict])
    said = "; ".join(f"{row[0]}: exponent {row[2].text}, {row[3]}" for row in rows if isinstance(row[2], Cell))
    draw = partial(throughput_plots.draw_costs, colour=colours["whole run"])
    return [
        Table(
            "How the time of a whole watched run grows",
            ["quantity", "from, to", "exponent", "verdict"],
            rows,
            "Least squares on logarithms of the median seconds of a run, 95 % Student-t interval; linear: an exponent of at "
            f"most {throughput.LINEAR:g} is shown. Set-up is in the time, so small runs look better than in proportion.",
        ),
        Figure(
            "What does more cost?",
            lambda: throughput_plots.panels(frame, draw, "quantity", 2.6, 1.2),
            frame,
            f"Seconds of a whole run against members, steps and modes on logarithmic axes. {said}.",
            f"Dotted: growth in proportion, from the first point. {said}.",
        ),
    ]


def _requirements(table: pd.DataFrame, colours: plots.Colours) -> Table:
    rows: list[list[Cell | str]] = []
    for row in table.to_dict("records"):
        numbers = [row["start_seconds"], row["compile_seconds"], row["warm_compile_seconds"]]
        rows.append(
            [
                Cell(row["label"], swatch=colours[row["series"]]),
                *(f"{x:.1f}" if x == x else "" for x in numbers),
                f"{row['peak_bytes'] / 1e6:,.0f}" if row["peak_bytes"] == row["peak_bytes"] else "",
                f"{row['cpu_share']:.0%}" if row["cpu_share"] == row["cpu_share"] else "",
            ]
        )
    return Table(
        "Compile seconds and memory",
        ["candidate", "start s", "compile s", "compile s, warm", "peak memory MB", "CPU"],
        rows,
        "Start: from an imported library to the first work done, compiling included. Warm: a second process, which finds what "
        "the compiler left on disk. Memory: the most that was ever resident, over all processes of a candidate, the library "
        "itself included. CPU: CPU seconds a second and thread; with one thread a process, well below 100 % means that other "
        "programs took its core.",
        folded=True,
    )


def _comparison(now: Run, earlier: Sequence[Run]) -> list[Block]:
    if not earlier:
        return []
    then = earlier[-1]
    frame = throughput.compare(now, then)
    if frame.empty:
        return [Text([f"The measurement of {_when(then)} on this machine has no candidate in common with this one."])]
    versions = " and ".join(f"{run.environment['ganlab']} with torch {run.environment['torch']}" for run in (then, now))
    first = frame["group"] == frame["group"].iloc[0]
    header = ["candidate", "then, a second", "now, a second", "ratio", "answer"]
    tables: list[Block] = [
        Table(
            f"Now over then ({_when(then)}), on the same machine",
            header,
            _ratio_rows(frame[first]),
            f"ganlab {versions}. Ratio of geometric means over rounds with Welch's 95 % interval. It knows the scatter within "
            "a measurement only; from one day to the next the plain loop, which no version changes, shows what else moved.",
        )
    ]
    if not first.all():
        tables.append(Table("Now over then, all others", header, _ratio_rows(frame[~first]), folded=True))
    return tables


def _ratio_rows(frame: pd.DataFrame) -> list[list[Cell | str]]:
    rows: list[list[Cell | str]] = []
    for row in frame.to_dict("records"):
        answer = "faster" if row["low"] > 1 else "slower" if row["high"] < 1 else "no difference is shown"
        ratio = Cell(times(row["ratio"]), note=f"[{times(row['low'])}, {times(row['high'])}]")
        rows.append([row["label"], _rate(row["then"]), _rate(row["now"]), ratio, answer])
    return rows


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


# --- how, and what not ---------------------------------------------------------------------------------------------------


def _failures(run: Run) -> list[Block]:
    failed = throughput.failed(run).items()
    rows: list[list[Cell | str]] = [[label, Cell(reason, tone="inconclusive")] for label, reason in failed]
    return [Table(f"{len(rows)} candidates without a number", ["candidate", "reason"], rows)] if rows else []


def _method(run: Run) -> list[str]:
    return [
        "Every candidate is a process of its own, or one a core, that lives through the whole measurement: nothing is set up "
        "or compiled within a block of work.",
        "A block takes at least 200 ms; a shorter one is thrown away and measured again with more work. A device is waited for "
        "once, at the end of a block.",
        f"The candidates of a group take turns, forth and back; the first round is dropped, {run.experiment.steps} are kept. "
        "Work of several processes counts in the time of the slowest.",
        "A member-step is one update of the generator and the discriminator updates before it, of one seed, fresh draws "
        "included; nothing watches, except in whole runs.",
    ]


def _settings(run: Run) -> Table:
    rows: list[list[Cell | str]] = []
    for c in throughput.candidates_of(run.experiment):
        said = "; ".join(f"{name} {_plain(value)}" for name, value in c.settings.items())
        rows.append([c.label, c.loop, said, f"{c.processes} x {c.threads}"])
    return Table("What was measured", ["candidate", "loop", "settings", "processes x threads"], rows, folded=True)


def _plain(value: object) -> str:
    return " x ".join(map(str, value)) if isinstance(value, list) else str(value)


def _environment(run: Run) -> str:
    e, machine = run.environment, run.experiment.settings["machine"]
    device = f", {machine['device']}" if machine["device"] else ""
    return (
        f"Measured {_when(run)}, profile {run.experiment.settings['profile']}: ganlab {e['ganlab']}, torch {e['torch']}, "
        f"Python {e['python']}, numpy {e['numpy']}, {e['system']}, {machine['cpu']}, {machine['cores']} cores{device}; "
        f"{e['seconds']:.0f} seconds in all."
    )
