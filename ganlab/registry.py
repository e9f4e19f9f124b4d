"""Name -> thing, with its source: the only plug-in mechanism, and the one place that refuses a name.

Objectives, penalties, update rules, data, nets, probes, diagnoses and variants each keep one `Registry`. To
register a thing is to have it listed by `ganlab list`, cited in reports and put under the contract tests.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Generic, TypeVar

Thing = TypeVar("Thing")


class InputError(ValueError):
    """What the user asked for cannot be done; the message says what came, what is allowed, and what to do."""


@dataclass(frozen=True)
class Entry(Generic[Thing]):
    """A registered thing with its source and the facts about it that other code may rely on."""

    name: str
    thing: Thing
    source: str
    summary: str
    facts: Mapping[str, Any] = field(default_factory=dict)


class Registry(Mapping[str, Thing]):
    """The things of one kind, by name, in the order in which they were registered.

    Example
    -------
    >>> shapes = Registry("shape")
    >>> @shapes.register(source="Euclid, book I", corners=3)
    ... def triangle(): ...
    >>> shapes.entry("triangle").facts["corners"]
    3
    >>> shapes["tringle"]
    Traceback (most recent call last):
    ganlab.registry.InputError: unknown shape 'tringle'; did you mean 'triangle'? Known: triangle
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry[Thing]] = {}

    def register(self, name: str | None = None, *, source: str, **facts: Any) -> Callable[[Thing], Thing]:
        """Return a decorator that registers a function or class under `name` (its own name if None)."""

        def keep(thing: Thing) -> Thing:
            self.add(name or str(getattr(thing, "__name__", thing)), thing, source=source, **facts)
            return thing

        return keep

    def add(self, name: str, thing: Thing, *, source: str, summary: str = "", **facts: Any) -> None:
        """Register `thing` under `name`. Raises ValueError when the name is taken."""
        if name in self._entries:
            raise ValueError(f"{self.kind} {name!r} is registered twice")
        summary = summary or (inspect.getdoc(thing) or "").partition("\n")[0]
        self._entries[name] = Entry(name, thing, source, summary, MappingProxyType(facts))

    def entry(self, name: str) -> Entry[Thing]:
        """Return the entry of that name. Raises InputError with the nearest match when there is none."""
        if name not in self:
            raise InputError(unknown(self.kind, name, self._entries))
        return self._entries[name]

    def entries(self) -> list[Entry[Thing]]:
        """Return all entries in the order of registration."""
        return list(self._entries.values())

    def __getitem__(self, name: str) -> Thing:
        return self.entry(name).thing

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._entries


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """Return the message for a name that is not known: what came, the nearest match, what is allowed."""
    known = sorted(set(known))
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    return f"unknown {kind} {name!r}{hint} Known: {', '.join(known)}"


def shown(text: str) -> str:
    """Return a text with control characters as symbols: a stored name is shown, and steers neither terminal nor page.

    Example
    -------
    >>> shown("bell\x07")
    'bell␇'
    """
    return text.translate(_SYMBOLS)


_SYMBOLS = {i: 0x2400 + i for i in range(0x20)} | {0x7F: 0x2421} | dict.fromkeys(range(0x80, 0xA0), 0xFFFD)
