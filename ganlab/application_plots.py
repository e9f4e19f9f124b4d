"""Pictures of what GANs are used for, in pairs as in `plots.py`: digits for a label, translations, scores by seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ganlab import stats, trace
from ganlab.experiment import Run


def frame_asked(run: Run, n_seeds: int = 4) -> pd.DataFrame:
    """Return a strip of images for each of some seeds, one for each class in their order: strip, x, y, pixel.

    Each is the first that the seed made for the class, not the best.
    """
    strips: dict[str, Iterable[NDArray[Any]]] = {}
    for member in run.experiment.members()[:n_seeds]:
        made, asked = run.samples["generated"][member.place, -1, :, 0], run.samples["asked"][member.place]
        strips[f"seed {member.seed}"] = [made[np.flatnonzero(asked == label)[0]] for label in np.unique(asked)]
    return frame_strips(strips)


def frame_translations(runs: Mapping[str, Run], n: int = 10) -> pd.DataFrame:
    """Return strips of the first test images: their edges, each run's translations by its first seed, the true digits.

    Parameters
    ----------
    runs
        By name; all on the same images.
    """
    samples = next(iter(runs.values())).samples
    translated: dict[str, Iterable[NDArray[Any]]] = {name: run.samples["predicted"][0, :n] for name, run in runs.items()}
    return frame_strips({"edges": samples["inputs"][0, :n]} | translated | {"the digits": samples["truth"][0, :n]})


def frame_strips(strips: Mapping[str, Iterable[NDArray[Any]]]) -> pd.DataFrame:
    """Return images in [-1, 1] side by side, a column of white between them: strip, x, y, pixel (0 to 255)."""
    parts = []
    for name, images in strips.items():
        for i, image in enumerate(images):
            y, x = np.indices(image.shape)
            pixels = (127.5 * (np.asarray(image).ravel() + 1)).round(1)
            x = x.ravel() + i * (image.shape[1] + 1)
            parts.append(pd.DataFrame({"strip": name, "x": x, "y": y.ravel(), "pixel": pixels}))
    return pd.concat(parts, ignore_index=True)


def frame_accuracies(runs: Sequence[Run]) -> pd.DataFrame:
    """Return one row a seed of each run: variant, seed, value, and the mean over seeds with its interval: mean, low, high.

    The columns are those that `learning_plots.draw_scores` draws.
    """
    parts = []
    for run in runs:
        values = trace.last(run.trace, "test_accuracy").to_numpy()
        mean = stats.mean_of_finite(values)
        part = pd.DataFrame({"variant": run.experiment.subject, "seed": run.experiment.seeds, "value": values})
        parts.append(part.assign(mean=mean.estimate, low=mean.low, high=mean.high))
    return pd.concat(parts, ignore_index=True)
