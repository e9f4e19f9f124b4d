"""Processes that each run one candidate for ever and stand still between blocks, and what measures in them.

A candidate is a loop that tells a `Meter` of every piece of work it finished; the meter stops it between blocks. So a
candidate is set up and compiled once, and a block has nothing in it but work. `timing.py` decides who runs when.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import queue
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from ganlab.registry import InputError

if TYPE_CHECKING:
    from ganlab.throughput import Candidate

PATIENCE_SECONDS = 600.0
"""A worker that says nothing for so long is ended: compiling takes a minute or two, a block a few seconds."""


class Block(NamedTuple):
    """Work done in one block: units, seconds on the wall clock and on the device's (0 without one), and CPU seconds."""

    units: float
    seconds: float
    device_seconds: float
    cpu_seconds: float


class Dead(Exception):
    """A worker failed or died; the text is the reason."""


# --- the driver's side ---------------------------------------------------------------------------------------------------


class Worker:
    """A process that runs one candidate, and stands still between blocks.

    Parameters
    ----------
    candidate
        What it runs.
    cache
        Folder of the compiler's caches.
    """

    def __init__(self, candidate: Candidate, cache: str, patience: float = PATIENCE_SECONDS) -> None:
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(candidate.threads))
        paths = os.pathsep.join(path for path in sys.path if path)
        caches = {"TORCHINDUCTOR_CACHE_DIR": cache, "TRITON_CACHE_DIR": cache}
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from ganlab.workers import serve; serve()"], text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**os.environ, **threads, **caches, "PYTHONPATH": paths},
        )  # fmt: skip
        self._patience = patience
        self._answers: queue.Queue[str] = queue.Queue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self.ask({"loop": candidate.loop, "settings": dict(candidate.settings), "threads": candidate.threads})

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")

    def ask(self, request: Mapping[str, Any]) -> None:
        """Send a request; the answer comes by `answer`."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except OSError:
            pass  # it is dead, and `answer` says so

    def answer(self) -> dict[str, Any]:
        """Return the answer to the last request. Raises Dead with the reason when there is none."""
        try:
            line = self._answers.get(timeout=self._patience)
        except queue.Empty:
            self.close()
            raise Dead(f"no answer in {self._patience:g} seconds") from None
        if not line:
            raise Dead(f"the process died ({_ending(self._process.wait())})")
        answer: dict[str, Any] = json.loads(line)
        if "failed" in answer:
            raise Dead(answer["failed"])
        return answer

    def close(self) -> None:
        """End the process: it leaves when it is asked for nothing more, and is killed when it does not."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.close()
            self._process.wait(timeout=5)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._listener.join()
        self._process.stdout.close()


