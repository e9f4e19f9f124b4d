"""Sweeps train what is missing, find what is stored, and lose no finished run, whatever ends them."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from ganlab import sweep as sweeping
from ganlab.experiment import Experiment
from ganlab.planning import plan
from ganlab.registry import InputError
from ganlab.store import ASIDE, Store
from ganlab.supervised import plan as plan_classifier
from ganlab.sweep import perform, sweep

TINY = {"seeds": 2, "steps": 3, "hidden": (4,), "batch": 4, "evaluation": 16}


def planned(*variants: str, **changes: object) -> list[Experiment]:
    return [plan(name, "ring8", **{**TINY, **changes}) for name in variants]


class Said:
    """What a sweep says, line by line."""

    def __init__(self) -> None:
        self.text = io.StringIO()
        self.console = Console(file=self.text, width=200)

    def lines(self) -> list[str]:
        return self.text.getvalue().splitlines()


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The subjects that were trained in this process, in order."""
    subjects: list[str] = []

    def performed(experiment: Experiment, tick: object = None) -> object:
        subjects.append(experiment.subject)
        return perform(experiment, tick)  # type: ignore[arg-type]

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

    def fail(experiment: Experiment, tick: object = None) -> object:
        if experiment == bad:
            raise RuntimeError("a bug in a net")
        return perform(experiment)

    monkeypatch.setattr(sweeping, "perform", fail)
    with pytest.raises(RuntimeError, match="a bug in a net"):
        sweep([good, bad], Store(tmp_path), workers=1, console=Said().console)
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


# --- ended from outside ------------------------------------------------------------------------------------------------

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc and kills by signal")

STUDY = """
    import importlib, sys, time, types
    import ganlab.sweep

    def perform(experiment, tick=None):
        started = time.monotonic()
        while time.monotonic() - started < float(sys.argv[2]) and not tick(1):
            time.sleep(0.01)
        return experiment_run(experiment)

    def experiment_run(experiment):
        import numpy, pandas
        from ganlab.experiment import Run, outcome
        from ganlab.trace import COLUMNS
        values = numpy.arange(200_000.0)            # some megabytes, so that kills fall into the writing as well
        return Run(experiment, pandas.DataFrame(columns=list(COLUMNS)), outcome(experiment, {}), {"values": values}, {})

    # In place of torch, which takes seconds to import; the parent and its workers run these lines alike.
    sys.modules["torch"] = types.SimpleNamespace(set_num_threads=lambda n: None)
    sys.modules["stub"] = types.SimpleNamespace(perform=perform)
    ganlab.sweep.TRAINERS = {"gan": "stub"}

    if __name__ == "__main__":
        from ganlab.cli import finish
        from ganlab.experiment import Experiment
        from ganlab.store import Store
        chosen = [Experiment("gan", f"variant{i}", "ring8", (0, 1), 1000, 10) for i in range(int(sys.argv[3]))]
        finish(lambda: len(ganlab.sweep.sweep(chosen, Store(sys.argv[1]), workers=2)) - len(chosen))
"""
"""Sweeps runs that take the given seconds each, in two processes."""


class Study:
    """A sweep in a process of its own, its words in a file, and a mark by which its workers are known."""

    def __init__(self, folder: Path, seconds: float, n_runs: int, code: str = STUDY) -> None:
        self.mark, self.said = f"GANLAB_TEST_{uuid.uuid4().hex}", folder / f"said-{uuid.uuid4().hex}"
        script = folder / "study.py"
        script.write_text(textwrap.dedent(code))
        environment = {**os.environ, self.mark: "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        with open(self.said, "w") as words:
            self.process = subprocess.Popen(
                [sys.executable, str(script), str(folder / "store"), str(seconds), str(n_runs)], env=environment,
                stdout=words, stderr=words, start_new_session=True,
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
    half = [p for p in store.path.iterdir() if p.name not in store.ids() and not p.name.startswith(ASIDE)]
    assert half == []
    return {run.experiment.subject for run in store.runs()}


KILLS = (("0 found", 0.9), ("[1/", 0.0), ("[3/", 0.07))
"""After which words, and how many seconds later: while workers start, when the first is done, while they write."""


@linux
@pytest.mark.slow
def test_a_killed_sweep_loses_no_reported_run_leaves_no_worker_and_is_completed(tmp_path: Path, studies: list[Study]) -> None:
    n_runs, finished = 24, set[str]()
    for said, seconds in KILLS:
        studies.append(study := Study(tmp_path, 0.02, n_runs))
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
    studies.append(study := Study(tmp_path, 0.02, n_runs))
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
def test_a_worker_that_dies_ends_the_sweep_with_one_message(tmp_path: Path, studies: list[Study]) -> None:
    studies.append(study := Study(tmp_path, 600, 4))
    study.wait_until("0 found")
    worker = oldest_worker(study)
    os.kill(worker, signal.SIGKILL)
    assert study.process.wait(30) == 2, study.text()
    assert study.text().splitlines()[1:] == [
        "ganlab: a worker process died (out of memory, or killed); finished runs are kept, repeat the command to continue"
    ]
    assert study.gone_after(2.5)
    assert sound(tmp_path) == set()


def oldest_worker(study: Study, at_most: float = 30) -> int:
    """Return a worker of the sweep once it trains: a started worker ignores Ctrl-C."""
    deadline = time.monotonic() + at_most
    while time.monotonic() < deadline:
        for number in study.alive():
            command = Path(f"/proc/{number}/cmdline").read_bytes()
            ignored = int(re.search(r"SigIgn:\s*(\w+)", Path(f"/proc/{number}/status").read_text())[1], 16)  # type: ignore[index]
            if b"spawn_main" in command and ignored >> (signal.SIGINT - 1) & 1:
                return number
        time.sleep(0.05)
    raise AssertionError(f"no worker came up: {study.text()}")


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
    study.wait_until("[2/")
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
