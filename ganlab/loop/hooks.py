"""Hooks of a net that do not follow it into copies and files, and that do not hear what ganlab itself asks of the net."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch

_UNSEEN: ContextVar[bool] = ContextVar("unseen", default=False)


@contextmanager
def unseen() -> Iterator[None]:
    """Let nets be called without a watcher noting it: what ganlab does itself is no part of the loop."""
    token = _UNSEEN.set(True)
    try:
        yield
    finally:
        _UNSEEN.reset(token)


def nothing(*_: object) -> None:
    """Do nothing: what a hook becomes in a copy of a net, and in a net that is saved."""


class Hook:
    """A hook of a net that does not follow it into copies and files."""

    def __init__(self, function: Callable[..., None]) -> None:
        self._function = function

    def __call__(self, *args: Any) -> None:
        if not torch.compiler.is_compiling() and not _UNSEEN.get():  # a whole graph has no room for it
            self._function(*args)

    def __deepcopy__(self, memo: dict[int, Any]) -> Callable[..., None]:
        return nothing

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (nothing, "__call__")
