"""Runs on disk: bit for bit what was saved, or refused; never half a run, whatever kills the writer."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import math
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganlab import trace
from ganlab.experiment import Experiment, Run
from ganlab.registry import InputError
from ganlab.store import ASIDE, BLOCK, MANIFEST, CorruptRun, Store, load

FILES = ["experiment.json", "trace.csv.gz", "outcome.csv", "samples.npz", "environment.json", MANIFEST]

AWKWARD = [0.1 + 0.2, 1 / 3, math.pi * 1e-300, 5e-324, 1.7976931348623157e308, -0.0, 123456789.123456789, 1e22, 1e-7]
"""Numbers that a careless writer or reader of decimals changes in their last bit."""


def stub(seed: int = 0, **changes: Any) -> Run:
    """A small run made by hand."""
    rates = (0.1 + 0.2, 1e-3 / 3)
    made = Experiment(
        "gan", "nsgan", "ring8", (seed, seed + 1), 20, 10, {"hidden": [8], "penalties": []}, {"lr": rates, "beta1": (0.5,)}
    )
    values = np.resize([*AWKWARD, math.nan, math.inf, -math.inf], (3, 4, 2))
    gone = np.full((3, 4, 1), math.nan)
    quantities = [("norm", ["a", 'b,"c"\n'], values), ("loss", [""], gone), ("nan", ["NA"], values[..., :1])]
    seeds = [m.seed for m in made.members()]
    outcome = pd.DataFrame(
        {
            "member": range(4), "seed": seeds, "lr": [m.numbers["lr"] for m in made.members()],
            "status": ["finished", "diverged", "finished", "finished"],
            "step": pd.array([pd.NA, 7, pd.NA, pd.NA], dtype="Int64"), "place": ["", "generator layer 0.weight", "", ""],
        }
    )  # fmt: skip
    generator = np.random.default_rng(seed)
    samples = {
        "generated": generator.normal(size=(4, 3, 5, 2)).astype(np.float32),
        "odd": np.array([math.nan, math.inf, -0.0]), "moments": np.array([0, 10, 20]),
        "pixels": generator.integers(0, 255, (2, 4, 4)).astype(np.uint8), "empty": np.zeros((0, 3)), "one": np.array(2.5),
    }  # fmt: skip
    environment = {"torch": "2.0", "threads": 1, "seconds": 0.1 + 0.2, "note": "ü"}
    return Run(made, trace.tidy(made.id, seeds, [0, 10, 20], quantities), outcome, samples, {**environment, **changes})


def bits(frame: pd.DataFrame) -> dict[str, list[Any]]:
    """Columns with floats as their bytes, so that NaN equals NaN and -0 differs from 0."""
    return {
        c: [np.float64(v).tobytes() for v in frame[c]] if frame[c].dtype == np.float64 else frame[c].astype(object).tolist()
        for c in frame.columns
    }


def leftovers(folder: Path) -> list[Path]:
    return list(folder.glob(f"{ASIDE}*"))


# --- there and back ----------------------------------------------------------------------------------------------------


def test_a_run_comes_back_bit_for_bit(tmp_path: Path) -> None:
    run = stub()
    folder = run.save(tmp_path)
    back = load(folder)
    assert folder == tmp_path / run.experiment.id
    assert back.experiment == run.experiment
    assert back.experiment.to_json() == run.experiment.to_json()
    assert bits(back.trace) == bits(run.trace)
    assert back.trace["value"].dtype == np.float64
    assert all(back.trace[c].dtype == np.int64 for c in ("member", "seed", "step"))
    assert set(back.samples) == set(run.samples)
    for name, array in run.samples.items():
        assert back.samples[name].dtype == array.dtype
        assert back.samples[name].shape == array.shape
        assert back.samples[name].tobytes() == array.tobytes()
    assert back.environment == run.environment


def test_outcomes_come_back_with_missing_steps_and_exact_numbers(tmp_path: Path) -> None:
    run = stub()
    back = load(run.save(tmp_path)).outcome
    assert list(back.columns) == list(run.outcome.columns)
    assert back["step"].dtype == "Int64"
    assert back["step"].isna().tolist() == [True, False, True, True]
    assert back["step"][1] == 7
    for name in ("status", "place", "seed", "member"):
        assert back[name].tolist() == run.outcome[name].tolist()
    assert back["lr"].tolist() == run.outcome["lr"].tolist()  # equal floats, not close ones


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    numbers=st.lists(st.floats(), min_size=1, max_size=8),
    label=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
)
def test_any_number_under_any_label_comes_back(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[float], label: str
) -> None:
    run = stub()
    steps = list(range(len(numbers)))
    values = np.array(numbers).reshape(-1, 1, 1)
    run = replace(run, trace=trace.tidy(run.experiment.id, [0], steps, [("x", [label], values)]))
    back = load(run.save(tmp_path_factory.mktemp("store"))).trace
    got, wanted = back["value"].to_numpy(), values.ravel()
    np.testing.assert_array_equal(np.isnan(got), np.isnan(wanted))  # a NaN's payload is not kept
    assert got[~np.isnan(got)].tobytes() == wanted[~np.isnan(wanted)].tobytes()
    assert set(back["index"]) == {label}


@settings(max_examples=25, deadline=None, derandomize=True)
@given(rate=st.floats(min_value=1e-12, max_value=1e12))
def test_any_varied_number_of_an_outcome_comes_back(tmp_path_factory: pytest.TempPathFactory, rate: float) -> None:
    run = stub()
    run = replace(run, outcome=run.outcome.assign(lr=rate))
    assert set(load(run.save(tmp_path_factory.mktemp("store"))).outcome["lr"]) == {rate}


def test_a_run_that_was_not_watched_comes_back_empty(tmp_path: Path) -> None:
    run = replace(stub(), trace=pd.DataFrame(columns=list(trace.COLUMNS)), samples={})
    back = load(run.save(tmp_path))
    assert len(back.trace) == 0
    assert tuple(back.trace.columns) == trace.COLUMNS
    assert back.samples == {}


def test_a_run_is_found_by_its_experiment_and_listed_by_its_name(tmp_path: Path) -> None:
    store, first, second = Store(tmp_path / "deep" / "er"), stub(0), stub(5)
    assert store.ids() == []
    assert first.experiment not in store
    store.save(first)
    store.save(second)
    assert first.experiment in store
    assert store.ids() == sorted([first.experiment.id, second.experiment.id])
    assert [run.experiment.id for run in store.runs()] == store.ids()
    store.remove(first.experiment.id)
    assert store.ids() == [second.experiment.id]


def test_loading_takes_relative_paths_and_the_folder_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = stub()
    run.save(tmp_path)
    name = run.experiment.id
    for inside, path in ((tmp_path, name), (tmp_path, f"./{name}/"), (tmp_path / name, ".")):
        monkeypatch.chdir(inside)
        assert load(path).experiment == run.experiment


def test_the_same_run_saved_twice_is_kept_once_and_the_first_one_stays(tmp_path: Path) -> None:
    first, second = stub(note="first"), stub(note="second")
    assert first.save(tmp_path) == second.save(tmp_path)
    store = Store(tmp_path)
    assert store.ids() == [first.experiment.id]
    assert store.load(first.experiment.id).environment["note"] == "first"
    assert leftovers(tmp_path) == []


def test_a_damaged_run_is_replaced_when_it_is_saved_again(tmp_path: Path) -> None:
    run, store = stub(), Store(tmp_path)
    folder = store.save(run)
    (folder / "trace.csv.gz").write_bytes(b"")
    assert store.fault(run.experiment.id)
    store.save(run)
    assert store.fault(run.experiment.id) is None
    (folder / MANIFEST).unlink()
    store.save(run)
    assert store.fault(run.experiment.id) is None


# --- damage ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_every_flipped_bit_is_refused(name: str, tmp_path: Path) -> None:
    """Both ends and forty places between, another bit at each."""
    folder = stub().save(tmp_path)
    good = (folder / name).read_bytes()
    places = sorted({*range(8), *range(len(good) - 8, len(good)), *np.linspace(0, len(good) - 1, 40).astype(int).tolist()})
    for i, place in enumerate(places):
        bad = bytearray(good)
        bad[place] ^= 1 << (i % 8)
        (folder / name).write_bytes(bytes(bad))
        with pytest.raises(CorruptRun):
            load(folder)
    (folder / name).write_bytes(good)
    load(folder)


def test_every_bit_of_the_manifest_is_under_guard(tmp_path: Path) -> None:
    """It carries the other files' sums and has none of its own."""
    folder = stub().save(tmp_path)
    good = (folder / MANIFEST).read_bytes()
    for place in range(len(good)):
        bad = bytearray(good)
        bad[place] ^= 1 << (place % 8)
        (folder / MANIFEST).write_bytes(bytes(bad))
        with pytest.raises(CorruptRun):
            load(folder)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("how", ["half", "empty", "longer", "missing", "a folder"])
