"""Recurrent nets of plain linear operations, so that they map over members: torch's own have no rule for that.

A net reads a sequence one observation after the other and keeps what it remembers in a state. What it says at the end is read
off the state (many-to-one), or written step by step, each output the next input (sequence-to-sequence; one-to-many when the
sequence that is read has one observation). Weights have torch's names, shapes and initial law.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from ganlab.registry import InputError

State = tuple[Tensor, ...]
"""What is remembered, `[n, hidden]` each; the first is what is said to the outside."""


class Kind(NamedTuple):
    """A kind of cell: how many blocks of hidden rows its weights have, how many tensors its state has, and its update.

    `update(x, h, state)` has the weighted inputs `x` and weighted outputs `h`, `[n, gates * hidden]`.
    """

    gates: int
    states: int
    update: Callable[[Tensor, Tensor, State], State]


def _rnn(x: Tensor, h: Tensor, state: State) -> State:
    return (torch.tanh(x + h),)


def _lstm(x: Tensor, h: Tensor, state: State) -> State:
    enter, forget, new, out = (x + h).chunk(4, -1)
    cell = torch.sigmoid(forget) * state[1] + torch.sigmoid(enter) * torch.tanh(new)
    return torch.sigmoid(out) * torch.tanh(cell), cell


def _gru(x: Tensor, h: Tensor, state: State) -> State:
    (reset_x, keep_x, new_x), (reset_h, keep_h, new_h) = x.chunk(3, -1), h.chunk(3, -1)
    keep = torch.sigmoid(keep_x + keep_h)
    new = torch.tanh(new_x + torch.sigmoid(reset_x + reset_h) * new_h)
    return (torch.lerp(new, state[0], keep),)


CELLS: Mapping[str, Kind] = {"rnn": Kind(1, 1, _rnn), "lstm": Kind(4, 2, _lstm), "gru": Kind(3, 1, _gru)}
"""Elman 1990 (tanh); Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000; Cho et al. 2014 as in torch."""


class Cell(nn.Module):
    """One layer of recurrent units, with torch's weights: `weight_ih [gates * hidden, n_in]`, `weight_hh`, and two biases.

    Parameters
    ----------
    kind
        "rnn", "lstm" or "gru".
    """

    def __init__(self, kind: str, n_in: int, hidden: int) -> None:
        super().__init__()
        self.kind, self.hidden = CELLS[kind], hidden
        rows = self.kind.gates * hidden
        self.weight_ih, self.weight_hh = nn.Parameter(torch.empty(rows, n_in)), nn.Parameter(torch.empty(rows, hidden))
        self.bias_ih, self.bias_hh = nn.Parameter(torch.empty(rows)), nn.Parameter(torch.empty(rows))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights uniformly from +-1 / sqrt(hidden), as torch does."""
        for weight in self.parameters():
            nn.init.uniform_(weight, -1 / math.sqrt(self.hidden), 1 / math.sqrt(self.hidden))

    def start(self, n: int) -> State:
        """Return the state of n sequences before anything is read: zeros."""
        return (self.weight_ih.new_zeros(n, self.hidden),) * self.kind.states

    def forward(self, x: Tensor, state: State) -> State:
        """Return the state after an observation `[n, n_in]`."""
        return self.step(linear(x, self.weight_ih, self.bias_ih), state)

    def read(self, x: Tensor) -> State:
        """Return the state after a sequence `[n, time, n_in]`."""
        state = self.start(len(x))
        for weighted in linear(x, self.weight_ih, self.bias_ih).unbind(1):  # these products wait for no state
            state = self.step(weighted, state)
        return state

    def step(self, weighted: Tensor, state: State) -> State:
        """Return the state after an observation that is weighted already."""
        return self.kind.update(weighted, linear(state[0], self.weight_hh, self.bias_hh), state)


class Recurrent(nn.Module):
    """A recurrent layer that reads a sequence `[n, time, features]`, and a linear layer that says what follows.

    Parameters
    ----------
    n_in
        `(time, features)`.
    n_out
        A size, read off the last state, `[n, n_out]`; or `(time,)`, written by a second cell that begins with the state of the
        first and reads its own last output, at first 0.
    """

    def __init__(self, kind: str, n_in: int | Sequence[int], n_out: int | Sequence[int], hidden: int) -> None:
        super().__init__()
        if isinstance(n_in, int) or len(n_in) != 2:
            raise InputError(f"a recurrent net reads sequences (time, features), not {n_in!r}; for lists of numbers take 'mlp'")
        self.reader = Cell(kind, n_in[1], hidden)
        self.n_written = 0 if isinstance(n_out, int) else math.prod(n_out)
        if self.n_written:
            self.writer = Cell(kind, 1, hidden)
        self.last = nn.Linear(hidden, n_out if isinstance(n_out, int) else 1)

    def forward(self, x: Tensor) -> Tensor:
        state = self.reader.read(x)
        if not self.n_written:
            return self.last(state[0])
        written = [x.new_zeros(len(x), 1)]
        for _ in range(self.n_written):
            state = self.writer(written[-1], state)
            written.append(self.last(state[0]))
        return torch.cat(written[1:], 1)
