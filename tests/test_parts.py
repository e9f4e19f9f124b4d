"""Which parts go together, refused in the same words by plans and by games; and what the parts show the discriminator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ganlab import rng
from ganlab.draws import draw
from ganlab.game import Batch, Game, initial, pack
from ganlab.layers import Bidirectional
from ganlab.parts import Parts, _clashes, check
from ganlab.planning import build, plan, plan_game
from ganlab.registry import InputError
from ganlab.updates import UPDATES
from ganlab.variants import VARIANTS

SMOOTHED = "minimax, zero_sum, non_saturating, least_squares, boundary_seeking, density_ratio, two_sided"
LABELS = {"labelled": True, "categories": 8}

CLASHES: list[tuple[int, dict[str, Any], dict[str, float], str]] = [
    # the number of the reason, the parts, the penalties, what is said
    (
        0, {"objective": "hinge"}, {"label_smoothing": 0.1},
        f"label_smoothing moves the target of real samples, and 'hinge' has no target; use it with one of {SMOOTHED}",
    ),
    (
        13, {"unroll": 2, "objective": "wasserstein"}, {},
        "move the real half of 'wasserstein' too, and its generator does not see that half; use objective='zero_sum'",
    ),
    (
        1, {"unroll": 1, "update": "extragradient"}, {},
        "and 'extragradient' moves both players by a joint field; use update='alternating' or 'simultaneous', or unroll=0",
    ),
    (
        2, {"categories": 4}, {"information": 1.0, "identification": 1.0},
        "identification and information read the same scores in different ways; take one of them",
    ),
    (
        3, {"categories": 1}, {"information": 1.0},
        "information tells categories apart, so there must be at least 2; got categories=1",
    ),
    (
        4, {"categories": 4}, {"classification": 1.0},
        "classification needs the labels of real samples; use labelled=True, or information for codes without labels",
    ),
    (
        5, LABELS, {"information": 1.0},
        "information is for categories that the data do not have; use labelled=False, or classification",
    ),
    (
        5, LABELS, {"identification": 1.0},
        "identification is for categories that the data do not have; use labelled=False, or classification",
    ),
    (
        6, {"labelled": True, "categories": 1}, {},
        "labelled data need the number of their labels, at least 2; got categories=1",
    ),
    (
        7, {"shown": "label"}, {},
        "shown='label' needs labels of real samples; use labelled=True on data that have labels",
    ),
    (
        8, {"shown": "latent", "categories": 4, "objective": "two_sided"}, {},
        "shown='latent' pairs samples with the whole latent, in which categories would be told apart at a glance; use "
        "categories=0",
    ),
    (
        9, {}, {"reconstruction": 1.0},
        "reconstruction needs the encoder of shown='latent'",
    ),
    (
        10, {"shown": "latent"}, {},
        "would never be trained: the generator's side of 'non_saturating' does not see real pairs; use objective='two_sided', "
        "or add reconstruction",
    ),
    (
        11, {"packing": 2, "categories": 4}, {"information": 1.0},
        "packing shows several samples at once, so a label or score of each is not defined; use packing=1",
    ),
    (
        11, {"packing": 2, "shown": "label", **LABELS}, {},
        "packing shows several samples at once, so a label or score of each is not defined; use packing=1",
    ),
    (
        12, {"shown": "label", **LABELS}, {"gdpp": 1.0},
        "gdpp compares features of samples, and shown='label' mixes labels into them; use shown='sample'",
    ),
    (
        14, {"frozen_at": 5, "update": "consensus"}, {},
        "train alone by its own updates, and 'consensus' moves both players by a joint field; use update='alternating' or "
        "'simultaneous'",
    ),
    (
        15, {"frozen_at": 5, "lookahead": 5}, {},
        "train alone, and lookahead and historical_averaging would draw it back to what it was; leave them out",
    ),
    (
        15, {"frozen_at": 5}, {"historical_averaging": 0.1},
        "train alone, and lookahead and historical_averaging would draw it back to what it was; leave them out",
    ),
    (
        16, {"fresh_discriminator": False}, {},
        "fresh_discriminator=False says how the discriminator goes on when the generator freezes; say when that is, as in "
        "frozen_at=500",
    ),
]  # fmt: skip

BAD_PARTS: list[tuple[dict[str, Any], str]] = [
    ({"objective": "hing"}, "unknown objective 'hing'; did you mean 'hinge'?"),
    ({"update": "alternate"}, "unknown update rule 'alternate'; did you mean 'alternating'?"),
    ({"optimizer": "adan"}, "unknown optimizer 'adan'; did you mean 'adam'?"),
    ({"latent_law": "norma"}, "unknown law of latents 'norma'; did you mean 'normal'? Known: normal, uniform, unit"),
    ({"shown": "labels"}, "unknown way of showing 'labels'; did you mean 'label'? Known: label, latent, sample"),
    ({"packing": 0}, "packing must be a whole number of at least 1; got 0"),
    ({"unroll": -1}, "unroll must be a whole number of at least 0; got -1"),
    ({"categories": 2.0}, "categories must be a whole number of at least 0; got 2.0"),
    ({"frozen_at": -1}, "frozen_at must be a whole number of at least 0; got -1"),
    ({"frozen_at": 2.0}, "frozen_at must be a whole number of at least 0; got 2.0"),
    ({"lookahead": True}, "lookahead must be a whole number of at least 0; got True"),
    (
        {"n_critic": 2, "update": "consensus"},
        "n_critic must be at least 1, and 1 where both move at once (simultaneous, extragradient, consensus, symplectic); "
        "got 2",
    ),
]

REFUSED = [(parts, penalties, message) for _, parts, penalties, message in CLASHES] + [(p, {}, m) for p, m in BAD_PARTS]


@pytest.mark.parametrize(("parts", "penalties", "message"), REFUSED, ids=lambda value: str(value)[:60])
def test_parts_that_do_not_go_together_are_refused_alike_in_a_plan_and_in_a_game(
    parts: dict[str, Any], penalties: dict[str, float], message: str
) -> None:
    said = []
    with pytest.raises(InputError) as refusal:
        plan("nsgan", "ring8", **parts, **penalties)
    said.append(str(refusal.value))
    with pytest.raises(InputError) as refusal:
        Game(nn.Linear(3, 2), nn.Linear(2, 1), penalties=penalties, **parts)
    said.append(str(refusal.value))
    assert message in said[0]
    assert said[0] == said[1]


@pytest.mark.parametrize(("number", "parts", "penalties"), [case[:3] for case in CLASHES], ids=str)
def test_each_of_these_is_refused_for_its_own_reason_first(
    number: int, parts: dict[str, Any], penalties: dict[str, float]
) -> None:
    applies = [case for case, _ in _clashes(Parts.of({**parts, "penalties": tuple(penalties)}))]
    assert applies.index(True) == number


def test_every_reason_is_tested_above() -> None:
    assert {number for number, *_ in CLASHES} == set(range(len(_clashes(Parts()))))


@pytest.mark.parametrize(
    ("parts", "penalties"),
    [
        ({}, ()),
        ({"objective": "least_squares"}, ("label_smoothing", "r1", "instance_noise", "historical_averaging")),
        ({"unroll": 3, "update": "simultaneous"}, ("r1",)),
        ({"update": "extragradient", "optimizer": "optimistic_adam", "lookahead": 5}, ("weight_clipping", "orthogonal")),
        ({"n_critic": 5, "unroll": 2}, ("gradient_penalty",)),
        ({"categories": 4}, ("information",)),
        ({"categories": 4}, ("identification", "mode_seeking")),
        (LABELS, ("classification",)),
        ({**LABELS, "shown": "label"}, ("classification", "r1")),
        ({"shown": "latent", "objective": "two_sided", "packing": 2}, ("gdpp",)),
        ({"shown": "latent", "objective": "relativistic"}, ()),
        ({"shown": "latent"}, ("reconstruction",)),
        ({"packing": 4, **LABELS}, ("discriminator_gradient",)),
        ({"frozen_at": 0, "fresh_discriminator": False, "update": "simultaneous", "unroll": 1}, ("instance_noise",)),
    ],
    ids=str,
)
def test_parts_that_go_together_pass(parts: dict[str, Any], penalties: tuple[str, ...]) -> None:
    check(Parts.of({**parts, "penalties": penalties}))


@pytest.mark.parametrize("update", UPDATES)
def test_n_critic_is_free_where_players_take_turns(update: str) -> None:
    parts = Parts(update=update, n_critic=3)
    if UPDATES.entry(update).facts["paired"]:
        with pytest.raises(InputError, match=r"n_critic must be at least 1, and 1 where both move at once \(simultaneous, "):
            check(parts)
    else:
        check(parts)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"packing": 3, "batch": 8}, "batch must be 2 packs or more, a multiple of packing=3; got 8"),
        ({"packing": 8, "batch": 8}, "batch must be 2 packs or more, a multiple of packing=8; got 8"),
        ({"labelled": True, "categories": 5}, "labelled=True needs data with 5 labels, and 'ring8' has 8; "),
        ({"discriminator": {"head": "projection"}}, "head='projection' reads the label of each sample; use shown='label'"),
    ],
)
def test_plans_whose_numbers_do_not_fit_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as refusal:
        plan("nsgan", "ring8", **settings)
    assert message in str(refusal.value)


def test_a_game_that_asks_nets_for_what_they_have_not_is_refused() -> None:
    with pytest.raises(InputError, match=r"shown='latent' needs an encoder: build the generator as layers.Bidirectional"):
        Game(nn.Linear(3, 2), nn.Linear(5, 1), shown="latent", objective="two_sided")

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(x)

    with pytest.raises(InputError, match="gdpp needs the features before the discriminator's last layer"):
        Game(nn.Linear(3, 2), Own, penalties={"gdpp": 1.0})


@pytest.mark.parametrize("name", VARIANTS)
def test_numbers_of_a_variant_are_those_that_its_parts_read(name: str) -> None:
    made = plan(name, None if not str(VARIANTS[name].get("data")).startswith("mnist") else "digits")
    weights = set(made.settings["penalties"])
    beside = {"lr", "lr_discriminator", *({"average"} if VARIANTS[name].get("average") else ())}
    assert set(made.numbers) == {*Parts.of(made.settings).numbers, *weights, *beside}


# --- what the discriminator is shown -----------------------------------------------------------------------------------


def drawn(name: str, batch: int = 24, **settings: Any) -> tuple[Game, Any, Batch]:
    """A game on the ring, its data, and the first update's draws."""
    game, ring = build(plan(name, "ring8", batch=batch, hidden=(5,), latent=3, **settings))
    streams = {purpose: rng.stream(0, purpose) for purpose in rng.PURPOSES}
    draws = draw(game, ring, streams, batch)
    return game, ring, Batch(draws.real[0], draws.latent[0], draws.noise[0]).draw(0)


