"""What GANs are used for: losses with known answers, controls that must fail, and pairs that share all but what is compared."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

import ganlab
from ganlab import applications, data, engine, rng, stats
from ganlab.applications import augmentation, few, perceptron, plan, semi_supervised, train, translation
from ganlab.data.images import LabelledImages
from ganlab.experiment import Experiment
from ganlab.memory import need
from ganlab.metrics.judge import judge, judge_of
from ganlab.net import Net
from ganlab.registry import InputError
from ganlab.store import Store
from ganlab.sweep import sweep
from ganlab.trace import last, select, wide
from ganlab.watch import obedience

F64 = torch.float64
GAN = {"variant": "cgan", "steps": 3, "hidden": [6], "latent": 2, "batch": 8}
SMALL: dict[str, dict[str, Any]] = {
    "augmentation": {"hidden": (6,), "gan": GAN, "generated_images": 20},
    "semi_supervised": {"hidden_generator": (6,), "hidden_discriminator": (6, 5), "latent": 2},
    "translation": {"hidden_generator": (6,), "hidden_discriminator": (6,)},
}


def small(name: str, **settings: Any) -> Experiment:
    return plan(name, **{"seeds": [3, 5], "steps": 4, "every": 2, "batch": 8, **SMALL[name], **settings})


@pytest.fixture(scope="module")
def digits() -> LabelledImages:
    return data.get("digits")


def beginning(net: Net, seed: int) -> applications.State:
    parameters = net.initial(seed).double()
    return applications.State(parameters, applications.OPTIMIZER.init(parameters))


# --- one program -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMALL)
def test_mapped_is_looped_and_a_member_alone_is_the_member_in_a_crowd(name: str) -> None:
    planned = small(name)
    mapped, looped = (train(planned, dtype=F64, engine=way) for way in ("vmap", "loop"))
    pd.testing.assert_frame_equal(mapped.trace, looped.trace, rtol=1e-9)
    alone = train(planned, dtype=F64, places=[3])
    rows = mapped.trace[mapped.trace["member"] == 3].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows, alone.trace, rtol=1e-9)
    for key, array in mapped.samples.items():
        np.testing.assert_allclose(array[3], alone.samples[key][0], rtol=1e-5, atol=1e-6, err_msg=key)


@pytest.mark.parametrize("traced", [False, True])
def test_translation_is_the_loop_that_everybody_writes(
    traced: bool, monkeypatch: pytest.MonkeyPatch, digits: LabelledImages
) -> None:
    """With torch.optim, modules and binary cross-entropy; it shares initial weights and draws."""
    monkeypatch.setattr(engine, "WORTH_TRACING", 1 if traced else 400)
    run = train(small("translation", lr=1e-2), dtype=F64)
    g, d = (perceptron(n, m, (6,), role, **more).to_module(perceptron(n, m, (6,), role, **more).initial(5).double())
            for n, m, role, more in ((64, 64, "generator", {"output": "tanh"}),
                                     (128, 1, "discriminator", {"activation": "leaky_relu"})))  # fmt: skip
    adams = [torch.optim.Adam(net.parameters(), lr=1e-2, betas=(0.5, 0.999)) for net in (g, d)]
    y = digits.training.double()
    x, y = translation.edges(y[:, 0]).flatten(1), y.flatten(1)
    chosen = torch.randint(len(x), (32, 8), generator=rng.stream(5, "data"))
    for rows in chosen[:4]:
        pair, made = (torch.cat([x[rows], image], 1) for image in (y[rows], g(x[rows]).detach()))
        real, fake = torch.ones(8, 1, dtype=F64), torch.zeros(8, 1, dtype=F64)
        loss = binary_cross_entropy_with_logits(d(pair), real) + binary_cross_entropy_with_logits(d(made), fake)
        adams[1].zero_grad()
        (loss / 2).backward()
        adams[1].step()
        made = g(x[rows])
        loss = binary_cross_entropy_with_logits(d(torch.cat([x[rows], made], 1)), real) + 100 * (made - y[rows]).abs().mean()
        adams[0].zero_grad()
        loss.backward()
        adams[0].step()
    test = (digits.test.double() / 127.5 - 1).flatten(1)
    wanted = (g(translation.edges(test.view(-1, 8, 8)).flatten(1)) - test).abs().mean() / 2
    assert last(run.trace, "l1").loc[3] == pytest.approx(wanted.item(), rel=1e-6)  # pixels are scaled in float32


def test_the_semi_supervised_step_is_the_loop_that_everybody_writes() -> None:
    g, d = (perceptron(n, m, h, role, **more) for n, m, h, role, more in (
        (2, 3, (4,), "generator", {"output": "tanh"}), (3, 2, (5,), "discriminator", {"activation": "leaky_relu"})))
    dice = torch.Generator().manual_seed(0)
    x, real, z = (torch.randn(*shape, generator=dice, dtype=F64) for shape in ((6, 3), (6, 3), (2, 6, 2)))
    batch = semi_supervised.Batch(x, torch.tensor([0, 1, 0, 1, 1, 0]), real, z)
    numbers = {n: torch.tensor(v, dtype=F64) for n, v in
               {"lr": 0.01, "beta1": 0.5, "beta2": 0.999, "epsilon": 1e-8, "unlabelled": 0.7}.items()}  # fmt: skip
    start = [beginning(net, 1) for net in (g, d)]
    ours, _ = semi_supervised.step(semi_supervised.Nets(g, d), semi_supervised.Players(*start), batch, numbers)
    g_module, d_module = (net.to_module(state.parameters) for net, state in zip((g, d), start, strict=True))
    adams = [torch.optim.Adam(net.parameters(), lr=0.01, betas=(0.5, 0.999)) for net in (g_module, d_module)]

    def judged(images: torch.Tensor, target: int) -> torch.Tensor:
        """Of a softmax over the classes and fakes, whose score is 0: is it any class (0), or fake (1)?"""
        chances = torch.cat([d_module(images), torch.zeros(len(images), 1, dtype=F64)], 1).softmax(1)
        return -torch.log(chances[:, -1] if target else chances[:, :-1].sum(1)).mean()

    loss = cross_entropy(d_module(x), batch.y) + 0.7 * (judged(real, 0) + judged(g_module(z[0]).detach(), 1))
    adams[1].zero_grad()
    loss.backward()
    adams[1].step()
    adams[0].zero_grad()
    judged(g_module(z[1]), 0).backward()
    adams[0].step()
    for state, module in zip(ours, (g_module, d_module), strict=True):
        wanted = torch.cat([p.detach().reshape(-1) for p in module.parameters()])
        torch.testing.assert_close(state.parameters, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", SMALL)
def test_what_is_compared_begins_alike_and_ends_otherwise(name: str) -> None:
    without, with_gan = train(small(name, steps=40, lr=1e-2), dtype=F64).parts()
    measure = "l1" if name == "translation" else "test_accuracy"
    one, other = (wide(run.trace, measure).to_numpy() for run in (without, with_gan))
    np.testing.assert_array_equal(one[0], other[0])
    assert (one != other).any()


def test_blocks_are_joined_and_steps_are_told(tmp_path: Path) -> None:
    planned, ticks = small("augmentation", seeds=3), []
    store = Store(tmp_path)
    (swept,) = sweep([planned], store, 1, Console(quiet=True), block=2)
    together = applications.perform(planned, ticks.append)
    pd.testing.assert_frame_equal(swept.trace, together.trace, rtol=1e-5)
    np.testing.assert_allclose(swept.samples["predicted"], together.samples["predicted"], atol=1e-5)
    assert sum(ticks) == planned.steps


def test_every_application_has_a_need() -> None:
    for name in SMALL:
        assert 1e5 < need(small(name)).member < 2e8


def test_a_huge_rate_diverges_with_step_and_place() -> None:
    broken = train(small("translation", lr=[1e-3, 1e38], steps=40, every=20, adversarial=1.0, seeds=1))
    sound, diverged = broken.outcome.to_dict("records")
    assert (sound["status"], diverged["status"]) == ("finished", "diverged")
    assert diverged["place"]
    assert np.isnan(wide(broken.trace, "l1")[1].iloc[-1])


# --- labels ----------------------------------------------------------------------------------------------------------------


def test_few_labels_are_equally_many_of_each_class_and_no_image_twice(digits: LabelledImages) -> None:
    chosen = few(digits.train_labels, 50, torch.Generator().manual_seed(1))
    assert torch.bincount(digits.train_labels[chosen]).tolist() == [5] * 10
    assert len(set(chosen.tolist())) == 50


def test_the_judge_takes_samples_from_all_of_a_sorted_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganlab.metrics.judge.MOST", 50)
    y = torch.arange(10).repeat_interleave(20)
    x = y[:, None] + 0.01 * torch.arange(200)[:, None]
    assert (judge(x, y)(x) == y).all()


def test_the_judge_of_samples_that_are_mostly_one_still_tells_the_other() -> None:
    x, y = torch.tensor([[0.0]] * 5 + [[1.0]]), torch.tensor([0] * 5 + [1])
    assert judge(x, y)(torch.tensor([[0.0], [1.0]])).tolist() == [0, 1]
    assert judge(torch.zeros(3, 1), torch.zeros(3, dtype=torch.long))(torch.zeros(1, 1)).tolist() == [0]


def test_the_judge_agrees_with_scikit_learn_and_tells_digits(digits: LabelledImages) -> None:
    from sklearn.kernel_ridge import KernelRidge

    x, y, test = digits.training.flatten(1)[:200], digits.train_labels[:200], (digits.test / 127.5 - 1).flatten(1)
    found = judge(x, y)
    twin = KernelRidge(alpha=1e-2, kernel="rbf", gamma=1 / (2 * found.width**2)).fit(x.double(), np.eye(10)[y])
    np.testing.assert_array_equal(found(test), twin.predict(test.double()).argmax(1))
    assert (judge_of(digits)(test) == digits.test_labels).float().mean() > 0.95
    shuffled = judge(digits.training, digits.train_labels[torch.randperm(1437, generator=torch.Generator().manual_seed(0))])
    assert (shuffled(test) == digits.test_labels).float().mean() < 0.25
    with pytest.raises(InputError, match="each with its class; got 3 samples, 2 classes"):
        judge(x[:3], y[:2])


def test_images_are_what_was_asked_for_when_they_are_that_class_and_not_when_they_are_another(digits: LabelledImages) -> None:
    fake, y = digits.training[None, :500], digits.train_labels[:500]
    latents = [torch.nn.functional.one_hot(labels, 10).float()[None] for labels in (y, (y + 1) % 10)]
    right, wrong = (next(iter(obedience(digits, latent, fake).values())) for latent in latents)
    assert right.shape == (1, 10)
    assert right.min() > 0.97
    assert wrong.max() < 0.03
    threes = torch.nn.functional.one_hot(torch.where(y == 3, 4, y), 10).float()[None]  # asked to be fours
    (mixed,) = next(iter(obedience(digits, threes, fake).values()))
    assert mixed[3].isnan()
    fours = ((y == 4).sum() / ((y == 3) | (y == 4)).sum()).item()
    assert mixed[4].item() == pytest.approx(fours, abs=0.03)
    assert mixed[[0, 1, 2, 5, 6, 7, 8, 9]].min() > 0.97
    broken = next(iter(obedience(digits, latents[0], fake * torch.nan).values()))
    assert broken.isnan().all()


@pytest.mark.slow
def test_a_conditional_gan_draws_the_digit_that_it_is_asked_for() -> None:
    """As a judge reads it that learned from real digits; chance is 10 %."""
    nets = {"hidden": (128, 128), "latent": 16, "batch": 32, "lr": 4e-3, "r1": 0.1, "average": 0.9}
    run = ganlab.run("cgan", "digits", seeds=3, steps=400, every=400, evaluation=200, **nets)
    obeyed = select(run.trace, "asked_class_share").groupby("member")["value"].mean()
    assert len(obeyed) == 3
    assert (obeyed > 0.4).all()


# --- augmentation ----------------------------------------------------------------------------------------------------------


def perfect(training: applications.Training, few_images: object, seeds: list[int]) -> list[augmentation.Pool]:
    """Return real training images in place of generated ones: a GAN that could not be better."""
    return [augmentation.Pool(training.split.x, training.split.y) for _ in seeds]


def test_images_of_a_perfect_gan_help_and_with_shuffled_labels_hurt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augmentation, "generated", perfect)
    usual = {"seeds": 8, "steps": 80, "every": 80, "hidden": (32,), "batch": 32, "lr": 1e-2, "gan": GAN, "labels": 100}
    alone, augmented = (last(run.trace, "test_accuracy") for run in train(plan("augmentation", **usual)).parts())
    shuffled = last(train(plan("augmentation", **usual, shuffled=True, generated=1.0)).trace, "test_accuracy")
    assert stats.paired_difference(augmented, alone).low > 0
    assert stats.paired_difference(shuffled, alone).high < 0


def test_without_a_weight_generated_images_change_nothing() -> None:
    net = perceptron(3, 2, (4,), "classifier")
    x, y = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 0, 1, 1])
    parameters = net.initial(0)
    batch = augmentation.Batch(x, y, 9 * x, 1 - y)
    assert augmentation.loss(net, parameters, batch, torch.tensor(0.0)) == cross_entropy(net.apply(parameters, x), y)


# --- semi-supervised -------------------------------------------------------------------------------------------------------


def test_without_unlabelled_images_it_is_the_cross_entropy() -> None:
    g, d = perceptron(2, 3, (4,), "generator"), perceptron(3, 2, (4,), "discriminator")
    x, y = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 0, 1, 1])
    batch, psi, theta = semi_supervised.Batch(x, y, x, torch.ones(2, 5, 2)), d.initial(0), g.initial(0)
    loss = partial(semi_supervised.discriminator_loss, semi_supervised.Nets(g, d))
    ours = torch.func.grad(lambda psi: loss(psi, theta, batch, torch.tensor(0.0)))(psi)
    plain = torch.func.grad(lambda psi: cross_entropy(d.apply(psi, x), y))(psi)
    torch.testing.assert_close(ours, plain, rtol=0, atol=0)
    with_them = torch.func.grad(lambda psi: loss(psi, theta, batch, torch.tensor(1.0)))(psi)
    assert not torch.allclose(with_them, plain)


def mixed(training: applications.Training) -> torch.Tensor:
    """Return all training images, the pixels of each in an order of its own: as grey as digits, and none."""
    x = training.split.x
    return x.gather(1, torch.rand(x.shape, generator=torch.Generator().manual_seed(0)).argsort(1))


@pytest.mark.slow
def test_images_without_labels_help_and_with_mixed_pixels_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """100 labels, the rates of the study; paired on the same seeds, images, weights and batches."""
    planned = plan("semi_supervised", labels=100, seeds=range(100, 108), steps=400, every=400, lr=3e-3, beta1=0.0)

    def gain() -> stats.Interval:
        without, with_them = (last(run.trace, "test_accuracy") for run in train(planned).parts())
        return stats.paired_difference(with_them, without)

    of_digits = gain()
    monkeypatch.setattr(semi_supervised, "unlabelled", mixed)
    of_noise = gain()
    assert of_digits.low > 0
    assert of_noise.high < 0.01


# --- translation -----------------------------------------------------------------------------------------------------------


def test_an_edge_is_where_grey_is_steep() -> None:
    """Sobel's slope beside a straight step from black to white is 4, to the grey that is halfway 2, to a quarter 1."""
    step = torch.full((1, 5, 6), -1.0)
    step[..., 3:] = 1.0
    assert translation.edges(step)[0].tolist() == [[-1, -1, 1, 1, -1, -1]] * 5
    assert translation.edges(step.mT)[0].T.tolist() == [[-1, -1, 1, 1, -1, -1]] * 5
    assert (translation.edges((step - 1) / 2) == translation.edges(step)).all()
    assert (translation.edges((step - 3) / 4) == -1).all()
    assert (translation.edges(torch.ones(1, 5, 6)) == -1).all()


