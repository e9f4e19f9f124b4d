"""The loops of classifiers that are timed: ours, and a lecture's, on the same random images; as in `loops.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision.datasets import MNIST
from torchvision.transforms import Compose, Normalize, ToTensor

from benchmarks.loops import Flops
from ganlab import supervised
from ganlab.data import DATA
from ganlab.data.images import LabelledImages
from ganlab.nets import NETS
from ganlab.workers import Meter

EPOCHS = 10**6
"""Epochs of a training that is stopped from outside."""

N_IMAGES = 4096
"""Random images in place of MNIST, of its size: what a pixel is does not change what it costs."""


def ours(meter: Meter, *, net: str, n_train: int = N_IMAGES, precision: str = "full") -> None:
    """`ganlab.supervised` on random images of MNIST's size, an epoch a piece, evaluation on 64 images included."""
    experiment = supervised.plan(net, "random_images", seeds=1, epochs=EPOCHS, n_train=n_train, precision=precision)
    supervised.perform(experiment, lambda epochs: meter(epochs * n_train))


def lecture(meter: Meter, *, net: str, batch: int = 128) -> None:
    """The loop of a lecture on the same images: torchvision's MNIST with transforms, a DataLoader, Adam, a loss read a step."""
    transform = Compose([ToTensor(), Normalize((0.1307,), (0.3081,))])
    loader = DataLoader(_RandomMNIST(transform), batch_size=batch, shuffle=True)
    module = NETS[supervised.CLASSIFIERS[net]]()
    optimizer = torch.optim.Adam(module.parameters())
    with Flops() as counter:
        nn.functional.cross_entropy(module(torch.zeros(batch, 1, 28, 28)), torch.zeros(batch).long()).backward()
    meter.note(flops=counter.total / batch)
    while True:
        total = 0.0
        for images, labels in loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(module(images), labels)
            loss.backward()
            optimizer.step()
            total += loss.item()
            meter(len(images))


class _RandomMNIST(MNIST):
    """torchvision's MNIST, with its way of reading a sample, on random images in place of files."""

    def __init__(self, transform: Callable[[Any], Any]) -> None:
        images = random_images()
        self.data, self.targets = images.train, images.train_labels
        self.transform, self.target_transform = transform, None


def random_images() -> LabelledImages:
    """Random pixels and labels, of MNIST's size."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (N_IMAGES + 64, 28, 28), generator=generator, dtype=torch.uint8)
    labels = torch.arange(N_IMAGES + 64) % 10
    return LabelledImages("random_images", pixels[:-64], labels[:-64], pixels[-64:], labels[-64:])


if "random_images" not in DATA:
    DATA.add("random_images", random_images, source="none: random numbers, to time with", summary="Random pixels.")