def test_labels_in_the_latents_are_those_of_the_real_samples() -> None:
    """On a ring the label is the nearest mode: 50 standard deviations away from the next."""
    _, ring, batch = drawn("cgan")
    nearest = torch.cdist(batch.real, ring.modes.float()).argmin(1)
    assert batch.latent.shape == (24, 3 + 8)
    assert torch.equal(batch.latent[:, 3:], nn.functional.one_hot(nearest, 8).float())
    assert len(nearest.unique()) > 4


def test_codes_without_labels_are_one_hot_and_have_nothing_to_do_with_the_data() -> None:
    _, ring, batch = drawn("infogan", 600)
    code = batch.latent[:, 3:]
    assert torch.equal(code.sum(1), torch.ones(600))
    assert set(code.flatten().tolist()) == {0.0, 1.0}
    nearest = torch.cdist(batch.real, ring.modes.float()).argmin(1)
    assert float((code.argmax(1) == nearest).float().mean()) == pytest.approx(1 / 8, abs=5 * (7 / 64 / 600) ** 0.5)


@pytest.mark.parametrize(
    ("law", "low", "high", "std"), [("normal", -9, 9, 1.0), ("uniform", -1, 1, 3**-0.5), ("unit", 0, 1, 12**-0.5)]
)
def test_latents_follow_their_law(law: str, low: float, high: float, std: float) -> None:
    """2400 numbers: mean and spread within 5 standard errors, where 1/2 std covers the spread's of each law."""
    latent = drawn("nsgan", 800, latent_law=law)[2].latent
    assert low <= float(latent.min()) < float(latent.max()) <= high
    assert float(latent.mean()) == pytest.approx((low + high) / 2, abs=5 * std / 2400**0.5)
    assert float(latent.std()) == pytest.approx(std, abs=5 * std / 2400**0.5)


