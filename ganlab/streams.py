"""Random generators: those that a whole program shares, and those that lie within reach of a function or an object."""

from __future__ import annotations

import gc
import random
import sys
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

STREAMS = torch.Generator | random.Random | np.random.Generator | np.random.RandomState

REACH, HELD = 10_000, 1000
"""Most things that are looked at in search of random generators, and most of those that lie in one list or dictionary."""

PLAIN = str | bytes | int | float | complex | None

LIBRARIES = sys.stdlib_module_names | {"torch", "numpy"}
"""Whose functions and classes keep no stream of the user's but the global ones."""


def streams_of(*things: Any) -> list[Callable[[], Any]]:
    """Return what puts back the random generators within reach of functions, objects and modules, the nearest first.

    Within reach is what a function names, has as a default or is bound to, what an object or its class holds, and what lies in
    that. What is named through a module, as in `samplers.draw`, is not followed, nor what is not written in Python.
    """
    found: list[Callable[[], Any]] = []
    queue, seen = deque(things), set(map(id, things))
    while queue:
        thing = queue.popleft()
        if isinstance(thing, STREAMS):
            found.append(_rewound(thing))
            continue
        for other in _within(thing):
            if id(other) not in seen and len(seen) < REACH and not isinstance(other, PLAIN):
                seen.add(id(other))
                queue.append(other)
    return found


def _within(thing: Any) -> Iterable[Any]:
    """Return what a thing holds or names."""
    if isinstance(thing, FunctionType | type) and str(thing.__module__).partition(".")[0] in LIBRARIES:
        return ()
    if isinstance(thing, FunctionType):
        codes = [thing.__code__]
        for code in codes:  # functions inside of it too
            codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        named = {name for code in codes for name in code.co_names} & thing.__globals__.keys()
        held = thing.__closure__, thing.__defaults__, thing.__kwdefaults__, vars(thing)
        return *(thing.__globals__[name] for name in named), *held
    if isinstance(thing, ModuleType | Tensor | np.ndarray):
        return ()
    return gc.get_referents(thing)[:HELD]


def _rewound(stream: Any) -> Callable[[], Any]:
    """Return what sets a random generator back to where it is now."""
    match stream:
        case torch.Generator():
            return partial(stream.set_state, stream.get_state())
        case random.Random():
            return partial(stream.setstate, stream.getstate())
        case np.random.Generator():
            return partial(setattr, stream.bit_generator, "state", stream.bit_generator.state)
    return partial(stream.set_state, stream.get_state())


def shared_streams() -> list[torch.Generator]:
    """Return the random generators that all of a program shares: the CPU's, and each device's where devices are in use."""
    kinds = [kind for kind in (torch.cuda, torch.xpu) if kind.is_initialized()]
    of_mps = [torch.mps._get_default_mps_generator()] if torch.backends.mps.is_available() else []
    return [torch.default_generator, *(stream for kind in kinds for stream in kind.default_generators), *of_mps]
