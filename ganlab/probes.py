"""What can be read off a game at one step: pure functions of a read-only view of one member.

A probe returns numbers by `(name, labels of its parts)`. It draws nothing and changes nothing, so a run with probes ends
where a run without ends; and the same probe serves mapped parameters and anybody's modules.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import grad, grad_and_value, vjp

from ganlab.data.mixtures import Mixture
from ganlab.experiment import AGES
from ganlab.game import Batch, Game, Shown, State, pack
from ganlab.metrics import RULES, count_in_cells, coverage_alone, nearest_modes, summary
from ganlab.objectives import OBJECTIVES
from ganlab.optim import Numbers
from ganlab.profiles import distance, motion, profile, scale_of, unit_of
from ganlab.registry import Registry
from ganlab.trace import DEAD

Reading = Mapping[tuple[str, tuple[str, ...]], Tensor]
"""By name and labels, a tensor with one number per label."""

PROBES: Registry[Callable[[Any], Reading]] = Registry("probe")
"""Functions of a `View`; facts: `reads`, "players" for their play on a batch or "samples" for the evaluation samples, whoever
made them (then `ganlab.watch.Samples` will do); `needs`, what data must know."""

DUE = 20
"""High-quality samples that each mode must be due for counting by them: fewer, and modes are counted by nearest sample. A
perfect sampler with 20 due has fewer than a tenth of them with chance 4e-8."""

COORDINATES = 16
"""Coordinates of a frozen generator's gradient that are read one by one."""

AXES = 8
"""Directions that a player's parameters are projected on: a distance is known to about a quarter, a circle is seen whole."""

WHOLE = ("",)
"""Label of a quantity that has one part."""