def test_packs_are_samples_side_by_side() -> None:
    game, _, batch = drawn("pacgan3")
    theta, psi = (player.parameters for player in initial(game, 0))
    sample = game.generate(theta, batch.latent)
    seen = game.show(psi, theta, sample, batch, {})
    assert torch.equal(seen.real, batch.real.reshape(8, 6))
    assert torch.equal(seen.fake, sample.reshape(8, 6))
    assert seen.logits(seen.real).shape == (8,)


def test_images_are_packed_along_their_channels() -> None:
    x = torch.arange(4 * 3 * 2 * 2.0).view(4, 3, 2, 2)
    packed = pack(x, 2)
    assert packed.shape == (2, 6, 2, 2)
    assert torch.equal(packed[1], torch.cat([x[2], x[3]]))
    assert pack(x, 1) is x


def test_a_label_is_read_beside_real_and_fake_alike_and_moves_the_logit() -> None:
    game, _, batch = drawn("cgan")
    theta, psi = (player.parameters for player in initial(game, 0))
    seen = game.show(psi, theta, game.generate(theta, batch.latent), batch, {})
    module, label = game.nets[1].to_module(psi), batch.latent[:, 3:]
    for x in (seen.real, seen.fake):
        wanted = module(torch.cat([x, label], 1))[:, 0]
        torch.testing.assert_close(seen.logits(x), wanted)
        assert not torch.allclose(wanted, module(torch.cat([x, label.roll(1, 1)], 1))[:, 0])


