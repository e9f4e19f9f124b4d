"""The lecture, breast cancer prediction: is a lump malignant or benign, from 30 measures of its cells?

Try: leave out the scaling, give the net no hidden layer, or train ten times as long.
"""

import torch
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from torch import nn

from ganlab import learning, stats, trace

# The data: 569 lumps; 80 % to train the net, 20 % that it never sees while training
x, y = load_breast_cancer(return_X_y=True)  # 0 is malignant, 1 benign
x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.2, stratify=y, random_state=0)

# Scale by what the training set says: the measures go from 0.001 to 4000
mean, std = x_train.mean(0), x_train.std(0)
x_train, x_test = (torch.tensor((part - mean) / std, dtype=torch.float32) for part in (x_train, x_test))
y_train, y_test = torch.tensor(y_train), torch.tensor(y_test)

# The net, and its training
torch.manual_seed(0)
net = nn.Sequential(nn.Linear(30, 16), nn.ReLU(), nn.Linear(16, 2))
optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
for step in range(60):
    loss = nn.functional.cross_entropy(net(x_train), y_train)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 20 == 0:
        print(f"step {step:2}: training loss {loss.item():.3f}")

# Which mistakes does it make?
said = net(x_test).argmax(1)
malignant, benign = y_test == 0, y_test == 1
print(f"one net: accuracy {(said == y_test).float().mean():.1%}")
print(f"  sensitivity {(said[malignant] == 0).float().mean():.1%}: malignant lumps that are found")
print(f"  specificity {(said[benign] == 1).float().mean():.1%}: benign lumps that are cleared")

# One split of 114 lumps says little. The same for twenty splits at once, with and without scaling
settings = {"hidden": (16,), "lr": 1e-2, "batch": 64, "steps": 150, "seeds": 20}
accuracy = {}
for scaling in ("train", "none"):
    run = learning.run("mlp", "breast_cancer", scaling=scaling, **settings)
    accuracy[scaling] = trace.last(run.trace, "test_accuracy")
    print(f"scaling by {scaling}: accuracy {stats.mean(accuracy[scaling])}")
gain = stats.paired_difference(accuracy["train"], accuracy["none"])
print(f"what scaling is worth on the same splits: {gain}")
