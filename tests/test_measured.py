"""Measures at the end of a run: perfect samplers lie in their bands, collapsed ones outside, and the page says each rule."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

import ganlab
from ganlab import data, plots, rng, trace
from ganlab.measures import MEASURES, PARTS, measure_all
from ganlab.pages.measures import RULES, measured
from ganlab.pages.page import Page, Section, render

SEEN = ("precision", "recall", "density", "coverage", "ndb", "ndb_corrected", "vendi", "birthday_support", "energy_p")
DENSE = ("log_density_gap", "cell_divergence")


def clouds(name: str, n_members: int, n: int, first: int) -> Tensor:
    made = data.get(name)
    return torch.stack([made.sample(n, rng.stream(first + m, "data")) for m in range(n_members)])


@pytest.mark.parametrize(("name", "known"), [("ring8", True), ("digits", False), ("mixture1200", False)])
def test_of_perfect_samplers_most_lie_in_every_band(name: str, known: bool) -> None:
    """12 members: with 95 % inside, fewer than 8 has chance 2e-4 a measure."""
    n = 300 if known else 120
    got = measure_all(data.get(name), clouds(name, 12, n, 0), clouds(name, 12, n, 50))
    assert [key for key, _ in got] == [*SEEN, *DENSE][: None if known else len(SEEN)]
    for (key, parts), values in got.items():
        assert parts == PARTS
        value, low, high, size = values.T.numpy()
        assert 100 <= size[0] <= n
        assert ((low <= value) & (value <= high)).sum() >= 8, key


@pytest.mark.parametrize("name", ["ring8", "digits"])
def test_a_collapsed_sampler_lies_outside(name: str) -> None:
    fake = clouds(name, 2, 300, 50)
    got = measure_all(data.get(name), clouds(name, 2, 300, 0), fake[:, :3].repeat(1, 100, *[1] * (fake.ndim - 2)))
    for key in ("recall", "coverage", "vendi", "birthday_support", "energy_p"):
        value, low, *_ = got[key, PARTS].T
        assert (value < low).all(), key
    for key in ("ndb", "ndb_corrected", *(DENSE[1:] if name == "ring8" else ())):
        value, _, high, _ = got[key, PARTS].T
        assert (value > high).all(), key


def test_a_member_whose_samples_are_not_finite_has_no_value_and_leaves_the_others_theirs() -> None:
    real, fake = clouds("ring8", 2, 100, 0), clouds("ring8", 2, 100, 50)
    sound = measure_all(data.get("ring8"), real, fake)
    fake[1, 0] = torch.nan
    for key, values in measure_all(data.get("ring8"), real, fake).items():
        assert values[1, 0].isnan()
        assert values[0, 0] == sound[key][0, 0], key


def test_columns_count_in_their_own_units() -> None:
    points = torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
    scale = torch.tensor([1e-4, 1.0, 1e4])
    draws = [torch.randn(1, 200, 3, generator=torch.Generator().manual_seed(i)) for i in (1, 2)]
    plain = measure_all(data.Points(points), *draws)
    scaled = measure_all(data.Points(points * scale), *(x * scale for x in draws))
    for key in plain:
        np.testing.assert_allclose(plain[key], scaled[key], rtol=1e-3, err_msg=key[0])


def test_every_measure_has_its_rule_on_the_page_and_every_rule_its_measure() -> None:
    assert tuple(RULES) == (*SEEN, *DENSE)
    assert all(entry.summary and entry.source for entry in MEASURES.entries())


def test_a_run_has_its_measures_at_the_last_step_and_the_page_shows_them() -> None:
    small = {"seeds": 3, "steps": 2, "every": 1, "hidden": (8,), "batch": 16, "evaluation": 120}
    runs = [ganlab.run(variant, "ring8", **small) for variant in ("nsgan", "hinge")]
    for name in RULES:
        rows = trace.select(runs[0].trace, name)
        assert set(rows["step"]) == {2}
        assert len(rows) == 3 * len(PARTS)
    table = measured(runs, "ring8", plots.palette(["nsgan", "hinge"]))
    assert table is not None
    assert list(table.header) == ["measure and rule", "perfect sampler", "nsgan", "hinge"]
    precision = trace.last(runs[0].trace, "precision")
    (row,) = [row for row in table.cells() if row[0].text == "Precision"]
    assert row[0].note.endswith("n = 120")
    assert row[2].text == f"{precision.median():.3g}"
    assert row[2].note == f"[{precision.min():.3g}, {precision.max():.3g}]"
    text = render([Page("p", "p", "a", [Section("s", [table])])], "")
    assert all(title in text for title, _ in RULES.values())
    fewer = ganlab.run("wgan", "ring8", **{**small, "evaluation": 100})
    table = measured([runs[0], fewer], "ring8", plots.palette(["nsgan", "wgan"]))
    assert table is not None
    (row,) = [row for row in table.cells() if row[0].text == "Precision"]
    assert row[0].note.endswith("n = 120 or 100")
    assert row[1].text == "see each"  # fewer samples have another band
    for cell, run in zip(row[2:], (runs[0], fewer), strict=True):
        low, high = (trace.last(run.trace, "precision", end).iloc[0] for end in ("low", "high"))
        assert cell.note.endswith(f"perfect: {low:.3g} to {high:.3g}")
    bare = [run.__class__(run.experiment, run.trace[:0], run.outcome, {}, {}) for run in runs]
    assert measured(bare, "ring8", plots.palette(["nsgan", "hinge"])) is None
