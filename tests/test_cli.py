"""Every bad request ends in one clear message and exit code 2, with nothing half-written; every good one says what it did."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

import ganlab
from ganlab import catalogue, cli, data
from ganlab.cli import main
from ganlab.experiment import Run
from ganlab.game import Game
from ganlab.registry import InputError
from ganlab.store import MANIFEST, Store
from tests.planted import of_modes, perfect, run_of

SMALL = ("--seeds", "2", "--steps", "3", "--set", "hidden=(4,)", "--set", "batch=4", "--set", "evaluation=16")


class Answer(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    def rows(self) -> list[list[str]]:
        return [line.split("\t") for line in self.out.splitlines()]


Command = Callable[..., Answer]


@pytest.fixture
def ganlab_(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command line, in this process and in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str | Path) -> Answer:
        with pytest.raises(SystemExit) as end:
            main([str(a) for a in arguments])
        captured = capsys.readouterr()
        return Answer(int(end.value.code or 0), captured.out, captured.err)

    return command


@pytest.fixture(scope="module")
def planted() -> list[Run]:
    """A healthy run and one that lost three modes, on the same seeds."""
    ring = data.get("ring8")
    samplers = {"nsgan": perfect, "wgan": of_modes(ring, [0, 1, 2, 3, 4])}
    made = [run_of(sampler, n_seeds=4, n=400, steps=(0, 100, 200)) for sampler in samplers.values()]
    return [replace(run, experiment=replace(run.experiment, subject=name)) for run, name in zip(made, samplers, strict=True)]


@pytest.fixture
def store(planted: list[Run], tmp_path: Path) -> Store:
    """The planted runs, in the folder where the command line looks first."""
    found = Store(tmp_path / "runs")
    for run in planted:
        found.save(run)
    return found


def listing(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def refused(answer: Answer) -> str:
    """Return the message of a request that was refused in one line."""
    assert answer.code == 2
    (line,) = answer.err.splitlines()
    assert line.startswith("ganlab: ")
    return line.removeprefix("ganlab: ")


# --- requests that cannot be done --------------------------------------------------------------------------------------

AT_ONCE = "and 1 where both move at once (simultaneous, extragradient, consensus, symplectic)"
SIMULTANEOUS = f"n_critic must be at least 1, {AT_ONCE}; got 5"

BAD_RUNS: list[tuple[Sequence[str], str]] = [
    (("--variant", "wgan_gq"), "unknown variant 'wgan_gq'; did you mean 'wgan_gp'? Known: acgan, ali,"),
    (("--variant", ""), "unknown variant ''. Known: acgan"),
    (("--data", "rnig8"), "unknown data distribution 'rnig8'; did you mean 'ring8'? Known: cube1000, digits,"),
    (("--data", "ring:mdoes=3"), "unknown setting of data 'ring' 'mdoes'; did you mean 'modes'? Known: modes,"),
    (("--data", "ring:modes=0"), "modes must be a whole number of at least 1; got 0"),
    (("--data", "ring:modes=3,std=nan"), "cannot read the data settings 'modes=3,std=nan'; write them as in 'ring:modes=12"),
    (("--data", "ring:modes=3,modes=4"), "cannot read the data settings"),
    (("--data", "ring:std=1e400"), "std must be finite and not negative"),
    (("--data", "ring:__import__('os')"), "cannot read the data settings"),
    (("--data", "ring:modes={[1]}"), "cannot read the data settings"),
    (("--data", "ring:modes=" + "-" * 100_000 + "1"), "cannot read the data settings"),
    (("--set", "lrr=1"), "unknown setting 'lrr'; did you mean 'lr'? Known: activation, average, batch,"),
    (("--set", "penalties=r1"), "unknown setting 'penalties'"),
    (("--steps", "0"), "steps must be a whole number of at least 1; got 0"),
    (("--steps", "-5"), "steps must be a whole number of at least 1; got -5"),
    (("--every", "0"), "every must be a whole number of at least 1; got 0"),
    (("--seeds", "0"), "seeds must be a count of at least 1, or different integers of at least 0; got []"),
    (("--first-seed", "-1"), "different integers of at least 0; got [-1, 0"),
    (("--set", "lr=-1"), "lr must be a finite number above 0, or a list of such; got -1"),
    (("--set", "lr=0"), "lr must be a finite number above 0, or a list of such; got 0"),
    (("--set", "lr=nan"), "lr must be a finite number above 0, or a list of such; got 'nan'"),
    (("--set", "lr=1e400"), "lr must be a finite number above 0, or a list of such; got inf"),
    (("--set", "lr=[]"), "lr must have at least one value and none twice; got []"),
    (("--set", "lr=[1e-3,1e-4]"), "with several values of lr, say which lr_discriminator goes with them"),
    (("--set", "lr={[1]:2}"), "lr must be a finite number above 0, or a list of such; got '{[1]:2}'"),
    (("--set", "lr=" + "-" * 5000 + "1"), "lr must be a finite number above 0"),
    (("--set", "lr=" + "-" * 100_000 + "1"), "lr must be a finite number above 0"),
    (("--set", "beta1=1"), "beta1 must be a finite number at least 0 and below 1, or a list of such; got 1"),
    (("--set", "r1=-1"), "r1 must be a finite number at least 0, or a list of such; got -1"),
    (("--set", "lr"), "--set takes name=value, such as lr=1e-3; got 'lr'"),
    (("--set", ""), "--set takes name=value, such as lr=1e-3; got ''"),
    (("--set", "=3"), "unknown setting ''. Known: activation"),
    (("--set", "lr=1", "--set", "lr=2"), "--set gives lr twice; a list such as lr=[1,2] trains members for each value"),
    (("--set", "seeds=3"), "--set seeds=3: seeds has an option of its own, --seeds"),
    (("--set", "first_seed=3"), "--set first_seed=3: first_seed has an option of its own, --first-seed"),
    (("--set", "data=ring8"), "--set data=ring8: data has an option of its own, --data"),
    (("--set", "hidden=abc"), "hidden must be a list of layer widths, such as (128, 128); got 'abc'"),
    (("--set", "hidden=64"), "hidden must be a list of layer widths, such as (128, 128); got 64"),
    (("--set", "hidden=()"), "hidden must be a list of layer widths, such as (128, 128); got ()"),
    (("--set", "hidden=(8,-1)"), "each hidden width must be a whole number of at least 1; got -1"),
    (("--set", "hidden=(6.5,)"), "each hidden width must be a whole number of at least 1; got 6.5"),
    (("--set", "hidden=((8,),8)"), "each hidden width must be a whole number of at least 1; got (8,)"),
    (("--set", "batch=1"), "batch must be a whole number of at least 2; got 1"),
    (("--set", "latent=True"), "latent must be a whole number of at least 1; got True"),
    (("--set", "objective=hing"), "unknown objective 'hing'; did you mean 'hinge'? Known: boundary_seeking,"),
    (("--set", "objective=[1]"), "unknown objective [1]. Known: boundary_seeking,"),
    (("--set", "optimizer=adm"), "unknown optimizer 'adm'; did you mean 'adam'? Known: adam,"),
    (("--set", "update=alternate"), "unknown update rule 'alternate'; did you mean 'alternating'? Known: alternating,"),
    (("--set", "activation=rel"), "unknown activation 'rel'; did you mean 'relu'? Known: elu,"),
    (("--set", "activation={}"), "unknown activation {}. Known: elu,"),
    (("--set", "update=simultaneous", "--set", "n_critic=5"), SIMULTANEOUS),
    (("--variant", "wgan", "--set", "update=simultaneous"), SIMULTANEOUS),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), BAD_RUNS, ids=[" ".join(given)[:50] for given, _ in BAD_RUNS])
def test_a_bad_run_is_refused_in_one_line_before_the_store_is_touched(
    arguments: Sequence[str], message: str, ganlab_: Command, tmp_path: Path
) -> None:
    answer = ganlab_("run", *arguments)
    assert message in refused(answer)
    assert answer.out == ""
    assert listing(tmp_path) == []


def test_the_list_of_bad_runs_is_bad_for_its_own_reasons(ganlab_: Command) -> None:
    """Guards the test above: what they all have in common is fine."""
    assert ganlab_("run", "--dry-run").code == 0


@pytest.mark.parametrize("where", ["file", "file/runs"])
def test_a_store_that_cannot_be_written_is_refused_before_training(where: str, ganlab_: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    message = refused(ganlab_("run", "--store", where, *SMALL))
    assert message.startswith(f"cannot write to the folder '{where}': ")
    assert message.endswith("choose another one or change its permissions")
    assert listing(tmp_path) == [tmp_path / "file"]


@pytest.mark.parametrize("arguments", [("diagnose",), ("compare", "a", "b"), ("report",)], ids=lambda a: a[0])
@pytest.mark.parametrize("where", ["nowhere", "file"])
def test_a_store_without_runs_is_refused_with_what_makes_one(
    arguments: Sequence[str], where: str, ganlab_: Command, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    message = refused(ganlab_(*arguments, "--store", where))
    assert message == f"there are no runs in '{where}'; make one with `ganlab run --store {where}`"
    assert listing(tmp_path) == [tmp_path / "file"]


@pytest.mark.parametrize("command", [("diagnose",), ("report",), ("compare", "{good}")], ids=lambda a: a[0])
def test_names_that_name_no_run_or_several_are_refused_and_the_known_ones_listed(
    command: Sequence[str], ganlab_: Command, store: Store, tmp_path: Path
) -> None:
    known = ", ".join(store.ids())
    before = listing(tmp_path)
    given = [part.format(good=store.ids()[0]) for part in command]
    for name, n in (("zzz", 0), ("../runs", 0), ("", 2), (store.ids()[0] + "0", 0)):
        message = refused(ganlab_(*given, name))
        assert message == f"{name!r} names {n} runs in 'runs'; `ganlab list runs` shows them: {known}"
    assert listing(tmp_path) == before


@pytest.mark.parametrize("command", [("diagnose",), ("report",), ("compare", "{bad}", "{good}")], ids=lambda a: a[0])
def test_a_damaged_run_is_refused_by_name_with_what_to_do(command: Sequence[str], ganlab_: Command, store: Store) -> None:
    good, bad = store.ids()
    (store.path / bad / "outcome.csv").write_text("member\n")
    before = listing(store.path.parent)
    message = refused(ganlab_(*(part.format(good=good, bad=bad) for part in command)))
    assert bad in message
    assert "is damaged: outcome.csv differ from the manifest; delete the folder and run again" in message
    assert listing(store.path.parent) == before


@pytest.mark.parametrize("out", ["file/report.html", "folder", ".", "", "x" * 300, "/"])
def test_a_report_that_cannot_be_written_leaves_nothing(
    out: str, ganlab_: Command, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ganlab.pages.pages_of", lambda _: [])
    monkeypatch.setattr("ganlab.pages.page.render", lambda *_: "<html>")
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    before = listing(tmp_path)
    message = refused(ganlab_("report", "--out", out))
    assert message.startswith("cannot write the report to ")
    assert message.endswith("; choose another path")
    assert listing(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("rum",), "Available subcommands: run, list, diagnose, compare, repair, report, verify"),
        ((), "{run, list, diagnose, compare, repair, report, verify}"),
        (("run", "--stpes", "3"), "--steps"),
        (("run", "--steps", "1.5"), "--steps"),
        (("list", "variant"), "'variants'"),
        (("compare", "a"), "Missing"),
    ],
)
def test_what_is_no_command_is_refused_with_what_there_is(
    arguments: Sequence[str], said: str, ganlab_: Command, tmp_path: Path
) -> None:
    answer = ganlab_(*arguments)
    assert answer.code == 2
    assert said in answer.err
    assert answer.out == ""
    assert listing(tmp_path) == []


def test_runs_that_cannot_be_compared_are_refused(ganlab_: Command, store: Store, planted: list[Run]) -> None:
    elsewhere = replace(planted[0], experiment=replace(planted[0].experiment, data="grid25"))
    store.save(elsewhere)
    message = refused(ganlab_("compare", planted[0].experiment.id, elsewhere.experiment.id))
    assert message == "runs on different data cannot be compared: 'ring8' and 'grid25'"


# --- requests that can -------------------------------------------------------------------------------------------------


OPTIONS = {
    "run": {"--variant", "--data", "--seeds", "--first-seed", "--steps", "--every", "--set", "--block", "--store", "--dry-run"},
    "list": {"--store"}, "diagnose": {"--store"}, "compare": {"--store"}, "report": {"--store", "--out"}, "verify": {"--store"},
}  # fmt: skip


@pytest.mark.parametrize("command", OPTIONS)
def test_help_says_what_for_and_names_every_option_with_its_default(command: str, ganlab_: Command) -> None:
    answer = ganlab_(command, "--help")
    settings = getattr(cli, command.title())
    assert answer.code == 0
    assert " ".join(settings.__doc__.split()) in " ".join(answer.out.split())
    assert set(re.findall(r"(?<!no)--[a-z][a-z-]*", answer.out)) - {"--help", "--no-dry-run"} == OPTIONS[command]
    given = {"--" + name.replace("_", "-") for name in settings.__dataclass_fields__}
    assert given - {"--runs", "--kind", "--a", "--b"} == OPTIONS[command]
    assert answer.out.count("(default: ") + answer.out.count("(required)") + answer.out.count("(repeatable)") == len(given)
    assert "(default: runs)" in answer.out


SLOW = {"torch", "torchvision", "matplotlib", "seaborn", "sklearn", "scipy", "pandas", "numpy"}
"""Packages that take from a tenth of a second to many seconds to import."""


def test_help_list_and_verify_import_nothing_slow_and_reading_runs_imports_no_torch(store: Store) -> None:
    """All in one interpreter, from quick to slow; a dry run is the control that must load torch."""
    code = """
        import sys
        from ganlab.cli import main
        for command in ("--help", "run --help", "list --help", "diagnose --help", "compare --help", "report --help",
                        "verify --help", "list", "list variants", "list runs", "verify", "bogus", "run --steps x",
                        "diagnose", "compare " + " ".join(sys.argv[1:]), "run --dry-run"):
            try:
                main(command.split())
            except SystemExit as end:
                print("ended", end.code, *sys.modules)
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *store.ids()],
        cwd=store.path.parent, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    ends = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("ended")]
    assert [int(code) for code, *_ in ends] == [0] * 11 + [2] * 2 + [0] * 3
    loaded = [SLOW.intersection(modules) for _, *modules in ends]
    assert loaded[:13] == [set()] * 13
    assert all("pandas" in modules and "torch" not in modules for modules in loaded[13:15])
    assert "torch" in loaded[15]


