"""The baselines learn, repeat, and keep members apart; what is read off them adds up."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn.functional import cross_entropy

from ganlab import stats, supervised
from ganlab.data import images
from ganlab.experiment import Run
from ganlab.nets import NETS
from ganlab.registry import InputError
from ganlab.rng import initialising, stream
from ganlab.supervised import CLASSIFIERS, perform, plan
from ganlab.trace import last, select, wide

EPOCHS = 5
TIMED = "train_images_per_second"
"""The one quantity that is not the same twice."""


@cache
def trained(classifier: str) -> Run:
    return perform(plan(classifier, "digits", seeds=[0, 3], epochs=EPOCHS, batch=16, lr=3e-3))


def readings(run: Run, seed: int) -> pd.DataFrame:
    """What was read off one seed, without its run's name, its place and the clock."""
    rows = run.trace[(run.trace["seed"] == seed) & (run.trace["name"] != TIMED)]
    return rows.drop(columns=["run", "member"]).sort_values(["name", "index", "step"]).reset_index(drop=True)


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_both_nets_learn_digits(classifier: str) -> None:
    """Chance is 10 %; other people's test digits are harder than one's own."""
    accuracy = wide(trained(classifier).trace, "test_accuracy")
    assert (accuracy.loc[0] < 0.3).all()
    assert (accuracy.loc[EPOCHS] > 0.9).all()


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_shuffled_labels_give_chance_level(classifier: str) -> None:
    """A tenth of the test digits, whose ten classes are equally many; a seed's own share varies, alike digits err alike."""
    run = perform(plan(classifier, "digits", seeds=8, epochs=4, every=4, batch=16, lr=3e-3, n_train=300, shuffled=True))
    accuracy = stats.mean(last(run.trace, "test_accuracy"))
    assert 0.02 < accuracy.low < accuracy.high < 0.2


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_losses_before_training_are_those_of_a_fresh_net(classifier: str) -> None:
    """By an ordinary module, initialised and evaluated here."""
    digits = images.digits()
    with initialising(3, "classifier"):
        net = NETS[CLASSIFIERS[classifier]](8, 8)
    with torch.no_grad():
        expected = cross_entropy(net(images.scaled(digits.test)), digits.test_labels)
    loss = select(trained(classifier).trace, "test_loss").query("seed == 3 and step == 0")["value"].item()
    assert loss == pytest.approx(float(expected), rel=1e-5)  # float32, convolutions in another memory order
    assert loss == pytest.approx(math.log(10), abs=0.1)  # an untrained net knows nothing


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_products_in_bfloat16_learn_as_well_and_are_runs_of_their_own(classifier: str) -> None:
    """Within 3 points on 360 test digits, whose own standard error is 1.5 points, and not the same numbers."""
    settings = {"seeds": [0, 3], "epochs": EPOCHS, "batch": 16, "lr": 3e-3}
    half = perform(plan(classifier, "digits", precision="bfloat16", **settings))
    full = trained(classifier)
    assert half.experiment.id != full.experiment.id
    assert half.experiment.settings["precision"] == "bfloat16"
    assert plan(classifier, "digits", precision="full", **settings).id == full.experiment.id
    one, other = (last(run.trace, "test_accuracy") for run in (half, full))
    assert (one - other).abs().max() < 0.03
    assert not last(half.trace, "test_loss").equals(last(full.trace, "test_loss"))


def test_one_full_batch_is_one_step_of_adam() -> None:
    """The first step of Adam is lr times the sign of the gradient, and the cosine starts at 1."""
    digits = images.digits()
    with initialising(0, "classifier"):
        net = NETS["mlp_classifier"](8, 8)
    cross_entropy(net(images.scaled(digits.train)), digits.train_labels).backward()
    with torch.no_grad():
        for p in net.parameters():
            p -= 1e-4 * p.grad / (p.grad.abs() + 1e-8)
        expected = float(cross_entropy(net(images.scaled(digits.test)), digits.test_labels))
    run = perform(plan("mlp", "digits", seeds=1, epochs=1, batch=1437, lr=1e-4))
    assert last(run.trace, "test_loss").item() == pytest.approx(expected, rel=1e-5)


