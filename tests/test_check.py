"""The linter of training loops: planted mistakes are found, sound loops left alone, and watching changes nothing."""

from __future__ import annotations

import copy
import io
import pickle
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import Tensor, nn
from torch.optim import optimizer as optimizers
from torch.utils.data import DataLoader, IterableDataset

import ganlab
from ganlab.loop import Check, batches, rules, updates
from ganlab.registry import Entry, InputError
from tests.broken_loops import PLANTED
from tests.loops import BATCH, LATENT, adam, alternate, bce, conv_pair, d_loss, dcgan_steps, pair, real, z
from tests.sound_loops import SOUND

SEEDS = (0, 1, 2)
BACKWARD = torch.autograd.backward


def codes(seen: Check) -> set[str]:
    return {finding.code for finding in seen.findings}


@pytest.fixture(autouse=True)
def _nothing_stays() -> Any:
    """After each test here, PyTorch is as it was before."""
    yield
    assert torch.autograd.backward is BACKWARD
    assert not optimizers._global_optimizer_pre_hooks
    assert not optimizers._global_optimizer_post_hooks


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_mistake_is_found_and_nothing_else(name: str, seed: int) -> None:
    loop, expected = PLANTED[name]
    seen = loop(seed)
    assert codes(seen) == expected, str(seen)
    assert not seen.faults


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", SOUND)
def test_nothing_is_found_in_a_sound_loop(name: str, seed: int) -> None:
    seen = SOUND[name](seed)
    assert not seen.findings, str(seen)
    assert not seen.faults
    assert seen.n_steps > 0


class OwnDice(IterableDataset[Tensor]):
    """Draws by a generator of its own, which each worker gets a copy of."""

    def __init__(self, apart: bool) -> None:
        self.dice, self.apart = np.random.default_rng(0), apart

    def __iter__(self) -> Iterator[Tensor]:
        info = torch.utils.data.get_worker_info()
        if self.apart and info is not None:
            self.dice = np.random.default_rng([0, info.id])
        while True:
            yield torch.from_numpy(self.dice.standard_normal((BATCH, 2), dtype=np.float32))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # the loader's own
@pytest.mark.parametrize("apart", [False, True])
def test_workers_that_draw_alike_are_found_where_they_are_processes(apart: bool) -> None:
    batches: Iterator[Tensor] = iter(DataLoader(OwnDice(apart), batch_size=None, num_workers=2))
    assert codes(alternate(0, sample=lambda: next(batches))) == (set() if apart else {"L502"})


def test_there_are_enough_loops_and_each_rule_has_one_that_breaks_it() -> None:
    assert len(PLANTED) >= 25
    assert len(SOUND) >= 10
    assert set().union(*(expected for _, expected in PLANTED.values())) == set(rules.RULES)


# --- watching changes nothing ----------------------------------------------------------------------------------------------


def everything(nets: tuple[nn.Module, ...]) -> list[Tensor]:
    """Return parameters, buffers, gradients, modes, and the states of all random streams."""
    found = [torch.get_rng_state(), torch.tensor(np.random.get_state()[1].astype(np.int64))]  # noqa: NPY002
    found.append(torch.tensor(random.getstate()[1]))
    for net in nets:
        found += [t.detach().clone() for t in net.state_dict().values()]
        found += [p.grad.clone() for p in net.parameters() if p.grad is not None]
        found.append(torch.tensor([module.training for module in net.modules()]))
        found.append(torch.tensor([p.requires_grad for p in net.parameters()]))
    return found


def test_watching_leaves_training_bit_for_bit_as_it_was() -> None:
    """Convolutions, batch norm, spectral norm and dropout: all that keeps a state or draws numbers."""
    ends = []
    for watched in (False, True):
        nets = conv_pair(3)
        torch.manual_seed(4)
        seen = ganlab.check(*nets, data=torch.rand(32, 1, 8, 8))
        if watched:
            seen.start()
        dcgan_steps(*nets, 4)
        ends.append(everything(nets))
        seen.stop()
        ends[-1] += everything(nets)
        assert seen.n_steps == 4 * watched
    assert len(ends[0]) == len(ends[1])
    assert all(torch.equal(one, other) for one, other in zip(*ends, strict=True))


