"""What the lecture's studies train or measure: a file a study. Those without one here are computed on the spot."""

from __future__ import annotations

from benchmarks.lecture import (
    airline,
    applications,
    autoencoders,
    bad_news,
    breast_cancer,
    digits,
    frameworks,
    line,
    mnist,
    regression,
    step_by_step,
    vectors,
)
from ganlab.experiment import Experiment, Run
from ganlab.store import Store

STUDIES = {
    "regression": regression.experiments,
    "breast_cancer": breast_cancer.experiments,
    "mnist": mnist.experiments,
    "airline": airline.experiments,
    "autoencoders": autoencoders.experiments,
    "step_by_step": step_by_step.experiments,
    "vectors": vectors.experiments,
    "line": line.experiments,
    "digits": digits.experiments,
    "bad_news": bad_news.experiments,
    "applications": applications.experiments,
}

MEASURED = {"frameworks": frameworks.measure}
"""Studies of this machine, which are measured after all training, which would disturb them."""


def experiments(profile: str) -> dict[str, list[Experiment]]:
    """Return the experiments of each study at a profile."""
    return {name: plan(profile) for name, plan in STUDIES.items()}


def measure(profile: str, store: Store) -> dict[str, list[Run]]:
    """Return the measurements of each study of this machine, from the store where they are there."""
    return {name: measured(profile, store) for name, measured in MEASURED.items()}
