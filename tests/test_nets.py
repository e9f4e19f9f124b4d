"""A net as a pure function of a vector: equal to its module, mapped like it, and refused by name where it cannot be one."""

from __future__ import annotations

import itertools
import json
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import grad, vmap

from ganlab import data, layers, nets
from ganlab.game import Game
from ganlab.net import Net
from ganlab.nets import NETS
from ganlab.planning import plan
from ganlab.registry import InputError

F64 = torch.float64


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


class Tied(nn.Module):
    """One matrix used twice, and a constant that is not trained."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
        self.second.weight = self.first.weight
        self.register_buffer("shift", torch.arange(3.0))

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.tanh(self.first(x))) + self.shift


WORLDS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mlp": (lambda: nets.mlp(3, 2, (5,)), (3,)),
    "batch norm without running statistics": (
        lambda: nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6, track_running_stats=False), nn.ReLU(), nn.Linear(6, 2)),
        (3,),
    ),
    "group and layer norm": (
        lambda: nn.Sequential(nn.Linear(3, 6), nn.GroupNorm(2, 6), nn.LayerNorm(6), nn.Linear(6, 2)),
        (3,),
    ),
    "exact spectral norm": (
        lambda: nn.Sequential(nets.spectral_norm(nn.Linear(3, 6)), nn.LeakyReLU(0.2), nets.spectral_norm(nn.Linear(6, 1))),
        (3,),
    ),
    "convolutions": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3, track_running_stats=False), nn.ReLU(),
            nn.ConvTranspose2d(3, 2, 3), nn.Flatten(), nn.Linear(2 * 36, 1),
        ),
        (1, 6, 6),
    ),
    "spectral norm by power iteration": (lambda: nets.mlp(3, 1, (6, 5), norm="spectral_power"), (3,)),
    "convolutions with spectral norm": (
        lambda: nn.Sequential(*nets.dcgan_discriminator((1, 8, 8), 4, (3, 2), norm="spectral_power")),
        (1, 8, 8),
    ),
    "transposed convolutions with batch norm": (lambda: nets.dcgan_generator(3, (1, 8, 8), (4, 3)), (3,)),
    "standard deviation of the minibatch": (lambda: nets.mlp(3, 2, (5,), minibatch="std"), (3,)),
    "minibatch discrimination": (lambda: nets.mlp(3, 2, (5,), minibatch="discrimination"), (3,)),
    "maxout": (lambda: nets.maxout(3, 2, (5, 4), pieces=3), (3,)),
    "projection": (lambda: layers.Projection(nets.mlp(3, 4, (5,)), 4, 2), (5,)),
    "one against generators": (lambda: nn.Sequential(nets.mlp(3, 4, (5,)), layers.OneAgainstGenerators()), (3,)),
    "generators side by side": (lambda: layers.Several(2, lambda: nets.mlp(3, 2, (5,))), (5,)),
    "tied weights and a buffer": (Tied, (3,)),
}  # fmt: skip


@pytest.mark.parametrize("name", WORLDS)
def test_a_vector_gives_what_its_module_gives(name: str) -> None:
    make, shape = WORLDS[name]
    net = Net(make, "generator").to("cpu", F64)
    vector, x = net.initial(3).double(), normal(7, *shape)
    module = net.to_module(vector)
    np.testing.assert_allclose(net.apply(vector, x).numpy(), module(x).detach().numpy(), rtol=1e-13, atol=1e-14)
    assert torch.equal(nn.utils.parameters_to_vector(module.parameters()), vector)
    assert sum(net.sizes) == net.n_parameters == len(vector) == sum(p.numel() for p in module.parameters())
    assert list(net.layers) == [key for key, _ in module.named_parameters()]


@pytest.mark.parametrize("name", WORLDS)
def test_mapped_gradients_are_those_of_backward_member_by_member(name: str) -> None:
    """Batch norm in training mode and spectral norm among them: 1e-10 for sums in another order."""
    make, shape = WORLDS[name]
    net = Net(make, "generator").to("cpu", F64)
    vectors = torch.stack([net.initial(seed).double() for seed in range(3)])
    x = normal(3, 7, *shape)
    mapped = vmap(grad(lambda v, points: net.apply(v, points).square().mean()))(vectors, x)
    for m in range(3):
        module = net.to_module(vectors[m])
        module(x[m]).square().mean().backward()
        wanted = torch.cat([p.grad.flatten() for p in module.parameters()])
        np.testing.assert_allclose(mapped[m].numpy(), wanted.numpy(), rtol=1e-10, atol=1e-12)
    assert mapped.abs().max() > 1e-4


@pytest.mark.parametrize("name", WORLDS)
def test_applying_leaves_the_vector_and_the_module_alone(name: str) -> None:
    make, shape = WORLDS[name]
    net = Net(make, "generator").to("cpu", F64)
    vector, before = net.initial(0).double(), {k: v.clone() for k, v in net.module.state_dict().items()}
    copy = vector.clone()
    net.apply(vector, normal(7, *shape))
    assert torch.equal(copy, vector)
    assert all(torch.equal(v, before[k]) for k, v in net.module.state_dict().items())


def test_a_module_made_from_a_vector_does_not_share_its_memory() -> None:
    net = Net(nets.mlp(3, 2, (4,)), "generator")
    vector = net.initial(0)
    module = net.to_module(vector)
    with torch.no_grad():
        for p in module.parameters():
            p.add_(1)
    assert torch.equal(vector, net.initial(0))


# --- initial weights ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["module", "function"])
def test_initial_weights_repeat_per_seed_differ_between_seeds_and_roles_and_draw_from_nowhere_else(given: str) -> None:
    source = nets.mlp(3, 2, (8, 8)) if given == "module" else lambda: nets.mlp(3, 2, (8, 8))
    net, other_role = Net(source, "generator"), Net(source, "discriminator")
    torch.manual_seed(123)
    before = torch.random.get_rng_state()
    vectors = [net.initial(seed) for seed in (0, 1, 2, 0)]
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(vectors[0], vectors[3])
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert (vectors[a] != vectors[b]).all()
    assert (vectors[0] != other_role.initial(0)).all()
    torch.manual_seed(9)
    assert torch.equal(net.initial(0), vectors[0])


def test_a_module_is_initialised_by_its_layers_own_law() -> None:
    """torch draws a linear layer's weights uniformly within 1 / sqrt(inputs)."""
    net = Net(nn.Linear(400, 50), "generator")
    weights = net.initial(0)[:20_000]
    assert weights.abs().max() <= 1 / 20
    assert float(weights.std()) == pytest.approx(1 / 20 / 3**0.5, rel=0.03)


