"""Every script of the lecture runs as it is, in seconds, and says what came out."""

from __future__ import annotations

import runpy
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

EXAMPLES = Path(__file__).parent.parent / "examples"
FRAMEWORKS = [EXAMPLES / "lecture" / name for name in ("14_keras.py", "14_tensorflow.py")]
"""Scripts that need the extra `frameworks`, and a process of their own."""

SCRIPTS = sorted(set((EXAMPLES / "lecture").glob("*.py")) - set(FRAMEWORKS))
"""Those of `own_loop` have tests of their own."""


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


@pytest.mark.slow
@pytest.mark.skipif(find_spec("keras") is None or find_spec("tensorflow") is None, reason="needs the extra frameworks")
@pytest.mark.parametrize("script", FRAMEWORKS, ids=lambda path: path.name)
def test_a_script_of_another_framework_runs_and_speaks(script: Path) -> None:
    said = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True).stdout
    assert len(said.splitlines()) >= 3
    assert "nan" not in said.lower().split()
