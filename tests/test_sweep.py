"""Sweeps train what is missing, find what is stored, and lose no finished run, whatever ends them."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
import types
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from ganlab import blocks
from ganlab import sweep as sweeping
from ganlab.blocks import WIDTHS, split
from ganlab.experiment import Experiment, Run, outcome
from ganlab.planning import plan
from ganlab.registry import InputError
from ganlab.store import ASIDE, BLOCK, Store
from ganlab.supervised import plan as plan_classifier
from ganlab.sweep import perform, sweep
from ganlab.trace import COLUMNS

TINY = {"seeds": 2, "steps": 3, "hidden": (4,), "batch": 4, "evaluation": 16}


def planned(*variants: str, **changes: object) -> list[Experiment]:
    return [plan(name, "ring8", **{**TINY, **changes}) for name in variants]


class Said:
    """What a sweep says, line by line."""

    def __init__(self) -> None:
        self.text = io.StringIO()
        self.console = Console(file=self.text, width=200)

    def lines(self) -> list[str]:
        """What was said but for the memory, which has a test of its own."""
        return [line for line in self.text.getvalue().splitlines() if not line.startswith("memory: ")]


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The subjects that were trained in this process, in order."""
    subjects: list[str] = []

    def performed(experiment: Experiment, tick: object = None, *, places: Sequence[int]) -> object:
        subjects.append(experiment.subject)
        return perform(experiment, tick, places=places)  # type: ignore[arg-type]

    monkeypatch.setattr(sweeping, "perform", performed)
    return subjects


def test_a_sweep_trains_what_is_missing_and_returns_all_in_order(tmp_path: Path, trained: list[str]) -> None:
    store, said = Store(tmp_path / "new" / "store"), Said()
    first, second, third = planned("nsgan", "lsgan", "hinge")
    sweep([second], store, workers=1, console=said.console)
    runs = sweep([first, second, third], store, workers=1, console=said.console)
    assert [run.experiment for run in runs] == [first, second, third]
    assert trained == ["lsgan", "nsgan", "hinge"]
    assert said.lines() == [
        f"1 runs to train, 0 found in {store.path}", "[1/1] lsgan on ring8, 2 seeds",
        f"2 runs to train, 1 found in {store.path}", "[1/2] nsgan on ring8, 2 seeds", "[2/2] hinge on ring8, 2 seeds",
    ]  # fmt: skip


def test_a_sweep_of_stored_runs_trains_nothing_and_says_so(tmp_path: Path, trained: list[str]) -> None:
    store, said = Store(tmp_path), Said()
    chosen = planned("nsgan", "lsgan")
    before = sweep(chosen, store, workers=1, console=said.console)
    trained.clear()
    again = sweep(chosen[::-1], store, workers=1, console=said.console)
    assert trained == []
    assert said.lines()[-1] == f"0 runs to train, 2 found in {store.path}"
    for run, other in zip(before, again[::-1], strict=True):
        pd.testing.assert_frame_equal(run.trace, other.trace, check_exact=True)


def test_the_same_run_twice_is_trained_once_and_returned_twice(tmp_path: Path, trained: list[str]) -> None:
    said = Said()
    (one,), (same,) = planned("nsgan"), planned("nsgan")
    runs = sweep([one, same, one], Store(tmp_path), workers=1, console=said.console)
    assert [run.experiment for run in runs] == [one] * 3
    assert trained == ["nsgan"]
    assert said.lines()[0] == f"1 runs to train, 0 found in {tmp_path}"


@pytest.mark.parametrize("name", ["trace.csv.gz", "experiment.json", "samples.npz"])
def test_a_damaged_run_is_named_and_trained_again_and_the_others_are_not(
    name: str, tmp_path: Path, trained: list[str]
) -> None:
    store, said = Store(tmp_path), Said()
    chosen = planned("nsgan", "lsgan")
    before = sweep(chosen, store, workers=1, console=said.console)
    trained.clear()
    (store.path / chosen[1].id / name).write_bytes(b"x")
    after = sweep(chosen, store, workers=1, console=said.console)
    assert trained == ["lsgan"]
    (line,) = [line for line in said.lines() if "is damaged" in line]
    assert chosen[1].id in line
    assert line.endswith(": it is trained again")
    pd.testing.assert_frame_equal(after[1].trace, before[1].trace, check_exact=True)
    assert [store.fault(found) for found in store.ids()] == [None, None]


