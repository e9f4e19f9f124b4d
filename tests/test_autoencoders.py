"""Autoencoders against PCA, VAEs against probabilistic PCA, both against a plain loop; and what must be worse is worse."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from rich.console import Console
from scipy import stats as scipy_stats
from torch import Tensor, nn
from torch.distributions import Bernoulli, Normal
from torch.func import vmap

import ganlab
from ganlab import autoencoders, planning, rng
from ganlab import data as distributions
from ganlab.autoencoders import plan, train
from ganlab.coders import LIKELIHOODS, MODELS, kl_to_standard_normal, principal
from ganlab.data.images import LabelledImages
from ganlab.decoded import evaluation, quantiles
from ganlab.diagnoses import diagnose
from ganlab.experiment import Run
from ganlab.memory import need
from ganlab.registry import InputError
from ganlab.store import Store
from ganlab.sweep import sweep
from ganlab.trace import last, wide
from ganlab.train import train as train_game

F64 = torch.float64

LINEAR = {"encoder": {"net": "linear"}, "decoder": {"net": "linear"}}

SMALL = {"seeds": 2, "steps": 4, "every": 2, "hidden": (8,), "batch": 8, "evaluation": 60}


def clouds(n: int = 120, size: int = 3) -> LabelledImages:
    """Images of few pixels, which vary along three directions, with labels."""
    generator = rng.stream(0, "reference")
    z = torch.randn(2 * n, 3, generator=generator) * torch.tensor([60.0, 40.0, 15.0])
    pixels = 128 + z @ torch.linalg.qr(torch.randn(size**2, 3, generator=generator)).Q.T
    pixels = (pixels + 4 * torch.randn(pixels.shape, generator=generator)).clamp(0, 255).byte().view(-1, size, size)
    labels = torch.arange(2 * n) % 2
    return LabelledImages("clouds", pixels[:n], labels[:n], pixels[n:], labels[n:])


def flat(images: LabelledImages) -> Tensor:
    """The training images in brightness, `[n, d]`."""
    return images.train.flatten(1).double() / 255


# --- one program -------------------------------------------------------------------------------------------------------


def plain_loss(model: str, module: nn.Module, x: Tensor, noise: Tensor, likelihood: str, beta: float) -> Tensor:
    """The loss as everybody writes it, with torch.distributions."""
    said = module.encoder(x)
    if model == "autoencoder":
        return ((module(said) - x) ** 2).sum(dim=(1, 2, 3)).mean()
    mean, log_variance = said[:, : said.shape[1] // 2], said[:, said.shape[1] // 2 :]
    code = Normal(mean, torch.exp(log_variance) ** 0.5)
    outputs = module(mean + code.stddev * noise)
    if likelihood == "gaussian":
        log_prob = Normal(outputs, 0.3).log_prob(x)
    else:
        log_prob = x * Bernoulli(logits=outputs).log_prob(torch.ones(())) + (1 - x) * Bernoulli(logits=outputs).log_prob(
            torch.zeros(())
        )
    kl = torch.distributions.kl_divergence(code, Normal(torch.zeros_like(mean), torch.ones_like(mean))).sum(1)
    return -(log_prob.sum(dim=(1, 2, 3)) - beta * kl).mean()


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("autoencoder", {}),
        ("vae", {"likelihood": "bernoulli", "beta": [1.0, 3.0]}),
        ("vae", {"likelihood": "gaussian", "noise": 0.3, "beta": [1.0, 3.0]}),
    ],
)
def test_mapped_members_are_those_of_a_loop_and_of_the_loop_everybody_writes(model: str, settings: dict) -> None:
    """In float64, after six steps of torch.optim.Adam; only draws and initial weights are shared."""
    planned = plan(model, "digits", **{**SMALL, "steps": 6, "every": 3, "latent": 3}, **settings)
    mapped, looped = (train("digits", planned, dtype=F64, engine=engine, keep_state=True) for engine in ("vmap", "loop"))
    np.testing.assert_allclose(mapped.samples["parameters"], looped.samples["parameters"], rtol=1e-9, atol=1e-9)

    member, images = planned.members()[-1], distributions.get("digits")
    net = autoencoders.coder_of(planned, images).net
    module = net.to_module(net.initial(member.seed).double())
    optimizer = torch.optim.Adam(module.parameters(), lr=member.numbers["lr"])
    draws = autoencoders.draw(images, planned.settings, {p: rng.stream(member.seed, p) for p in ("data", "latent")})
    for x, noise in zip(draws.x[:6].double(), draws.noise[:6].double(), strict=True):
        loss = plain_loss(model, module, x, noise, settings.get("likelihood", ""), member.numbers.get("beta", 1.0))
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    wanted = torch.cat([p.detach().flatten() for p in module.parameters()])
    np.testing.assert_allclose(mapped.samples["parameters"][-1], wanted.numpy(), rtol=1e-9, atol=1e-9)


def test_blocks_in_the_store_are_joined_to_the_run_trained_together(tmp_path: Path) -> None:
    planned = plan("vae", **{**SMALL, "seeds": 3})
    store, silent = Store(tmp_path), Console(quiet=True)
    store.prepare()
    store.save_block(autoencoders.perform(planned, places=[0]))
    (swept,) = sweep([planned], store, 1, silent, block=1)
    together = autoencoders.perform(planned)
    rounded = [run.trace[run.trace["name"] != "birthday_support"] for run in (swept, together)]  # counts twins, by a threshold
    pd.testing.assert_frame_equal(*rounded, rtol=1e-4)
    assert set(swept.samples) == set(together.samples)
    for name, array in together.samples.items():
        np.testing.assert_allclose(swept.samples[name], array, rtol=1e-3, atol=1e-4, err_msg=name)
    assert swept.environment["block"] == [1, 1, 1]


def test_a_gan_of_the_same_seed_sees_the_same_images_and_is_measured_against_the_same() -> None:
    planned = plan("vae", **SMALL)
    gan = planning.plan("nsgan", "digits", **{**SMALL, "n_critic": 1}, generator={"output": "tanh"})
    images, game = distributions.get("digits"), planning.build(gan)[0]
    looks = evaluation(images, planned.settings, planned.members())
    of_gan = ganlab.train.evaluation(game, images, gan.members(), 8, 60)
    assert torch.equal(looks.real, of_gan.real)
    names = {"distance", "motion", "coverage", "precision", "recall", "cells_covered", "copied_share"}
    assert names <= set(autoencoders.perform(planned).trace["name"]) & set(train_game(game, images, gan).trace["name"])


def test_a_plan_on_images_of_ones_own_is_not_trained_on_others_of_their_name() -> None:
    own = replace(distributions.get("digits"), train=255 - distributions.get("digits").train)
    planned = plan("autoencoder", **{**SMALL, "data": own})
    autoencoders.train(own, planned)
    with pytest.raises(InputError, match="these are not the data that autoencoder on digits was planned on"):
        autoencoders.perform(planned)


def test_a_huge_rate_diverges_with_step_and_place_and_leaves_the_others_alone() -> None:
    broken = autoencoders.perform(plan("vae", **{**SMALL, "seeds": [1]}, optimizer="sgd", lr=[1e-6, 1e38]))
    sound, diverged = broken.outcome.to_dict("records")
    assert (sound["status"], diverged["status"]) == ("finished", "diverged")
    assert 1 <= diverged["step"] <= 2
    assert wide(broken.trace, "test_rmse")[1].isna().tolist() == [False, True, True]
    assert math.isnan(last(broken.trace, "distance")[1])
    assert np.isfinite(broken.samples["generated"][0]).all()
    assert [d.verdict for d in diagnose(broken) if d.code == "divergence"] == ["inconclusive", "inconclusive"]
    assert [d.failures for d in diagnose(broken) if d.code == "divergence"] == [0, 1]


def test_runs_are_compared_on_the_same_seeds_and_reported(tmp_path: Path) -> None:
    both = [autoencoders.perform(plan(model, **{**SMALL, "seeds": 6})) for model in MODELS]
    assert {"test_rmse", "near_share"} <= set(ganlab.compare(*both)["quantity"])
    text = ganlab.report(both, tmp_path / "report.html").read_text()
    assert "What do these autoencoders draw?" in text


def test_memory_is_told_and_grows_with_the_nets() -> None:
    small, large = (need(plan("vae", hidden=(n,), seeds=1)).member for n in (8, 2000))
    assert 1e5 < small < large < 1e8


# --- known answers -----------------------------------------------------------------------------------------------------


def test_the_divergence_is_that_of_a_hundred_thousand_draws() -> None:
    mean, log_variance = torch.tensor([[0.7, -1.2], [0.0, 0.0]]), torch.tensor([[-1.0, 0.5], [0.0, 0.0]])
    q, p = Normal(mean, (log_variance / 2).exp()), Normal(torch.zeros(2), torch.ones(2))
    generator = rng.stream(0, "latent")
    z = q.mean + q.stddev * torch.randn(100_000, 2, 2, generator=generator)
    drawn = (q.log_prob(z) - p.log_prob(z)).sum(-1)
    error = drawn.std(0) / 100_000**0.5
    exact = kl_to_standard_normal(mean, log_variance)
    assert ((exact - drawn.mean(0)).abs() <= 4 * error + 1e-6).all()
    assert exact[1] == 0


def test_bernoulli_is_the_mean_over_black_and_white_versions_and_gaussian_a_density() -> None:
    generator = rng.stream(0, "data")
    outputs, x = torch.randn(2, 1, 2, 1, generator=generator), torch.rand(2, 1, 2, 1, generator=generator)
    law, mean = Bernoulli(logits=outputs), torch.zeros(2)
    for first in (0.0, 1.0):
        for second in (0.0, 1.0):
            version = torch.tensor([first, second]).view(1, 2, 1).expand(2, 1, 2, 1)
            chance = Bernoulli(probs=x).log_prob(version).sum((1, 2, 3)).exp()
            mean = mean + chance * law.log_prob(version).sum((1, 2, 3))
    torch.testing.assert_close(LIKELIHOODS["bernoulli"].log_prob(outputs, x, {}), mean)
    density = LIKELIHOODS["gaussian"].log_prob(outputs, x, {"noise": torch.tensor(0.3)})
    torch.testing.assert_close(density, Normal(outputs, 0.3).log_prob(x).sum((1, 2, 3)))


@cache
def linear_autoencoder() -> Run:
    settings = {"latent": 2, "seeds": 2, "steps": 1800, "every": 1800, "batch": 120, "lr": 4e-2, "evaluation": 30}
    settings |= {"optimizer": "sgd", "momentum": 0.95}
    return train(clouds(), plan("autoencoder", clouds(), **settings, **LINEAR), dtype=F64, keep_state=True)


def test_a_linear_autoencoder_reaches_the_error_and_the_subspace_of_pca() -> None:
    """PCA by singular values, here; two of its axes lie well apart from the third."""
    x, run = flat(clouds()).numpy(), linear_autoencoder()
    centred = x - x.mean(0)
    singular, axes = np.linalg.svd(centred)[1:]
    least = (singular[2:] ** 2).sum() / x.size
    coder = autoencoders.coder_of(run.experiment, clouds())
    for theta in torch.from_numpy(run.samples["parameters"]):
        rebuilt = coder.rebuilt(theta, torch.from_numpy(x).view(-1, 1, 3, 3)).flatten(1).numpy()
        error = ((rebuilt - x) ** 2).mean()
        assert least <= error < 1.06 * least  # the dice of batches leave some percent
        weights = coder.net.unflatten(theta)
        (decoder,) = (w.numpy() for name, w in weights.items() if name.startswith("generator") and w.ndim == 2)
        shared = np.linalg.svd(np.linalg.qr(decoder)[0].T @ axes[:2].T)[1]  # cosines of the angles between the planes
        assert shared.min() > 0.99


def test_pca_is_that_of_scikit_learn_and_its_density_a_normal_law() -> None:
    from sklearn.decomposition import PCA

    x = flat(clouds())
    found, theirs = principal(x, 2), PCA(2).fit(x.numpy())
    np.testing.assert_allclose(found.rebuilt(x), theirs.inverse_transform(theirs.transform(x.numpy())), atol=1e-10)
    square = 0.05**2
    weights = found.axes * (found.variance - square).sqrt()
    law = scipy_stats.multivariate_normal(found.mean.numpy(), (weights @ weights.T + square * torch.eye(9, dtype=F64)).numpy())
    np.testing.assert_allclose(found.log_likelihood(x, torch.tensor(0.05, dtype=F64)), law.logpdf(x.numpy()), rtol=1e-9)


@cache
def linear_vae() -> tuple[Run, float, NDArray[np.float64], NDArray[np.float64]]:
    """A trained linear VAE, the best that a linear model can say, what each member's says, and its ELBO over many draws."""
    images = clouds()
    settings = {"latent": 2, "seeds": 2, "steps": 1000, "every": 1000, "batch": 120, "lr": 3e-3, "evaluation": 30}
    settings |= {"optimizer": "sgd", "momentum": 0.9}
    planned = plan("vae", images, likelihood="gaussian", noise=0.15, **settings, **LINEAR)
    run = train(images, planned, dtype=F64, keep_state=True)
    coder, x = autoencoders.coder_of(planned, images), flat(images)
    noise = {"noise": torch.tensor(0.15, dtype=F64), "beta": torch.tensor(1.0, dtype=F64)}
    drawn = torch.randn(200, len(x), 2, generator=rng.stream(0, "latent"), dtype=F64)
    said, elbo = [], []
    for theta in torch.from_numpy(run.samples["parameters"]):
        weights = coder.net.unflatten(theta)
        w, b = (weights[name].numpy() for name in weights if name.startswith("generator"))
        law = scipy_stats.multivariate_normal(b, w @ w.T + 0.15**2 * np.eye(9))
        said.append(law.logpdf(x.numpy()).mean())
        terms = vmap(lambda z, theta=theta: MODELS["vae"].terms(coder, theta, x.view(-1, 1, 3, 3), z, noise)["elbo"])(drawn)
        elbo.append(float(terms.mean()))
    best = float(principal(x, 2).log_likelihood(x, noise["noise"]).mean())
    return run, best, np.asarray(said), np.asarray(elbo)