def test_a_function_keeps_its_own_initialisation() -> None:
    def make() -> nn.Module:
        layer = nn.Linear(30, 30, bias=False)
        nn.init.orthogonal_(layer.weight, gain=0.8)
        return layer

    for seed in range(2):
        w = Net(make, "generator").initial(seed).view(30, 30).double()
        np.testing.assert_allclose((w @ w.T).numpy(), 0.64 * np.eye(30), atol=1e-5)


def test_building_a_net_leaves_the_users_module_alone() -> None:
    mine = nets.mlp(3, 2, (4,))
    before = [p.detach().clone() for p in mine.parameters()]
    net = Net(mine, "generator")
    net.initial(5)
    assert all(torch.equal(a, b) for a, b in zip(before, mine.parameters(), strict=True))


def test_members_of_a_bfloat16_or_float64_module_start_in_float32() -> None:
    assert Net(nets.mlp(3, 2, (4,)).double(), "generator").initial(0).dtype == torch.float32


# --- spectral norm -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [nn.Linear(5, 3), nn.Conv2d(2, 4, 3)], ids=lambda x: type(x).__name__)
def test_spectral_norm_is_the_largest_singular_value(layer: nn.Module) -> None:
    plain = layer.weight.detach().double().flatten(1).numpy()
    normed = nets.spectral_norm(layer).double()
    largest = np.linalg.svd(plain, compute_uv=False)[0]
    np.testing.assert_allclose(normed.weight.detach().flatten(1).numpy(), plain / largest, rtol=1e-9)


def test_spectral_norm_agrees_with_power_iteration_run_to_its_end() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(6, 4).double()
    twin = nn.Linear(6, 4).double()
    twin.load_state_dict(layer.state_dict())
    iterated = nn.utils.parametrizations.spectral_norm(twin, n_power_iterations=500)
    x = normal(5, 6)
    exact = nets.spectral_norm(layer)
    np.testing.assert_allclose(exact(x).detach().numpy(), iterated(x).detach().numpy(), rtol=1e-6)
    exact(x).square().sum().backward()
    iterated(x).square().sum().backward()
    pair = layer.parametrizations.weight.original.grad, twin.parametrizations.weight.original.grad
    np.testing.assert_allclose(pair[0].numpy(), pair[1].numpy(), rtol=1e-5, atol=1e-8)


# --- refusals ----------------------------------------------------------------------------------------------------------


