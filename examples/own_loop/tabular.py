"""GAN for a table: ten measures of breast cancer cells, for rows that are nobody's.

`--broken` trains on 10 patients in place of 400. The discriminator learns them by heart, and the generator repeats them:
discriminator overfitting and memorisation. Both are seen only because some patients are held out. With 400 the generator copies
nobody; but they are not many either, and on some seeds the discriminator is a little surer of them than of those held out, part
of the data is lost, or samples still move at the end.
"""

import torch
import tyro
from sklearn.datasets import load_breast_cancer
from torch import nn

import ganlab


def main(broken: bool = False, steps: int = 1500, seed: int = 0, page: str = "tabular.html"):
    torch.manual_seed(seed)
    batch_size, latent_size, n_train = 64, 16, 10 if broken else 400

    table = torch.tensor(load_breast_cancer().data[:, :10], dtype=torch.float32)  # the mean of each measure over a lump's cells
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
    slower = [torch.optim.lr_scheduler.LinearLR(o, 1, 0, steps) for o in (g_optimizer, d_optimizer)]
    loss, ones, zeros = nn.BCEWithLogitsLoss(), torch.ones(batch_size, 1), torch.zeros(batch_size, 1)

    # cost=1 looks as often as asked; the default of 5 % of the time is for long runs
    recorder = ganlab.Recorder(generator, discriminator, train, held_out=held_out, every=50, seed=seed, check=True, cost=1)
    for step in range(steps):
        real = train[torch.randint(n_train, (batch_size,))]
        fake = generator(torch.randn(batch_size, latent_size))

        d_loss = loss(discriminator(real), ones) + loss(discriminator(fake.detach()), zeros)
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

    rows = mean + std * generator(torch.randn(5, latent_size)).detach()
    print("five lumps that nobody has: radius, texture, perimeter, area")
    for row in rows[:, :4].tolist():
        print("  ", *(f"{x:8.1f}" for x in row))
    print(recorder.verdicts(), *recorder.mistakes, sep="\n")
    print("page:", ganlab.report(recorder.run, page))
    return recorder


if __name__ == "__main__":
    tyro.cli(main)