def _ending(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


class Team:
    """The workers of one candidate: they are started one after the other, and run their blocks at the same time.

    The first finds empty compiler caches; the others, or one that is started only for this, find what it left there.
    """

    def __init__(self, candidate: Candidate, cache: str, warm: bool = False) -> None:
        self.candidate, self.cache = candidate, cache
        self.again = warm and bool(candidate.settings.get("compiled")) and candidate.processes == 1
        self.workers: list[Worker] = []
        self.facts: dict[str, Any] = {}

    def start(self) -> None:
        """Start all workers and wait for their first piece of work. Raises Dead when one fails."""
        answers = []
        for _ in range(self.candidate.processes + self.again):
            self.workers.append(Worker(self.candidate, self.cache))
            answers.append(self.workers[-1].answer())
        first, last = answers[0], answers[-1]
        self.facts |= {**first, "start_seconds": first["seconds"]}
        if "compile_seconds" in first and last is not first:
            self.facts["warm_compile_seconds"] = last["compile_seconds"]
        if self.again:
            self.workers.pop().close()

    def run(self, pieces: int) -> Block:
        """Return what all workers did together: the sum of their work in the time of the slowest. Raises Dead."""
        for worker in self.workers:
            worker.ask({"pieces": pieces})
        answers = [worker.answer() for worker in self.workers]
        self.facts["peak_bytes"] = sum(answer["peak_bytes"] for answer in answers)
        blocks = [Block(*answer["block"]) for answer in answers]
        units, cpu = sum(b.units for b in blocks), sum(b.cpu_seconds for b in blocks)
        return Block(units, max(b.seconds for b in blocks), max(b.device_seconds for b in blocks), cpu)

    def close(self) -> None:
        while self.workers:
            self.workers.pop().close()


# --- the worker's side ---------------------------------------------------------------------------------------------------


class Closed(BaseException):
    """Nobody asks any more; unwinds a candidate's loop, whatever that catches."""


class NoClock:
    """A device that is done when the call returns, and has no clock of its own."""

    def start(self) -> None: ...

    def stop(self) -> float:
        return 0.0


class CudaClock:
    """Seconds between two events on the current CUDA device; stopping waits once for all that was launched."""

    def __init__(self) -> None:
        self._cuda = importlib.import_module("torch").cuda
        self._from, self._to = (self._cuda.Event(enable_timing=True) for _ in range(2))

    def start(self) -> None:
        self._from.record()

    def stop(self) -> float:
        self._to.record()
        self._cuda.synchronize()
        return float(self._from.elapsed_time(self._to)) / 1000


class Meter:
    """Told by a candidate of each piece of work it finished; stops it between blocks.

    Parameters
    ----------
    requests
        Yields the pieces of work wanted in the next block.
    reply
        Where answers go.
    device
        Clock of the device.
    wall, cpu
        Clocks, in seconds.
    """

    def __init__(
        self, requests: Iterator[int], reply: Callable[[Mapping[str, Any]], None], device: NoClock | CudaClock | None = None,
        wall: Callable[[], float] = time.perf_counter, cpu: Callable[[], float] = time.process_time,
    ) -> None:  # fmt: skip
        self._requests, self._reply, self._device = requests, reply, device or NoClock()
        self._wall, self._cpu = wall, cpu
        self._facts: dict[str, Any] = {}
        self._ready = False
        self._begin(1)

    def note(self, **facts: Any) -> None:
        """Keep facts about the candidate that JSON can tell, such as its FLOPs; before the first work is done."""
        self._facts |= facts

    def __call__(self, units: float) -> None:
        """One piece of work is done, which is so many units. Returns when the next is wanted; raises Closed when none is."""
        self._units += units
        self._pieces -= 1
        if self._pieces > 0:
            return
        device_seconds = self._device.stop()
        block = Block(self._units, self._wall() - self._from[0], device_seconds, self._cpu() - self._from[1])
        self._reply({"block": block, "peak_bytes": peak_bytes()} if self._ready else {"seconds": block.seconds, **self._facts})
        self._ready = True
        pieces = next(self._requests, 0)
        if not pieces:
            raise Closed
        self._begin(pieces)

    def _begin(self, pieces: int) -> None:
        self._pieces, self._units = pieces, 0.0
        self._device.start()
        self._from = self._wall(), self._cpu()


def serve() -> None:
    """Run in a worker: read what to run from standard input, then answer each request for a block on standard output."""
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a candidate prints must not look like an answer

    def reply(answer: Mapping[str, Any]) -> None:
        replies.write(json.dumps(answer) + "\n")

    order = json.loads(sys.stdin.readline())
    try:
        _run(order, _requests(sys.stdin), reply)
        reply({"failed": "the loop ended by itself"})
    except Closed:
        pass
    except ModuleNotFoundError as error:
        reply({"failed": f"{error.name} is not installed"})
    except InputError as error:
        reply({"failed": str(error)})
    except Exception as error:  # whatever a candidate does wrong is its result
        reply({"failed": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"})


def _requests(lines: TextIO) -> Iterator[int]:
    for line in lines:
        yield json.loads(line)["pieces"]


def _run(order: Mapping[str, Any], requests: Iterator[int], reply: Callable[[Mapping[str, Any]], None]) -> None:
    loop = pkgutil.resolve_name(order["loop"])
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(order["threads"])
    cuda = str(order["settings"].get("device", "")).startswith("cuda")
    loop(Meter(requests, reply, CudaClock() if cuda else None), **order["settings"])


def peak_bytes() -> int:
    """Return the most memory this process ever had: resident, and on a CUDA device what tensors took."""
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    torch = sys.modules.get("torch")
    used = torch.cuda.max_memory_allocated() if torch is not None and torch.cuda.is_initialized() else 0
    return int(resident + used)
