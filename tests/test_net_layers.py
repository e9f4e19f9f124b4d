"""Layers of GANs against closed forms and numpy, and the laws of initial weights."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import grad, vmap

from ganlab import layers, nets
from ganlab.layers import spectral_norm
from ganlab.net import Net
from ganlab.registry import InputError

F64 = torch.float64


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def matrix_with(singular_values: list[float], columns: int, seed: int = 0) -> np.ndarray:
    """A matrix with these singular values and random directions."""
    draw = np.random.default_rng(seed)
    left, _ = np.linalg.qr(draw.normal(size=(len(singular_values),) * 2))
    right, _ = np.linalg.qr(draw.normal(size=(columns, len(singular_values))))
    return left @ np.diag(singular_values) @ right.T


def linear_with(matrix: np.ndarray) -> nn.Linear:
    layer = nn.Linear(matrix.shape[1], matrix.shape[0], dtype=F64)
    layer.weight.data = torch.from_numpy(matrix.copy())
    return layer


# --- spectral norm -----------------------------------------------------------------------------------------------------

KINDS = {
    "linear": (lambda: nn.Linear(5, 3), lambda w: w),
    "convolution": (lambda: nn.Conv2d(2, 4, 3), lambda w: w.reshape(4, -1)),
    "transposed": (lambda: nn.ConvTranspose2d(2, 4, 3), lambda w: w.swapaxes(0, 1).reshape(4, -1)),
}
"""A layer of each kind, and its weight as numpy's `[channels out, all else]`."""


@pytest.mark.parametrize("iterations", [None, 400])
@pytest.mark.parametrize("kind", KINDS)
def test_spectral_norm_divides_by_the_largest_singular_value(kind: str, iterations: int | None) -> None:
    make, flat = KINDS[kind]
    torch.manual_seed(0)
    layer = make().double()
    plain = flat(layer.weight.detach().numpy().copy())
    normed = flat(spectral_norm(layer, iterations).weight.detach().numpy())
    np.testing.assert_allclose(normed, plain / np.linalg.svd(plain, compute_uv=False)[0], rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_power_iteration_run_to_its_end_has_the_gradient_of_the_exact_norm(kind: str) -> None:
    make, _ = KINDS[kind]
    found = []
    for iterations in (None, 400):
        torch.manual_seed(0)
        layer = make().double()
        spectral_norm(layer, iterations)
        (layer.weight * normal(*layer.weight.shape, seed=1)).sum().backward()
        found.append(layer.parametrizations.weight.original.grad.numpy())
    np.testing.assert_allclose(found[1], found[0], rtol=1e-7, atol=1e-10)


def iterate(matrix: np.ndarray, start: np.ndarray, iterations: int) -> tuple[np.ndarray, np.ndarray]:
    """Return u and v after so many iterations, by numpy."""
    v = start
    for _ in range(iterations):
        v = matrix.T @ matrix @ v
        v = v / np.linalg.norm(v)
    u = matrix @ v
    return u / np.linalg.norm(u), v


@pytest.mark.parametrize("iterations", [1, 8])
def test_power_iteration_has_the_gradient_of_miyato_with_both_vectors_held_constant(iterations: int) -> None:
    """d <A, W / s> = A / s - <A, W> / s^2 u v^T, also long before u and v are singular vectors."""
    matrix, a = matrix_with([3, 2.5, 1], 4), normal(3, 4, seed=1)
    layer = linear_with(matrix)
    spectral_norm(layer, iterations)
    start = layer.parametrizations.weight[0].start.numpy()
    (layer.weight * a).sum().backward()
    u, v = iterate(matrix, start, iterations)
    s = u @ matrix @ v
    np.testing.assert_allclose(layer.weight.detach().numpy(), matrix / s, rtol=1e-12)
    wanted = a.numpy() / s - (a.numpy() * matrix).sum() / s**2 * np.outer(u, v)
    np.testing.assert_allclose(layer.parametrizations.weight.original.grad.numpy(), wanted, rtol=1e-10, atol=1e-13)


def estimate(matrix: np.ndarray, iterations: int) -> tuple[float, np.ndarray]:
    """Return the estimated norm, and the start."""
    layer = linear_with(matrix)
    spectral_norm(layer, iterations)
    return float((matrix / layer.weight.detach().numpy()).mean()), layer.parametrizations.weight[0].start.numpy()


@pytest.mark.parametrize("second", [0.3, 0.9, 0.999, 1.0])
def test_power_iteration_errs_within_its_bound_and_never_above(second: float) -> None:
    for iterations in (1, 2, 4, 8, 16):
        for seed in range(10):
            matrix = matrix_with([1, second, 0.8 * second, 0.1], 6, seed)
            s, start = estimate(matrix, iterations)
            _, _, directions = np.linalg.svd(matrix)
            along = (directions[:2] if second == 1 else directions[:1]) @ start
            tangent = (start @ start - along @ along) / (along @ along)
            gap = 0.8 if second == 1 else second
            bound = tangent * min(gap ** (4 * iterations), 1 / (2 * math.e * iterations))
            assert -1e-12 <= 1 - s**2 <= bound + 1e-12, (iterations, seed)


def test_power_iteration_errs_less_by_the_fourth_power_of_the_gap_with_each_iteration() -> None:
    matrix = matrix_with([2, 1.6, 0.01], 5)
    errors = [2 - estimate(matrix, k)[0] for k in (15, 16, 17)]
    assert errors[1] / errors[0] == pytest.approx(0.8**4, rel=1e-3)
    assert errors[2] / errors[1] == pytest.approx(0.8**4, rel=1e-3)


def test_power_iteration_keeps_nothing_and_starts_all_seeds_alike() -> None:
    net = Net(lambda: spectral_norm(nn.Linear(5, 4), 2), "generator")
    before = {key: value.clone() for key, value in net.module.state_dict().items()}
    vector, x = net.initial(0), normal(3, 5).float()
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    assert torch.equal(net.apply(vector, x), net.apply(vector, x))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(value, before[key]) for key, value in net.module.state_dict().items())
    assert net.n_parameters == 24
    assert (net.initial(1) != vector).all()


