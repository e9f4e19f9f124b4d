"""The lecture, basic use of an RNN: an LSTM reads 12 months of airline passengers and says the next, many-to-one.

Try: nn.GRU or nn.RNN in place of nn.LSTM (a GRU has no memory beside its state), a shorter window, or no scaling.
"""

import torch
from torch import nn

from ganlab import learning, stats, trace
from ganlab.data.series import PASSENGERS, windows

# The data: 144 months, the first 80 % to train, the next 20 % never seen while training
months = torch.tensor([float(n) for n in PASSENGERS.split()])
n_train, window = 115, 12

# Scale by the training months alone: the whole series would tell how far the passengers will grow
mean, std = months[:n_train].mean(), months[:n_train].std()
x, y = windows((months - mean) / std, window)  # twelve months [n, 12, 1], and the month after them [n, 1]
x_train, y_train = x[: n_train - window], y[: n_train - window]
x_test, y_test = x[n_train - window :], y[n_train - window :]


class Forecaster(nn.Module):
    """An LSTM that reads the months, and a linear layer that says the next from its last state."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(input_size=1, hidden_size=32, batch_first=True)
        self.linear = nn.Linear(32, 1)

    def forward(self, x):
        _, (state, _) = self.lstm(x)
        return self.linear(state[-1])


# Training
torch.manual_seed(0)
net = Forecaster()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
for step in range(200):
    loss = nn.functional.mse_loss(net(x_train), y_train)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 50 == 0:
        print(f"step {step:3}: training loss {loss.item():.4f}")

# Is it better than saying that nothing changes?
with torch.no_grad():
    error = std * nn.functional.mse_loss(net(x_test), y_test).sqrt()
    persistence = std * nn.functional.mse_loss(x_test[:, -1], y_test).sqrt()
print(f"one LSTM: off by {error:.1f} thousand passengers; persistence by {persistence:.1f}")

# The same for eight seeds at once, against forecasts that need no training
run = learning.run("lstm", "airline", hidden=32, lr=2e-2, batch=16, steps=250, every=250, seeds=8)
errors = trace.last(run.trace, "test_rmse")
print(f"eight LSTMs: off by {stats.mean(errors)}")
for name in run.environment["references"]:
    print(f"  {name}: {trace.last(run.trace, 'reference_rmse', name).iloc[0]:.1f}")
print(f"better than persistence: {stats.rate(int((errors < persistence.item()).sum()), len(errors))} of seeds")
