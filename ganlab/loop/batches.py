"""What a batch says: its range, its fingerprint, and which of its rows are known from elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from ganlab.loop.record import Values
from ganlab.registry import InputError

N_COLUMNS = 32
"""Rows are looked up by so many of their numbers, and then compared in full."""


def tensors(thing: Any) -> Iterator[Tensor]:
    """Yield the tensors in whatever a net is given or returns, in order."""
    if isinstance(thing, Tensor):
        yield thing
    elif isinstance(thing, Mapping):
        for value in thing.values():
            yield from tensors(value)
    elif isinstance(thing, list | tuple):
        for value in thing:
            yield from tensors(value)


def floating(thing: Any) -> Tensor | None:
    """Return the first tensor of real numbers."""
    return next((t for t in tensors(thing) if t.is_floating_point()), None)


def latents(given: Any) -> list[Tensor]:
    """Return what a generator is given, its labels left out; all of it where there is nothing else."""
    found = list(tensors(given))
    return [t for t in found if classes(t) is None] or found


def fingerprint(x: Tensor) -> bytes:
    """Return what is equal for equal tensors."""
    content = x.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
    return hashlib.blake2b(content, digest_size=16).digest()


def values(x: Tensor | None, *, named: bool = True) -> Values:
    """Return the numbers of a batch, with its fingerprint if `named`."""
    if x is None or x.numel() == 0:
        return Values(0, 0.0, 0.0, 0.0, True, False, 0.0, 0.0, b"")
    numbers = x.detach().float()
    return Values(
        n=x.numel(),
        low=float(numbers.min()),
        high=float(numbers.max()),
        rms=float(numbers.square().mean().sqrt()),
        finite=bool(torch.isfinite(numbers).all()),
        whole=bool((numbers == numbers.round()).all()),
        beyond=float((numbers.abs() > 1.05).float().mean()),
        negative=float((numbers < -0.25).float().mean()),
        print=fingerprint(x) if named else b"",
    )


def rows_in(x: Tensor, known: Tensor) -> Tensor:
    """Return which rows of `x` are rows of `known`, `[n]`."""
    nothing = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    if x.shape[1:] != known.shape[1:] or x.dtype != known.dtype or x.device != known.device or 0 in (x.numel(), known.numel()):
        return nothing
    one, other = x.detach().reshape(len(x), -1), known.detach().reshape(len(known), -1)
    columns = _columns(one.shape[1])
    same = (one[:, None, columns] == other[None, :, columns]).all(-1)
    nearest = same.float().argmax(1)
    return same.any(1) & (one == other[nearest]).all(1)


def identical_rows(x: Tensor | None) -> bool:
    """Return whether a batch is one row, several times."""
    return x is not None and x.ndim > 1 and len(x) > 1 and bool((x == x[:1]).all())


def filled(old: Tensor, now: Tensor) -> bool:
    """Return whether one number stands where NaN stood, and all else as it was: what a checkpoint brings back is not so."""
    gaps = old.isnan()
    return bool((now[gaps] == now[gaps][:1]).all()) and torch.equal(old[~gaps], now[~gaps])


def _columns(n: int) -> list[int]:
    return sorted({round(i * (n - 1) / max(1, N_COLUMNS - 1)) for i in range(N_COLUMNS)})


class Known:
    """The data that somebody passed, to find a batch's rows in.

    Raises
    ------
    InputError
        When they are no array `[n, *sample]`, or the labels are not one for each sample.
    """

    def __init__(self, data: Any) -> None:
        x, y = data if isinstance(data, tuple) and len(data) == 2 else (data, None)
        self.x = self._read(x, "data")
        self.y = None if y is None else classes(self._read(y, "the labels in data"))
        if y is not None and (self.y is None or len(self.y) != len(self.x)):
            raise InputError(
                f"data=(x, y) needs one whole number, or one row with a single 1, as the label of each of the {len(self.x)} "
                f"samples; the labels have shape {tuple(torch.as_tensor(y).shape)}"
            )
        self._places: dict[bytes, list[int]] | None = None

    @staticmethod
    def _read(given: Any, what: str) -> Tensor:
        try:
            x = torch.as_tensor(given).detach().cpu()
        except (TypeError, ValueError, RuntimeError) as error:
            expected = "a tensor or array [n, *sample], or a tuple (x, y) of two"
            raise InputError(f"{what} must be {expected}; got {str(given)[:80]}") from error
        if x.ndim == 0 or x.numel() == 0:
            raise InputError(f"{what} must have samples, [n, *sample]; the shape is {tuple(x.shape)}")
        return x

    def find(self, batch: Tensor) -> list[list[int]]:
        """Return for each row of a batch the places of equal rows in the data."""
        if batch.shape[1:] != self.x.shape[1:] or not (self.x.is_floating_point() and batch.is_floating_point()):
            return [[] for _ in batch]
        columns = _columns(self.x[0].numel())
        if self._places is None:
            self._places = {}
            for place, row in enumerate(self.x.reshape(len(self.x), -1)[:, columns].float().numpy()):
                self._places.setdefault(row.tobytes(), []).append(place)
        flat = batch.detach().cpu().reshape(len(batch), -1).float()
        found = [self._places.get(row.tobytes(), []) for row in flat[:, columns].numpy()]
        return [[place for place in places if torch.equal(self.x[place].flatten().float(), row)]
                for places, row in zip(found, flat, strict=True)]  # fmt: skip

    def agreement(self, found: list[list[int]], labels: Tensor) -> tuple[int, int] | None:
        """Return how many of the rows that were found come with a label of theirs, and how many were found."""
        given = classes(labels)
        if self.y is None or given is None or len(given) != len(found):
            return None
        pairs = [({int(self.y[place]) for place in places}, int(label))
                 for places, label in zip(found, given, strict=True) if places]  # fmt: skip
        return sum(label in own for own, label in pairs), len(pairs)


def classes(labels: Tensor) -> Tensor | None:
    """Return labels as whole numbers `[n]`, from whole numbers or rows with a single 1; None for anything else."""
    plain = labels.detach().cpu()
    if plain.ndim == 2 and plain.shape[1] == 1:
        plain = plain[:, 0]
    if plain.ndim == 1 and not plain.is_floating_point():
        return plain.long()
    if plain.ndim == 2 and bool(((plain == 0) | (plain == 1)).all()) and bool((plain.sum(1) == 1).all()):
        return plain.argmax(1)
    return None