def test_power_iteration_needs_an_iteration() -> None:
    with pytest.raises(InputError, match="power iteration needs at least 1 iteration, None is exact; got 0"):
        spectral_norm(nn.Linear(2, 2), 0)


@pytest.mark.slow
@pytest.mark.parametrize("iterations", [None, 3])
def test_spectral_norm_maps_over_members_inside_a_compiled_graph(iterations: int | None) -> None:
    net = Net(lambda: spectral_norm(nn.Linear(4, 2), iterations), "discriminator").to("cpu", F64)
    vectors, x = torch.stack([net.initial(seed).double() for seed in range(3)]), normal(3, 5, 4)
    slope = vmap(grad(lambda v, points: net.apply(v, points).square().mean()))
    torch._dynamo.reset()
    compiled = torch.compile(slope, fullgraph=True, backend="aot_eager")
    np.testing.assert_allclose(compiled(vectors, x).numpy(), slope(vectors, x).numpy(), rtol=1e-12)


# --- layers ------------------------------------------------------------------------------------------------------------


def test_scale_multiplies() -> None:
    assert layers.Scale(0.25)(torch.tensor([[4.0, -2.0]])).tolist() == [[1.0, -0.5]]


def test_maxout_of_x_and_minus_x_is_its_size() -> None:
    layer = layers.Maxout(1, 2, 2)
    with torch.no_grad():
        layer.linear.weight.copy_(torch.tensor([[1.0], [-1.0], [2.0], [0.0]]))
        layer.linear.bias.copy_(torch.tensor([0.0, 0.0, 0.0, 1.0]))
    assert layer(torch.tensor([[-3.0], [0.25], [2.0]])).tolist() == [[3.0, 1.0], [0.25, 1.0], [2.0, 4.0]]