class Lonely(nn.Module):
    """A parameter that no `reset_parameters` knows."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


class Wandering(nn.Module):
    """A random buffer: part of the function, but not of the vector."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)
        self.register_buffer("code", torch.randn(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x * self.code)


def wide(initialise: Callable[[Tensor], object]) -> nn.Module:
    net = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 2))
    initialise(net[0].weight)
    return net


REFUSED: dict[str, tuple[object, str, str]] = {
    "batch norm": (
        nn.Sequential(nn.Linear(2, 6), nn.BatchNorm1d(6)),
        "generator",
        "layer '1' (BatchNorm1d) of the generator keeps running statistics, which members of one batch cannot share; use "
        "BatchNorm1d(6, track_running_stats=False) or GroupNorm",
    ),
    "batch norm built by a function": (
        lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)),
        "discriminator",
        "layer '1' (BatchNorm2d) of the discriminator keeps running statistics, which members of one batch cannot share; use "
        "BatchNorm2d(4, track_running_stats=False) or GroupNorm",
    ),
    "dropout": (
        nn.Sequential(nn.Linear(2, 6), nn.Sequential(nn.Dropout(0.3))),
        "discriminator",
        "layer '1.0' (Dropout) of the discriminator draws random numbers of its own, so a seed would not repeat; remove it or "
        "set p=0",
    ),
    "old spectral norm": (
        nn.Sequential(nn.utils.spectral_norm(nn.Linear(2, 6))),
        "discriminator",
        "layer '0' (Linear) of the discriminator estimates its norm by power iteration, which is hidden state; use "
        "ganlab.nets.spectral_norm, which is exact",
    ),
    "spectral norm as a parametrisation": (
        nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(2, 6))),
        "discriminator",
        "layer '0.parametrizations.weight.0' (_SpectralNorm) of the discriminator estimates its norm by power iteration, which "
        "is hidden state; use ganlab.nets.spectral_norm, which is exact",
    ),
    "spectral norm as a parametrisation, built by a function": (
        lambda: nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(2, 6))),
        "discriminator",
        "layer '0.parametrizations.weight.0' (_SpectralNorm) of the discriminator estimates its norm by power iteration, which "
        "is hidden state; use ganlab.nets.spectral_norm, which is exact",
    ),
    "exact spectral norm as an instance": (
        nn.Sequential(nets.spectral_norm(nn.Linear(2, 6))),
        "discriminator",
        "layer '0' (ParametrizedLinear) of the discriminator cannot be initialised anew for each seed; pass a function that "
        "builds the net in place of the net",
    ),
    "a parameter without a law": (
        nn.Sequential(nn.Linear(2, 3), Lonely()),
        "generator",
        "layer '1' (Lonely) of the generator cannot be initialised anew for each seed; pass a function that builds the net in "
        "place of the net",
    ),
    "weights set by hand, wider": (
        wide(lambda w: nn.init.normal_(w, std=2.0)),
        "generator",
        "parameter '0.weight' of the generator does not look like its layer's own initialisation, which is drawn anew for each "
        "seed; pass a function that builds and initialises the net in place of the net",
    ),
    "weights set by hand, constant": (
        wide(nn.init.zeros_),
        "generator",
        "parameter '0.weight' of the generator does not look like its layer's own initialisation, which is drawn anew for each "
        "seed; pass a function that builds and initialises the net in place of the net",
    ),
    "sigmoid at the end": (
        nn.Sequential(nn.Linear(2, 1), nn.Sequential(nn.Sigmoid())),
        "discriminator",
        "the discriminator ends in a Sigmoid; objectives take logits, so remove that layer",
    ),
    "nothing to train": (nn.Sequential(nn.ReLU()), "generator", "the generator has no parameters to train"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_a_pure_function_is_refused_by_name_with_what_to_use(name: str) -> None:
    source, role, message = REFUSED[name]
    with pytest.raises(InputError) as caught:
        Net(source, role)
    assert str(caught.value) == message


def test_game_refuses_as_its_nets_do() -> None:
    with pytest.raises(InputError, match="of the discriminator keeps running statistics"):
        Game(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 1)))


@pytest.mark.parametrize(
    "layer",
    [nn.BatchNorm1d(64, track_running_stats=False), nn.Dropout(0.0), nn.InstanceNorm1d(64), nn.Sigmoid(), nn.LayerNorm(64)],
    ids=str,
)
def test_what_keeps_no_state_is_not_refused(layer: nn.Module) -> None:
    """Also a sigmoid inside a discriminator, or at the end of a generator."""
    Net(nn.Sequential(nn.Linear(2, 64), layer, nn.Linear(64, 1)), "discriminator")
    Net(nn.Sequential(nn.Linear(2, 64), layer), "generator")


