"""A user's training over seeds: the same from any process, none lost by another's failure, one run that all else can read."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import ganlab
from ganlab import InputError, Recorder, Run, Store, recorded_run, trace
from ganlab.experiment import outcome
from ganlab.pages import pages_of
from ganlab.repeated import joined, repeat
from tests import repeating

linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are counted in /proc")


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Without the measures of the end, which take most of the time, but for one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorded_run, "measure_all", lambda *arguments: {("vendi", ("",)): torch.ones(1, 1)})
        yield


@pytest.fixture(autouse=True)
def dice() -> Iterator[None]:
    """Leave the streams that `repeat` seeds as they were."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    yield
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    torch.set_rng_state(states[2])


@pytest.fixture(scope="module")
def three() -> Run:
    """Three seeds, trained here."""
    return repeat(repeating.train, seeds=[4, 0, 7], workers=1)


def alone(seed: int, **settings: object) -> Run:
    torch.manual_seed(seed)
    return repeating.play(repeating.recorder(seed, **settings)).run


def test_a_member_is_what_its_seed_gives_alone(three: Run) -> None:
    assert three.experiment.kind == "recorded"
    assert three.experiment.seeds == (4, 0, 7)
    assert three.outcome["seed"].tolist() == [4, 0, 7]
    for place, seed in enumerate((4, 0, 7)):
        by_itself = alone(seed)
        mine = three.trace[three.trace["member"] == place].sort_values(["name", "index", "step"])
        its = by_itself.trace.sort_values(["name", "index", "step"])
        np.testing.assert_array_equal(mine["value"], its["value"])
        assert set(mine["seed"]) == {seed}
        np.testing.assert_array_equal(three.samples["generated"][place], by_itself.samples["generated"][0])


def test_members_differ_from_the_first_step_on(three: Run) -> None:
    assert len(set(trace.wide(three.trace, "generator_norm").loc[0])) == 3


def test_torch_numpy_and_random_are_seeded_with_the_seed() -> None:
    with pytest.raises(InputError, match="none of 2 seeds came to its end; seed 3: ValueError: ") as error:
        repeat(repeating.dice, seeds=[3, 5], workers=1)
    torch.manual_seed(3)
    expected = f"{torch.rand(1).item():.6f} {np.random.RandomState(3).rand():.6f} {random.Random(3).random():.6f}"
    assert expected in str(error.value)
    assert "in dice" in error.value.__notes__[0]


def test_the_run_is_diagnosed_compared_reported_and_kept(three: Run, tmp_path: Path) -> None:
    assert {d.n for d in ganlab.diagnose(three) if d.code == "divergence"} == {3}
    compared = ganlab.compare(three, three).set_index("quantity")
    assert compared["n"].eq(3).all()
    assert compared.loc["divergence rate", "difference"] == 0
    assert ganlab.report(three, tmp_path / "report.html").stat().st_size > 10_000
    store = Store(tmp_path / "runs")
    store.save(three)
    pd.testing.assert_frame_equal(store.load(three.experiment.id).trace, three.trace)


def test_seeds_are_kept_as_they_come_and_then_replaced_by_the_run_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, seen = Store(tmp_path), list[int]()
    monkeypatch.setattr(Recorder, "run", property(lambda self, get=Recorder.run.fget: _count(get(self))))

    def _count(run: Run) -> Run:
        seen.append(len(store.ids()))
        return run

    run = repeat(repeating.train, seeds=2, workers=1, store=tmp_path)
    assert seen == [0, 1]
    assert store.ids() == [run.experiment.id]
    assert store.load(run.experiment.id).experiment.seeds == (0, 1)


def test_other_seeds_are_another_run(three: Run) -> None:
    assert joined({0: alone(0)}).experiment != joined({1: alone(1)}).experiment
    assert joined({0: alone(0)}).experiment == joined({0: alone(0)}).experiment


def test_mistakes_of_the_loop_are_told_once_with_their_seeds() -> None:
    leak = {"code": "L103", "title": "Leak", "where": "generator", "step": 0, "evidence": "2 of 2", "fix": "Detach."}
    dead = {**leak, "code": "L203", "title": "Dead layer"}
    runs = {seed: alone(seed) for seed in range(3)}
    for seed, found, steps, faults in ((0, [leak, dead], 20, []), (1, [leak], 9, []), (2, [], 20, ["bad"])):
        checked = {"steps": steps, "faults": faults}
        said = {"mistakes": found, "checked": checked, "notes": ["odd"] * (seed < 2)}
        runs[seed] = replace(runs[seed], environment={**runs[seed].environment, **said})
    run = joined(runs)
    assert run.environment["mistakes"] == [{**leak, "seeds": [0, 1]}, {**dead, "seeds": [0]}]
    assert run.environment["checked"] == {"steps": 9, "faults": ["bad"]}
    assert run.environment["notes"] == ["odd"]
    (page,) = pages_of([run])
    (section,) = [section for section in page.sections if section.title == "Mistakes in the loop"]
    assert section.blocks[0].cells()[0][0].note == "since step 0 in 2 of 3 seeds"  # type: ignore[union-attr]


