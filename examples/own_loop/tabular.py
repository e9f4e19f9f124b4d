"""GAN for a table: ten measures of breast cancer cells, for rows that are nobody's.

With 400 patients it takes some care: square roots, so that no column has a long tail; R1 and rates that fall, so that no part
of the data is lost and samples come to rest; and an end before the discriminator knows the patients by heart.

`--broken` trains on 10 patients in place of 400. The discriminator learns them by heart, and the generator repeats them:
discriminator overfitting and memorisation. Both are seen only because some patients are held out.
"""

import torch
import tyro
from sklearn.datasets import load_breast_cancer
from torch import nn

import ganlab


def main(broken: bool = False, steps: int = 800, seed: int = 0, page: str = "tabular.html"):
    torch.manual_seed(seed)
    batch_size, latent_size, r1, n_train = 64, 16, 3.0, 10 if broken else 400

    table = torch.tensor(load_breast_cancer().data[:, :10], dtype=torch.float32).sqrt()  # of each measure's mean over cells
    table = table[torch.randperm(len(table))]
    train, held_out = table[:n_train], table[400:]
    mean, std = train.mean(0), train.std(0)
    train, held_out = (train - mean) / std, (held_out - mean) / std
    n_columns = train.shape[1]

    generator = nn.Sequential(nn.Linear(latent_size, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, n_columns))
    discriminator = nn.Sequential(
        nn.Linear(n_columns, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1)
    )
    g_optimizer = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.0, 0.99))
    d_optimizer = torch.optim.Adam(discriminator.parameters(), lr=2e-3, betas=(0.0, 0.99))
    slower = [torch.optim.lr_scheduler.ExponentialLR(o, 0.01 ** (1 / steps)) for o in (g_optimizer, d_optimizer)]
    loss, ones, zeros = nn.BCEWithLogitsLoss(), torch.ones(batch_size, 1), torch.zeros(batch_size, 1)

    # cost=1 looks as often as asked; the default of 5 % of the time is for long runs
    recorder = ganlab.Recorder(generator, discriminator, train, held_out=held_out, every=50, seed=seed, check=True, cost=1)
    for step in range(steps):
        real = train[torch.randint(n_train, (batch_size,))].requires_grad_()
        fake = generator(torch.randn(batch_size, latent_size))

        of_real = discriminator(real)
        (slope,) = torch.autograd.grad(of_real.sum(), real, create_graph=True)
        d_loss = loss(of_real, ones) + loss(discriminator(fake.detach()), zeros)
        d_loss = d_loss + r1 / 2 * slope.square().sum(1).mean()  # R1 keeps the players from circling
        d_optimizer.zero_grad()
        d_loss.backward()
        d_optimizer.step()

        g_loss = loss(discriminator(fake), ones)
        g_optimizer.zero_grad()
        g_loss.backward()
        g_optimizer.step()

        for schedule in slower:
            schedule.step()
        recorder.record(step, real, d_loss=d_loss, g_loss=g_loss)

    rows = (mean + std * generator(torch.randn(5, latent_size)).detach()).square()
    print("five lumps that nobody has: radius, texture, perimeter, area")
    for row in rows[:, :4].tolist():
        print("  ", *(f"{x:8.1f}" for x in row))
    print(recorder.verdicts(), *recorder.mistakes, sep="\n")
    print("page:", ganlab.report(recorder.run, page))
    return recorder


if __name__ == "__main__":
    tyro.cli(main)
