"""DCGAN on handwritten digits; scikit-learn's, of 8 x 8 pixels made 16 x 16, without MNIST.

The tutorial's nets and loop, made small for a CPU, with rates that fall along half a cosine: where they fall faster, or
training is shorter, a part of the digits is not made yet. Of scikit-learn's there are so few that the discriminator tells all
of them from samples, and a part of the digits is lost on some seeds (mode collapse).

`--broken` puts the generator into eval mode to draw a picture of its progress, and forgets to put it back: from then on its
batch norm takes running means in place of the batch's (L201).
"""

import torch
import tyro
from torch import nn
from torch.nn.functional import interpolate

import ganlab
from ganlab.data.images import digits, mnist, mnist_is_here


def main(broken: bool = False, steps: int = 1000, seed: int = 0, page: str = "dcgan.html"):
    torch.manual_seed(seed)
    nz, width, batch_size = 32, 16, 32
    pixels = (mnist() if mnist_is_here() else digits()).train[:5000, None].float()
    images = interpolate(pixels, size=16, mode="bilinear") / 127.5 - 1  # small, for a CPU

    netG = nn.Sequential(
        nn.ConvTranspose2d(nz, 2 * width, 4, bias=False), nn.BatchNorm2d(2 * width), nn.ReLU(),
        nn.ConvTranspose2d(2 * width, width, 4, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        nn.ConvTranspose2d(width, 1, 4, 2, 1), nn.Tanh(),
    )  # fmt: skip
    netD = nn.Sequential(
        nn.Conv2d(1, width, 4, 2, 1), nn.LeakyReLU(0.2),
        nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * width), nn.LeakyReLU(0.2),
        nn.Conv2d(2 * width, 1, 4), nn.Flatten(0),
    )  # fmt: skip
    optimizerG = torch.optim.Adam(netG.parameters(), lr=1e-3, betas=(0.5, 0.999))
    optimizerD = torch.optim.Adam(netD.parameters(), lr=1e-3, betas=(0.5, 0.999))
    schedulers = [torch.optim.lr_scheduler.CosineAnnealingLR(o, steps) for o in (optimizerG, optimizerD)]
    criterion, ones, zeros = nn.BCEWithLogitsLoss(), torch.ones(batch_size), torch.zeros(batch_size)
    fixed_noise = torch.randn(8, nz, 1, 1)

    # cost=1 looks as often as asked; the default of 5 % of the time is for long runs
    recorder = ganlab.Recorder(netG, netD, images, latent=(nz, 1, 1), every=50, seed=seed, check=True, cost=1)
    for step in range(steps):
        # D: maximise log D(x) + log(1 - D(G(z)))
        netD.zero_grad()
        real = images[torch.randint(len(images), (batch_size,))]
        errD_real = criterion(netD(real), ones)
        errD_real.backward()
        fake = netG(torch.randn(batch_size, nz, 1, 1))
        errD_fake = criterion(netD(fake.detach()), zeros)
        errD_fake.backward()
        optimizerD.step()

        # G: maximise log D(G(z))
        netG.zero_grad()
        errG = criterion(netD(fake), ones)
        errG.backward()
        optimizerG.step()

        for scheduler in schedulers:
            scheduler.step()
        recorder.record(step, real, d_loss=errD_real + errD_fake, g_loss=errG)
        if step % 100 == 0:
            netG.eval()
            with torch.no_grad():
                progress = netG(fixed_noise)
            netG.train(not broken)

    for row in progress[0, 0].tolist():
        print("  " + "".join(" .:-=+*#@"[round(4 * (x + 1))] * 2 for x in row))
    print(recorder.verdicts(), *recorder.mistakes, sep="\n")
    print("page:", ganlab.report(recorder.run, page))
    return recorder


if __name__ == "__main__":
    tyro.cli(main)
