"""Runs on disk: one folder a run, named by the hash of its settings. The only writer of results.

A run that is trained in blocks of members has a hidden folder for each finished block until they are joined.

A folder is written aside, checked into a manifest of SHA-256 sums, flushed, and renamed into place: a killed process
leaves a leftover that the next start removes, never half a run. Text and plain arrays only; opening a store runs no code.
numpy and pandas are imported by what reads or writes tables: the names of runs are told without them.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ganlab.experiment import Experiment, Run
from ganlab.registry import InputError

if TYPE_CHECKING:
    import pandas as pd

MANIFEST = "manifest.json"
ASIDE = ".writing-"
BLOCK = ".block-"
"""What the names of folders begin with that are being written, and that hold a block of a run's members."""

LINE = "\r\n"
"""As RFC 4180 has it; the csv writer then quotes both characters where a label contains one."""

WRITER = uuid.uuid4().hex[:8]
"""Tells this process from an earlier one that had the same number."""


class CorruptRun(InputError):
    """A stored run does not match its checksums, or is not complete."""


class Store:
    """A folder of runs.

    Example
    -------
    >>> import tempfile
    >>> Store(tempfile.mkdtemp()).ids()
    []
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def ids(self) -> list[str]:
        """Return the names of the finished runs."""
        if not self.path.is_dir():
            return []
        return sorted(p.name for p in self.path.iterdir() if not p.name.startswith(".") and (p / MANIFEST).is_file())

    def __contains__(self, experiment: Experiment) -> bool:
        return (self.path / experiment.id / MANIFEST).is_file()

    def runs(self) -> Iterator[Run]:
        """Yield every finished run."""
        for name in self.ids():
            yield self.load(name)

    def prepare(self) -> None:
        """Make the folder and clear what killed writers left. Raises InputError when it cannot be written."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            probe = self._aside()
            probe.mkdir()
            probe.rmdir()
        except OSError as error:
            raise InputError(
                f"cannot write to the folder {str(self.path)!r}: {error.strerror or error}; "
                "choose another one or change its permissions"
            ) from error
        for leftover in self.path.glob(f"{ASIDE}*"):
            if not _is_alive(leftover):
                shutil.rmtree(leftover, ignore_errors=True)

    def save(self, run: Run) -> Path:
        """Write the run and return its folder; when the same run is there already, leave that one.

        Raises InputError when the folder cannot be written, nothing half-written stays then; and for a part of a run.
        """
        missing = sorted({m.place for m in run.experiment.members()} - set(run.outcome["member"]))
        if missing:
            raise InputError(f"this is a part of a run, without its members {missing}; ganlab.experiment.join makes it whole")
        return self._save(run, run.experiment.id)

    def _save(self, run: Run, called: str) -> Path:
        self.prepare()
        target = self.path / called
        aside = self._aside()
        try:
            aside.mkdir()
            contents = _encode(run)
            sums = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
            contents[MANIFEST] = json.dumps({"run": called, "sha256": sums}, indent=1).encode()
            for name, data in contents.items():
                _write(aside / name, data)
            _flush_folder(aside)
            if target.exists():
                if self.fault(called) is None:
                    return target
                shutil.rmtree(target)
            try:
                aside.rename(target)
            except OSError:
                if self.fault(called) is not None:  # unless another process was first: its folder stays
                    raise
            _flush_folder(self.path)
        except OSError as error:
            raise InputError(
                f"cannot write the run to {str(target)!r}: {error.strerror or error}; "
                "free some space or choose another folder, then repeat the command"
            ) from error
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        return target

    def _aside(self) -> Path:
        return self.path / f"{ASIDE}{os.getpid()}-{WRITER}-{uuid.uuid4().hex}"

    def load(self, name: str) -> Run:
        """Return the run of that name. Raises CorruptRun when it fails its checksums."""
        return load(self.path / name)

    def experiment(self, name: str) -> Experiment:
        """Return what the run of that name is. Raises CorruptRun when it fails its checksums; its tables are not parsed."""
        return Experiment.from_json(_read((self.path / name).absolute())["experiment.json"].decode())

    def fault(self, name: str) -> str | None:
        """Return what is wrong with a stored run, or None."""
        try:
            _read(self.path / name)
        except CorruptRun as error:
            return str(error)
        return None

    def remove(self, name: str) -> None:
        """Delete a run. Raises InputError when there is none of that name."""
        if name not in self.ids():
            raise InputError(f"there is no run {name!r} in {str(self.path)!r}")
        shutil.rmtree(self.path / name)

    # blocks of members, until they are joined

    def save_block(self, part: Run) -> Path:
        """Write the part of a run that has some neighbouring members, as `save` does, and return its hidden folder."""
        return self._save(part, _block_name(part.experiment, [int(place) for place in part.outcome["member"]]))

    def blocks(self, experiment: Experiment) -> list[str]:
        """Return the names of the stored blocks of an experiment, sound or not."""
        return sorted(path.name for path in self.path.glob(f"{BLOCK}{experiment.id}-*"))

    def load_block(self, experiment: Experiment, places: Sequence[int]) -> Run:
        """Return the part of an experiment that has these members. Raises CorruptRun when it is not there or damaged."""
        return load(self.path / _block_name(experiment, places))

    def sound_blocks(self, experiment: Experiment, split: Sequence[range]) -> tuple[list[range], list[str]]:
        """Return which blocks of a split are stored, and remove the experiment's others: the reasons come second."""
        wanted = {_block_name(experiment, places): places for places in split}
        found, reasons = [], []
        for name in self.blocks(experiment):
            fault = self.fault(name) if name in wanted else f"the block {name!r} has members of another split"
            if fault is None:
                found.append(wanted[name])
            else:
                reasons.append(fault)
                shutil.rmtree(self.path / name)
        return found, reasons

    def remove_blocks(self, experiment: Experiment) -> None:
        """Delete all blocks of an experiment."""
        for name in self.blocks(experiment):
            shutil.rmtree(self.path / name, ignore_errors=True)


