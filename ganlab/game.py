"""The game and one step of it: a pure function written for one member.

`step(game, state, batch, numbers)` is the whole of training. It draws nothing and keeps nothing, so mapping it over a
leading axis trains many members as one program, and numbers such as learning rates may differ between them.

    alternating:   n_critic times  psi   <- psi   - optimiser(grad_psi   L_D(psi, theta))
                   then            theta <- theta - optimiser(grad_theta L_G(psi, theta))
    simultaneous:  both from the same (psi, theta) and the same batch
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import grad_and_value

from ganlab.experiment import number_values
from ganlab.nets import Net
from ganlab.objectives import OBJECTIVES
from ganlab.optim import OPTIMIZERS, Memory, Numbers
from ganlab.penalties import CONSTRAINTS, PENALTIES
from ganlab.registry import InputError, Registry, unknown

UPDATES: Registry[Callable[..., tuple[Any, Any]]] = Registry("update rule")


class Player(NamedTuple):
    """One net's parameters and its optimiser's memory."""

    parameters: Tensor
    memory: Memory


class State(NamedTuple):
    """All that changes while training, for one member; with a leading axis, for all of them."""

    generator: Player
    discriminator: Player


class Batch(NamedTuple):
    """The draws of one step for one member. `draw` counts the updates in a step, see `Game.n_draws`."""

    real: Tensor
    """`[draw, batch, *shape]`"""
    latent: Tensor
    """`[draw, batch, latent]`"""
    noise: Tensor
    """Uniform for penalties, `[draw, batch, 1 + d]`; empty when no penalty draws."""

    def draw(self, i: int) -> Batch:
        """Return the draws of one update."""
        return Batch(self.real[i], self.latent[i], self.noise[i])


class StepLosses(NamedTuple):
    """The losses the players saw in one step, penalties included; the discriminator's is that of its last update."""

    discriminator: Tensor
    generator: Tensor


@dataclass(frozen=True, eq=False)
class Game:
    """Two nets and the rules they play by; structure only, the weights are in `State`.

    Parameters
    ----------
    generator
        Net from `[n, latent]` to `[n, *shape]`: a module, or a function that builds one (see `ganlab.nets.Net`).
    discriminator
        Net from `[n, *shape]` to logits `[n]` or `[n, 1]`.
    objective
        Name in `ganlab.objectives`.
    penalties
        Weight of each penalty, limit of each constraint, by name: `{"r1": 10.0}`.
    update
        "alternating" (n_critic discriminator updates, then the generator on fresh draws) or "simultaneous".
    optimizer
        Name in `ganlab.optim`.
    n_critic
        Discriminator updates per step.
    latent
        Size of the latent vector; None reads it off the generator's first linear layer.

    Raises
    ------
    InputError
        For unknown names, weights below 0, or nets that cannot be mapped over members.
    """

    generator: nn.Module | Callable[[], nn.Module]
    discriminator: nn.Module | Callable[[], nn.Module]
    objective: str = "non_saturating"
    penalties: Mapping[str, float] = field(default_factory=dict)
    update: str = "alternating"
    optimizer: str = "adam"
    n_critic: int = 1
    latent: int | None = None
    nets: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        OBJECTIVES.entry(self.objective), UPDATES.entry(self.update), OPTIMIZERS.entry(self.optimizer)
        if not isinstance(self.penalties, Mapping):
            raise InputError(f"penalties must be weights by name, such as {{'r1': 10.0}}; got {self.penalties!r}")
        for name, weight in self.penalties.items():
            if name not in PENALTIES and name not in CONSTRAINTS:
                raise InputError(unknown("penalty", name, [*PENALTIES, *CONSTRAINTS]))
            number_values(name, weight)
        check_turns(self.update, self.n_critic)
        nets = Net(self.generator, "generator"), Net(self.discriminator, "discriminator")
        object.__setattr__(self, "nets", nets)
        if self.latent is None:
            object.__setattr__(self, "latent", _latent_size(nets[0].module))

    @property
    def n_draws(self) -> int:
        """Batches drawn per step: one for each update, or one that both players share."""
        return 1 if self.update == "simultaneous" else self.n_critic + 1

    @property
    def draws_noise(self) -> bool:
        """Whether some penalty needs random numbers."""
        return any(name in PENALTIES and PENALTIES.entry(name).facts["draws"] for name in self.penalties)

    def generate(self, theta: Tensor, latent: Tensor) -> Tensor:
        """Return fake samples `[n, *shape]`."""
        return self.nets[0].apply(theta, latent)

    def judge(self, psi: Tensor, x: Tensor) -> Tensor:
        """Return logits `[n]`."""
        return self.nets[1].apply(psi, x).flatten()

    def discriminator_loss(self, psi: Tensor, theta: Tensor, batch: Batch, numbers: Numbers) -> Tensor:
        """Return the discriminator's loss with its penalties, a scalar."""
        fake = self.generate(theta, batch.latent)
        loss = OBJECTIVES[self.objective](self.judge(psi, batch.real), self.judge(psi, fake)).discriminator
        for name in self.penalties:
            if name in PENALTIES:
                penalty = PENALTIES[name](lambda x: self.judge(psi, x), batch.real, fake, batch.noise)
                loss = loss + numbers[name] * penalty
        return loss

    def generator_loss(self, theta: Tensor, psi: Tensor, batch: Batch) -> Tensor:
        """Return the generator's loss, a scalar."""
        return self.loss_at_fakes(self.generate(theta, batch.latent), psi, batch.real)

    def loss_at_fakes(self, fake: Tensor, psi: Tensor, real: Tensor) -> Tensor:
        """Return the generator's loss as a function of its samples, a scalar."""
        logits = self.judge(psi, fake)
        # Most objectives ignore the real logits here (a law the tests hold them to), and a pass over real costs a third.
        real_logits = self.judge(psi, real) if OBJECTIVES.entry(self.objective).facts["pairs"] else torch.zeros_like(logits)
        return OBJECTIVES[self.objective](real_logits, logits).generator


