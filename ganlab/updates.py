"""Update rules: how both players move in one step, a function each of a game that has two losses.

A rule is `(game, state, batch, numbers) -> (state, losses)`. It asks the game for `discriminator_loss(psi, theta, batch,
numbers, kept)` and `generator_loss(theta, psi, batch, numbers, kept)` and nothing else, so the same rule plays a GAN and a game
of two numbers. Facts: `paired`, whether both move at once (then n_critic is 1), and `n_draws`, batches beside the n_critic.

    alternating:   n_critic times  psi   <- psi   - optimiser(grad_psi   L_D(psi, theta))
                   then            theta <- theta - optimiser(grad_theta L_G(psi, theta))
    simultaneous:  both from the same (psi, theta) and the same batch
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.func import grad, grad_and_value, vjp
from torch.utils._pytree import tree_map

from ganlab.optim import OPTIMIZERS, Memory, Numbers
from ganlab.penalties import CONSTRAINTS
from ganlab.registry import Registry

Kept = Mapping[str, Tensor]
"""What a player remembers beside its optimiser's memory, by name; empty for most games, see `remember`."""


NOTHING: Kept = {}  # never written to


class Player(NamedTuple):
    """One side's parameters, its optimiser's memory, and what else it remembers."""

    parameters: Tensor
    memory: Memory
    kept: Kept = NOTHING


class State(NamedTuple):
    """All that changes while training, for one member; with a leading axis, for all of them."""

    generator: Player
    discriminator: Player


class StepLosses(NamedTuple):
    """The losses the players saw in one step, penalties included; the discriminator's is that of its last update."""

    discriminator: Tensor
    generator: Tensor


Rule = Callable[[Any, State, Any, Numbers], tuple[State, StepLosses]]
UPDATES: Registry[Rule] = Registry("update rule")

AHEAD = 0.1
"""Added to the alignment of symplectic gradient adjustment, so that it leans towards adjusting when undecided."""


@UPDATES.register(source="Goodfellow et al. 2014, algorithm 1", paired=False, n_draws=1)
def alternating(game: Any, state: State, batch: Any, numbers: Numbers) -> tuple[State, StepLosses]:
    """The discriminator moves n_critic times, then the generator answers, each on fresh draws."""
    generator, discriminator = state
    for i in range(game.n_critic):
        discriminator, d_loss = move_discriminator(game, discriminator, generator, batch.draw(i), numbers)
    generator, g_loss = move_generator(game, generator, discriminator, batch.draw(game.n_critic), numbers)
    return State(generator, discriminator), StepLosses(d_loss, g_loss)


@UPDATES.register(source="Mescheder, Nowozin and Geiger 2017, algorithm 1", paired=True, n_draws=0)
def simultaneous(game: Any, state: State, batch: Any, numbers: Numbers) -> tuple[State, StepLosses]:
    """Both players move at once from where they stand, on the same draws."""
    generator, discriminator = state
    moved_discriminator, d_loss = move_discriminator(game, discriminator, generator, batch.draw(0), numbers)
    moved_generator, g_loss = move_generator(game, generator, discriminator, batch.draw(0), numbers)
    return State(moved_generator, moved_discriminator), StepLosses(d_loss, g_loss)


@UPDATES.register(source="Korpelevich 1976; Gidel et al. 2019, algorithms 2 and 4 (ExtraAdam)", paired=True, n_draws=1)
def extragradient(game: Any, state: State, batch: Any, numbers: Numbers) -> tuple[State, StepLosses]:
    """Both look one step ahead, and move from where they stood by the gradients found there, on fresh draws.

    The optimiser's memory goes through both halves, as in ExtraAdam.
    """
    ahead, _ = simultaneous(game, state, batch, numbers)
    gradients, losses = _field(game, ahead, batch.draw(1), numbers)
    stood = State(*(there._replace(parameters=here.parameters) for there, here in zip(ahead, state, strict=True)))
    return _both(game, stood, gradients, numbers), losses


@UPDATES.register(source="Mescheder, Nowozin and Geiger 2017, algorithm 2", paired=True, n_draws=0, numbers=("consensus",))
def consensus(game: Any, state: State, batch: Any, numbers: Numbers) -> tuple[State, StepLosses]:
    r"""Both also lower half the squared length of the joint gradient :math:`\xi`: they move by
    :math:`\xi + \gamma \nabla \frac12 |\xi|^2`."""
    gradients, losses = _field(game, state, batch.draw(0), numbers)
    agreement = _transposed_hessian(game, state, batch.draw(0), numbers)
    pulled = [g + numbers["consensus"] * a for g, a in zip(gradients, agreement, strict=True)]
    return _both(game, state, pulled, numbers), losses


