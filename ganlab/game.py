"""The game and one step of it: a pure function written for one member.

`step(game, state, batch, numbers)` is the whole of training. It draws nothing and keeps nothing, so mapping it over a
leading axis trains many members as one program, and numbers such as learning rates may differ between them. The update
rules are in `updates.py`; here is what the players hold, what the discriminator is shown, and what each of them minimises.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ganlab.experiment import number_values
from ganlab.net import Net
from ganlab.objectives import OBJECTIVES, Losses
from ganlab.optim import OPTIMIZERS, Numbers
from ganlab.parts import PARTS, Parts, check
from ganlab.penalties import PENALTIES, PERTURBATIONS
from ganlab.registry import InputError, unknown
from ganlab.regularizers import CATEGORIES_OF_FAKES, REGULARIZERS, Turn
from ganlab.updates import NOTHING, UPDATES, Kept, Player, State, StepLosses, freeze, remember, remembered

__all__ = ["UPDATES", "Batch", "Game", "Player", "Shown", "State", "StepLosses", "initial", "pack", "step"]


class Batch(NamedTuple):
    """The draws of one step for one member. `draw` counts the updates in a step, see `Game.n_draws`."""

    real: Tensor
    """`[draw, batch, *shape]`"""
    latent: Tensor
    """`[draw, batch, latent + categories]`: random numbers, then the sample's category as a one-hot vector."""
    noise: Tensor
    """Uniform for penalties, `[draw, batch, 1 + d]`; empty when no penalty draws."""
    jitter: Any = ()
    """Standard normal, for noise on what the discriminator sees, `[draw, 2, batch, *shape]`; () without such noise."""

    def draw(self, i: int) -> Batch:
        """Return the draws of one update."""
        return Batch(self.real[i], self.latent[i], self.noise[i], self.jitter[i] if len(self.jitter) else ())


class Shown(NamedTuple):
    """What the discriminator is shown in one update, and the function that scores it."""

    score: Callable[[Tensor], Tensor]
    """From `[pack, *shown]` to a logit and a score for each category, `[pack, 1 + category]`."""
    read: Callable[[Tensor], Tensor]
    """From the same to what the discriminator's net reads: with the labels, if it is shown labels."""
    real: Tensor
    fake: Tensor
    sample: Tensor
    """The generator's samples as it made them, `[batch, *shape]`."""

    def logits(self, x: Tensor) -> Tensor:
        return self.score(x)[:, 0]