def test_a_dry_run_prints_the_settings_and_writes_nothing(ganlab_: Command, tmp_path: Path) -> None:
    answer = ganlab_("run", "--dry-run", "--variant", "wgan_gp", *SMALL)
    said = dict(row for row in answer.rows() if len(row) == 2)
    assert answer.code == 0
    assert said["variant"] == "wgan_gp"
    assert (said["steps"], said["members"], said["gradient_penalty"]) == ("3", "2", "0.1")
    assert said["generator"] == said["discriminator"] == "net mlp, hidden 4, activation relu"
    assert said["run"] == ganlab.planning.plan(
        "wgan_gp", "ring8", seeds=2, steps=3, hidden=(4,), batch=4, evaluation=16
    ).id  # fmt: skip
    assert listing(tmp_path) == []


def test_a_run_is_stored_and_the_same_run_is_found_and_not_repeated(ganlab_: Command, tmp_path: Path) -> None:
    first = ganlab_("run", "--store", "s", *SMALL)
    (name,) = Store("s").ids()
    files = {path: path.stat().st_mtime_ns for path in listing(tmp_path / "s" / name)}
    again = ganlab_("run", "--store", "s", *SMALL)
    assert (first.code, again.code) == (0, 0)
    said = first.err.splitlines()
    assert [said[0], said[2:]] == ["1 runs to train, 0 found in s", ["[1/1] nsgan on ring8, 2 seeds"]]
    assert said[1].startswith("memory: about ")
    assert again.err.splitlines() == ["0 runs to train, 1 found in s"]
    assert {path: path.stat().st_mtime_ns for path in listing(tmp_path / "s" / name)} == files
    assert listing(tmp_path / "s") == sorted([tmp_path / "s" / name, *files])
    assert again.out == first.out
    assert ["run", name] in first.rows()
    other = ganlab_("run", "--store", "s", *SMALL, "--first-seed", "1")
    assert "1 runs to train" in other.err
    assert len(Store("s").ids()) == 2


