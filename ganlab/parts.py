"""Which parts of a game go together: `check` says why some do not, before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ganlab import rng
from ganlab.experiment import at_least
from ganlab.objectives import OBJECTIVES
from ganlab.optim import OPTIMIZERS
from ganlab.penalties import CONSTRAINTS, PENALTIES, PERTURBATIONS
from ganlab.registry import InputError, unknown
from ganlab.regularizers import CATEGORIES_OF_FAKES, REGULARIZERS
from ganlab.updates import UPDATES

PARTS = {**PENALTIES, **CONSTRAINTS, **PERTURBATIONS, **REGULARIZERS}
"""All that has a weight, a limit or a size, by name."""

SHOWN = ("sample", "label", "latent")

HALVED = (
    "minimax", "wasserstein", "donsker_varadhan", "f_kl", "f_reverse_kl", "f_pearson", "f_hellinger", "f_jensen_shannon",
)  # fmt: skip
"""Objectives whose generator minimises the half of the game's value that it moves while the discriminator stands still."""


@dataclass(frozen=True)
class Parts:
    """The structure of a game without its nets; fields as in `ganlab.game.Game`."""

    objective: str = "non_saturating"
    penalties: tuple[str, ...] = ()
    update: str = "alternating"
    optimizer: str = "adam"
    n_critic: int = 1
    latent_law: str = "normal"
    packing: int = 1
    unroll: int = 0
    categories: int = 0
    labelled: bool = False
    shown: str = "sample"
    lookahead: int = 0
    frozen_at: int | None = None
    fresh_discriminator: bool = True

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Parts:
        """Return the parts among some settings; what is not there takes its default."""
        found = {f.name: settings[f.name] for f in fields(cls) if f.name in settings}
        return cls(**{**found, "penalties": tuple(found.get("penalties", ()))})

    @property
    def n_draws(self) -> int:
        """Batches drawn per step: one for each update, or one that both players share."""
        return self.n_critic + int(UPDATES.entry(self.update).facts["n_draws"])

    @property
    def numbers(self) -> tuple[str, ...]:
        """Names of the numbers that these parts read, beside the weights of penalties and the learning rates."""
        found = [*OPTIMIZERS[self.optimizer].numbers, *UPDATES.entry(self.update).facts.get("numbers", ())]
        if any(name in PERTURBATIONS for name in self.penalties):
            found.append("noise_steps")
        if self.lookahead:
            found.append("lookahead_rate")
        return tuple(found)


def check(parts: Parts) -> None:
    """Raise InputError when a name is unknown, a count impossible, or two parts do not go together; the message says why."""
    OBJECTIVES.entry(parts.objective), UPDATES.entry(parts.update), OPTIMIZERS.entry(parts.optimizer)
    for kind, value, known in (("law of latents", parts.latent_law, rng.LAWS), ("way of showing", parts.shown, SHOWN)):
        if value not in known:
            raise InputError(unknown(kind, value, known))
    for name, least in (("packing", 1), ("unroll", 0), ("categories", 0), ("lookahead", 0)):
        at_least(name, getattr(parts, name), least)
    if parts.frozen_at is not None:
        at_least("frozen_at", parts.frozen_at, 0)
    counts = isinstance(parts.n_critic, int) and not isinstance(parts.n_critic, bool) and parts.n_critic >= 1
    if not counts or (UPDATES.entry(parts.update).facts["paired"] and parts.n_critic != 1):
        paired = ", ".join(entry.name for entry in UPDATES.entries() if entry.facts["paired"])
        raise InputError(f"n_critic must be at least 1, and 1 where both move at once ({paired}); got {parts.n_critic!r}")
    for applies, why in _clashes(parts):
        if applies:
            raise InputError(why)


def _clashes(p: Parts) -> list[tuple[bool, str]]:
    """Return what does not go together: whether it is the case here, and why it cannot be."""
    weighted = set(p.penalties)
    categorical = sorted(weighted & set(CATEGORIES_OF_FAKES))
    smoothed = ("minimax", "zero_sum", "non_saturating", "least_squares", "boundary_seeking", "density_ratio", "two_sided")
    return [
        (
            "label_smoothing" in weighted and p.objective not in smoothed,
            f"label_smoothing moves the target of real samples, and {p.objective!r} has no target; use it with one of "
            f"{', '.join(smoothed)}",
        ),
        (
            p.unroll > 0 and p.update not in ("alternating", "simultaneous"),
            f"unroll looks ahead along the discriminator's own updates, and {p.update!r} moves both players by a joint field; "
            "use update='alternating' or 'simultaneous', or unroll=0",
        ),
        (
            len(categorical) > 1,
            f"{' and '.join(categorical)} read the same scores in different ways; take one of them",
        ),
        (
            bool(categorical) and p.categories < 2,
            f"{'/'.join(categorical)} tells categories apart, so there must be at least 2; got categories={p.categories}",
        ),
        (
            "classification" in weighted and not p.labelled,
            "classification needs the labels of real samples; use labelled=True, or information for codes without labels",
        ),
        (
            bool(weighted & {"information", "identification"}) and p.labelled,
            f"{'/'.join(categorical)} is for categories that the data do not have; use labelled=False, or classification",
        ),
        (
            p.labelled and p.categories < 2,
            f"labelled data need the number of their labels, at least 2; got categories={p.categories}",
        ),
        (
            p.shown == "label" and not p.labelled,
            "shown='label' needs labels of real samples; use labelled=True on data that have labels",
        ),
        (
            p.shown == "latent" and p.categories > 0,
            "shown='latent' pairs samples with the whole latent, in which categories would be told apart at a glance; use "
            "categories=0",
        ),
        (
            "reconstruction" in weighted and p.shown != "latent",
            "reconstruction needs the encoder of shown='latent'",
        ),
        (
            p.shown == "latent" and "reconstruction" not in weighted and not OBJECTIVES.entry(p.objective).facts["pairs"],
            f"the encoder of shown='latent' would never be trained: the generator's side of {p.objective!r} does not see real "
            "pairs; use objective='two_sided', or add reconstruction",
        ),
        (
            p.packing > 1 and (bool(categorical) or p.shown == "label"),
            "packing shows several samples at once, so a label or score of each is not defined; use packing=1",
        ),
        (
            "gdpp" in weighted and p.shown == "label",
            "gdpp compares features of samples, and shown='label' mixes labels into them; use shown='sample'",
        ),
        (
            p.unroll > 0 and p.objective in HALVED,
            f"unroll looks through the discriminator's updates, which move the real half of {p.objective!r} too, and its "
            "generator does not see that half; use objective='zero_sum' or one that is not the game's value, or unroll=0",
        ),
        (
            p.frozen_at is not None and p.update not in ("alternating", "simultaneous"),
            f"frozen_at lets the discriminator train alone by its own updates, and {p.update!r} moves both players by a joint "
            "field; use update='alternating' or 'simultaneous'",
        ),
        (
            p.frozen_at is not None and (p.lookahead > 0 or "historical_averaging" in weighted),
            "frozen_at lets the discriminator train alone, and lookahead and historical_averaging would draw it back to what "
            "it was; leave them out",
        ),
        (
            p.frozen_at is None and not p.fresh_discriminator,
            "fresh_discriminator=False says how the discriminator goes on when the generator freezes; say when that is, as in "
            "frozen_at=500",
        ),
    ]
