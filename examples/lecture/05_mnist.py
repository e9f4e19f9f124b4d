"""The lecture, MNIST: a perceptron and a convolutional net read handwritten digits.

Of MNIST where its files are in the folder GANLAB_DATA, in part, so that it takes half a minute; else scikit-learn's of 8 x 8.

Try: leave out the pooling, move the training images too, or train on a hundred images.
"""

import torch
from torch import nn

from ganlab import data, stats, supervised, trace
from ganlab.data.images import mnist_is_here, scaled

# The data: MNIST's first 1500 images to train and 1000 to test, or 1437 and 360 of 8 x 8, these nearly all by other writers
name = "mnist" if mnist_is_here() else "digits"
images = data.get(name)
x_train, y_train = scaled(images.train[:1500]), images.train_labels[:1500]  # [n, 1, height, width], black -1, white 1
x_test, y_test = scaled(images.test[:1000]), images.test_labels[:1000]
n_pixels = images.train[0].numel()
print(f"{name}: {len(x_train)} digits to learn from, of {n_pixels} pixels")

torch.manual_seed(0)
nets = {
    "mlp": nn.Sequential(nn.Flatten(), nn.Linear(n_pixels, 128), nn.ReLU(), nn.Linear(128, 10)),
    "cnn": nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
        nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(32, 10),
    ),
}  # fmt: skip

for kind, net in nets.items():
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(10):
        for batch in torch.randperm(len(x_train)).split(64):
            loss = nn.functional.cross_entropy(net(x_train[batch]), y_train[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    right = (net(x_test).argmax(1) == y_test).float().mean()
    moved = torch.roll(x_test, 1, dims=3)  # one pixel to the right
    still_right = (net(moved).argmax(1) == y_test).float().mean()
    print(f"one {kind}: {right:.1%} of the test digits read right, {still_right:.1%} when they are moved by a pixel")

# One net of each says little. The project's own, six seeds of each on the same images, as pairs
accuracy = {}
for kind in ("mlp", "cnn"):
    settings = {"seeds": 6, "epochs": 16, "every": 16, "n_train": 300, "n_test": 360, "batch": 32}
    run = supervised.perform(supervised.plan(kind, name, **settings))
    accuracy[kind] = trace.last(run.trace, "test_accuracy")
    print(f"{kind} from 300 images: {stats.mean(accuracy[kind])}")
print(f"CNN less MLP on the same seeds: {stats.paired_difference(accuracy['cnn'], accuracy['mlp'])}")