def test_settings_arrive_as_numbers_lists_and_words(ganlab_: Command) -> None:
    given = ["lr=[1e-3, 1e-4]", "lr_discriminator=2e-3", " hidden =(8, 9)", "objective=hinge", "n_critic=2"]
    given += ["batch=4", "evaluation=16"]
    ganlab_("run", "--store", "s", *SMALL[:4], *(part for setting in given for part in ("--set", setting)))
    (run,) = Store("s").runs()
    assert run.experiment.numbers["lr"] == (1e-3, 1e-4)
    assert run.experiment.settings["generator"]["hidden"] == run.experiment.settings["discriminator"]["hidden"] == [8, 9]
    assert (run.experiment.settings["objective"], run.experiment.settings["n_critic"]) == ("hinge", 2)


@pytest.mark.parametrize("kind", catalogue.KINDS)
def test_list_shows_every_name_with_its_source(kind: str, ganlab_: Command) -> None:
    answer = ganlab_("list", kind)
    entries = [entry for registry in catalogue.registries()[kind] for entry in registry.entries()]
    assert answer.code == 0
    assert answer.rows() == [[f"# {kind}"], ["name", "what", "source"], *([e.name, e.summary, e.source] for e in entries)]
    assert all(e.source for e in entries)


def test_list_of_everything_is_all_the_lists(ganlab_: Command) -> None:
    everything = ganlab_("list").out
    assert [line[2:] for line in everything.splitlines() if line.startswith("# ")] == list(catalogue.KINDS)
    for kind in catalogue.KINDS:
        assert ganlab_("list", kind).out in everything


