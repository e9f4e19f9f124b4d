"""The ring's GAN as a LightningModule with manual optimisation, which is how Lightning's own examples train a GAN."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader, IterableDataset

from ganlab import data
from ganlab.nets import mlp
from ganlab.workers import Meter

BATCH = 256


def loop(meter: Meter) -> None:
    """One step is a piece of work; two losses are logged in each, checkpoints, progress bar and logger are off."""
    trainer = lightning.Trainer(
        accelerator="cpu", devices=1, max_steps=-1, max_epochs=-1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(RingGAN(meter), DataLoader(Batches(), batch_size=None))


class Batches(IterableDataset[Tensor]):
    """Real batches for ever."""

    def __iter__(self) -> Iterator[Tensor]:
        ring, generator = data.get("ring8"), torch.Generator().manual_seed(0)
        while True:
            yield ring.sample(BATCH, generator)


class RingGAN(lightning.LightningModule):
    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.meter = meter
        self.generator, self.discriminator = mlp(2, 2), mlp(2, 1)

    def configure_optimizers(self) -> Any:
        nets: list[nn.Module] = [self.generator, self.discriminator]
        return [torch.optim.Adam(net.parameters(), lr=1e-3, betas=(0.5, 0.999)) for net in nets]

    def training_step(self, real: Tensor, _: int) -> None:
        optimizer_g, optimizer_d = self.optimizers()
        one, zero = torch.ones(len(real), 1), torch.zeros(len(real), 1)

        fake = self.generator(torch.randn(len(real), 2)).detach()
        d_loss = binary_cross_entropy_with_logits(self.discriminator(real), one)
        d_loss = d_loss + binary_cross_entropy_with_logits(self.discriminator(fake), zero)
        optimizer_d.zero_grad()
        self.manual_backward(d_loss)
        optimizer_d.step()

        g_loss = binary_cross_entropy_with_logits(self.discriminator(self.generator(torch.randn(len(real), 2))), one)
        optimizer_g.zero_grad()
        self.manual_backward(g_loss)
        optimizer_g.step()

        self.log("d_loss", d_loss)
        self.log("g_loss", g_loss)
        self.meter(1)
