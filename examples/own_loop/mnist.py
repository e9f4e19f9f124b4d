"""GAN example 3 in a loop of one's own: handwritten digits by perceptrons; scikit-learn's, of 8 x 8 pixels, without MNIST.

`--broken` leaves the pixels in [0, 1], as ToTensor gives them, while the generator ends in tanh: half of its range has no data,
and the discriminator needs no more than that (L401). A few hundred steps make no good digits in either, and samples still
move (non-convergence).
"""

import torch
import tyro
from torch import nn

import ganlab
from ganlab.data.images import digits, mnist, mnist_is_here


def main(broken: bool = False, steps: int = 300, seed: int = 0, page: str = "mnist.html"):
    torch.manual_seed(seed)
    batch_size, latent_size = 64, 100
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
        nn.Linear(image_size, 512), nn.LeakyReLU(0.2), nn.Linear(512, 256), nn.LeakyReLU(0.2), nn.Linear(256, 1), nn.Sigmoid()
    )
    g_optimizer = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    d_optimizer = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    loss, real, fake = nn.BCELoss(), torch.ones(batch_size, 1), torch.zeros(batch_size, 1)

    # cost=1 looks as often as asked; the default of 5 % of the time is for long runs
    recorder = ganlab.Recorder(generator, discriminator, images[:5000], every=25, seed=seed, check=True, cost=1)
    for step in range(steps):
        # 1. Train the discriminator, on real data and on data produced by the generator
        discriminator.zero_grad()
        d_real_loss = loss(discriminator(get_data_samples(batch_size)), real)
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

        recorder.record(step, d_loss=d_real_loss + d_fake_loss, g_loss=g_loss)

    print(recorder.verdicts(), *recorder.mistakes, sep="\n")
    print("page:", ganlab.report(recorder.run, page))
    return recorder


if __name__ == "__main__":
    tyro.cli(main)
