"""The table of named GANs: a line each, with its paper. What a line does not say is in `DEFAULTS`.

The numbers here are common to all variants on purpose: with equal nets, batches and learning rates, a difference between two
variants is a difference between their objectives and penalties. An objective's own name is a variant too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ganlab.objectives import OBJECTIVES
from ganlab.registry import InputError, Registry, unknown

VARIANTS: Registry[Mapping[str, Any]] = Registry("variant")

STRUCTURE: Mapping[str, Any] = {
    "objective": "non_saturating",
    "update": "alternating",
    "optimizer": "adam",
    "n_critic": 1,
    "batch": 256,
    "latent": 16,
    "hidden": (128, 128),
    "activation": "relu",
    "evaluation": 2500,
}
"""What is the same for all members of a run. `evaluation`: samples per look of the probes, as in VEEGAN and PacGAN."""

NUMBERS: Mapping[str, float | None] = {
    "lr": 1e-3,
    "lr_discriminator": None,
    "beta1": 0.5,
    "beta2": 0.999,
    "epsilon": 1e-8,
    "momentum": 0.0,
    "decay": 0.99,
}
"""What may differ between members; a learning rate of None is the generator's."""


def _variant(name: str, source: str, summary: str, penalties: Mapping[str, float] | None = None, **settings: Any) -> None:
    VARIANTS.add(name, {"penalties": penalties or {}, **settings}, source=source, summary=summary)


_variant("gan", "Goodfellow et al. 2014", "The original game: saturating minimax.", objective="minimax")
_variant("nsgan", "Goodfellow et al. 2014, section 3", "The GAN everybody trains: non-saturating.", objective="non_saturating")
_variant("lsgan", "Mao et al. 2017", "Least squares in place of cross-entropy.", objective="least_squares")
_variant("hinge", "Lim and Ye 2017", "Hinge loss, no constraint on the slope.", objective="hinge")
_variant(
    "wgan",
    "Arjovsky, Chintala and Bottou 2017",
    "Wasserstein critic held by weight clipping; 5 critic updates, RMSProp.",
    {"weight_clipping": 0.01},
    objective="wasserstein",
    n_critic=5,
    optimizer="rmsprop",
    lr=5e-5,
)
_variant(
    "wgan_gp",
    "Gulrajani et al. 2017",
    "Wasserstein critic held by a gradient penalty (0.1, as in its toy code).",
    {"gradient_penalty": 0.1},
    objective="wasserstein",
    n_critic=5,
)
_variant(
    "dragan",
    "Kodali et al. 2017",
    "Non-saturating with a gradient penalty around real samples.",
    {"dragan": 10.0},
    objective="non_saturating",
)
_variant("r1gan", "Mescheder, Geiger and Nowozin 2018", "Non-saturating with R1.", {"r1": 10.0}, objective="non_saturating")
_variant("rpgan", "Jolicoeur-Martineau 2019", "Relativistic pairing, no penalty.", objective="relativistic")
_variant(
    "rpgan_r1_r2",
    "Huang et al. 2024 (R3GAN), losses only",
    "Relativistic pairing with R1 and R2.",
    {"r1": 1.0, "r2": 1.0},
    objective="relativistic",
)


def recipe(name: str) -> Mapping[str, Any]:
    """Return what a variant sets, by its name or an objective's. Raises InputError with the nearest match."""
    if name in VARIANTS:
        return VARIANTS[name]
    if name in OBJECTIVES:
        return {"penalties": {}, "objective": name}
    raise InputError(unknown("variant", name, [*VARIANTS, *OBJECTIVES]))
