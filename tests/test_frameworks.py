"""PyTorch against TensorFlow and JAX: what is measured, what the section says, and what it says without the extra."""

from __future__ import annotations

import ast
import runpy
import subprocess
import sys
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import nn

import benchmarks.lecture
import reports.lecture
from benchmarks import framework_loops as loops
from benchmarks.lecture import frameworks
from ganlab import timing, trace
from ganlab.data import get
from ganlab.experiment import Run, outcome
from ganlab.pages.lecture import frameworks as page
from ganlab.pages.page import Figure, Section, Table, Text
from ganlab.store import Store
from ganlab.timing import Result
from ganlab.workers import Block

ROOT = Path(__file__).parent.parent
OTHERS = {"keras", "tensorflow", "jax", "jaxlib"}
MATCHED = f"{frameworks.REFERENCE}{loops.MATCHED}"

needs_extra = pytest.mark.skipif(not frameworks.installed(), reason="needs the extra frameworks")


def planted(far: float = 0.01, failed: str = "") -> Run:
    """Return a measurement in which every program has the losses of PyTorch with Keras's Adam, `far` from PyTorch's own."""
    experiment = frameworks.plan("quick")
    n, rounds = len(experiment.seeds), experiment.steps
    own = np.linspace(2, 0.1, frameworks.UPDATES)
    results = {}
    for i, label in enumerate(c["label"] for c in experiment.settings["candidates"]):
        losses = {label: own if label == frameworks.REFERENCE else own + far}
        if label == frameworks.REFERENCE:
            losses |= {f"{label}{name}": own + (far if name == loops.MATCHED else 2 * far) for name in loops.CHANGES}
        facts = {"losses": {name: [list(found)] * n for name, found in losses.items()}, "peak_bytes": 1e9, "start_seconds": 1.0}
        facts |= {"import_seconds": 2.0, "first_step_seconds": 3.0}
        blocks = [Block(100.0, 1.0 + i, 0.0, 1.0 + i)] * rounds
        results[label] = Result(failed="it is not installed") if label == failed else Result(blocks, facts)
    table = [timing.tidy(experiment, results), *frameworks._seen(experiment, results)]
    environment = timing.environment(experiment, results, 1.0)
    return Run(experiment, trace.check(frameworks.pd.concat(table)), outcome(experiment, {}), {}, environment)


def shown(section: Section) -> str:
    """Return all text of a section."""
    words = [p for block in section.blocks if isinstance(block, Text) for p in block.paragraphs]
    tables = [block for block in section.blocks if isinstance(block, Table)]
    cells = [f"{cell.text} {cell.note}" for table in tables for row in table.cells() for cell in row]
    return "\n".join([section.title, *words, *cells, *(table.caption for table in tables)])


def rows(section: Section, title: str) -> dict[str, list[str]]:
    (table,) = [block for block in section.blocks if isinstance(block, Table) and block.title.startswith(title)]
    return {name.text: [f"{cell.text} {cell.note}" for cell in found] for name, *found in table.cells()}


# --- without the extra ---------------------------------------------------------------------------------------------------


def test_without_the_extra_nothing_is_measured_and_the_page_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frameworks, "find_spec", lambda name: None)
    store = Store(tmp_path / "runs")
    assert benchmarks.lecture.measure("quick", store) == {"frameworks": []}
    assert not (tmp_path / "runs").exists()
    section = reports.lecture.SECTIONS["frameworks"]([])
    assert "Nothing was measured" in section.blocks[0].paragraphs[0]
    assert "nox -s frameworks" in section.blocks[0].paragraphs[0]
    assert rows(section, "How much is there to write?")["PyTorch"] == ["6 ", "10 "]


