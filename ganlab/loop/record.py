"""What was seen of a training loop, as plain data: forwards, backward passes and updates, in the order in which they happened.

`watching` writes it; the rules read it, and see no tensor. A step is one update of the generator, and the steps count from 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Player = Literal["generator", "discriminator"]
PLAYERS: tuple[Player, Player] = ("generator", "discriminator")
OTHER: dict[Player, Player] = {"generator": "discriminator", "discriminator": "generator"}

Kind = Literal["real", "fake", "mixed", "other"]
"""What a discriminator was shown; "other" is whatever is not surely one of the rest, interpolates for instance."""


class Values(NamedTuple):
    """Numbers of one batch."""

    n: int
    low: float
    high: float
    rms: float
    finite: bool
    whole: bool
    """Whether all are integers."""
    beyond: float
    """Share outside [-1.05, 1.05]."""
    negative: float
    """Share below -0.25."""
    print: bytes
    """Fingerprint: equal for equal batches."""


@dataclass
class Forward:
    """One call of a player; `last` is the operation that made its output, where there is a graph."""

    number: int
    step: int
    player: Player
    shown: Values
    given: Values
    frozen_layers: tuple[str, ...]
    """Layers that behave differently in training, when the net and all of them are in eval mode."""
    learns: bool
    """Whether the player's own parameters can receive a gradient through this call."""
    last: str | None
    kind: Kind = "other"
    attached: bool = False
    """Whether the generator can receive a gradient through this call of the discriminator, by PyTorch's own operations."""
    altered: bool = False
    """Whether fakes, hanging on the generator, are not what it returned: noise or an augmentation came between."""
    n_real: int = 0
    n_fake: int = 0
    known_real: bool = False
    """Whether the rows that are not fake were seen as real data elsewhere."""
    batch_norm: str | None = None
    """The first batch norm in training mode."""
    labels: tuple[int, int] | None = None
    """Rows found in the data that was passed: how many had their own label, and how many there were."""
    same_memory: bool = False
    """Whether the real batch lies where one of the last ones lay: the loop used it again."""
    identical_rows: bool = False
    """Whether all rows of the latent are equal, and there is more than one."""
    prints: tuple[bytes, ...] = ()
    """Fingerprints of all that the generator was given but its labels."""
    shape: tuple[int, ...] = ()
    """Of one sample of what was shown."""


class Push(NamedTuple):
    """Where a backward pass pushes the discriminator's outputs: sum of the descent directions, and of their sizes."""

    real: tuple[float, float] = (0.0, 0.0)
    fake: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Squash:
    """A logarithm or a loss of the discriminator's output, as the graph of the loss has it.

    `loss` is "log" or "bce" (they take a probability) or "logits" (binary cross entropy with logits, softplus and the like).
    """

    loss: Literal["log", "bce", "logits"]
    n_sigmoids: int
    guard: str | None
    """What keeps the logarithm from zero: "clamp" or "epsilon"."""
    epsilon: float | None
    forward: int | None
    squashed: bool
    """Whether something bounded lies between net and loss."""


@dataclass
class Pass:
    """One backward pass."""

    number: int
    step: int
    value: float
    squashes: tuple[Squash, ...] = ()
    squares: bool = False
    """Whether the loss squares something, so that its direction says little."""
    repaired: int = 0
    """Numbers that were not finite before `nan_to_num` in the loss."""
    reached: dict[int, Push] = field(default_factory=dict)
    """Forwards that a gradient went through."""
    touched: dict[Player, frozenset[str]] = field(default_factory=dict)
    zero: frozenset[str] = frozenset()
    """Matrices and kernels whose gradient is exactly zero."""
    weights: frozenset[str] = frozenset()
    """Matrices and kernels that received a gradient."""
    not_finite: frozenset[str] = frozenset()


@dataclass
class Update:
    """One step of an optimiser that holds parameters of a player."""

    number: int
    step: int
    optimizer: int
    name: str
    passes: dict[str, frozenset[int]]
    """Backward passes that each parameter's gradient is made of, for those that have one."""
    held: dict[Player, frozenset[str]]
    given: frozenset[Player]
    """Players that had a gradient, wherever it came from."""
    unspent: tuple[Player, int] | None
    """The player that was not updated, though its gradient had just been made, and the pass that made it."""
    repaired: tuple[str, ...] = ()
    """Parameters whose gradient was not finite after the pass, and finite here."""
    narrow: dict[str, str] = field(default_factory=dict)
    """Parameters in 16 bits, by type, where the optimiser is one of PyTorch's, which keep no wider copy of them."""
    mended: tuple[str, ...] = ()
    """Parameters that were NaN after it, and in which one number took the place of NaN before anything else happened."""

    def of(self, player: Player) -> frozenset[int]:
        """Return the passes that moved this player."""
        return frozenset().union(*(self.passes.get(name, frozenset()) for name in self.held.get(player, ())))


@dataclass
class Record:
    """All that was seen."""

    objective: str
    forwards: list[Forward] = field(default_factory=list)
    passes: list[Pass] = field(default_factory=list)
    updates: list[Update] = field(default_factory=list)
    told: dict[int, dict[str, float]] = field(default_factory=dict)
    """Losses by step, as the loop reported them."""
    ends: dict[int, int] = field(default_factory=dict)
    """How many calls there had been when the loop told of each step."""
    data: Values | None = None
    """Of the data that were passed."""
    moved: frozenset[str] | None = None
    """Parameters that changed while watching; None unless it came to its end."""
    strays: frozenset[str] = frozenset()
    """What a player's graph hangs on that is no parameter of its module, got a gradient, and was never updated."""
    trainable: dict[Player, frozenset[str]] = field(default_factory=dict)
    step: int = 0
    real_is_up: tuple[int, bool | None] | None = None
    """What `updates.real_is_up` said, and of how many passes: it reads them all, and is asked for each."""
    faults: list[str] = field(default_factory=list)

    def of(self, player: Player) -> list[Update]:
        """Return the updates that hold parameters of a player with a gradient."""
        return [update for update in self.updates if update.of(player)]

    def reached(self, update: Update, player: Player) -> list[Forward]:
        """Return the forwards of a player that its update came through."""
        return [self.forwards[n] for number in sorted(update.of(player)) for n in self.passes[number].reached
                if self.forwards[n].player == player]  # fmt: skip