@pytest.mark.parametrize("change", [lambda p: p, lambda p: p.add_(0.001 * torch.randn_like(p))], ids=["fresh", "nudged"])
def test_weights_that_look_like_their_layers_own_are_taken(change: Callable[[Tensor], object]) -> None:
    net = nets.mlp(2, 2, (64, 64))
    with torch.no_grad():
        for p in net.parameters():
            change(p)
    assert Net(net, "generator").n_parameters == 2 * 64 + 64 + 64 * 64 + 64 + 64 * 2 + 2


class Forgetful(nn.Module):
    """Resets a part of what it trains."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(2, 6)), nn.Parameter(torch.zeros(6))

    def reset_parameters(self) -> None:
        nn.init.normal_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight + self.bias


def test_an_instance_that_no_seed_draws_anew_is_refused() -> None:
    """All members of a population would start from the same numbers."""
    with pytest.raises(InputError) as caught:
        Net(nn.Sequential(Forgetful()), "generator")
    assert str(caught.value) == (
        "parameter '0.weight' of the generator is the same for all seeds, because its layer does not initialise it anew; "
        "pass a function that builds the net in place of the net"
    )


def test_an_instance_that_cannot_be_copied_is_refused() -> None:
    """torch's older weight norm keeps a tensor with a history, and resets what is computed from the trained ones."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's own: it has a newer weight norm
        net = nn.Sequential(nn.utils.weight_norm(nn.Linear(2, 6)))
    with pytest.raises(InputError, match=r"the generator cannot be copied for each seed \(.*pass a function that builds"):
        Net(net, "generator")


@pytest.mark.parametrize("layer", [nn.Linear(64, 1), nn.PReLU(), nn.BatchNorm1d(64, track_running_stats=False)], ids=str)
def test_an_instance_whose_parameters_are_single_numbers_or_constants_is_taken(layer: nn.Module) -> None:
    """A discriminator ends in one logit, whose bias is one random number."""
    assert Net(nn.Sequential(nn.Linear(2, 64), layer), "discriminator").n_parameters > 192


def test_a_random_buffer_is_refused_when_members_are_made() -> None:
    with pytest.raises(InputError, match="buffer 'code' of the generator differs between seeds; make it a parameter"):
        Net(Wandering, "generator").initial(1)


@pytest.mark.parametrize("source", [lambda: 3, lambda: None], ids=["3", "None"])
def test_a_function_that_builds_no_module_is_refused(source: Callable[[], object]) -> None:
    with pytest.raises(InputError, match=r"the generator must be an nn.Module or a function that returns one; got (3|None)"):
        Net(source, "generator")


# --- games -------------------------------------------------------------------------------------------------------------


def test_latent_size_is_read_off_the_first_linear_layer_or_asked_for() -> None:
    d = nn.Linear(2, 1)
    assert Game(nets.mlp(7, 2), d).latent == 7
    assert Game(nets.mlp(7, 2), d, latent=5).latent == 5
    with pytest.raises(InputError, match="the latent size cannot be read off the generator's first layer; pass latent="):
        Game(nn.Sequential(nn.Unflatten(1, (4, 1, 1)), nn.ConvTranspose2d(4, 1, 3), nn.Flatten()), d)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objective": "hing"}, "unknown objective 'hing'; did you mean 'hinge'"),
        ({"update": "alternate"}, "unknown update rule 'alternate'; did you mean 'alternating'"),
        ({"optimizer": "adan"}, "unknown optimizer 'adan'; did you mean 'adam'"),
        ({"penalties": {"r3": 1.0}}, "unknown penalty 'r3'; did you mean"),
        ({"n_critic": 0}, "n_critic must be at least 1"),
        ({"n_critic": 2, "update": "simultaneous"}, r"and 1 where both move at once \(simultaneous, .*\); got 2"),
    ],
)
def test_games_that_cannot_be_played_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Game(nn.Linear(3, 2), nn.Linear(2, 1), **settings)


# --- parts and features ------------------------------------------------------------------------------------------------


