"""Tables and series are what their sources say; splits keep shares and time; what is missing or too short is refused."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ganlab.data.series import Series, windows
from ganlab.data.tables import LABELLED, Table, curve
from ganlab.registry import InputError
from ganlab.rng import stream

F64 = torch.float64


def labelled(name: str, seed: int = 0) -> Table | Series:
    return LABELLED[name](stream(seed, "data"))


@pytest.mark.parametrize("name", LABELLED)
def test_a_split_shares_no_row_and_repeats_with_its_seed(name: str) -> None:
    one, again = (labelled(name, 3).split(0.25, stream(4, "data")) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert one.x.shape[1:] == one.test_x.shape[1:]
    assert (len(one.x), len(one.test_x)) == (len(one.y), len(one.test_y))
    rows = {tuple(row.flatten().tolist()) for row in one.x}
    assert not rows & {tuple(row.flatten().tolist()) for row in one.test_x}


def test_breast_cancer_has_its_known_size() -> None:
    table = labelled("breast_cancer")
    assert table.x.shape == (569, 30)
    assert torch.bincount(table.y).tolist() == [357, 212]
    assert table.classes == ("benign", "malignant")
    assert table.x[table.y == 1, 0].mean() > table.x[table.y == 0, 0].mean()  # malignant nuclei have the larger radius


@pytest.mark.parametrize("seed", range(5))
def test_a_split_of_breast_cancer_has_both_classes_in_their_shares(seed: int) -> None:
    """A fifth of 569, rounded up, is 114: a fifth of 357 is 71.4 and of 212 is 42.4."""
    split = labelled("breast_cancer").split(0.2, stream(seed, "data"))
    assert torch.bincount(split.test_y).tolist() == [72, 42]
    assert torch.bincount(split.y).tolist() == [285, 170]


def test_seeds_have_other_splits() -> None:
    table = labelled("diabetes")
    one, other = (table.split(0.2, stream(seed, "data")) for seed in (0, 1))
    assert len(one.test_x) == 89
    assert not torch.equal(one.test_y, other.test_y)


def test_diabetes_is_in_its_own_units() -> None:
    table = labelled("diabetes")
    assert table.x.shape == (442, 10)
    assert table.x[:, 0].min() == 19  # years of age
    assert table.y.mean().item() == pytest.approx(152.13, abs=0.01)


def test_the_noisy_curve_is_its_curve_with_noise_and_drawn_anew_for_each_seed() -> None:
    one, other = labelled("noisy_curve", 0), labelled("noisy_curve", 1)
    assert not torch.equal(one.x, other.x)
    assert (one.y - curve(one.x)).std().item() == pytest.approx(0.2, rel=0.15)
    assert curve(torch.tensor(math.pi / 2)).item() == pytest.approx(-1 + math.pi / 4)


def test_the_airline_has_its_known_facts() -> None:
    months = labelled("airline").numbers
    assert len(months) == 144
    assert (months.min(), months.max()) == (104, 622)
    assert months.mean().item() == pytest.approx(280.30, abs=0.005)
    assert months[:3].tolist() == [112, 118, 132]
    assert months[-12:].tolist() == [417, 391, 419, 461, 472, 535, 622, 606, 508, 461, 390, 432]


def test_a_series_is_split_in_time() -> None:
    """115 months to learn from, 29 to be forecast; the first from the last twelve of training."""
    series = labelled("airline")
    split = series.split(0.2, stream(0, "data"))
    assert (len(split.y), len(split.test_y)) == (115 - 12, 29)
    assert torch.equal(split.test_y[:, 0], series.numbers[115:])
    assert torch.equal(split.test_x[0, :, 0], series.numbers[103:115])
    assert torch.equal(split.y[-1], series.numbers[114:115])


def test_waves_are_waves() -> None:
    """Each wave has one frequency w, so neighbours add up: x[t-1] + x[t+1] = 2 cos(w) x[t]."""
    table = labelled("waves_continued")
    wave = torch.cat([table.x[..., 0], table.y], 1)
    middle, around = wave[:, 1:-1], wave[:, :-2] + wave[:, 2:]
    cosine = (middle * around).sum(1, keepdim=True) / middle.square().sum(1, keepdim=True)
    torch.testing.assert_close(around, cosine * middle, atol=1e-9, rtol=0)
    numbers = labelled("waves_from_number")
    assert numbers.x.shape == (200, 1, 1)
    torch.testing.assert_close(numbers.y[:, 5], torch.sin(math.pi * numbers.x[:, 0, 0]))


ROWS = torch.arange(12.0, dtype=F64).reshape(6, 2)
LABELS = torch.tensor([0, 1, 0, 1, 0, 1])


def spoiled(rows: Tensor, place: tuple[int, int], value: float) -> Tensor:
    rows = rows.clone()
    rows[place] = value
    return rows


@pytest.mark.parametrize(
    ("x", "y", "classes", "message"),
    [
        (spoiled(ROWS, (4, 1), math.nan), LABELS, ("a", "b"), "missing or infinite values in 1 of 6 rows, first in row 4"),
        (ROWS, LABELS[:5], ("a", "b"), "table 't' has 6 rows and 5 labels; each row needs one"),
        (ROWS, LABELS + 1, ("a", "b"), "must be 0 to 1, each of them there, for the classes a, b; got 1, 2"),
        (ROWS, LABELS, ("a", "b", "c"), "must be 0 to 2, each of them there, for the classes a, b, c; got 0, 1"),
        (ROWS, LABELS.double(), ("a", "b"), "the labels of table 't' must be whole numbers [row], since it has classes"),
        (ROWS, LABELS, (), "without classes, what table 't' is about must be finite floating-point numbers; got torch.int64"),
        (ROWS.long(), LABELS, ("a", "b"), "must be a floating-point tensor [row, feature]; got torch.int64 (6, 2)"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_learned_is_refused(x: Tensor, y: Tensor, classes: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError) as refused:
        Table("t", x, y, classes)
    assert message in str(refused.value)


def test_a_split_that_leaves_a_class_without_rows_to_learn_from_is_refused() -> None:
    table = Table("t", ROWS, torch.tensor([0, 1, 0, 0, 0, 0]), ("a", "b"))
    assert 1 in table.split(0.3, stream(0, "data")).y
    with pytest.raises(InputError, match="table 't' has no row of class 'b' left to learn from; make test_share smaller"):
        table.split(0.8, stream(0, "data"))


def test_a_split_that_leaves_no_number_to_learn_from_is_refused() -> None:
    table = Table("t", ROWS[:4], ROWS[:4, 0])
    assert len(table.split(0.7, stream(0, "data")).y) == 1
    with pytest.raises(InputError, match="table 't' has no row left to learn from: 4 of 4 are kept for the test; make test"):
        table.split(0.9, stream(0, "data"))


def test_a_series_of_whole_numbers_is_that_of_the_same_real_ones() -> None:
    whole = Series("s", torch.arange(20), window=3)
    assert whole.numbers.dtype == F64
    assert torch.equal(whole.split(0.2, stream(0, "data")).x[0, :, 0], torch.arange(3.0, dtype=F64))


@pytest.mark.parametrize(
    ("numbers", "settings", "message"),
    [
        (torch.ones(20, 20), {}, "series 's' must be one number after the other, [time]; got (20, 20)"),
        (torch.ones(20, dtype=torch.bool), {}, "series 's' must be of real numbers; got torch.bool"),
        (torch.ones(20, dtype=torch.complex64), {}, "series 's' must be of real numbers; got torch.complex64"),
        (torch.ones(20), {"window": 0}, "window must be a whole number of at least 1; got 0"),
        (torch.ones(20), {"period": 0}, "period must be a whole number of at least 1; got 0"),
    ],
)
def test_what_is_no_series_is_refused(numbers: Tensor, settings: dict, message: str) -> None:
    with pytest.raises(InputError) as refused:
        Series("s", numbers, **settings)
    assert message in str(refused.value)


def test_a_series_too_short_for_its_window_is_refused() -> None:
    with pytest.raises(InputError, match=r"series 's' is too short for its window: it has 12 numbers, and a window of 12"):
        Series("s", torch.ones(12))
    with pytest.raises(InputError, match=r"it has 8 numbers to learn from, and a window of 9 .* at least 10; make window"):
        Series("s", torch.ones(11), window=9).split(0.2, stream(0, "data"))
    with pytest.raises(InputError, match="series 's' has missing or infinite values"):
        Series("s", torch.tensor([1.0, math.nan, 2.0]), window=1)
    assert len(windows(torch.ones(13), 12)[0]) == 1
