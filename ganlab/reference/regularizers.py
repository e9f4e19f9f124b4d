"""What a player is asked for beside its objective, `(turn, scores of real, scores of fake samples) -> scalar`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss, normalize

from ganlab.reference.objectives import discriminator_objective
from ganlab.reference.players import Judge, Turn, show

Regularizer = Callable[[Turn, Tensor, Tensor], Tensor]


def _distance_to_past(turn: Turn, role: str, parameters: Iterable[Tensor]) -> Tensor:
    """Salimans et al. 2016, section 3.3."""
    n = turn.players.now + 1
    apart = [(p - total / n).pow(2).sum() for p, total in zip(parameters, turn.players.past[role], strict=True)]
    return torch.stack(apart).sum()


def _orthogonal(turn: Turn, real: Tensor, fake: Tensor) -> Tensor:
    """Brock, Donahue and Simonyan 2019, equation 2."""
    total = torch.zeros((), dtype=real.dtype, device=real.device)
    for weight in turn.discriminator.parameters():
        if weight.ndim > 1:
            w = weight.flatten(1)
            w = w.T if w.shape[0] > w.shape[1] else w
            total = total + torch.linalg.matrix_norm(w @ w.T - torch.eye(len(w), dtype=w.dtype, device=w.device)) ** 2
    return total


def _discriminator_gradient(turn: Turn, real: Tensor, fake: Tensor) -> Tensor:
    """Nagarajan and Kolter 2017, equation 5."""
    clean = show(turn.players, turn.discriminator, turn.batch, turn.sample, noise=False)
    loss = discriminator_objective(turn.players.game.objective, clean.logits(clean.real), clean.logits(clean.fake))
    gradients = torch.autograd.grad(loss, list(turn.discriminator.parameters()), create_graph=True, materialize_grads=True)
    return torch.stack([g.pow(2).sum() for g in gradients]).sum()


def _mode_seeking(turn: Turn, real: Tensor, fake: Tensor) -> Tensor:
    """Mao et al. 2019, equation 4; 1e-5 as in the released code."""
    half = len(turn.sample) // 2
    z = turn.batch.latent[:, : turn.players.game.latent]
    (x1, x2), (z1, z2) = turn.sample[: 2 * half].chunk(2), z[: 2 * half].chunk(2)
    return 1 / ((x1 - x2).abs().mean() / (z1 - z2).abs().mean() + 1e-5)


def _gdpp(turn: Turn, real: Tensor, fake: Tensor) -> Tensor:
    """Elfeki et al. 2019, equations 6 and 7, by the gradient that `eigh` has of its own."""
    with torch.no_grad():
        real_values, real_vectors = _spectrum(_features(turn.discriminator, turn.scores, turn.real))
    fake_values, fake_vectors = _spectrum(_features(turn.discriminator, turn.scores, turn.fake))
    share = (real_values - real_values.min()) / (real_values.max() - real_values.min())
    cosines = (real_vectors * fake_vectors).sum(0).abs()
    return mse_loss(fake_values, real_values) + (share * (1 - cosines)).mean()


def _spectrum(features: Tensor) -> tuple[Tensor, Tensor]:
    rows = normalize(features, dim=1)
    values, vectors = torch.linalg.eigh(rows.T @ rows)
    return values, vectors


def _features(discriminator: Judge, scores: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return what the last layer reads."""
    seen: list[Tensor] = []
    last = [layer for layer in discriminator.modules() if isinstance(layer, nn.Linear | nn.Conv2d)][-1]
    hook = last.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    scores(x)
    hook.remove()
    return seen[0].flatten(1)


def _category(turn: Turn, scores: Tensor) -> Tensor:
    """Return the cross-entropy of the category that the latent ends in."""
    return cross_entropy(scores[:, 1:], turn.batch.latent[:, -turn.players.game.categories :].argmax(1))


def _reconstruction(turn: Turn, real: Tensor, fake: Tensor) -> Tensor:
    """Srivastava et al. 2017, equation 3."""
    encoded = turn.players.generator.get_submodule("encoder")(turn.sample)
    return (encoded - turn.batch.latent).pow(2).sum(1).mean()


OF_DISCRIMINATOR: Mapping[str, Regularizer] = {
    "historical_averaging": lambda turn, r, f: _distance_to_past(turn, "discriminator", turn.discriminator.parameters()),
    "orthogonal": _orthogonal,
    "classification": lambda turn, r, f: _category(turn, r) + _category(turn, f),  # Odena, Olah and Shlens 2017, equation 3
    "information": lambda turn, r, f: _category(turn, f),  # Chen et al. 2016, equation 5
    "identification": lambda turn, r, f: _category(turn, f),  # Ghosh et al. 2018, equation 2
}

OF_GENERATOR: Mapping[str, Regularizer] = {
    "historical_averaging": lambda turn, r, f: _distance_to_past(turn, "generator", turn.players.generator.parameters()),
    "discriminator_gradient": _discriminator_gradient,
    "mode_seeking": _mode_seeking,
    "gdpp": _gdpp,
    "classification": lambda turn, r, f: _category(turn, r) + _category(turn, f),
    "information": lambda turn, r, f: _category(turn, f),
    "reconstruction": _reconstruction,
}
