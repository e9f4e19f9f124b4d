"""L1xx: who is updated by whom, and with which gradients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from itertools import pairwise

from ganlab.loop.record import OTHER, PLAYERS, Pass, Player, Push, Record, Update
from ganlab.loop.rules import ENOUGH, RULES, Found, share

TORCH = "PyTorch's documentation of autograd and torch.optim"
AGREED = 0.99
"""A pass pushes a batch one way when so much of its gradient has one sign."""


def direction(push: tuple[float, float]) -> int:
    """Return 1 where outputs are pushed up, -1 where down, 0 where neither is clear."""
    total, size = push
    agreed = size > 0 and abs(total) >= AGREED * size  # neither holds for NaN
    return 0 if not agreed else 1 if total > 0 else -1


def pushes(record: Record, number: int) -> list[tuple[Push, bool, bool]]:
    """Return how a pass pushes each batch of the discriminator's: push, whether the generator hangs on it, whether real."""
    this = record.passes[number]
    return [(push, record.forwards[n].attached, record.forwards[n].kind == "real")
            for n, push in this.reached.items() if record.forwards[n].player == "discriminator"]  # fmt: skip


def real_is_up(record: Record) -> bool | None:
    """Return whether the discriminator's own passes push real samples up, as is usual, or down, as where real is 0."""
    if record.real_is_up and record.real_is_up[0] == len(record.passes):
        return record.real_is_up[1]
    votes = [direction(push.real) for this in record.passes for push, _, _ in pushes(record, this.number)
             if not this.touched.get("generator") and push.real[1]]  # fmt: skip
    clear = {vote for vote in votes if vote}
    record.real_is_up = len(record.passes), None if len(clear) != 1 else clear == {1}
    return record.real_is_up[1]


def sides(record: Record, this: Pass) -> tuple[int, int]:
    """Return which way a pass pushes real samples and fakes, 1 towards real; 0 where it does not, or is not clear."""
    up = -1 if real_is_up(record) is False else 1
    seen = [push for push, _, _ in pushes(record, this.number)]
    result = []
    for parts in ([p.real for p in seen if p.real[1]], [p.fake for p in seen if p.fake[1]]):
        found = {direction(part) for part in parts}
        result.append(up * found.pop() if len(found) == 1 and not this.squares else 0)
    return result[0], result[1]


def two_sided(record: Record, number: int) -> bool:
    """Return whether a pass goes to both players through one and the same call of the discriminator."""
    calls = [record.forwards[n] for n in record.passes[number].reached]
    return any(f.attached and f.learns and f.player == "discriminator" for f in calls)


def stale(record: Record, player: Player) -> list[tuple[Update, int, int]]:
    """Return the updates in which gradients of an earlier update of the same parameters were still in: with how many."""
    found = []
    for before, update in pairwise(record.of(player)):
        names = [n for n in update.held[player] if n in update.passes]
        old = [n for n in names if update.passes[n] & before.passes.get(n, frozenset())]
        if old:
            found.append((update, len(old), len(names)))
    return found


def shared(record: Record) -> dict[int, Player]:
    """Return the two-sided passes that moved both players, and whose loss each is."""
    moved = {player: set().union(*(update.of(player) for update in record.of(player))) for player in PLAYERS}
    owners: dict[int, Player] = {}
    for number in sorted(moved["generator"] & moved["discriminator"]):
        if two_sided(record, number):
            first = {player: next(u for u in record.of(player) if number in u.of(player)) for player in PLAYERS}
            early, late = sorted(PLAYERS, key=lambda player: first[player].number)
            in_turn = max(first[late].of(late)) > max(first[early].of(early))
            owners[number] = early if in_turn else _owner(record, number, moved)
    return owners


def _owner(record: Record, number: int, moved: Mapping[Player, Set[int]]) -> Player:
    """Return whose loss a pass is, where both players were updated after it at once."""
    if any(real for _, _, real in pushes(record, number)):
        return "discriminator"
    _, fake = sides(record, record.passes[number])
    if fake:
        return "generator" if fake > 0 else "discriminator"
    return "generator" if moved["discriminator"] - moved["generator"] else "discriminator"


