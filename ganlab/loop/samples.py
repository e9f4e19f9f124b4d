"""L4xx: data and samples; L5xx: randomness."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from ganlab.loop.record import Forward, Record, Values
from ganlab.loop.rules import ENOUGH, RULES, Found

BOUNDED = {"Tanh": (-1.0, 1.0), "Sigmoid": (0.0, 1.0)}
FAR = 10.0
"""Root mean square from which data are far from unit scale."""


def reals(record: Record) -> list[Forward]:
    """Return the calls with real samples; none when the loop changes samples on the way, unless they are in the data."""
    altered = any(f.altered for f in record.forwards)
    return [f for f in record.forwards if f.kind == "real" and f.shown.finite and (f.known_real or not altered)]


def made(record: Record) -> list[Forward]:
    """Return the generator's calls of which the last operation is known."""
    return [f for f in record.forwards if f.player == "generator" and f.last is not None and f.given.finite]


@RULES.register(
    "L401", source="Radford et al. 2016, section 4", title="the generator's range is not that of the data",
    cause="the last activation and the scaling of the data do not go together",
    fix="scale data to [-1, 1] for tanh and to [0, 1] for a sigmoid, or end the generator linearly",
)  # fmt: skip
def output_range(record: Record) -> Iterator[Found]:
    """The generator ends in tanh or a sigmoid, and the real samples fill another range."""
    shown, outputs = [f.shown for f in reals(record)], made(record)
    if len(shown) < 2 or len(outputs) < 2 or _far([*shown]):
        return
    last = {f.last for f in outputs}
    low, high = min(v.low for v in shown), max(v.high for v in shown)
    n = sum(v.n for v in shown)
    for activation, (bottom, top) in BOUNDED.items():
        beyond = sum(v.beyond * v.n for v in shown) / n
        negative = sum(v.negative * v.n for v in shown) / n
        half = activation == "Tanh" and 0 <= low < 0.1 and 0.9 < high <= 1.001
        outside = activation == "Tanh" and beyond > 0.05
        below = activation == "Sigmoid" and negative > 0.05
        if last == {activation} and (half or outside or below):
            yield Found(
                0,
                "generator",
                f"the generator's {activation.lower()} gives [{bottom:g}, {top:g}], and real samples lie in "
                f"[{low:.3g}, {high:.3g}] ({n} numbers); {beyond:.0%} of them are beyond 1, {negative:.0%} below 0",
            )


def _far(shown: list[Values]) -> bool:
    return all(v.rms > FAR for v in shown)


@RULES.register(
    "L402", source="Radford et al. 2016, section 4", title="the data are not normalised",
    cause="raw pixels or raw columns are shown to a discriminator whose other half of the batch is of unit scale",
    fix="scale the data to the generator's range",
)  # fmt: skip
def not_normalised(record: Record) -> Iterator[Found]:
    """Real samples are many times larger than the generator's at all times."""
    shown = [f.shown for f in reals(record)]
    fakes = [f.given for f in record.forwards if f.player == "generator" and f.given.n and f.given.finite]
    if len(shown) < 2 or len(fakes) < 2 or not _far(shown):
        return
    size, other = min(v.rms for v in shown), max(v.rms for v in fakes)
    if size > 5 * other:
        low, high = min(v.low for v in shown), max(v.high for v in shown)
        yield Found(
            0,
            "data",
            f"real samples lie in [{low:.4g}, {high:.4g}] with a root mean square of at least {size:.3g}; "
            f"the generator's is at most {other:.3g}",
        )


