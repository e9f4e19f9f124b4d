"""The table of named GANs: a line each, with its paper. What a line does not say is in `STRUCTURE`, `NUMBERS`, `USUAL_NET`.

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
    "evaluation": 2500,
}
"""What is the same for all members of a run. `evaluation`: samples per look of the probes, as in VEEGAN and PacGAN; more where
data have so many modes that each would be due too few."""

PLACEMENT: Mapping[str, Any] = {"device": "cpu", "dtype": "float32", "engine": "vmap", "precision": "full"}
"""How a run is computed: where, in which numbers, members mapped ("vmap") or one by one ("loop"), and whether matrix products
are taken in full or in "bfloat16"."""

NEUTRAL: Mapping[str, Any] = {
    **PLACEMENT,
    "latent_law": "normal",
    "packing": 1,
    "unroll": 0,
    "categories": 0,
    "labelled": False,
    "shown": "sample",
    "lookahead": 0,
    "frozen_at": None,
    "fresh_discriminator": True,
    "rotation": False,
}
"""Structure that most games have not; left out of a run's settings where it is not in use. `rotation`: whether the end of a run
tells how its game turns (`ganlab.rotation`), which takes seconds a member."""

ROLES = ("generator", "discriminator")
SHORT = ("hidden", "activation")
"""Settings of a net that may be given for both nets at once."""

USUAL_NET: Mapping[str, Any] = {"hidden": (128, 128), "activation": "relu"}
"""Both nets, unless said otherwise: perceptrons of the size that is usual on two-dimensional mixtures."""

NUMBERS: Mapping[str, float | None] = {
    "lr": 1e-3,
    "lr_discriminator": None,
    "beta1": 0.5,
    "beta2": 0.999,
    "epsilon": 1e-8,
    "momentum": 0.0,
    "decay": 0.99,
    "consensus": 10.0,
    "noise_steps": 0.0,
    "lookahead_rate": 0.5,
    "average": None,
}
"""What may differ between members; a learning rate of None is the generator's, an average of None is not kept."""


def add(name: str, source: str, summary: str, penalties: Mapping[str, float] | None = None, **settings: Any) -> None:
    """Register a variant: the weights of its penalties, and the settings in which it differs from the usual ones."""
    VARIANTS.add(name, {"penalties": penalties or {}, **settings}, source=source, summary=summary)


# --- objectives, with the penalties they came with -------------------------------------------------------------------------

