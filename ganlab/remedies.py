"""Failure -> remedies: what the literature names against each failure mode, with its source, as plain data.

A remedy is a change of a run's settings. That a source names it makes it worth a trial and nothing more: `ganlab.repair`
trains each on the seeds that failed and says which helped. The order of the table is the order of trial. Parts that clash are
not listed here; planning refuses them and says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ganlab.registry import Registry


class Times(NamedTuple):
    """A value that depends on the run: `factor` times one of its numbers, or times its steps."""

    factor: float
    of: str

    def __str__(self) -> str:
        return f"{self.factor:g} x {self.of}"


class Misfit(NamedTuple):
    """Where a remedy does not apply: a setting of the run that has one of these values (or, with `others`, none of them)."""

    setting: str
    values: tuple[str, ...]
    reason: str
    others: bool = False


@dataclass(frozen=True)
class Remedy:
    """A change of settings that the literature names against a failure.

    Parameters
    ----------
    against
        Codes of diagnoses, each with the place in the literature that names the remedy.
    sets
        Settings and their new values; settings of a net are added to those it has. A penalty that a run has keeps its weight.
    drops
        Penalties that make way.
    numbers_only
        Whether no structure changes, so that the changed members can share a mapped batch with the unchanged ones.
    misfits
        Where it does not apply, beside what planning refuses.
    """

    name: str
    against: Mapping[str, str]
    sets: Mapping[str, Any]
    drops: tuple[str, ...] = ()
    numbers_only: bool = False
    misfits: tuple[Misfit, ...] = field(default=(), repr=False)


REMEDIES: Registry[Remedy] = Registry("remedy")


def against(code: str) -> list[Remedy]:
    """Return the remedies named against a failure, in the order of trial.

    Example
    -------
    >>> [remedy.name for remedy in against("memorisation")]
    ['zero_centred_penalty', 'lasting_noise']
    """
    return [remedy for remedy in REMEDIES.values() if code in remedy.against]


def add(name: str, summary: str, sources: Mapping[str, str], sets: Mapping[str, Any], **more: Any) -> None:
    """Register a remedy; `sources` has the codes of failures with the place that names the remedy against each."""
    source = "; ".join(dict.fromkeys(sources.values()))
    REMEDIES.add(name, Remedy(name, sources, sets, **more), source=source, summary=summary)


SLOPE_PENALTIES = ("gradient_penalty", "gradient_penalty_one_sided", "zero_centred_penalty", "dragan")
CRITICS = ("wasserstein", "donsker_varadhan")
"""Objectives that read the logit as the value of a critic, not as log odds."""

_TOLD_APART = "its critic is to be trained towards its optimum (Arjovsky, Chintala and Bottou 2017, section 3), not held back"
_HELD = Misfit("penalties", SLOPE_PENALTIES, "the slope is held already, and two penalties would pull it to different values")
_MESCHEDER = "Mescheder, Geiger and Nowozin 2018, section 4.1"
_SMALL_STEPS = "Mescheder, Nowozin and Geiger 2017, section 3: a step must be small where the field rotates"

# --- penalties on the slope and other holds on the discriminator -----------------------------------------------------------

add(
    "relativistic_r1_r2",
    "Real and fake judged in pairs, with R1 and R2.",
    {
        "mode_collapse": "Huang et al. 2024 (R3GAN), section 2",
        "non_convergence": "Huang et al. 2024 (R3GAN), section 2",
    },
    {"objective": "relativistic", "r1": 0.1, "r2": 0.1},
    drops=("weight_clipping", *SLOPE_PENALTIES),
)
add(
    "r1",
    "Half the squared slope at real samples, weight 0.1.",
    {
        "mode_collapse": f"{_MESCHEDER} (named there for convergence)",
        "vanishing_gradients": f"{_MESCHEDER} (named there for convergence)",
        "non_convergence": _MESCHEDER,
        "divergence": _MESCHEDER,
    },
    {"r1": 0.1},
)
add(
    "gradient_penalty",
    "The slope between real and fake is held at 1, weight 0.1, in place of weight clipping.",
    {
        "mode_collapse": "Gulrajani et al. 2017, section 4",
        "divergence": "Gulrajani et al. 2017, section 4",
    },
    {"gradient_penalty": 0.1},
    drops=("weight_clipping",),
    misfits=(_HELD,),
)
add(
    "dragan",
    "The slope around real samples is held at 1, weight 10.",
    {"mode_collapse": "Kodali et al. 2017 (DRAGAN), section 2"},
    {"dragan": 10.0},
    misfits=(
        Misfit("objective", CRITICS, "it bounds the slope around real samples, and a critic needs it between real and fake"),
        _HELD,
    ),
)
add(
    "zero_centred_penalty",
    "The squared slope between real and fake, weight 10.",
    {
        "memorisation": "Thanh-Tung, Tran and Venkatesh 2019, equation 10",
        "discriminator_overfitting": "Thanh-Tung, Tran and Venkatesh 2019, equation 10",
    },
    {"zero_centred_penalty": 10.0},
    misfits=(_HELD,),
)

# --- what the discriminator sees --------------------------------------------------------------------------------------------

add(
    "packing",
    "Two samples are shown at once.",
    {"mode_collapse": "Lin et al. 2018 (PacGAN), section 2"},
    {"packing": 2},
)
add(
    "minibatch_std",
    "The discriminator reads the batch's spread.",
    {"mode_collapse": "Karras et al. 2018, section 3"},
    {"discriminator": {"minibatch": "std"}},
)
add(
    "unrolled",
    "The generator looks 5 discriminator updates ahead.",
    {"mode_collapse": "Metz et al. 2017, section 2.2"},
    {"unroll": 5},
)

# --- signal for the generator -----------------------------------------------------------------------------------------------

add(
    "non_saturating",
    "The generator raises log D in place of lowering log (1 - D).",
    {"vanishing_gradients": "Goodfellow et al. 2014, section 3"},
    {"objective": "non_saturating"},
    misfits=(
        Misfit("objective", ("minimax", "zero_sum"), "it replaces a saturating loss, and this objective has none", others=True),
    ),
)
add(
    "wasserstein_gp",
    "A Wasserstein critic with a gradient penalty of 0.1 and 5 updates a step.",
    {"vanishing_gradients": "Arjovsky, Chintala and Bottou 2017, section 3; Gulrajani et al. 2017, section 4"},
    {"objective": "wasserstein", "gradient_penalty": 0.1, "n_critic": 5},
    drops=("weight_clipping",),
)
add(
    "instance_noise",
    "Noise of std 0.1 on all that the discriminator sees, gone at half of the run.",
    {"vanishing_gradients": "Arjovsky and Bottou 2017, section 3; Sonderby et al. 2017, section 3.2"},
    {"instance_noise": 0.1, "noise_steps": Times(0.5, "steps")},
)
add(
    "slower_discriminator",
    "The discriminator at a quarter of its rate.",
    {"vanishing_gradients": "Arjovsky and Bottou 2017, theorem 2.4: the closer to its optimum, the less signal"},
    {"lr_discriminator": Times(0.25, "lr_discriminator")},
    numbers_only=True,
    misfits=(Misfit("objective", CRITICS, _TOLD_APART),),
)
add(
    "spectral_norm",
    "Every layer of the discriminator divided by its norm.",
    {
        "vanishing_gradients": "Miyato et al. 2018, section 2",
        "divergence": "Miyato et al. 2018, section 2.1",
    },
    {"discriminator": {"norm": "spectral"}},
    drops=("weight_clipping",),
)

# --- how the players move ---------------------------------------------------------------------------------------------------

add(
    "two_time_scales",
    "The generator at a quarter of its rate.",
    {"non_convergence": "Heusel et al. 2017, theorem 1"},
    {"lr": Times(0.25, "lr")},
    numbers_only=True,
)
add(
    "lower_rates",
    "Both players at a quarter of their rates.",
    {"non_convergence": _SMALL_STEPS, "divergence": _SMALL_STEPS},
    {"lr": Times(0.25, "lr"), "lr_discriminator": Times(0.25, "lr_discriminator")},
    numbers_only=True,
)
add(
    "no_momentum",
    "Adam without momentum.",
    {"non_convergence": "Gidel et al. 2019b, Negative momentum: none or less is better where the game rotates"},
    {"beta1": 0.0},
    numbers_only=True,
    misfits=(Misfit("optimizer", ("adam", "optimistic_adam"), "this optimiser has no beta1", others=True),),
)
add(
    "negative_momentum",
    "Gradient steps with momentum -0.5.",
    {"non_convergence": "Gidel et al. 2019b, Negative momentum"},
    {"momentum": -0.5},
    numbers_only=True,
    misfits=(Misfit("optimizer", ("sgd",), "this optimiser has no momentum that may be negative", others=True),),
)
add(
    "ema",
    "The generator's running mean is what counts; decay 0.995, as runs here last thousands of steps and not hundreds of "
    "thousands.",
    {"non_convergence": "Yaz et al. 2019, equation 5"},
    {"average": 0.995},
)
add(
    "extragradient",
    "Both players look one step ahead.",
    {"non_convergence": "Gidel et al. 2019, algorithm 4"},
    {"update": "extragradient"},
)
add(
    "optimistic_adam",
    "Adam that counters its last step.",
    {"non_convergence": "Daskalakis et al. 2018, algorithm 1"},
    {"optimizer": "optimistic_adam"},
    misfits=(
        Misfit("optimizer", ("adam",), "it is Adam with a correction, and other optimisers' rates do not suit it", others=True),
    ),
)
add(
    "lookahead",
    "Both players return halfway to slow weights every 5 steps.",
    {"non_convergence": "Chavdarova et al. 2021, algorithm 1"},
    {"lookahead": 5},
)
add(
    "consensus",
    "Both players also lower the length of the joint gradient, weight 10.",
    {"non_convergence": "Mescheder, Nowozin and Geiger 2017, section 4, algorithm 2"},
    {"update": "consensus"},
)

# --- what the discriminator may learn by heart ------------------------------------------------------------------------------

add(
    "lasting_noise",
    "Noise of std 0.1 on all that the discriminator sees, to the end.",
    {
        "memorisation": "Sonderby et al. 2017, section 3.2: a wider training distribution is harder to learn by heart",
        "discriminator_overfitting": "Sonderby et al. 2017, section 3.2",
    },
    {"instance_noise": 0.1, "noise_steps": 0.0},
)
add(
    "label_smoothing",
    "The target of real samples is 0.9.",
    {"discriminator_overfitting": "Salimans et al. 2016, section 3.4"},
    {"label_smoothing": 0.1},
)
