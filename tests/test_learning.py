"""Nets learn tables and series, in pairs on the same splits; known answers, and what must not be learned is not."""

from __future__ import annotations

import math
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console
from torch.nn.functional import cross_entropy

from ganlab import fitting, learning, stats
from ganlab.data.series import Series
from ganlab.data.tables import Split, Table
from ganlab.experiment import Run
from ganlab.learning import plan, prepare, run, train
from ganlab.memory import need
from ganlab.optim import OPTIMIZERS
from ganlab.registry import InputError
from ganlab.store import Store
from ganlab.sweep import sweep
from ganlab.tasks import SCALINGS, TASKS, free_run, scaled_by
from ganlab.trace import last, select, wide

F64 = torch.float64

breast_cancer = partial(plan, data="breast_cancer", seeds=20, steps=100, every=50, lr=1e-2, batch=64)


@cache
def performed(net: str, **settings: object) -> Run:
    return learning.perform(breast_cancer(net, **settings))


@cache
def forecast(net: str, data: str = "airline", **settings: object) -> Run:
    return run(net, data, **{"seeds": 10, "steps": 100, "every": 50, "lr": 1e-2, **settings})


def reference(run: Run, name: str, index: str) -> pd.Series:
    return select(run.trace, name, index).set_index("member")["value"]


# --- one program -------------------------------------------------------------------------------------------------------

SMALL = [
    ("mlp", "breast_cancer", {"hidden": (5,), "batch": 16}),
    ("linear", "diabetes", {"optimizer": "sgd", "momentum": 0.5}),
    ("lstm", "airline", {"hidden": 3, "batch": 20}),
    ("gru", "waves_continued", {"hidden": 3, "batch": 10}),
]


@pytest.mark.parametrize(("net", "data", "settings"), SMALL)
def test_mapped_members_are_those_of_a_loop_and_of_the_loop_everybody_writes(net: str, data: str, settings: dict) -> None:
    """In float64. The plain loop has torch.optim, an ordinary module, autograd; it shares splits and batches."""
    planned = plan(net, data, seeds=[3, 5], steps=6, every=3, lr=[1e-2, 1e-3], **settings)
    mapped, looped = (train(data, planned, dtype=F64, engine=engine) for engine in ("vmap", "loop"))
    pd.testing.assert_frame_equal(mapped.trace, looped.trace, rtol=1e-9)

    member = planned.members()[3]
    lesson = prepare(data, planned, member)
    made = learning.network(planned, lesson)
    module = made.to_module(made.initial(member.seed).double())
    momentum = {"momentum": settings["momentum"]} if "momentum" in settings else {}
    optimizer = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[planned.settings["optimizer"]]
    optimizer = optimizer(module.parameters(), lr=1e-3, **momentum)
    draws = learning.draw(lesson.rows, planned.settings["batch"], lesson.stream)
    for x, y in zip(draws.x[:6], draws.y[:6], strict=True):
        loss = cross_entropy(module(x), y) if not y.is_floating_point() else (module(x) - y).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        outputs = module(lesson.scaling.inputs(lesson.split.test_x))
    y, mean, std = lesson.split.test_y, lesson.scaling.y_mean, lesson.scaling.y_std
    wanted = cross_entropy(outputs, y) if not y.is_floating_point() else (outputs - (y - mean) / std).square().mean()
    assert last(mapped.trace, "test_loss").loc[3] == pytest.approx(wanted.item(), rel=1e-9)
    predicted = outputs.softmax(1) if not y.is_floating_point() else outputs * std + mean
    np.testing.assert_allclose(mapped.samples["predicted"][3], predicted.numpy(), rtol=1e-9, atol=1e-9)


def test_a_member_alone_is_the_member_in_a_crowd() -> None:
    planned = plan("lstm", "airline", hidden=3, seeds=[0, 4, 9], steps=40, every=20, batch=8)
    crowd, alone = train("airline", planned, dtype=F64), train("airline", planned, dtype=F64, places=[2])
    rows = crowd.trace[crowd.trace["member"] == 2].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows, alone.trace, rtol=1e-9)
    np.testing.assert_allclose(crowd.samples["free"][2], alone.samples["free"][0], rtol=1e-9)


