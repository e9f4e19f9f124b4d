"""GAN example 2 in a loop of one's own: points (x, y) that belong to a line, with the loss of algorithm 1.

Line, widths and activations are the lecture's. Changed, so that a thousand steps end in rest and not in points that slide along
the line: Adam in place of descent with momentum, rates that fall to a hundredth, and normal latents.

`--broken` is the lecture's own test: the generator is frozen early and the discriminator is trained on. It becomes certain, and
log(1 - D(G(z))) tells the generator nothing any more: vanishing gradients.
"""

import torch
import tyro
from torch import nn

import ganlab


def main(broken: bool = False, steps: int = 1000, seed: int = 0, page: str = "line.html"):
    torch.manual_seed(seed)
    batch_size, latent_size = 30, 5
    frozen_from = 10 if broken else steps

    def get_data_samples(n):
        x = torch.linspace(2.5, 7.5, n)
        return torch.stack([x, x], dim=1)

    def read_latent_space(n):
        return torch.randn(n, latent_size)

    # 0. Create ANNs
    generator = nn.Sequential(nn.Linear(latent_size, 75), nn.SELU(), nn.Linear(75, 75), nn.SELU(), nn.Linear(75, 2))
    discriminator = nn.Sequential(nn.Linear(2, 75), nn.ELU(), nn.Linear(75, 75), nn.ELU(), nn.Linear(75, 1), nn.Sigmoid())
    g_optimizer = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.0, 0.99))
    d_optimizer = torch.optim.Adam(discriminator.parameters(), lr=2e-3, betas=(0.0, 0.99))
    slower = [torch.optim.lr_scheduler.ExponentialLR(o, 0.01 ** (1 / steps)) for o in (g_optimizer, d_optimizer)]
    loss, real, fake = nn.BCELoss(), torch.ones(batch_size, 1), torch.zeros(batch_size, 1)

    # cost=1 looks as often as asked; the default of 5 % of the time is for long runs
    recorder = ganlab.Recorder(
        generator, discriminator, get_data_samples(1000), objective="minimax", every=25, seed=seed, check=True, cost=1
    )
    for step in range(steps):
        # 1. Train the discriminator, on real data and on data produced by the generator
        discriminator.zero_grad()
        d_real_loss = loss(discriminator(get_data_samples(batch_size)), real)
        d_real_loss.backward()
        samples = generator(read_latent_space(batch_size)).detach()
        d_fake_loss = loss(discriminator(samples), fake)
        d_fake_loss.backward()
        d_optimizer.step()

        # 2. Train the generator, which descends log(1 - D(G(z)))
        generator.zero_grad()
        g_loss = -loss(discriminator(generator(read_latent_space(batch_size))), fake)
        if step < frozen_from:
            g_loss.backward()
            g_optimizer.step()

        for schedule in slower:
            schedule.step()
        recorder.record(step, d_loss=d_real_loss + d_fake_loss, g_loss=g_loss)

    x = generator(read_latent_space(1000)).detach()
    print(f"distance from the line {(x[:, 0] - x[:, 1]).abs().mean() / 2**0.5:.2f}")
    print(recorder.verdicts(), *recorder.mistakes, sep="\n")
    print("page:", ganlab.report(recorder.run, page))
    return recorder


if __name__ == "__main__":
    tyro.cli(main)
