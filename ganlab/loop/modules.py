"""L2xx: the nets, their modes, layers and types."""

from __future__ import annotations

from collections.abc import Iterator

from ganlab.loop.record import PLAYERS, Record
from ganlab.loop.rules import ENOUGH, RULES, Found, share

LOST = {"float16": 2048, "bfloat16": 256}
"""An update smaller than this part of a weight may be less than half of the distance to the next number."""


@RULES.register(
    "L201", source="PyTorch's documentation of nn.Module.eval", title="eval mode is left on while training",
    cause="the net was put into eval mode to draw samples, or to measure, and not back into train mode",
    fix="call train() on the net before the next update",
)  # fmt: skip
def eval_mode(record: Record) -> Iterator[Found]:
    """A player is updated through calls in eval mode, up to the last update, though layers of it differ between the modes."""
    for player in PLAYERS:
        updates = [u for u in record.of(player) if record.reached(u, player)]
        in_eval = [all(f.frozen_layers for f in record.reached(u, player)) for u in updates]
        last = len(in_eval) - 1 - in_eval[::-1].index(False) if False in in_eval else -1
        n = len(in_eval) - 1 - last
        if n >= ENOUGH:
            first = updates[last + 1]
            layers = record.reached(first, player)[0].frozen_layers
            yield Found(
                first.step,
                player,
                f"the last {n} of {len(updates)} updates of the {player} were made in eval mode; "
                f"{len(layers)} layers differ in it: {', '.join(layers[:3])}",
            )


@RULES.register(
    "L202", source="Soumith Chintala et al., ganhacks, item 4", title="batch norm mixes real and fake",
    cause="real and fake samples are joined into one batch for a discriminator with batch norm, which sees the mixture's mean",
    fix="call the discriminator on real and on fake batches separately, or use a norm of single samples",
)  # fmt: skip
def mixed_batch_norm(record: Record) -> Iterator[Found]:
    """The discriminator has batch norm in training mode, and is shown real samples and fakes in one batch."""
    shown = [f for f in record.forwards if f.player == "discriminator"]
    apart = any(f.kind == "real" for f in shown)
    mixed = [f for f in shown if f.kind == "mixed" and f.batch_norm and f.learns and (f.known_real or not apart)]
    if len(mixed) >= ENOUGH:
        f = mixed[0]
        yield Found(
            f.step,
            "discriminator",
            f"{share(len(mixed), len(shown))} calls; the first has {f.n_real} real and {f.n_fake} fake "
            f"samples in one batch for {f.batch_norm}",
        )


@RULES.register(
    "L203", source="Lu et al. 2020, Dying ReLU and initialization, section 1", title="a layer is dead",
    cause="its units are zero for all samples, or what it returns is not used, so that nothing reaches its weights",
    fix="lower the learning rate, use leaky ReLU, check the initialisation, and that the layer's output is used",
)  # fmt: skip
def dead_layer(record: Record) -> Iterator[Found]:
    """A weight's gradient is exactly zero in all backward passes, while others of the same net are not."""
    for player in PLAYERS:
        used = set().union(*(u.of(player) for u in record.updates))
        passes = [p for p in record.passes if p.number in used]
        alive = [p for p in passes if any(n.startswith(player) for n in p.weights - p.zero)]
        names = {n for p in alive for n in p.weights if n.startswith(player)}
        seen = {name: len({p.step for p in alive if name in p.weights}) for name in names}  # steps: a zero start passes
        dead = sorted(
            name for name, n in seen.items() if n >= ENOUGH and all(name in p.zero for p in alive if name in p.weights)
        )
        if dead:
            yield Found(
                alive[0].step,
                player,
                f"{share(len(dead), len(names))} weights had a gradient of exactly 0 in all backward passes of "
                f"{max(seen[n] for n in dead)} steps: {', '.join(dead[:3])}",
            )


@RULES.register(
    "L204", source="Micikevicius et al. 2018, section 3.1; Zamirai et al. 2020, Revisiting BFloat16 training",
    title="weights are in half precision",
    cause="half() or bfloat16() was called on a net that is trained, so that small updates are rounded away",
    fix="keep weights in float32, and use torch.autocast for fast products, in float16 with a GradScaler",
)  # fmt: skip
def half_precision(record: Record) -> Iterator[Found]:
    """An optimiser that keeps no wider copy of its parameters updates some in float16 or bfloat16."""
    for player in PLAYERS:
        updates = [u for u in record.of(player) if any(name.startswith(player) for name in u.narrow)]
        if updates:
            first = updates[0]
            types = [kind for name, kind in first.narrow.items() if name.startswith(player)]
            yield Found(
                first.step,
                player,
                f"{share(len(types), len(first.held[player]))} parameters that {first.name} updates are "
                f"{' and '.join(sorted(set(types)))}; updates below 1/{min(LOST[t] for t in types)} of a weight may be lost",
            )