@UPDATES.register(source="Balduzzi et al. 2018, algorithm 1, with the sign of its released notebook", paired=True, n_draws=0)
def symplectic(game: Any, state: State, batch: Any, numbers: Numbers) -> tuple[State, StepLosses]:
    r"""Symplectic gradient adjustment: :math:`\xi + \lambda A^T\xi`, A the antisymmetric half of the game's Hessian H.

    The sign of lambda is that of :math:`\langle\xi, H^T\xi\rangle \langle A^T\xi, H^T\xi\rangle / n + 0.1`, where n counts the
    parameter tensors, as in the notebook (the paper divides by the number of parameters).
    """
    draws, points = batch.draw(0), tuple(player.parameters for player in state)
    gradients, losses = _field(game, state, draws, numbers)
    transposed = _transposed_hessian(game, state, draws, numbers)
    pull = vjp(lambda *p: both_gradients(game, state, p, draws, numbers), *points)[1]  # u -> H^T u, whose own pull is v -> H v
    forward = vjp(lambda *u: pull(u), *points)[1](tuple(gradients))
    adjustment = [(t - f) / 2 for t, f in zip(transposed, forward, strict=True)]
    n = sum(len(net.sizes) for net in game.nets)
    agreed = _dot(gradients, transposed) * _dot(adjustment, transposed) / n + AHEAD
    adjusted = [g + torch.sign(agreed) * a for g, a in zip(gradients, adjustment, strict=True)]
    return _both(game, state, adjusted, numbers), losses


# --- one player's move ---------------------------------------------------------------------------------------------------


def move_discriminator(game: Any, player: Player, opponent: Player, batch: Any, numbers: Numbers) -> tuple[Player, Tensor]:
    """Return the discriminator after one update, and the loss that it saw."""
    gradient, loss = grad_and_value(game.discriminator_loss)(
        player.parameters, opponent.parameters, batch, numbers, player.kept
    )
    return _moved_discriminator(game, player, gradient, numbers), loss


def move_generator(game: Any, player: Player, opponent: Player, batch: Any, numbers: Numbers) -> tuple[Player, Tensor]:
    """Return the generator after one update, and the loss that it saw: that against the discriminator `unroll` updates on.

    The look ahead goes through the discriminator's optimiser, on the generator's own batch (Metz et al. 2017, equation 10).
    """

    def loss_against(theta: Tensor) -> Tensor:
        ahead = opponent
        for _ in range(game.unroll):
            ahead, _ = move_discriminator(game, ahead, player._replace(parameters=theta), batch, numbers)
        loss: Tensor = game.generator_loss(theta, ahead.parameters, batch, numbers, player.kept)
        return loss

    gradient, loss = grad_and_value(loss_against)(player.parameters)
    return _moved(game, player, gradient, numbers), loss


def _moved(game: Any, player: Player, gradient: Tensor, numbers: Numbers) -> Player:
    parameters, memory = OPTIMIZERS[game.optimizer].update(gradient, player.memory, player.parameters, numbers)
    return player._replace(parameters=parameters, memory=memory)


def _moved_discriminator(game: Any, player: Player, gradient: Tensor, numbers: Numbers) -> Player:
    moved = _moved(game, player, gradient, {**numbers, "lr": numbers["lr_discriminator"]})
    for name in game.penalties:
        if name in CONSTRAINTS:
            moved = moved._replace(parameters=CONSTRAINTS[name](moved.parameters, numbers[name]))
    return moved


# --- both at once --------------------------------------------------------------------------------------------------------


def _field(game: Any, state: State, batch: Any, numbers: Numbers) -> tuple[list[Tensor], StepLosses]:
    """Return each player's gradient of its own loss, generator first, and the losses."""
    generator, discriminator = state
    theta, psi = generator.parameters, discriminator.parameters
    of_generator, g_loss = grad_and_value(game.generator_loss)(theta, psi, batch, numbers, generator.kept)
    of_discriminator, d_loss = grad_and_value(game.discriminator_loss)(psi, theta, batch, numbers, discriminator.kept)
    return [of_generator, of_discriminator], StepLosses(d_loss, g_loss)