def test_maxout_agrees_with_numpy() -> None:
    layer, x = layers.Maxout(3, 4, 5).double(), normal(6, 3)
    w, b = layer.linear.weight.detach().numpy().reshape(4, 5, 3), layer.linear.bias.detach().numpy().reshape(4, 5)
    wanted = (np.einsum("jkd,nd->njk", w, x.numpy()) + b).max(-1)
    np.testing.assert_allclose(layer(x).detach().numpy(), wanted, rtol=1e-12)


# --- the whole batch ---------------------------------------------------------------------------------------------------


def test_layers_that_look_at_the_batch_say_so() -> None:
    for make in layers.BATCH_LAYERS.values():
        layer = make(3)
        assert layer.batch_dependent
        assert layer(normal(4, 3).float()).shape == (4, 3 + layer.n_added)


@pytest.mark.parametrize("shape", [(3,), (3, 2, 5)], ids=str)
def test_minibatch_std_appends_the_mean_standard_deviation(shape: tuple[int, ...]) -> None:
    """To 1e-7: the 1e-8 under the root."""
    x = 2 + normal(6, *shape)
    got = layers.MinibatchStd()(x)
    assert got.shape == (6, 4, *shape[1:])
    assert torch.equal(got[:, :3], x)
    np.testing.assert_allclose(got[:, 3].numpy(), x.numpy().std(axis=0).mean(), rtol=1e-7)


def test_minibatch_std_of_plus_and_minus_one_is_one() -> None:
    assert layers.MinibatchStd()(torch.tensor([[1.0], [-1.0]])).tolist() == [[1.0, 1.0], [-1.0, 1.0]]


def test_minibatch_std_of_equal_samples_has_gradient_zero() -> None:
    x = torch.ones(4, 3, dtype=F64, requires_grad=True)
    std = layers.MinibatchStd()(x)[:, 3]
    assert std.tolist() == pytest.approx([1e-4] * 4)
    (slope,) = torch.autograd.grad(std.sum(), x, create_graph=True)
    assert torch.equal(slope, torch.zeros_like(x))
    (bend,) = torch.autograd.grad(slope.sum(), x)
    assert torch.isfinite(bend).all()


def test_minibatch_discrimination_of_a_hand_worked_pair() -> None:
    """Samples (0, 0) and (1, 2), read by the identity: L1 distance 3."""
    layer = layers.MinibatchDiscrimination(2, n_kernels=1, kernel_size=2)
    layer.kernels.weight.data = torch.eye(2)
    got = layer(torch.tensor([[0.0, 0.0], [1.0, 2.0]]))
    near = pytest.approx(1 + math.exp(-3))
    assert got.tolist() == [[0, 0, near], [1, 2, near]]


def test_minibatch_discrimination_counts_equal_samples_and_only_them() -> None:
    layer = layers.MinibatchDiscrimination(3, n_kernels=2, kernel_size=4).double()
    x = torch.cat([normal(1, 3).expand(4, 3), 1e4 * normal(1, 3, seed=1)]).requires_grad_()
    got = layer(x)
    np.testing.assert_allclose(got[:, 3:].detach().numpy(), [[4, 4]] * 4 + [[1, 1]])
    (slope,) = torch.autograd.grad(got.sum(), x)
    assert torch.isfinite(slope).all()


def test_minibatch_discrimination_agrees_with_loops() -> None:
    layer, x = layers.MinibatchDiscrimination(3, n_kernels=2, kernel_size=4).double(), normal(5, 3)
    tensor = layer.kernels.weight.detach().numpy().reshape(2, 4, 3)
    m = np.einsum("bcd,nd->nbc", tensor, x.numpy())
    wanted = [[sum(math.exp(-np.abs(m[i, b] - m[j, b]).sum()) for j in range(5)) for b in range(2)] for i in range(5)]
    np.testing.assert_allclose(layer(x)[:, 3:].detach().numpy(), wanted, rtol=1e-12)