def test_the_elbo_of_a_linear_vae_is_below_its_likelihood_and_that_below_probabilistic_pca() -> None:
    """And all three are close at the optimum, where the gap of a linear encoder closes (Lucas et al. 2019)."""
    _, best, said, elbo = linear_vae()
    assert (elbo <= said + 0.02).all()  # by 24 000 draws
    assert (said <= best + 1e-9).all()
    assert (best - elbo < 0.1).all()


def test_a_vae_that_is_not_trained_says_far_less_than_probabilistic_pca() -> None:
    run, best, *_ = linear_vae()
    assert (wide(run.trace, "train_elbo").loc[0] < best - 10).all()


def test_references_are_those_of_the_members_own_test_images() -> None:
    images = clouds()
    planned = plan("vae", images, **{**SMALL, "evaluation": 30}, likelihood="gaussian", noise=0.05)
    run = train(images, planned)
    held = evaluation(images, planned.settings, planned.members()).held_out[1].flatten(1).double().add(1).div(2)
    found = principal(flat(images), 2)
    off = (found.rebuilt(held) - held).square().mean().sqrt().item()
    assert last(run.trace, "reference_rmse", "PCA")[1] == pytest.approx(off, rel=1e-5)
    said = found.log_likelihood(held, torch.tensor(0.05, dtype=F64)).mean().item()
    assert last(run.trace, "reference_log_likelihood", "probabilistic PCA")[1] == pytest.approx(said, rel=1e-4)