def test_error_and_psnr_are_those_of_a_constant_error() -> None:
    truth = torch.zeros(3, 4)
    found = translation.measured(truth + 0.2, truth)  # a tenth of the way from black to white
    assert found["l1"].item() == pytest.approx(0.1)
    assert found["psnr"].item() == pytest.approx(20.0, abs=1e-4)


def test_a_linear_translation_is_found_by_l1_alone() -> None:
    """Images are x A: the optimum is A itself, without an offset."""
    dice = torch.Generator().manual_seed(0)
    x, a = torch.randn(64, 4, generator=dice, dtype=F64), torch.randn(4, 3, generator=dice, dtype=F64)
    nets = translation.Nets(perceptron(4, 3, (), "generator"), perceptron(7, 1, (4,), "discriminator"))
    numbers = {n: torch.tensor(v, dtype=F64) for n, v in
               {"beta1": 0.5, "beta2": 0.999, "epsilon": 1e-8, "adversarial": 0.0, "l1": 100.0}.items()}  # fmt: skip
    players = translation.Players(*(beginning(net, 0) for net in nets))
    for i in range(600):
        rate = {"lr": torch.tensor(0.05 * (1 - i / 600), dtype=F64)}
        players, _ = translation.step(nets, players, translation.Batch(x, x @ a), numbers | rate)
    weight, offset = nets.generator.unflatten(players.generator.parameters).values()
    torch.testing.assert_close(weight, a.T, atol=2e-3, rtol=0)
    assert offset.abs().max() < 2e-3


