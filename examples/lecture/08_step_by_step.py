"""GAN training on a line, step by step: algorithm 1 with k steps of the discriminator."""

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

torch.manual_seed(0)
generator = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1))
discriminator = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 1))
g_optimizer = torch.optim.Adam(generator.parameters(), lr=3e-3, betas=(0.5, 0.999))
d_optimizer = torch.optim.Adam(discriminator.parameters(), lr=1e-2, betas=(0.5, 0.999))
m, k = 64, 1  # batch, and steps of the discriminator: try k = 5
real, fake = torch.ones(m, 1), torch.zeros(m, 1)


def data():
    return 3 + torch.randn(m, 1)


def noise():
    return torch.randn(m, 1)


for step in range(301):
    # 1. Train the discriminator
    for _ in range(k):
        d_loss = binary_cross_entropy_with_logits(discriminator(data()), real)
        d_loss = d_loss + binary_cross_entropy_with_logits(discriminator(generator(noise()).detach()), fake)
        d_optimizer.zero_grad()
        d_loss.backward()
        d_optimizer.step()

    # 2. Train the generator: it wants its fakes to be taken for real
    g_loss = binary_cross_entropy_with_logits(discriminator(generator(noise())), real)
    g_optimizer.zero_grad()
    g_loss.backward()
    g_optimizer.step()

    if step % 100 == 0:
        with torch.no_grad():
            x = generator(torch.randn(1000, 1))
            d = discriminator(x).sigmoid().mean()
            print(f"step {step}: fakes {x.mean():.2f} +- {x.std():.2f} (data 3 +- 1), D(fake) {d:.2f}")
