"""The lecture, MNIST: a perceptron and a convolutional net read handwritten digits - here scikit-learn's, of 8 x 8 pixels.

Try: leave out the pooling, move the training images too, or train on a hundred images.
"""

import torch
from sklearn.datasets import load_digits
from torch import nn

from ganlab import stats, supervised, trace

# The data: 1797 digits of 8 x 8 pixels, 0 to 16; the last fifth, nearly all by other writers, for testing
images, labels = load_digits(return_X_y=True)
x, y = torch.tensor(images / 16, dtype=torch.float32).view(-1, 1, 8, 8), torch.tensor(labels)
x_train, x_test, y_train, y_test = x[:1437], x[1437:], y[:1437], y[1437:]

torch.manual_seed(0)
nets = {
    "mlp": nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10)),
    "cnn": nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
        nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(32, 10),
    ),
}  # fmt: skip

for name, net in nets.items():
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(15):
        for batch in torch.randperm(len(x_train)).split(64):
            loss = nn.functional.cross_entropy(net(x_train[batch]), y_train[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    right = (net(x_test).argmax(1) == y_test).float().mean()
    moved = torch.roll(x_test, 1, dims=3)  # one pixel to the right
    still_right = (net(moved).argmax(1) == y_test).float().mean()
    print(f"one {name}: {right:.1%} of the test digits read right, {still_right:.1%} when they are moved by a pixel")

# One net of each says little. The project's own, eight seeds of each on the same images, as pairs
accuracy = {}
for name in ("mlp", "cnn"):
    run = supervised.perform(supervised.plan(name, "digits", seeds=8, epochs=20, every=20, n_train=300, batch=32))
    accuracy[name] = trace.last(run.trace, "test_accuracy")
    print(f"{name} from 300 images: {stats.mean(accuracy[name])}")
print(f"CNN less MLP on the same seeds: {stats.paired_difference(accuracy['cnn'], accuracy['mlp'])}")