@dataclass(frozen=True, eq=False)
class Game:
    """Two sides and the rules they play by; structure only, the weights are in `State`.

    Parameters
    ----------
    generator
        Net from `[n, latent + categories]` to `[n, *shape]`: a module, or a function that builds one (see `ganlab.net.Net`).
        With `shown="latent"` a `ganlab.layers.Bidirectional`, which also holds the encoder.
    discriminator
        Net from what it is shown to logits `[n]` or `[n, 1]`; with categories to score, `[n, 1 + categories]`.
    objective
        Name in `ganlab.objectives`.
    penalties
        Weight of each penalty and regulariser, limit of each constraint, size of each noise, by name: `{"r1": 10.0}`.
    update
        Name in `ganlab.updates`: "alternating" (n_critic discriminator updates, then the generator on fresh draws), ...
    optimizer
        Name in `ganlab.optim`.
    n_critic
        Discriminator updates per step.
    latent
        Random numbers that make a sample; None reads it off the generator's first linear layer.
    latent_law
        "normal", "uniform" on [-1, 1), or "unit" on [0, 1).
    packing
        Samples that the discriminator is shown at once, joined along the first axis of a sample (Lin et al. 2018).
    unroll
        Discriminator updates that the generator looks ahead, through the optimiser (Metz et al. 2017).
    categories
        Categories that the last entries of a latent tell as a one-hot vector: labels, codes or generators.
    labelled
        Whether these are the labels of the data, which real samples then have too.
    shown
        What the discriminator is shown beside a sample: "sample" for nothing, its "label", or its "latent" (the code that the
        encoder makes of a real sample).
    lookahead
        Steps between two returns to the slow weights; 0 for none (Chavdarova et al. 2021).
    average
        Decay of the generator's running mean, which is then what is looked at; None for none (Yaz et al. 2019).
    frozen_at
        Steps after which the generator stands still and the discriminator trains alone; None for never (Arjovsky and Bottou
        2017, figure 2).
    fresh_discriminator
        Whether the discriminator then begins anew, from the seed's initial weights; else it goes on as it is.

    Raises
    ------
    InputError
        For unknown names, weights below 0, parts that do not go together, or nets that cannot be mapped over members.
    """

    generator: nn.Module | Callable[[], nn.Module]
    discriminator: nn.Module | Callable[[], nn.Module]
    objective: str = "non_saturating"
    penalties: Mapping[str, float] = field(default_factory=dict)
    update: str = "alternating"
    optimizer: str = "adam"
    n_critic: int = 1
    latent: int | None = None
    latent_law: str = "normal"
    packing: int = 1
    unroll: int = 0
    categories: int = 0
    labelled: bool = False
    shown: str = "sample"
    lookahead: int = 0
    average: float | None = None
    frozen_at: int | None = None
    fresh_discriminator: bool = True
    nets: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.penalties, Mapping):
            raise InputError(f"penalties must be weights by name, such as {{'r1': 10.0}}; got {self.penalties!r}")
        for name, weight in self.penalties.items():
            if name not in PARTS:
                raise InputError(unknown("penalty", name, PARTS))
            number_values(name, weight)
        check(Parts.of(vars(self)))
        nets = Net(self.generator, "generator"), Net(self.discriminator, "discriminator")
        object.__setattr__(self, "nets", nets)
        if self.latent is None:
            object.__setattr__(self, "latent", _latent_size(nets[0].module) - self.categories)
        if self.shown == "latent" and not isinstance(getattr(nets[0].module, "encoder", None), nn.Module):
            raise InputError("shown='latent' needs an encoder: build the generator as layers.Bidirectional(generator, encoder)")
        if "gdpp" in self.penalties and not nets[1].has_features:
            raise InputError("gdpp needs the features before the discriminator's last layer; build it as an nn.Sequential")

    @property
    def n_draws(self) -> int:
        """Batches drawn per step: one for each update, or one that both players share."""
        return Parts.of(vars(self)).n_draws

    @property
    def draws_noise(self) -> bool:
        """Whether some penalty needs random numbers."""
        return any(name in PENALTIES and PENALTIES.entry(name).facts["draws"] for name in self.penalties)

    def noise_shape(self, batch: int, shape: tuple[int, ...]) -> tuple[int, int]:
        """Return the shape of the uniform noise of one update: a row for each pack, a number for each entry and one more."""
        entries = math.prod(shape) + (int(self.latent or 0) if self.shown == "latent" else 0)
        return batch // self.packing, 1 + self.packing * entries if self.draws_noise else 0

    @property
    def perturbed(self) -> bool:
        """Whether noise is added to what the discriminator sees."""
        return any(name in PERTURBATIONS for name in self.penalties)

    @property
    def scores_categories(self) -> bool:
        """Whether the discriminator gives a score for each category after its logit."""
        return any(name in CATEGORIES_OF_FAKES for name in self.penalties)

    # --- what the players do ---------------------------------------------------------------------------------------------

    def generate(self, theta: Tensor, latent: Tensor) -> Tensor:
        """Return fake samples `[n, *shape]`."""
        return self.nets[0].apply(theta, latent)

    def _scores(self, psi: Tensor, x: Tensor) -> Tensor:
        """Return a logit and a score for each category, `[n, 1 + category]`, for what the discriminator's net reads."""
        return self.nets[1].apply(psi, x).reshape(len(x), -1)

    def show(
        self, psi: Tensor, theta: Tensor, sample: Tensor, batch: Batch, numbers: Numbers, kept: Kept = NOTHING
    ) -> Shown:
        """Return what the discriminator is shown when the generator made `sample` from the latents of `batch`.

        Noise is added to the samples first; then each gets its companion, if any; then packs are formed.
        """
        real, fake = batch.real, sample
        for name in self.penalties:
            if name in PERTURBATIONS:
                real, fake = (
                    PERTURBATIONS[name](x, normal, numbers, kept["age"])
                    for x, normal in zip((real, fake), batch.jitter, strict=True)
                )
        return self.show_as_they_are(psi, theta, real, fake, batch)._replace(sample=sample)

    def show_as_they_are(self, psi: Tensor, theta: Tensor, real: Tensor, fake: Tensor, batch: Batch) -> Shown:
        """Return what the discriminator is shown of these samples, without noise."""
        sample, read = fake, _itself
        if self.shown == "label":
            label = batch.latent[:, -self.categories :]
            read = lambda x: torch.cat([x.flatten(1), label], 1)  # noqa: E731
        if self.shown == "latent":
            code = self.nets[0].apply(theta, batch.real, part="encoder")
            real, fake = torch.cat([real.flatten(1), code], 1), torch.cat([fake.flatten(1), batch.latent], 1)
        return Shown(lambda x: self._scores(psi, read(x)), read, pack(real, self.packing), pack(fake, self.packing), sample)

    # --- what they minimise ----------------------------------------------------------------------------------------------

    def discriminator_loss(
        self, psi: Tensor, theta: Tensor, batch: Batch, numbers: Numbers, kept: Kept = NOTHING
    ) -> Tensor:
        """Return the discriminator's loss with its penalties, a scalar."""
        seen = self.show(psi, theta, self.generate(theta, batch.latent), batch, numbers, kept)
        real_scores, fake_scores = seen.score(seen.real), seen.score(seen.fake)
        loss = self._objective(real_scores[:, 0], fake_scores[:, 0]).discriminator
        for name in self.penalties:
            if name in PENALTIES:
                loss = loss + numbers[name] * PENALTIES[name](seen.logits, seen.real, seen.fake, batch.noise)
        turn = Turn(
            self, "discriminator", theta, psi, batch, seen.sample, seen.real, seen.fake, real_scores, fake_scores, kept
        )
        return loss + self._asked(turn, numbers)

    def objective_of_discriminator(self, psi: Tensor, theta: Tensor, batch: Batch) -> Tensor:
        """Return the discriminator's loss without any penalty, on samples without added noise."""
        sample = self.generate(theta, batch.latent)
        seen = self.show_as_they_are(psi, theta, batch.real, sample, batch)
        return self._objective(seen.logits(seen.real), seen.logits(seen.fake)).discriminator

    def generator_loss(
        self, theta: Tensor, psi: Tensor, batch: Batch, numbers: Numbers, kept: Kept = NOTHING
    ) -> Tensor:
        """Return the generator's loss with its regularisers, a scalar."""
        return self.loss_at_fakes(self.generate(theta, batch.latent), theta, psi, batch, numbers, kept)

    def loss_at_fakes(
        self, sample: Tensor, theta: Tensor, psi: Tensor, batch: Batch, numbers: Numbers, kept: Kept = NOTHING
    ) -> Tensor:
        """Return the generator's loss as a function of its samples, a scalar."""
        seen = self.show(psi, theta, sample, batch, numbers, kept)
        fake_scores = seen.score(seen.fake)
        # Most objectives ignore the real logits here (a law the tests hold them to), and a pass over real costs a third.
        pairs = OBJECTIVES.entry(self.objective).facts["pairs"] or "classification" in self.penalties
        real_scores = seen.score(seen.real) if pairs else torch.zeros_like(fake_scores)
        loss = self._objective(real_scores[:, 0], fake_scores[:, 0]).generator
        turn = Turn(self, "generator", theta, psi, batch, sample, seen.real, seen.fake, real_scores, fake_scores, kept)
        return loss + self._asked(turn, numbers)

    def _objective(self, real: Tensor, fake: Tensor) -> Losses:
        return OBJECTIVES[self.objective](real, fake)

    def _asked(self, turn: Turn, numbers: Numbers) -> Tensor | float:
        """Return what the regularisers of the moving player add to its loss."""
        mine = [n for n in self.penalties if n in REGULARIZERS and REGULARIZERS.entry(n).facts["player"] in (turn.role, "both")]
        return sum((numbers[name] * REGULARIZERS[name](turn) for name in mine), start=0.0)