def test_blocks_in_the_store_are_joined_to_the_run_trained_together(tmp_path: Path) -> None:
    planned = plan("mlp", "breast_cancer", hidden=(4,), seeds=5, steps=4, batch=8)
    store, silent = Store(tmp_path), Console(quiet=True)
    store.prepare()
    store.save_block(learning.perform(planned, places=[0, 1]))
    (swept,) = sweep([planned], store, 1, silent, block=2)
    together = learning.perform(planned)
    pd.testing.assert_frame_equal(swept.trace, together.trace, rtol=1e-5)
    assert set(swept.samples) == set(together.samples)
    for name, array in together.samples.items():
        np.testing.assert_allclose(swept.samples[name], array, rtol=1e-4, err_msg=name)
    assert swept.environment["block"] == [2, 2, 1]


def test_nets_share_splits_and_batches_and_seeds_differ() -> None:
    planned = [breast_cancer("mlp"), breast_cancer("linear", scaling="none")]
    one, other = (prepare("breast_cancer", p, p.members()[1]) for p in planned)
    assert torch.equal(one.split.test_x, other.split.test_x)
    assert torch.equal(one.stream.get_state(), other.stream.get_state())
    neighbour = prepare("breast_cancer", planned[0], planned[0].members()[2])
    assert not torch.equal(one.split.test_x, neighbour.split.test_x)


def test_every_kind_of_experiment_of_the_sweep_has_a_need() -> None:
    small, large = (need(plan("mlp", "breast_cancer", hidden=(n,), seeds=1)).member for n in (8, 2000))
    assert 1e5 < small < large < 1e8


def test_ticks_add_up_to_the_steps() -> None:
    ticks: list[int] = []
    run("linear", "people", seeds=1, steps=70, test_share=0.25, tick=ticks.append)
    assert sum(ticks) == 70


def test_a_huge_rate_diverges_with_step_and_place_and_leaves_the_others_alone() -> None:
    """On diabetes with plain gradient steps of 1e38 the weights leave float32 in the first step, or the loss in the next."""
    broken = run("mlp", "diabetes", hidden=(4,), seeds=[2], steps=40, every=8, optimizer="sgd", lr=[1e-3, 1e38])
    sound, diverged = broken.outcome.to_dict("records")
    assert sound["status"] == "finished"
    assert diverged["status"] == "diverged"
    assert 1 <= diverged["step"] <= 2
    assert diverged["place"].startswith(("training loss", "layer 0."))
    assert wide(broken.trace, "test_rmse")[1].isna().tolist() == [False] + [True] * 5
    assert np.isnan(broken.samples["predicted"][1]).all()
    alone = run("mlp", "diabetes", hidden=(4,), seeds=[2], steps=40, every=8, optimizer="sgd", lr=1e-3)
    assert last(broken.trace, "test_rmse").loc[0] == pytest.approx(last(alone.trace, "test_rmse").loc[0], rel=1e-5)


def test_a_diverged_classifier_has_no_accuracy() -> None:
    """The largest of scores that are not numbers would name a class, and be right by chance."""
    broken = run("mlp", "breast_cancer", hidden=(4,), seeds=1, steps=4, every=2, optimizer="sgd", lr=1e38)
    assert wide(broken.trace, "test_accuracy")[0].isna().tolist() == [False, True, True]


def test_an_update_that_breaks_a_layer_is_found_at_its_step_and_named() -> None:
    """Steps 33 and 34 of member 1, after 32 sound ones: the layer first, since the loss is that before the update."""
    seen = {"training loss": torch.ones(3, 2), "layer 0.weight": torch.ones(3, 2), "layer 0.bias": torch.ones(3, 2)}
    seen["layer 0.bias"][0, 1] = torch.inf
    seen["training loss"][1, 1] = torch.nan
    assert fitting.first_faults(seen, 32) == {1: (33, "layer 0.bias")}


# --- breast cancer -----------------------------------------------------------------------------------------------------


def test_breast_cancer_is_learned_by_both_nets_on_twenty_splits() -> None:
    """Known: 97.9 % for logistic regression and 97.4 % for an MLP, over 20 stratified splits; one split's std is 1.5 points."""
    mlp, linear = (last(performed(net).trace, "test_accuracy") for net in ("mlp", "linear"))
    for accuracy in (mlp, linear):
        assert 0.965 < accuracy.mean() < 0.99
        assert accuracy.min() > 0.92
        assert len(accuracy) == 20
    assert (reference(performed("mlp"), "reference_accuracy", "most frequent class") == 72 / 114).all()


