"""Data augmentation: a classifier that learns from few digits, with and without those that a conditional GAN makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot
from torch.utils._pytree import tree_map

from ganlab import applications, game, rng
from ganlab.applications import APPLICATIONS, Application, Found, Training, accuracies, few, largest, perceptron, updated
from ganlab.data.images import LabelledImages
from ganlab.draws import BLOCK, draw
from ganlab.engine import MAPS, Advance, stack
from ganlab.experiment import Experiment, at_least
from ganlab.learning import State
from ganlab.metrics.judge import judge_of
from ganlab.net import Net
from ganlab.optim import Numbers
from ganlab.planning import build
from ganlab.planning import plan as plan_gan
from ganlab.registry import InputError
from ganlab.variants import PLACEMENT


class Pool(NamedTuple):
    """Generated images of one member and the classes they were asked for: `[n, pixel]` and int64 `[n]`."""

    x: Tensor
    y: Tensor


class Batch(NamedTuple):
    """Real images and generated ones of one step, `[batch, pixel]`, with their classes, int64 `[batch]`."""

    x: Tensor
    y: Tensor
    made_x: Tensor
    made_y: Tensor


def loss(net: Net, parameters: Tensor, batch: Batch, weight: Tensor) -> Tensor:
    """Return the cross-entropy of the real images and, with its weight, that of the generated ones, in nats."""
    real = cross_entropy(net.apply(parameters, batch.x), batch.y)
    return real + weight * cross_entropy(net.apply(parameters, batch.made_x), batch.made_y)


def step(net: Net, player: State, batch: Batch, numbers: Numbers) -> tuple[State, dict[str, Tensor]]:
    """Return one member's classifier after one step, and what must stay finite."""
    moved, value = updated(lambda parameters: loss(net, parameters, batch, numbers["generated"]), player, numbers)
    return moved, {"training loss": value, **largest(classifier=moved)}


def gan(settings: Mapping[str, Any], images: LabelledImages, seeds: tuple[int, ...]) -> Experiment:
    """Return the conditional GAN's own experiment on these images."""
    own = dict(settings["gan"])
    return plan_gan(own.pop("variant"), images, seeds=seeds, **own)


def generated(training: Training, few_images: list[LabelledImages], seeds: list[int]) -> list[Pool]:
    """Return the images that each seed's GAN makes once it has learned from its few real ones, equally many of each class."""
    s = training.settings
    planned = gan(s, training.images, tuple(seeds))
    played, _ = build(planned, training.images)
    place = partial(tree_map, lambda leaf: leaf.to(training.dtype))
    state = place(stack([game.initial(played, seed) for seed in seeds]))
    numbers = place({name: torch.tensor([m.numbers[name] for m in planned.members()]) for name in planned.numbers})
    advance = Advance(
        partial(game.step, played), numbers, engine=training.engine, n_steps=planned.steps,
        n_updates=planned.steps * (played.n_critic + 1 + played.unroll) * len(seeds), compiled=training.compiled,
    )  # fmt: skip
    streams = [{purpose: rng.stream(seed, purpose) for purpose in rng.PURPOSES} for seed in seeds]
    for start in range(0, planned.steps, BLOCK):
        each = zip(few_images, streams, strict=True)
        draws = place(stack([draw(played, own, stream, planned.settings["batch"]) for own, stream in each]))
        state, _ = advance(state, draws, 0, min(BLOCK, planned.steps - start))

    y = torch.arange(s["generated_images"]) % training.images.n_classes
    pools = []
    for m, seed in enumerate(seeds):
        z = rng.LAWS[played.latent_law](len(y), played.latent or 0, rng.stream(seed, "evaluation"))
        player = tree_map(lambda leaf, m=m: leaf[m], state.generator)
        theta = player.kept.get("average", player.parameters)
        made = played.generate(theta, torch.cat([z, one_hot(y, training.images.n_classes)], 1).to(training.dtype))
        pools.append(Pool(made.detach().flatten(1), y))
    return pools