def test_seeds_that_train_alike_are_refused() -> None:
    """As where the function sets a seed itself: their rate would be that of one seed."""
    torch.manual_seed(0)
    with pytest.raises(InputError, match="seeds 0 and 1 cannot be joined into one run: both have the same nets"):
        repeat(repeating.reseeds, seeds=3, workers=1)


# --- looks that differ -------------------------------------------------------------------------------------------------


def test_looks_that_all_have_are_kept_and_motion_is_taken_between_them() -> None:
    """A seed seen at every fourth step and joined to one seen at every eighth is what it would be, seen at every eighth."""
    fine, coarse, other = alone(0, every=4), alone(0, every=8), alone(1, every=8)
    run = joined({0: fine, 1: other})
    assert run.experiment.every == 8
    assert sorted(run.trace["step"].unique()) == [0, 8, 16, 23]
    for name in ("motion", "distance", "signal_reach", "mode_count"):
        mine, its = (r.trace[(r.trace["name"] == name) & (r.trace["member"] == 0)]["value"] for r in (run, coarse))
        np.testing.assert_allclose(mine, its, rtol=1e-5)
    assert trace.wide(fine.trace, "motion")[0].loc[8] < trace.wide(run.trace, "motion")[0].loc[8]
    assert run.samples["moments"].tolist() == [0, 8, 16, 23]
    assert run.samples["generated"].shape[:2] == (2, 4)
    assert not {d.verdict for d in ganlab.diagnose(run)} & {"present"}


def test_a_member_that_diverged_and_ended_early_has_no_values_from_there_on() -> None:
    early = repeating.play(repeating.recorder(1), steps=9).run
    broken = replace(early, outcome=outcome(early.experiment, {0: (6, "generator loss")}))
    run = joined({0: alone(0), 1: broken, 2: alone(2)})
    distance = trace.wide(run.trace, "distance")
    assert distance[1].isna().tolist() == [False] * 3 + [True] * 4
    assert distance[[0, 2]].notna().all().all()
    assert trace.by_part(run.trace, "mode_count").shape == (7, 3, 8)
    assert run.outcome["status"].tolist() == ["finished", "diverged", "finished"]
    found = ganlab.diagnose(run)["divergence"].members
    assert found["verdict"].tolist()[1] == "present"
    assert found["onset"].tolist()[1] == 6
    assert run.samples["generated"].shape[:2] == (3, 7)


def test_seeds_that_end_early_without_diverging_are_refused() -> None:
    with pytest.raises(InputError, match=r"seeds 0 and 1 cannot be joined .*: they end at steps 23 and 19; train all seeds"):
        repeat(repeating.short, seeds=2, workers=1)


# --- what is refused ---------------------------------------------------------------------------------------------------


def test_what_differs_between_members_is_named() -> None:
    with pytest.raises(InputError, match="seeds 0 and 1 cannot be joined into one run: their evaluation differs: 64 and 65"):
        repeat(repeating.wide, seeds=4, workers=1)
    with pytest.raises(InputError, match=r"their data are 'points-\w+' and 'points-\w+'; give the recorder the same data="):
        repeat(repeating.gathers, seeds=2, workers=1)
    hinge = repeating.play(repeating.recorder(1, objective="hinge")).run
    with pytest.raises(InputError, match="their objective differs: 'non_saturating' and 'hinge'"):
        joined({0: alone(0), 1: hinge})
    with pytest.raises(InputError, match="only recorded runs of one seed can; got a recorded run of 2"):
        joined({0: joined({0: alone(0), 1: alone(1)})})


def test_a_function_that_returns_no_recorder_is_told_after_its_first_seed() -> None:
    with pytest.raises(InputError, match=r"train\(seed\) must return its ganlab\.Recorder, .* run; got NoneType"):
        repeat(repeating.nothing, seeds=2, workers=1)