def test_unscaled_data_are_visibly_worse() -> None:
    """Paired on the same splits; known: 91.2 % for the same MLP."""
    scaled, unscaled = (last(performed("mlp", scaling=s).trace, "test_accuracy") for s in ("train", "none"))
    difference = stats.paired_difference(scaled, unscaled)
    assert difference.low > 0.02
    assert stats.sign_flip(scaled, unscaled) < 0.001


def test_shuffled_labels_give_chance_level() -> None:
    """No better than the most frequent class, 63 %, and far from what is learned of true labels."""
    shuffled = stats.mean(last(performed("mlp", shuffled=True).trace, "test_accuracy"))
    assert 0.45 < shuffled.low < shuffled.high < 0.66


def test_probabilities_are_probabilities_and_agree_with_the_accuracy() -> None:
    run = performed("mlp")
    predicted, truth = run.samples["predicted"], run.samples["truth"]
    np.testing.assert_allclose(predicted.sum(-1), 1, rtol=1e-5)
    right = (predicted.argmax(-1) == truth).mean(1)
    np.testing.assert_allclose(right, last(run.trace, "test_accuracy"), rtol=1e-6)
    assert (truth.sum(1) == 42).all()  # malignant ones in each test set of 114


def test_logistic_regression_agrees_with_scikit_learn() -> None:
    """Without a penalty the two have one optimum where classes overlap: here, two of the thirty measures."""
    from sklearn.linear_model import LogisticRegression

    whole = prepare("breast_cancer", breast_cancer("linear"), breast_cancer("linear").members()[0]).data
    narrow = Table("two_measures", whole.x[:, :2], whole.y, whole.classes)
    planned = plan("linear", narrow, seeds=1, steps=2000, every=2000, lr=3e-2)
    split, scaling = prepare(narrow, planned, planned.members()[0])[1:3]
    fitted = LogisticRegression(C=1e9).fit(scaling.inputs(split.x), split.y).predict_proba(scaling.inputs(split.test_x))
    np.testing.assert_allclose(train(narrow, planned, dtype=F64).samples["predicted"][0], fitted, atol=1e-3)


# --- regression --------------------------------------------------------------------------------------------------------


def test_linear_regression_by_gradients_reaches_least_squares() -> None:
    """The closed form of the same split; within a hundredth of 56 points."""
    linear = run("linear", "diabetes", seeds=5, steps=400, every=400, lr=3e-2)
    closed = reference(linear, "reference_rmse", "linear regression")
    np.testing.assert_allclose(last(linear.trace, "test_rmse"), closed, rtol=0.01)
    assert (closed < reference(linear, "reference_rmse", "mean")).all()


def test_a_net_follows_the_noisy_curve_down_to_its_noise() -> None:
    """The noise has std 0.2; the best line misses by about 0.7."""
    curve = run("mlp", "noisy_curve", hidden=(32, 32), seeds=5, steps=400, every=400, lr=1e-2)
    assert 0.15 < last(curve.trace, "test_rmse").mean() < 0.27
    assert (reference(curve, "reference_rmse", "linear regression") > 0.5).all()


def test_shuffled_targets_give_nothing_better_than_the_mean() -> None:
    """On twenty splits, where true targets give an error of some three quarters of the mean's."""
    true, shuffled = (
        run("mlp", "diabetes", hidden=(32, 32), lr=3e-3, batch=32, steps=100, every=100, seeds=20, shuffled=s)
        for s in (False, True)
    )
    errors, by_mean = (last(r.trace, "test_rmse") for r in (true, shuffled)), reference(true, "reference_rmse", "mean")
    learned, chance = (stats.paired_difference(error, by_mean) for error in errors)
    assert learned.high < -10
    assert chance.low > 0  # what it learned of noise only disturbs


# --- the airline -------------------------------------------------------------------------------------------------------


def test_forecasters_without_training_have_their_known_errors() -> None:
    """80/20 in time: 29 months, from all that is known before each."""
    found = select(forecast("linear").trace, "reference_rmse").groupby("index")["value"].first()
    assert found["persistence"] == pytest.approx(52.49, abs=0.01)
    assert found["seasonal naive"] == pytest.approx(46.08, abs=0.01)
    assert found["autoregression"] == pytest.approx(20.69, abs=0.01)


