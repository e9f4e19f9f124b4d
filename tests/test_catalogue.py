"""The list that `ganlab list` reads is what is registered, all of it, and a test says so when it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganlab import catalogue
from ganlab.objectives import OBJECTIVES
from ganlab.registry import Entry
from tests.test_contracts import registries


def test_the_file_is_what_is_registered() -> None:
    """As text, because the order of kinds and the layout count too."""
    current = catalogue.FILE.read_text(encoding="utf-8") == catalogue.text(catalogue.collect())
    assert current, "ganlab/catalogue.json is not what is registered; write it anew: python -m ganlab.catalogue"


def test_every_registry_of_the_package_is_of_a_kind() -> None:
    listed = {id(registry) for found in catalogue.registries().values() for registry in found}
    missing = [registry.kind for registry in registries() if id(registry) not in listed]
    assert not missing, f"no kind of ganlab list shows the registries of {missing}; name them in catalogue.KINDS"


def test_what_is_written_is_read_and_a_new_thing_is_missed_until_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = catalogue.read()
    monkeypatch.setitem(OBJECTIVES._entries, "new", Entry("new", abs, "Gauß 1809", "Says “new”."))
    monkeypatch.setattr(catalogue, "FILE", tmp_path / "catalogue.json")
    assert catalogue.collect() != known
    catalogue.main()
    assert catalogue.read() == catalogue.collect()
    assert catalogue.read()["objectives"] == [*known["objectives"], ("new", "Says “new”.", "Gauß 1809")]