# --- heads -------------------------------------------------------------------------------------------------------------


def test_projection_adds_the_label_read_off_the_features() -> None:
    phi = nn.Sequential(nn.Linear(2, 5), nn.Tanh()).double()
    head, x, label = layers.Projection(phi, 5, 3).double(), normal(6, 2), torch.tensor([0, 1, 2, 2, 1, 0])
    got = head(torch.cat([x, nn.functional.one_hot(label, 3).double()], 1))
    at, v = phi(x).detach().numpy(), head.embedding.weight.detach().numpy()
    plain = at @ head.logit.weight.detach().numpy()[0] + head.logit.bias.item()
    wanted = [plain[i] + v[:, y] @ at[i] for i, y in enumerate(label.tolist())]
    assert got.shape == (6, 1)
    np.testing.assert_allclose(got[:, 0].detach().numpy(), wanted, rtol=1e-12)


def test_one_against_generators_gives_the_log_odds_of_real() -> None:
    scores = 3 * normal(7, 5)
    got = layers.OneAgainstGenerators()(scores)
    share = np.exp(scores.numpy()) / np.exp(scores.numpy()).sum(1, keepdims=True)
    np.testing.assert_allclose(got[:, 0].numpy(), np.log(share[:, 0] / (1 - share[:, 0])), rtol=1e-10)
    assert torch.equal(got[:, 1:], scores[:, 1:])


def test_one_against_one_generator_is_the_difference_of_scores() -> None:
    assert layers.OneAgainstGenerators()(torch.tensor([[500.0, -300.0]])).tolist() == [[800.0, -300.0]]


# --- generators --------------------------------------------------------------------------------------------------------


def several(shape: tuple[int, ...]) -> layers.Several:
    made = iter(range(3))

    def make() -> nn.Module:
        layer = nn.Linear(2, math.prod(shape), dtype=F64)
        nn.init.constant_(layer.bias, 100.0 * next(made))
        return nn.Sequential(layer, nn.Unflatten(1, shape))

    return layers.Several(3, make)


@pytest.mark.parametrize("shape", [(4,), (1, 2, 3)], ids=str)
def test_each_sample_is_made_by_the_generator_its_input_names(shape: tuple[int, ...]) -> None:
    net, z, which = several(shape), normal(6, 2), [2, 0, 1, 1, 2, 0]
    x = torch.cat([z, torch.eye(3, dtype=F64)[which]], 1)
    got = net(x)
    assert got.shape == (6, *shape)
    for i, k in enumerate(which):
        np.testing.assert_array_equal(got[i].detach().numpy(), net.generators[k](z[i : i + 1])[0].detach().numpy())


def test_generators_side_by_side_differ_and_learn_from_their_own_samples_alone() -> None:
    net = layers.Several(3, lambda: nets.mlp(2, 2, (4,)))
    assert not torch.equal(net.generators[0][0].weight, net.generators[1][0].weight)
    nn.init.constant_(net.generators[2][0].weight, math.nan)
    x = torch.cat([normal(4, 2).float(), torch.tensor([[1.0, 0, 0]] * 4)], 1)
    net(x).square().sum().backward()
    assert [bool(g[0].weight.grad.abs().max() > 0) for g in net.generators[:2]] == [True, False]


def test_a_bidirectional_net_generates_and_its_encoder_is_a_part() -> None:
    net = Net(lambda: layers.Bidirectional(nets.mlp(3, 2, (4,)), nets.mlp(2, 3, (5,))), "generator")
    vector = net.initial(0)
    module, z, x = net.to_module(vector), normal(6, 3).float(), normal(6, 2).float()
    assert torch.equal(net.apply(vector, z), module.generator(z))
    assert torch.equal(net.apply(vector, x, "encoder"), module.encoder(x))
    assert torch.equal(net.apply(vector, z, part="generator"), module.generator(z))