@pytest.mark.parametrize("name", ["wgan_gp_with_several_critic_updates", "closures", "scaler_that_skips_steps"])
def test_watching_leaves_harder_loops_bit_for_bit_as_they_were(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = []
    for watched in (True, False):
        if not watched:
            monkeypatch.setattr(Check, "start", lambda self: self)
        seen = SOUND[name](5)
        assert bool(seen.n_steps) == watched
        ends.append(everything(tuple(seen._watch.nets.values())))
    assert all(torch.equal(one, other) for one, other in zip(*ends, strict=True))


def hooks(net: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in net.modules())


def test_no_hook_stays_when_the_loop_raises_and_the_error_is_the_loops() -> None:
    g, d = pair(0)
    with pytest.raises(ZeroDivisionError), ganlab.check(g, d) as seen:  # noqa: PT012
        d_loss(d, real(), g(z())).backward()
        1 / 0  # noqa: B018
    assert hooks(g) == hooks(d) == 0
    assert torch.autograd.backward is BACKWARD
    assert len(seen._record.passes) == 1


def test_start_and_stop_may_be_called_again_and_in_any_order() -> None:
    g, d = pair(0)
    one, other = ganlab.check(g, d), ganlab.check(g, d)
    one.stop()
    for seen in (one, other, one):
        seen.start()
    opt_g = adam(g)
    bce(d(g(z())), 1).backward()
    opt_g.step()
    for seen in (other, one, one, other):
        seen.stop()
    assert hooks(g) == hooks(d) == 0
    assert other.n_steps == 1
    opt_g.step()
    assert other.n_steps == 1


def test_another_wrapper_around_backward_survives_ours() -> None:
    g, d = pair(0)
    seen = ganlab.check(g, d).start()
    ours, n = torch.autograd.backward, []

    def theirs(*args: Any, **kwargs: Any) -> None:
        n.append(1)
        ours(*args, **kwargs)

    try:
        torch.autograd.backward = theirs
        seen.stop()
        assert torch.autograd.backward is theirs
        with ganlab.check(g, d) as again:
            bce(d(g(z())), 1).backward()
        assert torch.autograd.backward is theirs
        assert len(again._record.passes) == len(n) == 1
    finally:
        torch.autograd.backward = BACKWARD


def test_copies_and_files_of_watched_nets_are_not_watched() -> None:
    g, d = pair(0)
    with ganlab.check(g, d) as seen:
        copied, read = copy.deepcopy(g), pickle.loads(pickle.dumps(g))  # noqa: S301
        copied(z())
        assert torch.equal(read(torch.ones(1, LATENT)), g(torch.ones(1, LATENT)))
    assert len(seen._record.forwards) == 1
    copied(z())


def test_it_looks_for_as_many_steps_as_asked() -> None:
    assert alternate(0, steps=8, n_steps=3).n_steps == 3
    assert alternate(0, steps=25).n_steps == 20
    assert alternate(0, steps=25, n_steps=None).n_steps == 25


def test_judging_takes_as_long_as_there_are_passes_and_not_their_square(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, true = [0], updates.pushes

    def counted(record: Any, number: int) -> Any:
        calls[0] += 1
        return true(record, number)

    g, d = pair(0)
    opt_d = adam(d)
    with ganlab.check(g, d) as seen:
        for _ in range(100):
            opt_d.zero_grad()
            d_loss(d, real(), g(z()).detach()).backward()
            opt_d.step()
    monkeypatch.setattr(updates, "pushes", counted)
    assert seen.findings == []
    assert 100 <= calls[0] <= 1000


# --- faults ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["values", "rows_in", "fingerprint"])
def test_a_fault_in_a_hook_is_noted_once_and_does_not_reach_the_loop(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("of our own")

    monkeypatch.setattr(batches, place, broken)
    seen = alternate(0)
    assert len(seen.faults) == 1
    assert "of our own" in seen.faults[0]
    assert not seen.findings
    assert "fault of the check itself" in str(seen)


def test_a_rule_that_raises_is_noted_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(record: Any) -> Any:
        raise RuntimeError("of our own")

    facts = dict.fromkeys(("title", "cause", "fix"), "")
    monkeypatch.setitem(rules.RULES._entries, "L000", Entry("L000", broken, "nobody", "Raises.", facts))
    seen = PLANTED["generator_never_cleared"][0](0)
    assert codes(seen) == {"L106"}
    assert seen.faults == ["L000: RuntimeError: of our own"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g, d: ganlab.check("net", d), "the generator must be the nn.Module that the loop calls; got 'net'"),
        (lambda g, d: ganlab.check(g, d.forward), "the discriminator must be the nn.Module"),
        (lambda g, d: ganlab.check(g, g), "one and the same module"),
        (lambda g, d: ganlab.check(g, d, objective="wasserstien"), "did you mean 'wasserstein'"),
        (lambda g, d: ganlab.check(g, d, n_steps=0), "n_steps must be a whole number of at least 1"),
        (lambda g, d: ganlab.check(g, d, data="ring8"), "data must be a tensor or array"),
        (lambda g, d: ganlab.check(g, d, data=torch.zeros(0, 2)), "data must have samples"),
        (lambda g, d: ganlab.check(g, d, data=(torch.zeros(4, 2), torch.zeros(3).long())), "the label of each of the 4"),
    ],
)
def test_bad_input_is_refused_at_once(call: Callable[..., Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        call(*pair(0))
    assert message in str(caught.value)


# --- what is said ----------------------------------------------------------------------------------------------------------


def test_a_finding_has_all_its_parts_and_numbers_to_check() -> None:
    seen = PLANTED["fakes_not_detached_and_gradients_cleared_at_the_start"][0](0)
    (found,) = seen
    assert (found.code, found.where, found.step, len(seen)) == ("L103", "generator", 0, 1)
    assert found.evidence.startswith("6 of 6 updates of the generator contain the gradient")
    assert "detach()" in found.fix
    assert list(seen.frame()["code"]) == ["L103"]
    assert str(seen).startswith("1 findings; 6 steps, 12 backward passes and 12 updates watched\nL103 ")
    console = Console(file=io.StringIO(), width=160)
    console.print(seen)
    assert "L103" in console.file.getvalue()  # type: ignore[attr-defined]


def test_where_nothing_was_seen_nothing_is_said() -> None:
    g, d = pair(0)
    with ganlab.check(g, d) as seen:
        pass
    assert str(seen) == "nothing found; 0 steps, 0 backward passes and 0 updates watched"
    assert seen.frame().empty
    assert list(seen.frame().columns)[:2] == ["code", "title"]


def test_the_step_at_which_a_mistake_began_is_told() -> None:
    (found,) = PLANTED["generator_left_in_eval_mode"][0](0)
    assert found.step == 2
    assert "4 of 6 updates" in found.evidence


def test_a_dead_layer_is_named() -> None:
    (found,) = PLANTED["dead_units"][0](0)
    assert "generator.0.weight" in found.evidence
    assert "1 of 3" not in found.evidence, "what the dead layer feeds has no gradient either"


def test_losses_that_the_loop_tells_are_held_against_the_clamps() -> None:
    g, d = pair(0)
    with ganlab.check(g, d) as seen:
        for step in range(3):
            seen.step(10 * step, real=real(), d_loss=torch.tensor(0.1, requires_grad=True), g_loss=13.8155)
    assert codes(seen) == {"L305"}
    assert "13.82 = -ln 1e-6" in seen.findings[0].evidence
    assert seen.findings[0].step == 0
    assert not seen.faults


def test_a_loss_that_is_told_for_each_sample_is_taken_by_its_mean() -> None:
    g, d = pair(0)
    with ganlab.check(g, d) as seen:
        for step in range(3):
            seen.step(step, d_loss=torch.tensor([13.0, 14.631]), g_loss=torch.tensor([2, 3]))
    assert not seen.faults
    assert codes(seen) == {"L305"}


def test_told_losses_away_from_every_clamp_are_nothing() -> None:
    g, d = pair(0)
    with ganlab.check(g, d) as seen:
        for step in range(3):
            seen.step(step, d_loss=13.7, g_loss=0.69)
    assert not seen.findings


# --- batches ---------------------------------------------------------------------------------------------------------------


def test_rows_are_known_again_among_others_and_not_by_their_looks() -> None:
    torch.manual_seed(0)
    known = torch.randn(5, 100)
    near = known[2:3].clone()
    near[0, 1] += 1.0  # not among the columns that are compared first
    x = torch.cat([known[3:4], torch.randn(1, 100), near, known[:1]])
    assert batches.rows_in(x, known).tolist() == [True, False, False, True]
    assert not batches.rows_in(x.double(), known).any()


def test_labels_are_read_as_numbers_and_as_rows_with_a_one() -> None:
    y = torch.tensor([2, 0, 1])
    for labels in (y, y[:, None], nn.functional.one_hot(y, 3), nn.functional.one_hot(y, 3).float(), y.numpy()):
        assert torch.equal(batches.classes(torch.as_tensor(labels)), y)
    assert batches.classes(torch.rand(3, 4)) is None
    assert batches.classes(torch.rand(3)) is None


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")  # dynamo's own
def test_a_net_that_is_compiled_whole_stays_whole() -> None:
    nets = [torch.nn.Linear(2, 2), torch.nn.Linear(2, 1)]
    for net in nets:
        net.compile(backend="eager", fullgraph=True)
    with ganlab.check(*nets) as seen:
        for _ in range(3):
            nets[1](nets[0](torch.randn(4, 2))).mean().backward()
    assert not seen.faults
    torch._dynamo.reset()


def test_watching_ends_where_the_generators_updates_are_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganlab.loop.watching.MOST_CALLS", 10)
    nets = torch.nn.Linear(2, 2), torch.nn.Linear(2, 1)
    with ganlab.check(*nets) as seen:
        for _ in range(20):
            nets[1](nets[0](torch.randn(4, 2)))
    assert len(seen._record.forwards) == 10
    assert not seen.faults


def test_watching_goes_on_as_long_as_updates_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganlab.loop.watching.MOST_CALLS", 10)
    assert alternate(0, steps=25, n_steps=20).n_steps == 20


def test_a_real_batch_that_is_told_is_looked_for_in_its_own_step_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a thousand steps would take a million comparisons."""
    g, d = pair(0)
    with ganlab.check(g, d) as seen:
        for step in range(3):
            x = real()
            d_loss(d, x, g(z()).detach()).backward()
            seen.step(step, real=x)
        seen._record.forwards.insert(0, None)  # type: ignore[arg-type]
        seen.step(3, real=x)
    assert [f.known_real for f in seen._record.forwards[1:] if f.kind == "real"] == [True] * 3
    assert not seen._record.faults
