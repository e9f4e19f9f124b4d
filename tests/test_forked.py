"""Forks: the same results in the same order as one by one, the same errors, and no process left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ganlab.forked import forked


def until(holds: Callable[[], bool]) -> None:
    """Wait until this holds, for a minute at most."""
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")


@pytest.fixture(autouse=True)
def three_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganlab.forked.n_cores", lambda: 3)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 50])
def test_results_are_in_order_and_each_item_has_its_own(n: int) -> None:
    big = "x" * 100_000  # more than a pipe holds
    assert forked(lambda i: (i, big), range(n)) == [(i, big) for i in range(n)]


@linux
def test_all_cores_work_and_this_process_does_not(tmp_path: Path) -> None:
    def meet(i: int) -> int:
        (tmp_path / str(i)).touch()
        until(lambda: len(list(tmp_path.iterdir())) == 3)
        return os.getpid()

    found = forked(meet, range(3))
    assert len(set(found) - {os.getpid()}) == 3
    for child in found:
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)


def fail(i: int) -> int:
    if i in (4, 6):
        raise ValueError(f"no {i}")
    return i


def test_the_first_error_comes_out_as_it_is() -> None:
    with pytest.raises(ValueError, match="no 4") as caught:
        forked(fail, range(9))
    assert caught.traceback[-1].name == "fail"
    assert caught.value.__cause__ is caught.value.__context__ is None


@linux
@pytest.mark.parametrize("n_dying", [1, 9])
def test_what_a_dead_child_had_to_do_is_done_here(n_dying: int) -> None:
    here = os.getpid()

    def die(i: int) -> int:
        if os.getpid() != here and i < n_dying:
            os.kill(os.getpid(), signal.SIGKILL)
        return i**2

    assert forked(die, range(9)) == [i**2 for i in range(9)]


def test_what_cannot_be_sent_is_done_here() -> None:
    assert [result() for result in forked(lambda i: lambda: i, range(4))] == [0, 1, 2, 3]


@pytest.mark.parametrize("why", ["system", "cores", "room"])
def test_without_forks_all_is_done_here(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> int:
        raise OSError(11, "Resource temporarily unavailable")

    if why == "system":
        monkeypatch.setattr("ganlab.forked.sys.platform", "darwin")
    elif why == "cores":
        monkeypatch.setattr("ganlab.forked.n_cores", lambda: 1)
    else:
        monkeypatch.setattr("os.fork", full)
    assert forked(lambda _: os.getpid(), range(4)) == [os.getpid()] * 4


@linux
def test_a_child_has_no_children() -> None:
    for child, grandchildren in forked(lambda _: (os.getpid(), forked(lambda _: os.getpid(), range(3))), range(3)):
        assert grandchildren == [child] * 3


@linux
@pytest.mark.parametrize("how", ["ctrl-c", "kill"])
def test_no_child_outlives_its_parent(how: str, tmp_path: Path) -> None:
    """Ctrl-C reaches all processes of a terminal, and ends them at once; a kill only the parent, and they end what they do."""
    code = """
import os, pathlib, signal, sys, time
from unittest.mock import patch
from ganlab.forked import forked

def wait(i):
    pathlib.Path(sys.argv[1], str(os.getpid())).touch()
    time.sleep(float(sys.argv[2]))

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start with Ctrl-C ignored
with patch("ganlab.forked.n_cores", lambda: 3):
    forked(wait, range(30))
"""
    patience = "100" if how == "ctrl-c" else "1"
    parent = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path, patience], start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    until(lambda: len(list(tmp_path.iterdir())) == 3)
    children = [int(path.name) for path in tmp_path.iterdir()]
    if how == "ctrl-c":
        os.killpg(parent.pid, signal.SIGINT)
    else:
        parent.kill()
    said = parent.communicate(timeout=60)[1]
    assert said.count("KeyboardInterrupt") == (how == "ctrl-c")
    assert parent.returncode == -(signal.SIGINT if how == "ctrl-c" else signal.SIGKILL)
    until(lambda: not any(map(runs, children)))
    assert len(list(tmp_path.iterdir())) == 3


def runs(process: int) -> bool:
    """Return whether a process is there and not a zombie that nobody waits for."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