def test_list_of_runs_shows_each_run_and_names_the_damaged_one(ganlab_: Command, store: Store) -> None:
    bad, good = store.ids()
    subject = {name: store.load(name).experiment.subject for name in store.ids()}[good]
    (store.path / bad / "outcome.csv").write_text("member\n")
    title, header, *rows = ganlab_("list", "runs").rows()
    assert title == ["# runs in runs"]
    assert header == ["run", "kind", "subject", "data", "seeds", "steps"]
    assert rows == [[bad, "damaged", "", "", "", ""], [good, "gan", subject, "ring8", "4", "200"]]


def test_diagnose_says_verdict_rate_and_each_seed(ganlab_: Command, store: Store, planted: list[Run]) -> None:
    sick = planted[1].experiment.id
    answer = ganlab_("diagnose", sick[:6])
    shown = " ".join(answer.out.split())
    assert answer.code == 0
    assert "wgan on ring8: mode collapse present 4 of 4 seeds failed, 100% with 95 % interval 51% to 100%" in shown
    rows = answer.rows()
    seeds = [row for row in rows if "3 of 8 modes lost (5, 6, 7)" in row[-1]]
    assert [row[:3] for row in seeds] == [[str(seed), "present", "0"] for seed in range(4)]
    assert rows[rows.index(seeds[0]) - 1] == ["seed", "verdict", "onset", "evidence"]
    assert ganlab_("diagnose").out.count("mode collapse") == 2


