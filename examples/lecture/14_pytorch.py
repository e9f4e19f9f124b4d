"""The lecture's MLP for handwritten digits in PyTorch; 14_tensorflow.py and 14_keras.py are the same net, weights and data.

Try: an epsilon of 1e-7, which is Keras's default, or another order of the data, and compare the losses with the others'.
"""

import numpy as np
import torch
from torch import nn


def build(weights):
    """A net that begins with these weights, `[in, out]` and bias by layer, and its optimiser."""
    net = nn.Sequential(nn.Linear(len(weights[0]), 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10))
    with torch.no_grad():
        for parameter, given in zip(net.parameters(), weights, strict=True):
            parameter.copy_(torch.from_numpy(given.T))  # PyTorch keeps a layer's weights as [out, in]
    return net, torch.optim.Adam(net.parameters(), lr=1e-3, eps=1e-8)


def train(learner, batches):
    net, optimizer = learner
    losses = []
    for x, y in batches:
        loss = nn.functional.cross_entropy(net(torch.from_numpy(x)), torch.from_numpy(y))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


if __name__ == "__main__":
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)  # 8 x 8 pixels, 0 to 16
    x, y = (x / 8 - 1).astype(np.float32), y.astype(np.int64)
    draws = np.random.default_rng(0)
    weights = []
    for n_in, n_out in ((64, 512), (512, 256), (256, 10)):
        weights += [draws.uniform(-1, 1, size).astype(np.float32) / n_in**0.5 for size in ((n_in, n_out), n_out)]
    order = draws.integers(len(x), size=(100, 32))
    losses = train(build(weights), [(x[chosen], y[chosen]) for chosen in order])
    for step in (0, 1, 9, 49, 99):
        print(f"step {step:2}: loss {losses[step]:.6f}")