def test_truncated_lengthened_and_missing_files_are_refused(name: str, how: str, tmp_path: Path) -> None:
    folder = stub().save(tmp_path)
    path, good = folder / name, (folder / name).read_bytes()
    path.unlink()
    if how == "a folder":
        path.mkdir()
    elif how != "missing":
        path.write_bytes({"half": good[: len(good) // 2], "empty": b"", "longer": good + b"x"}[how])
    with pytest.raises(CorruptRun, match=r"delete the folder and run again|no finished run in"):
        load(folder)


def test_files_of_another_run_are_refused(tmp_path: Path) -> None:
    one, other = stub(0).save(tmp_path), stub(5).save(tmp_path)
    for name in FILES:
        if (one / name).read_bytes() == (other / name).read_bytes():
            continue  # the two ran in the same environment
        keep = (one / name).read_bytes()
        shutil.copy(other / name, one / name)
        with pytest.raises(CorruptRun):
            load(one)
        (one / name).write_bytes(keep)
    load(one)


def test_a_renamed_folder_is_refused(tmp_path: Path) -> None:
    folder = stub().save(tmp_path)
    moved = folder.rename(tmp_path / "0123456789abcdef")
    with pytest.raises(CorruptRun, match="is not the run of that name; was the folder renamed"):
        load(moved)


def test_what_is_damaged_is_named(tmp_path: Path) -> None:
    folder = stub().save(tmp_path)
    (folder / "outcome.csv").write_text("member\n")
    (folder / "samples.npz").write_bytes(b"PK")
    with pytest.raises(CorruptRun, match=r"is damaged: outcome\.csv, samples\.npz differ from the manifest; delete the folder"):
        load(folder)


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(CorruptRun, match="no finished run in"):
            load(path)


@pytest.mark.parametrize(
    "manifest",
    ["", "[]", "3", "null", '{"sha256": 3}', '{"sha256": []}', '{"run": 0}', '{"sha256": {"../a": "b"}}', "[" * 50],
)
def test_a_strange_manifest_is_refused(manifest: str, tmp_path: Path) -> None:
    folder = stub().save(tmp_path)
    (folder / MANIFEST).write_text(manifest)
    with pytest.raises(CorruptRun):
        load(folder)


def rewrite(folder: Path, name: str, data: bytes) -> None:
    """Replace a file together with its sum, as somebody who wants to be believed would."""
    (folder / name).write_bytes(data)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["sha256"][name] = hashlib.sha256(data).hexdigest()
    (folder / MANIFEST).write_text(json.dumps(manifest))


class Trap:
    """Runs code when unpickled."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, ("sprung",)


def test_pickles_are_refused_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = stub().save(tmp_path)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, generated=np.array([Trap()], dtype=object))
    rewrite(folder, "samples.npz", buffer.getvalue())
    with pytest.raises(ValueError, match="allow_pickle=False"):
        load(folder)
    assert not (tmp_path / "sprung").exists()


def test_objects_are_refused_when_saving(tmp_path: Path) -> None:
    run = replace(stub(), samples={"generated": np.zeros(2), "bad": np.array([{}, None], dtype=object)})
    with pytest.raises(InputError, match="samples must be arrays of plain numbers; bad hold Python objects"):
        run.save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_environment_that_is_not_plain_data_leaves_nothing_behind(tmp_path: Path) -> None:
    for bad in (math.nan, object()):
        with pytest.raises((ValueError, TypeError)):
            stub(note=bad).save(tmp_path)
        assert list(tmp_path.iterdir()) == []


# --- blocks of members -------------------------------------------------------------------------------------------------


def part(places: range, seed: int = 0) -> Run:
    """The members of the stub at these places."""
    run = stub(seed)
    tables = [table[table["member"].isin(places)].reset_index(drop=True) for table in (run.trace, run.outcome)]
    samples = {name: array[list(places)] if name == "generated" else array for name, array in run.samples.items()}
    return Run(run.experiment, *tables, samples, run.environment)


def test_a_block_comes_back_bit_for_bit_and_is_no_run(tmp_path: Path) -> None:
    store, block = Store(tmp_path), part(range(1, 3))
    folder = store.save_block(block)
    back = store.load_block(block.experiment, range(1, 3))
    assert bits(back.trace) == bits(block.trace)
    assert back.outcome["member"].tolist() == [1, 2]
    assert back.samples["generated"].tobytes() == block.samples["generated"].tobytes()
    assert store.ids() == []
    assert folder.name.startswith(BLOCK)
    assert leftovers(tmp_path) == []
    with pytest.raises(CorruptRun):
        store.load_block(block.experiment, range(3))


def test_a_part_is_not_saved_as_a_run_nor_scattered_members_as_a_block(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"this is a part of a run, without its members \[0, 3\]; ganlab.experiment.join"):
        Store(tmp_path).save(part(range(1, 3)))
    with pytest.raises(ValueError, match=r"a block holds neighbouring members; got \[0, 2\]"):
        Store(tmp_path).save_block(part(range(0, 4, 2)))
    assert list(tmp_path.iterdir()) == []


def test_only_sound_blocks_of_the_split_are_found_and_the_others_of_the_experiment_go(tmp_path: Path) -> None:
    store, experiment = Store(tmp_path), stub().experiment
    for places in (range(1), range(1, 2), range(2, 4), range(1, 4)):
        store.save_block(part(places))
    others = store.save_block(part(range(2), seed=5))
    (tmp_path / f"{BLOCK}{experiment.id}-1-1" / "samples.npz").write_bytes(b"x")
    found, reasons = store.sound_blocks(experiment, [range(1), range(1, 2), range(2, 4)])
    assert found == [range(1), range(2, 4)]
    assert any("is damaged: samples.npz" in reason for reason in reasons)
    assert any("has members of another split" in reason for reason in reasons)
    assert len(reasons) == 2
    assert store.blocks(experiment) == [f"{BLOCK}{experiment.id}-{ends}" for ends in ("0-0", "2-3")]
    store.remove_blocks(experiment)
    assert list(tmp_path.iterdir()) == [others]


def test_a_block_under_the_name_of_another_is_refused(tmp_path: Path) -> None:
    store, experiment = Store(tmp_path), stub().experiment
    folder = store.save_block(part(range(2)))
    moved = folder.rename(tmp_path / f"{BLOCK}{experiment.id}-2-3")
    manifest = json.loads((moved / MANIFEST).read_text())
    (moved / MANIFEST).write_text(json.dumps({**manifest, "run": moved.name}))  # by someone who knows where names are
    found, reasons = store.sound_blocks(experiment, [range(2), range(2, 4)])
    assert found == []
    assert "is not the run of that name" in reasons[0]
    assert list(tmp_path.iterdir()) == []


# --- writing that fails ------------------------------------------------------------------------------------------------


def test_a_path_under_a_file_cannot_be_written_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"cannot write to the folder '.*file/runs': .*; choose another one or change its"):
        stub().save(tmp_path / "file" / "runs")
    assert Store(tmp_path / "file" / "runs").ids() == []
    with pytest.raises(InputError, match="cannot write to the folder"):
        stub().save(tmp_path / "file")


class Full:
    """A file on a full disk: takes some bytes, then no more."""

    def __init__(self, file: Any, room: int) -> None:
        self._file, self._room = file, room

    def __enter__(self) -> Full:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, data: bytes) -> int:
        self._file.write(data[: self._room])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def failing(function: Callable[..., Any], at: int) -> Callable[..., Any]:
    """Return the function with its call number `at` (from 0) failing for want of space."""
    calls = iter(range(10_000))

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return function(*args, **kwargs)

    return wrapped


@pytest.mark.parametrize(
    ("name", "at"), [*(("fsync", i) for i in range(7)), ("rename", 0), ("mkdir", 2), *(("write", i) for i in range(6))]
)
def test_a_full_disk_is_an_error_that_leaves_nothing_half_written(
    name: str, at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file's flush, the folder's, the rename, the new folder, and each file's bytes, one at a time."""
    other = stub(5)
    other.save(tmp_path)
    if name == "write":
        calls = iter(range(100))

        def crowded(path: Path, mode: str) -> Any:
            file = open(path, mode)  # noqa: SIM115
            return Full(file, 9) if next(calls) == at else file

        monkeypatch.setattr("ganlab.store.open", crowded, raising=False)
    else:
        monkeypatch.setattr(os, name, failing(getattr(os, name), at))
    with pytest.raises(InputError, match=r"cannot write the run to .*No space left on device; free some space"):
        stub().save(tmp_path)
    monkeypatch.undo()
    assert leftovers(tmp_path) == []
    assert Store(tmp_path).ids() == [other.experiment.id]
    stub().save(tmp_path)
    assert len(list(Store(tmp_path).runs())) == 2


def test_a_failed_last_flush_is_reported_though_the_run_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The eighth flush is the store's own, after the rename: the run is there, and may be lost with the power."""
    monkeypatch.setattr(os, "fsync", failing(os.fsync, 7))
    with pytest.raises(InputError, match="No space left"):
        stub().save(tmp_path)
    assert Store(tmp_path).fault(stub().experiment.id) is None


def test_a_failed_rename_over_a_damaged_run_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That some folder of that name exists does not mean that another process saved the run."""
    run = stub()
    folder = run.save(tmp_path)
    (folder / "outcome.csv").write_text("")
    monkeypatch.setattr(shutil, "rmtree", lambda *_args, **_kwargs: None)
    with pytest.raises(InputError, match="cannot write the run"):
        run.save(tmp_path)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError])
def test_an_interrupted_save_leaves_nothing(stop: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: int) -> None:
        raise stop

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(stop):
        stub().save(tmp_path)
    assert list(tmp_path.iterdir()) == []


# --- killed writers and other writers ----------------------------------------------------------------------------------


def number_of_a_dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    return process.pid


def test_leftovers_of_dead_processes_are_removed_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    dead = tmp_path / f"{ASIDE}{number_of_a_dead_process()}-0000-11"
    earlier_self = tmp_path / f"{ASIDE}{os.getpid()}-0000-11"  # a process that had our number before us
    nameless = tmp_path / f"{ASIDE}x"
    alive = tmp_path / f"{ASIDE}{os.getppid()}-0000-11"
    for folder in (dead, earlier_self, nameless, alive):
        folder.mkdir()
        (folder / "trace.csv.gz").write_bytes(b"half")
    assert Store(tmp_path).ids() == []
    stub().save(tmp_path)
    assert leftovers(tmp_path) == [alive]
    assert Store(tmp_path).ids() == [stub().experiment.id]


def test_preparing_a_store_spares_what_this_process_is_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread may be in the middle of a save."""
    real = os.fsync

    def meanwhile(handle: int) -> None:
        real(handle)
        monkeypatch.setattr(os, "fsync", real)
        stub(5).save(tmp_path)

    monkeypatch.setattr(os, "fsync", meanwhile)
    stub().save(tmp_path)
    assert len(list(Store(tmp_path).runs())) == 2
    assert leftovers(tmp_path) == []


WRITER = """
import os, random, signal, sys, time
sys.path.insert(0, sys.argv[1])
from test_store import stub, leftovers
from dataclasses import replace
from pathlib import Path
from ganlab.store import Store
assert "torch" not in sys.modules
store, base = Store(sys.argv[2]), stub()

def numbered(i):
    return replace(base, experiment=replace(base.experiment, seeds=(i, i + 1)))
"""
"""Forks its writers, so that twenty of them do not import pandas twenty times."""

KILLED = WRITER + textwrap.dedent("""
    chance, halves = random.Random(0), 0
    for kill in range(20):
        out, into = os.pipe()
        child = os.fork()
        if child == 0:
            i = 1000 * kill
            while True:
                store.save(numbered(i))
                os.write(into, (numbered(i).experiment.id + " ").encode())
                i += 1
        first = os.read(out, 17)                    # it is under way
        time.sleep(chance.uniform(0, 0.04))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(into)
        print((first + os.read(out, 1 << 16)).decode())
        os.close(out)
        halves += len(leftovers(Path(sys.argv[2])))
    print(halves, file=sys.stderr)
""")

CROWD = WRITER + textwrap.dedent("""
    children = []
    for child in range(4):
        if (pid := os.fork()) == 0:
            for i in range(25):
                store.save(numbered(i + 1000 * (child == 3)))
            os._exit(0)
        children.append(pid)
    sys.exit(sum(os.waitpid(pid, 0)[1] != 0 for pid in children))
""")


def python(code: str, store: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", code, str(Path(__file__).parent), str(store)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.skipif(os.name != "posix", reason="kills by signal")
def test_a_killed_writer_never_leaves_half_a_run_and_every_announced_run_is_there(tmp_path: Path) -> None:
    done = python(KILLED, tmp_path)
    assert done.returncode == 0, done.stderr
    announced = set(done.stdout.split())
    assert len(announced) >= 20
    assert int(done.stderr.split()[-1]) > 0, "no writer was killed in the middle of a save: the test has shown nothing"
    store = Store(tmp_path)
    assert announced <= set(store.ids())
    assert [store.fault(name) for name in store.ids()] == [None] * len(store.ids())
    stub(7).save(tmp_path)
    assert leftovers(tmp_path) == []


@pytest.mark.skipif(os.name != "posix", reason="forks")
def test_several_processes_save_into_one_store_without_disturbing_each_other(tmp_path: Path) -> None:
    """Four writers of 25 runs each; three of them write the same ones."""
    done = python(CROWD, tmp_path)
    assert done.returncode == 0, done.stderr
    store = Store(tmp_path)
    assert len(store.ids()) == 50
    assert [store.fault(name) for name in store.ids()] == [None] * 50
    assert leftovers(tmp_path) == []
