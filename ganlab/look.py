"""One look at borrowed nets: what they are held against, fixed for the run, and what is read off them."""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ganlab import rng
from ganlab.borrowed import BorrowedGame, BorrowedView, Latent, as_the_user, first, last_operation, untouched
from ganlab.data import Points
from ganlab.game import Batch, State
from ganlab.objectives import OBJECTIVES
from ganlab.planning import distribution, evaluation_size
from ganlab.probes import PROBES, applicable, has_held_out, has_modes
from ganlab.registry import InputError
from ganlab.trace import SLICED
from ganlab.watch import REFERENCE, Samples, cells_in_place_of_modes, readings_of

LARGE = 4096
"""Numbers of a sample from which half as many are generated at a look."""

KEPT, FEWEST = 8_000_000, 64
"""Numbers of real samples that are kept, 32 MB; a look generates a quarter as many, 162 images of 3 x 64 x 64. But no fewer
samples than this."""

PROJECTED = 1_000_000
"""Most parameters of a player whose position is read: the directions are as large as eight such players."""

Latents = Callable[[int], Latent]


class Examples(NamedTuple):
    """Real samples, what the nets are given beside each, and the distribution they stand for."""

    data: Any
    real: Tensor
    """`[n, *shape]`, on the CPU; empty where the distribution has more."""
    conditions: tuple[Tensor, ...] = ()
    """`[n, ...]` each."""

    def draw(self, n: int, generator: torch.Generator) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return n real samples and what goes with them."""
        if not self.conditions:
            return self.data.sample(n, generator), ()
        chosen = torch.randint(len(self.real), (n,), generator=generator)
        return self.real[chosen], tuple(c[chosen] for c in self.conditions)


def examples_of(data: Any, held_out: Tensor | None) -> Examples:
    """Return the examples that data are: a tensor, a tuple with conditions, a torch dataset or loader, or a distribution.

    Labels of a dataset are left out: nets that need them take a tuple. Held-out samples have no conditions beside them.
    """
    if isinstance(held_out, tuple):
        raise InputError("held_out= must be real samples alone, a tensor or array [m, *shape], without labels beside them")
    if isinstance(data, torch.utils.data.DataLoader):
        data = data.dataset
    if isinstance(data, torch.utils.data.Dataset):
        data = _samples_of(data)
    if isinstance(data, tuple | Tensor | np.ndarray):
        return together(*map(torch.as_tensor, data if isinstance(data, tuple) else (data,)), held_out=held_out)
    if held_out is not None:
        raise InputError("held_out= goes with data that are a tensor or dataset; a distribution brings its own")
    return Examples(distribution(data), torch.empty(0))


def _samples_of(data: torch.utils.data.Dataset[Any]) -> Tensor:
    """Return at most `REFERENCE` samples of a dataset, evenly spaced. Raises InputError where they cannot be had."""
    n = len(data) if hasattr(data, "__len__") else 0
    if n == 0:
        raise InputError("a dataset without a length cannot be looked at beforehand; leave data= out, and give real= to record")

    def sample(i: int) -> Any:
        item = data[i]
        return item[0] if isinstance(item, tuple | list) else item

    with untouched(data), as_the_user():
        samples = [sample(i) for i in _places(n, min(REFERENCE, _most(math.prod(np.shape(sample(0))))))]
    try:
        return torch.stack([torch.as_tensor(sample) for sample in samples])
    except (TypeError, ValueError, RuntimeError) as error:
        what = type(samples[0]).__name__
        raise InputError(f"samples of the dataset must be tensors of one shape; the first is a {what} ({error})") from error


def _most(numbers: int) -> int:
    """Return how many samples of so many numbers are kept."""
    return max(FEWEST, KEPT // max(1, numbers))


def _places(n: int, most: int) -> list[int]:
    """Return the places of all of n things, or of some, evenly spaced."""
    return list(range(n)) if n <= most else torch.linspace(0, n - 1, most, dtype=torch.float64).round().long().tolist()


def together(real: Tensor, *conditions: Tensor, held_out: Tensor | None = None) -> Examples:
    """Return the examples of real samples and their conditions; where they take more than `KEPT` numbers, of some of them.

    The share of copied samples is then one of those that were kept, and so at least as large for all. Raises InputError where
    they are not equally many.
    """
    if uneven := [len(c) for c in conditions if len(c) != len(real)]:
        raise InputError(f"there must be as many conditions as real samples, {len(real)}; got {uneven[0]}")
    if real.ndim and len(real) > (most := _most(real[:1].numel())):
        real, *conditions = (part[_places(len(part), most)] for part in (real, *conditions))  # type: ignore[assignment]
    real = real.detach().cpu().float()
    held_out = None if held_out is None else torch.as_tensor(held_out).detach().cpu().float()
    return Examples(Points(real, held_out=held_out), real, tuple(conditions))


def latents_of(generator: nn.Module, latent: Any, seed: int) -> tuple[Latents, int]:
    """Return a function that draws n latents, always the same, and how many tensors they are.

    Where `latent` is a size or a shape, or None, they are standard normal: a generator that trains on others, uniform ones for
    one, must be given the function that draws them, or what is seen is what it makes of latents that it does not know.
    """
    if latent is None:
        latent = _first_size(generator)
    if isinstance(latent, int) and not isinstance(latent, bool) and latent > 0:
        latent = (latent,)
    if isinstance(latent, tuple | list) and latent and all(isinstance(size, int) and size > 0 for size in latent):
        shape = tuple(latent)
        return lambda n: (rng.normal((n, *shape), rng.stream(seed, "latent")),), 1
    if isinstance(latent, Tensor) and latent.ndim > 1:
        fixed = latent.detach()
        return lambda n: (fixed[torch.arange(n) % len(fixed)],), 1
    if not callable(latent):
        raise InputError(
            "latent must be the size of a latent, its shape, a function that draws n of them, or a tensor [n, ...]; "
            f"got {latent!r}"
        )

    def drawn(n: int) -> tuple[Tensor, ...]:
        with untouched(latent), as_the_user():
            found = latent(n)
        return tuple(part.detach() for part in (found if isinstance(found, tuple | list) else (found,)))

    return drawn, len(drawn(2))


def _first_size(generator: nn.Module) -> tuple[int, ...]:
    """Return the shape of a latent, read off the first layer that has parameters. Raises InputError where it does not tell."""
    for layer in generator.modules():
        if isinstance(layer, nn.Linear):
            return (layer.in_features,)
        if isinstance(layer, nn.ConvTranspose2d):
            return layer.in_channels, 1, 1
        if any(True for _ in layer.parameters(recurse=False)):
            break
    raise InputError("the size of a latent cannot be read off the generator's first layer; say latent=64, or its shape")


@dataclass(frozen=True)
class Against:
    """What two nets are held against, the same at every look."""

    game: BorrowedGame
    data: Any
    batch: Batch
    """Of the size that they train on, on their device."""
    latent: Latent
    """Of the samples that are measured."""
    real: Tensor
    """To measure samples against, `[n, *shape]`, on the CPU."""
    known: Tensor
    """The same as the discriminator reads them, where it is."""
    held_out: Any
    cells: Any


class Look(NamedTuple):
    """What was seen at one step."""

    step: int
    readings: dict[Any, Tensor]
    """By name and labels, `[part]`, on the CPU."""
    profile: Tensor
    fake: Tensor
    """Samples `[n, *shape]`, on the CPU."""
    broken: str
    """The first layer that is not finite, or nothing."""


def against(game: BorrowedGame, examples: Examples, latents: Latents, batch: int, n: int | None, seed: int) -> Against:
    """Return what nets are held against: real samples, latents and conditions from the seed's evaluation stream.

    Raises InputError where the nets do not fit the latents, the data or each other.
    """
    data, generator = examples.data, rng.stream(seed, "evaluation")
    numbers = math.prod(data.shape)
    usual = evaluation_size(data) if has_modes(data) else 1000 if numbers < LARGE else min(500, _most(4 * numbers))
    n = usual if n is None else n
    real, conditions = examples.draw(max(n, batch), generator)
    (kind, of_discriminator), device = game.dtypes, game.device
    z, *others = latents(max(n, batch))
    latent = (z.to(device, kind) if z.is_floating_point() else z.to(device), *(c.to(device) for c in (*others, *conditions)))
    game, shape = _fitting(game, tuple(part[: min(batch, 8)] for part in latent), data)
    to_nets = lambda x: x.reshape(len(x), *shape).to(device, of_discriminator)  # noqa: E731
    return Against(
        game, data, Batch(to_nets(real[:batch]), tuple(part[:batch] for part in latent), torch.empty(0)),  # type: ignore[arg-type]
        tuple(part[:n] for part in latent), shown := real[: min(n, SLICED)], to_nets(shown),
        to_nets(data.held_out(len(shown), generator)) if has_held_out(data) else (), cells_in_place_of_modes(data, n),
    )  # fmt: skip


def _fitting(game: BorrowedGame, latent: Latent, data: Any) -> tuple[BorrowedGame, tuple[int, ...]]:
    """Return the game as its nets play it, and the shape in which they hand over a sample.

    That is whether the discriminator ends in a sigmoid, and whether it is shown conditions beside a sample.
    """
    places = sorted({str(p.device) for net in game.nets for p in net.module.parameters()})
    if len(places) > 1:
        raise InputError(f"the nets lie on several devices, {', '.join(places)}; both must be on one to be looked at")
    with untouched(*(net.module for net in game.nets)):
        theta, psi = (player.parameters for player in game.state())
        try:
            fake = game.generate(theta, latent)
            output = first(game.nets[1].apply(psi.requires_grad_(), fake, *latent[game.n_latents :]))
        except InputError:
            raise
        except Exception as error:  # a user's forward may fail in any way
            shapes = ", ".join(str(tuple(part.shape)) for part in latent)
            raise InputError(
                f"the nets cannot be called with latents {shapes}: {error}; say latent= and data= as they take them"
            ) from error
    if len(fake) != len(latent[0]) or fake[0].numel() != math.prod(data.shape):
        real = ", ".join(map(str, data.shape))
        raise InputError(f"the generator makes samples {tuple(fake.shape)}, but real ones are [n, {real}]")
    if len(output) != len(fake):
        raise InputError(f"the discriminator must give an output for each of {len(fake)} samples; got {tuple(output.shape)}")
    of_logits = OBJECTIVES.entry(game.objective).facts["threshold"] == 0
    ends_in_sigmoid = last_operation(output) == "SigmoidBackward0"
    shown = "label" if len(latent) > game.n_latents else "sample"
    return replace(game, probabilities=of_logits and ends_in_sigmoid, shown=shown), tuple(fake.shape[1:])


def look(at: Against, step: int, before: Any = (), past: Any = ()) -> tuple[Look, Tensor]:
    """Return what is seen now, and the fakes to be remembered, which are `past` next time; the nets are left as they were.

    Samples are generated a batch at a time, as training does it, since batch norm in training looks at the batch.
    """
    game, n_batch = at.game, len(at.batch.real)
    with untouched(*(net.module for net in game.nets)):
        state = game.state()
        with torch.no_grad():
            n_parts = math.ceil(len(at.latent[0]) / n_batch)  # of nearly one size: batch norm cannot do with a single sample
            parts = zip(*(part.tensor_split(n_parts) for part in at.latent), strict=True)
            fake = torch.cat([game.generate(state.generator.parameters, part).float().cpu() for part in parts])
        fake = fake.reshape(-1, *at.data.shape)
        view = BorrowedView(game, state, at.batch, (), {}, at.data, at.known, at.held_out, past=past)  # type: ignore[arg-type]
        readings: dict[Any, Tensor] = {}
        for probe in applicable(at.data, "players"):
            if probe is not PROBES["positions"] or max(net.n_parameters for net in game.nets) <= PROJECTED:
                readings |= probe(view)
        remembered = view.remembered.detach()
        samples = Samples(at.data, fake, at.real, before, at.cells)
        readings |= readings_of(samples, "samples")
        profile = samples.profile
    read = {key: value.detach().cpu().double() for key, value in readings.items()}  # not every device has float64
    del view, samples, readings
    if fake.numel() > LARGE * FEWEST:
        _give_back_memory()
    return Look(step, read, profile, fake, _broken(game, state)), remembered


def _give_back_memory() -> None:
    """Return free memory to the system, where glibc manages it: it would not use the gaps that images leave for the next ones.

    A look at images of 3 x 64 x 64 otherwise takes some 20 MB more than the one before.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def _broken(game: BorrowedGame, state: State) -> str:
    for net, player in zip(game.nets, state, strict=True):
        if not torch.isfinite(player.parameters).all():
            layers = net.unflatten(player.parameters).items()
            return f"{net.role} layer {next(name for name, value in layers if not torch.isfinite(value).all())}"
    return ""