def test_pairs_are_real_with_its_code_and_fake_with_its_latent() -> None:
    def both() -> nn.Module:
        return Bidirectional(nn.Linear(3, 2), nn.Linear(2, 3))

    game = Game(both, nn.Linear(5, 1), "two_sided", shown="latent")
    generator = torch.Generator().manual_seed(0)
    batch = Batch(torch.randn(4, 2, generator=generator), torch.randn(4, 3, generator=generator), torch.empty(4, 0))
    theta, psi = (player.parameters for player in initial(game, 0))
    module = game.nets[0].to_module(theta)
    seen = game.show(psi, theta, game.generate(theta, batch.latent), batch, {})
    torch.testing.assert_close(seen.real, torch.cat([batch.real, module.encoder(batch.real)], 1).detach())
    torch.testing.assert_close(seen.fake, torch.cat([module(batch.latent), batch.latent], 1).detach())


def test_penalty_noise_has_a_row_for_each_thing_shown() -> None:
    """One number to interpolate with and one for each entry: of a pack, or of a sample with its latent."""
    packed = Game(nn.Linear(3, 2), nn.Linear(6, 1), penalties={"dragan": 1.0}, packing=3)
    assert packed.noise_shape(12, (2,)) == (4, 7)
    paired = build(plan("ali", "ring8", latent=3, dragan=1.0))[0]
    assert paired.noise_shape(12, (2,)) == (12, 6)
    assert Game(nn.Linear(3, 2), nn.Linear(2, 1), penalties={"r1": 1.0}).noise_shape(12, (2,)) == (12, 0)


def test_several_samples_shown_at_once_are_judged_as_one_in_every_penalty() -> None:
    """A linear discriminator of packs has the slope of its whole weight."""
    game = Game(nn.Linear(3, 2), nn.Linear(4, 1), "wasserstein", {"r1": 2.0}, packing=2)
    generator = torch.Generator().manual_seed(0)
    batch = Batch(torch.randn(6, 2, generator=generator), torch.randn(6, 3, generator=generator), torch.empty(3, 0))
    theta, psi = (player.parameters for player in initial(game, 0))
    with_, without = (
        game.discriminator_loss(psi, theta, batch, {"r1": torch.tensor(weight)}) for weight in (2.0, 0.0)
    )
    assert float(with_ - without) == pytest.approx(float(np.square(psi[:4].numpy()).sum()), rel=1e-5)


@pytest.mark.parametrize("at", [10, 11])
def test_a_generator_frozen_at_the_end_or_later_is_refused_in_a_plan_and_of_a_game(at: int) -> None:
    message = f"frozen_at must be less than steps=10, .* got frozen_at={at}"
    with pytest.raises(InputError, match=message):
        plan("nsgan", "ring8", steps=10, frozen_at=at)
    with pytest.raises(InputError, match=message):
        plan_game(Game(nn.Linear(3, 2), nn.Linear(2, 1), frozen_at=at), "ring8", steps=10)


def test_only_runs_that_freeze_say_so_in_their_settings() -> None:
    free, frozen = plan("nsgan", "ring8"), plan("nsgan", "ring8", frozen_at=0)
    assert "frozen_at" not in free.settings
    assert frozen.settings["frozen_at"] == 0
    assert len({free.id, frozen.id, plan("nsgan", "ring8", frozen_at=0, fresh_discriminator=False).id}) == 3
    assert build(frozen)[0].frozen_at == 0