def test_a_recorder_that_stood_aside_is_no_member(monkeypatch: pytest.MonkeyPatch) -> None:
    def train(seed: int) -> Recorder:
        found = repeating.train(seed)
        if seed == 1:
            found.fault, found._finished = "RuntimeError: planted", None
        return found

    run = repeat(train, seeds=2, workers=1)
    assert run.experiment.seeds == (0,)
    assert run.environment["missing"] == {"1": "InputError: its recorder stood aside: RuntimeError: planted"}


def test_functions_that_no_other_process_finds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def inside(seed: int) -> None: ...

    for hidden in (lambda seed: None, inside):
        with pytest.raises(InputError, match=r"cannot find the function .*define it at the top of .*__main__.*workers=1"):
            repeat(hidden, seeds=2, workers=2)
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "asked_in_a_console", inside, raising=False)
    monkeypatch.setattr(main, "__spec__", None, raising=False)
    monkeypatch.delattr(main, "__file__", raising=False)
    inside.__module__, inside.__qualname__ = "__main__", "asked_in_a_console"
    with pytest.raises(InputError, match="it is defined in a notebook or console"):
        repeat(inside, seeds=2, workers=2)


@pytest.mark.parametrize(("settings", "said"), [
    ({"seeds": 0}, "seeds must be a count"), ({"seeds": [1, 1]}, "seeds must be a count"), ({"workers": 0}, "workers must be"),
])  # fmt: skip
def test_counts_that_are_none_are_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        repeat(repeating.train, **settings)  # type: ignore[arg-type]


# --- in processes ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_processes_give_what_this_one_gives_and_a_failed_seed_costs_itself_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = repeat(repeating.hurt, seeds=4, workers=2)
    assert run.experiment.seeds == (0, 3)
    errors = {"1": "ValueError: no luck", "2": "its process died (out of memory, or killed)"}
    assert run.environment["missing"] == errors
    said = capfd.readouterr().err
    assert "[4/4] " in said
    assert f"2 of 4 seeds are missing from the run: seed 1: {errors['1']}; seed 2: {errors['2']}" in said
    assert run.environment["threads"] == 1
    here = repeat(repeating.train, seeds=[0, 3], workers=1)
    for name in ("distance", "generator_norm"):
        mine, its = (trace.wide(r.trace, name) for r in (run, here))
        assert mine.loc[0, 0] != mine.loc[0, 1]
        np.testing.assert_allclose(mine, its, rtol=1e-5)  # threads add in another order


SCRIPT = """
    import signal
    import ganlab
    from tests import repeating
    {guard}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start with Ctrl-C ignored
    ganlab.repeat(repeating.forever, seeds=4, workers=2)
"""


def script(folder: Path, guard: str) -> subprocess.Popen[str]:
    text = re.sub(r"^    ", "", SCRIPT.format(guard=guard), flags=re.MULTILINE)
    if guard:
        head, _, tail = text.partition(guard)
        text = head + guard + "\n" + re.sub(r"^(?=.)", "    ", tail.lstrip("\n"), flags=re.MULTILINE)
    (folder / "study.py").write_text(text)
    where = os.pathsep.join([str(Path(ganlab.__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "study.py"], cwd=folder, env={**os.environ, "PYTHONPATH": where}, text=True, stderr=subprocess.PIPE
    )


def children(number: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{number}/task/{number}/children").read_text().split()]


@linux
@pytest.mark.slow
def test_ctrl_c_stops_and_leaves_no_child(tmp_path: Path) -> None:
    study = script(tmp_path, 'if __name__ == "__main__":')
    try:
        deadline = time.monotonic() + 240  # torch starts in three processes
        while len(list(tmp_path.glob("begun-*"))) < 2:
            assert time.monotonic() < deadline
            assert study.poll() is None
            time.sleep(0.1)
        workers = children(study.pid)
        assert len(workers) >= 2
        study.send_signal(signal.SIGINT)
        _, said = study.communicate(timeout=60)
        assert study.returncode == -signal.SIGINT
        assert "stopped; 0 of 4 seeds were done, none is kept; give store= to keep them" in said
        deadline = time.monotonic() + 20
        while any(Path(f"/proc/{number}").exists() for number in workers):
            assert time.monotonic() < deadline, "a child lives on"
            time.sleep(0.1)
    finally:
        study.kill()


@linux
@pytest.mark.slow
def test_a_script_without_its_guard_is_told_so(tmp_path: Path) -> None:
    study = script(tmp_path, "")
    _, said = study.communicate(timeout=240)
    assert study.returncode == 1
    assert "processes that are to train cannot start from this script" in said.splitlines()[-1]
    assert 'if __name__ == "__main__":' in said.splitlines()[-1]
