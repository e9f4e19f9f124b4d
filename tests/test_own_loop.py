"""The GANs in loops of their own: what is broken in each is named, and the sound one is not accused of it."""

from __future__ import annotations

import html
import importlib.util
import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from ganlab import Recorder
from ganlab.data.images import mnist_is_here

SCRIPTS = Path(__file__).parent.parent / "examples" / "own_loop"


class Planted(NamedTuple):
    """What `--broken` makes the recorder say: mistakes of the loop, and failures of the GAN."""

    mistakes: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    settings: dict[str, int] = {}  # noqa: RUF012
    """Arguments that make the test short."""


PLANTED = {
    "vectors": Planted(failures=("mode_collapse", "non_convergence")),
    "line": Planted(failures=("vanishing_gradients",), settings={"steps": 300}),
    "mnist": Planted(mistakes=("L401",), settings={"steps": 60}),
    "dcgan": Planted(mistakes=("L201",), settings={"steps": 60}),
    "tabular": Planted(failures=("memorisation",)),
    "lightning_module": Planted(mistakes=("L103",), settings={"epochs": 1}),
}


def main_of(name: str) -> Callable[..., Recorder]:
    spec = importlib.util.spec_from_file_location(f"own_loop_{name}", SCRIPTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    main: Callable[..., Recorder] = module.main
    return main


def test_every_script_is_tested() -> None:
    assert {path.stem for path in SCRIPTS.glob("*.py")} == set(PLANTED)


@pytest.mark.parametrize("name", PLANTED)
def test_a_script_is_short_and_broken_by_one_flag(name: str) -> None:
    lines = (SCRIPTS / f"{name}.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 80
    assert max(map(len, lines)) <= 128
    assert sum("broken" in line and "`--broken`" not in line for line in lines) == 2  # the flag, and where it is used
    assert inspect.signature(main_of(name)).parameters["broken"].default is False


def trained(name: str, broken: bool, page: Path, **settings: int) -> Recorder:
    if name == "lightning_module":
        pytest.importorskip("lightning")
    with torch.random.fork_rng():
        recorder = main_of(name)(broken=broken, page=str(page), **settings)
    assert not recorder.fault
    assert [found.code for found in recorder.mistakes] == list(PLANTED[name].mistakes if broken else ())
    return recorder


@pytest.mark.filterwarnings("ignore::Warning:lightning")  # its own, about workers, devices and what it calls in torch
@pytest.mark.parametrize("broken", [False, True], ids=["sound", "broken"])
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if name in ("vectors", "dcgan", "tabular") else []) for name in PLANTED],
)
def test_what_is_broken_is_named_and_the_sound_one_is_not_accused(
    name: str, broken: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planted, page = PLANTED[name], tmp_path / "page.html"
    recorder = trained(name, broken, page, **planted.settings)
    verdicts = recorder.verdicts()
    for code in planted.failures:
        assert verdicts[code].verdict == ("present" if broken else "absent"), verdicts[code].evidence

    said = capsys.readouterr().out
    assert f"page: {page}" in said
    assert all(found.title in said for found in recorder.mistakes)
    shown = html.unescape(page.read_text(encoding="utf-8"))
    assert all(found.title in shown for found in recorder.mistakes)
    assert all(verdicts[code].title in shown for code in planted.failures)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::Warning:lightning")
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("broken", [False, True], ids=["sound", "broken"])
@pytest.mark.parametrize("name", PLANTED)
def test_at_full_length_the_sound_one_is_healthy_and_the_broken_one_is_named(
    name: str, broken: bool, seed: int, tmp_path: Path
) -> None:  # fmt: skip
    if name == "dcgan" and not broken and not mnist_is_here():
        pytest.skip("scikit-learn's digits are too few for it, as it says")
    verdicts = trained(name, broken, tmp_path / "page.html", seed=seed).verdicts()
    if broken:
        assert set(PLANTED[name].failures) <= {one.code for one in verdicts.present}, verdicts
    else:
        assert {one.verdict for one in verdicts.values()} <= {"absent", "not applicable"}, verdicts


def test_without_lightning_its_script_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightning", None)
    with pytest.raises(SystemExit, match="pip install lightning"):
        main_of("lightning_module")()


@pytest.mark.slow
def test_a_script_is_run_from_the_command_line(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPTS / "mnist.py"), "--broken", "--steps", "30", "--page", str(tmp_path / "page.html")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "L401" in said
    assert (tmp_path / "page.html").is_file()