def test_a_part_is_called_with_its_own_parameters_and_mapped_like_the_whole() -> None:
    net = Net(lambda: layers.Bidirectional(nets.mlp(3, 2, (4,), norm="spectral_power"), nets.mlp(2, 3, (5,))), "generator")
    net.to("cpu", F64)
    vectors, x = torch.stack([net.initial(seed).double() for seed in range(3)]), normal(3, 6, 2)
    mapped = vmap(grad(lambda v, points: net.apply(v, points, "encoder").square().mean()))(vectors, x)
    for m in range(3):
        module = net.to_module(vectors[m])
        module.encoder(x[m]).square().mean().backward()
        wanted = torch.cat([torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in module.parameters()])
        np.testing.assert_allclose(mapped[m].numpy(), wanted.numpy(), rtol=1e-10, atol=1e-12)
    deep = net.apply(vectors[0], x[0], "encoder.0")
    assert torch.equal(deep, net.to_module(vectors[0]).encoder[0](x[0]))


def test_a_part_that_is_not_there_is_refused() -> None:
    net = Net(lambda: layers.Bidirectional(nn.Linear(3, 2), nn.Linear(2, 3)), "generator")
    with pytest.raises(InputError) as caught:
        net.apply(net.initial(0), torch.zeros(1, 2), "encode")
    assert str(caught.value) == "unknown part of the generator 'encode'; did you mean 'encoder'? Known: encoder, generator"


def test_a_part_that_shares_parameters_with_another_is_refused() -> None:
    """The second layer's matrix is the first's, and would be missed."""
    net = Net(Tied, "generator")
    x = torch.zeros(1, 3)
    assert net.apply(net.initial(0), x, "first").shape == (1, 3)
    with pytest.raises(InputError, match=r"parameter 'second.weight' of the generator is held in common with another part"):
        net.apply(net.initial(0), x, "second")


LAST = {
    "plain": (lambda: nets.mlp(3, 1, (5, 4)), (3,), 4),
    "with an activation after it": (lambda: nets.mlp(3, 2, (5,), output="tanh"), (3,), 5),
    "linear alone": (lambda: nn.Sequential(nn.Linear(3, 1)), (3,), 3),
    "image": (lambda: nets.dcgan_discriminator((1, 8, 8), 1, (3, 2)), (1, 8, 8), 8),
    "with spectral norm": (lambda: nets.mlp(3, 1, (5,), norm="spectral_power"), (3,), 5),
    "sequence in a sequence": (lambda: nn.Sequential(nets.mlp(3, 6, (5, 4)), layers.OneAgainstGenerators()), (3,), 4),
    "behind a minibatch layer": (lambda: nets.mlp(3, 1, (5,), minibatch="std"), (3,), 6),
}


@pytest.mark.parametrize("name", LAST)
def test_features_are_what_the_last_layer_with_parameters_reads(name: str) -> None:
    make, shape, width = LAST[name]
    net = Net(make, "discriminator").to("cpu", F64)
    vectors, x = torch.stack([net.initial(seed).double() for seed in range(2)]), normal(2, 6, *shape)
    mapped = vmap(net.features)(vectors, x)
    for m in range(2):
        module, seen = net.to_module(vectors[m]), []
        last = [layer for layer in module.modules() if isinstance(layer, nn.Linear)][-1]
        last.register_forward_pre_hook(lambda layer, args, seen=seen: seen.append(args[0]))
        module(x[m])
        assert seen[0].shape == (6, width)
        np.testing.assert_allclose(mapped[m].numpy(), seen[0].detach().numpy(), rtol=1e-12, atol=1e-14)


def test_features_of_a_net_whose_layers_have_no_order_are_refused() -> None:
    net = Net(Tied, "discriminator")
    with pytest.raises(InputError) as caught:
        net.features(net.initial(0), torch.zeros(1, 3))
    assert str(caught.value) == (
        "the discriminator is a Tied, whose layers have no known order, so what its last layer reads is not known; features "
        "need an nn.Sequential"
    )


# --- registered nets ---------------------------------------------------------------------------------------------------


def test_a_plain_mlp_is_linear_layers_and_activations_drawn_in_that_order() -> None:
    torch.manual_seed(3)
    made = nets.mlp(3, 2, (5, 4), "tanh")
    torch.manual_seed(3)
    by_hand = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 2))
    assert str(made) == str(by_hand)
    assert all(torch.equal(a, b) for a, b in zip(made.parameters(), by_hand.parameters(), strict=True))


def kinds(net: nn.Module) -> list[str]:
    return [type(layer).__name__.removeprefix("Parametrized") for layer in net]


def test_an_mlp_has_its_layers_in_their_order() -> None:
    made = nets.mlp(3, 2, (5, 4), norm=[None, "batch"], minibatch="std", scale=0.25, output="tanh")
    assert kinds(made) == [
        "Scale", "Linear", "ReLU", "Linear", "BatchNorm1d", "ReLU", "MinibatchStd", "Linear", "Tanh",
    ]  # fmt: skip
    assert made[0].factor == 0.25
    assert made[7].in_features == 5