def test_compare_says_which_run_is_higher_and_by_how_much(ganlab_: Command, store: Store, planted: list[Run]) -> None:
    healthy, sick = (run.experiment.id for run in planted)
    answer = ganlab_("compare", sick[:6], healthy)
    title, header, *rows = answer.rows()
    assert title == [f"# a: wgan on ring8 ({sick}), b: nsgan on ring8 ({healthy})"]
    found = {row[0]: dict(zip(header, row, strict=True)) for row in rows}
    rate = found["mode_collapse rate"]
    assert (rate["a"], rate["b"], rate["difference"], rate["p_value"], rate["n"]) == ("1", "0", "1", "0.125", "4")
    score = found["modes_covered"]
    assert (score["difference"], score["low"], score["p_value"]) == ("-3", "-inf", "0.125")
    assert {row["answer"] for row in found.values()} == {"inconclusive"}  # four seeds show nothing, whatever they say
    assert rate["more_seeds"] == "2"


def test_verify_passes_a_sound_store_and_fails_a_damaged_one(ganlab_: Command, store: Store) -> None:
    assert ganlab_("verify") == Answer(0, "2 of 2 runs in runs match their checksums\n", "")
    bad = store.ids()[1]
    sound = (store.path / bad / "trace.csv.gz").read_bytes()
    (store.path / bad / "trace.csv.gz").write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    answer = ganlab_("verify")
    assert answer.code == 1
    first, last = answer.out.splitlines()
    assert bad in first
    assert "trace.csv.gz differ from the manifest" in first
    assert last == "1 of 2 runs in runs match their checksums"


