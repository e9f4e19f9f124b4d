"""A linter for somebody's own two-player training loop: `check` watches a few steps, and says what is wrong with them.

It only looks. What is watched is in `watching`, what was seen in `record`, and a rule for each mistake in `updates`, `modules`,
`losses` and `samples`. What cannot be seen is not reported.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
from rich.table import Table
from torch import Tensor, nn

from ganlab.loop import batches, watching
from ganlab.loop.record import Player, Record
from ganlab.loop.rules import Finding, judge
from ganlab.objectives import OBJECTIVES
from ganlab.registry import InputError

N_STEPS = 20
"""Habits of a loop show in a few steps; watching costs time in each."""


class Check:
    """What was found in a training loop; made by `check`.

    Iterable and printable; empty for a loop in which nothing was found. `faults` has what failed in here, which never
    reaches the loop: after a fault nothing more is watched.
    """

    def __init__(self, nets: dict[Player, nn.Module], known: batches.Known | None, objective: str, n_steps: int | None) -> None:
        self._record = Record(objective, data=None if known is None else batches.values(known.x))
        self._watch = watching.Watch(nets, self._record, known, n_steps)

    def start(self) -> Check:
        """Begin to watch, and return this."""
        self._watch.start()
        return self

    def stop(self) -> None:
        """Remove all hooks; as often as you like."""
        self._watch.stop()

    def __enter__(self) -> Check:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def step(self, step: int, *, real: Tensor | None = None, d_loss: Any = None, g_loss: Any = None) -> None:
        """Note that a step is over, and what the loop knows of it; steps are otherwise counted by the generator's updates.

        Parameters
        ----------
        step
            The loop's own number of the step.
        real
            The real batch as it came from the data; not needed.
        d_loss, g_loss
            The losses, tensors or numbers.
        """
        self._watch.tell(step, {"d_loss": d_loss, "g_loss": g_loss}, real)

    @property
    def findings(self) -> list[Finding]:
        """What was found up to now, in the order of the codes."""
        found, _ = judge(self._record)
        return found

    @property
    def faults(self) -> list[str]:
        """What failed in here: not a word about the loop."""
        return [*self._record.faults, *judge(self._record)[1]]

    @property
    def n_steps(self) -> int:
        """How many steps were watched: updates of the generator."""
        return self._record.step

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def __bool__(self) -> bool:
        return True

    def frame(self) -> pd.DataFrame:
        """Return one row a finding: code, title, where, step, evidence, cause, fix."""
        names = ["code", "title", "where", "step", "evidence", "cause", "fix"]
        return pd.DataFrame([{name: getattr(f, name) for name in names} for f in self.findings], columns=names)

    def __str__(self) -> str:
        found = self.findings
        seen = (
            f"{self.n_steps} steps, {len(self._record.passes)} backward passes and {len(self._record.updates)} updates watched"
        )
        lines = [f"{len(found)} findings; {seen}" if found else f"nothing found; {seen}", *(str(f) for f in found)]
        return "\n".join([*lines, *(f"not judged, a fault of the check itself: {fault}" for fault in self.faults)])

    def __rich__(self) -> Table:
        table = Table("code", "what", "where", "since", "evidence", "fix", title=str(self).partition("\n")[0])
        for f in self.findings:
            table.add_row(f.code, f.title, f.where, str(f.step), f.evidence, f.fix)
        return table


def check(
    generator: nn.Module,
    discriminator: nn.Module,
    data: Any = None,
    objective: str = "non_saturating",
    *,
    n_steps: int | None = N_STEPS,
) -> Check:
    """Return a watcher of a training loop, for `with`: afterwards it has the mistakes that it saw, as `findings`.

    The loop stays as it is; parameters, gradients, buffers, modes and random streams stay bit for bit what they would be.

    Parameters
    ----------
    generator, discriminator
        The nets that the loop calls; the outermost modules where they are wrapped.
    data
        The data as the discriminator should see them, `[n, *sample]`, or `(x, y)` with labels. Not needed; without them it is
        not known whether labels belong to their samples, nor whether samples are rounded.
    objective
        Name of the loop's objective (`ganlab list objectives`); it matters for critics, whose scores must not be bounded.
    n_steps
        Updates of the generator that are watched; None for all of them until the end.

    Raises
    ------
    InputError
        When a net is no module or both are one, the objective is not known, or the data have no samples.

    Example
    -------
    >>> import torch, ganlab
    >>> g, d = torch.nn.Linear(2, 2), torch.nn.Linear(2, 1)
    >>> with ganlab.check(g, d) as seen:
    ...     pass  # some steps of your training loop
    >>> print(seen)
    nothing found; 0 steps, 0 backward passes and 0 updates watched
    """
    for role, net in (("generator", generator), ("discriminator", discriminator)):
        if not isinstance(net, nn.Module):
            raise InputError(f"the {role} must be the nn.Module that the loop calls; got {net!r:.80}")
    if generator is discriminator:
        raise InputError("generator and discriminator are one and the same module; pass both nets")
    OBJECTIVES.entry(objective)
    if n_steps is not None and (isinstance(n_steps, bool) or not isinstance(n_steps, int) or n_steps < 1):
        raise InputError(f"n_steps must be a whole number of at least 1, or None for all steps; got {n_steps!r}")
    known = None if data is None else batches.Known(data)
    return Check({"generator": generator, "discriminator": discriminator}, known, objective, n_steps)


__all__ = ["Check", "Finding", "check"]

# Each registers its rules, in the order of their codes.
# isort: off
from ganlab.loop import updates, modules, losses, samples  # noqa: E402, F401