def test_nothing_but_the_scripts_imports_another_framework() -> None:
    scripts = {ROOT / "examples" / "lecture" / name for name in ("14_keras.py", "14_tensorflow.py")}
    for path in [p for folder in ("ganlab", "benchmarks", "reports", "examples") for p in (ROOT / folder).rglob("*.py")]:
        nodes = ast.parse(path.read_text(encoding="utf-8")).body
        found = {alias.name.partition(".")[0] for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        found |= {str(node.module).partition(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)}
        assert bool(found & OTHERS) == (path in scripts) or path.parent.name == "peers", path


def test_the_loop_imports_no_framework_itself() -> None:
    code = "import sys, benchmarks.framework_loops; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout.split()
    assert not {*OTHERS, "torch", "pandas", "sklearn"} & set(loaded)


# --- what the section says -----------------------------------------------------------------------------------------------


def test_the_section_tells_differences_and_where_they_begin() -> None:
    section = page.section([planted()], frameworks.lines())
    found = rows(section, "Do they compute the same losses?")
    assert found["Keras on JAX"][0].startswith("1.0e-02 same in 0 of 3")
    assert found["Keras on JAX"][0].endswith("first at update 1")
    assert found["Keras on JAX"][1].startswith("0.0e+00 same in 3 of 3")
    assert "differ by up to 0.01" in section.blocks[0].paragraphs[0]
    assert rows(section, "How fast is it?")["Keras on PyTorch"][:2] == ["50 ", "0.50 [0.50, 0.50]"]
    for figure in [block for block in section.blocks if isinstance(block, Figure)]:
        plt.close(figure.draw())
        assert set(figure.frame["against"]) == {"to PyTorch", f"to {MATCHED}"}


def test_equal_losses_are_said_to_be_the_same() -> None:
    assert page.section([planted(far=1e-6)], frameworks.lines()).blocks[0].paragraphs[0].startswith("Yes: ")


def test_a_loss_that_is_no_number_is_not_the_same() -> None:
    run = planted(far=0.0)
    broken = (run.trace["name"] == "loss") & (run.trace["index"] == "Keras on JAX") & (run.trace["step"] == 50)
    run = replace(run, trace=run.trace.assign(value=run.trace["value"].mask(broken & (run.trace["seed"] == 0))))
    assert page._same(page.differences(run, "PyTorch")["Keras on JAX"]).failures == 2


def test_losses_that_differ_with_the_same_adam_too_are_not_put_down_to_adam() -> None:
    run = planted()
    others = (run.trace["name"] == "loss") & run.trace["index"].str.startswith("Keras on")
    told = page.section([replace(run, trace=run.trace.assign(value=run.trace["value"] + 0.1 * others))], frameworks.lines())
    assert "because PyTorch and Keras write Adam differently" in shown(page.section([run], frameworks.lines()))
    assert "for more reasons than how Adam is written" in shown(told)
    assert "in the last digits" not in shown(told)


@pytest.mark.parametrize("failed", ["Keras on TensorFlow", "PyTorch"])
def test_a_framework_that_does_not_start_is_a_row_with_the_reason(failed: str) -> None:
    section = page.section([planted(failed=failed)], frameworks.lines())
    assert rows(section, "What could not be measured") == {failed: ["it is not installed "]}


def test_a_script_that_cannot_be_imported_is_a_result(tmp_path: Path) -> None:
    """A real process, and a framework that there is not."""
    planned = frameworks.plan("quick")
    candidates = [c for c in frameworks.candidates_of(planned) if c.label == "Keras on JAX"]
    missing = replace(candidates[0], base="", settings={**candidates[0].settings, "backend": "no_such_framework"})
    run = frameworks.perform(replace(planned, settings={**planned.settings, "candidates": [asdict(missing)]}))
    assert set(run.environment["failed"]) == {"Keras on JAX"}
    assert run.trace.empty


def test_what_is_measured_is_stored_and_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def perform(experiment: frameworks.Experiment, progress: object) -> Run:
        asked.append(experiment.id)
        return planted()

    monkeypatch.setattr(frameworks, "installed", lambda: True)
    monkeypatch.setattr(frameworks, "perform", perform)
    store = Store(tmp_path)
    store.prepare()
    first, again = (frameworks.measure("quick", store)[0] for _ in range(2))
    assert asked == [first.experiment.id]
    assert again.trace.equals(first.trace)


def test_lines_are_those_of_the_functions_without_words() -> None:
    text = 'import x\n\n\ndef build(w):\n    """Words."""\n    # why\n    return w\n\n\n@x\ndef train(n):\n\n    return n\n'
    assert frameworks.counted(text) == (2, 3)


# --- what is compared ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def torch_losses() -> dict[str, np.ndarray]:
    """The losses of PyTorch's script, as it is and with each change, on one seed."""
    program = runpy.run_path(str(loops.SCRIPTS / "14_pytorch.py"))
    given = partial(loops.batches, *digits(), 0, batch=32, updates=frameworks.UPDATES)
    found = {"": program["train"](program["build"](loops.weights(64, 0)), given())}
    found |= {name: change(program, loops.weights(64, 0), given) for name, change in loops.CHANGES.items()}
    return {name: np.array(values) for name, values in found.items()}


def digits() -> tuple[np.ndarray, np.ndarray]:
    images = get("digits")
    return images.train.flatten(1).numpy().astype(np.float32) / 127.5 - 1, images.train_labels.numpy()


def test_the_net_learns_and_begins_by_guessing(torch_losses: dict[str, np.ndarray]) -> None:
    assert torch_losses[""][0] == pytest.approx(np.log(10), abs=0.05)
    assert torch_losses[""][-10:].mean() < 0.2


@pytest.mark.parametrize("change", loops.CHANGES)
def test_each_change_moves_the_losses(change: str, torch_losses: dict[str, np.ndarray]) -> None:
    """The controls: another order, another epsilon, and epsilon in another place differ by more than is called the same."""
    assert np.abs(torch_losses[change] - torch_losses[""]).max() > 10 * page.SAME


def test_keras_adam_is_torch_adam_without_epsilon() -> None:
    """Where gradients are far above epsilon the two forms are one: 30 updates of a line, in float64."""
    torch.manual_seed(0)
    x, y = torch.randn(16, 3).double(), torch.randn(16, 1).double()
    ends = []
    for make in (lambda p: torch.optim.Adam(p, lr=1e-3, eps=1e-30), lambda p: loops.KerasAdam(p, float)):
        torch.manual_seed(1)
        net = nn.Linear(3, 1).double()
        optimizer = make(net.parameters())
        for _ in range(30):
            loss = nn.functional.mse_loss(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        ends.append(torch.cat([p.detach().ravel() for p in net.parameters()]))
    torch.testing.assert_close(ends[0], ends[1], rtol=0, atol=1e-7)


def test_it_is_the_kink_that_lets_rounding_grow() -> None:
    """Bias corrections of 32 and 64 bits differ by one part in 75 000: with tanh the losses show no more than that."""
    train = runpy.run_path(str(loops.SCRIPTS / "14_pytorch.py"))["train"]
    x, y = digits()
    found = {}
    for activation, seed in ((nn.ReLU, 0), (nn.ReLU, 7), (nn.Tanh, 0)):
        ends = []
        for number in (np.float32, float):
            net = nn.Sequential(nn.Linear(64, 512), activation(), nn.Linear(512, 256), activation(), nn.Linear(256, 10))
            with torch.no_grad():
                for parameter, given in zip(net.parameters(), loops.weights(64, seed), strict=True):
                    parameter.copy_(torch.from_numpy(given.T))
            learner = net, loops.KerasAdam(net.parameters(), number)
            ends.append(train(learner, loops.batches(x, y, seed, batch=32, updates=100)))
        found.setdefault(activation, []).append(np.abs(np.subtract(*ends)).max())
    assert max(found[nn.Tanh]) < 2e-5
    assert max(found[nn.ReLU]) > page.SAME


def test_batches_are_whole_orders_and_differ_by_seed_and_stream() -> None:
    x, y = np.arange(12.0, dtype=np.float32)[:, None], np.arange(12)
    first, same, seed, stream = (
        np.concatenate([b[1] for b in loops.batches(x, y, *which, batch=4, updates=5)]) for which in ((0,), (0,), (1,), (0, 2))
    )
    assert sorted(first[:12]) == list(range(12))
    assert (first == same).all()
    assert (first != seed).any()
    assert (first != stream).any()


@needs_extra
@pytest.mark.slow
def test_keras_has_the_losses_of_pytorch_with_its_adam_and_this_process_stays_clean() -> None:
    planned = frameworks.plan("quick")
    kept = [c for c in planned.settings["candidates"] if c["label"] in ("PyTorch", "Keras on JAX", "Keras on TensorFlow")]
    kept = [{**c, "settings": {**c["settings"], "seeds": [0]}} for c in kept]
    run = frameworks.perform(replace(planned, seeds=(0,), steps=1, settings={**planned.settings, "candidates": kept}))
    assert not run.environment["failed"]
    assert not OTHERS & set(sys.modules)
    adjusted, plain = (page.differences(run, name) for name in (MATCHED, "PyTorch"))
    for name in ("Keras on JAX", "Keras on TensorFlow"):
        assert adjusted[name].max() < page.SAME
        assert plain[name].max() > page.SAME