def _itself(x: Tensor) -> Tensor:
    return x


def pack(x: Tensor, n: int) -> Tensor:
    """Return samples `[batch, c, ...]` in packs, `[batch / n, n c, ...]`.

    Example
    -------
    >>> pack(torch.arange(8.0).view(4, 2), 2).tolist()
    [[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0]]
    """
    return x if n == 1 else x.unflatten(0, (-1, n)).flatten(1, 2)


def initial(game: Game, seed: int) -> State:
    """Return the state of a seed before its first step, float32 on the CPU."""
    optimizer = OPTIMIZERS[game.optimizer]
    players = []
    for net in game.nets:
        parameters = net.initial(seed)
        kept = remembered(game, parameters, generator=net.role == "generator")
        players.append(Player(parameters, optimizer.init(parameters), kept))
    return State(*players)


def step(game: Game, state: State, batch: Batch, numbers: Numbers) -> tuple[State, StepLosses]:
    """Return the state after one step of one member, and the losses on the way.

    Parameters
    ----------
    batch
        The member's draws, `[draw, batch, ...]`.
    numbers
        The member's numbers, 0-dimensional tensors: learning rates, betas, weights of penalties.
    """
    moved, losses = UPDATES[game.update](game, state, batch, numbers)
    moved = State(*(remember(game, player, numbers) for player in moved))
    return moved if game.frozen_at is None else freeze(game, state, moved), losses


def _latent_size(generator: nn.Module) -> int:
    for layer in generator.modules():
        if isinstance(layer, nn.Linear):
            return layer.in_features
        if any(True for _ in layer.parameters(recurse=False)):
            break
    raise InputError("the latent size cannot be read off the generator's first layer; pass latent=")
