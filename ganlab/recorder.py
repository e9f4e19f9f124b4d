"""The same probes in somebody else's loop: two lines, and what they see is a `Run` like our own.

    recorder = ganlab.Recorder(generator, discriminator, data=images, latent=64)
    for step, real in enumerate(loader):
        ...                                     # train as ever
        recorder.record(step, real=real, d_loss=d_loss, g_loss=g_loss)

Looking moves nothing (see `borrowed.untouched`), takes a bounded part of the time and bounded memory: when looks become many or
dear, every second one is dropped and the next ones are twice as far apart, so that they stay evenly spaced. What fails in here
is said once, and training goes on.
"""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from ganlab import loop
from ganlab.borrowed import BorrowedGame, in_modes, on_cpu, untouched
from ganlab.diagnoses import Verdicts, undecided, verdicts_of
from ganlab.experiment import Run, at_least
from ganlab.listeners import Listeners, Moment, Sink
from ganlab.look import KEPT, Against, Examples, against, examples_of, latents_of, look, together
from ganlab.looks import Budget, Looks
from ganlab.loop import Check, Finding
from ganlab.probes import WHOLE
from ganlab.recorded_run import Seen, run_of
from ganlab.registry import InputError
from ganlab.store import Store
from ganlab.told import Losses, unlike, whole
from ganlab.train import environment

COST = 0.05
"""Part of the time that looks may take."""

GATHERED = 1000
"""Real samples that `record` is given before they are enough; a perfect sampler held against so few is not flagged."""

BATCH = 64
"""Real samples at once where no batch was seen."""

LOG = logging.getLogger("ganlab")


