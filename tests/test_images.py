"""Images with labels: what is on disk is used only if it is the original, and what comes out is what it says."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from ganlab import data
from ganlab.data import images
from ganlab.registry import InputError
from ganlab.rng import stream

TRAIN_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
TEST_COUNTS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
"""Digits 0 to 9 in MNIST, well known."""


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in which MNIST is looked for."""
    monkeypatch.setenv("GANLAB_DATA", str(tmp_path))
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    return folder


def small_files() -> dict[str, bytes]:
    """Two training images and one test image of 2 x 3 pixels in the format of MNIST: a header of big-endian numbers."""
    header = [0, 0, 8, 3]
    two, one = ([*header, 0, 0, 0, n, 0, 0, 0, 2, 0, 0, 0, 3] for n in (2, 1))
    return {
        "train-images-idx3-ubyte": bytes([*two, *range(12)]),
        "train-labels-idx1-ubyte": bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9]),
        "t10k-images-idx3-ubyte": bytes([*one, 0, 51, 102, 153, 204, 255]),
        "t10k-labels-idx1-ubyte": bytes([0, 0, 8, 1, 0, 0, 0, 1, 4]),
    }


# --- mnist -------------------------------------------------------------------------------------------------------------


def test_missing_mnist_says_where_it_was_looked_for_and_what_to_do(raw: Path) -> None:
    assert not images.mnist_is_here()
    with pytest.raises(InputError) as refused:
        data.get("mnist")
    message = str(refused.value)
    assert f"MNIST is not at {raw / 'train-images-idx3-ubyte'} (No such file or directory)" in message
    for way_out in ("set GANLAB_DATA to the folder that holds MNIST/raw", "'mnist:download=True'", "use 'digits'"):
        assert way_out in message


@pytest.mark.parametrize("name", images.MNIST_SHA256)
def test_one_missing_file_is_enough_to_say_that_mnist_is_not_here(raw: Path, name: str) -> None:
    for other in images.MNIST_SHA256.keys() - {name}:
        (raw / other).write_bytes(b"")
    assert not images.mnist_is_here()
    (raw / name).write_bytes(b"")
    assert images.mnist_is_here()


def test_a_file_that_is_not_the_original_is_refused_by_name(raw: Path) -> None:
    for name, content in small_files().items():
        (raw / name).write_bytes(content)
    with pytest.raises(InputError) as refused:
        data.get("mnist")
    message = str(refused.value)
    assert f"{raw / 'train-images-idx3-ubyte'} is not the original file: SHA-256 " in message
    assert message.endswith("delete it and fetch it again")


@pytest.mark.parametrize("name", images.MNIST_SHA256)
def test_one_flipped_bit_in_any_file_is_refused(raw: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """With sums of small files in place of the real ones, which the untouched files pass."""
    sums = {}
    for other, content in small_files().items():
        (raw / other).write_bytes(content)
        sums[other] = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(images, "MNIST_SHA256", sums)
    data.get("mnist")
    content = bytearray((raw / name).read_bytes())
    content[-1] ^= 1
    (raw / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name} is not the original file"):
        data.get("mnist")


def test_pixels_and_labels_are_read_in_their_order(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in small_files().items():
        (raw / name).write_bytes(content)
    monkeypatch.setattr(images, "MNIST_SHA256", {n: hashlib.sha256(c).hexdigest() for n, c in small_files().items()})
    small = data.get("mnist")
    assert small.shape == (1, 2, 3)
    assert small.train.tolist() == [[[0, 1, 2], [3, 4, 5]], [[6, 7, 8], [9, 10, 11]]]
    assert small.train_labels.tolist() == [7, 9]
    assert small.test.tolist() == [[[0, 51, 102], [153, 204, 255]]]
    assert small.test_labels.tolist() == [4]


@pytest.mark.skipif(not images.mnist_is_here(), reason="MNIST is not in GANLAB_DATA nor in the cache folder")
def test_real_mnist_is_the_one_everybody_knows() -> None:
    mnist = data.get("mnist")
    assert (mnist.name, mnist.shape) == ("mnist", (1, 28, 28))
    assert (mnist.train.dtype, mnist.train_labels.dtype) == (torch.uint8, torch.int64)
    assert torch.bincount(mnist.train_labels).tolist() == TRAIN_COUNTS
    assert torch.bincount(mnist.test_labels).tolist() == TEST_COUNTS
    assert mnist.train_labels[:5].tolist() == [5, 0, 4, 1, 9]
    std, mean = torch.std_mean(mnist.train.float() / 255)
    assert (float(mean), float(std)) == pytest.approx((0.1307, 0.3081), abs=5e-5)  # the constants of every tutorial


# --- digits ------------------------------------------------------------------------------------------------------------


def test_digits_are_split_by_writer_and_nothing_is_lost() -> None:
    digits, (pixels, labels) = data.get("digits"), load_digits(return_X_y=True)
    assert (digits.name, digits.shape) == ("digits", (1, 8, 8))
    assert (len(digits.train), len(digits.test)) == (1437, images.DIGITS_TEST)
    assert torch.cat([digits.train_labels, digits.test_labels]).tolist() == labels.tolist()
    assert set(digits.train_labels.tolist()) == set(digits.test_labels.tolist()) == set(range(10))
    original = torch.cat([digits.train, digits.test]).flatten(1).numpy() * (16 / 255)
    np.testing.assert_allclose(original, pixels, atol=0.5 * 16 / 255)  # half a grey level of 256


def test_digits_use_the_whole_range_of_a_byte() -> None:
    digits = data.get("digits")
    assert digits.train.dtype == torch.uint8
    assert (int(digits.train.min()), int(digits.train.max())) == (0, 255)


# --- samples -----------------------------------------------------------------------------------------------------------


def test_scaled_pixels_end_at_minus_one_and_one() -> None:
    ends = images.scaled(torch.tensor([[[0, 255]]], dtype=torch.uint8))
    assert ends.tolist() == [[[[-1.0, 1.0]]]]


def test_samples_are_training_images_in_range_and_repeat_with_a_seed() -> None:
    digits = data.get("digits")
    sample = digits.sample(50, stream(3, "data"))
    assert sample.shape == (50, 1, 8, 8)
    assert sample.dtype == torch.float32
    assert (sample.min(), sample.max()) == (-1, 1)
    assert torch.equal(sample, digits.sample(50, stream(3, "data")))
    assert not torch.equal(sample, digits.sample(50, stream(4, "data")))
    known = {image.numpy().tobytes() for image in images.scaled(digits.train)}
    assert all(image.numpy().tobytes() in known for image in sample)


def test_a_copy_on_a_device_has_the_same_images() -> None:
    digits = data.get("digits")
    there = digits.to("cpu")
    assert there.name == digits.name
    for part in ("train", "train_labels", "test", "test_labels"):
        assert torch.equal(getattr(there, part), getattr(digits, part))
