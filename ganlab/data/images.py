"""Images with labels, held as one uint8 tensor: MNIST, and digits, which needs no download.

MNIST comes through torchvision, from the folder in the environment variable GANLAB_DATA or a cache folder; it is fetched
only when asked for, and every file is compared with our own SHA-256 before use.
"""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ganlab.data import DATA
from ganlab.registry import InputError

MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
"""Of the four original files, unpacked."""

DIGITS_TEST = 360
"""Images of `digits` kept for testing: the last fifth. People wrote about 130 in a row (UCI, Alpaydin and Kaynak 1998), so the
split is by writer as in MNIST, but for the one whose first 22 images are before it."""


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """A training and a test set of grey images.

    Attributes
    ----------
    train, test
        Pixels, uint8 `[n, height, width]`, 0 to 255.
    train_labels, test_labels
        Classes, int64 `[n]`.
    """

    name: str
    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor
    low: float = -1.0
    """What black is as a sample; white is 1."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample: one channel, height, width."""
        return (1, *self.train.shape[1:])

    @property
    def n_classes(self) -> int:
        """Number of classes, numbered from 0."""
        return int(self.train_labels.max()) + 1

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Return n training images `[n, 1, height, width]` in [low, 1], drawn with replacement.

        They are where the images are held, or on the generator's device if it is not the CPU.
        """
        return self.sample_labelled(n, generator)[0]

    def sample_labelled(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return what `sample` returns, and the classes of the images, `[n]`, int64."""
        index = torch.randint(len(self.train), (n,), generator=generator, device=generator.device)
        index = index.to(self.train.device)
        device = self.train.device if generator.device.type == "cpu" else generator.device
        return scaled(self.train[index], self.low).to(device), self.train_labels[index].to(device)

    @property
    def training(self) -> Tensor:
        """All training images as samples, `[n, 1, height, width]`."""
        return scaled(self.train, self.low)

    def held_out(self, n: int, generator: torch.Generator) -> Tensor:
        """Return n test images as samples, which no training has seen, drawn with replacement."""
        index = torch.randint(len(self.test), (n,), generator=generator, device=generator.device).to(self.test.device)
        return scaled(self.test[index], self.low).to(generator.device if generator.device.type != "cpu" else self.test.device)

    def to(self, device: str) -> LabelledImages:
        """Return the same images on another device; these where they are there already."""
        if self.train.device == torch.device(device):
            return self
        moved = {name: getattr(self, name).to(device) for name in ("train", "train_labels", "test", "test_labels")}
        return replace(self, **moved)


def scaled(pixels: Tensor, low: float = -1.0) -> Tensor:
    """Return uint8 pixels `[n, h, w]` as floats `[n, 1, h, w]` in [low, 1]."""
    return pixels[:, None].float() / (255 / (1 - low)) + low


def folder() -> Path:
    """Return where image data lie: GANLAB_DATA if set, else a cache folder of the user."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return Path(os.environ.get("GANLAB_DATA", cache / "ganlab"))


def mnist_is_here() -> bool:
    """Return whether all four MNIST files are in `folder()`, without reading them."""
    return all((folder() / "MNIST" / "raw" / name).is_file() for name in MNIST_SHA256)


@DATA.register(source="LeCun, Cortes and Burges 1998")
def mnist(download: bool = False, low: float = -1.0) -> LabelledImages:
    """Handwritten digits, 60 000 to train and 10 000 to test, 28 x 28.

    Parameters
    ----------
    download
        Fetch the files when they are missing. Nothing is fetched unless this is true.
    low
        What black is as a sample: -1 for generators that end in tanh, 0 for sigmoid. White is 1.

    Raises
    ------
    InputError
        When a file is missing and `download` is false, or a file is not the original one.
    """
    if download and not mnist_is_here():
        _download()
    raw = {name: _verified(folder() / "MNIST" / "raw" / name) for name in MNIST_SHA256}
    train, test = (_pixels(raw[f"{part}-images-idx3-ubyte"]) for part in ("train", "t10k"))
    labels, test_labels = (_labels(raw[f"{part}-labels-idx1-ubyte"]) for part in ("train", "t10k"))
    if not isinstance(low, int | float) or not -math.inf < low < 1:
        raise InputError(f"low, what black is as a sample, must be a number below 1; got {low!r}")
    name = "mnist" if low == -1 else f"mnist:low={low:g}"
    return LabelledImages(name, train, labels, test, test_labels, float(low))


@DATA.register(source="Alpaydin and Kaynak 1998, through scikit-learn")
def digits() -> LabelledImages:
    """Handwritten digits, 1437 to train and 360 to test, 8 x 8; comes with scikit-learn."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    pixels = torch.from_numpy(np.rint(images * (255 / 16)).astype(np.uint8)).reshape(-1, 8, 8)
    classes = torch.from_numpy(labels).long()
    return LabelledImages(
        "digits", pixels[:-DIGITS_TEST], classes[:-DIGITS_TEST], pixels[-DIGITS_TEST:], classes[-DIGITS_TEST:]
    )


def _download() -> None:
    from torchvision.datasets import MNIST

    try:
        MNIST(str(folder()), download=True)
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"MNIST could not be downloaded ({error}); put the four files into {folder() / 'MNIST' / 'raw'}, "
            "or use 'digits', which needs no download"
        ) from error


def _verified(path: Path) -> bytes:
    """Return the bytes of an original file. Raises InputError when it is missing or differs."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"MNIST is not at {path} ({error.strerror}); set GANLAB_DATA to the folder that holds MNIST/raw, fetch it with "
            "data 'mnist:download=True', or use 'digits', which needs no download"
        ) from error
    found, wanted = hashlib.sha256(data).hexdigest(), MNIST_SHA256[path.name]
    if found != wanted:
        raise InputError(
            f"{path} is not the original file: SHA-256 {found[:12]}..., expected {wanted[:12]}...; delete it and fetch it again"
        )
    return data


def _pixels(data: bytes) -> Tensor:
    n, height, width = (int.from_bytes(data[i : i + 4], "big") for i in (4, 8, 12))
    return torch.frombuffer(bytearray(data[16:]), dtype=torch.uint8).reshape(n, height, width)


def _labels(data: bytes) -> Tensor:
    return torch.frombuffer(bytearray(data[8:]), dtype=torch.uint8).long()
