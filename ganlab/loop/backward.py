"""Who is told of backward passes: `torch.autograd.backward` is wrapped while there is somebody, and itself again afterwards."""

from __future__ import annotations

import functools
from typing import Any, Protocol

import torch


class Listener(Protocol):
    """What is told; neither method may raise."""

    def before_backward(self, roots: list[Any]) -> None: ...

    def after_backward(self) -> None: ...


_LISTENERS: list[Listener] = []
_WRAPPERS: list[tuple[Any, Any]] = []
"""The wrapper that is at work and what it wraps; none while nobody listens."""


def tell(listener: Listener) -> None:
    """Tell a listener of all backward passes from now on."""
    if not _LISTENERS:
        _wrap()
    _LISTENERS.append(listener)


def leave(listener: Listener) -> None:
    """Tell it no more."""
    if listener in _LISTENERS:
        _LISTENERS.remove(listener)
    if not _LISTENERS and _WRAPPERS:
        wrapper, original = _WRAPPERS.pop()
        if torch.autograd.backward is wrapper:  # else somebody wrapped it after us, and ours does nothing from now on
            torch.autograd.backward = original


def _wrap() -> None:
    original = torch.autograd.backward

    @functools.wraps(original)
    def backward(tensors: Any, *args: Any, **kwargs: Any) -> None:
        at_work = bool(_WRAPPERS) and _WRAPPERS[-1][0] is backward
        told = list(_LISTENERS) if at_work else []
        for listener in told:
            listener.before_backward(list(tensors) if isinstance(tensors, list | tuple) else [tensors])
        try:
            original(tensors, *args, **kwargs)
        finally:
            for listener in told:
                listener.after_backward()

    _WRAPPERS.append((backward, original))
    torch.autograd.backward = backward