def test_there_is_no_bias_before_batch_norm_unless_asked_for() -> None:
    without, kept = (nets.mlp(3, 2, (5,), norm="batch", bias_before_norm=keep) for keep in (False, True))
    assert [without[0].bias is None, kept[0].bias is None] == [True, False]
    assert [net[-1].bias is None for net in (without, kept)] == [False, False]


@pytest.mark.parametrize("norm", ["spectral", "spectral_power"])
def test_a_spectral_norm_given_for_all_holds_the_last_layer_too(norm: str) -> None:
    for net in (nets.mlp(3, 1, (5, 4), norm=norm), nets.dcgan_discriminator((1, 8, 8), 1, (3, 2), norm=norm)):
        weighted = [layer for layer in net if hasattr(layer, "weight")]
        assert len(weighted) == 3
        assert all(nn.utils.parametrize.is_parametrized(layer, "weight") for layer in weighted)
    assert not nn.utils.parametrize.is_parametrized(nets.mlp(3, 1, (5, 4), norm=[norm, norm])[-1])


def test_norms_must_be_as_many_as_hidden_layers() -> None:
    with pytest.raises(InputError, match=r"norm must be one name, or one for each of the 2 hidden layers; got \['batch'\]"):
        nets.mlp(3, 1, (5, 4), norm=["batch"])


@pytest.mark.parametrize("name", ["mlp", "maxout"])
def test_nets_read_and_write_images_as_lists_of_pixels(name: str) -> None:
    net = NETS[name]((1, 4, 4), (2, 3, 3), hidden=(5,))
    x = normal(6, 1, 4, 4).float()
    assert net(x).shape == (6, 2, 3, 3)
    inner = nn.Sequential(*list(net)[1:-1])
    assert torch.equal(net(x).flatten(1), inner(x.flatten(1)))


