"""One neuron and two layers by hand: golden values, gates, autograd as the twin, and what must fail."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from ganlab import by_autograd, by_hand, stats
from ganlab.by_hand import ACTIVATIONS, CORNERS, KNOWN, PEOPLE, UNKNOWN, Weights, drawn, forward, gate, inputs, neuron, targets
from ganlab.layers import ACTIVATIONS as IN_TORCH
from ganlab.pages.lecture.neuron import SHARED
from ganlab.pages.lecture.two_layers import SHUFFLED, SLIDE, SLOW, _p, _rates, trainings

TWINS = {"ReLU": "relu", "leaky ReLU": "leaky_relu", "tanh": "tanh", "ELU": "elu", "SELU": "selu", "sigmoid": "sigmoid"}


# --- one neuron ----------------------------------------------------------------------------------------------------------


def test_golden_values() -> None:
    assert float(neuron([4, 1], [3, 1], -1)) == pytest.approx(0.9999938558, abs=5e-11)
    assert float(forward(SHARED, np.array([2.0, 3.0]))[1]) == pytest.approx(0.7216325610, abs=5e-11)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_that_of_torch(name: str) -> None:
    z = np.concatenate([np.linspace(-8, 8, 101), [-800.0, 800.0]])
    twins = {"step": lambda t: torch.heaviside(t, torch.ones_like(t)), "linear": nn.Identity()}
    twin = IN_TORCH[TWINS[name]]() if name in TWINS else twins[name]
    np.testing.assert_allclose(ACTIVATIONS[name](z), twin(torch.as_tensor(z)).numpy(), rtol=1e-12, atol=1e-15)


def test_the_gates_are_and_and_or() -> None:
    both, either = ([float(f(x)) for x in CORNERS] for f in (all, any))
    assert gate("AND").tolist() == both
    assert gate("OR").tolist() == either


def test_no_neuron_with_a_step_is_xor() -> None:
    """The control: of many neurons some are AND and some are OR, and none is XOR."""
    side = np.linspace(-3, 3, 13)
    found = {tuple(neuron(CORNERS, (a, b), c, "step")) for a, b, c in itertools.product(side, repeat=3)}
    assert tuple(gate("AND")) in found
    assert tuple(gate("OR")) in found
    assert (0, 1, 1, 0) not in found
    assert (1, 0, 0, 1) not in found


# --- two layers ----------------------------------------------------------------------------------------------------------


def largest_gap(one: Weights, other: Weights) -> float:
    return max(float(np.abs(a - b).max()) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("seed", range(5))
def test_the_gradient_by_hand_is_that_of_autograd(seed: int) -> None:
    w = drawn(seed)
    for x, y in zip(inputs(KNOWN), targets(), strict=True):
        assert largest_gap(by_hand.backward(w, x, y), by_autograd.backward(w, x, y)) < 1e-10


def test_to_blame_through_new_output_weights_is_another_gradient() -> None:
    """The control: the common mistake is seen by the comparison above."""
    w, x, y = drawn(0), inputs(KNOWN)[0], targets()[0]
    right = by_hand.backward(w, x, y)
    mistaken = by_hand.backward(w._replace(output=w.output - 0.1 * right.output), x, y)
    assert np.abs(mistaken.hidden - by_autograd.backward(w, x, y).hidden).max() > 1e-4


def test_many_nets_at_once_are_each_alone() -> None:
    x, y = inputs(KNOWN), targets()
    nets = [drawn(seed) for seed in range(3)]
    together, errors = by_hand.train(by_hand.stacked(nets), x, np.tile(y, (3, 1)), epochs=5)
    for i, net in enumerate(nets):
        alone, error = by_hand.train(net, x, y, epochs=5)
        np.testing.assert_allclose(errors[:, i], error, rtol=1e-12)
        for one, many in zip(alone, together, strict=True):
            np.testing.assert_allclose(many[i], one, rtol=1e-12)


def test_the_table_is_centred_by_its_rounded_means() -> None:
    assert np.round(np.mean([PEOPLE[name][:2] for name in KNOWN], axis=0)).tolist() == [21, 6]
    assert inputs(KNOWN).tolist() == [[-9, 0], [11, -2], [-10, -3], [8, 5]]
    assert inputs(UNKNOWN).tolist() == [[-7, -3], [10, -6]]


def test_the_unknown_people_are_told_right_and_with_shuffled_positions_by_chance() -> None:
    n = 200
    found = trainings(n)
    right = {name: stats.rate(int(t.right.all(0).sum()), n) for name, t in found.items()}
    assert right[SLIDE].estimate >= 0.95
    assert right[SLOW].high < 0.5
    for person in found[SHUFFLED].right:
        share = stats.rate(int(person.sum()), n)
        assert share.low < 0.5 < share.high
    both = {name: t.right.all(0) for name, t in found.items()}
    p = stats.holm([stats.mcnemar(both[SLIDE].tolist(), both[name].tolist()) for name in (SHUFFLED, SLOW)])
    assert [row[-1].text for row in _rates(found, both).cells()] == ["", *map(_p, p)]
    assert stats.mcnemar(found[SLIDE].right.all(0).tolist(), found[SHUFFLED].right.all(0).tolist()) < 1e-6