class Recorder:
    """Watches two nets that somebody else trains, and gives verdicts at any step.

    Parameters
    ----------
    generator, discriminator
        Any modules on any device, also compiled ones or wrapped for several devices. The generator is called with latents, the
        discriminator with samples, and both with the `inputs` of `record` after that.
    data
        What real samples are like: a tensor or array `[n, *shape]`, a tuple of it and the nets' further inputs, a torch dataset
        or loader, or a data distribution of ganlab by name or object, such as "ring8", whose modes are known. None takes the
        first real samples that `record` is given, and looks from then on. Of large data a part is kept, 8 million numbers.
    objective
        What the players minimise, by name (`ganlab list objectives`): which signal the generator gets depends on it.
    latent
        Size of a latent or its shape, then drawn from a standard normal distribution; a function that draws n, or a tensor of
        fixed ones. None reads the size off the first layer.
    every
        Steps between two looks; more when looks are dear or many.
    held_out
        Real samples that training does not see, `[m, *shape]`; with them copying and, without labels, overfitting are judged.
    evaluation
        Samples that each look generates; None takes 1000, more where many modes are known, fewer for large images.
    name, seed
        What the run is called, and which seed it is. Runs that differ in their seed alone can be joined, see `ganlab.repeat`.
    store
        Folder into which `close` writes the run.
    cost
        Part of the time that looks may take, verdicts that are awaited included; the first few looks may take more.
    check
        Whether the loop is looked through for mistakes too, see `ganlab.check`: they are then in `mistakes`, and on the page of
        the run. True watches twenty updates of the generator, a number so many; watched steps are slow.
    sinks
        Functions of step and readings, told at each look; one that fails is left out from then on.
    on_verdict
        Called with all verdicts when one of them changes; left out from then on when it fails.
    stop_when
        Codes of diagnoses, such as "divergence": `record` returns True once one of them is present. What was there from the
        first look on counts after `listeners.LEARNING` looks, divergence at once.
    status
        Whether to keep a line up to date on a terminal, and to print one elsewhere when a verdict changes.

    Raises
    ------
    InputError
        For nets, data or latents that do not fit each other, and for names that are not known. `record`, `verdicts` and
        `close` raise nothing.

    Example
    -------
    >>> generator, discriminator = nn.Linear(4, 2), nn.Linear(2, 1)
    >>> with Recorder(generator, discriminator, data="ring8", every=1, cost=1) as recorder:
    ...     for step in range(3):
    ...         stop = recorder.record(step)
    >>> recorder.run.trace["step"].unique().tolist()
    [0, 1, 2]
    """

    @on_cpu()
    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        data: Any = None,
        objective: str = "non_saturating",
        latent: int | Sequence[int] | Callable[[int], Any] | Tensor | None = None,
        every: int = 100,
        *,
        held_out: Tensor | None = None,
        evaluation: int | None = None,
        name: str = "recorded",
        seed: int = 0,
        store: str | Path | None = None,
        cost: float = COST,
        check: bool | int = False,
        sinks: Sequence[Sink] = (),
        on_verdict: Callable[[Verdicts], None] | None = None,
        stop_when: str | Sequence[str] = (),
        status: bool = False,
    ) -> None:
        at_least("every", every)
        at_least("seed", seed, 0)
        at_least("evaluation", 2 if evaluation is None else evaluation, 2)
        self._listeners = Listeners(name, sinks, on_verdict, [stop_when] if isinstance(stop_when, str) else stop_when, status)
        if not isinstance(cost, int | float) or not 0 < cost <= 1:
            raise InputError(f"cost is the part of the time that looks may take, above 0 and at most 1; got {cost!r}")
        self.name, self.seed = name, seed
        self.fault = ""
        """What failed in here, if anything did; nothing is seen from then on."""
        self.notes: list[str] = []
        """What looks odd about what it was given; on the page of the run, too."""
        draw, n_latents = latents_of(generator, latent, seed)
        self._game, self._latents = BorrowedGame(generator, discriminator, objective, n_latents=n_latents), draw
        self._parts = [part for net in self._game.nets for part in net.module.modules()]
        self._evaluation, self._held_out = evaluation, held_out
        self._store = None if store is None else Store(store)
        self._examples: Examples | None = None
        self._gathered: list[tuple[Tensor, ...]] = []
        self._at: Against | None = None
        if data is not None:
            with untouched():
                self._examples = examples_of(data, held_out)
            against(self._game, self._examples, self._latents, 8, 8, seed)

        self._check: Check | None = None
        self._n_watched = loop.N_STEPS if check is True else check
        if check is not False:
            at_least("check", self._n_watched)
            labelled = isinstance(data, tuple) and len(data) == 2 and loop.batches.classes(torch.as_tensor(data[1])) is not None
            shown = data[0] if isinstance(data, tuple) and not labelled else data if isinstance(data, Tensor | tuple) else None
            self._check = loop.check(generator, discriminator, shown, objective, n_steps=self._n_watched).start()
            weakref.finalize(self, self._check.stop).atexit = False  # no hook outlives the recorder

        self._step, self._looks, self._past = -1, Looks(every), torch.empty(0)
        self._modes: list[bool] = []
        self._losses = Losses()
        self._broken: tuple[int, str] | None = None
        self._finished: Run | None = None
        self._budget = Budget(cost)
        self._n_checked, self._checked = 0, False

    # --- what the loop calls -------------------------------------------------------------------------------------------

    def record(
        self, step: int | None = None, real: Tensor | None = None, *, inputs: Any = (), d_loss: Any = None, g_loss: Any = None
    ) -> bool:
        """Take note of a step that was done, and look if it is time. Raises nothing.

        Parameters
        ----------
        step
            Updates done so far; None, or a number that does not rise, counts calls.
        real
            Real samples of the step, `[batch, *shape]`.
        inputs
            What the nets are called with after latent or sample, such as labels `[batch]`; several in a tuple.
        d_loss, g_loss
            What the players minimised in this step; kept for their curves, and watched for what is not finite.

        Returns
        -------
        bool
            Whether a failure of `stop_when` is present.
        """
        if self.fault:
            return self._listeners.stop
        started = time.perf_counter()
        counted = whole(step)
        self._step = counted if counted is not None and counted > self._step else self._step + 1
        self._budget.begin(self._step, started)
        try:
            self._finished = None
            self._look_through(real, d_loss, g_loss)
            if self._losses.tell(self._step, d_loss, g_loss) and self._read_losses():
                self._judge()
            if self._at is None:
                with torch.inference_mode(False), on_cpu():
                    self._gather(real, inputs)
            if self._at is not None and self._looks.is_due(self._step):
                waited = time.perf_counter()
                _wait_for(self._at.game.device)
                started += time.perf_counter() - waited  # which is the loop's own work, and not ours
                with torch.inference_mode(False), on_cpu():
                    self._look()
                    price = time.perf_counter() - started
                    share = self._listeners.share_of(self._budget.share)
                    self._looks.widen(price, self._budget.spared(self._step, price, share), self._at.real)
                self._judge()
        except Exception as error:  # whatever it is, it is ours and not the user's
            self._stand_aside(error)
        self._budget.spent += time.perf_counter() - started
        return self._listeners.stop

    def verdicts(self) -> Verdicts:
        """Return a verdict for each failure mode on this run so far: all inconclusive before the first look. Raises nothing."""
        with self._budget.booked():
            return self._verdicts()

    def _verdicts(self) -> Verdicts:
        if self._at is None or not self._looks:
            return undecided(self._nothing())
        try:
            with on_cpu():
                return verdicts_of(self._as_run())
        except Exception as error:
            self._stand_aside(error)
            return undecided(self.fault)

    def _judge(self) -> None:
        if self._looks:
            at = Moment(self._step, self._looks.kept[0].step, len(self._looks), self._broken is not None)
            self._listeners.judge(at, self._verdicts, self._budget.share)

    @property
    def run(self) -> Run:
        """What was seen, with a last look at the nets as they are now, and measures of their samples.

        Raises InputError where nothing was seen.
        """
        with self._budget.booked(), on_cpu():
            return self._last()

    def _last(self) -> Run:
        if self._finished is None:
            self._look_last()
            self._finished = self._as_run(at_end=True)
        return self._finished

    def _look_last(self) -> None:
        """Look at the nets as they are now, unless that was done; with what was gathered, where it is not enough yet."""
        try:
            with on_cpu():
                if self._at is None and self._gathered and not self.fault:
                    self._hold(max(2, len(self._gathered[0][0])))
                if self._at is not None and not self.fault and (not self._looks or self._looks.last.step < self._step):
                    with torch.inference_mode(False), in_modes(self._parts, self._modes):
                        self._look()
        except Exception as error:
            self._stand_aside(error)

    def close(self) -> None:
        """Look a last time, and write the run into the store if there is one. Raises nothing."""
        self._end_check()
        self._listeners.close()
        try:
            with self._budget.booked(), on_cpu():
                self._look_last()
                if self._store and self._budget.has_begun and (self._looks or not self.fault):
                    self._store.save(self._last())
        except Exception as error:
            self._stand_aside(error)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _stand_aside(self, error: Exception) -> None:
        self.fault = self.fault or f"{type(error).__name__}: {error}"
        self._end_check()
        LOG.warning("the recorder of %r stands aside at step %s, training goes on: %s", self.name, self._step, self.fault)

    @property
    def mistakes(self) -> list[Finding]:
        """What is wrong with the loop itself, as far as the run's `environment["checked"]` says; empty without `check=True`."""
        return [] if self._check is None else self._check.findings

    def _look_through(self, real: Any, d_loss: Any, g_loss: Any) -> None:
        if self._check is not None and not self._checked:
            self._check.step(self._step, real=real if isinstance(real, Tensor) else None, d_loss=d_loss, g_loss=g_loss)
            self._n_checked += 1
            if self._check.n_steps >= self._n_watched or self._n_checked >= 10 * self._n_watched:  # its updates may not be seen
                self._end_check()

    def _end_check(self) -> None:
        """Remove what watches the loop, and say what was found."""
        if self._check is not None and not self._checked:
            self._checked = True
            self._check.stop()
            for found in self._check.findings:
                LOG.warning("the loop of %r: %s", self.name, found)
            for fault in self._check.faults:
                LOG.warning("the loop of %r is not looked through to the end, training goes on: %s", self.name, fault)

    # --- a step ----------------------------------------------------------------------------------------------------------

    def _gather(self, real: Any, inputs: Any) -> None:
        """Keep real samples, and the inputs that go with them, until they are enough to hold the nets against."""
        if self._examples is None:
            if not isinstance(real, Tensor):
                if self._gathered:  # not every step has some
                    return
                raise InputError("there are no real samples: give data= to the recorder, or real= to record, as a tensor")
            inputs = tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)
            if other := [type(part).__name__ for part in inputs if not isinstance(part, Tensor)]:
                raise InputError(f"inputs= must be tensors [batch, ...] that go with the real samples; got {other[0]}")
            self._gathered.append(tuple(part.detach().cpu().clone() for part in (real, *inputs)))
            gathered = [real for real, *_ in self._gathered]
            if sum(map(len, gathered)) < GATHERED and sum(real.numel() for real in gathered) < KEPT:
                return
        given = self._examples
        self._hold(len(real) if isinstance(real, Tensor) and len(real) > 1 else BATCH)
        if given and self._at is not None and (note := unlike(real, self._at.real)):
            self.notes.append(note)
            LOG.warning("the recorder of %r: %s", self.name, note)

    def _hold(self, batch: int) -> None:
        """Hold the nets against what is there from now on."""
        if self._examples is None:
            joined = [torch.cat(parts) for parts in zip(*self._gathered, strict=True)]
            self._examples, self._gathered = together(*joined, held_out=self._held_out), []
        self._at = against(self._game, self._examples, self._latents, batch, self._evaluation, self.seed)

    def _look(self) -> None:
        assert self._at is not None
        self._modes = [part.training for part in self._parts]
        before = self._looks.last.profile if self._looks else ()
        seen, self._past = look(self._at, self._step, before, self._past)
        self._read_losses()
        for told in list(self._losses.read)[-1:]:
            if told.step == self._step:
                seen.readings.update({
                    (f"{role}_loss", WHOLE): torch.tensor([loss], dtype=torch.float64) for role, loss in told.by_role()
                })  # fmt: skip
        if seen.broken and self._broken is None:
            self._broken = self._step, seen.broken
        self._looks.add(seen)
        self._listeners.tell(seen)

    def _read_losses(self) -> bool:
        """Fetch the losses that wait, and return whether the first was found that is not finite."""
        self._losses.fetch()
        if self._broken is not None or self._losses.broken is None:
            return False
        self._broken = self._losses.broken
        return True

    # --- a run -------------------------------------------------------------------------------------------------------------

    @property
    def cost(self) -> float:
        """The part of the time since the first record that was spent in here."""
        return self._budget.cost

    def _nothing(self) -> str:
        why = f"the recorder failed: {self.fault}" if self.fault else "give data=, or real= to each record, and record"
        return f"nothing was seen of {self.name!r} yet; {why}"

    def _as_run(self, at_end: bool = False) -> Run:
        if self._at is None or not self._looks:
            raise InputError(self._nothing())
        about: dict[str, Any] = {
            "looks": len(self._looks), "every_asked": self._looks.asked, "looks_cost": round(self.cost, 4),
            "fault": self.fault, "notes": list(self.notes), "mistakes": [], "checked": None}  # fmt: skip
        if self._check is not None and at_end:  # judging what was watched takes a while
            about["mistakes"] = [asdict(found) for found in self.mistakes]
            about["checked"] = {"steps": self._check.n_steps, "faults": self._check.faults}
        place = environment(str(self._at.game.device), self._at.game.dtypes[0], "recorded", self._budget.seconds)
        seen = Seen(self._at, self._looks, list(self._losses.read), self._broken, max(1, self._step))
        return run_of(seen, self.name, self.seed, place | about, at_end)


def _wait_for(device: torch.device) -> None:
    """Wait until a device has done what it was told before."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
