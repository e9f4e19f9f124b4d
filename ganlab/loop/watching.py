"""The hooks that see a training loop, and leave it bit for bit as it was.

A player's calls are seen by forward hooks, updates by PyTorch's hooks on all optimisers, backward passes by a wrapper of
`torch.autograd.backward`, through which `Tensor.backward` goes too. A `TorchFunctionMode` would see more, but it must be left
in the order in which it was entered, which start and stop cannot promise; what it would see, the graphs and gradients tell.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from ganlab.loop import backward, batches, graphs
from ganlab.loop.hooks import Hook
from ganlab.loop.record import OTHER, PLAYERS, Forward, Pass, Player, Push, Record, Update

N_FAKES = 8
"""Calls of the generator whose samples are remembered, to know them again when they come detached."""
N_REALS = 8
MOST_CALLS = 20_000
"""Calls without an update of the generator after which watching ends: there are none, or they cannot be seen."""

@dataclass
class Gradient:
    """What is known of a parameter's gradient."""

    parameter: nn.Parameter
    value: Tensor | None = None
    version: int = 0
    passes: set[int] = field(default_factory=set)
    not_finite: bool = False
    unknown: bool = False


class Watch:
    """Writes into a record what two nets go through, from `start` to `stop` or for `n_steps` steps."""

    def __init__(self, nets: dict[Player, nn.Module], record: Record, known: batches.Known | None, n_steps: int | None) -> None:
        self.nets, self.record, self.known, self.n_steps = nets, record, known, n_steps
        self._handles: list[Any] = []
        self._fakes: deque[tuple[int, Tensor]] = deque(maxlen=N_FAKES)
        self._reals: deque[Tensor] = deque(maxlen=N_REALS)
        self._gradients: dict[str, Gradient] = {}
        self._before: dict[str, Tensor] = {}
        self._strays: dict[int, tuple[str, Tensor]] = {}
        self._stray_values: dict[int, Tensor] = {}
        self._custom: dict[Player, bool] = {}
        self._optimizers: list[torch.optim.Optimizer] = []
        self._stepping: list[tuple[int, Update | None]] = []
        self._spent: set[int] = set()
        self._broken: dict[str, Tensor] = {}
        self._pass: Pass | None = None
        self._depth, self._idle_since, self._over = 0, 0, False

    def start(self) -> None:
        """Begin to watch; nothing happens when already begun."""
        if self._handles or self._over:
            return
        try:
            for player, net in self.nets.items():
                self._handles.append(net.register_forward_hook(self._on_forward(player), with_kwargs=True))
            self._handles.append(register_optimizer_step_pre_hook(self._on_step))
            self._handles.append(register_optimizer_step_post_hook(self._on_stepped))
            backward.tell(self)
            self._aside("parameters", self._begin)
        except BaseException:
            self._remove()
            raise

    def stop(self) -> None:
        """Remove all hooks, and write down what can be said at the end; nothing happens when already stopped."""
        if self._handles:
            self._remove()
            self._aside("the end", self._finish)
        self._over = True
        self._fakes.clear()
        self._reals.clear()
        self._gradients.clear()
        self._before.clear()
        self._broken.clear()
        self._stray_values.clear()
        self._optimizers.clear()

    def tell(self, step: int, losses: dict[str, Any], real: Tensor | None) -> None:
        """Note what the loop itself says of a step that is over."""
        self._aside("what the loop told", self._tell, step, losses, real)

    def _tell(self, step: int, losses: dict[str, Any], real: Tensor | None) -> None:
        new = self.record.forwards[max(self.record.ends.values(), default=0) :]
        self.record.ends[step] = len(self.record.forwards)
        self.record.told[step] = {
            name: float(torch.as_tensor(loss).detach().float().mean()) for name, loss in losses.items() if loss is not None
        }
        if real is not None:
            fingerprint = batches.fingerprint(real)
            for seen in (f for f in new if f.kind in ("real", "other") and f.shown.print == fingerprint):
                seen.kind, seen.known_real = "real", True

    def _remove(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        backward.leave(self)

    def _aside(self, what: str, function: Callable[..., None], *args: Any) -> None:
        """Call, and stand aside for good when that fails: a fault of ours is never one of the loop."""
        if self._over:
            return
        try:
            with torch.no_grad():
                function(*args)
        except Exception as error:
            self.record.faults.append(f"{what}: {type(error).__name__}: {error}")
            self._over = True

    # --- parameters ----------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._named()
        self._before = {name: g.parameter.detach().clone() for name, g in self._gradients.items()}
        self._inspect()

    def _named(self) -> dict[str, Gradient]:
        """Return the parameters that belong to one player alone, with what is known of their gradients."""
        own = {player: dict(net.named_parameters()) for player, net in self.nets.items()}
        shared = {id(p) for p in own["generator"].values()} & {id(p) for p in own["discriminator"].values()}
        for player, parameters in own.items():
            for name, parameter in parameters.items():
                known = self._gradients.get(f"{player}.{name}")
                if id(parameter) not in shared and (known is None or known.parameter is not parameter):
                    self._gradients[f"{player}.{name}"] = Gradient(parameter)
        return self._gradients

    def _inspect(self, before_a_pass: bool = False) -> None:
        """Look whether gradients were cleared, or replaced, since they were last seen.

        What is done through `.data` is not counted as a version; zeros add nothing to the pass that comes, however they came.
        """
        self._mend()
        for gradient in self._named().values():
            now = gradient.parameter.grad
            if now is None:
                gradient.passes, gradient.not_finite, gradient.unknown = set(), False, False
            elif now is not gradient.value:
                gradient.passes, gradient.not_finite, gradient.unknown = set(), False, True
            elif (before_a_pass or now._version != gradient.version) and not bool(now.any()):
                gradient.passes, gradient.unknown = set(), False
            gradient.value, gradient.version = now, 0 if now is None else now._version

    def _mend(self) -> None:
        """Look whether parameters that an update left NaN hold one number in its place, and are otherwise as they were."""
        now = {name: self._gradients[name].parameter.detach() for name in self._broken}
        changed = [name for name, old in self._broken.items() if not torch.equal(old.isnan(), now[name].isnan())]
        if changed and all(batches.filled(self._broken[name], now[name]) for name in changed):
            self.record.updates[-1].mended = tuple(changed)
        self._broken = {name: old for name, old in self._broken.items() if name not in changed}

    def _finish(self) -> None:
        moved = [name for name, g in self._gradients.items()
                 if name in self._before and not torch.equal(self._before[name], g.parameter.detach())]  # fmt: skip
        self.record.moved = frozenset(moved)
        held = {id(p) for optimizer in self._optimizers for group in optimizer.param_groups for p in group["params"]}
        free = {key: leaf for key, (_, leaf) in self._strays.items() if key not in held and leaf.grad is not None}
        still = [self._strays[key][0] for key, leaf in free.items() if torch.equal(leaf.detach(), self._stray_values[key])]
        self.record.strays = frozenset(still)
        for player in PLAYERS:
            names = [n for n, g in self._gradients.items() if n.startswith(player) and g.parameter.requires_grad]
            self.record.trainable[player] = frozenset(names)

    # --- forwards ------------------------------------------------------------------------------------------------------

    def _on_forward(self, player: Player) -> Hook:
        def hook(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            if module is self.nets[player] and self._depth == 0:
                recording = torch.is_grad_enabled()
                self._aside(f"a call of the {player}", self._forward, player, (args, kwargs), output, recording)

        return Hook(hook)

    def _forward(self, player: Player, given: Any, output: Any, recording: bool) -> None:
        net, x, y = self.nets[player], batches.floating(given), batches.floating(output)
        learns = recording and any(p.requires_grad for p in net.parameters())
        number = len(self.record.forwards)
        if number - self._idle_since >= MOST_CALLS and self.n_steps is not None:
            self._finish()
            self._over = True
            return
        seen = Forward(
            number, self.record.step, player, shown=batches.values(x), given=batches.values(y, named=False),
            frozen_layers=_frozen(net),
            learns=learns, last=None if y is None else graphs.last_operation(y), batch_norm=_batch_norm(net),
            shape=() if x is None else tuple(x.shape[1:]),
        )  # fmt: skip
        mask = None
        if player == "generator":
            latents = batches.latents(given)
            seen.identical_rows = batches.identical_rows(batches.floating(latents))
            seen.prints = tuple(batches.fingerprint(t) for t in latents)
            if y is not None:
                self._fakes.append((number, y.detach()))
        elif x is not None and x.ndim > 0:
            mask = self._recognise(seen, x, list(batches.tensors(given)))
        self.record.forwards.append(seen)
        if y is not None and y.grad_fn is not None:
            self._look_inside(player, y, {t.grad_fn for t in batches.tensors(given)} - {None})
            seen.attached = seen.attached and not self._custom[player]
            graphs.mark(y, self, number)
            y.register_hook(lambda gradient: self._aside("a gradient", self._reach, number, gradient, mask))

    def _recognise(self, seen: Forward, x: Tensor, given: list[Tensor]) -> Tensor:
        """Write down what the discriminator is shown, and return which rows are fake."""
        origin = graphs.origin(x, self)
        fake = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        for _, samples in self._fakes:
            fake |= batches.rows_in(x, samples)
        seen.attached = bool(origin.forwards) and not origin.custom
        seen.altered = bool(origin.forwards) and not bool(fake.any())
        seen.n_fake, seen.n_real = int(fake.sum()), int((~fake).sum())
        found = [] if self.known is None else self.known.find(x)
        in_data = sum(bool(places) for places in found)
        if seen.n_fake and seen.n_real:
            seen.kind = "mixed"
            rest = x[~fake]
            seen.known_real = in_data > 0 or any(bool(batches.rows_in(rest, real).any()) for real in self._reals)
        elif seen.n_fake or origin.forwards:
            seen.kind = "fake"
            fake[:] = True
        elif in_data >= min(2, len(x)) or (x.grad_fn is None and not x.requires_grad):
            seen.kind, seen.known_real = "real", in_data > 0.9 * len(x)
            seen.same_memory = any(x.data_ptr() == one.data_ptr() for one in self._reals)
            self._reals.append(x.detach())
            if self.known is not None:
                agreed = [self.known.agreement(found, t) for t in given if t is not x]
                seen.labels = max((pair for pair in agreed if pair is not None), default=None)
        return fake

    def _look_inside(self, player: Player, output: Tensor, inputs: set[Any]) -> None:
        """Look once which operations and leaves lie between a player's inputs and its output."""
        if player in self._custom:
            return
        nodes = list(graphs.walk([output.grad_fn], until=lambda node: node in inputs))
        self._custom[player] = any(graphs.is_custom(node) for node in nodes if node not in inputs)
        own = {id(p) for net in self.nets.values() for p in net.parameters()}
        for key, leaf in graphs.leaves(nodes).items():
            if key not in own and isinstance(leaf, nn.Parameter):
                self._strays[key] = (f"{player}: a parameter of shape {tuple(leaf.shape)}", leaf)
                self._stray_values[key] = leaf.detach().clone()

    # --- backward passes -----------------------------------------------------------------------------------------------

    def before_backward(self, roots: list[Any]) -> None:
        """See a backward pass begin."""
        self._depth += 1
        if self._depth == 1:
            self._aside("a backward pass", self._open, roots)

    def after_backward(self) -> None:
        """See it end."""
        self._depth -= 1
        if self._depth == 0:
            self._aside("a backward pass", self._close)
            self._pass = None

    def _open(self, roots: list[Any]) -> None:
        self._inspect(before_a_pass=True)
        found = [root for root in roots if isinstance(root, Tensor)]
        value = sum(float(root.detach().sum()) for root in found)
        nodes = [root.grad_fn for root in found if root.grad_fn is not None]
        losses = graphs.losses(nodes, self)
        self._pass = Pass(len(self.record.passes), self.record.step, value, *losses)

    def _reach(self, number: int, gradient: Tensor, mask: Tensor | None) -> None:
        if self._pass is None:
            return
        if mask is None or gradient.ndim == 0 or len(mask) != len(gradient):
            self._pass.reached[number] = Push()
            return
        sums = []
        for rows in (gradient[~mask], gradient[mask]):
            sums.append((-float(rows.sum()), float(rows.abs().sum())))
        self._pass.reached[number] = Push(*sums)

    def _close(self) -> None:
        this = self._pass
        if this is None:
            return
        touched, zero, weights, not_finite = [], [], [], []
        for name, gradient in self._gradients.items():
            now = gradient.parameter.grad
            if now is None or (now is gradient.value and now._version == gradient.version):
                continue
            touched.append(name)
            gradient.passes.add(this.number)
            gradient.value, gradient.version = now, now._version
            gradient.not_finite = not bool(torch.isfinite(now).all())
            if gradient.not_finite:
                not_finite.append(name)
            if now.ndim >= 2:
                weights.append(name)
                if not bool(now.any()):
                    zero.append(name)
        this.touched = {player: frozenset(n for n in touched if n.startswith(player)) for player in PLAYERS}
        this.zero, this.weights, this.not_finite = frozenset(zero), frozenset(weights), frozenset(not_finite)
        self.record.passes.append(this)

    # --- updates -------------------------------------------------------------------------------------------------------

    def _on_step(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        self._aside("an update", self._begin_step, optimizer, args, kwargs)

    def _on_stepped(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        self._aside("an update", self._end_step, optimizer)

    def _begin_step(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        open_steps = [key for key, _ in self._stepping]
        if id(optimizer) in open_steps:  # its last step was left by an exception
            del self._stepping[open_steps.index(id(optimizer)) :]
        closure = kwargs.get("closure") or next((a for a in args[1:] if callable(a)), None)
        self._stepping.append((id(optimizer), None if closure else self._update(optimizer)))

    def _end_step(self, optimizer: torch.optim.Optimizer) -> None:
        open_steps = [key for key, _ in self._stepping]
        if id(optimizer) not in open_steps:
            return
        place = open_steps.index(id(optimizer))
        update = self._stepping[place][1]
        del self._stepping[place:]
        if place > 0:  # an optimiser inside another one: one update, not two
            return
        update = update or self._update(optimizer)
        if not update.held:
            return
        self.record.updates.append(update)
        for name in (name for names in update.held.values() for name in names):
            if bool((value := self._gradients[name].parameter.detach()).isnan().any()):
                self._broken[name] = value.clone()
        self._spent |= set().union(*update.passes.values())
        if "generator" in update.given:
            self.record.step += 1
            self._idle_since = len(self.record.forwards)
            if self.n_steps is not None and self.record.step >= self.n_steps:
                self._aside("the end", self._finish)
                self._over = True

    def _update(self, optimizer: torch.optim.Optimizer) -> Update:
        wiped = {name for name, g in self._gradients.items() if g.not_finite}
        self._inspect()
        if not any(optimizer is known for known in self._optimizers):
            self._optimizers.append(optimizer)
        place = next(i for i, known in enumerate(self._optimizers) if known is optimizer)
        ids = {id(p) for group in optimizer.param_groups for p in group["params"]}
        mine = {name: g for name, g in self._gradients.items() if id(g.parameter) in ids}
        held = {player: frozenset(n for n in mine if n.startswith(player)) for player in PLAYERS}
        held = {player: names for player, names in held.items() if names}
        repaired = [name for name, g in mine.items()
                    if name in wiped and g.value is not None and bool(torch.isfinite(g.value).all())]  # fmt: skip
        for name in repaired:
            mine[name].not_finite = False
        types = {name: str(g.parameter.dtype).removeprefix("torch.") for name, g in mine.items()}
        plain = type(optimizer).step.__module__.startswith("torch.optim")  # others may keep what rounding takes away
        narrow = {name: kind for name, kind in types.items() if plain and kind in ("float16", "bfloat16")}
        passes = {name: frozenset(g.passes) for name, g in mine.items() if g.passes}
        full = {name for name, g in mine.items() if g.passes or g.unknown}
        given: frozenset[Player] = frozenset(player for player, names in held.items() if names & full)
        return Update(
            len(self.record.updates), self.record.step, place, type(optimizer).__name__, passes, held, given,
            self._unspent(held), tuple(repaired), narrow,
        )  # fmt: skip

    def _unspent(self, held: dict[Player, frozenset[str]]) -> tuple[Player, int] | None:
        """Return the player that the last pass made a gradient for and that is not held here."""
        if len(held) != 1 or not self.record.passes:
            return None
        (player,) = held
        other, last = OTHER[player], self.record.passes[-1]
        if last.number in self._spent or not last.touched[other] or last.touched[player]:
            return None
        return other, last.number


def _frozen(net: nn.Module) -> tuple[str, ...]:
    kinds = (nn.modules.batchnorm._NormBase, nn.modules.dropout._DropoutNd)
    layers = [(name, layer) for name, layer in net.named_modules() if isinstance(layer, kinds)]
    found = [(name, layer) for name, layer in layers if getattr(layer, "p", 1) > 0 and getattr(layer, "track_running_stats", 1)]
    if net.training or any(layer.training for _, layer in found):
        return ()
    return tuple(f"{name} ({type(layer).__name__})" for name, layer in found)


def _batch_norm(net: nn.Module) -> str | None:
    for name, layer in net.named_modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.training:
            return f"{name} ({type(layer).__name__})"
    return None
