"""Every script of the lecture runs as it is, in seconds, and says what came out."""

from __future__ import annotations

import re
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


ANSWERS = {
    "01_neuron.py": r"AND .*'1 1': 1",
    "02_two_layers.py": r"by hand and by PyTorch differ by at most \de-1[4-6] after 1000 epochs",
    "03_regression.py": r"net - line on the same data: -0\.[3-9]\d* \[",
    "04_breast_cancer.py": r"what scaling is worth on the same splits: 0\.0\d+ \[0\.0",
    "05_mnist.py": r"CNN less MLP on the same seeds: ",
    "06_airline.py": r"seasonal naive: 46\.1",
    "07_autoencoders.py": r"vae: off by .*, samples .* standard deviations from the data",
    "08_step_by_step.py": r"step 300: fakes [234]\.",
    "09_vectors.py": r"mended, seed 3: mean -?0\.\d\d \(0\), standard deviation (0\.[89]|1\.[01])",
    "10_line.py": r"minimax: the generator's gradient lost [0-9.]+ decades",
    "11_digits.py": r"a digit of seed 1:",
    "12_bad_news.py": r"nsgan: [2-4] of 4 seeds failed",
    "13_applications.py": r"translation adversarial=1: recognised [5-9]\d%",
    "14_pytorch.py": r"step 99: loss 0\.\d+",
}
"""What each script must say, as a regular expression."""


def test_every_script_has_an_answer() -> None:
    assert {path.name for path in SCRIPTS} == set(ANSWERS)


LONG = ("05_mnist.py", "09_vectors.py", "10_line.py", "12_bad_news.py")
"""Scripts that take enough steps for what they show, ten to thirty seconds."""


@pytest.mark.parametrize(
    "script", [pytest.param(path, marks=[pytest.mark.slow] * (path.name in LONG), id=path.name) for path in SCRIPTS]
)
def test_a_script_runs_and_speaks(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(script.read_text(encoding="utf-8").splitlines()) < 80
    with torch.random.fork_rng():
        runpy.run_path(str(script), run_name="__main__")
    said = capsys.readouterr().out
    assert re.search(ANSWERS[script.name], said), said
    assert "nan" not in said.lower().split()


@pytest.mark.slow
@pytest.mark.skipif(find_spec("keras") is None or find_spec("tensorflow") is None, reason="needs the extra frameworks")
@pytest.mark.parametrize("script", FRAMEWORKS, ids=lambda path: path.name)
def test_a_script_of_another_framework_runs_and_speaks(script: Path) -> None:
    said = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True).stdout
    assert len(said.splitlines()) >= 3
    assert "nan" not in said.lower().split()
