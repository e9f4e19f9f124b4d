"""Every script in examples runs as it is, in seconds, and says what came out."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
import torch

EXAMPLES = Path(__file__).parent.parent / "examples"
SCRIPTS = sorted(EXAMPLES.rglob("*.py"))


def test_there_are_examples() -> None:
    assert SCRIPTS


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_a_script_runs_and_speaks(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(script.read_text(encoding="utf-8").splitlines()) < 80
    with torch.random.fork_rng():
        runpy.run_path(str(script), run_name="__main__")
    said = capsys.readouterr().out
    assert len(said.splitlines()) >= 3
    assert "nan" not in said.lower().split()