_GOODFELLOW, _MESCHEDER, _NOWOZIN = "Goodfellow et al. 2014", "Mescheder, Geiger and Nowozin 2018", "Nowozin et al. 2016, f-GAN"
add("gan", _GOODFELLOW, "The original game: saturating minimax.", objective="minimax")
add("nsgan", f"{_GOODFELLOW}, section 3", "The GAN everybody trains: non-saturating.", objective="non_saturating")
add("lsgan", "Mao et al. 2017", "Least squares in place of cross-entropy.", objective="least_squares")
add("hinge", "Lim and Ye 2017", "Hinge loss, no constraint on the slope.", objective="hinge")
add(
    "wgan",
    "Arjovsky, Chintala and Bottou 2017",
    "Wasserstein critic held by weight clipping; 5 critic updates, RMSProp.",
    {"weight_clipping": 0.01},
    objective="wasserstein", n_critic=5, optimizer="rmsprop", lr=5e-5,
)  # fmt: skip
add(
    "wgan_gp",
    "Gulrajani et al. 2017",
    "Wasserstein critic held by a gradient penalty (0.1, as in its toy code).",
    {"gradient_penalty": 0.1},
    objective="wasserstein", n_critic=5,
)  # fmt: skip
add(
    "wgan_lp",
    "Petzka, Fischer and Lukovnikov 2018",
    "As wgan_gp, but only slopes above 1 are penalised.",
    {"gradient_penalty_one_sided": 0.1},
    objective="wasserstein", n_critic=5,
)  # fmt: skip
add("dragan", "Kodali et al. 2017", "Non-saturating with a gradient penalty around real samples.", {"dragan": 10.0})
add("r1gan", _MESCHEDER, "Non-saturating with R1.", {"r1": 10.0})
add("r2gan", _MESCHEDER, "Non-saturating with R2.", {"r2": 10.0})
add(
    "gan_0gp",
    "Thanh-Tung, Tran and Venkatesh 2019",
    "Non-saturating with a zero-centred penalty between real and fake.",
    {"zero_centred_penalty": 10.0},
)
add(
    "sngan",
    "Miyato et al. 2018",
    "Hinge loss, discriminator held by exact spectral norm.",
    objective="hinge", discriminator={"norm": "spectral"},
)  # fmt: skip
add(
    "sngan_power",
    "Miyato et al. 2018, algorithm 1",
    "As sngan, the norm by power iteration.",
    objective="hinge", discriminator={"norm": "spectral_power"},
)  # fmt: skip
add("rpgan", "Jolicoeur-Martineau 2019", "Relativistic pairing, no penalty.", objective="relativistic")
add("ragan", "Jolicoeur-Martineau 2019", "Relativistic average, no penalty.", objective="relativistic_average")
add(
    "r3gan",
    "Huang et al. 2024, losses and beta1 of R3GAN",
    "Relativistic pairing with R1 and R2.",
    {"r1": 1.0, "r2": 1.0},
    objective="relativistic", beta1=0.0,
)  # fmt: skip
add("fgan_kl", _NOWOZIN, "f-GAN, Kullback-Leibler.", objective="f_kl")
add("fgan_reverse_kl", _NOWOZIN, "f-GAN, reverse Kullback-Leibler.", objective="f_reverse_kl")
add("fgan_pearson", _NOWOZIN, "f-GAN, Pearson chi-square.", objective="f_pearson")
add("fgan_hellinger", _NOWOZIN, "f-GAN, squared Hellinger.", objective="f_hellinger")
add("fgan_js", _NOWOZIN, "f-GAN, Jensen-Shannon.", objective="f_jensen_shannon")
add("bgan", "Hjelm et al. 2018", "The generator seeks the decision boundary.", objective="boundary_seeking")
add("softmax_gan", "Lin 2017", "One softmax over the batch.", objective="softmax")
add("klgan", "Sonderby et al. 2017", "The generator minimises the estimated KL divergence.", objective="density_ratio")
add(
    "ttur", "Heusel et al. 2017", "Non-saturating, discriminator at 4 times the generator's rate.", lr_discriminator=4e-3
)

# --- against collapse ------------------------------------------------------------------------------------------------------

for _n, _batch in ((2, 256), (3, 252), (4, 256)):
    add(f"pacgan{_n}", "Lin et al. 2018", f"Non-saturating, {_n} samples shown at once.", packing=_n, batch=_batch)
for _n in (1, 5, 10):
    add(
        f"unrolled{_n}",
        "Metz et al. 2017",
        f"The generator looks {_n} discriminator update{'s' if _n > 1 else ''} ahead.",
        objective="zero_sum", unroll=_n,
    )  # fmt: skip
add(
    "minibatch_std", "Karras et al. 2018", "The discriminator reads the batch's spread.", discriminator={"minibatch": "std"}
)
add(
    "minibatch_discrimination",
    "Salimans et al. 2016, section 3.2",
    "The discriminator reads each sample's distances to the batch.",
    discriminator={"minibatch": "discrimination"},
)
add("msgan", "Mao et al. 2019", "Distant latents are asked for distant samples.", {"mode_seeking": 1.0})
add("gdpp", "Elfeki et al. 2019", "Fakes are asked for the real samples' spectrum of features.", {"gdpp": 1.0})
add(
    "veegan",
    "Srivastava et al. 2017",
    "Pairs of sample and latent are judged; an encoder reconstructs the latent.",
    {"reconstruction": 1.0},
    objective="density_ratio", shown="latent",
)  # fmt: skip
add(
    "ali",
    "Dumoulin et al. 2017; Donahue et al. 2017 (BiGAN)",
    "Generator and encoder against a judge of pairs.",
    objective="two_sided", shown="latent",
)  # fmt: skip
add(
    "madgan",
    "Ghosh et al. 2018",
    "Four generators, which the discriminator has to tell apart.",
    {"identification": 1.0},
    categories=4,
)
add(
    "infogan",
    "Chen et al. 2016",
    "A code of 8 values in the latent must be readable off the sample.",
    {"information": 1.0},
    categories=8,
)