@RULES.register(
    "L101", source=TORCH, title="a player is updated by the other's optimiser or loss",
    cause="optimisers are swapped, or hold the wrong net's parameters, or the wrong one is stepped",
    fix="build each optimiser from its own net's parameters, and step it after that net's loss",
)  # fmt: skip
def wrong_player(record: Record) -> Iterator[Found]:
    """An optimiser steps while only the other player has a gradient, or moves a player by the other's loss alone."""
    for player in PLAYERS:
        idle = [u for u in record.updates if set(u.held) == {player} and not u.given and u.unspent]
        if len(idle) >= ENOUGH:
            n = sum(set(u.held) == {player} for u in record.updates)
            yield Found(
                idle[0].step,
                player,
                f"{share(len(idle), n)} updates of the {player} came right after a backward pass that "
                f"gave only the {OTHER[player]} a gradient; the {player} had none",
            )
            continue
        wrong = [u for u in record.of(player) if _by_the_other(record, u, player)]
        if len(wrong) >= ENOUGH and len(wrong) == len(record.of(player)):
            yield Found(
                wrong[0].step, player, f"all {len(wrong)} updates of the {player} follow the {OTHER[player]}'s loss alone"
            )


def _by_the_other(record: Record, update: Update, player: Player) -> bool:
    passes = [record.passes[n] for n in sorted(update.of(player))]
    reals = any(push.real[1] for this in passes for push, _, _ in pushes(record, this.number))
    fakes = {sides(record, this)[1] for this in passes} - {0}
    attached = all(hangs for this in passes for push, hangs, _ in pushes(record, this.number) if push.fake[1])
    return attached and reals == (player == "generator") and fakes == {-1 if player == "generator" else 1}


@RULES.register(
    "L102", source=TORCH, title="parameters are in no optimiser",
    cause="layers were made after the optimiser, kept in a plain list, or left out of its parameters",
    fix="keep layers in nn.ModuleList or as attributes, and pass net.parameters() to the optimiser after the net is complete",
)  # fmt: skip
def missing_parameters(record: Record) -> Iterator[Found]:
    """Parameters receive gradients and are never updated, by an optimiser or otherwise."""
    if record.moved is None:
        return
    for player in PLAYERS:
        held = set().union(*(u.held.get(player, frozenset()) for u in record.updates))
        names = record.trainable.get(player, frozenset())
        counts = {name: sum(name in p.touched.get(player, ()) for p in record.passes) for name in names}
        lost = sorted(n for n, count in counts.items() if count >= ENOUGH and n not in held and n not in record.moved)
        whole = not held
        own = [p for p in record.passes if p.touched.get(player) and _for(record, p, player)]
        if lost and (not whole or len(own) >= ENOUGH):
            first = ", ".join(lost[:3]) + (", ..." if len(lost) > 3 else "")
            yield Found(
                0,
                player,
                f"{share(len(lost), len(record.trainable[player]))} parameters received up to {max(counts.values())} "
                f"gradients and did not move: {first}",
            )
    for stray in sorted(record.strays):
        where, _, what = stray.partition(": ")
        yield Found(
            0,
            where,
            f"the {where}'s output depends on {what} that {where}.parameters() does not list; it received "
            "gradients and did not move",
        )


def _for(record: Record, this: Pass, player: Player) -> bool:
    if not this.touched.get(OTHER[player]):
        return True
    real, fake = sides(record, this)
    return fake == (1 if player == "generator" else -1) and (player == "discriminator" or not real)


@RULES.register(
    "L103", source="Lightning-AI/pytorch-lightning#591", title="the generator is moved by the discriminator's loss",
    cause="the fakes in the discriminator's loss are not detached, and the generator's gradients are not cleared afterwards",
    fix="pass fake.detach() to the discriminator in its own loss, or clear the generator's gradients before its backward pass",
)  # fmt: skip
def missing_detach(record: Record) -> Iterator[Found]:
    """A backward pass of the discriminator's loss enters the generator's update."""
    if not stale(record, "generator"):
        yield from _leak(record, "discriminator")


@RULES.register(
    "L104", source=TORCH, title="the discriminator is moved by the generator's loss",
    cause="the generator's backward pass also fills the discriminator's gradients, which are not cleared before its update",
    fix="clear the discriminator's gradients right before its own backward pass",
)  # fmt: skip
def generators_gradient(record: Record) -> Iterator[Found]:
    """A backward pass of the generator's loss enters the discriminator's update."""
    if not stale(record, "discriminator"):
        yield from _leak(record, "generator")