def test_nothing_to_do_is_done(tmp_path: Path) -> None:
    assert sweep([], Store(tmp_path), console=Said().console) == []


def test_a_store_that_cannot_be_written_is_refused_before_training(tmp_path: Path, trained: list[str]) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot write to the folder"):
        sweep(planned("nsgan"), Store(tmp_path / "file" / "runs"), workers=1, console=Said().console)
    assert trained == []


def test_a_run_that_fails_ends_the_sweep_and_keeps_the_finished_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = planned("nsgan")[0], planned("lsgan")[0]

    def fail(experiment: Experiment, tick: object = None, *, places: Sequence[int]) -> object:
        if experiment == bad:
            raise RuntimeError("a bug in a net")
        return perform(experiment, places=places)

    monkeypatch.setattr(sweeping, "perform", fail)
    with pytest.raises(RuntimeError, match="a bug in a net") as caught:
        sweep([good, bad], Store(tmp_path), workers=1, console=Said().console)
    assert caught.value.__notes__ == [f"while training lsgan on ring8 ({bad.id}), members 0 to 1"]
    assert Store(tmp_path).ids() == [good.id]
    assert [p.name for p in tmp_path.iterdir()] == [good.id]


def test_the_longest_runs_come_first_so_that_no_core_waits_at_the_end(tmp_path: Path, trained: list[str]) -> None:
    short, long = planned("nsgan")[0], planned("wgan_gp", steps=5)[0]
    runs = sweep([short, long], Store(tmp_path), workers=1, console=Said().console)
    assert trained == ["wgan_gp", "nsgan"]
    assert [run.experiment for run in runs] == [short, long]


def test_classifiers_and_gans_are_swept_together(tmp_path: Path) -> None:
    chosen = [*planned("nsgan"), plan_classifier("mlp", "digits", seeds=1, epochs=1, n_train=256)]
    runs = sweep(chosen, Store(tmp_path), workers=1, console=Said().console)
    assert [run.experiment.kind for run in runs] == ["gan", "classifier"]
    assert "test_accuracy" in set(runs[1].trace["name"])


# --- blocks of members -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_members", "workers", "widths"),
    [
        (1, 2, [1]), (3, 2, [3]), (7, 2, [7]), (8, 1, [8]), (8, 2, [4, 4]), (9, 2, [5, 4]), (10, 2, [5, 5]), (11, 1, [6, 5]),
        (12, 2, [6, 6]), (13, 2, [7, 6]), (16, 2, [8, 8]), (16, 4, [4] * 4), (16, 64, [4] * 4), (17, 2, [6, 6, 5]),
        (18, 2, [6] * 3), (25, 2, [5] * 5), (32, 2, [8] * 4), (32, 8, [4] * 8), (36, 2, [6] * 6), (40, 2, [8] * 5),
        (41, 2, [7, 7, 7, 7, 7, 6]),
    ],
)  # fmt: skip
def test_blocks_are_near_equal_and_as_many_as_workers(n_members: int, workers: int, widths: list[int]) -> None:
    assert sorted(map(len, split(n_members, workers, (4, 8))), reverse=True) == widths


