"""The tidy table: every number lands in its own row, and what is not finite stays what it is."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from ganlab import trace

STEPS, SEEDS = [0, 10, 20], [7, 3]


def example() -> pd.DataFrame:
    """Values that spell out where they belong: moment, member, part as hundreds, tens, ones."""
    loss = np.array([[[100.0 * t + 10 * m] for m in range(2)] for t in range(3)])
    layers = np.array([[[100.0 * t + 10 * m + p for p in range(3)] for m in range(2)] for t in range(3)])
    return trace.tidy("abc", SEEDS, STEPS, [("loss", [""], loss), ("norm", ["a", "b", "c"], layers)])


def test_every_number_has_its_own_row_with_member_seed_step_name_and_index() -> None:
    table = example()
    assert tuple(table.columns) == trace.COLUMNS == ("run", "member", "seed", "step", "name", "index", "value")
    assert len(table) == 3 * 2 * (1 + 3)
    assert set(table["run"]) == {"abc"}
    for row in table.itertuples(index=False):
        t, m = STEPS.index(row.step), row.member
        p = "abc".index(row.index) if row.index else 0
        assert row.value == 100 * t + 10 * m + p
        assert row.seed == SEEDS[m]
    assert table["value"].dtype == np.float64


def test_non_finite_values_stay_in_the_table() -> None:
    """A diverged member is a row with its NaN or infinity, never a gap, a zero or a code."""
    values = np.array([[[1.0], [math.nan]], [[math.inf], [-math.inf]]])
    table = trace.tidy("abc", [0, 1], [0, 5], [("loss", [""], values)])
    np.testing.assert_array_equal(trace.wide(table, "loss").to_numpy(), [[1.0, math.nan], [math.inf, -math.inf]])
    np.testing.assert_array_equal(trace.last(table, "loss").to_numpy(), [math.inf, -math.inf])


def test_a_member_that_is_nan_throughout_and_a_step_that_is_nan_for_all_keep_their_place() -> None:
    values = np.full((3, 2, 1), math.nan)
    values[0, 0, 0] = 1.0
    table = trace.tidy("abc", SEEDS, STEPS, [("loss", [""], values)])
    wide = trace.wide(table, "loss")
    assert wide.index.tolist() == STEPS
    assert wide.columns.tolist() == [0, 1]
    np.testing.assert_array_equal(wide.to_numpy(), values[..., 0])


def test_a_selection_is_ordered_by_member_and_step() -> None:
    shuffled = example().sample(frac=1, random_state=np.random.RandomState(0))
    got = trace.select(shuffled, "norm", "b")
    assert got[["member", "step"]].to_numpy().tolist() == [[m, s] for m in (0, 1) for s in STEPS]
    assert got["value"].tolist() == [1, 101, 201, 11, 111, 211]
    assert len(trace.select(shuffled, "norm")) == 18


def test_wide_has_a_row_per_step_and_a_column_per_member() -> None:
    got = trace.wide(example(), "norm", "c")
    assert got.index.tolist() == STEPS
    assert got.to_numpy().tolist() == [[2, 12], [102, 112], [202, 212]]
    assert trace.last(example(), "loss").to_dict() == {0: 200, 1: 210}


@pytest.mark.parametrize(
    ("name", "index", "message"),
    [("lost", None, "lost was not recorded; the trace has loss, norm"), ("norm", "z", r"norm\[z\] was not recorded")],
)
def test_what_was_not_recorded_is_an_error_and_not_an_empty_table(name: str, index: str | None, message: str) -> None:
    with pytest.raises(KeyError, match=message):
        trace.select(example(), name, index)


def test_values_of_the_wrong_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"loss: values \(2, 3, 1\), expected \(3, 2, 1\)"):
        trace.tidy("abc", SEEDS, STEPS, [("loss", [""], np.zeros((2, 3, 1)))])


def test_two_values_in_one_place_are_refused() -> None:
    table = example()
    with pytest.raises(ValueError, match="one value per run, member, step, name and index; some have two"):
        trace.check(pd.concat([table, table.iloc[:1].assign(value=3.0)]))
    with pytest.raises(ValueError, match="a trace has the columns"):
        trace.check(table.drop(columns="seed"))
    assert trace.check(table) is table


def test_the_table_and_what_reads_it_need_no_torch() -> None:
    code = "import sys, ganlab.trace, ganlab.store, ganlab.experiment; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