def test_free_running_forecasts_without_training_are_what_they_must_be() -> None:
    """Persistence stays at the last month of training, and the seasonal naive repeats its last year."""
    run = forecast("linear")
    persistence, _, seasonal = run.samples["free_references"][0, :, :, 0]
    months = prepare("airline", run.experiment, run.experiment.members()[0]).data.numbers.numpy()
    assert (persistence == months[114]).all()
    np.testing.assert_array_equal(seasonal, np.tile(months[103:115], 3)[:29])


def test_the_seasonal_naive_looks_back_a_period_whatever_the_window_and_is_not_there_without() -> None:
    wide_window = select(forecast("linear", seeds=1, steps=2, window=24).trace, "reference_rmse").set_index("index")["value"]
    assert wide_window["seasonal naive"] == pytest.approx(46.08, abs=0.01)
    for data, window in (("airline", 11), ("random_walk", 12)):
        run = forecast("linear", data, seeds=1, steps=2, window=window)
        assert run.environment["references"] == ["persistence", "autoregression"]


def test_a_free_run_reads_its_own_forecasts() -> None:
    """Each number the sum of the two before: 1, 1, 2, 3, 5, ..."""
    found = free_run(lambda x: x.sum(1), torch.ones(1, 2, 1), 5)
    assert found[:, 0].tolist() == [2, 3, 5, 8, 13]


def test_persistence_is_not_beaten_on_a_random_walk() -> None:
    walks = forecast("mlp", "random_walk", hidden=(16,))
    difference = stats.paired_difference(last(walks.trace, "test_rmse"), reference(walks, "reference_rmse", "persistence"))
    assert difference.low > 0


@pytest.mark.slow
def test_an_lstm_beats_persistence_on_the_airline_in_nine_seeds_of_ten() -> None:
    """As the study trains it; and unscaled it is visibly worse, since no gate is open at 300."""
    study = {"hidden": 32, "lr": 2e-2, "batch": 16, "steps": 500, "every": 500}
    lstm, unscaled = (last(forecast("lstm", seeds=20, scaling=s, **study).trace, "test_rmse") for s in ("train", "none"))
    assert (lstm < 52.49).mean() >= 0.9
    assert stats.paired_difference(unscaled, lstm).low > 20


def test_an_mlp_beats_persistence_scaled_and_not_unscaled() -> None:
    scaled, unscaled = (last(forecast("mlp", hidden=(32,), scaling=s).trace, "test_rmse") for s in ("train", "none"))
    assert (scaled < 52.49).mean() >= 0.9
    assert stats.paired_difference(unscaled, scaled).low > 0


@pytest.mark.slow
def test_windows_split_at_random_tell_what_is_to_be_forecast() -> None:
    """Paired on the same seeds, and on the very months that both are tested on: of those from August 1958 on, a fifth."""
    settings = {"seeds": 8, "steps": 300, "every": 300, "lr": 2e-2, "hidden": 16, "batch": 16}
    in_time, at_random = (forecast("gru", data, **settings).samples for data in ("airline", "airline_windows"))
    errors: dict[str, list[float]] = {"in time": [], "at random": []}
    for m in range(8):
        one, other = (samples["inputs"][m, :, :, 0] for samples in (in_time, at_random))
        places = np.nonzero((one[:, None] == other).all(-1))
        assert 1 <= len(places[0]) <= 15
        for name, samples, rows in zip(errors, (in_time, at_random), places, strict=True):
            missed = samples["predicted"][m, rows] - samples["truth"][m, rows]
            errors[name].append(np.sqrt((missed**2).mean()))
    assert stats.paired_difference(np.array(errors["at random"]), np.array(errors["in time"])).high < 0


# --- sequences ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", ["waves_from_number", "waves_continued"])
@pytest.mark.parametrize("net", ["gru", "lstm", "rnn"])
def test_recurrent_nets_write_sequences(net: str, data: str) -> None:
    """One-to-many, and sequence-to-sequence: better than the mean, whose error is the waves' own std, about 0.7."""
    waves = run(net, data, hidden=16, seeds=2, steps=80, every=80, lr=2e-2, batch=32)
    assert waves.samples["predicted"].shape == (2, 40, 12)
    assert (last(waves.trace, "test_rmse") < 0.8 * reference(waves, "reference_rmse", "mean")).all()


