"""A net as a pure function of one parameter vector, which is what lets many seeds train as one program.

`Net` wraps any `nn.Module` - ours or a user's - and refuses by name what cannot be a pure function of its parameters and input.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils import parametrize

from ganlab import rng
from ganlab.layers import looked_up
from ganlab.registry import InputError


class Net:
    """A module as a pure function `apply(vector, x)` of one flat parameter vector.

    One vector per player keeps optimisers, norms and clipping as short as in the textbook, and a batch of members is
    a matrix `[member, parameter]`.

    Parameters
    ----------
    module
        A module, or a function that builds one. A module is re-initialised for each seed by its layers' own
        `reset_parameters`; a function is called once per seed, so it keeps an initialisation of your own.
    role
        "generator" or "discriminator": names the random stream of the initialisation, and the messages.

    Raises
    ------
    InputError
        When a layer keeps state or draws random numbers of its own, or cannot be initialised per seed; the message
        names the layer and what to use in its place.
    """

    def __init__(self, module: nn.Module | Callable[[], nn.Module], role: str) -> None:
        self.role = role
        self._source = module
        if not callable(module):
            raise InputError(f"the {role} must be an nn.Module or a function that returns one; got {module!r}")
        if isinstance(module, nn.Module):
            _refuse_hidden_state(module, role)
        self.module = self.build(0)
        _refuse_hidden_state(self.module, role)
        other = self.build(1)
        if isinstance(module, nn.Module):
            _refuse_lost_initialisation(module, self.module, other, role)
        elif other is self.module:
            raise InputError(f"the function for the {role} returns the same net each time; build the net inside the function")
        if role == "discriminator" and isinstance(list(self.module.modules())[-1], nn.Sigmoid):
            raise InputError("the discriminator ends in a Sigmoid; objectives take logits, so remove that layer")
        parameters = dict(self.module.named_parameters())
        if not parameters:
            raise InputError(f"the {role} has no parameters to train")
        self.shapes = {name: p.shape for name, p in parameters.items()}
        self.sizes = [p.numel() for p in parameters.values()]
        self.constants = dict(self.module.named_buffers())
        self._trunk = _before_last(self.module)

    def __str__(self) -> str:
        return str(self.module)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the parameter tensors, in the order in which they lie in the vector."""
        return tuple(self.shapes)

    @property
    def n_parameters(self) -> int:
        return sum(self.sizes)

    def to(self, device: str, dtype: torch.dtype) -> Net:
        """Move the constants that are not trained."""
        self.constants = {
            name: c.to(device, dtype) if c.is_floating_point() else c.to(device) for name, c in self.constants.items()
        }
        return self

    def build(self, seed: int) -> nn.Module:
        """Return a module initialised from the seed's own stream, on the CPU."""
        with rng.initialising(seed, self.role):
            if not isinstance(self._source, nn.Module):
                module = self._source()
                if not isinstance(module, nn.Module):
                    raise InputError(f"the {self.role} must be an nn.Module or a function that returns one; got {module!r}")
                return module.cpu().float()
            try:
                module = deepcopy(self._source).cpu().float()
            except RuntimeError as error:
                raise InputError(
                    f"the {self.role} cannot be copied for each seed ({error}); "
                    "pass a function that builds the net in place of the net"
                ) from error
            for name, layer in module.named_modules():
                own = list(layer.parameters(recurse=False))
                if own and (not hasattr(layer, "reset_parameters") or parametrize.is_parametrized(layer)):
                    raise InputError(
                        f"layer {name!r} ({type(layer).__name__}) of the {self.role} cannot be initialised anew for each "
                        "seed; pass a function that builds the net in place of the net"
                    )
                if own:
                    layer.reset_parameters()
            return module

    def initial(self, seed: int) -> Tensor:
        """Return the initial parameters of a seed as one vector `[n_parameters]`, float32."""
        module = self.build(seed)
        for name, value in module.named_buffers():
            if not torch.equal(value, self.constants[name].to(value)):
                raise InputError(f"buffer {name!r} of the {self.role} differs between seeds; make it a parameter or a constant")
        return torch.cat([p.detach().reshape(-1) for p in module.parameters()])

    def unflatten(self, vector: Tensor) -> dict[str, Tensor]:
        """Return the parameters by name, as views of the vector."""
        parts = vector.split(self.sizes)
        return {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}

    def apply(self, vector: Tensor, x: Tensor, part: str = "") -> Tensor:
        """Return the output for `x` with these parameters: of the module, or of the sub-module named `part`.

        Raises InputError for a part that is not there, or that holds parameters in common with another.
        """
        if part:
            parts = dict(list(self.module.named_modules())[1:])
            return self._call(looked_up(f"part of the {self.role}", part, parts), vector, x, f"{part}.")
        return functional_call(self.module, {**self.unflatten(vector), **self.constants}, (x,))

    @property
    def has_features(self) -> bool:
        """Whether `features` is defined."""
        return self._trunk is not None

    def features(self, vector: Tensor, x: Tensor) -> Tensor:
        """Return what the last layer that has parameters reads, `[n, *features]`.

        Raises InputError unless the module is an `nn.Sequential`: elsewhere layers have no order that is known before a run.
        """
        if self._trunk is None:
            raise InputError(
                f"the {self.role} is a {type(self.module).__name__}, whose layers have no known order, so what its last layer "
                "reads is not known; features need an nn.Sequential"
            )
        return self._call(self._trunk, vector, x)

    def _call(self, part: nn.Module, vector: Tensor, x: Tensor, start: str = "") -> Tensor:
        """Return the output of a part, whose names in the whole begin with `start`."""
        values = {**self.unflatten(vector), **self.constants}
        names = [name for name, _ in (*part.named_parameters(), *part.named_buffers())]
        if shared := [start + name for name in names if start + name not in values]:
            raise InputError(f"parameter {shared[0]!r} of the {self.role} is held in common with another part")
        return functional_call(part, {name: values[start + name] for name in names}, (x,))

    def to_module(self, vector: Tensor) -> nn.Module:
        """Return an ordinary module that holds these parameters."""
        module = deepcopy(self.module).to(vector)
        for (_, p), value in zip(module.named_parameters(), self.unflatten(vector.detach()).values(), strict=True):
            p.data = value.clone()
        return module


