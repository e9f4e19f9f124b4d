"""The lecture, deep learning for regression: a net finds a curve in noise, and a straight line cannot.

Try: fewer hidden units, a learning rate ten times as large, or data "diabetes", on which the line is hard to beat.
"""

import torch
from torch import nn

from ganlab import learning, stats, trace

# The data: 200 points on a curve, with noise
torch.manual_seed(0)
x = 4 * torch.rand(200, 1) - 2
y = torch.sin(3 * x) + x / 2 + 0.2 * torch.randn(200, 1)
x_train, y_train, x_test, y_test = x[:160], y[:160], x[160:], y[160:]

# A deep net: each layer a set of non-linear functions of a weighted sum of all outputs of the one before
net = nn.Sequential(nn.Linear(1, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1))
optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)

# Training
for step in range(500):
    loss = nn.functional.mse_loss(net(x_train), y_train)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 100 == 0:
        print(f"step {step:3}: training loss {loss.item():.3f}")

# The test set was never seen while training
with torch.no_grad():
    error = nn.functional.mse_loss(net(x_test), y_test).sqrt()
print(f"one net: test error {error:.3f}; the noise alone is 0.2")

# The same for twenty seeds at once, each with data of its own, against linear regression on the same data
run = learning.run("mlp", "noisy_curve", hidden=(32, 32), lr=1e-2, batch=32, steps=400, seeds=20)
nets = trace.last(run.trace, "test_rmse")
lines = trace.last(run.trace, "reference_rmse", "linear regression")
print(f"twenty nets:  {stats.mean(nets)}")
print(f"twenty lines: {stats.mean(lines)}")
print(f"net - line on the same data: {stats.paired_difference(nets, lines)}, p = {stats.sign_flip(nets, lines):.1g}")
