"""Update rules that move both players at once by more than their own gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import chain

import torch
from torch import Tensor

from ganlab.game import Batch
from ganlab.reference.losses import discriminator_loss, generator_loss
from ganlab.reference.penalties import clip
from ganlab.reference.players import Players


def _extragradient(players: Players, today: Batch) -> tuple[Tensor, Tensor]:
    """Gidel et al. 2019, algorithm 4: an optimiser's step ahead, and from the old place a step by the gradients there."""
    parameters = _parameters(players)
    stood = [p.detach().clone() for p in parameters]
    _backward(players, today.draw(0))
    _step(players)
    losses = _backward(players, today.draw(1))
    with torch.no_grad():
        for p, old in zip(parameters, stood, strict=True):
            p.copy_(old)
    _step(players)
    return losses


def _consensus(players: Players, today: Batch) -> tuple[Tensor, Tensor]:
    """Mescheder, Nowozin and Geiger 2017, algorithm 2."""
    losses, xi = _joint_gradient(players, today.draw(0))
    pull = _flat(torch.autograd.grad(0.5 * xi.pow(2).sum(), _parameters(players), materialize_grads=True))
    _move_along(players, xi.detach() + players.numbers["consensus"] * pull)
    return losses


def _symplectic(players: Players, today: Batch) -> tuple[Tensor, Tensor]:
    """Balduzzi et al. 2018, algorithm 1; 1/10 and the number of tensors in the sign of lambda as in the released notebook."""
    losses, xi = _joint_gradient(players, today.draw(0))
    parameters = _parameters(players)
    v = xi.detach()

    # H^T u is linear in u, so its own gradient along v is H v
    u = torch.zeros_like(v, requires_grad=True)
    h_transposed_u = _flat(torch.autograd.grad(xi, parameters, u, create_graph=True, materialize_grads=True))
    (h_v,) = torch.autograd.grad(h_transposed_u, u, v, retain_graph=True)
    h_transposed_v = _flat(torch.autograd.grad(xi, parameters, v, materialize_grads=True))
    a_transposed_v = (h_transposed_v - h_v) / 2

    alignment = v.dot(h_transposed_v) * a_transposed_v.dot(h_transposed_v) / len(parameters)
    _move_along(players, v + torch.sign(alignment + 0.1) * a_transposed_v)
    return losses


RULES: Mapping[str, Callable[[Players, Batch], tuple[Tensor, Tensor]]] = {
    "extragradient": _extragradient, "consensus": _consensus, "symplectic": _symplectic,
}  # fmt: skip
"""`(players, draws of a step) -> (loss of the discriminator, of the generator)`."""


def _parameters(players: Players) -> list[Tensor]:
    return list(chain(players.generator.parameters(), players.discriminator.parameters()))


def _backward(players: Players, batch: Batch) -> tuple[Tensor, Tensor]:
    """Leave with each player the gradient of its own loss."""
    players.optimizer_g.zero_grad()
    players.optimizer_d.zero_grad()
    d_loss, g_loss = discriminator_loss(players, batch), generator_loss(players, batch)
    d_loss.backward(inputs=list(players.discriminator.parameters()))
    g_loss.backward(inputs=list(players.generator.parameters()))
    return d_loss, g_loss


def _step(players: Players) -> None:
    players.optimizer_g.step()
    players.optimizer_d.step()
    if "weight_clipping" in players.game.penalties:
        clip(players.discriminator.parameters(), players.numbers["weight_clipping"])


def _joint_gradient(players: Players, batch: Batch) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Return the losses, and each player's gradient of its own as one vector that can be differentiated again."""
    d_loss, g_loss = discriminator_loss(players, batch, detached=False), generator_loss(players, batch)
    own = (g_loss, players.generator), (d_loss, players.discriminator)
    gradients = [
        torch.autograd.grad(loss, list(net.parameters()), create_graph=True, materialize_grads=True) for loss, net in own
    ]
    return (d_loss, g_loss), _flat(chain(*gradients))


def _flat(tensors: Iterable[Tensor]) -> Tensor:
    return torch.cat([t.flatten() for t in tensors])


def _move_along(players: Players, vector: Tensor) -> None:
    """Give both optimisers their part of a vector for a gradient."""
    parameters = _parameters(players)
    for p, part in zip(parameters, vector.split([p.numel() for p in parameters]), strict=True):
        p.grad = part.view_as(p)
    _step(players)
