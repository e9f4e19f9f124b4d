"""Ranks of a run's looks and advice on going on, where the right answer is planted."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from ganlab import InputError, trace
from ganlab.checkpoints import Perfect, advice, rank
from ganlab.experiment import Experiment, Run, outcome

Curve = NDArray[np.float64]

LOOKS, EVERY, N = 30, 100, 512
STEPS = np.arange(LOOKS) * EVERY
DUE = np.full(4, 0.25)


def run_of(
    distance: Curve, share: Curve | None = None, spread: Curve | None = None, cells: bool = False, **fault: tuple[int, str]
) -> Run:  # fmt: skip
    """Return a run of one seed with these distances; all samples are good, and as modes are due, unless said otherwise."""
    n = len(distance)
    share = np.broadcast_to(DUE, (n, 4)) if share is None else share
    spread = np.ones(n) if spread is None else spread
    of, good = ("cell", ("near_share", "")) if cells else ("mode", ("high_quality_share", "default"))
    total = share.sum(1, keepdims=True)
    parts = tuple("0123")
    one = lambda values: np.asarray(values, float)[:, None, None]  # noqa: E731
    experiment = Experiment("recorded", "planted", "square", (0,), int(STEPS[n - 1]), EVERY, {"evaluation": 1000})
    table = trace.tidy(experiment.id, [0], STEPS[:n].tolist(), [
        ("distance", ("",), one(distance)), (good[0], (good[1],), one(total[:, 0])),
        (f"{of}_count", parts, (1000 * share)[:, None]), (f"{of}_due", parts, (1000 * total * DUE)[:, None]),
        (f"spread_within_{of}s", ("",), one(spread)), ("spread_overall", ("",), one(np.ones(n))),
        *([("diversity", ("",), one(np.ones(n)))] if cells else []), ("sample_scale", ("",), one(np.ones(n))),
    ])  # fmt: skip
    real = np.random.default_rng(0).standard_normal((N, 2))
    faults = {0: fault["fault"]} if fault else {}
    return Run(experiment, table, outcome(experiment, faults), {"real": real}, {})


@pytest.mark.parametrize("cells", [False, True])
def test_the_score_is_the_sum_of_three_known_parts(cells: bool) -> None:
    """A lost mode of a quarter and half the spread; all else as the data have it."""
    share = np.tile(DUE, (3, 1))
    share[1] = [0.5, 0.25, 0.25, 0.0]
    found = rank(run_of(np.array([0.1, 0.2, 0.3]), share, np.array([1.0, 1.0, 0.5]), cells)).frame
    assert found["missed"].tolist() == pytest.approx([0, 0.25, 0])
    assert found["narrow"].tolist() == pytest.approx([0, 0, 0.5])
    assert found["score"].tolist() == pytest.approx([0.1, 0.45, 0.8])
    assert found["rank"].tolist() == [1, 2, 3]


def test_bad_samples_miss_the_data_wherever_they_lie() -> None:
    """Half of the samples are good, evenly over the modes: half of the data are not made."""
    found = rank(run_of(np.zeros(2), np.stack([DUE, DUE / 2]))).frame
    assert found["missed"].tolist() == pytest.approx([0, 0.5])


def test_the_band_of_the_perfect_is_that_of_fresh_real_samples() -> None:
    """Simulated from the law itself, rather than from the samples that the run keeps."""
    run = run_of(np.full(3, 0.05))
    found = rank(run).perfect
    dice = np.random.default_rng(1)
    along = np.array([[math.cos(a), math.sin(a)] for a in np.linspace(0, math.pi, 16, endpoint=False)])
    scores = []
    for _ in range(300):
        one, other = (np.sort(along @ dice.standard_normal((2, N))) for _ in range(2))
        counted = dice.multinomial(1000, [*(0.989 * DUE), 0.011])[:4] / 1000
        distance, missed = np.abs(one - other).mean(), 1 - np.minimum(counted, DUE).sum()
        scores.append(distance + missed + max(0, 1 - dice.chisquare(2 * N) / (2 * N)) / 2)
    low, high = np.quantile(scores, [0.025, 0.975])
    assert found.low == pytest.approx(low, abs=0.01)
    assert found.high == pytest.approx(high, abs=0.02)
    assert found.mean == pytest.approx(np.mean(scores), abs=0.01)


def test_scores_within_the_tie_share_a_rank_and_are_said_to() -> None:
    tie = rank(run_of(np.zeros(3))).perfect.tie
    distance = np.array([1.0, 0.2 + 0.9 * tie, 0.2, 0.2 + 1.1 * tie])
    found = rank(run_of(distance))
    assert found.best == 200
    assert found.tied == [100, 200]
    assert found.frame["rank"].tolist() == [4, 1, 1, 2]
    assert repr(found).startswith("best at step 200: score 0.20 (distance 0.20, missed 0.00, narrow 0.00); 1 others, ")
    assert "between steps 100 and 200, cannot be told from it. A second real sample scores 0.0" in repr(found)


def test_the_rank_of_noise_is_the_same_for_all() -> None:
    """Perfect samplers are not put in an order."""
    dice, perfect = np.random.default_rng(2), rank(run_of(np.zeros(3))).perfect
    spread = perfect.tie / 4
    noise = np.abs(perfect.mean + spread * dice.standard_normal(10))
    assert len(rank(run_of(noise)).tied) >= 7


def test_checkpoints_have_the_score_of_the_nearest_look() -> None:
    run = run_of(np.linspace(1, 0, LOOKS))
    found = rank(run, steps=[1240, 30, 99_999]).frame
    assert found["step"].tolist() == [30, 1240, 99_999]
    assert found["look"].tolist() == [0, 1200, 2900]
    assert found["away"].tolist() == [30, 40, 97_099]
    assert found["rank"].tolist() == [3, 2, 1]
    assert list(found.columns) == ["step", "score", "distance", "missed", "narrow", "rank", "look", "away"]


def test_how_far_a_checkpoint_is_from_its_look_is_said() -> None:
    run = run_of(np.linspace(0, 1, LOOKS))
    far = repr(rank(run, steps=[1240, 4000]))
    assert "the nearest looks: of step 1200 for the best, 40 away, and at most 1100 away, for step 4000. One seed" in far
    assert "of step 1200 for the best, 0 away. One seed" in repr(rank(run, steps=[1200]))
    assert "nearest look" not in repr(rank(run))


def test_looks_that_are_not_finite_come_last() -> None:
    found = rank(run_of(np.array([0.5, np.nan, 0.1])))
    assert found.frame["rank"].tolist() == [2, 3, 1]
    with pytest.raises(InputError, match="no sample was finite"):
        rank(run_of(np.full(3, np.nan)))


NOISE = 0.01 * np.random.default_rng(3).standard_normal(LOOKS)
FALLS = np.linspace(2, 0.5, LOOKS) + NOISE
STANDS = np.maximum(0.5, np.linspace(2, -1.5, LOOKS)) + NOISE
RISES = np.concatenate([np.linspace(2, 0.5, 10), np.full(5, 0.5), np.linspace(0.6, 2, 15)]) + NOISE
DROPS = np.where(np.arange(LOOKS) < 20, 1.5, 0.5) + NOISE
ARRIVES = np.maximum(0.06, np.linspace(2, -1.5, LOOKS)) + NOISE / 10


@pytest.mark.parametrize(
    ("distance", "do", "why", "since"),
    [
        (FALLS, "go on", "the score falls, from", 2000),
        (STANDS, "stop", "nothing has improved since step", 1400),
        (DROPS, "stop", "nothing has improved since step", 2100),
        (RISES, "stop", "it gets worse since step", 1600),
        (ARRIVES, "stop", "as good as a second real sample", 1700),
        (FALLS[:14], "too early to tell", "14 looks are too few; 15 would do", np.nan),
    ],
)
def test_advice_is_what_was_planted(distance: Curve, do: str, why: str, since: float) -> None:
    found = advice(run_of(distance))
    assert found.do == do
    assert found.why.startswith(why)
    assert found.since == pytest.approx(since, abs=2 * EVERY, nan_ok=True)
    assert "One seed" in repr(found)


def collapsed(falls: bool) -> Run:
    share = np.tile(DUE, (LOOKS, 1))
    share[15:] = [0.97, 0.01, 0.01, 0.01]
    return run_of(FALLS * 2 - np.arange(LOOKS) / 20 if falls else STANDS, share)


def test_a_collapse_is_a_reason_to_stop_unless_the_score_still_falls() -> None:
    found = advice(collapsed(falls=False))
    assert found.do == "stop"
    assert found.why.startswith("collapsed since step 1600")
    still = advice(collapsed(falls=True))
    assert still.do == "go on"
    assert "mode collapse is there since step 1600" in still.why


def test_divergence_is_a_reason_to_stop_whatever_the_score() -> None:
    found = advice(run_of(FALLS, fault=(2850, "generator loss")))
    assert (found.do, found.since) == ("stop", 2850)
    assert found.why.startswith("diverged since step 2850: not finite")


def test_advice_on_noise_about_a_level_is_never_to_go_on() -> None:
    """The negative control: runs that only tremble, little and much."""
    dice = np.random.default_rng(4)
    said = [advice(run_of(0.5 + size * dice.standard_normal(LOOKS))).do for size in (0.01, 0.1) for _ in range(8)]
    assert said.count("go on") == 0


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (lambda run: rank("a run"), "what is ranked is a run or a recorder; got str"),
        (lambda run: rank(run, member=1), "member must be one of 0 to 0; got 1"),
        (lambda run: rank(run, steps=[]), "steps must be whole numbers"),
        (lambda run: rank(run, steps=[1.5]), "steps must be whole numbers"),
        (lambda run: rank(Run(run.experiment, run.trace, run.outcome, {}, {})), "the run has no distances to real samples"),
    ],
)
def test_what_cannot_be_ranked_is_refused(asked: Callable[[Run], object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        asked(run_of(np.ones(3)))


def test_a_tie_is_the_width_of_the_band() -> None:
    assert Perfect(0.25, 0.5, 0.75).tie == 0.5
