"""What the page about recorders says, runs: plain blocks here, the others where the packages they need are installed."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import ganlab
from ganlab import repeated

PAGE = (Path(__file__).parent.parent / "docs" / "recorder.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(python|py)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
PLAIN = [text for kind, text in BLOCKS if kind == "python"]
NEEDS = {"tensorboard": "tensorboard", "import lightning": "lightning", "ignite": "ignite", "accelerate": "accelerate"}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None], dict[str, Any]]:
    """An empty folder, and a function that runs the plain blocks there in one namespace, the first few or all."""
    monkeypatch.chdir(tmp_path)

    def few(train: Any, seeds: int, store: str) -> ganlab.Run:
        assert seeds == 32
        return repeated.repeat(train, seeds=2, store=store, workers=1)

    monkeypatch.setattr(ganlab, "repeat", few, raising=False)

    def run(n: int | None = None) -> dict[str, Any]:
        names: dict[str, Any] = {"__name__": "__main__"}
        for text in PLAIN[:n]:
            exec(compile(text, "recorder.md", "exec"), names)
        return names

    state = torch.get_rng_state()
    yield run  # type: ignore[misc]
    torch.set_rng_state(state)


@pytest.mark.slow
def test_the_plain_blocks_run_as_written(place: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    names = place()
    assert Path("report.html").stat().st_size > 10_000
    assert ganlab.Store("runs").ids() == [names["run"].experiment.id]
    assert names["told"]
    assert len(names["seen"]) == 1
    assert names["recorder"].fault == ""
    assert "best at step" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("word", NEEDS)
def test_the_other_blocks_run_where_their_package_is(word: str, place: Callable[..., dict[str, Any]]) -> None:
    if importlib.util.find_spec(NEEDS[word]) is None:
        pytest.skip(f"{NEEDS[word]} is not installed")
    (text,) = [text for kind, text in BLOCKS if kind == "py" and word in text]
    names = place(2)
    exec(compile(text, "recorder.md", "exec"), names)
    watched = names["watch"].recorder if word == "import lightning" else names["recorder"]
    assert watched.fault == ""
    assert len(watched.run.trace)


def test_the_page_has_blocks_of_both_kinds() -> None:
    """Guards the tests above."""
    assert len(PLAIN) >= 8
    assert sum(kind == "py" for kind, _ in BLOCKS) == len(NEEDS)