@pytest.mark.parametrize(("size", "wide"), [(28, (128, 64)), (32, (128, 64)), (32, (256, 128, 64))], ids=str)
def test_dcgan_makes_and_judges_images_of_28_and_32_pixels(size: int, wide: tuple[int, ...]) -> None:
    """Parameters counted by hand: 16 weights a pair of channels, 2 numbers a batch norm, biases only where no norm follows."""
    generator = nets.dcgan_generator(100, (3, size, size), wide)
    discriminator = nets.dcgan_discriminator((3, size, size), 1, wide[::-1])
    images = generator(normal(2, 100).float())
    assert images.shape == (2, 3, size, size)
    assert images.abs().max() <= 1
    assert discriminator(images).shape == (2, 1)
    inner = sum(16 * a * b for a, b in itertools.pairwise(wide))
    flat, ends = wide[0] * (size // 2 ** len(wide)) ** 2, 16 * wide[-1] * 3
    assert sum(p.numel() for p in generator.parameters()) == 100 * flat + inner + ends + 3 + 2 * sum(wide)
    assert sum(p.numel() for p in discriminator.parameters()) == ends + wide[-1] + inner + 2 * sum(wide[:-1]) + flat + 1


def test_dcgan_starts_as_radford_says() -> None:
    """Normal weights of standard deviation 0.02, zero biases, no batch norm at the generator's end or the other's start."""
    for net in (nets.dcgan_generator(20, (1, 28, 28)), nets.dcgan_discriminator((1, 28, 28))):
        for name, p in net.named_parameters():
            if p.ndim > 1:
                assert float(p.detach().std()) == pytest.approx(0.02, rel=0.1)
            else:
                assert set(p.tolist()) == ({1.0} if name.endswith("weight") else {0.0})
    assert kinds(nets.dcgan_generator(20, (1, 28, 28)))[-2:] == ["ConvTranspose2d", "Tanh"]
    assert kinds(nets.dcgan_discriminator((1, 28, 28)))[:3] == ["Conv2d", "LeakyReLU", "Conv2d"]


@pytest.mark.parametrize(
    ("build", "channels", "image"),
    [(nets.dcgan_generator, (8, 4, 2), (1, 28, 28)), (nets.dcgan_generator, (4, 2), (2,)), (nets.dcgan_generator, (4,), 2)],
)
def test_images_that_cannot_be_doubled_into_are_refused(build: Callable, channels: tuple[int, ...], image: object) -> None:
    with pytest.raises(InputError) as caught:
        build(5, image, channels)
    assert str(caught.value) == (
        f"a DCGAN with channels {channels} needs images (channels, height, width) with height and width divisible by "
        f"{2 ** len(channels)}; got {image!r}; change channels, or take the net 'mlp'"
    )


def dense(*sizes: int) -> int:
    """Parameters of linear layers with biases."""
    return sum(a * b + b for a, b in itertools.pairwise(sizes))


SMALL_NORMAL = {"law": "normal", "std": 0.02}
ORTHOGONAL = {"law": "orthogonal", "gain": 0.8}
WIDER = {"law": "orthogonal", "gain": 1.4}
UNROLLED = {"net": "mlp", "hidden": [128, 128], "activation": "tanh", "initial": WIDER}
NAGARAJAN = (
    {"net": "mlp", "hidden": [128, 128], "activation": "relu", "initial": ORTHOGONAL},
    {"net": "mlp", "hidden": [128], "activation": "relu", "initial": ORTHOGONAL, "scale": 0.25},
)

RECIPE_NETS: dict[str, tuple[int, tuple[int, ...], dict[str, Any], dict[str, Any], tuple[int, int]]] = {
    "A pacgan": (
        2, (2,),
        {"net": "mlp", "hidden": [400] * 4, "activation": "relu", "norm": "batch", "initial": SMALL_NORMAL},
        {"net": "maxout", "hidden": [200, 200, 200], "pieces": 5, "initial": SMALL_NORMAL},
        (484_802, 405_201),
    ),
    "B unrolled": (256, (2,), *NAGARAJAN, (dense(256, 128, 128, 2), dense(2, 128, 1))),
    "C unrolled notebook": (256, (2,), UNROLLED, UNROLLED, (dense(256, 128, 128, 2), dense(2, 128, 128, 1))),
    "D wgan-gp toy": (
        2, (2,),
        {"net": "mlp", "hidden": [512] * 3, "activation": "relu", "initial": {"law": "he"}},
        {"net": "mlp", "hidden": [512] * 3, "activation": "relu", "initial": {"law": "he"}},
        (dense(2, 512, 512, 512, 2), dense(2, 512, 512, 512, 1)),
    ),
    "E gdpp": (256, (2,), UNROLLED, UNROLLED, (dense(256, 128, 128, 2), dense(2, 128, 128, 1))),
    "F sga": (
        64, (2,),
        {"net": "mlp", "hidden": [384] * 6, "activation": "relu"},
        {"net": "mlp", "hidden": [384] * 6, "activation": "relu"},
        (dense(64, *[384] * 6, 2), dense(2, *[384] * 6, 1)),
    ),
    "G consensus": (
        16, (2,),
        {"net": "mlp", "hidden": [16] * 4, "activation": "relu"},
        {"net": "mlp", "hidden": [16] * 4, "activation": "relu"},
        (dense(16, *[16] * 4, 2), dense(2, *[16] * 4, 1)),
    ),
    "H nagarajan and kolter": (256, (2,), *NAGARAJAN, (dense(256, 128, 128, 2), dense(2, 128, 1))),
    "I tutorial": (
        2, (2,),
        {"net": "mlp", "hidden": [16, 16], "activation": "tanh"},
        {"net": "mlp", "hidden": [16, 16], "activation": "leaky_relu"},
        (354, 337),
    ),
    "J0 dragan": (
        100, (1, 28, 28),
        {"net": "mlp", "hidden": [128], "activation": "relu", "initial": {"law": "he"}, "output": "sigmoid"},
        {"net": "mlp", "hidden": [128], "activation": "relu", "initial": {"law": "he"}},
        (dense(100, 128, 784), dense(784, 128, 1)),
    ),
    "J1 course vectors": (
        50, (10,),
        {"net": "mlp", "hidden": [150, 150], "activation": "selu", "output": "selu"},
        {"net": "mlp", "hidden": [75, 75], "activation": "elu"},
        (dense(50, 150, 150, 10), dense(10, 75, 75, 1)),
    ),
    "J2 course line": (
        30, (2,),
        {"net": "mlp", "hidden": [75, 75], "activation": "selu", "output": "selu"},
        {"net": "mlp", "hidden": [75, 75], "activation": "elu"},
        (dense(30, 75, 75, 2), dense(2, 75, 75, 1)),
    ),
    "J3 course mnist": (
        100, (1, 28, 28),
        {
            "net": "mlp", "hidden": [128, 256, 512, 1024], "activation": "leaky_relu",
            "norm": [None, "batch", "batch", "batch"], "bias_before_norm": True, "output": "tanh",
        },
        {"net": "mlp", "hidden": [512, 256], "activation": "leaky_relu"},
        (1_510_032, 533_505),
    ),
    "K dive into deep learning": (
        64, (2,),
        {"net": "mlp", "hidden": [256, 256], "activation": "relu"},
        {"net": "mlp", "hidden": [256, 256], "activation": "leaky_relu"},
        (dense(64, 256, 256, 2), dense(2, 256, 256, 1)),
    ),
    "lipizzaner mnist": (
        64, (1, 28, 28),
        {"net": "mlp", "hidden": [256, 256], "activation": "leaky_relu", "output": "tanh"},
        {"net": "mlp", "hidden": [256, 256], "activation": "leaky_relu"},
        (283_920, 267_009),
    ),
}  # fmt: skip
"""Published set-ups: latent size, shape of a sample, settings of both nets, and their parameters as published or by hand.

The law called "Xavier" in the code of J0 is that of He et al.: variance 2 / inputs. Sigmoids at the end of discriminators
are left out, since objectives take logits.
"""


def built(settings: dict[str, Any], n_in: object, n_out: object, role: str) -> Net:
    name, *rest = settings.items()
    return Net(lambda: NETS[name[1]](n_in, n_out, **dict(rest)), role)


@pytest.mark.parametrize("name", RECIPE_NETS)
def test_published_set_ups_are_settings_that_json_holds_and_have_the_published_size(name: str) -> None:
    latent, shape, *both, counts = RECIPE_NETS[name]
    assert json.loads(json.dumps(both)) == both
    generator, discriminator = built(both[0], latent, shape, "generator"), built(both[1], shape, 1, "discriminator")
    assert (generator.n_parameters, discriminator.n_parameters) == counts
    fake = generator.apply(generator.initial(0), torch.zeros(2, latent))
    assert fake.shape == (2, *shape)
    assert discriminator.apply(discriminator.initial(0), fake).shape == (2, 1)


COURSE: dict[str, tuple[str, dict[str, Any], dict[str, float]]] = {
    "J1 course vectors": (
        "recipe:course_vectors",
        {"steps": 600 * 20, "batch": 30, "latent_law": "unit", "optimizer": "sgd"},
        {"lr": 8e-4, "lr_discriminator": 1e-3, "momentum": 0.9},
    ),
    "J2 course line": (
        "recipe:course_line",
        {"steps": 100 * 40, "batch": 30, "latent_law": "unit", "optimizer": "sgd"},
        {"lr": 1e-3, "lr_discriminator": 1e-3, "momentum": 0.9},
    ),
    "J3 course mnist": (
        "recipe:course_mnist",
        {"steps": 937 * 50, "batch": 64, "optimizer": "adam"},
        {"lr": 2e-4, "lr_discriminator": 2e-4, "beta1": 0.5, "beta2": 0.999},
    ),
}  # fmt: skip
"""The course's recipes: settings, batches an epoch by epochs among them, and numbers."""


@pytest.mark.parametrize("name", COURSE)
def test_the_courses_recipes_have_its_nets_latents_and_rates(name: str) -> None:
    recipe, settings, numbers = COURSE[name]
    latent, _, generator, discriminator, _ = RECIPE_NETS[name]
    planned = plan(recipe, "digits", seeds=1)
    assert (planned.settings["generator"], planned.settings["discriminator"]) == (generator, discriminator)
    assert planned.settings["latent"] == latent
    assert {**planned.settings, "steps": planned.steps}.items() >= settings.items()
    assert {key: planned.numbers[key] for key in numbers} == {key: (value,) for key, value in numbers.items()}
    assert planned.settings["objective"] == "non_saturating"
    assert planned.settings["n_critic"] == 1


def test_the_courses_data_are_its_vectors_and_the_same_thirty_points() -> None:
    vectors = data.get(plan("recipe:course_vectors", seeds=1).data)
    assert vectors.shape == (10,)
    assert (vectors.modes == 4).all()
    assert torch.allclose(vectors.std, torch.tensor(0.2, dtype=F64))
    line = data.get(plan("recipe:course_line", seeds=1).data)
    points = line.sample(30, torch.Generator().manual_seed(0))
    torch.testing.assert_close(points, torch.linspace(2.5, 7.5, 30).to(points)[:, None].expand(30, 2))


def test_a_packed_discriminator_reads_samples_side_by_side() -> None:
    """Two samples of set-up A: 2000 weights more in the first layer."""
    two = Net(lambda: nets.maxout(4, 1, initial=SMALL_NORMAL), "discriminator")
    assert two.n_parameters == 405_201 + 2 * 200 * 5
