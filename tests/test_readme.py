"""What the README says, runs; what the documentation shows, is what comes out."""

from __future__ import annotations

import doctest
import importlib
import io
import pkgutil
import re
import shlex
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import tyro

import ganlab
from ganlab import autoencoders, cli, learning, train
from ganlab.experiment import Run
from ganlab.store import Store

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


PYTHON = blocks("python")
COMMANDS = [
    shlex.split(line, comments=True) for block in blocks("sh") for line in block.splitlines() if line.startswith("ganlab ")
]


def test_the_python_of_the_readme_runs_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one namespace and an empty folder; only steps, seeds and sizes are cut down."""
    asked: list[dict[str, Any]] = []

    def small(*arguments: Any, **settings: Any) -> Run:
        asked.append(settings)
        tiny = {"seeds": 2, "steps": 3, "batch": 8, "evaluation": 16}
        own_nets = arguments and isinstance(arguments[0], ganlab.Game)
        return train.run(*arguments, **{**settings, **tiny, **({} if own_nets else {"hidden": (4,)})})

    def learned(*arguments: Any, run: Any = learning.run, **settings: Any) -> Run:
        return run(*arguments, **{**settings, "seeds": 2, "steps": 3})

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ganlab, "run", small, raising=False)
    monkeypatch.setattr(learning, "run", learned)
    monkeypatch.setattr(autoencoders, "run", partial(learned, run=autoencoders.run))
    names: dict[str, Any] = {"my_data": torch.rand(32, 2, generator=torch.Generator().manual_seed(0))}
    for block in PYTHON:
        exec(compile(block, "README.md", "exec"), names)
    assert len(asked) >= 3
    assert (tmp_path / "report.html").stat().st_size > 10_000
    assert Store("runs").ids() == [names["run"].experiment.id]
    back = ganlab.load(tmp_path / "runs" / names["run"].experiment.id)
    assert list(back.trace.columns) == ["run", "member", "seed", "step", "name", "index", "value"]
    assert isinstance(back.outcome, pd.DataFrame)


def test_the_readme_has_code_of_both_kinds() -> None:
    """Guards the tests around it."""
    assert len(PYTHON) >= 3
    assert {command[1] for command in COMMANDS} == {"run", "list", "diagnose", "compare", "repair", "report", "verify"}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_of_the_readme_is_understood(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parsed = tyro.cli(cli.Command, args=command[1:])
    assert type(parsed).__name__.lower() == command[1]
    if isinstance(parsed, cli.Run):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SystemExit) as end:
            cli.main([*command[1:], "--dry-run"])
        assert end.value.code == 0
        assert capsys.readouterr().err == ""
        assert list(tmp_path.iterdir()) == []


def test_the_sessions_of_the_readme_exist() -> None:
    """`nox -s NAME` and, behind `--`, options of the report."""
    root = Path(__file__).parent.parent
    sessions = set(re.findall(r"@nox\.session\ndef (\w+)", (root / "noxfile.py").read_text(encoding="utf-8")))
    named = set(re.findall(r"nox -s (\w+)", README))
    assert {"report", "tests"} <= named <= sessions
    study = (root / "reports" / "index.py").read_text(encoding="utf-8")
    for option in re.findall(r"nox -s report -- --([\w-]+)", README):
        assert f"    {option.replace('-', '_')}: " in study


def test_files_that_the_readme_links_to_are_there() -> None:
    root = Path(__file__).parent.parent
    linked = {name for name in re.findall(r"\]\(([^)#]+)\)", README) if not name.startswith("http")}
    assert not {name for name in linked if not (root / name).exists()}


def test_every_public_name_is_there_and_documented() -> None:
    for name in ganlab.__all__:
        thing = getattr(ganlab, name)
        assert name == "__version__" or thing.__doc__, name
    assert set(ganlab.__all__) >= {"run", "Game", "diagnose", "compare", "report", "load", "Store"}
    with pytest.raises(AttributeError, match=r"ganlab has no 'rnu'; it has .*run"):
        _ = ganlab.rnu


MODULES = ["ganlab", *(module.name for module in pkgutil.walk_packages(ganlab.__path__, "ganlab."))]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_give_what_they_show(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        result = doctest.testmod(importlib.import_module(name), optionflags=doctest.IGNORE_EXCEPTION_DETAIL)
    assert result.failed == 0, said.getvalue()
    assert list(tmp_path.iterdir()) == []


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    n_examples = sum(len(test.examples) for name in MODULES for test in finder.find(importlib.import_module(name)))
    assert n_examples >= 30
