"""Autoencoders, variational autoencoders and a GAN on handwritten digits, on the same seeds and by the same measures."""

from __future__ import annotations

from typing import Any

from ganlab import planning
from ganlab.autoencoders import plan
from ganlab.data.images import mnist_is_here
from ganlab.experiment import Experiment

SMALL: dict[str, Any] = {"latent": 8, "hidden": (128,), "batch": 32, "lr": 3e-3}
LARGE: dict[str, Any] = {"latent": 16, "hidden": (512,), "batch": 128, "lr": 1e-3}
"""Codes and nets for images of 8 x 8, and for those of MNIST."""

VAE: dict[str, Any] = {"likelihood": "gaussian", "noise": 0.2}
"""Pixels lie around the decoder's image with this standard deviation of brightness, a little more than they are off by."""

GAN: dict[str, Any] = {"average": 0.99, "lr": 2e-3, "beta1": 0.0, "beta2": 0.99, "generator": {"output": "tanh"}}
"""R3GAN with a running mean of its generator, which comes nearer to these images than example 3's GANs do."""

SMALL_GAN: dict[str, Any] = {"latent": 16, "hidden": (64, 64), "batch": 32}
LARGE_GAN: dict[str, Any] = {"latent": 64, "hidden": (256, 256), "batch": 128}

PROFILES: dict[str, dict[str, Any]] = {
    "quick": {"seeds": 20, "steps": 600, "gan_steps": 500, "flat_steps": 400, "evaluation": 256},
    "standard": {"seeds": 20, "steps": 1500, "gan_steps": 1000, "flat_steps": 1000, "evaluation": 1000},
    "full": {"seeds": 40, "steps": 20_000, "gan_steps": 20_000, "flat_steps": 20_000, "evaluation": 1000},
}
"""Steps of the autoencoders, of the GAN, and of the autoencoders with codes of two numbers, which can be drawn as a map.

Standard trains for about a core-hour on MNIST: 27 ms a step and seed with autoencoders, 54 ms with the GAN. Quick leaves MNIST
out, since comparing samples with its 60 000 images alone takes some ten core-seconds a seed.
"""


def experiments(profile: str) -> list[Experiment]:
    """Return autoencoder, VAE and GAN, then an autoencoder and a VAE with two numbers a code: on MNIST where it is on disk."""
    p = PROFILES[profile]
    large = profile != "quick" and mnist_is_here()
    data, nets, gan_nets = ("mnist", LARGE, LARGE_GAN) if large else ("digits", SMALL, SMALL_GAN)
    usual = {"seeds": p["seeds"], "evaluation": p["evaluation"], "decoder": {"output": "sigmoid"}}

    def pair(steps: int, **settings: Any) -> list[Experiment]:
        shared = {**usual, "steps": steps, "every": steps // 8, **settings}
        return [plan("autoencoder", data, **shared), plan("vae", data, **shared, **VAE)]

    steps, flat_steps = p["gan_steps"], p["flat_steps"]
    of_gan = {"seeds": p["seeds"], "evaluation": p["evaluation"], "steps": steps, "every": steps // 8}
    gan = planning.plan("r3gan", data, **GAN, **gan_nets, **of_gan)
    return [*pair(p["steps"], **nets), gan, *pair(flat_steps, **{**nets, "latent": 2, "every": flat_steps})]