@RULES.register(
    "L403", source="Mirza and Osindero 2014, section 3", title="labels do not belong to their samples",
    cause="samples and labels are shuffled or sorted separately",
    fix="draw one permutation and use it for both, or keep them in one data set",
)  # fmt: skip
def shuffled_labels(record: Record) -> Iterator[Found]:
    """Real samples come with labels that they do not have in the data that were passed."""
    seen = [f for f in record.forwards if f.labels is not None and f.labels[1]]
    wrong = [f for f in seen if f.labels is not None and f.labels[0] < 0.8 * f.labels[1]]
    if len(wrong) >= ENOUGH and len(wrong) == len(seen):
        own, n = (sum(f.labels[i] for f in wrong if f.labels is not None) for i in (0, 1))
        yield Found(
            wrong[0].step, "data", f"{n - own} of {n} real samples that are in the data come with another label than there"
        )


@RULES.register(
    "L404", source="igul222/improved_wgan_training#20", title="real samples are rounded to whole numbers",
    cause="the data pass through an integer type after they were scaled",
    fix="convert to float before scaling",
)  # fmt: skip
def rounded(record: Record) -> Iterator[Found]:
    """The discriminator is shown whole numbers, and the data that were passed are none."""
    shown = [f for f in record.forwards if f.kind == "real" and f.shown.n]
    if record.data is None or record.data.whole or len(shown) < ENOUGH:
        return
    if all(f.shown.whole for f in shown):
        low, high = min(f.shown.low for f in shown), max(f.shown.high for f in shown)
        yield Found(
            shown[0].step,
            "data",
            f"all {sum(f.shown.n for f in shown)} numbers in {len(shown)} real batches are whole "
            f"({low:g} to {high:g}); the data lie in [{record.data.low:.3g}, {record.data.high:.3g}] and are not",
        )


@RULES.register(
    "L501", source="Goodfellow et al. 2014, algorithm 1", title="the latent is the same",
    cause="the latent is drawn once before the loop, or for one sample, or the seed is set anew in each step",
    fix="draw a latent for each sample in each step",
)  # fmt: skip
def same_latent(record: Record) -> Iterator[Found]:
    """All updates of the generator come from one batch of latents, or all samples of each batch from one latent."""
    updates = [[f for f in record.reached(u, "generator") if f.prints] for u in record.of("generator")]
    calls = [calls for calls in updates if calls]
    if len(calls) < ENOUGH:
        return
    prints = {f.prints for group in calls for f in group}
    shown = [f for f in record.forwards if f.kind == "real"]
    given = calls[0][0].shape
    alike = any(f.shape == given for f in shown) and len({f.shown.print for f in shown}) < 2
    if len(prints) == 1 and (alike or any(n > 1 for n in given[1:])):
        return  # its input is a sample, and the data may be one batch of them
    if len(prints) == 1:
        yield Found(
            calls[0][0].step, "generator", f"all {len(calls)} updates of the generator had the same latent, to the last bit"
        )
    elif all(f.identical_rows for group in calls for f in group):
        yield Found(
            calls[0][0].step, "generator", f"in all {len(calls)} updates of the generator, the rows of its latent were equal"
        )


@RULES.register(
    "L502", source="PyTorch's documentation of torch.utils.data, randomness in workers", title="real batches repeat each other",
    cause="the workers of a loader draw from copies of one seed, as NumPy's global state does",
    fix="seed each worker in worker_init_fn, or draw from torch's own generator",
)  # fmt: skip
def repeated_batches(record: Record) -> Iterator[Found]:
    """Real batches come in runs of equal ones, several times, and were loaded anew each time."""
    by_step: dict[int, dict[bytes, Forward]] = {}
    for f in record.forwards:
        if f.kind == "real" and not f.same_memory and f.shown.print not in by_step.setdefault(f.step, {}):
            by_step[f.step][f.shown.print] = f
    order = [f for found in by_step.values() for f in found.values()]
    runs = [list(group) for _, group in groupby(order, key=lambda f: f.shown.print)]
    repeated = [run for run in runs if len(run) > 1]
    if len(repeated) >= 2 and len(runs) >= ENOUGH:
        steps = "; ".join(", ".join(str(f.step) for f in run) for run in repeated[:3])
        yield Found(
            repeated[0][1].step,
            "data",
            f"{len(repeated)} batches came again in the steps after: equal batches in steps {steps}",
        )
