"""The ring's GAN with torchgan's Trainer; its console and tensorboard logging are off, by its own environment variables."""

from __future__ import annotations

import os
from collections.abc import Iterator

os.environ |= {"CONSOLE_LOGGING": "0", "TENSORBOARD_LOGGING": "0", "VISDOM_LOGGING": "0"}  # read when torchgan is imported

import torch
from torch import Tensor, nn
from torchgan.losses import MinimaxDiscriminatorLoss, MinimaxGeneratorLoss
from torchgan.models import Discriminator, Generator
from torchgan.trainer import Trainer

from ganlab import data
from ganlab.nets import mlp
from ganlab.workers import Meter

BATCH = 256


class RingGenerator(Generator):
    def __init__(self) -> None:
        super().__init__(2)
        self.net: nn.Module = mlp(2, 2)

    def forward(self, z: Tensor) -> Tensor:
        return self.net(z)


class RingDiscriminator(Discriminator):
    def __init__(self) -> None:
        super().__init__(2)
        self.net: nn.Module = mlp(2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x).flatten()


class Batches:
    """Real batches for ever; that the next one is asked for says that a step is done."""

    batch_size = BATCH

    def __init__(self, meter: Meter) -> None:
        self.meter = meter

    def __iter__(self) -> Iterator[Tensor]:
        ring, generator = data.get("ring8"), torch.Generator().manual_seed(0)
        while True:
            yield ring.sample(BATCH, generator)
            self.meter(1)


def loop(meter: Meter) -> None:
    """One step is a piece of work."""
    rate = {"lr": 1e-3, "betas": (0.5, 0.999)}
    models = {
        name: {"name": net, "args": {}, "optimizer": {"name": torch.optim.Adam, "args": rate}}
        for name, net in (("generator", RingGenerator), ("discriminator", RingDiscriminator))
    }
    losses = [MinimaxGeneratorLoss(nonsaturating=True), MinimaxDiscriminatorLoss()]
    Trainer(models, losses, device=torch.device("cpu"), sample_size=4, epochs=1, retain_checkpoints=0)(Batches(meter))