@pytest.mark.parametrize("depth", [1, 100_000])
def test_a_manifest_that_is_nonsense_is_damage_at_any_depth(depth: int, ganlab_: Command, store: Store) -> None:
    (store.path / store.ids()[0] / MANIFEST).write_text("[" * depth + "]" * depth)
    assert ganlab_("verify").code == 1
    assert refused(ganlab_("diagnose")).endswith("delete the folder and run again")


def test_report_prints_the_path_of_a_page(ganlab_: Command, store: Store, tmp_path: Path) -> None:
    """The planted runs have no samples and no environment of training, as a run from elsewhere may not."""
    for run in list(store.runs()):
        known = {"ganlab": "0", "torch": "0", "python": "3", "system": "x", "device_name": "x", "device": "cpu"}
        shutil.rmtree(store.path / run.experiment.id)
        store.save(replace(run, environment={**known, "dtype": "x", "threads": 1, "cores": 1, "seconds": 1.0}))
    answer = ganlab_("report", "--out", "new/folder/page.html")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == f"{tmp_path / 'new' / 'folder' / 'page.html'}\n"
    assert "<h1>" in Path("new/folder/page.html").read_text(encoding="utf-8")
    assert listing(tmp_path / "new") == [tmp_path / "new" / "folder", tmp_path / "new" / "folder" / "page.html"]


def test_stored_names_cannot_steer_the_terminal(ganlab_: Command, store: Store, planted: list[Run]) -> None:
    for name in ("\x1b[31mred", "\x1b]0;title\x07", "new\nline\ttab", "\x9b2J", "\x7f", "[bold]markup[/bold] [/]"):
        store.save(replace(planted[0], experiment=replace(planted[0].experiment, subject=name)))
    first, second = (run.experiment.id for run in store.runs() if run.experiment.subject.startswith("\x1b"))
    for command in (("list", "runs"), ("diagnose",), ("compare", first, second), ("compare", first, "zz\x1b[31m")):
        answer = ganlab_(*command)
        assert not set(answer.out + answer.err) & {chr(i) for i in [*range(9), *range(11, 32), *range(127, 160)]}
    rows = ganlab_("list", "runs").rows()
    assert {row[2] for row in rows[2:]} >= {"␛[31mred", "new␊line␉tab", "[bold]markup[/bold] [/]"}


