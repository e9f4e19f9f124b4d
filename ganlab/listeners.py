"""Who is told while somebody else's loop trains: sinks, a callback, a status line, and the loop itself when it should stop."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence

from rich.console import Console

from ganlab.borrowed import as_the_user
from ganlab.diagnoses import DIAGNOSES, Verdicts
from ganlab.look import Look

LOG = logging.getLogger("ganlab")

Sink = Callable[[int, Mapping[str, float]], None]
"""Told the step and what was read at each look, by name."""


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
        self._at, self._after, self._said = 0, 0.0, ""
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

    def judge(self, step: int, verdicts_now: Callable[[], Verdicts], cost: float) -> None:
        """Work out verdicts where somebody waits for them, each time a tenth later, or later where they are dear."""
        began = time.perf_counter()
        if not self._await_verdicts or step < self._at or began < self._after:
            return
        self._at = step + step // 10
        verdicts = verdicts_now()
        self.stop = self.stop or any(verdicts[code].verdict == "present" for code in self._stop_when)
        said = verdicts.named()
        if self._status and (self._console.is_terminal or said != self._said):
            end = "\r" if self._console.is_terminal else "\n"
            try:
                self._console.print(f"step {step:,}: {verdicts.line()}", end=end, markup=False, highlight=False)
            except (OSError, ValueError) as error:  # the terminal is gone
                self._status = False
                LOG.warning("the status of the recorder of %r is shown no more: %r", self._name, error)
        if self._on_verdict and said != self._said:
            try:
                with as_the_user():
                    self._on_verdict(verdicts)
            except Exception as error:  # the recorder goes on without it
                self._on_verdict = None
                LOG.warning("on_verdict of the recorder of %r fails and is called no more: %r", self._name, error)
        self._said = said
        now, share = time.perf_counter(), self.share_of(cost)
        self._after = now if cost == 1 else now + (now - began) * (1 - share) / share