@pytest.mark.parametrize("n_members", range(1, 60))
def test_blocks_hold_each_member_once_and_none_is_tiny(n_members: int) -> None:
    for workers in (1, 2, 3, 8):
        for width, at_most in ((WIDTHS["gan"], 99), (WIDTHS["gan"], 3), (WIDTHS["classifier"], 99), ((5, 5), 99)):
            blocks = split(n_members, workers, width, at_most)
            assert [place for places in blocks for place in places] == list(range(n_members))
            widths = [len(places) for places in blocks]
            assert max(widths) <= min(width[1], at_most)
            assert max(widths) - min(widths) <= 1
            if n_members >= width[0] and at_most == 99 and width == WIDTHS["gan"]:
                assert min(widths) >= width[0]
                assert len(blocks) >= min(workers, n_members // width[0])


def test_a_run_trained_in_blocks_is_the_run_trained_together(tmp_path: Path) -> None:
    """The same draws and rows to the bit, and numbers but for the rounding of sums in batches of another width."""
    planned_run = plan("wgan_gp", "ring8", seeds=[3, 8, 1], steps=4, hidden=(8,), batch=8, evaluation=64, r1=[0.1, 1.0])
    together = perform(planned_run)
    (joined,) = sweep([planned_run], Store(tmp_path), workers=1, console=Said().console, block=2)
    assert joined.environment["block"] == [2, 2, 2]
    keys = list(COLUMNS[:-1])
    pd.testing.assert_frame_equal(joined.trace[keys], together.trace[keys], check_exact=True)
    np.testing.assert_allclose(joined.trace["value"], together.trace["value"], rtol=1e-4, atol=1e-5)
    pd.testing.assert_frame_equal(joined.outcome, together.outcome, check_exact=True)
    assert set(joined.samples) == set(together.samples)
    np.testing.assert_array_equal(joined.samples["real"], together.samples["real"])
    np.testing.assert_array_equal(joined.samples["generated"][:, 0], together.samples["generated"][:, 0])
    np.testing.assert_allclose(joined.samples["generated"], together.samples["generated"], rtol=1e-4, atol=1e-5)


@pytest.fixture
def stubbed(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """A trainer without torch: remembers what it trained, as first and last place, fails where told, and has known needs."""
    made = types.SimpleNamespace(trained=[], fatal=None, fixed=100e6, member=10e6, memory=1e12)

    def performed(experiment: Experiment, tick: object = None, *, places: Sequence[int]) -> Run:
        if places == made.fatal:
            raise KeyboardInterrupt
        made.trained.append((places[0], places[-1]))
        return Run(experiment, pd.DataFrame(columns=list(COLUMNS)), outcome(experiment, {}, places), {}, {})

    made.perform = performed
    made.need = lambda experiment: types.SimpleNamespace(fixed=made.fixed, member=made.member)
    made.available = lambda device: made.memory
    monkeypatch.setitem(sys.modules, "stub", made)
    monkeypatch.setattr(sweeping, "TRAINERS", {"gan": "stub"})
    monkeypatch.setattr(blocks, "MEMORY", "stub")
    return made


def many(n_seeds: int) -> Experiment:
    return Experiment("gan", "nsgan", "ring8", tuple(range(n_seeds)), 10, 5)


def test_a_stopped_sweep_continues_after_its_last_block(tmp_path: Path, stubbed: types.SimpleNamespace) -> None:
    stubbed.fatal = range(16, 24)
    with pytest.raises(KeyboardInterrupt):
        sweep([many(32)], Store(tmp_path), workers=1, console=Said().console, block=8)
    assert stubbed.trained == [(0, 7), (8, 15)]
    stubbed.fatal, said = None, Said()
    (run,) = sweep([many(32)], Store(tmp_path), workers=1, console=said.console, block=8)
    assert stubbed.trained == [(0, 7), (8, 15), (16, 23), (24, 31)]
    assert "2 of 4 blocks of members are found" in said.lines()
    assert run.outcome["member"].tolist() == list(range(32))
    assert run.environment == {"block": [8, 8, 8, 8]}
    assert [path.name for path in tmp_path.iterdir()] == [run.experiment.id]


def test_blocks_of_another_split_and_damaged_ones_are_said_and_trained_again(
    tmp_path: Path, stubbed: types.SimpleNamespace
) -> None:
    stubbed.fatal = range(16, 24)
    with pytest.raises(KeyboardInterrupt):
        sweep([many(24)], Store(tmp_path), workers=1, console=Said().console, block=8)
    (tmp_path / f"{BLOCK}{many(24).id}-0-7" / "outcome.csv").write_text("member\n")
    said = Said()
    with pytest.raises(KeyboardInterrupt):
        sweep([many(24)], Store(tmp_path), workers=1, console=said.console, block=8)
    assert stubbed.trained == [(0, 7), (8, 15), (0, 7)]
    assert any("is damaged: outcome.csv" in line and line.endswith("it is trained again") for line in said.lines())
    said = Said()
    sweep([many(24)], Store(tmp_path), workers=1, console=said.console, block=12)
    assert stubbed.trained[3:] == [(0, 11), (12, 23)]
    assert sum("has members of another split: it is trained again" in line for line in said.lines()) == 2
    assert [path.name for path in tmp_path.iterdir()] == [many(24).id]


def test_blocks_that_are_all_there_are_joined_and_those_of_a_stored_run_go(
    tmp_path: Path, stubbed: types.SimpleNamespace
) -> None:
    store, e = Store(tmp_path), many(16)
    for places in (range(8), range(8, 16)):
        store.save_block(stubbed.perform(e, places=places))
    stubbed.trained.clear()
    (run,) = sweep([e], store, workers=1, console=Said().console)
    assert len(run.outcome) == 16
    store.save_block(stubbed.perform(e, places=range(8)))
    stubbed.trained.clear()
    sweep([e], store, workers=1, console=Said().console)
    assert stubbed.trained == []
    assert [path.name for path in tmp_path.iterdir()] == [e.id]


@pytest.mark.parametrize(
    ("few", "workers", "widths"), [(False, 1, [16]), (True, 2, [8, 8]), (True, 4, [4] * 4), (False, 4, [8, 8])]
)
def test_a_run_alone_is_split_for_all_workers_and_one_of_many_is_not(
    few: bool, workers: int, widths: list[int], stubbed: types.SimpleNamespace
) -> None:
    planned = blocks.fit([many(16)], workers, None, few)
    assert [len(places) for places in planned.splits[many(16)]] == widths


def test_an_interrupted_sweep_of_many_goes_on_with_the_same_blocks(
    tmp_path: Path, stubbed: types.SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When one of two runs is there the other is still one of many, and its blocks must not change."""
    store, first, second, asked, real = Store(tmp_path), many(20), many(24), [], blocks.fit
    sweep([first], store, workers=1, console=Said().console)

    def fit(missing: list[Experiment], workers: int, block: int | None, few: bool) -> blocks.Plan:
        asked.append((list(missing), few))
        return real(missing, 1, block, few)  # in this process, where the stub is

    monkeypatch.setattr(sweeping, "fit", fit)
    sweep([first, second], store, workers=2, console=Said().console)
    assert asked == [([second], False)]
    whole = real([first, second], 2, None, False).splits[second]
    assert real([second], 2, None, False).splits[second] == whole


def test_memory_is_told_before_the_run(tmp_path: Path, stubbed: types.SimpleNamespace) -> None:
    said = Said()
    sweep([many(16)], Store(tmp_path), workers=1, console=said.console)
    assert "memory: about 0.26 GB a worker (0.10 GB + 16 members x 10 MB), 1 worker" in said.text.getvalue().splitlines()


def test_a_block_that_does_not_fit_is_split_into_fewer_members(tmp_path: Path, stubbed: types.SimpleNamespace) -> None:
    """0.8 x 170 MB less 100 MB hold three members of 10 MB."""
    stubbed.memory = 170e6
    (run,) = sweep([many(8)], Store(tmp_path), workers=1, console=Said().console)
    assert run.environment["block"] == [3, 3, 2]


def test_workers_are_fewer_where_memory_is_short(tmp_path: Path, stubbed: types.SimpleNamespace) -> None:
    """0.8 x 170 MB hold one process, not two, and it then trains the members that a half would hold: one each."""
    stubbed.memory, said = 170e6, Said()
    sweep([many(8)], Store(tmp_path), workers=2, console=said.console)
    assert said.text.getvalue().splitlines()[1] == "memory: about 0.11 GB a worker (0.10 GB + 1 members x 10 MB), 1 worker"
    assert len(stubbed.trained) == 8


def test_what_cannot_fit_is_refused_with_what_it_needs_and_what_to_change(
    tmp_path: Path, stubbed: types.SimpleNamespace
) -> None:
    stubbed.memory, stubbed.member = 1e9, 2.5e9
    message = (
        r"nsgan on ring8 needs about 2\.60 GB to train one member, and there are 0\.80 GB for it; "
        "make batch, hidden or evaluation smaller"
    )
    with pytest.raises(InputError, match=message):
        sweep([many(8)], Store(tmp_path), workers=1, console=Said().console)
    assert stubbed.trained == []


@pytest.mark.parametrize("block", [0, -1, 1.5, True])
def test_a_block_is_a_whole_number_of_members(block: object, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="block must be a whole number of at least 1"):
        sweep([many(2)], Store(tmp_path), console=Said().console, block=block)  # type: ignore[arg-type]


# --- ended from outside ------------------------------------------------------------------------------------------------

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc and kills by signal")

STUDY = """
    import json, os, signal, sys, time, types
    import ganlab.sweep
    from pathlib import Path

    def perform(experiment, tick=None, *, places):
        name = f"{experiment.subject} {places[0]}"
        log = Path("log").read_text().splitlines() if Path("log").exists() else []
        with open("log", "a") as file:
            file.write(name + chr(10))
        if log.count(name) < json.loads(sys.argv[5]).get(name, 0):
            os.kill(os.getpid(), signal.SIGKILL)
        started = time.monotonic()
        while time.monotonic() - started < float(sys.argv[2]) and not tick(1):
            time.sleep(0.01)
        return experiment_run(experiment, places)

    def experiment_run(experiment, places):
        import numpy, pandas
        from ganlab.experiment import Run, outcome
        from ganlab.trace import COLUMNS
        values = numpy.arange(200_000.0)            # some megabytes, so that kills fall into the writing as well
        trace = pandas.DataFrame(columns=list(COLUMNS))
        return Run(experiment, trace, outcome(experiment, {}, places), {"values": values}, {})

    # In place of torch, which takes seconds to import; the parent and its workers run these lines alike.
    sys.modules["torch"] = types.SimpleNamespace(set_num_threads=lambda n: None)
    need = types.SimpleNamespace(fixed=1, member=1)
    sys.modules["stub"] = types.SimpleNamespace(perform=perform, need=lambda e: need, available=lambda device: 1e9)
    ganlab.sweep.TRAINERS = {"gan": "stub"}
    ganlab.blocks.MEMORY = "stub"

    if __name__ == "__main__":
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start with Ctrl-C ignored
        from ganlab.cli import finish
        from ganlab.experiment import Experiment
        from ganlab.store import Store
        seeds = tuple(range(int(sys.argv[4])))
        chosen = [Experiment("gan", f"variant{i}", "ring8", seeds, 1000, 10) for i in range(int(sys.argv[3]))]
        finish(lambda: len(ganlab.sweep.sweep(chosen, Store(sys.argv[1]), workers=2)) - len(chosen))
"""
"""Sweeps runs whose blocks take the given seconds each, in two processes; a worker dies in a block as often as is told."""


class Study:
    """A sweep in a process of its own, its words in a file, and a mark by which its workers are known."""

    def __init__(
        self, folder: Path, seconds: float, n_runs: int, code: str = STUDY, *, seeds: int = 2, deaths: str = "{}"
    ) -> None:
        self.mark, self.said = f"GANLAB_TEST_{uuid.uuid4().hex}", folder / f"said-{uuid.uuid4().hex}"
        script = folder / "study.py"
        script.write_text(textwrap.dedent(code))
        environment = {**os.environ, self.mark: "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        with open(self.said, "w") as words:
            self.process = subprocess.Popen(
                [sys.executable, str(script), str(folder / "store"), str(seconds), str(n_runs), str(seeds), deaths],
                env=environment, cwd=folder, stdout=words, stderr=words, start_new_session=True,
            )  # fmt: skip

    def text(self) -> str:
        return self.said.read_text()

    def reported(self) -> set[str]:
        """The subjects that were reported as finished."""
        return set(re.findall(r"\[\d+/\d+\] (\S+) on", self.text()))

    def wait_until(self, said: str, at_most: float = 60) -> None:
        deadline = time.monotonic() + at_most
        while said not in self.text():
            assert time.monotonic() < deadline, self.text()
            assert self.process.poll() is None, self.text()
            time.sleep(0.005)

    def alive(self) -> list[int]:
        """The processes that carry the mark: this one, its workers, and what they started."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    marked = self.mark.encode() in (entry / "environ").read_bytes()
                    zombie = (entry / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
                except OSError:  # ended meanwhile, or somebody else's
                    continue
                if marked and not zombie:
                    found.append(int(entry.name))
        return found

    def gone_after(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def clear(self) -> None:
        for number in self.alive():
            os.kill(number, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def studies() -> Iterator[list[Study]]:
    """Studies that are ended with the test, however it ends."""
    started: list[Study] = []
    yield started
    for study in started:
        study.clear()


def sound(folder: Path) -> set[str]:
    """Return the subjects of the stored runs, after checking that there is no half run."""
    store = Store(folder / "store")
    assert [store.fault(name) for name in store.ids()] == [None] * len(store.ids())
    blocks = [p.name for p in store.path.iterdir() if p.name.startswith(BLOCK)]
    assert [store.fault(name) for name in blocks] == [None] * len(blocks)
    assert {p.name for p in store.path.iterdir() if not p.name.startswith(ASIDE)} == {*store.ids(), *blocks}
    return {run.experiment.subject for run in store.runs()}


KILLS = (("0 found", 0.9), ("[1/", 0.0), ("[3/", 0.07))
"""After which words, and how many seconds later: while workers start, when the first is done, while they write."""


@linux
@pytest.mark.slow
def test_a_killed_sweep_loses_no_reported_run_leaves_no_worker_and_is_completed(tmp_path: Path, studies: list[Study]) -> None:
    n_runs, finished = 24, set[str]()
    for said, seconds in KILLS:
        studies.append(study := Study(tmp_path, 0.02, n_runs, seeds=16))
        study.wait_until(said.replace("0 found", f"{len(finished)} found"))
        time.sleep(seconds)
        study.process.kill()
        assert study.process.wait() == -signal.SIGKILL, study.text()
        reported = study.reported()
        assert study.gone_after(2.5), f"workers live on after a kill {seconds} s after {said!r}"
        finished |= reported
        stored = sound(tmp_path)
        assert finished <= stored
        assert len(stored) < n_runs, "the sweep ended before the kill: the test has shown nothing"
        finished = stored
    assert len(finished) >= 4
    studies.append(study := Study(tmp_path, 0.02, n_runs, seeds=16))
    assert study.process.wait(60) == 0, study.text()
    assert f"{n_runs - len(finished)} runs to train, {len(finished)} found in " in study.text()
    assert len(study.reported()) == n_runs - len(finished)
    assert study.reported().isdisjoint(finished)
    assert sound(tmp_path) == {f"variant{i}" for i in range(n_runs)}
    assert list((tmp_path / "store").glob(f"{ASIDE}*")) == []
    assert study.gone_after(2.5)


@linux
@pytest.mark.slow
@pytest.mark.parametrize("to", ["the sweep alone", "everybody, as a terminal does"])
def test_ctrl_c_ends_with_130_the_way_to_continue_and_no_worker(to: str, tmp_path: Path, studies: list[Study]) -> None:
    """The first runs are short and done, the others would take ten minutes each."""
    studies.append(Study(tmp_path, 0.0, 3))
    assert studies[0].process.wait(60) == 0, studies[0].text()
    studies.append(study := Study(tmp_path, 600, 6))
    study.wait_until("3 found")
    time.sleep(2 if to == "the sweep alone" else 0.5)
    asked = time.monotonic()
    (os.kill if to == "the sweep alone" else os.killpg)(study.process.pid, signal.SIGINT)
    assert study.process.wait(30) == 130, study.text()
    assert time.monotonic() - asked < 5
    assert study.text().splitlines()[-1] == "stopped; finished runs are kept, and the same command continues"
    assert study.gone_after(2.5)
    assert sound(tmp_path) == {"variant0", "variant1", "variant2"}
    assert len(list((tmp_path / "store").iterdir())) == 3


@linux
@pytest.mark.slow
def test_a_worker_that_dies_costs_its_block_alone_which_is_trained_again(tmp_path: Path, studies: list[Study]) -> None:
    studies.append(study := Study(tmp_path, 0.02, 3, seeds=16, deaths=json.dumps({"variant1 8": 2, "variant2 0": 1})))
    assert study.process.wait(60) == 0, study.text()
    assert sound(tmp_path) == {"variant0", "variant1", "variant2"}
    log = (tmp_path / "log").read_text().splitlines()
    assert {name: log.count(name) for name in log} == {
        "variant0 0": 1, "variant0 8": 1, "variant1 0": 1, "variant1 8": 3, "variant2 0": 2, "variant2 8": 1,
    }  # fmt: skip
    assert study.gone_after(2.5)


@linux
@pytest.mark.slow
def test_a_block_that_always_dies_is_told_after_all_else_is_stored(tmp_path: Path, studies: list[Study]) -> None:
    studies.append(study := Study(tmp_path, 0.02, 4, seeds=16, deaths=json.dumps({"variant0 8": 3, "variant2 0": 99})))
    assert study.process.wait(60) == 2, study.text()
    said = study.text().splitlines()[-1]
    assert said.startswith("ganlab: 2 blocks failed, each 3 times, because their worker process died (out of memory, or kill")
    failed = re.findall(r"(variant\d) on ring8 \(\w{16}\), members (\d+ to \d+)", said)
    assert sorted(failed) == [("variant0", "8 to 15"), ("variant2", "0 to 7")]
    assert sound(tmp_path) == {"variant1", "variant3"}
    log = (tmp_path / "log").read_text().splitlines()
    assert (log.count("variant0 8"), log.count("variant2 0"), len(log)) == (3, 3, 12)
    studies.append(study := Study(tmp_path, 0.02, 4, seeds=16))
    assert study.process.wait(60) == 0, study.text()
    assert sorted((tmp_path / "log").read_text().splitlines()[12:]) == ["variant0 8", "variant2 0"]
    assert sound(tmp_path) == {f"variant{i}" for i in range(4)}
    assert len(list((tmp_path / "store").iterdir())) == 4


REAL = """
    import sys

    if __name__ == "__main__":
        from pathlib import Path
        from ganlab.cli import finish
        from ganlab.experiment import Experiment
        from ganlab.store import Store
        from ganlab.sweep import sweep
        chosen = [Experiment.from_json(line) for line in Path("planned").read_text().splitlines()]
        finish(lambda: len(sweep(chosen, Store(sys.argv[1]), workers=2)) - len(chosen))
"""


@linux
@pytest.mark.slow
def test_real_training_in_processes_survives_a_kill_and_gives_what_one_process_gives(
    tmp_path: Path, studies: list[Study], trained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once with torch in the workers: what the kill left is found, not trained again, and bit for bit what is trained here."""
    monkeypatch.chdir(tmp_path)
    chosen = [e for i in range(20) for e in planned("nsgan", "lsgan", seeds=[i, i + 1], steps=50)]
    (tmp_path / "planned").write_text("\n".join(e.to_json() for e in chosen))
    studies.append(study := Study(tmp_path, 0, 0, REAL))
    study.wait_until("[2/", at_most=180)  # torch starts in three processes
    study.process.kill()
    study.process.wait()
    n_reported = len(re.findall(r"\[\d+/40\]", study.text()))
    assert study.gone_after(2.5)
    sound(tmp_path)
    store = Store(tmp_path / "store")
    stored = [e for e in chosen if e in store]
    assert 2 <= n_reported <= len(stored) < 40
    missing = next(e for e in chosen if e not in store)
    found = sweep([*stored, missing], store, workers=1, console=Said().console)
    assert trained == [missing.subject]
    for run, afresh in zip(found[:2], sweep(stored[:2], Store("afresh"), workers=1, console=Said().console), strict=True):
        pd.testing.assert_frame_equal(run.trace, afresh.trace, check_exact=True)
