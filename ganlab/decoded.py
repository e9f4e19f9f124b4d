"""What is read off an autoencoder and kept to be looked at: losses on training and test images, samples, codes, a map.

Samples are shown to the probes that look at a GAN's. `autoencoders.py` decides when.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor

from ganlab import rng
from ganlab.coders import Coder, principal
from ganlab.data.images import LabelledImages, scaled
from ganlab.engine import MAPS, stack
from ganlab.experiment import Member
from ganlab.optim import Numbers
from ganlab.probes import WHOLE
from ganlab.trace import SLICED
from ganlab.watch import Samples, cells_in_place_of_modes, readings_of

FITTED = 2000
"""Most training images to whose codes a Gaussian is fitted: the first ones, which is all of `digits`."""

MAPPED, REBUILT, SIDE = 1000, 64, 12
"""Most test images whose codes are kept, and that are kept with what becomes of them; images on each side of the grid."""


def brightness(x: Tensor, low: float) -> Tensor:
    """Return images whose black is `low` with 0 for black; white stays 1."""
    return (x - low) / (1 - low)


class Looks(NamedTuple):
    """What a look takes, from the evaluation stream: the same at every look, and for GANs of the same seed."""

    real: Tensor
    """Training images to measure samples against."""
    held_out: Tensor
    """As many that training does not see."""
    latent: Tensor
    """Standard normal numbers that become samples, `[n, latent]`."""
    noise: Tensor
    """Those that draw the codes of `real` and `held_out`."""
    cells: Any
    """Cells of the data, see `ganlab.metrics.cells`."""


def evaluation(images: LabelledImages, settings: Mapping[str, Any], members: Sequence[Member]) -> Looks:
    """Return what looks take, leaves `[member, ...]`; real images are those of a GAN with the same evaluation."""
    n, latent = settings["evaluation"], settings["latent"]
    cells = cells_in_place_of_modes(images, n)

    def of(member: Member) -> Looks:
        generator = rng.stream(member.seed, "evaluation")
        real = images.sample(max(n, settings["batch"]), generator)[: min(n, SLICED)]
        held = images.held_out(len(real), generator)
        return Looks(real, held, rng.normal((n, latent), generator), rng.normal((len(real), latent), generator), cells)

    looks: Looks = stack([of(member) for member in members])
    return looks


def look(
    coder: Coder, images: LabelledImages, seen: Tensor, theta: Tensor, looks: Looks, numbers: Numbers, before: Any = ()
) -> tuple[dict[Any, Tensor], Tensor, Tensor]:
    """Return the readings of one member, its samples `[n, *shape]`, and their profile, which is `before` next time.

    Parameters
    ----------
    seen
        Training images in brightness, to whose codes a Gaussian is fitted where samples come from one.
    """
    low = images.low
    readings: dict[Any, Tensor] = {}
    for part, x in (("train", brightness(looks.real, low)), ("test", brightness(looks.held_out, low))):
        terms = {name: term.mean() for name, term in coder.model.terms(coder, theta, x, looks.noise, numbers).items()}
        terms["rmse"] = (coder.rebuilt(theta, x) - x).square().mean().sqrt()
        readings |= {(f"{part}_{name}", WHOLE): term[None] for name, term in terms.items()}
    sound = torch.isfinite(theta).all()  # what ends in a sigmoid makes an image of anything
    fake = coder.images(theta, coder.model.latents(coder, theta, seen, looks.latent)) * (1 - low) + low
    fake = torch.where(sound, fake, torch.nan)
    samples = Samples(images, fake, looks.real, before, looks.cells)
    readings = {key: torch.where(sound, value, torch.nan) for key, value in readings.items()}
    return readings | readings_of(samples, "samples"), fake, samples.profile


@torch.no_grad()
def kept(coder: Coder, images: LabelledImages, theta: Tensor, seen: Tensor) -> dict[str, NDArray[Any]]:
    """Return what is kept to look at, for weights `[member, parameter]`.

    Of the first test images `originals [n, *shape]`, `rebuilt [member, n, *shape]`, and of more of them `codes [member, n,
    latent]` and `labels [n]`; where codes have two numbers `atlas [member, image, *shape]`, decoded from `quantiles`.
    """
    tested, low = scaled(images.test[:MAPPED], 0.0).to(seen), images.low

    def of(theta: Tensor) -> dict[str, Tensor]:
        found = {"codes": coder.codes(theta, tested), "rebuilt": coder.rebuilt(theta, tested[:REBUILT]) * (1 - low) + low}
        if coder.latent == 2:
            places = coder.model.latents(coder, theta, seen, quantiles(seen))
            found["atlas"] = coder.images(theta, places) * (1 - low) + low
        return found

    shared = {"originals": tested[:REBUILT] * (1 - low) + low, "labels": images.test_labels[:MAPPED]}
    return {name: array.numpy() for name, array in (MAPS["loop"](of)(theta) | shared).items()}


def references(coder: Coder, images: LabelledImages, looks: Looks, numbers: Numbers) -> dict[Any, Tensor]:
    """Return how well PCA with as many numbers does on each member's held-out images, as readings `[member, 1]`."""
    found = principal(scaled(images.train, 0.0).flatten(1).double(), coder.latent)
    held = brightness(looks.held_out, images.low).flatten(2).double()
    readings: dict[Any, Tensor] = {}
    off = (found.rebuilt(held) - held).square().mean((1, 2)).sqrt()
    readings["reference_rmse", ("PCA",)] = off[:, None]
    if "noise" in numbers:
        said = [found.log_likelihood(x, noise).mean() for x, noise in zip(held, numbers["noise"].double(), strict=True)]
        readings["reference_log_likelihood", ("probabilistic PCA",)] = torch.stack(said)[:, None]
    return readings


def quantiles(like: Tensor) -> Tensor:
    """Return the `SIDE` x `SIDE` places at equal quantiles of the standard normal law on the plane, `[place, 2]`.

    Row by row from above, as an image is read.

    Source: Kingma and Welling 2014, figure 4.
    """
    z = torch.special.ndtri((torch.arange(SIDE, dtype=torch.float64) + 0.5) / SIDE)
    return torch.cartesian_prod(-z, z).flip(1).to(like)
