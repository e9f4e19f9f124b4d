"""ganlab: the crash-test laboratory for GANs.

The public names are loaded when first used, so that reading results and `ganlab --help` do not wait for torch.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "Experiment": "experiment",
    "Game": "game",
    "InputError": "registry",
    "LightningCallback": "integrations",
    "Recorder": "recorder",
    "Run": "experiment",
    "Store": "store",
    "advice": "checkpoints",
    "check": "loop",
    "compare": "diagnoses",
    "diagnose": "diagnoses",
    "load": "store",
    "rank": "checkpoints",
    "repair": "trial",
    "repeat": "repeated",
    "report": "pages",
    "run": "train",
}
_MODULES = ("data", "dynamics", "integrations", "metrics", "nets", "reference", "stats")

__all__ = [*_PUBLIC, *_MODULES, "__version__"]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(f"ganlab.{_PUBLIC[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"ganlab.{name}")
    raise AttributeError(f"ganlab has no {name!r}; it has {', '.join(sorted(__all__))}")