def test_latents_of_an_autoencoder_have_the_mean_and_covariance_of_its_codes() -> None:
    planned = plan("autoencoder", clouds(), **{**SMALL, "evaluation": 30})
    coder, x = autoencoders.coder_of(planned, clouds()), flat(clouds()).float().view(-1, 1, 3, 3)
    theta, z = coder.net.initial(0), torch.randn(200_000, 2, generator=rng.stream(0, "latent"))
    latents, codes = MODELS["autoencoder"].latents(coder, theta, x, z), coder.codes(theta, x)
    torch.testing.assert_close(latents.mean(0), codes.mean(0), atol=0.02 * codes.std().item(), rtol=0)
    torch.testing.assert_close(latents.T.cov(), codes.T.cov(correction=0), atol=0.02 * codes.var().item(), rtol=0)


def test_the_grid_of_codes_is_read_like_an_image_and_symmetric() -> None:
    places = quantiles(torch.empty(0)).view(12, 12, 2)
    assert (places[0, :, 1] > 0).all()
    assert (places[:, 0, 0] < 0).all()
    torch.testing.assert_close(places, -places.flip(0, 1))
    torch.testing.assert_close(torch.special.ndtr(places[0, :, 0]), (torch.arange(12) + 0.5) / 12)


# --- digits, and controls ----------------------------------------------------------------------------------------------


