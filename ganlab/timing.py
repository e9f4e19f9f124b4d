"""How things are timed: candidates in processes of their own take turns, in blocks of at least 200 ms.

The candidates of a group take turns in every round, so that what disturbs the machine disturbs all of them; the first
round is dropped. What runs in the processes is in `workers.py`, what the numbers say in `throughput.py`.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import platform
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from ganlab import __version__, throughput, trace
from ganlab.experiment import Experiment, Run, at_least, outcome
from ganlab.registry import InputError
from ganlab.throughput import Candidate, candidates_of
from ganlab.workers import Block, Dead, Team

LEAST_SECONDS = 0.2
"""Length of a block; a shorter one is thrown away and measured again with more work. A clock's tick and one synchronisation
are less than a thousandth of it."""

CPU_FILE = Path("/proc/cpuinfo")
"""Where Linux tells the name of the processor."""


def plan(
    candidates: Sequence[Candidate], *, profile: str, rounds: int, device: str = "cpu", data: str = "ring8", warm: bool = True
) -> Experiment:
    """Return the experiment that measures these candidates here and now; each call is a measurement of its own.

    Parameters
    ----------
    rounds
        Rounds that are kept; one more is run first and dropped.
    warm
        Whether compiled candidates are started a second time, to see what the caches of the compiler are worth.
    """
    at_least("rounds", rounds)
    check(candidates)
    settings = {
        "profile": profile, "device": device, "warm": warm, "machine": machine(device),
        "measured": datetime.now(UTC).isoformat(timespec="microseconds"), "candidates": [asdict(c) for c in candidates],
    }  # fmt: skip
    return Experiment("throughput", "throughput", data, (0,), rounds, 1, json.loads(json.dumps(settings)))


def check(candidates: Sequence[Candidate]) -> None:
    """Raise InputError unless labels are unique, and each is compared with candidates of its own group."""
    labels = [c.label for c in candidates]
    if twice := sorted({label for label in labels if labels.count(label) > 1}):
        raise InputError(f"each candidate needs a label of its own; there twice: {', '.join(twice)}")
    groups = {c.label: c.group for c in candidates}
    for c in candidates:
        for other in filter(None, (c.base, c.limit)):
            if groups.get(other) != c.group:
                raise InputError(
                    f"candidate {c.label!r} is compared with {other!r}, which does not take turns with it: the group "
                    f"{c.group!r} has {', '.join(label for label, group in groups.items() if group == c.group)}"
                )


def perform(experiment: Experiment, tick: Callable[[float], None] | None = None) -> Run:
    """Measure every candidate of an experiment, group by group, and return the run.

    Returns
    -------
    Run
        Trace, a step being a round and the index a candidate: `<unit>_per_second`, on the wall clock, and on a GPU
        `device_<unit>_per_second`, on its own; `cpu_share`, CPU seconds a thread and second; `share_of_limit`. At step 0:
        `flops_per_<unit>`; `start_seconds` from the start of a candidate to its first work done; of those seconds
        `compile_seconds`, and `warm_compile_seconds` when the compiler finds its caches filled; `peak_bytes` over all
        processes. The environment has the reason of each candidate that failed.
    """
    started = time.perf_counter()
    groups: dict[str, list[Candidate]] = {}
    for c in candidates_of(experiment):
        groups.setdefault(c.group, []).append(c)
    results: dict[str, Result] = {}
    for group in groups.values():
        progress = (lambda part: tick(part * experiment.steps / len(groups))) if tick else None
        results |= take_turns(group, experiment.steps, warm=experiment.settings["warm"], progress=progress)
    found = environment(experiment, results, time.perf_counter() - started)
    return Run(experiment, tidy(experiment, results), outcome(experiment, {}), {}, found)


def environment(experiment: Experiment, results: Mapping[str, Result], seconds: float) -> dict[str, Any]:
    """Return versions, machine and time of a measurement, and the reason of each candidate that failed."""
    return {
        "ganlab": __version__, "python": platform.python_version(), "system": platform.system(), "dtype": "float32",
        "torch": installed("torch"), "numpy": np.__version__, "engine": "throughput", "threads": os.cpu_count(),
        "cores": os.cpu_count(), "device": experiment.settings["device"],
        "device_name": experiment.settings["machine"]["device"] or experiment.settings["machine"]["cpu"],
        "seconds": round(seconds, 3), "failed": {n: r.failed for n, r in results.items() if r.failed},
    }  # fmt: skip


# --- blocks --------------------------------------------------------------------------------------------------------------


def long_enough(run: Callable[[int], Block], pieces: int = 1, least: float = LEAST_SECONDS) -> tuple[Block, int]:
    """Return a block of at least `least` seconds, and the pieces of work it took; shorter ones are thrown away.

    Parameters
    ----------
    run
        Does so many pieces of work and returns their block.
    pieces
        Where to start.
    """
    while (block := run(pieces)).seconds < least:
        wanted = 1.2 * least / max(block.seconds, least / 100) * pieces  # a fifth more, so that the next one is long enough
        pieces = max(pieces + 1, math.ceil(wanted))
    return block, pieces


@dataclass
class Result:
    """What is known of a candidate: a block a round, facts (seconds to start, FLOPs, bytes), or why it failed."""

    blocks: list[Block] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    failed: str = ""


class Measurable(Protocol):
    """What can take its turn: it starts, runs blocks, and is closed."""

    facts: dict[str, Any]

    def start(self) -> None: ...
    def run(self, pieces: int) -> Block: ...
    def close(self) -> None: ...


def take_turns(
    candidates: Sequence[Candidate], rounds: int, *, least: float = LEAST_SECONDS, warm: bool = False,
    progress: Callable[[float], None] | None = None, employ: Callable[[Candidate, str, bool], Measurable] | None = None,
) -> dict[str, Result]:  # fmt: skip
    """Return each candidate's blocks, a round after the other, the first round dropped; a dead one is a result with a reason.

    Every second round goes backwards, so that none always follows the same one.

    Parameters
    ----------
    progress
        Told the part of this work done since it was last told.
    employ
        Makes the workers of a candidate; None takes processes.
    """
    results = {c.label: Result() for c in candidates}
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ganlab-compiled-", ignore_cleanup_errors=True))
        teams = {c.label: (employ or Team)(c, str(Path(folder) / str(i)), warm) for i, c in enumerate(candidates)}
        for team in teams.values():
            stack.callback(team.close)
        pieces = {label: _started(team, results[label], least) for label, team in teams.items()}
        for number in range(rounds + 1):
            for label in teams if number % 2 else reversed(teams):
                if not results[label].failed:
                    pieces[label] = _turn(teams[label], results[label], pieces[label], least, number)
            if progress:
                progress(1 / (rounds + 1))
    return results


def _started(team: Measurable, result: Result, least: float) -> int:
    """Start a candidate and return the pieces of work of a block; a dead one becomes a result with a reason."""
    try:
        team.start()
        return long_enough(team.run, least=least)[1]
    except Dead as error:
        result.failed = str(error)
        team.close()
        return 0


def _turn(team: Measurable, result: Result, pieces: int, least: float, number: int) -> int:
    """Run one block, keep it unless this is round 0, and return the pieces of the next one."""
    try:
        block, pieces = long_enough(team.run, pieces, least)
    except Dead as error:
        result.blocks, result.failed = [], f"in round {number}: {error}"
        team.close()
        return 0
    if number:
        result.blocks.append(block)
    result.facts = team.facts
    return pieces


# --- what is kept --------------------------------------------------------------------------------------------------------


def tidy(experiment: Experiment, results: Mapping[str, Result]) -> pd.DataFrame:
    """Return the trace of all that was measured."""
    alive = [c for c in candidates_of(experiment) if results[c.label].blocks]
    if not alive:
        return pd.DataFrame(columns=list(trace.COLUMNS))
    rates = {c.label: [b.units / b.seconds for b in results[c.label].blocks] for c in alive}
    rounds: list[tuple[str, str, list[float]]] = []
    single: list[tuple[str, str, list[float]]] = []
    for c in alive:
        blocks, facts = results[c.label].blocks, results[c.label].facts
        rounds.append((f"{c.unit}_per_second", c.label, rates[c.label]))
        if all(b.device_seconds for b in blocks):
            rounds.append((f"device_{c.unit}_per_second", c.label, [b.units / b.device_seconds for b in blocks]))
        rounds.append(("cpu_share", c.label, [b.cpu_seconds / b.seconds / c.threads / c.processes for b in blocks]))
        if c.limit in rates:
            rounds.append(("share_of_limit", c.label, [a / b for a, b in zip(rates[c.label], rates[c.limit], strict=True)]))
        facts = {f"flops_per_{c.unit}": _flops(c, results), **facts}
        names = (f"flops_per_{c.unit}", *throughput.ONCE)
        single += [(name, c.label, [float(facts[name])]) for name in names if facts.get(name) is not None]
    parts = []
    for steps, rows in ((range(experiment.steps), rounds), (range(1), single)):
        for name in dict.fromkeys(row[0] for row in rows):
            labels = [label for what, label, _ in rows if what == name]
            values = np.array([values for what, _, values in rows if what == name]).T[:, None]
            parts.append(trace.tidy(experiment.id, [0], steps, [(name, labels, values)]))
    return trace.check(pd.concat(parts, ignore_index=True))


def _flops(c: Candidate, results: Mapping[str, Result]) -> float | None:
    """Return what a candidate counted itself, or else what the one it is compared with did: the same work."""
    own = results[c.label].facts.get("flops")
    return results[c.base].facts.get("flops") if own is None and c.base in results else own


# --- the machine ---------------------------------------------------------------------------------------------------------


def machine(device: str = "cpu") -> dict[str, Any]:
    """Return what timings depend on and cannot be changed by installing software: processor, cores, device."""
    name = ""
    if device.startswith("cuda"):
        name = importlib.import_module("torch").cuda.get_device_name(device)
    return {"cpu": cpu_name(), "cores": os.cpu_count(), "system": platform.system(), "device": name}


def cpu_name() -> str:
    """Return the processor's model name."""
    try:
        lines = CPU_FILE.read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def installed(package: str) -> str:
    """Return the version of a package, or "not installed"."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
