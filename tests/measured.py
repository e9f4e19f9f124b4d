"""Measurements of throughput that are made up, so that what is said of them can be checked by head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ganlab import timing
from ganlab.experiment import Run, outcome
from ganlab.throughput import Candidate
from ganlab.timing import Result
from ganlab.workers import Block

WOBBLE = (1.0, 1.1, 0.9, 1.05, 0.95, 1.02)
"""What disturbs all candidates of a round alike; its median is 1.01."""

PLAIN = Candidate("ring8: plain loop", "ring8", "x:y", {"batch": 256}, threads=2, base="ring8: plain loop", series="plain loop")
MEMBERS = Candidate("members: plain", "members", "x:y", threads=2, series="plain loop", base="members: plain")
IMAGES = Candidate("images: lecture", "images", "x:y", {}, "images", 2, base="images: lecture", series="plain loop")
STEPS = Candidate("", "cost of steps", "x:y", {}, "runs", 2, series="whole run", axis="steps")
COMPILED = {"members": 16, "compiled": True}

RATES: list[tuple[Candidate, float]] = [
    (PLAIN, 400),
    (replace(PLAIN, label="ring8: plain loops, one a core", threads=1, processes=2), 600),
    (replace(PLAIN, label="ring8: mapped", series="mapped", limit="ring8: products"), 800),
    (
        replace(
            PLAIN, label="ring8: mapped, compiled", settings=COMPILED, series="mapped, compiled", limit="ring8: products"
        ),
        1200,
    ),
    (replace(PLAIN, label="ring8: bfloat16", settings={"precision": "bfloat16"}, series="mapped, compiled"), 2000),
    (replace(PLAIN, label="ring8: products", series="matrix products", limit="ring8: products"), 1600),
    (replace(PLAIN, label="ring8: peer", series="another library"), 0),
    *(
        (replace(MEMBERS, label=f"members: {n}", series="mapped", axis="members", x=n), rate)
        for n, rate in ((1, 200), (2, 390), (4, 700), (8, 950), (16, 1000))
    ),
    (MEMBERS, 400),
    *(
        (replace(STEPS, label=f"cost of steps: {n}", x=n), 100 / n * wobble)
        for n, wobble in ((64, 1.0), (128, 1.01), (256, 0.99), (512, 1.0))
    ),
    (IMAGES, 7000),
    (replace(IMAGES, label="images: ours", series="ganlab.supervised"), 28000),
]  # fmt: skip
"""Candidates and their units a second; 0 is one that failed."""


def run_of(
    rates: Sequence[tuple[Candidate, float]] = RATES, *, factor: float = 1.0, machine: Mapping[str, Any] | None = None,
    measured: str = "2026-01-02T03:04:05.000000+00:00", wobble: Sequence[float] = WOBBLE,
) -> Run:  # fmt: skip
    """Return the run of a measurement with these rates, all of them times `factor`."""
    planned = timing.plan([c for c, _ in rates], profile="made up", rounds=len(wobble))
    this = {"cpu": "a processor", "cores": 2, "system": "Linux", "device": ""}
    planned = replace(planned, settings={**planned.settings, "machine": {**this, **(machine or {})}, "measured": measured})
    results = {}
    for c, rate in rates:
        facts = {"start_seconds": 2.0, "peak_bytes": 5e8}
        facts |= {"compile_seconds": 14.0, "warm_compile_seconds": 3.0} if c.settings.get("compiled") else {}
        facts |= {"flops": 102.9e6} if c.series == "plain loop" else {}
        blocks = [Block(factor * rate * w, 1.0, 0.0, 0.98 * c.threads * c.processes) for w in wobble]
        results[c.label] = Result(blocks, facts) if rate else Result(failed="no_such_package is not installed")
    environment = {
        "ganlab": "0", "torch": "0", "python": "3", "numpy": "2", "system": "Linux", "seconds": 12.0,
        "failed": {name: result.failed for name, result in results.items() if result.failed},
    }  # fmt: skip
    return Run(planned, timing.tidy(planned, results), outcome(planned, {}), {}, environment)