def _block_name(experiment: Experiment, places: Sequence[int]) -> str:
    """Return the name of the folder that holds these members. Raises ValueError unless they are neighbours."""
    if list(places) != list(range(places[0], places[-1] + 1)):
        raise ValueError(f"a block holds neighbouring members; got {list(places)}")
    return f"{BLOCK}{experiment.id}-{places[0]}-{places[-1]}"


def load(path: str | Path) -> Run:
    """Return the run stored in the folder `path`.

    Raises CorruptRun when a file is missing or differs from its checksum; nothing of it is used then.
    """
    import numpy as np
    import pandas as pd

    from ganlab import trace as traces

    contents = _read(Path(path).absolute())
    experiment = Experiment.from_json(contents["experiment.json"].decode())
    trace = _table(gzip.decompress(contents["trace.csv.gz"])).astype({"member": int, "seed": int, "step": int, "value": float})
    outcome = _table(contents["outcome.csv"]).astype({"member": int, "seed": int, **dict.fromkeys(experiment.varied, float)})
    outcome["step"] = pd.array([int(step) if step else pd.NA for step in outcome["step"]], dtype="Int64")
    with np.load(io.BytesIO(contents["samples.npz"]), allow_pickle=False) as arrays:
        samples = {name: arrays[name] for name in arrays.files}
    return Run(experiment, traces.check(trace), outcome, samples, json.loads(contents["environment.json"]))


def _table(text: bytes) -> pd.DataFrame:
    """Return a CSV table as text; numbers are converted from it one by one, which keeps every bit."""
    import pandas as pd

    return pd.read_csv(io.BytesIO(text), dtype=str, keep_default_na=False)


def _encode(run: Run) -> dict[str, bytes]:
    import numpy as np

    samples = io.BytesIO()
    if objects := [name for name, array in run.samples.items() if array.dtype.hasobject]:
        raise InputError(f"samples must be arrays of plain numbers; {', '.join(objects)} hold Python objects")
    np.savez_compressed(samples, **run.samples)  # type: ignore[arg-type]
    table = run.trace.to_csv(index=False, na_rep="nan", lineterminator=LINE).encode()
    return {
        "experiment.json": run.experiment.to_json().encode(),
        "trace.csv.gz": gzip.compress(table, compresslevel=4, mtime=0),
        "outcome.csv": run.outcome.to_csv(index=False, lineterminator=LINE).encode(),
        "samples.npz": samples.getvalue(),
        "environment.json": json.dumps(dict(run.environment), indent=1, sort_keys=True, allow_nan=False).encode(),
    }


def _read(folder: Path) -> dict[str, bytes]:
    """Return the files of a run, each checked against its sum before anything is parsed."""
    if not (folder / MANIFEST).is_file():
        raise CorruptRun(f"no finished run in {str(folder)!r}; `ganlab list runs` shows what is there")
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        sums = manifest["sha256"]
        contents = {name: (folder / name).read_bytes() for name in sums if Path(name).name == name}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptRun(f"the run in {str(folder)!r} cannot be read ({error}); delete the folder and run again") from error
    expected = {"experiment.json", "trace.csv.gz", "outcome.csv", "samples.npz", "environment.json"}
    damaged = [name for name in expected if name not in contents]
    damaged += [name for name, data in contents.items() if hashlib.sha256(data).hexdigest() != sums[name]]
    if damaged:
        raise CorruptRun(
            f"the run in {str(folder)!r} is damaged: {', '.join(sorted(damaged))} differ from the manifest; "
            "delete the folder and run again"
        )
    try:
        experiment = Experiment.from_json(contents["experiment.json"].decode())
        name = experiment.id
        if folder.name.startswith(BLOCK):
            name = _block_name(experiment, [int(place) for place in _table(contents["outcome.csv"])["member"]])
    except (InputError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptRun(f"the run in {str(folder)!r} cannot be read: {error}") from error
    if not name == manifest.get("run") == folder.name:
        raise CorruptRun(f"the run in {str(folder)!r} is not the run of that name; was the folder renamed?")
    return contents


def _write(path: Path, data: bytes) -> None:
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _flush_folder(path: Path) -> None:
    if os.name == "posix":  # a rename is safe against power loss only once the folder itself is flushed
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _is_alive(leftover: Path) -> bool:
    """Return whether the process that writes this folder still runs."""
    owner, _, rest = leftover.name.removeprefix(ASIDE).partition("-")
    if not owner.isdigit():
        return False
    if int(owner) == os.getpid():
        return rest.startswith(f"{WRITER}-")
    if os.name != "posix":  # elsewhere asking a process whether it lives may end it
        return True
    try:
        os.kill(int(owner), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
