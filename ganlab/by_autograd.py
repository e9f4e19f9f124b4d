"""The network of `by_hand.py` in PyTorch: the same numbers, and no derivative written out."""

from __future__ import annotations

import torch
from torch import nn

from ganlab.by_hand import Array, Weights


def network(w: Weights) -> nn.Sequential:
    """Return one network of two layers as torch's own layers, float64, with these weights."""
    net = nn.Sequential(nn.Linear(2, 2), nn.Sigmoid(), nn.Linear(2, 1), nn.Sigmoid()).double()
    values = (w.hidden, w.hidden_bias, w.output[None], w.output_bias[None])
    with torch.no_grad():
        for parameter, value in zip(net.parameters(), values, strict=True):
            parameter.copy_(torch.as_tensor(value))
    return net


def backward(w: Weights, x: Array, y: Array) -> Weights:
    """Return the gradient of the squared error by every weight, as `by_hand.backward` does."""
    net = network(w)
    loss = nn.functional.mse_loss(net(torch.as_tensor(x)), torch.as_tensor(y)[None])
    gradients = [g.numpy() for g in torch.autograd.grad(loss, list(net.parameters()))]
    return Weights(gradients[0], gradients[1], gradients[2][0], gradients[3][0])
