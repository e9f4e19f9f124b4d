"""Watching members: what the probes are shown, from the evaluation stream, and what they read off it.

The probes are in `probes.py`; when they look is decided in `train.py`, which maps the functions here over members.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from ganlab import probes, profiles, rng, rotation, trace
from ganlab.draws import pairs
from ganlab.engine import stack
from ganlab.experiment import Experiment, Member
from ganlab.game import Batch, Game, State
from ganlab.measures import measure_all
from ganlab.metrics import cells_of, copied_share, nearest_neighbour_test
from ganlab.metrics.cells import LEAST, WIDE, narrowed, reference_of
from ganlab.metrics.judge import judge_of
from ganlab.optim import Numbers
from ganlab.probes import WHOLE

COMPARED = 1000
"""Samples looked at once, at the end: those whose distances to all training data are taken, and those that show how the game
turns."""

REFERENCE = 5000
"""Real samples from which cells are made where no modes are known, the same for all seeds; half of them measure the shares. Of
given points none is taken twice, so there may be fewer."""

AT_ONCE = 2_000_000
"""Numbers of wide samples that are held at once."""


class Looks(NamedTuple):
    """What the probes look at, from the evaluation stream: the same at every look."""

    batch: Batch
    """One update's draws."""
    latent: Tensor
    """Latents of the evaluation samples."""
    real: Tensor
    """Real samples to measure them against."""
    held_out: Any = ()
    """As many that training does not see; () where every real sample is a fresh one."""
    cells: Any = ()
    """Cells of the data, see `ganlab.metrics.cells`; () where modes are known."""


@dataclass(frozen=True)
class Samples:
    """What probes of samples read: those of one member, whoever made them, and what they are held against, as in `View`."""

    data: Any
    fake: Tensor
    real: Tensor
    before: Any = ()
    cells: Any = ()

    @cached_property
    def profile(self) -> Tensor:
        return profiles.profile(self.fake[: len(self.real)])


def evaluation(game: Game, data: Any, members: Sequence[Member], batch: int, n: int, device: str = "cpu") -> Looks:
    """Return what the probes look at, leaves `[member, ...]`."""
    cells = cells_in_place_of_modes(data, n, device)

    def draw(member: Member) -> Looks:
        generator = rng.stream(member.seed, "evaluation", device)
        real, latent = pairs(game, data, max(n, batch), generator, generator, generator)
        noise = rng.uniform(game.noise_shape(batch, data.shape), generator)
        jitter = rng.normal((2, batch, *data.shape), generator) if game.perturbed else ()
        real, first = real[: min(n, trace.SLICED)], real[:batch]
        held = data.held_out(len(real), generator) if probes.has_held_out(data) else ()
        return Looks(Batch(first, latent[:batch], noise, jitter), latent[:n], real, held, cells)

    stacked: Looks = stack([draw(member) for member in members])
    return stacked


def cells_in_place_of_modes(data: Any, n: int, device: str = "cpu") -> Any:
    """Return cells of the data for n evaluation samples; () where modes are known, or samples on either side are too few."""
    if probes.has_modes(data) or n < 2 * LEAST:
        return ()
    real = reference_of(_references(data, rng.stream(0, "reference", device)))
    of = min(REFERENCE, len(data.points)) if hasattr(data, "distinct") else REFERENCE
    return cells_of(real, n) if 2 * len(real.x) > of and len(real.x) >= 2 * LEAST else ()