def test_translations_are_nearer_than_the_mean_digit_and_are_read_where_edges_are_not(digits: LabelledImages) -> None:
    """By L1 alone and with a GAN; the judge reads 97 % of the true images."""
    truth = (digits.test / 127.5 - 1).flatten(1)
    by_mean = translation.measured(digits.training.flatten(1).mean(0).expand_as(truth), truth)
    run = train(plan("translation", seeds=3, steps=60, every=60, lr=2e-3))
    assert (last(run.trace, "l1") < 0.7 * by_mean["l1"].item()).all()
    assert (last(run.trace, "psnr") > by_mean["psnr"].item() + 2).all()
    assert (last(run.trace, "recognised") > 3 * last(run.trace, "reference_recognised")).all()


def test_images_of_another_range_are_refused(digits: LabelledImages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applications.distributions, "get", lambda name: replace(digits, low=0.0))
    with pytest.raises(InputError, match=r"take images in .-1, 1.; those of 'digits' begin at 0, leave out low"):
        plan("translation", data="digits")


# --- what cannot be --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("translatoin", {}, "unknown application 'translatoin'; did you mean 'translation'?"),
        ("translation", {"lamda": 1}, "unknown setting of translation 'lamda'"),
        ("translation", {"data": "ring8"}, "data 'ring8' are no images with labels; applications take 'digits' or 'mnist'"),
        ("translation", {"batch": 0}, "batch must be a whole number of at least 1; got 0"),
        ("translation", {"hidden_generator": (8, 0)}, "each of hidden_generator must be a whole number of at least 1; got 0"),
        ("translation", {"adversarial": -1.0}, "adversarial must be a finite number at least 0"),
        ("semi_supervised", {"labels": 95}, "labels must be a multiple of the 10 classes of 'digits', at most 1"),
        ("semi_supervised", {"labels": 5000}, "of each; got 5000"),
        ("semi_supervised", {"latent": 0}, "latent must be a whole number of at least 1; got 0"),
        ("translation", {"hidden_generator": 8}, "hidden_generator must be a list of widths, such as (128,); got 8"),
        ("augmentation", {"gan": {"variant": "cgan", "seeds": 3, "device": "cuda"}}, "takes its device, seeds from the exp"),
        ("augmentation", {"gan": {"variant": "cgan", "beta1": [0.0, 0.5]}}, "one value for each number; got lists for beta1"),
        ("augmentation", {"shuffled": 1}, "shuffled must be True or False; got 1"),
        ("augmentation", {"gan": "cgan"}, "gan must be settings with a variant, such as {'variant': 'cgan'}; got 'cgan'"),
        ("augmentation", {"gan": {"variant": "nsgan"}}, "needs a GAN that is asked for a class, such as 'cgan'; got 'nsgan'"),
        ("augmentation", {"gan": {"variant": "cgna"}}, "unknown variant 'cgna'; did you mean 'cgan'?"),
        ("augmentation", {"generated_images": 3}, "generated_images must be a whole number of at least 10; got 3"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(name: str, settings: dict, message: str) -> None:
    with pytest.raises(InputError) as refused:
        plan(name, **settings)
    assert message in str(refused.value)