def both_gradients(game: Any, state: State, points: tuple[Tensor, ...], batch: Any, numbers: Numbers) -> tuple[Tensor, ...]:
    """Return each player's gradient of its own loss at two points, generator first; `state` gives what they remember."""
    theta, psi = points
    return (
        grad(game.generator_loss)(theta, psi, batch, numbers, state.generator.kept),
        grad(game.discriminator_loss)(psi, theta, batch, numbers, state.discriminator.kept),
    )


def _transposed_hessian(game: Any, state: State, batch: Any, numbers: Numbers) -> tuple[Tensor, ...]:
    r"""Return :math:`H^T \xi`, which is the gradient of half the squared length of the joint gradient."""

    def energy(*points: Tensor) -> Tensor:
        joint = both_gradients(game, state, points, batch, numbers)
        return 0.5 * _dot(joint, joint)

    found: tuple[Tensor, ...] = grad(energy, argnums=(0, 1))(*(player.parameters for player in state))
    return found


def _dot(a: Any, b: Any) -> Tensor:
    total: Tensor = sum((x * y).sum() for x, y in zip(a, b, strict=True))
    return total


def _both(game: Any, state: State, gradients: Any, numbers: Numbers) -> State:
    of_generator, of_discriminator = gradients
    return State(
        _moved(game, state.generator, of_generator, numbers),
        _moved_discriminator(game, state.discriminator, of_discriminator, numbers),
    )


# --- what players remember from step to step -----------------------------------------------------------------------------


def remembered(game: Any, parameters: Tensor, *, generator: bool) -> dict[str, Tensor]:
    """Return what a player remembers before the first step: only what some part of the game reads."""
    kept = {}
    if "historical_averaging" in game.penalties:
        kept["history"] = parameters.clone()
    if game.lookahead:
        kept["slow"] = parameters.clone()
    if game.average is not None and generator:
        kept["average"] = parameters.clone()
    if "history" in kept or "slow" in kept or game.perturbed:
        kept["age"] = parameters.new_zeros(())
    if game.frozen_at is not None:
        if generator:
            kept["left"] = parameters.new_tensor(game.frozen_at)
        elif game.fresh_discriminator:
            kept["fresh"] = parameters.clone()
    return kept


def remember(game: Any, player: Player, numbers: Numbers) -> Player:
    """Return the player at the end of a step, with what it remembers brought up to date.

    - "age": steps done
    - "history": mean of the parameters at the start and after each step (Salimans et al. 2016)
    - "slow": every `game.lookahead` steps they go `lookahead_rate` of the way, and the player goes back to them
      (Zhang et al. 2019; Chavdarova et al. 2021, algorithm 1)
    - "average": exponential running mean of the parameters (Yaz et al. 2019, equation 5)
    """
    if not player.kept:
        return player
    parameters, kept = player.parameters, dict(player.kept)
    if "age" in kept:
        kept["age"] = kept["age"] + 1
    if "slow" in kept:
        due = kept["age"] % game.lookahead == 0
        kept["slow"] = torch.where(due, torch.lerp(kept["slow"], parameters, numbers["lookahead_rate"]), kept["slow"])
        parameters = torch.where(due, kept["slow"], parameters)
    if "history" in kept:
        kept["history"] = kept["history"] + (parameters - kept["history"]) / (kept["age"] + 1)
    if "average" in kept:
        kept["average"] = torch.lerp(parameters, kept["average"], numbers["average"])
    return Player(parameters, player.memory, kept)


def freeze(game: Any, before: State, after: State) -> State:
    """Return the state after a step of a game whose generator freezes: with no steps left it stands as it did, all that it
    remembers included.

    Once it has made its last step the discriminator begins anew, in weights and memory, unless it is to go on as it is. How
    many steps are left and where the discriminator begins are part of the state, so that one compiled step serves every age.

    Source: Arjovsky and Bottou 2017, section 2 and figure 2; there with a generator trained for 1, 10 or 25 epochs.
    """
    left = before.generator.kept["left"]
    generator = tree_map(lambda old, new: torch.where(left > 0, new, old), before.generator, after.generator)
    generator = generator._replace(kept={**generator.kept, "left": left - 1})
    discriminator = after.discriminator
    if game.fresh_discriminator:
        fresh = discriminator.kept["fresh"]
        anew = discriminator._replace(parameters=fresh, memory=OPTIMIZERS[game.optimizer].init(fresh))
        discriminator = tree_map(lambda now, first: torch.where(left == 1, first, now), discriminator, anew)
    return State(generator, discriminator)