@cache
def digits(model: str, shuffled: bool = False) -> Run:
    """A model trained on digits, or on digits whose pixels change places from image to image."""
    images = distributions.get("digits")
    if shuffled:
        order = torch.rand(images.train.flatten(1).shape, generator=rng.stream(0, "data")).argsort(1)
        images = replace(images, name="shuffled", train=images.train.flatten(1).gather(1, order).view(-1, 8, 8))
    settings = {"seeds": 2, "steps": 150, "every": 150, "hidden": (64,), "batch": 32, "lr": 3e-3, "evaluation": 60, "latent": 8}
    return train(images, plan(model, images, **settings, decoder={"output": "sigmoid"}, **GAUSSIAN[model]))


GAUSSIAN = {"autoencoder": {}, "vae": {"likelihood": "gaussian", "noise": 0.2}}


@pytest.mark.parametrize("model", MODELS)
def test_digits_are_rebuilt_and_drawn_and_an_untrained_decoder_is_visibly_worse(model: str) -> None:
    run = digits(model)
    rmse, distance = (wide(run.trace, name) for name in ("test_rmse", "distance"))
    assert (rmse.iloc[-1] < 0.6 * rmse.iloc[0]).all()
    assert (distance.iloc[-1] < 0.5 * distance.iloc[0]).all()
    assert run.samples["generated"].min() >= -1
    assert run.samples["generated"].max() <= 1


