"""What the lecture's studies train: a file a study. Those without one here are computed on the spot."""

from __future__ import annotations

from benchmarks.lecture import (
    airline,
    autoencoders,
    bad_news,
    breast_cancer,
    digits,
    line,
    regression,
    step_by_step,
    vectors,
)
from ganlab.experiment import Experiment

STUDIES = {
    "regression": regression.experiments,
    "breast_cancer": breast_cancer.experiments,
    "airline": airline.experiments,
    "autoencoders": autoencoders.experiments,
    "step_by_step": step_by_step.experiments,
    "vectors": vectors.experiments,
    "line": line.experiments,
    "digits": digits.experiments,
    "bad_news": bad_news.experiments,
}


def experiments(profile: str) -> dict[str, list[Experiment]]:
    """Return the experiments of each study at a profile."""
    return {name: plan(profile) for name, plan in STUDIES.items()}
