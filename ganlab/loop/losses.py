"""L3xx: what the losses are made of, and what they say."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise

from ganlab.loop.record import PLAYERS, Forward, Pass, Record, Squash
from ganlab.loop.rules import ENOUGH, RULES, Found, share

CRITICS = ("wasserstein", "hinge", "donsker_varadhan")
"""Objectives of raw scores, which a sigmoid would bound."""

CLAMPS = {f"-ln 1e-{power}": power * math.log(10) for power in range(4, 17)} | {
    "-ln of float32's epsilon": 23 * math.log(2),
    "100, where binary cross entropy is clamped": 100.0,
}
"""Where losses stand when the logarithm in them is kept from zero."""


def _having(record: Record, wanted: Callable[[Squash], bool]) -> tuple[list[Pass], list[Squash]]:
    found = [(this, squash) for this in record.passes for squash in this.squashes if wanted(squash)]
    return list({this.number: this for this, _ in found}.values()), [squash for _, squash in found]


@RULES.register(
    "L301", source="PyTorch's documentation of BCEWithLogitsLoss", title="sigmoid is applied twice",
    cause="the discriminator ends in a sigmoid, and the loss applies one too",
    fix="remove the discriminator's sigmoid and keep the loss with logits",
)  # fmt: skip
def sigmoid_twice(record: Record) -> Iterator[Found]:
    """A loss of logits is given what went through a sigmoid."""
    passes, squashes = _having(record, lambda s: s.n_sigmoids >= (1 if s.loss == "logits" else 2))
    if passes:
        shown = [record.forwards[s.forward].given for s in squashes if s.forward is not None]
        yield Found(
            passes[0].step,
            "loss",
            f"{share(len(passes), len(record.passes))} backward passes; the discriminator returned "
            f"{min(v.low for v in shown):.3g} to {max(v.high for v in shown):.3g}, and the loss took them for logits, so it "
            "cannot fall below ln(1 + 1/e) = 0.313 a sample",
        )


@RULES.register(
    "L302", source="Goodfellow et al. 2014, equation 1", title="sigmoid is missing",
    cause="the loss takes the logarithm of a probability, and the discriminator returns logits",
    fix="use the loss with logits (binary_cross_entropy_with_logits, softplus)",
)  # fmt: skip
def sigmoid_missing(record: Record) -> Iterator[Found]:
    """A loss takes the logarithm of outputs that are no probabilities."""

    def outside(squash: Squash) -> bool:
        given = record.forwards[squash.forward or 0].given
        return squash.loss != "logits" and squash.n_sigmoids == 0 and (given.low < 0 or given.high > 1) and (
            squash.guard is not None or not squash.squashed)  # fmt: skip

    passes, squashes = _having(record, outside)
    if passes:
        shown = [record.forwards[s.forward].given for s in squashes if s.forward is not None]
        yield Found(
            passes[0].step,
            "loss",
            f"{share(len(passes), len(record.passes))} backward passes take the logarithm of outputs "
            f"between {min(v.low for v in shown):.3g} and {max(v.high for v in shown):.3g}",
        )


@RULES.register(
    "L303", source="Arjovsky et al. 2017, section 3", title="a critic's scores are bounded by a sigmoid",
    cause="the discriminator was taken over from a GAN with probabilities",
    fix="let the critic return raw scores",
)  # fmt: skip
def bounded_critic(record: Record) -> Iterator[Found]:
    """The objective takes raw scores, and the discriminator ends in a sigmoid."""
    calls = [f for f in record.forwards if f.player == "discriminator" and f.last is not None]
    bounded = [f for f in calls if f.last == "Sigmoid"]
    if record.objective in CRITICS and len(bounded) >= ENOUGH:
        low, high = min(f.given.low for f in bounded), max(f.given.high for f in bounded)
        yield Found(
            bounded[0].step,
            "discriminator",
            f"{share(len(bounded), len(calls))} calls end in a sigmoid, with scores of "
            f"{low:.3g} to {high:.3g}, under the objective {record.objective!r}",
        )


@RULES.register(
    "L304", source="kwotsin/mimicry, losses; PyTorch's documentation of logsigmoid", title="a logarithm is clamped",
    cause="log(D + epsilon) or a clamp keeps the loss finite; the gradient vanishes where it works",
    fix="let the discriminator return logits, and use softplus, logsigmoid or binary_cross_entropy_with_logits",
)  # fmt: skip
def clamped_log(record: Record) -> Iterator[Found]:
    """The logarithm of a probability is kept from minus infinity by a clamp or an epsilon."""
    passes, squashes = _having(record, lambda s: s.guard is not None and s.n_sigmoids > 0)
    if passes:
        known = [s.epsilon for s in squashes if s.epsilon]
        size = (
            f" of {known[0]:.1g}, so that the loss of a sample ends at {-math.log(known[0]):.2f}"
            if known and known[0] > 0
            else ""
        )
        yield Found(
            passes[0].step,
            "loss",
            f"{share(len(passes), len(record.passes))} backward passes take a logarithm behind "
            f"{'an' if squashes[0].guard == 'epsilon' else 'a'} {squashes[0].guard}{size}",
        )


@RULES.register(
    "L305", source="POSTECH-CVLab/PyTorch-StudioGAN#112", title="a loss stands at the logarithm of an epsilon",
    cause="the discriminator is certain of all samples, and the clamp in the loss is all that is left of it",
    fix="use a loss of logits; then see why the discriminator wins (learning rates, penalties, n_critic)",
)  # fmt: skip
def loss_at_clamp(record: Record) -> Iterator[Found]:
    """A loss has the same value as the logarithm of a round epsilon, several times."""
    series = {}
    for player in PLAYERS:
        moving = set().union(*(u.of(player) for u in record.of(player)))
        series[f"passes of the {player}"] = [(p.step, p.value) for p in record.passes if p.number in moving]
    for name in ("d_loss", "g_loss"):
        series[name] = [(step, told[name]) for step, told in record.told.items() if name in told]
    said = set()
    for values in series.values():
        for what, clamp in CLAMPS.items():
            at = [step for step, value in values if abs(abs(value) - clamp) < 2e-4 * clamp]
            if len(at) >= ENOUGH and what not in said:
                said.add(what)
                yield Found(at[0], "loss", f"{share(len(at), len(values))} losses are {clamp:.2f} = {what}")


@RULES.register(
    "L306", source="NVlabs/stylegan3, training loop: nan_to_num of gradients", title="NaN is repaired silently",
    cause="the loop replaces numbers that are not finite, or leaves out steps that have some, so that a broken run looks calm",
    fix="stop at the first one, and find the first tensor that is not finite; only a GradScaler should leave out steps",
)  # fmt: skip
def repaired(record: Record) -> Iterator[Found]:
    """Numbers that were not finite became finite between loss and update, or their steps were left out."""
    passes = [p for p in record.passes if p.repaired]
    if passes:
        n = sum(p.repaired for p in passes)
        yield Found(
            passes[0].step, "loss", f"nan_to_num replaced {n} numbers in {share(len(passes), len(record.passes))} losses"
        )
    updates = [u for u in record.updates if u.repaired]
    if updates:
        first = updates[0]
        names = ", ".join(first.repaired[:3])
        yield Found(
            first.step,
            "gradients",
            f"{share(len(updates), len(record.updates))} updates used finite gradients that were not "
            f"finite after the backward pass: {len(first.repaired)} parameters in the first, {names}",
        )
    mended = [u for u in record.updates if u.mended]
    if mended:
        names = ", ".join(mended[0].mended[:3])
        yield Found(
            mended[0].step,
            "parameters",
            f"{share(len(mended), len(record.updates))} updates left NaN in parameters, in which one finite "
            f"number then took its place: {len(mended[0].mended)} parameters in the first, {names}",
        )
    skipped = list(_left_out(record))
    if skipped:
        yield Found(
            skipped[0].step,
            "loss",
            f"{len(skipped)} calls of the discriminator gave an output or a loss that is not finite, and no backward pass "
            "followed; training went on",
        )


def _left_out(record: Record) -> Iterator[Forward]:
    """Yield the calls of the discriminator that no gradient went through, because of what was not finite in their step."""
    reached = {number for this in record.passes for number in this.reached}
    broken = [f.number for f in record.forwards if _for_a_loss(f) and not f.given.finite]
    found = set() if reached & {*broken} else {*broken}
    for (begin, end), told in zip(pairwise([0, *record.ends.values()]), record.told.values(), strict=True):
        for name, attached in (("d_loss", False), ("g_loss", True)):
            if not math.isfinite(told.get(name, 0.0)):
                calls = {f.number for f in record.forwards[begin:end] if _for_a_loss(f) and f.attached == attached}
                found |= set() if reached & calls else calls
    last = max(reached, default=0)
    yield from (record.forwards[number] for number in sorted(found) if number < last)


def _for_a_loss(call: Forward) -> bool:
    """Return whether a call is one of the discriminator that a loss could be made of: with a graph, and no interpolates."""
    return call.player == "discriminator" and bool(call.last) and not call.altered and call.kind != "other"
