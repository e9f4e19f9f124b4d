"""Training a network of two layers: forward, backpropagation, one person at a time."""

import numpy as np
import torch
from torch import nn

# Working time and published papers, minus their means 21 and 6; 0 is a researcher, 1 a data scientist
people = {"Michael": ((-9, 0), 0), "Shash": ((11, -2), 1), "Aruna": ((-10, -3), 0), "Lisa": ((8, 5), 1)}
unknown = {"Jamal": (-7, -3), "Mina": (10, -6)}


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


draws = np.random.default_rng(seed=0)
w1, b1 = draws.normal(size=(2, 2)), draws.normal(size=2)  # hidden layer
w2, b2 = draws.normal(size=2), draws.normal()  # output
first = [w1, b1, w2[None], np.array([b2])]
rate = 0.1

for epoch in range(1000):
    loss = 0.0
    for x, y in people.values():
        # forward
        h = sigmoid(w1 @ x + b1)
        o = sigmoid(w2 @ h + b2)
        loss += (y - o) ** 2 / len(people)

        # backward: how the loss changes with the sum that enters each neuron
        at_output = -2 * (y - o) * o * (1 - o)
        at_hidden = at_output * w2 * h * (1 - h)  # the output weights before they are updated

        # update
        w2, b2 = w2 - rate * at_output * h, b2 - rate * at_output
        w1, b1 = w1 - rate * np.outer(at_hidden, x), b1 - rate * at_hidden
    if epoch % 100 == 0:
        print(f"epoch {epoch}: loss {loss:.4f}")

for name, x in unknown.items():
    o = sigmoid(w2 @ sigmoid(w1 @ x + b1) + b2)
    print(f"{name}: {o:.3f}, a {'data scientist' if o > 0.5 else 'researcher'}")

# The same in PyTorch, which works out the derivatives by itself: the same first weights, order and number of epochs
net = nn.Sequential(nn.Linear(2, 2), nn.Sigmoid(), nn.Linear(2, 1), nn.Sigmoid()).double()
with torch.no_grad():
    for parameter, value in zip(net.parameters(), first, strict=True):
        parameter.copy_(torch.from_numpy(value))
optimizer = torch.optim.SGD(net.parameters(), lr=rate)

for _ in range(1000):
    for x, y in people.values():
        loss = nn.functional.mse_loss(net(torch.tensor(x).double()), torch.tensor([float(y)]).double())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

for name, x in unknown.items():
    o = net(torch.tensor(x).double()).item()
    print(f"PyTorch: {name}: {o:.3f}, a {'data scientist' if o > 0.5 else 'researcher'}")

by_hand = [w1, b1, w2[None], np.array([b2])]
gap = max(np.abs(p.detach().numpy() - value).max() for p, value in zip(net.parameters(), by_hand, strict=True))
print(f"weights by hand and by PyTorch differ by at most {gap:.0e} after 1000 epochs")
