"""PyTorch against TensorFlow, and JAX: do they compute the same, how fast, and in how many lines?

What is measured are the scripts of `examples/lecture/14_*.py` themselves: a process each runs one's `build` and `train` on
weights and batches that are the same for all, as in `benchmarks/framework_loops.py`. Keras, which runs on all three, picks its
framework when it is imported. This process imports none of them; without the extra `frameworks` nothing is measured.
"""

from __future__ import annotations

import ast
import hashlib
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import Progress

from benchmarks.framework_loops import EPSILON, LR, MATCHED, SCRIPTS
from ganlab import data, timing, trace
from ganlab.data.images import mnist_is_here
from ganlab.experiment import Experiment, Run, outcome
from ganlab.store import Store
from ganlab.throughput import Candidate, candidates_of
from ganlab.timing import Result
from ganlab.workers import Team

PROGRAMS = {
    "PyTorch": ("14_pytorch.py", "torch"),
    "TensorFlow": ("14_tensorflow.py", "tensorflow"),
    "Keras on PyTorch": ("14_keras.py", "torch"),
    "Keras on TensorFlow": ("14_keras.py", "tensorflow"),
    "Keras on JAX": ("14_keras.py", "jax"),
}
"""The script of each, and the framework that Keras runs on there."""

REFERENCE = "PyTorch"

LEFT_OUT = {"quick": ("TensorFlow",)}
"""Starting TensorFlow takes the most of all, and Keras on TensorFlow has the same losses."""

UPDATES = 100

PROFILES: dict[str, dict[str, int]] = {
    "quick": {"seeds": 3, "rounds": 6},
    "standard": {"seeds": 20, "rounds": 8},
    "full": {"seeds": 20, "rounds": 12},
}
"""Six rounds are the fewest that have a 95 % interval of the median; a seed costs five core-seconds, most of them compiling."""

SOURCES = {
    "adam": "Kingma and Ba 2015", "PyTorch": "Paszke et al. 2019", "TensorFlow": "Abadi et al. 2016",
    "JAX": "Bradbury et al. 2018", "Keras": "Chollet et al. 2015",
}  # fmt: skip

PACKAGES = ("torch", "keras", "tensorflow", "jax")


def installed() -> bool:
    """Return whether the extra is there, without importing it; one framework that is missing is a row with the reason."""
    return find_spec("keras") is not None


def plan(profile: str) -> Experiment:
    """Return the measurement of these scripts on this machine under these versions: change one, and it is measured anew."""
    name = "mnist" if profile != "quick" and mnist_is_here() else "digits"
    p = PROFILES[profile]
    given = {"seeds": list(range(p["seeds"])), "updates": UPDATES, "batch": 128 if name == "mnist" else 32}
    candidates = [
        Candidate(
            label, "frameworks", "benchmarks.framework_loops:loop",
            {"script": script, "backend": backend, "label": label, **given}, "steps", base=REFERENCE, series=label,
        )
        for label, (script, backend) in PROGRAMS.items()
        if label not in LEFT_OUT.get(profile, ())
    ]  # fmt: skip
    texts = {script: (SCRIPTS / script).read_bytes() for script, _ in PROGRAMS.values()}
    settings = {
        "candidates": [asdict(c) for c in candidates], "machine": timing.machine(), "device": "cpu", "epsilon": EPSILON,
        "versions": {package: timing.installed(package) for package in PACKAGES},
        "reference": REFERENCE, "matched": f"{REFERENCE}{MATCHED}",
        "scripts": {script: hashlib.sha256(text).hexdigest()[:16] for script, text in texts.items()}, **given,
    }  # fmt: skip
    return Experiment("frameworks", "mlp", name, tuple(given["seeds"]), p["rounds"], 1, settings, {"lr": (LR,)})


def measure(profile: str, store: Store) -> list[Run]:
    """Return the measurement, from the store if it is there; none without the extra."""
    if not installed():
        return []
    planned = plan(profile)
    if planned in store and store.fault(planned.id) is not None:
        store.remove(planned.id)
    if planned not in store:
        console = Console(stderr=True)
        with Progress(console=console, disable=not console.is_terminal) as progress:
            task = progress.add_task("measuring frameworks", total=1.0)
            store.save(perform(planned, lambda part: progress.advance(task, part)))
    return [store.load(planned.id)]


def perform(experiment: Experiment, progress: Callable[[float], None] | None = None) -> Run:
    """Run every program of an experiment in a process of its own, in turns, and return the run.

    Returns
    -------
    Run
        Trace: that of `ganlab.timing.tidy`, a step being a round; `loss [seed, update]`, in nats, by program, and for
        PyTorch's variants too; `import_seconds` and `first_step_seconds`, which has whatever is compiled. The environment has
        the reason of each program that failed.
    """
    started = time.perf_counter()
    images = data.get(experiment.data)
    with tempfile.TemporaryDirectory(prefix="ganlab-frameworks-", ignore_cleanup_errors=True) as folder:
        given = Path(folder) / "given.npz"
        np.savez(given, pixels=images.train.flatten(1).numpy(), labels=images.train_labels.numpy())

        def employ(candidate: Candidate, cache: str, warm: bool) -> Team:
            return Team(replace(candidate, settings={**candidate.settings, "given": str(given)}), cache, warm)

        results = timing.take_turns(candidates_of(experiment), experiment.steps, progress=progress, employ=employ)
    table = pd.concat([timing.tidy(experiment, results), *_seen(experiment, results)], ignore_index=True)
    environment = timing.environment(experiment, results, time.perf_counter() - started)
    return Run(experiment, trace.check(table), outcome(experiment, {}), {}, environment | {"threads": 1, "sources": SOURCES})


def _seen(experiment: Experiment, results: Mapping[str, Result]) -> list[pd.DataFrame]:
    """Return the trace of what the programs told before they took turns."""
    alive = {label: result.facts for label, result in results.items() if result.blocks}
    losses = {name: found for facts in alive.values() for name, found in facts["losses"].items()}
    if not alive:
        return []
    seeds, updates = experiment.seeds, range(experiment.settings["updates"])
    values = np.array(list(losses.values()), dtype=float).transpose(2, 1, 0)
    once = ("import_seconds", "first_step_seconds")
    seconds = [(name, list(alive), np.array([[[facts[name] for facts in alive.values()]]])) for name in once]
    return [
        trace.tidy(experiment.id, seeds, updates, [("loss", list(losses), values)]),
        trace.tidy(experiment.id, seeds[:1], [0], seconds),
    ]


# --- lines ---------------------------------------------------------------------------------------------------------------


def lines() -> dict[str, tuple[int, int]]:
    """Return, for each program, the lines of code of its net and optimiser, and of its training loop."""
    return {label: counted((SCRIPTS / script).read_text(encoding="utf-8")) for label, (script, _) in PROGRAMS.items()}


def counted(text: str) -> tuple[int, int]:
    """Return the lines of `build`, and of all other functions of a script; without blank ones, comments and docstrings."""
    split = {True: 0, False: 0}
    for function in ast.parse(text).body:
        if isinstance(function, ast.FunctionDef):
            skipped = ast.get_docstring(function) is not None
            begin = min([function.lineno, *(d.lineno for d in function.decorator_list)])
            body = text.splitlines()[begin - 1 : function.end_lineno]
            full = [line for line in body if line.strip() and not line.strip().startswith("#")]
            doc = function.body[0].end_lineno - function.body[0].lineno + 1 if skipped else 0
            split[function.name == "build"] += len(full) - doc
    return split[True], split[False]