def _references(data: Any, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield real samples on the CPU, wide ones in parts; of given points none twice."""
    numbers = math.prod(data.shape)
    size = REFERENCE if numbers <= WIDE else max(64, AT_ONCE // numbers)
    if hasattr(data, "distinct"):
        yield from data.distinct(REFERENCE, generator).cpu().split(size)
    else:
        yield from (data.sample(min(size, REFERENCE - i), generator).cpu() for i in range(0, REFERENCE, size))


def look_at_players(
    game: Game, data: Any, state: State, looks: Looks, numbers: Numbers, past: Any = ()
) -> tuple[dict[Any, Tensor], Tensor]:  # fmt: skip
    """Return the readings of one member's play, and the fakes to be remembered, which are `past` next time."""
    view = _view(game, data, state, looks, numbers, past=past)
    return readings_of(view, "players"), view.remembered


def look_at_samples(
    game: Game, data: Any, state: State, looks: Looks, numbers: Numbers, before: Any = ()
) -> tuple[dict[Any, Tensor], Tensor, Tensor]:  # fmt: skip
    """Return the readings of one member's evaluation samples, the samples, and their profile, which is `before` next time."""
    view = _view(game, data, state, looks, numbers, before)
    return readings_of(view, "samples"), view.fake, view.profile


def _view(
    game: Game, data: Any, state: State, looks: Looks, numbers: Numbers, before: Any = (), past: Any = ()
) -> probes.View:  # fmt: skip
    batch, latent, real, held_out, cells = looks
    return probes.View(game, state, batch, latent, numbers, data, real, held_out, before, cells, past)


def at_end(data: Any, looks: Looks, fake: Tensor, members: Sequence[Member], device: str = "cpu") -> dict[Any, Tensor]:
    """Return what is read once, off the last samples `[member, n, *shape]`: measures, and whether training data are copied."""
    readings = measure_all(data, looks.real, fake, device)
    return readings | (copying(data, fake, members) if probes.has_held_out(data) else {})


def obedience(data: Any, latent: Tensor, fake: Tensor) -> dict[Any, Tensor]:
    """Return the share of each member's samples `[member, n, *shape]` that a judge takes for the class asked for, by class.

    The judge (`ganlab.metrics.judge`) knows the data's training images. A class that was not asked for, or samples that are not
    finite, have no share. Read as GAN-test: Shmelkov, Schmid and Alahari 2018.
    """
    tell, shares = judge_of(data), []
    for samples, asked in zip(fake, asked_classes(data, latent), strict=True):
        right = (tell(samples) == asked).double()
        right = right if bool(torch.isfinite(samples).all()) else torch.full_like(right, torch.nan)
        shares.append(torch.stack([right[asked == label].mean() for label in range(data.n_classes)]))
    return {("asked_class_share", tuple(str(label) for label in range(data.n_classes))): torch.stack(shares)}


def asked_classes(data: Any, latent: Tensor) -> Tensor:
    """Return the classes that latents `[member, n, latent + class]` ask for, `[member, n]`."""
    return latent[..., -data.n_classes :].argmax(-1)


def look_at_average(game: Game, average: Tensor, looks: Looks) -> dict[Any, Tensor]:
    """Return how far the samples of one member's average generator are from real ones."""
    fake = game.generate(average, looks.latent[: len(looks.real)])
    return {("distance_of_average", WHOLE): profiles.distance(profiles.profile(fake), looks.real)[None]}


def copying(data: Any, fake: Tensor, members: Sequence[Member]) -> dict[Any, Tensor]:
    """Return how close each member's samples `[member, n, *shape]` are to training data, beside data held out from it."""
    found: dict[Any, list[float]] = {("copying_z", WHOLE): [], ("copied_share", WHOLE): []}
    seen, n = _compared(data.training), COMPARED if math.prod(data.shape) <= WIDE else min(COMPARED, fake.shape[1])
    for samples, member in zip(fake[:, :COMPARED].float().cpu(), members, strict=True):
        samples = _compared(samples)
        fresh = _compared(data.held_out(n, rng.stream(member.seed, "evaluation")))
        test = nearest_neighbour_test(seen, fresh, samples, rng.stream(member.seed, "evaluation"))
        found["copying_z", WHOLE].append(test.z)
        found["copied_share", WHOLE].append(copied_share(seen, fresh, samples))
    return {key: torch.tensor(values)[:, None] for key, values in found.items()}


def _compared(samples: Tensor) -> Tensor:
    """Return samples `[n, *shape]` on the CPU, flat, and wide ones narrowed."""
    flat = samples.flatten(1).cpu()
    return flat if flat.shape[1] <= WIDE else narrowed(flat, torch.ones(flat.shape[1]))


def turning(
    game: Game, data: Any, early: State, late: State, numbers: Numbers, members: Sequence[Member], n: int, device: str
) -> tuple[dict[Any, Tensor], dict[str, Any]]:
    """Return how each member's game turns at the end of its run, as readings and as arrays, see `ganlab.rotation.turning`.

    On `n` samples from the evaluation stream, at most `COMPARED`: the more, the less the gradient is that of the dice.
    """
    n = max(1, min(n, COMPARED) // game.packing) * game.packing
    batches = evaluation(game, data, members, n, n, device).batch
    found = []
    for m in range(len(members)):
        own = tree_map(lambda leaf, m=m: leaf[m], (early, late, batches, dict(numbers)))
        found.append(rotation.turning(game, *own))
    names = found[0].readings
    readings: dict[Any, Tensor] = {(name, WHOLE): torch.tensor([[one.readings[name]] for one in found]) for name in names}
    return readings, {name: np.stack([getattr(one, name) for one in found]) for name in ("path", "eigenvalues")}


def readings_of(view: probes.View | Samples, reads: str) -> dict[Any, Tensor]:
    """Return what the probes that read the "players" or the "samples" say of them."""
    readings: dict[Any, Tensor] = {}
    for probe in probes.applicable(view.data, reads):
        readings |= probe(view)
    return readings


def tidy(experiment: Experiment, members: Sequence[Member], readings: Sequence[tuple[int, Any]]) -> pd.DataFrame:
    """Return the trace of readings, each with its step."""
    if not readings:
        return pd.DataFrame(columns=list(trace.COLUMNS))
    quantities = []
    for key in readings[0][1]:
        values = torch.stack([reading[key] for _, reading in readings]).double().cpu().numpy()
        quantities.append((*key, values))
    seeds, places = [m.seed for m in members], [m.place for m in members]
    return trace.tidy(experiment.id, seeds, [now for now, _ in readings], quantities, places)