@pytest.mark.parametrize("model", MODELS)
def test_pixels_that_change_places_teach_nothing_about_digits(model: str) -> None:
    sound, shuffled = (last(digits(model, s).trace, "test_rmse") for s in (False, True))
    assert (shuffled > 1.5 * sound).all()


def test_the_elbo_is_its_two_parts_and_more_beta_buys_less_divergence() -> None:
    settings = {**SMALL, "steps": 150, "every": 150, "hidden": (32,), "lr": 3e-3, "batch": 32, "decoder": {"output": "sigmoid"}}
    run = train("digits", plan("vae", **settings, beta=[0.3, 10.0], **GAUSSIAN["vae"]))
    elbo, said, kl = (last(run.trace, f"test_{name}") for name in ("elbo", "log_likelihood", "kl"))
    np.testing.assert_allclose(elbo, said - kl, rtol=1e-5, atol=1e-4)
    assert kl[2:].max() < 0.7 * kl[:2].min()


# --- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "settings", "message"),
    [
        ("digits", {"latent": 0}, "latent must be a whole number of at least 1; got 0"),
        ("ring8", {}, "data 'ring8' are no images with labels; autoencoders take 'digits', 'mnist' or LabelledImages"),
        ("digits", {"betta": 2.0}, "unknown setting of this vae 'betta'; did you mean 'beta'?"),
        ("digits", {"likelihood": "gausian"}, "did you mean 'gaussian'?"),
        ("digits", {"likelihood": "gaussian", "noise": 0.0}, "noise, the standard deviation of a pixel, must be above 0"),
        ("digits", {"decoder": {"output": "sigmoid"}}, "takes logits; leave out the decoder's output='sigmoid'"),
        ("digits", {"encoder": {"net": "cnn_classifier"}}, "the nets do not fit images (1, 8, 8) and latent=2"),
        ("digits", {"noise": 0.1}, "unknown setting of this vae 'noise'"),
    ],
)
def test_what_cannot_be_is_refused_with_one_clear_message(data: str, settings: dict, message: str) -> None:
    with pytest.raises(InputError) as error:
        plan("vae", data, **settings)
    assert message in str(error.value)


def test_images_of_another_size_and_missing_labels_are_refused() -> None:
    images = clouds()
    with pytest.raises(InputError, match=r"must have the size \(3, 3\) of the training images; got \(5, 5\) to test on"):
        plan("vae", replace(images, test=clouds(size=5).test))
    with pytest.raises(InputError, match="'clouds' has 0 labels for 120 test images; give one for each"):
        plan("vae", replace(images, test_labels=torch.empty(0)))
    with pytest.raises(InputError, match="did you mean 'vae'"):
        plan("vea")