def _before_last(module: nn.Module) -> nn.Sequential | None:
    """Return the module up to its last layer that has parameters, without it; names stay. None unless it is a sequence."""
    if type(module) is not nn.Sequential:
        return None
    last = max((i for i, layer in enumerate(module) if any(True for _ in layer.parameters())), default=0)
    inner = _before_last(module[last])
    if inner is None:
        return module[:last]
    trunk = module[: last + 1]
    trunk[last] = inner
    return trunk


def _refuse_hidden_state(module: nn.Module, role: str) -> None:
    """Raise InputError for the first layer whose output depends on more than parameters and input."""
    for name, layer in module.named_modules():
        what = f"layer {name!r} ({type(layer).__name__}) of the {role}"
        if isinstance(layer, nn.modules.batchnorm._NormBase) and layer.track_running_stats:
            raise InputError(
                f"{what} keeps running statistics, which members of one batch cannot share; use "
                f"{type(layer).__name__}({layer.num_features}, track_running_stats=False) or GroupNorm"
            )
        if isinstance(layer, nn.modules.dropout._DropoutNd) and layer.p > 0:
            raise InputError(f"{what} draws random numbers of its own, so a seed would not repeat; remove it or set p=0")
        power_iteration = hasattr(layer, "weight_u") or type(layer).__name__ == "_SpectralNorm"
        if power_iteration:
            raise InputError(
                f"{what} estimates its norm by power iteration, which is hidden state; use ganlab.nets.spectral_norm, "
                "which is exact"
            )


def _refuse_lost_initialisation(given: nn.Module, built: nn.Module, other: nn.Module, role: str) -> None:
    """Raise InputError when seeds would not start from the given net's law: that would silently change the experiment.

    `built` and `other` are the net initialised for two seeds; what they share is a constant, or was not initialised at all.
    """
    for (name, p), q, r in zip(given.named_parameters(), built.parameters(), other.parameters(), strict=True):
        old, new = p.detach().float().cpu(), q.detach()
        fixed = torch.equal(new, r.detach())
        if fixed and bool((new != new.flatten()[0]).any()):
            raise InputError(
                f"parameter {name!r} of the {role} is the same for all seeds, because its layer does not initialise it anew; "
                "pass a function that builds the net in place of the net"
            )
        if not fixed and new.numel() < 64:  # too few numbers to tell two initialisations apart
            continue
        same = torch.equal(old, new) if fixed else 0.7 < float(old.std()) / float(new.std()) < 1.4
        if not same:
            raise InputError(
                f"parameter {name!r} of the {role} does not look like its layer's own initialisation, which is drawn anew "
                "for each seed; pass a function that builds and initialises the net in place of the net"
            )