# --- with labels: those of the data, one a mode on mixtures ----------------------------------------------------------------

add("cgan", "Mirza and Osindero 2014", "Both nets are told the label.", labelled=True, shown="label")
add(
    "acgan",
    "Odena, Olah and Shlens 2017",
    "The discriminator also names the label.",
    {"classification": 1.0},
    labelled=True,
)
add(
    "projection_gan",
    "Miyato and Koyama 2018",
    "The label meets the features in a projection; hinge loss.",
    objective="hinge", labelled=True, shown="label", discriminator={"head": "projection"},
)  # fmt: skip

# --- how the players move --------------------------------------------------------------------------------------------------

add(
    "consensus",
    "Mescheder, Nowozin and Geiger 2017",
    "Consensus optimisation, weight 10, RMSProp.",
    update="consensus", optimizer="rmsprop", lr=1e-4,
)  # fmt: skip
add(
    "sga",
    "Balduzzi et al. 2018",
    "Symplectic gradient adjustment, RMSProp.",
    update="symplectic", optimizer="rmsprop", lr=1e-4,
)  # fmt: skip
add("extra_adam", "Gidel et al. 2019, algorithm 4", "Extragradient with Adam.", update="extragradient")
add("optimistic_adam", "Daskalakis et al. 2018, algorithm 1", "Optimistic Adam.", optimizer="optimistic_adam")
add(
    "negative_momentum",
    "Gidel et al. 2019b, Negative momentum",
    "Alternating gradient steps with momentum -0.5.",
    optimizer="sgd", momentum=-0.5, lr=1e-2,
)  # fmt: skip
add("lookahead", "Chavdarova et al. 2021", "Both return halfway to slow weights every 5 steps.", lookahead=5)
add("ema", "Yaz et al. 2019", "The generator's running mean is what counts, decay 0.999.", average=0.999)

# --- small helps -----------------------------------------------------------------------------------------------------------

add(
    "instance_noise",
    "Sonderby et al. 2017; Arjovsky and Bottou 2017",
    "Noise on all that the discriminator sees, falling to 0 over 10 000 steps.",
    {"instance_noise": 0.1},
    noise_steps=10_000.0,
)
add("label_smoothing", "Salimans et al. 2016", "The target of real samples is 0.9.", {"label_smoothing": 0.1})
add(
    "historical_averaging",
    "Salimans et al. 2016",
    "Both players are drawn to the mean of their past.",
    {"historical_averaging": 1e-3},
)
add("orthogonal", "Brock et al. 2017", "Discriminator weights are drawn to orthogonal matrices.", {"orthogonal": 1e-4})
add(
    "gradient_regularised",
    "Nagarajan and Kolter 2017",
    "The generator lowers the discriminator's gradient.",
    {"discriminator_gradient": 0.5},
    objective="minimax",
)


def recipe(name: str) -> Mapping[str, Any]:
    """Return what a variant sets, by its name or an objective's. Raises InputError with the nearest match."""
    if name in VARIANTS:
        return VARIANTS[name]
    if name in OBJECTIVES:
        return {"penalties": {}, "objective": name}
    raise InputError(unknown("variant", name, [*VARIANTS, *OBJECTIVES]))


from ganlab import recipes  # noqa: E402, F401  (it registers the published set-ups above)