def test_training_agrees_with_the_loop_everybody_writes() -> None:
    """Adam's default version, the cosine by hand, the order of seed 3's own stream; float32, so up to rounding."""
    digits, order, n_updates = images.digits(), stream(3, "data"), 0
    with initialising(3, "classifier"):
        net = NETS["mlp_classifier"](8, 8)
    optimizer = torch.optim.Adam(net.parameters())
    for _ in range(2):
        shuffled = torch.randperm(1437, generator=order)
        subset = digits
        for start in range(0, 1437, 500):
            chosen = shuffled[start : start + 500]
            optimizer.param_groups[0]["lr"] = 1e-3 * 0.5 * (1 + math.cos(math.pi * n_updates / 6))
            optimizer.zero_grad()
            cross_entropy(net(images.scaled(subset.train[chosen])), subset.train_labels[chosen]).backward()
            optimizer.step()
            n_updates += 1
    with torch.no_grad():
        test = cross_entropy(net(images.scaled(digits.test)), digits.test_labels)
        train = cross_entropy(net(images.scaled(subset.train[:360])), subset.train_labels[:360])
    run = perform(plan("mlp", "digits", seeds=[3], epochs=2, batch=500))
    assert last(run.trace, "test_loss").item() == pytest.approx(float(test), rel=1e-4)
    assert last(run.trace, "train_loss").item() == pytest.approx(float(train), rel=1e-4)


def test_a_seed_repeats_and_is_the_same_alone_as_among_others() -> None:
    among_others = readings(trained("cnn"), 3)
    alone = readings(perform(plan("cnn", "digits", seeds=[3], epochs=EPOCHS, batch=16, lr=3e-3)), 3)
    pd.testing.assert_frame_equal(alone, among_others, check_exact=True)


def test_seeds_differ() -> None:
    """Guards the test above against agreeing on standing still."""
    run = trained("cnn")
    assert not readings(run, 0)["value"].equals(readings(run, 3)["value"])


def test_training_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    perform(plan("mlp", "digits", seeds=1, epochs=1))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_confusion_counts_every_test_image_and_agrees_with_the_accuracy(classifier: str) -> None:
    trace, labels = trained(classifier).trace, images.digits().test_labels
    confusion = select(trace, "confusion").pivot(index="member", columns="index", values="value")
    assert (confusion.sum(axis=1) == len(labels)).all()
    for true in range(10):
        row = confusion[[f"{true},{predicted}" for predicted in range(10)]].sum(axis=1)
        assert (row == int((labels == true).sum())).all()
    right = confusion[[f"{k},{k}" for k in range(10)]].sum(axis=1) / len(labels)
    np.testing.assert_allclose(right, last(trace, "test_accuracy"), rtol=1e-6)


def test_quantities_are_there_at_the_epochs_they_are_for() -> None:
    trace = trained("cnn").trace
    every = list(range(EPOCHS + 1))
    steps = {name: sorted(set(rows["step"])) for name, rows in trace.groupby("name")}
    assert steps == {
        "train_loss": every, "test_loss": every, "test_accuracy": every, TIMED: every[1:],
        "confusion": [EPOCHS], "n_parameters": [EPOCHS], "shifted_accuracy": [EPOCHS],
    }  # fmt: skip
    assert np.isfinite(trace["value"]).all()
    assert (select(trace, TIMED)["value"] > 0).all()


def test_the_lectures_mlp_has_its_number_of_parameters() -> None:
    """784 x 512 + 512 + 512 x 256 + 256 + 256 x 10 + 10 for 28 x 28 images; 64 x 512 in place of the first for 8 x 8."""
    n_parameters = last(trained("mlp").trace, "n_parameters")
    assert (n_parameters == 535_818 - (784 - 64) * 512).all()
    assert trained("mlp").experiment.settings["hidden"] == [512, 256]


def test_hardest_digits_are_sorted_and_tell_what_was_said_of_them() -> None:
    run = trained("mlp")
    pixels, labels, predicted, probability = (
        run.samples[f"hardest{part}"] for part in ("", "_labels", "_predicted", "_probability")
    )
    assert pixels.shape == (supervised.N_HARDEST, 8, 8)
    assert pixels.dtype == np.uint8
    assert predicted.shape == (supervised.N_HARDEST, 2)
    assert probability[0] < 0.1 < 0.9 < run.trace.query("name == 'test_accuracy'")["value"].max()
    wrong = (predicted != labels[:, None]).all(1)
    assert wrong[:5].all()  # among 360 images a tenth is wrong; the five of highest loss are
    digits = images.digits()
    for picture, label in zip(pixels, labels, strict=True):
        same = (digits.test.numpy() == picture).all((1, 2))
        assert label in digits.test_labels.numpy()[same]


def test_hardest_digits_of_known_scores() -> None:
    """All images are surely right but the second, to which member 0 gives probability e^-5, and member 2 e^-1."""
    digits = images.digits()
    truth = torch.nn.functional.one_hot(digits.test_labels, 10).float()
    scores = {m: torch.where(truth == 1, -1e-4, -20.0) for m in (0, 2)}
    for m, loss in ((0, 5.0), (2, 1.0)):
        scores[m][1] = -9.0
        scores[m][1, digits.test_labels[1]] = -loss
    found = supervised._hardest(supervised._tested(scores, digits, 3))
    np.testing.assert_array_equal(found["hardest"][0], digits.test[1].numpy())
    assert found["hardest_probability"][0] == pytest.approx((math.exp(-5) + math.exp(-1)) / 2)
    assert list(found["hardest_predicted"][0]) == [digits.test_labels[1], -1, digits.test_labels[1]]


