"""Who is told while somebody else's loop trains: sinks, a callback, a status line, and the loop itself when it should stop."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from rich.console import Console
from rich.control import Control
from rich.segment import ControlType

from ganlab.borrowed import as_the_user
from ganlab.diagnoses import DIAGNOSES, Verdicts
from ganlab.look import Look

LOG = logging.getLogger("ganlab")

Sink = Callable[[int, Mapping[str, float]], None]
"""Told the step and what was read at each look, by name."""

LEARNING = 20
"""Looks in which a generator may learn: what was wrong from the first look on stops no loop before, since every untrained
generator lacks spread."""


class Moment(NamedTuple):
    """How far a recorder is when verdicts are worked out."""

    step: int
    first: int
    """Step of the first look."""
    n_looks: int
    broken: bool
    """Whether something was not finite."""


class Listeners:
    """Those of one recorder; one that fails is told no more, and nothing else happens.

    Raises InputError for a diagnosis in `stop_when` that is not known.
    """

    def __init__(
        self, name: str, sinks: Sequence[Sink], on_verdict: Callable[[Verdicts], None] | None, stop_when: Sequence[str],
        status: bool,
    ) -> None:  # fmt: skip
        for code in stop_when:
            DIAGNOSES.entry(code)
        self._name, self._sinks, self._on_verdict, self._status = name, list(sinks), on_verdict, status
        self._stop_when = stop_when
        self._console = Console(stderr=True)
        self._at, self._after, self._alarmed = 0, 0.0, False
        self._said, self._line, self._open = "", "", False
        self.stop = False
        """Whether a failure of `stop_when` was present."""

    @property
    def _await_verdicts(self) -> bool:
        return bool(self._on_verdict or self._stop_when or self._status)

    def share_of(self, cost: float) -> float:
        """Return the part of the time that looks may take: half of the cost where the other half is for verdicts."""
        return cost / 2 if self._await_verdicts else cost

    def tell(self, seen: Look) -> None:
        """Tell the sinks what was read."""
        if not self._sinks:
            return
        named = {
            f"{name}/{part}" if part else name: float(value)
            for (name, parts), values in seen.readings.items()
            for part, value in zip(parts, values, strict=True)
        }
        for sink in list(self._sinks):
            try:
                with as_the_user():
                    sink(seen.step, named)
            except Exception as error:  # the recorder goes on without it
                self._sinks.remove(sink)
                LOG.warning("a sink of the recorder of %r fails and is told no more: %r", self._name, error)

    def judge(self, at: Moment, verdicts_now: Callable[[], Verdicts], cost: float) -> None:
        """Work out verdicts where somebody waits for them, each time a tenth later, or later where they are dear.

        What is not finite is told at once.
        """
        began = time.perf_counter()
        if not self._await_verdicts:
            return
        alarmed = at.broken and not self._alarmed
        if not alarmed and (at.step < self._at or began < self._after):
            self._show(at.step)
            return
        self._at, self._alarmed = at.step + at.step // 10, at.broken
        verdicts, before = verdicts_now(), self._said
        self._said, self._line = verdicts.named(), verdicts.line()
        for one in verdicts.present:
            late = one.onset > at.first or at.n_looks >= LEARNING
            self.stop = self.stop or (one.code in self._stop_when and (late or one.code == "divergence"))
        changed = self._said != before
        self._show(at.step, changed)
        if self._on_verdict and changed:
            try:
                with as_the_user():
                    self._on_verdict(verdicts)
            except Exception as error:  # the recorder goes on without it
                self._on_verdict = None
                LOG.warning("on_verdict of the recorder of %r fails and is called no more: %r", self._name, error)
        now, share = time.perf_counter(), self.share_of(cost)
        self._after = now if cost == 1 else now + (now - began) * (1 - share) / share

    def _show(self, step: int, changed: bool = False) -> None:
        """Keep one line up to date on a terminal; elsewhere print one where a verdict changed."""
        if not self._status or not (changed or self._console.is_terminal):
            return
        line = f"step {step:,}: {self._line}"
        try:
            if self._console.is_terminal:
                self._console.control(Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2)))
                line, end = line[: self._console.width - 1], ""
                self._open = True
            else:
                end = "\n"
            self._console.print(line, end=end, markup=False, highlight=False, soft_wrap=True)
        except (OSError, ValueError) as error:  # the terminal is gone
            self._status = False
            LOG.warning("the status of the recorder of %r is shown no more: %r", self._name, error)

    def close(self) -> None:
        """Leave the line of the terminal for whoever prints next."""
        if self._status and self._open:
            self._open = False
            with suppress(OSError, ValueError):
                self._console.print()
