"""The lecture, autoencoder and variational autoencoder: digits through two numbers and back, and new digits from nothing.

Try: 8 numbers a code, beta = 10, or leave out the noise that a VAE adds to its codes.
"""

import torch
from sklearn.datasets import load_digits
from torch import nn

from ganlab import autoencoders, stats, trace

# The data: 1797 images of 8 x 8 pixels, from 0 (black) to 1 (white); the last 360 are never trained on
x = torch.tensor(load_digits().data / 16, dtype=torch.float32)
x_train, x_test = x[:-360], x[-360:]
latent, noise, beta = 2, 0.2, 1.0


def nets(n_out):
    """An encoder that says n_out numbers of an image, and a decoder."""
    encoder = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, n_out))
    decoder = nn.Sequential(nn.Linear(latent, 128), nn.ReLU(), nn.Linear(128, 64), nn.Sigmoid())
    return encoder, decoder


def train(encoder, decoder, loss, steps=200):
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=3e-3)
    for step in range(steps):
        value = loss(x_train[torch.randint(len(x_train), (64,))])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        if step % 100 == 0:
            print(f"  step {step:3}: loss {value.item():.2f}")


torch.manual_seed(0)

print("autoencoder: the squared error of what comes back")
encoder, decoder = nets(latent)
train(encoder, decoder, lambda x: (decoder(encoder(x)) - x).square().sum(1).mean())
print(f"  off by {(decoder(encoder(x_test)) - x_test).square().mean().sqrt():.3f} on digits it never saw")

print("VAE: codes are drawn, and cost what they tell")
encoder, decoder = nets(2 * latent)


def negative_elbo(x):
    mean, log_variance = encoder(x).chunk(2, 1)
    z = mean + (log_variance / 2).exp() * torch.randn(len(x), latent)
    log_likelihood = torch.distributions.Normal(decoder(z), noise).log_prob(x).sum(1)
    kl = 0.5 * (mean**2 + log_variance.exp() - log_variance - 1).sum(1)
    return (beta * kl - log_likelihood).mean()


train(encoder, decoder, negative_elbo)
print(f"  ELBO {-negative_elbo(x_test).item():.1f} nats an image; a new digit:")
for row in decoder(torch.randn(1, latent)).reshape(8, 8):
    print("    " + "".join(" .:-=+*#@"[round(8 * pixel.item())] * 2 for pixel in row))

# The same for four seeds at once, with what a GAN's samples are judged by
for model in ("autoencoder", "vae"):
    settings = {"likelihood": "gaussian", "noise": noise} if model == "vae" else {}
    run = autoencoders.run(
        model, seeds=4, steps=200, every=200, hidden=(128,), decoder={"output": "sigmoid"}, lr=3e-3, evaluation=256, **settings
    )
    off, distance = (stats.mean(trace.last(run.trace, name)) for name in ("test_rmse", "distance"))
    print(f"{model}: off by {off}, samples {distance} standard deviations from the data")
