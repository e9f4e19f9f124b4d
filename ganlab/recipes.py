"""Training set-ups exactly as published, nets and data included: variants whose names begin with "recipe:".

Unlike the other variants, which share nets and rates so that they compare, a recipe keeps all that its source had: take one to
reproduce a result, never to rank methods. `data` and `steps` are its own too, unless you give others. Where a source leaves
something open, the summary says what was taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ganlab.variants import add

_PACGAN, _UNROLLED = "Lin et al. 2018, PacGAN, released code", "Metz et al. 2017"
_NORMAL: Mapping[str, Any] = {"law": "normal", "std": 0.02}

for _m in (1, 2, 3, 4):
    add(
        "recipe:pacgan_2d" + (f"_packed{_m}" if _m > 1 else ""),
        _PACGAN,
        f"The 2-D experiments with {_m} sample{'s' if _m > 1 else ''} shown at once; 400 epochs of 100 000 points.",
        data="ring8_pacgan", steps=400_000, batch=100 * _m, packing=_m, update="simultaneous", lr=1e-4, beta1=0.8, latent=2,
        generator={"hidden": [400] * 4, "norm": "batch", "initial": _NORMAL},
        discriminator={"net": "maxout", "hidden": [200] * 3, "pieces": 5, "initial": _NORMAL},
    )  # fmt: skip

_PAPER: Mapping[str, Any] = {
    "data": "ring8", "steps": 100_001, "batch": 512, "lr": 1e-4, "beta1": 0.5, "latent": 256,
    "generator": {"hidden": [128, 128], "initial": {"law": "orthogonal", "gain": 0.8}},
    "discriminator": {"hidden": [128], "scale": 0.25, "initial": {"law": "orthogonal", "gain": 0.8}},
}  # fmt: skip
add(
    "recipe:unrolled",
    f"{_UNROLLED}, paper settings, as re-implemented by Nagarajan and Kolter 2017",
    "The ring with the discriminator's input divided by 4, 15 updates ahead.",
    objective="zero_sum", unroll=15, **_PAPER,
)  # fmt: skip
add(
    "recipe:nagarajan_kolter",
    "Nagarajan and Kolter 2017, released code",
    "The ring of the unrolled GAN, with half the squared gradient of the discriminator in place of looking ahead.",
    {"discriminator_gradient": 0.5},
    objective="minimax", **_PAPER,
)  # fmt: skip

_TANH: Mapping[str, Any] = {"hidden": [128, 128], "activation": "tanh", "initial": {"law": "orthogonal", "gain": 1.4}}
_NOTEBOOK: Mapping[str, Any] = {
    "data": "ring8_unrolled_notebook", "steps": 25_000, "batch": 512, "lr": 1e-3, "lr_discriminator": 1e-4, "beta1": 0.5,
    "latent": 256, "update": "simultaneous", "generator": _TANH, "discriminator": _TANH,
}  # fmt: skip
add(
    "recipe:unrolled_notebook",
    f"{_UNROLLED}, authors' notebook",
    "Its ring of 7 places, tanh nets, 5 updates of Adam ahead.",
    objective="zero_sum", unroll=5, **_NOTEBOOK,
)  # fmt: skip
add(
    "recipe:gdpp",
    "Elfeki et al. 2019, released code",
    "The notebook of the unrolled GAN with the GDPP term (the source halves the generator's loss, which Adam undoes).",
    {"gdpp": 1.0},
    **_NOTEBOOK,
)

_WIDE: Mapping[str, Any] = {"hidden": [512] * 3, "initial": {"law": "he"}}
_TOY: Mapping[str, Any] = {
    "objective": "wasserstein", "data": "ring8_wgan_gp", "steps": 100_000, "batch": 256, "n_critic": 5, "latent": 2,
    "generator": _WIDE, "discriminator": _WIDE,
}  # fmt: skip
add(
    "recipe:wgan_gp_toy",
    "Gulrajani et al. 2017, released toy code",
    "The toy with its penalty of 0.1.",
    {"gradient_penalty": 0.1},
    lr=1e-4, beta1=0.5, beta2=0.9, **_TOY,
)  # fmt: skip
add(
    "recipe:wgan_toy",
    "Gulrajani et al. 2017, released toy code",
    "The toy with weight clipping and RMSProp.",
    {"weight_clipping": 0.01},
    optimizer="rmsprop", lr=5e-5, **_TOY,
)  # fmt: skip

_TF_RMSPROP: Mapping[str, Any] = {"optimizer": "rmsprop", "lr": 1e-4, "decay": 0.9, "epsilon": 1e-10}
_DEEP: Mapping[str, Any] = {"hidden": [384] * 6}
add(
    "recipe:sga",
    "Balduzzi et al. 2018, released notebook",
    "Sixteen Gaussians, six hidden layers, symplectic gradient adjustment.",
    data="grid16_sga", steps=10_000, batch=256, latent=64, update="symplectic", generator=_DEEP, discriminator=_DEEP,
    **_TF_RMSPROP,
)  # fmt: skip
add(
    "recipe:sga_baseline",
    "Balduzzi et al. 2018, released notebook",
    "The same with plain simultaneous RMSProp.",
    data="grid16_sga", steps=10_000, batch=256, latent=64, update="simultaneous", generator=_DEEP, discriminator=_DEEP,
    **_TF_RMSPROP,
)  # fmt: skip
_SMALL: Mapping[str, Any] = {"hidden": [16] * 4}
add(
    "recipe:consensus",
    "Mescheder, Nowozin and Geiger 2017, released notebook",
    "The ring with nets of 16 units and consensus optimisation of weight 10.",
    data="ring8_numerics", steps=50_000, batch=512, latent=16, update="consensus", consensus=10.0, generator=_SMALL,
    discriminator=_SMALL, **_TF_RMSPROP,
)  # fmt: skip

add(
    "recipe:tutorial",
    "Toutouh 2026, tutorial on co-evolving GANs, the single GAN",
    "The widest ring, nets of 16 units; 50 epochs of 62 batches.",
    data="ring8_tutorial", steps=3100, batch=32, lr=2e-3, latent=2,
    generator={"hidden": [16, 16], "activation": "tanh"}, discriminator={"hidden": [16, 16], "activation": "leaky_relu"},
)  # fmt: skip
add(
    "recipe:dragan_mnist",
    "Kodali et al. 2017, released notebook",
    "MNIST in [0, 1] with one hidden layer each.",
    {"dragan": 10.0},
    data="mnist:low=0", steps=200_000, batch=128, lr=1e-4, beta1=0.5, beta2=0.9, latent=100, latent_law="uniform",
    generator={"hidden": [128], "output": "sigmoid", "initial": {"law": "he"}},
    discriminator={"hidden": [128], "initial": {"law": "he"}},
)  # fmt: skip

_COURSE = "Toutouh 2020/2021, course examples"
_SGD: Mapping[str, Any] = {"optimizer": "sgd", "momentum": 0.9, "latent_law": "unit", "batch": 30}
add(
    "recipe:course_vectors",
    f"{_COURSE}, GAN for vectors",
    "Vectors of ten normal numbers; 20 epochs of 600 batches.",
    data="normal_vectors:dimensions=10", steps=12_000, lr=8e-4, lr_discriminator=1e-3, latent=50,
    generator={"hidden": [150, 150], "activation": "selu", "output": "selu"},
    discriminator={"hidden": [75, 75], "activation": "elu"}, **_SGD,
)  # fmt: skip
add(
    "recipe:course_line",
    f"{_COURSE}, GAN for points on a line",
    "A segment of the plane, the same 30 points in every batch; 40 epochs of 100 batches. Activations as for vectors.",
    data="line:points=30", steps=4000, lr=1e-3, latent=30,
    generator={"hidden": [75, 75], "activation": "selu", "output": "selu"},
    discriminator={"hidden": [75, 75], "activation": "elu"}, **_SGD,
)  # fmt: skip
add(
    "recipe:course_mnist",
    f"{_COURSE}, GAN for MNIST",
    "Perceptrons with batch norm in the generator; 50 epochs of 937 batches.",
    data="mnist", steps=46_850, batch=64, lr=2e-4, latent=100,
    generator={
        "hidden": [128, 256, 512, 1024], "activation": "leaky_relu", "norm": [None, "batch", "batch", "batch"],
        "bias_before_norm": True, "output": "tanh",
    },
    discriminator={"hidden": [512, 256], "activation": "leaky_relu"},
)  # fmt: skip
add(
    "recipe:dive25",
    "Dive into Deep Learning, 2026 edition, GAN chapter (secondary source)",
    "Twenty-five Gaussians with R1 and R2 of weight 1; the source's objective is taken to be non-saturating.",
    {"r1": 1.0, "r2": 1.0},
    data="grid25", steps=20_000, batch=256, lr=2e-4, beta1=0.0, beta2=0.99, latent=64, evaluation=10_000,
    generator={"hidden": [256, 256]}, discriminator={"hidden": [256, 256], "activation": "leaky_relu"},
)  # fmt: skip
