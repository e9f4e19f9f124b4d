"""The rules' registry, what a finding is, and how a record is judged.

A rule is a function of a `Record` that yields what it found; each kind of mistake has a file: `updates`, `modules`, `losses`,
`samples`. A rule says nothing without evidence, since a false alarm in a sound loop costs more trust than a miss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ganlab.loop.record import Record
from ganlab.registry import Registry


class Found(NamedTuple):
    """What a rule found: the first step at which it was seen, where, and the numbers."""

    step: int
    where: str
    evidence: str


Rule = Callable[[Record], Iterator[Found]]
RULES: Registry[Rule] = Registry("loop rule")
"""By code. Each is registered with the facts `title`, `cause` and `fix`, texts for people."""

ENOUGH = 3
"""A habit of the loop is seen so many times before it is called one."""


@dataclass(frozen=True)
class Finding:
    """One mistake of a training loop.

    `code` is stable ("L103"); `step` is the first step at which it was seen, counted in updates of the generator from 0.
    """

    code: str
    title: str
    evidence: str
    cause: str
    fix: str
    where: str
    step: int

    def __str__(self) -> str:
        return (f"{self.code} {self.title} ({self.where}, since step {self.step})\n  evidence: {self.evidence}\n"
                f"  cause: {self.cause}\n  fix: {self.fix}")  # fmt: skip


def judge(record: Record) -> tuple[list[Finding], list[str]]:
    """Return what the rules find in a record, and which rules failed at it."""
    findings, faults = [], []
    for entry in RULES.entries():
        try:
            found = list(entry.thing(record))
        except Exception as error:  # a rule's fault is not one of the loop
            faults.append(f"{entry.name}: {type(error).__name__}: {error}")
            continue
        for step, where, evidence in found:
            texts = {name: entry.facts[name] for name in ("title", "cause", "fix")}
            findings.append(Finding(entry.name, where=where, step=step, evidence=evidence, **texts))
    return findings, faults


def share(part: int, whole: int) -> str:
    """Return a share in words.

    Example
    -------
    >>> share(3, 4)
    '3 of 4'
    """
    return f"{part} of {whole}"
