"""GAN example 1 in a loop of one's own: vectors of ten numbers that follow a normal distribution.

Widths and activations are the lecture's. Changed, so that a thousand steps end in rest: scaled data, R1, Adam with rates that
fall in place of descent with momentum, larger batches and normal latents.

`--broken` leaves the vectors as the lecture has them, of mean 4 and standard deviation 0.2: data far from the generator's own
scale. It finds the mean, chases the rest round and round, and loses parts of the data: mode collapse, and non-convergence.
"""

import torch
import tyro
from torch import nn

import ganlab


def main(broken: bool = False, steps: int = 1000, seed: int = 0, page: str = "vectors.html"):
    torch.manual_seed(seed)
    batch_size, vector_size, latent_size, r1 = 128, 10, 10, 0.1
    mean, std = (4.0, 0.2) if broken else (0.0, 1.0)

    def get_data_samples(n):
        return mean + std * torch.randn(n, vector_size)

    def read_latent_space(n):
        return torch.randn(n, latent_size)

    # 0. Create ANNs
    generator = nn.Sequential(
        nn.Linear(latent_size, 150), nn.SELU(), nn.Linear(150, 150), nn.SELU(), nn.Linear(150, vector_size)
    )
    discriminator = nn.Sequential(nn.Linear(vector_size, 75), nn.ELU(), nn.Linear(75, 75), nn.ELU(), nn.Linear(75, 1))
    g_optimizer = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.0, 0.99))
    d_optimizer = torch.optim.Adam(discriminator.parameters(), lr=5e-3, betas=(0.0, 0.99))
    slower = [torch.optim.lr_scheduler.LinearLR(o, 1, 0, steps) for o in (g_optimizer, d_optimizer)]
    loss, real, fake = nn.BCEWithLogitsLoss(), torch.ones(batch_size, 1), torch.zeros(batch_size, 1)

    # cost=1 looks as often as asked; the default of 5 % of the time is for long runs
    recorder = ganlab.Recorder(generator, discriminator, get_data_samples(5000), every=50, seed=seed, check=True, cost=1)
    for step in range(steps):
        # 1. Train the discriminator, on real data and on data produced by the generator
        discriminator.zero_grad()
        data = get_data_samples(batch_size).requires_grad_()
        d_real_out = discriminator(data)
        (slope,) = torch.autograd.grad(d_real_out.sum(), data, create_graph=True)
        d_real_loss = loss(d_real_out, real) + r1 / 2 * slope.square().sum(1).mean()  # R1 keeps the players from circling
        d_real_loss.backward()
        samples = generator(read_latent_space(batch_size)).detach()
        d_fake_loss = loss(discriminator(samples), fake)
        d_fake_loss.backward()
        d_optimizer.step()

        # 2. Train the generator
        generator.zero_grad()
        g_loss = loss(discriminator(generator(read_latent_space(batch_size))), real)
        g_loss.backward()
        g_optimizer.step()

        for schedule in slower:
            schedule.step()
        recorder.record(step, d_loss=d_real_loss + d_fake_loss, g_loss=g_loss)

    x = generator(read_latent_space(1000)).detach()
    print(f"mean {x.mean():.2f} ({mean:g}), standard deviation {x.std(0).mean():.2f} ({std:g})")
    print(recorder.verdicts(), *recorder.mistakes, sep="\n")
    print("page:", ganlab.report(recorder.run, page))
    return recorder


if __name__ == "__main__":
    tyro.cli(main)