# --- initial weights ---------------------------------------------------------------------------------------------------

LAWS: dict[str, tuple[dict[str, object], float, float]] = {
    "normal": ({"law": "normal"}, 0.02, 3.0),
    "normal of another width": ({"law": "normal", "std": 0.5}, 0.5, 3.0),
    "he": ({"law": "he"}, math.sqrt(2 / 300), 3.0),
    "xavier": ({"law": "xavier"}, math.sqrt(2 / 500), 1.8),
    "xavier with gain": ({"law": "xavier", "gain": 2.0}, 2 * math.sqrt(2 / 500), 1.8),
}
"""Standard deviation for 300 inputs and 200 outputs, and kurtosis: 3 for the normal, 1.8 for the uniform law."""


@pytest.mark.parametrize("name", LAWS)
def test_initial_weights_have_the_spread_and_shape_of_their_law(name: str) -> None:
    """60 000 numbers: standard errors 0.3 % of the spread and 0.02 of the kurtosis."""
    law, std, kurtosis = LAWS[name]
    torch.manual_seed(0)
    layer = layers.initialise(nn.Linear(300, 200), law)
    w = layer.weight.detach().double().numpy().flatten()
    assert w.std() == pytest.approx(std, rel=0.015)
    assert (w**4).mean() / w.std() ** 4 == pytest.approx(kurtosis, abs=0.1)
    assert not layer.bias.any()


@pytest.mark.parametrize("layer", [nn.Linear(30, 20), nn.Conv2d(3, 8, 3)], ids=lambda x: type(x).__name__)
def test_orthogonal_weights_have_singular_values_equal_to_the_gain(layer: nn.Module) -> None:
    layers.initialise(layer, {"law": "orthogonal", "gain": 0.8})
    values = np.linalg.svd(layer.weight.detach().flatten(1).numpy(), compute_uv=False)
    np.testing.assert_allclose(values, 0.8, rtol=1e-5)


def test_a_law_reaches_all_layers_inside_and_none_leaves_them_alone() -> None:
    net = nets.mlp(3, 2, (4,))
    before = [p.detach().clone() for p in net.parameters()]
    layers.initialise(net, None)
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    layers.initialise(nn.Sequential(net), {"law": "normal", "std": 0.0})
    assert not any(p.any() for p in net.parameters())


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "a law": (
        lambda: layers.initialise(nn.Linear(2, 2), {"law": "orthogonale"}),
        "unknown law of initial weights 'orthogonale'; did you mean 'orthogonal'? Known: he, normal, orthogonal, xavier",
    ),
    "no name": (
        lambda: layers.initialise(nn.Linear(2, 2), {"std": 0.1}),
        "the law of initial weights needs a name, as in {'law': 'normal', 'std': 0.02}; got {'std': 0.1}",
    ),
    "a setting": (
        lambda: layers.initialise(nn.Linear(2, 2), {"law": "normal", "gain": 1.0}),
        "unknown setting of the law 'normal' 'gain'. Known: std",
    ),
    "a norm": (
        lambda: layers.normed(nn.Linear(2, 2), "spectrum"),
        "unknown norm 'spectrum'; did you mean 'spectral'? Known: batch, spectral, spectral_power",
    ),
    "an activation": (lambda: nets.mlp(2, 2, activation="rely"), "unknown activation 'rely'; did you mean 'relu'?"),
    "a minibatch layer": (lambda: nets.mlp(2, 2, minibatch="sdt"), "unknown minibatch layer 'sdt'; did you mean 'std'?"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_known_is_refused_with_the_nearest_match(name: str) -> None:
    make, message = REFUSED[name]
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value).startswith(message)
