"""Small data sets of courses, labels of samples, and where samples are made."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats as scipy_stats

from ganlab import data
from ganlab.data.mixtures import Mixture
from ganlab.registry import InputError
from ganlab.rng import stream

# --- toys --------------------------------------------------------------------------------------------------------------


def test_normal_vectors_are_those_of_the_course_with_their_exact_density() -> None:
    made = data.get("normal_vectors:dimensions=10")
    assert (made.name, made.shape, made.n_classes) == ("normal_vectors:dimensions=10", (10,), 1)
    x = made.sample(2000, stream(0, "data"))
    law = scipy_stats.norm(4.0, 0.2)
    np.testing.assert_allclose(made.log_prob(x).numpy(), law.logpdf(x.double().numpy()).sum(1), rtol=1e-12)
    assert scipy_stats.kstest(x.flatten().numpy(), law.cdf).pvalue > 1e-3
    assert torch.equal(made.sample_labelled(5, stream(0, "data"))[1], torch.zeros(5, dtype=torch.int64))


def test_the_line_is_the_same_grid_in_every_batch() -> None:
    made = data.get("line:points=30")
    assert (made.name, made.shape) == ("line:points=30", (2,))
    one, other = made.sample(30, stream(0, "data")), made.sample(30, stream(1, "data"))
    assert torch.equal(one, other)
    assert one.dtype == torch.float32
    np.testing.assert_allclose(one.numpy(), np.linspace((2.5, 2.5), (7.5, 7.5), 30), rtol=1e-6)


def test_the_line_repeats_in_order_so_that_blocks_of_batches_are_equal() -> None:
    made = data.get("line:points=4,start=0,end=3")
    assert made.sample(10, stream(0, "data"))[:, 0].tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    blocks = made.sample(24, stream(0, "data")).reshape(6, 4, 2)
    assert all(torch.equal(block, blocks[0]) for block in blocks)


def test_a_line_that_is_not_fixed_is_uniform_on_the_segment() -> None:
    made = data.get("line:points=30,fixed=False")
    x, other = (made.sample(2000, stream(seed, "data")).numpy() for seed in (0, 1))
    assert (x != other).all()
    np.testing.assert_array_equal(x[:, 0], x[:, 1])
    assert scipy_stats.kstest(x[:, 0], scipy_stats.uniform(2.5, 5).cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("line", r"data 'line' needs a value for points, as in get\('line', points=...\)"),
        ("line:points=0", "points must be a whole number of at least 1; got 0"),
        ("line:points=3,start='a'", "start must be a finite number; got 'a'"),
        ("line:points=3,end=1e999", "end must be a finite number; got inf"),
        ("normal_vectors", "data 'normal_vectors' needs a value for dimensions"),
        ("normal_vectors:dimensions=2.0", "dimensions must be a whole number of at least 1; got 2.0"),
        ("normal_vectors:dimensions=2,std=-1", "std must be finite and not negative"),
    ],
)
def test_toys_that_cannot_be_are_refused(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        data.get(name)


# --- labels ------------------------------------------------------------------------------------------------------------

LABELLED = ["ring8", "ring8_wgan_gp", "grid25_bourgan", "ring12_lipizzaner", "ring:weights=(1,2,3,4,5,6,7,8)", "digits"]


@pytest.mark.parametrize("name", LABELLED)
def test_labelled_samples_are_the_samples_bit_for_bit(name: str) -> None:
    """Also what the generator gives next, so that asking for labels changes nothing else."""
    made, one, other = data.get(name), stream(3, "data"), stream(3, "data")
    samples, labels = made.sample_labelled(101, one)
    assert torch.equal(samples, made.sample(101, other))
    assert torch.equal(torch.rand(3, generator=one), torch.rand(3, generator=other))
    assert labels.dtype == torch.int64
    assert labels.shape == (101,)
    assert 0 <= labels.min() <= labels.max() < made.n_classes


@pytest.mark.parametrize("settings", [{}, {"points": 500}, {"stratified": True}, {"points": 64, "stratified": True}], ids=str)
def test_a_label_is_the_mode_a_sample_was_drawn_from(settings: dict[str, Any]) -> None:
    """Modes 10 standard deviations apart and more: the nearest centre is the right one."""
    made = Mixture([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [3.0, 3.0]], 0.05, **settings)
    x, labels = made.sample_labelled(400, stream(0, "data"))
    distance = np.linalg.norm(x.numpy()[:, None] - made.modes.numpy(), axis=-1)
    assert distance.argmin(1).tolist() == labels.tolist()
    assert made.n_classes == 4


def test_labels_come_as_often_as_their_modes_weigh() -> None:
    """Within 5 standard errors."""
    made = Mixture([[0.0], [0.0001]], 1.0, weights=[3, 1])
    _, labels = made.sample_labelled(4000, stream(0, "data"))
    assert float(labels.float().mean()) == pytest.approx(0.25, abs=5 * math.sqrt(0.25 * 0.75 / 4000))


def test_labels_of_images_are_those_of_the_images() -> None:
    digits = data.get("digits")
    x, labels = digits.sample_labelled(60, stream(0, "data"))
    known = {}
    for image, label in zip(digits.train, digits.train_labels.tolist(), strict=True):
        known.setdefault((image[:, :].float() / 127.5 - 1).numpy().tobytes(), set()).add(label)
    assert all(label in known[image[0].numpy().tobytes()] for image, label in zip(x, labels.tolist(), strict=True))
    assert digits.n_classes == 10


# --- devices -----------------------------------------------------------------------------------------------------------

EVERYWHERE = [*LABELLED, "ring8_pacgan", "line:points=30", "line:points=30,fixed=False", "normal_vectors:dimensions=3"]


def test_what_is_held_is_copied_to_a_device_once() -> None:
    """On the device without memory, which every machine has."""
    held = data.Held(torch.ones(3), torch.zeros(2))
    here, there = held.on(torch.device("cpu")), held.on(torch.device("meta"))
    assert here[0].tolist() == [1, 1, 1]
    assert [x.device.type for x in there] == ["meta", "meta"]
    assert held.on(torch.device("meta")) is there


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a second device")
@pytest.mark.parametrize("name", EVERYWHERE)
def test_samples_are_made_where_the_generator_is(name: str) -> None:
    made = data.get(name)
    one, other = (made.sample(50, torch.Generator("cuda").manual_seed(0)) for _ in range(2))
    assert one.device.type == "cuda"
    assert torch.equal(one, other)
    if hasattr(made, "sample_labelled"):
        assert made.sample_labelled(50, torch.Generator("cuda").manual_seed(0))[1].device.type == "cuda"
    assert made.sample(50, stream(0, "data")).device.type == "cpu"