@dataclass(frozen=True)
class View:
    """One member at one step, read-only.

    The samples come from the seed's evaluation stream and are the same at every step, so that a curve shows the players
    move and not the dice. What several probes need is worked out once.
    """

    game: Game
    state: State
    batch: Batch
    """One update's draws, of the training batch size."""
    latent: Tensor
    """Latents of the evaluation samples, `[n, latent + categories]`."""
    numbers: Numbers
    data: Any
    real: Any = ()
    """Real samples to measure against, `[n, *shape]`; the same at every look."""
    held_out: Any = ()
    """Data that training does not see, as many as `real`; () where every real sample is a fresh one."""
    before: Any = ()
    """The `profile` of the generated samples of the look before, from the same latents; () at the first."""
    cells: Any = ()
    """`Cells` of real data, where no modes are known and the evaluation samples are enough to be counted in them; else ()."""
    past: Any = ()
    """Generated samples of the looks before, `[batch, *shape]`, the latest first; () at the first."""

    @cached_property
    def fake(self) -> Tensor:
        """Generated samples `[n, *shape]` from the evaluation latents; by the generator's running mean, if it has one."""
        generator = self.state.generator
        return self.game.generate(generator.kept.get("average", generator.parameters), self.latent)

    @cached_property
    def profile(self) -> Tensor:
        """Projections of as many generated samples as there are real ones, see `profile`."""
        return profile(self.fake[: len(self.real)])

    @cached_property
    def generation(self) -> tuple[Tensor, Callable[[Tensor], tuple[Tensor]]]:
        """Samples from the batch's latents, and what pulls a gradient at them back to the generator's parameters."""
        theta = self.state.generator.parameters
        sample, back = vjp(lambda theta: self.game.generate(theta, self.batch.latent), theta)[:2]
        return sample, back

    @property
    def sample(self) -> Tensor:
        """Generated samples from the batch's latents, `[batch, *shape]`."""
        return self.generation[0]

    @cached_property
    def remembered(self) -> Tensor:
        """Generated samples of the last `AGES` looks, equally many of each, `[batch, *shape]`: the next look's `past`."""
        n = len(self.sample)
        return torch.cat([self.sample[: n // AGES], self.past])[:n] if len(self.past) else self.sample

    @cached_property
    def shown(self) -> Shown:
        """What the discriminator is shown of the batch."""
        (theta, *_), (psi, _, kept) = self.state
        return self.game.show(psi, theta, self.sample, self.batch, self.numbers, kept)

    @cached_property
    def logits(self) -> tuple[Tensor, Tensor]:
        """Logits of what is real and what is fake, `[pack]` each."""
        return self.shown.logits(self.shown.real), self.shown.logits(self.shown.fake)

    @cached_property
    def pull(self) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """Gradient of the generator's loss at its samples, and by its parameters where they matter otherwise; and the loss."""
        (theta, _, kept), (psi, *_) = self.state
        loss = grad_and_value(self.game.loss_at_fakes, argnums=(0, 1))
        return loss(self.sample, theta, psi, self.batch, self.numbers, kept)

    @cached_property
    def moves(self) -> Mapping[str, tuple[Tensor, Tensor]]:
        """Gradient and loss of each player, as its optimiser would see them."""
        (theta, *_), (psi, _, kept) = self.state
        (at_sample, otherwise), g_loss = self.pull
        through_sample = self.generation[1](at_sample)[0]
        discriminator = grad_and_value(self.game.discriminator_loss)(psi, theta, self.batch, self.numbers, kept)
        return {"generator": (through_sample + otherwise, g_loss), "discriminator": discriminator}


def _one(**values: Tensor) -> Reading:
    return {(name, WHOLE): value[None] for name, value in values.items()}


@PROBES.register(source="each player's own objective, penalties included", reads="players")
def losses(view: View) -> Reading:
    """Both players' losses."""
    return _one(**{f"{player}_loss": loss for player, (_, loss) in view.moves.items()})


@PROBES.register(source="separation: Mann and Whitney 1947", reads="players")
def logits(view: View) -> Reading:
    """Mean and spread of the logits, accuracy, and the chance that a real logit exceeds a fake one."""
    real, fake = view.logits
    reading = _one(
        real_logit_mean=real.mean(), real_logit_std=real.std(), fake_logit_mean=fake.mean(), fake_logit_std=fake.std(),
        separation=_exceeds(real, fake),
    )  # fmt: skip
    threshold = OBJECTIVES.entry(view.game.objective).facts["threshold"]
    if threshold is None:  # a critic's logits have no zero point, so it has no accuracy
        return reading
    right = (_side(real - threshold).mean() + _side(threshold - fake).mean()) / 2
    return {**reading, **_one(discriminator_accuracy=right)}


def _exceeds(a: Tensor, b: Tensor) -> Tensor:
    """Return the chance that one of `a` exceeds one of `b`, equal ones counting half; NaN where one is not finite."""
    ladder = b.sort().values
    below, not_above = (torch.searchsorted(ladder, a.contiguous(), side=side).to(a) for side in ("left", "right"))
    wins = (below + not_above) / (2 * len(b))
    return torch.where(torch.isfinite(a).all() & torch.isfinite(b).all(), wins.mean(), torch.nan)


def _side(margin: Tensor) -> Tensor:
    """Return 1 right of the threshold, 0 left of it, 1/2 on it, NaN for NaN."""
    return torch.where(margin.isnan(), margin, 0.5 + 0.5 * torch.sign(margin))  # torch's sign of NaN is 0


@PROBES.register(source="Euclidean norm of the gradient each optimiser would see", reads="players")
def gradients(view: View) -> Reading:
    """Gradient norm of each player's parameters, in all and per layer."""
    reading: dict[tuple[str, tuple[str, ...]], Tensor] = {}
    for net in view.game.nets:
        player, (gradient, _) = net.role, view.moves[net.role]
        parts = torch.stack([part.norm() for part in gradient.split(net.sizes)])
        reading[f"{player}_gradient", WHOLE] = gradient.norm()[None]
        reading[f"{player}_gradient_by_layer", net.layers] = parts
    return reading


@PROBES.register(source="Arjovsky and Bottou 2017, theorem 2.6: the law of one coordinate over discriminators", reads="players")
def coordinates(view: View) -> Reading:
    """Some coordinates of a frozen generator's gradient, evenly spaced among its parameters."""
    if view.game.frozen_at is None:
        return {}
    gradient, _ = view.moves["generator"]
    chosen = torch.linspace(0, len(gradient) - 1, COORDINATES).long()
    return {("generator_gradient_coordinate", tuple(map(str, range(COORDINATES)))): gradient[chosen]}


@PROBES.register(source="slope of the discriminator's own loss, Arjovsky and Bottou 2017, section 2", reads="players")
def saturation(view: View) -> Reading:
    """Share of the logits, real and fake, at which the discriminator's loss is flat."""

    def loss(real: Tensor, fake: Tensor) -> Tensor:
        return OBJECTIVES[view.game.objective](real, fake).discriminator

    slopes = torch.cat(grad(loss, argnums=(0, 1))(*view.logits)) * len(view.logits[0])
    return _one(saturated_share=_share(slopes.abs() < DEAD))


@PROBES.register(
    source="Arjovsky and Bottou 2017, section 2: the signal before it reaches the generator's weights", reads="players"
)
def signal(view: View) -> Reading:
    """Gradient of the generator's loss at fake samples: its length, and its reach.

    The reach is what a sample's loss would change by along its gradient if it moved as far as real samples lie from their mean,
    over what tells real from fake logits: the distance of their means and their spread. It has no unit, and is about 1 for a
    critic that is linear in between.
    """
    (pull, _), _ = view.pull
    length = (pull * (len(pull) // view.game.packing)).flatten(1).norm(dim=1)  # the loss is a mean over what is shown
    real, fake = view.logits
    apart = (real.mean() - fake.mean()).abs() + real.std() + fake.std()
    reach = length * scale_of(view.batch.real) / apart.clamp(min=torch.finfo(apart.dtype).tiny)
    return _one(
        signal_at_fakes=length.mean(), signal_at_fakes_median=length.median(),
        signal_reach=reach.median(), dead_share=_share(reach < DEAD, reach),
    )  # fmt: skip


def _share(mask: Tensor, of: Tensor | None = None) -> Tensor:
    """Return the share of True, NaN where a number that was compared is NaN."""
    share = mask.float().mean()  # not every device has float64
    return share if of is None else torch.where(of.isnan().any(), torch.nan, share)


@PROBES.register(source="Mann and Whitney 1947, of logits of training and held-out data", reads="players", needs="held_out")
def overfitting(view: View) -> Reading:
    """Chance that the logit of a training sample exceeds that of one held out: 1/2 where the discriminator only knows the law.

    It is shown a batch at a time, as in training. Not read where it is shown something beside the sample, which held-out data
    have not.
    """
    if view.game.shown != "sample":
        return {}
    train, held = (_logits_by_batch(view, x) for x in (view.real, view.held_out))
    return _one(held_out_separation=_exceeds(train, held))


def _logits_by_batch(view: View, samples: Tensor) -> Tensor:
    """Return the logits of samples `[n, *shape]` shown in parts of nearly one size, none larger than a batch."""
    packing = view.game.packing
    packs = pack(samples[: len(samples) // packing * packing], packing)
    n_parts = math.ceil(len(packs) / (len(view.batch.real) // packing))
    return torch.cat([view.shown.logits(part) for part in packs.tensor_split(n_parts)])


@PROBES.register(source="Mann and Whitney 1947, of logits of real samples and of fakes of earlier looks", reads="players")
def recognition(view: View) -> Reading:
    """Chance that today's logit of a real sample exceeds that of a fake of the looks before; at the first, of its own.

    A discriminator that told such fakes from real when they were made, and no longer does, has forgotten them. Not read where
    it is shown something beside the sample, which belongs to the fakes of today.
    """
    if view.game.shown != "sample":
        return {}
    past = view.past if len(view.past) else view.sample
    real, fake = (view.shown.logits(pack(x, view.game.packing)) for x in (view.batch.real, past))
    return _one(past_separation=_exceeds(real, fake))


@PROBES.register(source="Euclidean norm", reads="players")
def norms(view: View) -> Reading:
    """Length of each player's parameters."""
    generator, discriminator = view.state
    return _one(generator_norm=generator.parameters.norm(), discriminator_norm=discriminator.parameters.norm())


@PROBES.register(source="random projections: Johnson and Lindenstrauss 1984", reads="players")
def positions(view: View) -> Reading:
    """Where each player is: its parameters along a few fixed random directions, which keep distances on average."""
    labels = tuple(str(k) for k in range(AXES))
    players = {"generator": view.state.generator.parameters, "discriminator": view.state.discriminator.parameters}
    return {(f"{role}_position", labels): axes(len(theta)).to(theta) @ theta for role, theta in players.items()}


@cache
def axes(n: int) -> Tensor:
    """Return `AXES` random directions, `[axis, n]`, the same in every process; squared lengths are kept on average."""
    drawn = np.random.default_rng(0).standard_normal((AXES, n), dtype=np.float32)  # torch's dice are not to be had in a map
    return torch.from_numpy(drawn) / AXES**0.5


@PROBES.register(source="sliced Wasserstein distance: Rabin et al. 2012", reads="samples")
def movement(view: View) -> Reading:
    """How far the generated samples are from real ones, how far from where they were at the look before, and how far out.

    `distance` and `motion` are sliced Wasserstein distances of `trace.SLICED` samples, in units of the data's standard
    deviation along a direction; two sets of 512 real samples are 0.06 to 0.08 apart on average, and of 256 up to 0.11.
    `sample_scale` is the root mean square distance of generated samples from the mean of real ones, over that of real ones.
    """
    fake, real = view.fake[: len(view.real)].flatten(1), view.real.flatten(1)
    unit = unit_of(view.real)
    moved = motion(view.profile, view.before, view.real) if len(view.before) else torch.zeros_like(unit)
    far = (fake - real.mean(0)).square().sum(1).mean().sqrt()
    return _one(
        distance=distance(view.profile, view.real), motion=moved, sample_scale=far / (unit * fake.shape[1] ** 0.5)
    )


@PROBES.register(source="see `ganlab list rules`", reads="samples", needs="modes")
def modes(view: View) -> Reading:
    """Modes covered and high-quality share under each rule; histogram, divergences and spread under the default one.

    `mode_nearest` counts all samples by their nearest mode. `mode_count` counts those of high quality; where they are so few
    that some mode is due less than `DUE` of them, it is the same as `mode_nearest`. `mode_due` is what each mode should have of
    its total. Everything is NaN when a sample is not finite.
    """
    data: Mixture = view.data
    n, rules = len(view.fake), tuple(RULES)
    lying = nearest_modes(view.fake, data)
    default = summary(lying, n, data, RULES["default"])
    n_covered, share = zip(*(coverage_alone(lying, n, data, RULES[name]) for name in rules), strict=True)
    places = tuple(str(k) for k in range(len(data.modes)))
    enough = default["histogram"].sum() * data.weights.min().to(view.fake) >= DUE
    judged = torch.where(enough, default["histogram"], default["nearest"])
    centre = view.fake.mean(0)
    reading = {
        ("modes_covered", rules): torch.stack(n_covered).to(view.fake),
        ("high_quality_share", rules): torch.stack(share),
        ("mode_count", places): judged,
        ("mode_nearest", places): default["nearest"],
        ("mode_due", places): judged.sum() * data.weights.to(judged),
        **_one(
            reverse_kl=default["reverse_kl"], js=default["js"], kl_off_mode=default["kl_off_mode"],
            spread_within_modes=default["spread"],
            spread_overall=((view.fake - centre).square().sum(1).mean() / data.variance).sqrt(),
        ),
    }  # fmt: skip
    finite = torch.isfinite(view.fake).all()
    return {key: torch.where(finite, value, torch.nan) for key, value in reading.items()}


@PROBES.register(source="see `ganlab.metrics.cells`", reads="samples", needs="no modes")
def cells(view: View) -> Reading:
    """Samples near the data in each of its cells, and what it is due; spread and diversity over those of real samples."""
    if not view.cells:
        return {}
    found = count_in_cells(view.fake, view.cells)
    places = tuple(str(k) for k in range(len(view.cells.share)))
    reading = {
        ("cell_count", places): found.counts,
        ("cell_due", places): found.due,
        **_one(
            cells_covered=found.covered.to(view.fake), near_share=found.near, spread_within_cells=found.spread,
            spread_overall=found.overall, diversity=found.diversity,
        ),
    }  # fmt: skip
    finite = torch.isfinite(view.fake).all()
    return {key: torch.where(finite, value, torch.nan) for key, value in reading.items()}


def applicable(data: Any, reads: str) -> list[Callable[[Any], Reading]]:
    """Return the probes that this data distribution allows, of those that read the "players" or the evaluation "samples"."""
    chosen = [entry for entry in PROBES.entries() if entry.facts["reads"] == reads]
    known = {None: True, "modes": has_modes(data), "no modes": not has_modes(data), "held_out": has_held_out(data)}
    return [entry.thing for entry in chosen if known[entry.facts.get("needs")]]


def has_held_out(data: Any) -> bool:
    """Return whether training sees a fixed set of samples, and there are others of the same kind."""
    return getattr(data, "training", None) is not None


def has_modes(data: Any) -> bool:
    """Return whether the data's modes are known: centres, spreads and weights."""
    return all(hasattr(data, name) for name in ("modes", "std", "weights"))
