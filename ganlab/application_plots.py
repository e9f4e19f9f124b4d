"""Pictures of what GANs are used for, in pairs as in `plots.py`: digits for a label, translations, scores by seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ganlab import stats, trace
from ganlab.experiment import Run


def frame_asked(run: Run, n_seeds: int = 4) -> pd.DataFrame:
    """Return one image for each class and seed, pixel by pixel: asked, seed, x, y, pixel (0 to 255).

    It is the first that the seed made for the class, not the best; a class that was not asked for is left out.
    """
    pictures = []
    for member in run.experiment.members()[:n_seeds]:
        made, asked = run.samples["generated"][member.place, -1, :, 0], run.samples["asked"][member.place]
        for label in np.unique(asked):
            names = {"asked": f"a {label}", "seed": f"seed {member.seed}"}
            pictures.append(_pixels(made[np.flatnonzero(asked == label)[0]], names))
    return pd.concat(pictures, ignore_index=True)


def frame_translations(runs: Mapping[str, Run], n: int = 8) -> pd.DataFrame:
    """Return the first test images, pixel by pixel: what (edges, each run's translation, the digit), image, x, y, pixel.

    Parameters
    ----------
    runs
        By name; of each the first seed.
    """
    samples = next(iter(runs.values())).samples
    rows = {"edges": samples["inputs"][0], **{name: run.samples["predicted"][0] for name, run in runs.items()}}
    rows["the digit"] = samples["truth"][0]
    return pd.concat(list(_rows(rows, n)), ignore_index=True)


def _rows(rows: Mapping[str, NDArray[Any]], n: int) -> Iterator[pd.DataFrame]:
    for what, images in rows.items():
        for i, image in enumerate(images[:n]):
            yield _pixels(image, {"what": what, "image": f"{i + 1}"})


def _pixels(image: NDArray[Any], names: Mapping[str, str]) -> pd.DataFrame:
    """Return an image in [-1, 1] as one row a pixel, from 0 for black to 255."""
    y, x = np.indices(image.shape)
    return pd.DataFrame({**names, "x": x.ravel(), "y": y.ravel(), "pixel": (127.5 * (image.ravel() + 1)).round(1)})


def frame_accuracies(runs: Sequence[Run]) -> pd.DataFrame:
    """Return one row a seed of each run: variant, seed, value, and the mean over seeds with its interval: mean, low, high.

    The columns are those that `learning_plots.draw_scores` draws.
    """
    parts = []
    for run in runs:
        values = trace.last(run.trace, "test_accuracy").to_numpy()
        mean = stats.mean(values)
        part = pd.DataFrame({"variant": run.experiment.subject, "seed": run.experiment.seeds, "value": values})
        parts.append(part.assign(mean=mean.estimate, low=mean.low, high=mean.high))
    return pd.concat(parts, ignore_index=True)