def test_members_trained_apart_and_joined_are_the_run_trained_together() -> None:
    """Bit for bit but for the clock: members share nothing, and the hardest images are found over all of them."""
    planned = plan("mlp", "digits", seeds=[4, 9], epochs=2, n_train=256, lr=[1e-3, 1e30])
    together = perform(planned)
    joined = supervised.join([perform(planned, places=places) for places in ([1, 2], [0], [3])])
    tables = [run.trace[run.trace["name"] != TIMED].reset_index(drop=True) for run in (together, joined)]
    pd.testing.assert_frame_equal(*tables, check_exact=True)
    pd.testing.assert_frame_equal(joined.outcome, together.outcome)
    assert set(joined.samples) == set(together.samples)
    for name, array in together.samples.items():
        np.testing.assert_array_equal(joined.samples[name], array, strict=True)
    assert joined.environment["block"] == [1, 2, 1]


def test_a_subset_is_the_seeds_own_and_a_part_of_the_larger_one() -> None:
    digits = images.digits()
    small, large = (supervised._selected(digits, n, 3) for n in (100, 300))
    assert not torch.equal(small.train, supervised._selected(digits, 100, 4).train)
    assert torch.equal(small.train, large.train[:100])
    assert torch.equal(small.train_labels, large.train_labels[:100])
    assert torch.equal(small.test, digits.test)
    assert len(set(small.train_labels.tolist())) == 10


def test_fewer_test_images_are_the_same_for_every_seed_and_net_and_change_no_training() -> None:
    digits = images.digits()
    few = supervised._tested_on(digits, 50)
    assert len(few.test) == 50
    assert torch.equal(few.test, supervised._tested_on(digits, 50).test)
    assert torch.equal(few.train, digits.train)
    whole, part = (perform(plan("mlp", "digits", seeds=1, epochs=2, n_train=256, n_test=n)) for n in (0, 50))
    assert part.samples["hardest"].shape == whole.samples["hardest"].shape
    losses = [
        supervised._train(plan("mlp", "digits", seeds=1, epochs=2, n_train=256, n_test=n), None, None).samples["test_losses"]
        for n in (0, 50)
    ]
    same = (few.test[:, None] == digits.test).all((2, 3)).int().argmax(1).numpy()  # where the 50 stand among all
    np.testing.assert_allclose(losses[1][0], losses[0][0, same], rtol=1e-5, atol=1e-6)
    assert select(part.trace, "confusion")["value"].sum() == 50
    right = select(part.trace, "confusion").query("index == '0,0'")["value"].item()
    assert 0 < right <= int((few.test_labels == 0).sum())


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_a_huge_learning_rate_diverges_and_leaves_the_others_alone(classifier: str) -> None:
    run = perform(plan(classifier, "digits", seeds=[0], epochs=2, lr=[1e30, 1e-3]))
    broken, sound = run.outcome.to_dict("records")
    assert (broken["status"], broken["step"], broken["place"]) == ("diverged", 1, "training loss")
    assert (sound["status"], sound["place"]) == ("finished", "")
    accuracy = wide(run.trace, "test_accuracy")
    assert accuracy[0].isna().tolist() == [False, True, True]
    assert (run.samples["hardest_predicted"][:, 0] == -1).all()
    alone = perform(plan(classifier, "digits", seeds=[0], epochs=2, lr=1e-3))
    pd.testing.assert_series_equal(accuracy[1], wide(alone.trace, "test_accuracy")[0], check_names=False, check_exact=True)


def test_a_run_in_which_all_diverged_is_still_a_run() -> None:
    run = perform(plan("mlp", "digits", seeds=2, epochs=2, lr=1e30))
    assert list(run.outcome["status"]) == ["diverged", "diverged"]
    assert run.samples == {}
    assert select(run.trace, "confusion")["value"].isna().all()
    assert last(run.trace, "n_parameters").notna().all()


@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize(("every", "expected"), [(1, [1, 1, 1]), (2, [2, 1]), (5, [3])])
def test_ticks_add_up_to_the_epochs(n_members: int, every: int, expected: list[int]) -> None:
    ticks: list[int] = []
    perform(plan("mlp", "digits", seeds=n_members, epochs=3, every=every, n_train=128), ticks.append)
    assert ticks == expected


