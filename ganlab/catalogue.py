"""What is registered, readable without torch: the table of kinds, and the file `catalogue.json` that is made from it.

`ganlab list` reads the file. Whoever registers, renames or describes a thing writes it anew with `python -m ganlab.catalogue`;
a test holds it to the registries.
"""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ganlab.registry import Registry

KINDS: dict[str, tuple[str, ...]] = {
    "variants": ("ganlab.variants:VARIANTS",),
    "objectives": ("ganlab.objectives:OBJECTIVES",),
    "penalties": ("ganlab.penalties:PENALTIES", "ganlab.penalties:CONSTRAINTS"),
    "perturbations": ("ganlab.penalties:PERTURBATIONS",),
    "regularizers": ("ganlab.regularizers:REGULARIZERS",),
    "updates": ("ganlab.updates:UPDATES",),
    "optimizers": ("ganlab.optim:OPTIMIZERS",),
    "data": ("ganlab.data:DATA",),
    "labelled": ("ganlab.data.tables:LABELLED",),
    "tasks": ("ganlab.tasks:TASKS",),
    "applications": ("ganlab.applications:APPLICATIONS",),
    "nets": ("ganlab.nets:NETS",),
    "autoencoders": ("ganlab.coders:MODELS",),
    "likelihoods": ("ganlab.coders:LIKELIHOODS",),
    "probes": ("ganlab.probes:PROBES",),
    "measures": ("ganlab.measures:MEASURES",),
    "rules": ("ganlab.metrics:RULES",),
    "diagnoses": ("ganlab.diagnoses:DIAGNOSES",),
    "checks": ("ganlab.loop.rules:RULES",),
    "remedies": ("ganlab.remedies:REMEDIES",),
    "games": ("ganlab.dynamics:GAMES",),
    "dynamics": ("ganlab.dynamics:RULES",),
}
"""The kinds that `ganlab list` knows, in its order, and where the registries of each are. A new registry is one name here."""

FILE = Path(__file__).with_name("catalogue.json")


class Item(NamedTuple):
    """A registered thing as it is listed."""

    name: str
    summary: str
    source: str


def read() -> dict[str, list[Item]]:
    """Return what the file says is registered, by kind."""
    content = json.loads(FILE.read_text(encoding="utf-8"))
    return {kind: [Item(**item) for item in items] for kind, items in content.items()}


def registries() -> dict[str, list[Registry[Any]]]:
    """Return the registries of each kind; this imports torch."""
    return {kind: [pkgutil.resolve_name(place) for place in places] for kind, places in KINDS.items()}


def collect() -> dict[str, list[Item]]:
    """Return what is registered, by kind, in the order of registration; this imports torch."""
    return {
        kind: [Item(entry.name, entry.summary, entry.source) for registry in found for entry in registry.entries()]
        for kind, found in registries().items()
    }


def text(content: Mapping[str, Sequence[Item]]) -> str:
    """Return the content of the file."""
    plain = {kind: [item._asdict() for item in items] for kind, items in content.items()}
    return json.dumps(plain, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the file."""
    FILE.write_text(text(collect()), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