def test_output_to_a_file_is_plain_text(tmp_path: Path, store: Store) -> None:
    """By processes of its own, with a terminal's wishes in the environment: rich obeys NO_COLOR, not TERM, off a terminal."""
    script = Path(sys.executable).parent / "ganlab"
    command = [str(script)] if script.exists() else [sys.executable, "-c", "from ganlab.cli import main; main()"]
    environment = {k: v for k, v in os.environ.items() if k not in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE")}
    for arguments, code in ((["diagnose"], 0), (["verify", "--sotre", "x"], 2)):
        done = subprocess.run(
            [*command, *arguments], cwd=tmp_path, env={**environment, "TERM": "xterm-256color"}, capture_output=True,
            text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == code
        assert (done.stdout == "") == (done.stderr != "")
        assert "\x1b" not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


# --- the same from Python ----------------------------------------------------------------------------------------------

TINY: dict[str, Any] = {"seeds": 1, "steps": 2, "batch": 4, "evaluation": 16}


def generator(n_in: int = 3, n_out: int = 2) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(nn.Linear(n_in, 4), nn.ReLU(), nn.Linear(4, n_out))


def discriminator(n_in: int = 2, n_out: int = 1) -> Callable[[], nn.Module]:
    return generator(n_in, n_out)


class Returning(nn.Module):
    """Gives what a function makes of a linear layer's output."""

    def __init__(self, n_in: int, n_out: int, change: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.layer, self.change = nn.Linear(n_in, n_out), change

    def forward(self, x: torch.Tensor) -> Any:
        return self.change(self.layer(x))


ONE_LOGIT = "the discriminator must give one logit a sample, (2,) or (2, 1) for two samples"


def test_nets_that_fit_are_not_refused() -> None:
    """Guards the tests below."""
    assert list(ganlab.run(Game(generator(), discriminator()), "ring8", **TINY).outcome["status"]) == ["finished"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Game(generator(n_out=3), discriminator()), "turns latents (2, 3) into (2, 3), but samples of 'ring8' are"),
        (lambda: Game(generator(n_out=3), discriminator(3)), "the generator turns latents (2, 3) into (2, 3)"),
        (lambda: Game(lambda: Returning(3, 2, lambda y: (y, y)), discriminator()), "turns latents (2, 3) into tuple, but"),
        (lambda: Game(generator(), discriminator(n_out=2)), f"{ONE_LOGIT}; got (2, 2)"),
        (lambda: Game(generator(), lambda: Returning(2, 1, torch.mean)), f"{ONE_LOGIT}; got ()"),
        (lambda: Game(generator(), lambda: Returning(2, 1, lambda y: [y])), f"{ONE_LOGIT}; got list"),
        (lambda: Game(generator(), discriminator(n_in=3)), "the nets do not fit latent size 3 and data (2,): "),
        (lambda: Game(generator(), discriminator(), latent=7), "the nets do not fit latent size 7 and data (2,): "),
        (lambda: Game(generator(), discriminator(), latent=0), "latent must be a whole number of at least 1; got 0"),
        (lambda: Game(lambda: nn.Conv2d(1, 1, 1), discriminator()), "read off the generator's first layer; pass latent="),
        (lambda: Game(None, discriminator()), "the generator must be an nn.Module or a function that returns one; got None"),
        (lambda: Game(generator(), lambda: 3), "the discriminator must be an nn.Module or a function that returns one; got 3"),
    ],
)  # fmt: skip
def test_nets_that_do_not_fit_are_refused_before_training(make: Callable[[], Game], message: str) -> None:
    with pytest.raises(InputError) as refusal:
        ganlab.run(make(), "ring8", **TINY)
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"objective": "hing"}, "unknown objective 'hing'; did you mean 'hinge'? Known: boundary_seeking,"),
        ({"objective": ["hinge"]}, "unknown objective ['hinge']"),
        ({"penalties": {"r3": 1.0}}, "unknown penalty 'r3'; did you mean 'r2'? Known: classification,"),
        ({"penalties": {"r1": -1.0}}, "r1 must be a finite number at least 0"),
        ({"penalties": ["r1"]}, "penalties must be weights by name, such as {'r1': 10.0}; got ['r1']"),
        ({"update": "alternate"}, "unknown update rule 'alternate'; did you mean 'alternating'?"),
        ({"optimizer": "adm"}, "unknown optimizer 'adm'; did you mean 'adam'?"),
        ({"n_critic": 0}, "n_critic must be at least 1"),
        ({"n_critic": "2"}, f"n_critic must be at least 1, {AT_ONCE}; got '2'"),
        ({"n_critic": 2, "update": "simultaneous"}, f"n_critic must be at least 1, {AT_ONCE}; got 2"),
    ],
)
def test_a_game_of_unknown_rules_is_refused_when_it_is_made(rules: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as refusal:
        Game(generator(), discriminator(), **rules)
    assert message in str(refusal.value)


class Data:
    """Data that give what they are told to."""

    name, shape = "own", (2,)

    def __init__(self, give: Callable[[int], Any]) -> None:
        self.give = give

    def sample(self, n: int, generator: torch.Generator) -> Any:
        return self.give(n)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([[1.0, 2.0]], "an object with name, shape and sample(n, generator); got list"),
        (np.zeros((4, 2)), "an object with name, shape and sample(n, generator); got ndarray"),
        (torch.zeros(4), "data points must be a floating-point tensor [n, *shape]; got torch.float32 (4,)"),
        (torch.zeros(0, 2), "data points must be a floating-point tensor [n, *shape]; got torch.float32 (0, 2)"),
        (torch.zeros(4, 0), "data points must be a floating-point tensor [n, *shape]; got torch.float32 (4, 0)"),
        (torch.zeros(4, 2, dtype=torch.int64), "must be a floating-point tensor [n, *shape]; got torch.int64 (4, 2)"),
        (torch.full((4, 2), torch.nan), "has non-finite values; remove them before training"),
        ("ring9", "unknown data distribution 'ring9'; did you mean 'ring"),
        (Data(lambda n: torch.zeros(n, 3)), "data 'own' of shape (2,) must give tensors [n, *shape]; got (2, 3) for n=2"),
        (Data(lambda n: torch.zeros(2 * n, 2)), "data 'own' of shape (2,) must give tensors [n, *shape]; got (4, 2) for n=2"),
        (Data(lambda n: np.zeros((n, 2))), "data 'own' of shape (2,) must give tensors [n, *shape]; got ndarray for n=2"),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_data_that_are_none_are_refused(given: Any, message: str) -> None:
    with pytest.raises(InputError) as refusal:
        ganlab.run("nsgan", given, hidden=(4,), **TINY)
    assert message in str(refusal.value)


def test_points_that_carry_a_gradient_are_data_like_others() -> None:
    points = torch.rand(8, 2)
    plain, traced = (ganlab.run("nsgan", p, hidden=(4,), **TINY).trace for p in (points, points.clone().requires_grad_()))
    assert traced.equals(plain)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"engine": "vmp"}, "unknown engine 'vmp'; did you mean 'vmap'? Known: loop, vmap"),
        ({"device": "cudaa"}, "cannot compute on device 'cudaa': "),
        ({"dtype": torch.int64}, "unknown dtype 'int64'; did you mean 'float64'? Known: float32, float64"),
        ({"dtype": "flaot32"}, "unknown dtype 'flaot32'; did you mean 'float32'? Known: float32, float64"),
        ({"seeds": True}, "seeds must be a count of at least 1, or different integers of at least 0; got True"),
        ({"seeds": 1.0}, "seeds must be a count of at least 1, or different integers of at least 0; got 1.0"),
        ({"seeds": [0, 0]}, "seeds must be a count of at least 1, or different integers of at least 0; got [0, 0]"),
        ({"steps": 1.5}, "steps must be a whole number of at least 1; got 1.5"),
        ({"variant": ["nsgan"]}, "unknown variant ['nsgan']; did you mean 'nsgan'? Known: acgan,"),
        ({"variant": None}, "unknown variant None. Known: acgan,"),
        ({"hiden": (4,)}, "unknown setting 'hiden'; did you mean 'hidden'? Known: activation,"),
    ],
    ids=lambda value: "" if isinstance(value, str) else " ".join(value),
)
def test_a_run_from_python_is_refused_as_from_the_command_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as refusal:
        ganlab.run(**{"variant": "nsgan", "data": "ring8", "hidden": (4,), **TINY, **settings})
    assert message in str(refusal.value)


def test_a_missing_gpu_is_named() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(InputError, match=r"cannot compute on device 'cuda': .*device='cpu' is always there"):
        ganlab.run("nsgan", "ring8", hidden=(4,), device="cuda", **TINY)