def test_looking_less_often_changes_nothing_but_what_is_seen() -> None:
    often, rarely = (perform(plan("cnn", "digits", seeds=[3], epochs=5, every=every, n_train=256)) for every in (1, 2))
    seen = readings(often, 3).query("step in (0, 2, 4, 5)").reset_index(drop=True)
    pd.testing.assert_frame_equal(seen, readings(rarely, 3), check_exact=True)


def test_a_fault_between_two_looks_is_found_at_the_next() -> None:
    run = perform(plan("mlp", "digits", seeds=1, epochs=4, every=3, n_train=128, lr=1e30))
    assert (run.outcome["status"][0], run.outcome["step"][0], run.outcome["place"][0]) == ("diverged", 3, "training loss")
    assert sorted(set(run.trace["step"])) == [0, 3, 4]


# --- shifts ------------------------------------------------------------------------------------------------------------


class Corner(torch.nn.Module):
    """Says class 1 where the pixel in row 2, column 2 is bright, and else class 0."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bright = x[:, 0, 2, 2] > 0
        return torch.stack([~bright, bright], 1).float() * 20


def test_accuracy_under_shifts_is_that_of_images_moved_by_hand() -> None:
    """A dot at (2, 2) moves away with any shift, and one at (2, 1) comes there with one of four; black moves in."""
    dot, beside = torch.zeros(2, 6, 6, dtype=torch.uint8).unbind()
    dot[2, 2] = beside[2, 1] = 255
    pixels, labels = torch.stack([dot, beside]), torch.tensor([1, 1])
    toy = images.LabelledImages("toy", pixels, labels, pixels, labels)
    assert supervised._shifted(Corner(), toy) == [0.5, 0.125, 0.0, 0.0]


def test_a_shift_of_nothing_is_the_test_accuracy_and_a_shift_hurts() -> None:
    trace = trained("cnn").trace
    shifted = select(trace, "shifted_accuracy").pivot(index="member", columns="index", values="value")
    assert list(shifted) == ["0", "1", "2", "3"]
    np.testing.assert_allclose(shifted["0"], last(trace, "test_accuracy"), rtol=1e-6)
    assert (shifted["3"] < shifted["0"] - 0.2).all()


def test_the_environment_names_the_threads() -> None:
    assert trained("mlp").environment["threads"] == torch.get_num_threads()


def test_a_plan_leaves_no_default_open() -> None:
    planned = plan("cnn", "digits", seeds=2, epochs=1, n_train=None)
    assert planned.settings == {"batch": 128, "n_train": 1437, "schedule": "cosine", "channels": [16, 32]}
    assert planned == plan("cnn", "digits", seeds=[0, 1], epochs=1, n_train=0, lr=1e-3)
    assert (planned.kind, planned.every, planned.numbers) == ("classifier", 1, {"lr": (1e-3,)})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classifier": "cn"}, "unknown classifier 'cn'; did you mean 'cnn'? Known: cnn, mlp"),
        ({"data": "digit"}, "did you mean 'digits'"),
        ({"data": "ring8"}, "data 'ring8' has no labels to learn; classifiers take 'mnist' or 'digits'"),
        ({"batchs": 3}, "unknown setting of a classifier 'batchs'; did you mean 'batch'? Known: batch, lr, n_test, n_train"),
        ({"shuffled": 1}, "shuffled must be True or False; got 1"),
        ({"batch": 0}, "batch must be a whole number of at least 1; got 0"),
        ({"epochs": 0}, "epochs must be a whole number of at least 1; got 0"),
        ({"seeds": []}, "seeds must be a count of at least 1, or different integers of at least 0; got []"),
        ({"seeds": 2.5}, "seeds must be a count of at least 1, or different integers of at least 0; got 2.5"),
        ({"seeds": [1, 1]}, "different integers"),
        ({"lr": 0}, "lr must be a finite number above 0, or a list of such; got 0"),
        ({"lr": math.nan}, "lr must be a finite number above 0, or a list of such; got nan"),
        ({"n_train": 2000}, "at most the 1437 training images of 'digits'; got 2000. 0 takes them all"),
        ({"n_train": 100}, "n_train must be at least the batch, 128,"),
        ({"n_test": 361}, "n_test must be at most the 360 test images of 'digits'; got 361. 0 takes them all"),
        ({"n_test": -1}, "n_test must be a whole number of at least 1; got -1"),
        ({"n_train": -1}, "n_train must be a whole number of at least 1; got -1"),
        ({"n_train": 200.0}, "n_train must be a whole number of at least 1; got 200.0"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(settings: dict, message: str) -> None:
    given = {"classifier": "mlp", "data": "digits", "seeds": 1, "epochs": 1, **settings}
    with pytest.raises(InputError) as refused:
        plan(**given)
    assert message in str(refused.value)
