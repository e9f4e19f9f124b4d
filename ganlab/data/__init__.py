"""Data distributions, by name: `get("ring8")`, `get("ring", modes=12, std=0.1)`, `get("ring:modes=12,std=0.1")`.

A data distribution has `sample(n, generator) -> [n, *shape]`; `log_prob`, `modes`, `std` and `weights` when known;
`sample_labelled` and `n_classes` when its samples have classes. Mixtures are in `mixtures.py`, images in `images.py`, the
examples of courses in `toys.py`. Data with something to predict are another kind: `tables.py` and `series.py`.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from ganlab.registry import InputError, Registry, unknown


@runtime_checkable
class DataDistribution(Protocol):
    """Where real samples come from."""

    name: str
    shape: tuple[int, ...]

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Return n samples `[n, *shape]`, float32, drawn with `generator` alone and on its device."""
        ...


DATA: Registry[Any] = Registry("data distribution")


class Held:
    """Tensors that are read on the device at hand, and copied there once."""

    def __init__(self, *tensors: Tensor) -> None:
        self._tensors = tensors
        self._copies = {tensors[0].device: tensors}

    def on(self, device: torch.device) -> tuple[Tensor, ...]:
        """Return the tensors on that device."""
        if device not in self._copies:
            self._copies[device] = tuple(tensor.to(device) for tensor in self._tensors)
        return self._copies[device]


class Points:
    """The empirical distribution of given points: drawn with replacement.

    Points that were drawn from something smooth are held against it by `distinct` ones, since a point that is drawn twice has a
    neighbour at no distance.

    Parameters
    ----------
    points
        `[n, *shape]`, floating point.
    name
        For tables and reports; empty names them by a hash of their content.
    held_out
        Points of the same kind that training must not see, `[m, *shape]`; with them copying and overfitting are looked for.
    """

    def __init__(self, points: Tensor, name: str = "", held_out: Tensor | None = None) -> None:
        if not isinstance(points, Tensor) or points.ndim < 2 or not points.numel() or not points.is_floating_point():
            what = f"{points.dtype} {tuple(points.shape)}" if isinstance(points, Tensor) else type(points).__name__
            raise InputError(f"data points must be a floating-point tensor [n, *shape]; got {what}")
        if not torch.isfinite(points).all():
            raise InputError(f"data {name!r} has non-finite values; remove them before training")
        digest = hashlib.sha256(points.detach().cpu().contiguous().numpy().data).hexdigest()
        self.name, self.points, self.shape = name or f"points-{digest[:12]}", points.detach(), tuple(points.shape[1:])
        self._held = Held(self.points)
        self._held_out = held_out
        if held_out is not None and tuple(held_out.shape[1:]) != self.shape:
            raise InputError(f"held-out points must have the shape {self.shape} of the others; got {tuple(held_out.shape[1:])}")

    @property
    def training(self) -> Tensor | None:
        """All points, where there are held-out ones to compare them with; else None."""
        return None if self._held_out is None else self.points

    def held_out(self, n: int, generator: torch.Generator) -> Tensor:
        """Return n of the held-out points, drawn with replacement."""
        assert self._held_out is not None
        index = torch.randint(len(self._held_out), (n,), generator=generator, device=generator.device)
        return self._held_out.to(generator.device)[index].float()

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Return n of the points `[n, *shape]`, float32, on the generator's device."""
        (points,) = self._held.on(generator.device)
        return points[torch.randint(len(points), (n,), generator=generator, device=generator.device)].float()

    def distinct(self, n: int, generator: torch.Generator) -> Tensor:
        """Return n of the points in random order, or all where there are fewer, none of them twice."""
        (points,) = self._held.on(generator.device)
        return points[torch.randperm(len(points), generator=generator, device=generator.device)[:n]].float()


def get(name: str, **settings: Any) -> Any:
    """Return a data distribution by name.

    Parameters
    ----------
    name
        A registered name, with settings after a colon if wanted: `"ring:modes=12,std=0.1"`.
    settings
        Keywords of the distribution, such as `modes`, `radius`, `std`, `weights`.

    Raises
    ------
    InputError
        For a name or setting that is not known, with the nearest match.

    Example
    -------
    >>> get("ring:modes=3,radius=1").modes.shape
    torch.Size([3, 2])
    """
    base, _, text = name.partition(":")
    make = DATA[base]
    settings = {**_parse(text), **settings}
    known = inspect.signature(make).parameters
    for key in settings:
        if key not in known:
            raise InputError(unknown(f"setting of data {base!r}", key, known))
    for key, parameter in known.items():
        if parameter.default is parameter.empty and key not in settings:
            raise InputError(f"data {base!r} needs a value for {key}, as in get({base!r}, {key}=...)")
    distribution = make(**settings)
    if not distribution.name:
        arguments = ",".join(f"{key}={value}" for key, value in settings.items()).replace(" ", "")
        distribution.name = f"{base}:{arguments}" if arguments else base
    return distribution


def _parse(text: str) -> dict[str, Any]:
    try:
        call = ast.parse(f"f({text})", mode="eval").body
        if not isinstance(call, ast.Call) or call.args or len({k.arg for k in call.keywords}) < len(call.keywords):
            raise ValueError("not a list of settings")
        return {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:  # all that ast may raise
        raise InputError(
            f"cannot read the data settings {text!r}; write them as in 'ring:modes=12,std=0.1,weights=(2,1,1)'"
        ) from error


from ganlab.data import images, mixtures, series, tables, toys  # noqa: E402, F401  (they register their data)
