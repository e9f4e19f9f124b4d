"""GAN example 3 in a loop of one's own: handwritten digits by perceptrons; scikit-learn's, of 8 x 8 pixels, without MNIST.

The lecture trains for 50 epochs at rates of 2e-4. After a few hundred steps of that samples still move: non-convergence.
Changed: R1, rates that fall from 1e-3 to a hundredth, and a generator without its widest layer. It then comes to rest, at
digits that are still rough: these are few steps.

`--broken` leaves the pixels in [0, 1], as ToTensor gives them, while the generator ends in tanh: half of its range has no data,
and the discriminator needs no more than that (L401).
"""

import torch
import tyro
from torch import nn

import ganlab
from ganlab.data.images import digits, mnist, mnist_is_here


def main(broken: bool = False, steps: int = 800, seed: int = 0, page: str = "mnist.html"):
    torch.manual_seed(seed)
    batch_size, latent_size, r1 = 64, 100, 1.0
    pixels = (mnist() if mnist_is_here() else digits()).train.flatten(1) / 255
    images = pixels if broken else 2 * pixels - 1
    image_size = images.shape[1]

    def get_data_samples(n):
        return images[torch.randint(len(images), (n,))]

    def read_latent_space(n):
        return torch.randn(n, latent_size)

    # 0. Create ANNs
    generator = nn.Sequential(
        nn.Linear(latent_size, 128), nn.LeakyReLU(0.2),
        nn.Linear(128, 256), nn.BatchNorm1d(256), nn.LeakyReLU(0.2),
        nn.Linear(256, 512), nn.BatchNorm1d(512), nn.LeakyReLU(0.2),
        nn.Linear(512, image_size), nn.Tanh(),
    )  # fmt: skip
    discriminator = nn.Sequential(
        nn.Linear(image_size, 512), nn.LeakyReLU(0.2), nn.Linear(512, 256), nn.LeakyReLU(0.2), nn.Linear(256, 1)
    )
    g_optimizer = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.0, 0.99))
    d_optimizer = torch.optim.Adam(discriminator.parameters(), lr=1e-3, betas=(0.0, 0.99))
    slower = [torch.optim.lr_scheduler.ExponentialLR(o, 0.01 ** (1 / steps)) for o in (g_optimizer, d_optimizer)]
    loss, real, fake = nn.BCEWithLogitsLoss(), torch.ones(batch_size, 1), torch.zeros(batch_size, 1)

    # cost=1 looks as often as asked; the default of 5 % of the time is for long runs
    recorder = ganlab.Recorder(generator, discriminator, images[:5000], every=50, seed=seed, check=True, cost=1)
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

    print(recorder.verdicts(), *recorder.mistakes, sep="\n")
    print("page:", ganlab.report(recorder.run, page))
    return recorder


if __name__ == "__main__":
    tyro.cli(main)