# --- scaling -----------------------------------------------------------------------------------------------------------


def test_scaling_brings_the_training_rows_to_mean_0_and_std_1_and_a_leak_all_rows() -> None:
    """The airline grows: scaled by the training months its test months lie far out, and by the whole series not so far."""
    lessons = {s: prepare("airline", p, p.members()[0]) for s in SCALINGS for p in [plan("linear", "airline", scaling=s)]}
    means = {}
    for how, (_, split, scaling, _) in lessons.items():
        x, y = scaling.inputs(split.x), scaling.targets(split.y)
        rows = {"train": x, "whole": torch.cat([x, scaling.inputs(split.test_x)])}.get(how)
        if rows is not None:
            assert rows.mean().item() == pytest.approx(0, abs=1e-9)
            assert rows.std(correction=0).item() == pytest.approx(1)
        torch.testing.assert_close(scaling.units(y), split.y)
        means[how] = scaling.targets(split.test_y).mean().item()
    assert means["none"] > 100 > means["train"] > means["whole"] + 0.5


def test_what_never_changes_is_only_shifted() -> None:
    rows = torch.tensor([[1.0, 5.0], [3.0, 5.0]], dtype=F64)
    scaling = scaled_by(Split(rows, torch.full((2, 1), 7.0, dtype=F64), rows, rows[:, :1]), "train")
    assert scaling.inputs(rows).tolist() == [[-1, 0], [1, 0]]
    assert scaling.targets(torch.tensor([[7.0], [8.0]])).tolist() == [[0], [1]]


# --- what cannot be ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"net": "mlpp"}, "unknown net that learns from tables and series 'mlpp'; did you mean 'mlp'?"),
        ({"data": "diabetis"}, "unknown labelled data 'diabetis'; did you mean 'diabetes'?"),
        ({"net": "lstm"}, "a recurrent net reads sequences (time, features), not 30; for lists of numbers take 'mlp'"),
        ({"hiden": 3}, "unknown setting of a mlp that learns 'hiden'; did you mean 'hidden'?"),
        ({"momentum": 0.9}, "unknown setting of a mlp that learns 'momentum'"),
        ({"optimizer": "sdg"}, "unknown optimizer 'sdg'; did you mean 'sgd'?"),
        ({"batch": 1000}, "batch must be at most the 455 training rows of 'breast_cancer'; got 1000. 0 takes them all"),
        ({"scaling": "all"}, "unknown scaling 'all'"),
        ({"test_share": 1.0}, "test_share must be a number above 0 and below 1; got 1.0"),
        ({"shuffled": 1}, "shuffled must be True or False; got 1"),
        ({"window": 3}, "window is a setting of series, and 'breast_cancer' is a table"),
        ({"data": "airline", "window": 140}, "series 'airline' is too short for its window: it has 115 numbers to learn from"),
        ({"lr": 0}, "lr must be a finite number above 0"),
        ({"seeds": 0}, "seeds must be a count of at least 1"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(settings: dict, message: str) -> None:
    with pytest.raises(InputError) as refused:
        plan(**{"net": "mlp", "data": "breast_cancer", **settings})
    assert message in str(refused.value)


def test_data_of_ones_own_are_told_apart() -> None:
    values = torch.arange(40, dtype=F64)
    mine = [Series("mine", values), Series("mine", values + 1), Series("mine", values, 9), Series("mine", values, period=4)]
    assert len({plan("linear", series, seeds=1).id for series in mine}) == 4
    assert run("linear", Series("mine", values), seeds=1, steps=2).experiment.title == "linear on mine"


def test_a_plan_leaves_no_default_open() -> None:
    planned = plan("lstm", "airline", seeds=2)
    assert planned.settings == {
        "optimizer": "adam", "batch": 103, "test_share": 0.2, "scaling": "train", "shuffled": False, "net": {"hidden": 16},
    }  # fmt: skip
    assert set(planned.numbers) == set(OPTIMIZERS["adam"].numbers)
    assert set(TASKS) == {"classification", "regression", "forecasting"}
    assert math.isclose(planned.numbers["lr"][0], 1e-3)
