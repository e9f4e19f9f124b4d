"""Runs on disk: one folder a run, named by the hash of its settings. The only writer of results.

A folder is written aside, checked into a manifest of SHA-256 sums, flushed, and renamed into place: a killed process
leaves a leftover that the next start removes, never half a run. Text and plain arrays only; opening a store runs no code.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from ganlab import trace as traces
from ganlab.experiment import Experiment, Run
from ganlab.registry import InputError

MANIFEST = "manifest.json"
ASIDE = ".writing-"

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

        Raises InputError when the folder cannot be written; nothing half-written stays.
        """
        self.prepare()
        target = self.path / run.experiment.id
        aside = self._aside()
        try:
            aside.mkdir()
            contents = _encode(run)
            sums = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
            contents[MANIFEST] = json.dumps({"run": run.experiment.id, "sha256": sums}, indent=1).encode()
            for name, data in contents.items():
                _write(aside / name, data)
            _flush_folder(aside)
            if target.exists():
                if self.fault(run.experiment.id) is None:
                    return target
                shutil.rmtree(target)
            try:
                aside.rename(target)
            except OSError:
                if self.fault(run.experiment.id) is not None:  # unless another process was first: its folder stays
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


def load(path: str | Path) -> Run:
    """Return the run stored in the folder `path`.

    Raises CorruptRun when a file is missing or differs from its checksum; nothing of it is used then.
    """
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
    return pd.read_csv(io.BytesIO(text), dtype=str, keep_default_na=False)


def _encode(run: Run) -> dict[str, bytes]:
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
        name = Experiment.from_json(contents["experiment.json"].decode()).id
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
