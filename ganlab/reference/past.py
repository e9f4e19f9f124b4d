"""What the players remember from step to step beside their optimisers' memory."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ganlab.reference.players import Players


class Past:
    """Slow weights, the past and the running mean, for a game that asks for them; `update` is called after each step."""

    def __init__(self, players: Players) -> None:
        self.players = players
        self.slow = [p.detach().clone() for p in self._parameters()] if players.game.lookahead else []
        if "historical_averaging" in players.game.penalties:
            players.past = {role: _copy(net) for role, net in self._nets().items()}
        self.averaged: AveragedModel | None = None
        if players.game.average is not None:
            self.averaged = AveragedModel(players.generator, multi_avg_fn=get_ema_multi_avg_fn(players.numbers["average"]))
            self.averaged.update_parameters(players.generator)  # the first one is a copy

    @torch.no_grad()
    def update(self) -> None:
        """Bring all of it up to date at the end of a step: both go back to the slow weights first, when that is due."""
        players, frozen = self.players, self.players.frozen
        players.now += 1
        if self.slow and players.now % players.game.lookahead == 0:  # Chavdarova et al. 2021, algorithm 1
            for p, slow in zip(self._parameters(), self.slow, strict=True):
                slow += players.numbers["lookahead_rate"] * (p - slow)
                p.copy_(slow)
        for role, totals in players.past.items():  # Salimans et al. 2016, section 3.3
            for p, total in zip(self._nets()[role].parameters(), totals, strict=True):
                total += p
        if self.averaged is not None and not frozen:  # Yaz et al. 2019, equation 5
            self.averaged.update_parameters(players.generator)

    @property
    def average(self) -> nn.Module | None:
        """The generator's running mean."""
        return None if self.averaged is None else self.averaged.module

    def _nets(self) -> dict[str, nn.Module]:
        return {"generator": self.players.generator, "discriminator": self.players.discriminator}

    def _parameters(self) -> list[Tensor]:
        return [p for net in self._nets().values() for p in net.parameters()]


def _copy(net: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in net.parameters()]