def check_turns(update: str, n_critic: int) -> None:
    """Raise InputError unless this update rule can give the discriminator that many updates a step."""
    counts = isinstance(n_critic, int) and not isinstance(n_critic, bool)
    if not counts or n_critic < 1 or (update == "simultaneous" and n_critic != 1):
        raise InputError(f"n_critic must be at least 1, and 1 for simultaneous updates; got {n_critic!r}")


def initial(game: Game, seed: int) -> State:
    """Return the state of a seed before its first step, float32 on the CPU."""
    optimizer = OPTIMIZERS[game.optimizer]
    return State(*(Player(theta := net.initial(seed), optimizer.init(theta)) for net in game.nets))


def step(game: Game, state: State, batch: Batch, numbers: Numbers) -> tuple[State, StepLosses]:
    """Return the state after one step of one member, and the losses on the way.

    Parameters
    ----------
    batch
        The member's draws, `[draw, batch, ...]`.
    numbers
        The member's numbers, 0-dimensional tensors: learning rates, betas, weights of penalties.
    """
    return UPDATES[game.update](game, state, batch, numbers)


@UPDATES.register(source="Goodfellow et al. 2014, algorithm 1")
def alternating(game: Game, state: State, batch: Batch, numbers: Numbers) -> tuple[State, StepLosses]:
    """The discriminator moves n_critic times, then the generator answers, each on fresh draws."""
    generator, discriminator = state
    for i in range(game.n_critic):
        discriminator, d_loss = _move_discriminator(game, discriminator, generator, batch.draw(i), numbers)
    generator, g_loss = _move_generator(game, generator, discriminator, batch.draw(game.n_critic), numbers)
    return State(generator, discriminator), StepLosses(d_loss, g_loss)


@UPDATES.register(source="Mescheder, Nowozin and Geiger 2017, algorithm 1")
def simultaneous(game: Game, state: State, batch: Batch, numbers: Numbers) -> tuple[State, StepLosses]:
    """Both players move at once from where they stand, on the same draws."""
    generator, discriminator = state
    moved_discriminator, d_loss = _move_discriminator(game, discriminator, generator, batch.draw(0), numbers)
    moved_generator, g_loss = _move_generator(game, generator, discriminator, batch.draw(0), numbers)
    return State(moved_generator, moved_discriminator), StepLosses(d_loss, g_loss)


def _move_discriminator(game: Game, player: Player, opponent: Player, batch: Batch, numbers: Numbers) -> tuple[Player, Tensor]:
    gradient, loss = grad_and_value(game.discriminator_loss)(player.parameters, opponent.parameters, batch, numbers)
    numbers = {**numbers, "lr": numbers["lr_discriminator"]}
    psi, memory = OPTIMIZERS[game.optimizer].update(gradient, player.memory, player.parameters, numbers)
    for name in game.penalties:
        if name in CONSTRAINTS:
            psi = CONSTRAINTS[name](psi, numbers[name])
    return Player(psi, memory), loss


def _move_generator(game: Game, player: Player, opponent: Player, batch: Batch, numbers: Numbers) -> tuple[Player, Tensor]:
    gradient, loss = grad_and_value(game.generator_loss)(player.parameters, opponent.parameters, batch)
    theta, memory = OPTIMIZERS[game.optimizer].update(gradient, player.memory, player.parameters, numbers)
    return Player(theta, memory), loss


def _latent_size(generator: nn.Module) -> int:
    for layer in generator.modules():
        if isinstance(layer, nn.Linear):
            return layer.in_features
        if any(True for _ in layer.parameters(recurse=False)):
            break
    raise InputError("the latent size cannot be read off the generator's first layer; pass latent=")
