"""What the two players minimise."""

from __future__ import annotations

from torch import Tensor

from ganlab.game import Batch
from ganlab.reference.objectives import PAIRED, discriminator_objective, generator_objective
from ganlab.reference.optimizers import looked_ahead
from ganlab.reference.penalties import PENALTIES
from ganlab.reference.players import Judge, Players, first, show
from ganlab.reference.regularizers import OF_DISCRIMINATOR, OF_GENERATOR


def discriminator_loss(
    players: Players, batch: Batch, discriminator: Judge | None = None, *, detached: bool = True
) -> Tensor:
    """Return the discriminator's loss; as a function of the generator too, unless that is `detached`."""
    game, numbers = players.game, players.numbers
    sample = players.generator(batch.latent)
    turn = show(players, discriminator or players.discriminator, batch, sample.detach() if detached else sample)
    real_scores, fake_scores = turn.scores(turn.real), turn.scores(turn.fake)
    smoothing = numbers["label_smoothing"] if "label_smoothing" in game.penalties else 0.0
    loss = discriminator_objective(game.objective, first(real_scores), first(fake_scores), smoothing)
    for name in game.penalties:
        if name in PENALTIES:
            loss = loss + numbers[name] * PENALTIES[name](turn.logits, turn.real, turn.fake, batch.noise)
        if name in OF_DISCRIMINATOR:
            loss = loss + numbers[name] * OF_DISCRIMINATOR[name](turn, real_scores, fake_scores)
    return loss


def generator_loss(players: Players, batch: Batch) -> Tensor:
    """Return the generator's loss, against the discriminator that is there or, unrolled, the one that will be."""
    game, numbers = players.game, players.numbers
    sample = players.generator(batch.latent)
    discriminator: Judge = players.discriminator
    if game.unroll:
        discriminator = looked_ahead(players, lambda ahead: discriminator_loss(players, batch, ahead, detached=False))
    turn = show(players, discriminator, batch, sample)
    fake_scores = turn.scores(turn.fake)
    both = game.objective in PAIRED or "classification" in game.penalties
    real_scores = turn.scores(turn.real) if both else fake_scores
    loss = generator_objective(game.objective, first(real_scores), first(fake_scores))
    for name in game.penalties:
        if name in OF_GENERATOR:
            loss = loss + numbers[name] * OF_GENERATOR[name](turn, real_scores, fake_scores)
    return loss