def _leak(record: Record, owner: Player) -> Iterator[Found]:
    victim = OTHER[owner]
    numbers = {number for number, whose in shared(record).items() if whose == owner}
    struck = [u for u in record.of(victim) if u.of(victim) & numbers]
    if struck:
        yield Found(
            struck[0].step,
            victim,
            f"{share(len(struck), len(record.of(victim)))} updates of the {victim} contain the gradient "
            f"of a backward pass of the {owner}'s loss, which moved the {owner} too",
        )


@RULES.register(
    "L105", source=TORCH, title="parameters are in both optimisers",
    cause="an optimiser was given the parameters of both nets, or both were given the same net's",
    fix="give each optimiser the parameters of one net",
)  # fmt: skip
def in_both_optimizers(record: Record) -> Iterator[Found]:
    """Two optimisers step, and hold the same parameters."""
    optimizers = {u.optimizer: u for u in reversed(record.updates)}
    if len(optimizers) != 2:  # a third one for both players is how information is maximised in InfoGAN
        return
    one, other = optimizers.values()
    for player in PLAYERS:
        both = one.held.get(player, frozenset()) & other.held.get(player, frozenset())
        if both:
            n = len(record.trainable.get(player, both))
            yield Found(
                max(one.step, other.step),
                player,
                f"{share(len(both), n)} parameters of the {player} are in both optimisers "
                f"({one.name} and {other.name})",
            )


@RULES.register(
    "L106", source=TORCH, title="gradients are not cleared between updates",
    cause="zero_grad is missing, or is called on another optimiser or net",
    fix="call the optimiser's zero_grad before each backward pass whose gradient it steps with",
)  # fmt: skip
def gradients_not_cleared(record: Record) -> Iterator[Found]:
    """An update contains gradients that its parameters were already updated with."""
    for player in PLAYERS:
        found = stale(record, player)
        if found:
            update, old, names = found[-1]
            n = len(update.of(player))
            yield Found(
                found[0][0].step,
                player,
                f"{share(len(found), len(record.of(player)))} updates; in the last one, gradients of "
                f"{share(old, names)} parameters were the sum of up to {n} backward passes, earlier updates' included",
            )


@RULES.register(
    "L107", source="Goodfellow et al. 2014, section 3", title="the players are not opponents",
    cause="a loss has the wrong target or sign: ones and zeros are mixed up",
    fix="the discriminator pushes its outputs for real and fake apart; the generator pushes those for fakes towards real",
)  # fmt: skip
def not_opponents(record: Record) -> Iterator[Found]:
    """The generator pushes the discriminator's outputs for fakes away from real, or the discriminator pushes both one way."""
    apart = [u for u in record.of("discriminator") if _pushes(record, u, "discriminator") in ((1, -1), (-1, 1))]
    same = [u for u in record.of("discriminator") if _pushes(record, u, "discriminator") in ((1, 1), (-1, -1))]
    n = len(record.of("discriminator"))
    if len(same) >= ENOUGH and len(same) == n:
        yield Found(
            same[0].step,
            "discriminator",
            f"all {n} updates of the discriminator push its outputs for real samples and for fakes the same way",
        )
    moves = [_pushes(record, u, "generator") for u in record.of("generator")]
    passes = {number for u in record.of("generator") for number in u.of("generator")}
    turned = any(push.fake[1] and not hangs for number in passes for push, hangs, _ in pushes(record, number))
    if len(moves) >= ENOUGH and set(moves) == {(0, -1)} and apart and not turned and not wrong_owner(record):
        yield Found(
            record.of("generator")[0].step,
            "generator",
            f"all {len(moves)} updates of the generator push the discriminator's "
            "outputs for fakes away from real, as the discriminator does",
        )


def wrong_owner(record: Record) -> bool:
    """Return whether another rule explains a gradient of the wrong sign."""
    return bool(shared(record)) or any(stale(record, player) for player in PLAYERS)


def _pushes(record: Record, update: Update, player: Player) -> tuple[int, int]:
    found = [sides(record, record.passes[n]) for n in sorted(update.of(player))]
    real, fake = ({part[i] for part in found} - {0} for i in (0, 1))
    return (real.pop() if len(real) == 1 else 0), (fake.pop() if len(fake) == 1 else 0)