def learn(training: Training) -> Found:
    """Return what becomes of all members.

    Trace: `test_accuracy` and `train_accuracy` (on the real images) by step; at the end `label_agreement`, the share of a
    member's generated images that a judge (`ganlab.metrics.judge`) takes for the class that is taught with them; NaN without
    any.
    """
    s, split, images = training.settings, training.split, training.images
    net = perceptron(training.n_pixels, images.n_classes, s["hidden"], "classifier")
    streams = training.stream("data")
    chosen = [few(split.y, s["labels"], stream) for stream in streams]
    pools = _pools(training, chosen)

    def drawn(own: Tensor, pool: Pool, stream: torch.Generator) -> Batch:
        some = own[torch.randint(len(own), (BLOCK, s["batch"]), generator=stream)]
        made = torch.randint(len(pool.x), (BLOCK, s["batch"]), generator=stream)
        return Batch(split.x[some], split.y[some], pool.x[made], pool.y[made])

    def look(player: State, own: Tensor) -> dict[str, Tensor]:
        return accuracies(partial(net.apply, player.parameters), split, own)

    looks, own = MAPS[training.engine](look), stack(chosen)
    fitted = training.fit(
        partial(step, net), training.initial(net),
        lambda: stack([drawn(*one) for one in zip(chosen, pools, streams, strict=True)]),
        lambda player: looks(player, own),
    )  # fmt: skip
    tell = judge_of(images)
    agreed = [(tell(pool.x) == pool.y).double().mean() if len(pool.x) > 1 else torch.tensor(torch.nan) for pool in pools]
    shown = stack([_first(pool, training.n_pixels, images.n_classes) for pool in pools])
    samples = {"predicted": shown.unflatten(2, images.train.shape[1:]).float().numpy()}
    return Found(fitted, {"label_agreement": torch.stack(agreed)[:, None]}, samples)


def _pools(training: Training, chosen: list[Tensor]) -> list[Pool]:
    """Return each member's generated images, made only where they have a weight; elsewhere one that is black."""
    s, images = training.settings, training.images
    trained = [m for m, member in enumerate(training.members) if member.numbers["generated"] > 0]
    pools = [Pool(torch.full((1, training.n_pixels), -1.0, dtype=training.dtype), torch.zeros(1, dtype=torch.long))
             for _ in training.members]  # fmt: skip
    if trained:
        own = [replace(images, train=images.train[chosen[m]], train_labels=images.train_labels[chosen[m]]) for m in trained]
        for m, pool in zip(trained, generated(training, own, [training.members[m].seed for m in trained]), strict=True):
            order = torch.randperm(len(pool.y), generator=rng.stream(training.members[m].seed, "category"))
            pools[m] = pool._replace(y=pool.y[order]) if s["shuffled"] else pool
    return pools


def _first(pool: Pool, n_pixels: int, n_classes: int) -> Tensor:
    """Return one image of each class in their order, black where there are none."""
    return pool.x[:n_classes] if len(pool.x) > 1 else torch.full((n_classes, n_pixels), -1.0).to(pool.x)


def _check(settings: Mapping[str, Any], images: LabelledImages) -> None:
    applications.check_labels(settings, images)
    at_least("generated_images", settings["generated_images"], images.n_classes)
    if not isinstance(settings["shuffled"], bool):
        raise InputError(f"shuffled must be True or False; got {settings['shuffled']!r}")
    if not isinstance(settings["gan"], Mapping) or "variant" not in settings["gan"]:
        raise InputError(f"gan must be settings with a variant, such as {{'variant': 'cgan'}}; got {settings['gan']!r}")
    if wrong := sorted({"seeds", "data", "every", *PLACEMENT}.intersection(settings["gan"])):
        raise InputError(f"the GAN of an augmentation takes its {', '.join(wrong)} from the experiment; leave that out of gan")
    planned = gan(settings, images, (0,))
    if len(planned.members()) > 1:
        raise InputError(f"gan takes one value for each number; got lists for {', '.join(planned.varied)}")
    if not planned.settings.get("labelled"):
        variant = settings["gan"]["variant"]
        raise InputError(f"augmentation needs a GAN that is asked for a class, such as 'cgan'; got {variant!r}")


APPLICATIONS.add(
    "augmentation",
    Application(
        learn,
        {
            "labels": 100, "batch": 64, "hidden": (128, 128), "generated_images": 2000, "shuffled": False,
            "gan": {"variant": "cgan", "steps": 500, "batch": 64, "hidden": [128, 128], "latent": 16},
        },
        {"generated": (0.0, 1.0)},
        _check,
    ),
    source="Antoniou, Storkey and Edwards 2018 (DAGAN); the GAN: Mirza and Osindero 2014",
    summary="A classifier from few images, with and without those that a conditional GAN makes of them.",
)  # fmt: skip
