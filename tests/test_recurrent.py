"""Recurrent nets of plain linear operations are torch's own, with the same weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ganlab.net import Net
from ganlab.nets import NETS
from ganlab.recurrent import CELLS, Cell, Recurrent
from ganlab.registry import InputError
from ganlab.rng import stream

TORCH = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
F64 = torch.float64


def pair(kind: str) -> tuple[Cell, nn.RNNBase]:
    """A cell and torch's layer with the cell's weights, in float64."""
    cell = Cell(kind, 3, 5).double()
    layer = TORCH[kind](3, 5, batch_first=True).double()
    layer.load_state_dict({f"{name}_l0": value for name, value in cell.state_dict().items()})
    return cell, layer


@pytest.mark.parametrize("kind", CELLS)
def test_states_after_a_sequence_are_torchs(kind: str) -> None:
    cell, layer = pair(kind)
    x = torch.randn(4, 7, 3, generator=stream(0, "data"), dtype=F64)
    _, wanted = layer(x)
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    for one, other in zip(cell.read(x), wanted, strict=True):
        torch.testing.assert_close(one, other[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", CELLS)
def test_gradients_are_torchs(kind: str) -> None:
    cell, layer = pair(kind)
    x = torch.randn(4, 7, 3, generator=stream(1, "data"), dtype=F64)
    cell.read(x)[0].square().sum().backward()
    layer(x)[0][:, -1].square().sum().backward()
    for name, parameter in cell.named_parameters():
        torch.testing.assert_close(parameter.grad, getattr(layer, f"{name}_l0").grad, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", CELLS)
def test_in_float32_the_two_agree_to_a_millionth(kind: str) -> None:
    cell, layer = (module.float() for module in pair(kind))
    x = torch.randn(4, 7, 3, generator=stream(2, "data"))
    torch.testing.assert_close(cell.read(x)[0], layer(x)[0][:, -1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", CELLS)
def test_initial_weights_follow_torchs_law(kind: str) -> None:
    """Uniform within +-1 / sqrt(hidden): 1/8 for 64 units, with the variance of that law."""
    weights = torch.cat([p.flatten() for p in Cell(kind, 64, 64).parameters()])
    assert weights.abs().max() <= 1 / 8
    assert weights.var().item() == pytest.approx((1 / 8) ** 2 / 3, rel=0.05)


def test_a_written_sequence_is_torchs_cell_fed_with_its_own_outputs() -> None:
    net = Recurrent("gru", (4, 2), (3,), 5).double()
    x = torch.randn(6, 4, 2, generator=stream(3, "data"), dtype=F64)
    state, said, wanted = net.reader.read(x)[0], torch.zeros(6, 1, dtype=F64), []
    torchs = nn.GRUCell(1, 5).double()
    torchs.load_state_dict(net.writer.state_dict())
    for _ in range(3):
        state = torchs(said, state)
        said = net.last(state)
        wanted.append(said)
    torch.testing.assert_close(net(x), torch.cat(wanted, 1), rtol=0, atol=1e-12)


def test_a_recurrent_net_is_refused_where_there_is_no_sequence() -> None:
    with pytest.raises(InputError, match=r"a recurrent net reads sequences \(time, features\), not 30"):
        NETS["lstm"](30, 2)


def test_each_seed_has_weights_of_its_own() -> None:
    net = Net(NETS["lstm"]((4, 1), 1), "learner")
    assert not torch.equal(net.initial(0), net.initial(1))
    assert torch.equal(net.initial(1), net.initial(1))
