"""A GAN as a Lightning module, on two moons: the recorder is a callback. Needs `pip install lightning`.

Rates fall to a hundredth, without which the samples still move at the end: non-convergence. `--broken` forgets to detach the
fakes in the discriminator's loss, whose gradient then enters the generator's update (L103): it is taught to help its opponent.
"""

import torch
import tyro
from sklearn.datasets import make_moons
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader, TensorDataset

import ganlab
from ganlab.integrations import LightningCallback


def net(n_in, n_out):
    return nn.Sequential(nn.Linear(n_in, 64), nn.ELU(), nn.Linear(64, 64), nn.ELU(), nn.Linear(64, n_out))


def main(broken: bool = False, epochs: int = 10, seed: int = 0, page: str = "lightning.html"):
    try:
        import lightning
    except ImportError:
        raise SystemExit("this example needs Lightning: pip install lightning") from None

    class GAN(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False
            self.generator, self.discriminator = net(4, 2), net(2, 1)

        def configure_optimizers(self):
            rates = ((self.generator, 1e-3), (self.discriminator, 3e-3))
            optimizers = [torch.optim.Adam(net.parameters(), lr=lr, betas=(0.0, 0.99)) for net, lr in rates]
            fall = 0.01 ** (1 / (epochs * len(loader)))  # to a hundredth at the end
            return optimizers, [torch.optim.lr_scheduler.ExponentialLR(optimizer, fall) for optimizer in optimizers]

        def training_step(self, batch, batch_idx):
            (real,) = batch
            ones, zeros = torch.ones(len(real), 1), torch.zeros(len(real), 1)
            for optimizer in self.optimizers():
                optimizer.zero_grad()
            g_optimizer, d_optimizer = self.optimizers()
            fake = self.generator(torch.randn(len(real), 4))
            fake = fake if broken else fake.detach()
            d_loss = binary_cross_entropy_with_logits(self.discriminator(real), ones)
            d_loss = d_loss + binary_cross_entropy_with_logits(self.discriminator(fake), zeros)
            self.manual_backward(d_loss)
            d_optimizer.step()

            fake = self.generator(torch.randn(len(real), 4))
            g_loss = binary_cross_entropy_with_logits(self.discriminator(fake), ones)
            self.manual_backward(g_loss)
            g_optimizer.step()
            for schedule in self.lr_schedulers():
                schedule.step()
            return {"d_loss": d_loss.detach(), "g_loss": g_loss.detach()}

    torch.manual_seed(seed)
    points = torch.tensor(make_moons(6400, noise=0.05, random_state=seed)[0], dtype=torch.float32)
    points = (points - points.mean(0)) / points.std(0)
    loader = DataLoader(TensorDataset(points), batch_size=64, shuffle=True)

    # cost=1 looks as often as asked; the default of 5 % of the time is for long runs
    callback = LightningCallback(data=points, latent=4, every=50, seed=seed, check=True, cost=1)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = lightning.Trainer(max_epochs=epochs, accelerator="cpu", callbacks=[callback], **quiet)
    trainer.fit(GAN(), loader)

    print(callback.recorder.verdicts(), *callback.recorder.mistakes, sep="\n")
    print("page:", ganlab.report(callback.run, page))
    return callback.recorder


if __name__ == "__main__":
    tyro.cli(main)
