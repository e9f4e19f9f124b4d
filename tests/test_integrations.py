"""A callback for Lightning, and sinks: they see what happens, count steps right, and hurt nothing."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ganlab
from ganlab import InputError, Recorder, recorded_run
from ganlab.integrations import LightningCallback, tags, tensorboard, wandb
from tests import repeating


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the measures of the end, which take most of the time, but for one."""
    monkeypatch.setattr(recorded_run, "measure_all", lambda *arguments: {("vendi", ("",)): torch.ones(1, 1)})


SETTINGS: dict[str, Any] = {"data": "ring8", "every": 2, "cost": 1, "evaluation": 64}

# --- Lightning, in place of which stands a trainer that calls its hooks in the documented order --------------------------


@pytest.fixture
def lightning(monkeypatch: pytest.MonkeyPatch) -> type:
    class Callback:
        def state_dict(self) -> dict[str, Any]:
            return {}

    monkeypatch.setitem(sys.modules, "lightning.pytorch", SimpleNamespace(Callback=Callback))
    return Callback


class Module(nn.Module):
    """What a GAN in Lightning looks like to a callback."""

    def __init__(self) -> None:
        super().__init__()
        self.generator, self.discriminator = nn.Linear(2, 2), nn.Linear(2, 1)

    def training_step(self, batch: Any, step: int) -> dict[str, Any] | None:
        return {"d_loss": torch.tensor(1.0 + step), "g_loss": torch.tensor(2.0)}


class Trainer:
    """Fits as Lightning does: hooks in its order, and two optimisers' steps for each batch."""

    def __init__(self, callback: Any, is_global_zero: bool = True, world_size: int = 1) -> None:
        self.callback, self.is_global_zero, self.world_size = callback, is_global_zero, world_size
        self.global_step, self.should_stop = 0, False
        self.strategy: Any = None

    def fit(self, module: Module, batches: list[Any], break_at: int = -1) -> None:
        try:
            self.callback.on_fit_start(self, module)
            for step, batch in enumerate(batches):
                if step == break_at:
                    raise RuntimeError("planted")
                outputs = module.training_step(batch, step)
                self.global_step += 2
                self.callback.on_train_batch_end(self, module, outputs, batch, step)
                if self.should_stop:
                    break
        except BaseException as error:
            self.callback.on_exception(self, module, error)
            raise
        self.callback.on_fit_end(self, module)


BATCHES = list(torch.randn(7, 16, 2, generator=torch.Generator().manual_seed(0)))


def test_steps_are_counted_in_batches_and_not_in_optimiser_steps(lightning: type, tmp_path: Path) -> None:
    callback = LightningCallback(store=tmp_path, **SETTINGS)
    assert isinstance(callback, lightning)
    trainer = Trainer(callback)
    trainer.fit(Module(), BATCHES)
    assert trainer.global_step == 14
    assert sorted(callback.run.trace["step"].unique()) == [0, 2, 4, 6]
    assert callback.run.samples["losses"][0, :, 0].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert ganlab.Store(tmp_path).ids() == [callback.run.experiment.id]
    assert callback.recorder.fault == ""


def test_names_of_nets_and_what_is_real_in_a_batch_can_be_said(lightning: type) -> None:
    module = Module()
    module.net_g, module.net_d = module.generator, module.discriminator
    del module.generator, module.discriminator
    settings = {**SETTINGS, "data": None}
    dictionaries = [{"image": batch.repeat(200, 1), "label": None} for batch in BATCHES]
    named = LightningCallback("net_g", "net_d", real=lambda batch: batch["image"], **settings)
    Trainer(named).fit(module, dictionaries)
    assert named.recorder.fault == ""
    assert named.run.experiment.settings["batch"] == 3200
    plain = LightningCallback("net_g", "net_d", **settings)
    Trainer(plain).fit(module, [[batch.repeat(200, 1), torch.zeros(3200)] for batch in BATCHES])
    assert plain.run.experiment.data == named.run.experiment.data
    with pytest.raises(InputError, match="the module has no attribute 'generator'; say where its nets are"):
        Trainer(LightningCallback(**SETTINGS)).fit(module, BATCHES)


class Makes(Module):
    """Its generator is called in each step, so that the shape of a sample is known."""

    def training_step(self, batch: Any, step: int) -> dict[str, Any] | None:
        self.generator(torch.zeros(3, 2))
        return None


def test_of_a_dictionary_the_part_that_is_like_samples_is_taken(lightning: type) -> None:
    settings = {**SETTINGS, "data": None}
    several = [{"label": torch.zeros(3200, 1), "weight": torch.ones(3200), "image": x.repeat(200, 1)} for x in BATCHES]
    callback = LightningCallback(**settings)
    Trainer(callback).fit(Makes(), several)
    assert callback.recorder.fault == ""
    assert callback.run.experiment.settings["batch"] == 3200
    assert callback.run.samples["real"].shape[-1] == 2


@pytest.mark.parametrize(
    ("parts", "said"), [({"image": 2, "mask": 2}, "2 of .'image', 'mask'. could be"), ({"image": 4}, "0 of .'image'. could be")]
)
def test_where_no_part_or_several_could_be_samples_it_is_asked_for(parts: dict[str, int], said: str, lightning: type) -> None:
    batches = [{name: torch.zeros(16, width) for name, width in parts.items()} for _ in range(4)]
    callback = LightningCallback(**{**SETTINGS, "data": None})
    Trainer(callback).fit(Makes(), batches)
    assert re.search(f"which part of the batch is the real samples. {said}; say it, as in real=lambda", callback.recorder.fault)
    given = LightningCallback(**SETTINGS)
    Trainer(given).fit(Makes(), batches)
    assert given.recorder.fault == "", "the data are known, and none are needed"


def test_nothing_of_the_callback_stays_on_the_nets(lightning: type) -> None:
    module = Makes()
    Trainer(LightningCallback(**SETTINGS)).fit(module, BATCHES)
    assert not module.generator._forward_hooks


def test_conditions_go_to_the_nets(lightning: type) -> None:
    class Conditional(nn.Module):
        def __init__(self, n_out: int) -> None:
            super().__init__()
            self.layer = nn.Linear(3, n_out)

        def forward(self, x: Tensor, label: Tensor) -> Tensor:
            return self.layer(torch.cat([x, label], 1))

    module = Module()
    module.generator, module.discriminator = Conditional(2), Conditional(1)
    callback = LightningCallback(real=lambda batch: (batch, batch[:, :1]), **{**SETTINGS, "data": None, "latent": 2})
    Trainer(callback).fit(module, [batch.repeat(200, 1) for batch in BATCHES])
    assert callback.recorder.fault == ""
    assert "distance" in set(callback.run.trace["name"])


def test_what_fails_in_the_callback_stops_no_training(lightning: type, caplog: pytest.LogCaptureFixture) -> None:
    callback = LightningCallback(real=lambda batch: {}["no such key"], **SETTINGS)
    with caplog.at_level(logging.WARNING, "ganlab"):
        Trainer(callback).fit(Module(), BATCHES)
    assert "KeyError" in callback.recorder.fault
    assert len(caplog.records) == 1


def test_a_run_that_breaks_is_kept_up_to_there(lightning: type, tmp_path: Path) -> None:
    callback = LightningCallback(store=tmp_path, **SETTINGS)
    with pytest.raises(RuntimeError, match="planted"):
        Trainer(callback).fit(Module(), BATCHES, break_at=4)
    (name,) = ganlab.Store(tmp_path).ids()
    assert sorted(ganlab.Store(tmp_path).load(name).trace["step"].unique()) == [0, 2, 3]


def test_counting_goes_on_where_a_checkpoint_was(lightning: type) -> None:
    first, second = LightningCallback(**SETTINGS), LightningCallback(**SETTINGS)
    Trainer(first).fit(Module(), BATCHES)
    second.load_state_dict(first.state_dict())
    Trainer(second).fit(Module(), BATCHES)
    assert second.run.trace["step"].min() == 7


def test_a_verdict_stops_the_trainer(lightning: type) -> None:
    callback = LightningCallback(stop_when="divergence", **SETTINGS)
    trainer = Trainer(callback)
    trainer.fit(broken_module(), BATCHES)
    assert trainer.should_stop
    assert trainer.global_step == 2


class Strategy:
    """Tells a process what all of them decide together, as Lightning's strategies do."""

    def __init__(self, another_stops: bool) -> None:
        self.another_stops, self.asked = another_stops, 0

    def reduce_boolean_decision(self, decision: bool, all: bool = True) -> bool:
        assert not all
        self.asked += 1
        return decision or self.another_stops


def broken_module() -> Module:
    module = Module()
    nn.init.constant_(module.generator.weight, torch.nan)
    return module


@pytest.mark.parametrize("main", [True, False])
def test_all_processes_stop_at_once(main: bool, lightning: type) -> None:
    """Each reads its own flag, and one that goes on alone would wait for the others for ever."""
    trainer = Trainer(LightningCallback(stop_when="divergence", **SETTINGS), is_global_zero=main, world_size=2)
    trainer.strategy = Strategy(another_stops=not main)
    trainer.fit(broken_module(), BATCHES)
    assert trainer.should_stop
    assert trainer.strategy.asked == 1


def test_a_process_whose_recorder_stands_aside_still_decides_with_the_others(lightning: type) -> None:
    callback = LightningCallback(stop_when="divergence", real=lambda batch: {}["no such key"], **SETTINGS)
    trainer = Trainer(callback, world_size=2)
    trainer.strategy = Strategy(another_stops=False)
    trainer.fit(Module(), BATCHES)
    assert trainer.strategy.asked == len(BATCHES)
    unasked = Trainer(LightningCallback(**SETTINGS), world_size=2)
    unasked.strategy = Strategy(another_stops=True)
    unasked.fit(Module(), BATCHES)
    assert unasked.strategy.asked == 0, "nothing can stop it, and nobody waits"


def test_the_main_process_alone_records(lightning: type) -> None:
    callback = LightningCallback(**SETTINGS)
    Trainer(callback, is_global_zero=False, world_size=2).fit(Module(), BATCHES)
    assert callback.recorder is None
    with pytest.raises(InputError, match="nothing was seen yet"):
        _ = callback.run


def test_synchronised_batch_norm_is_refused_by_all_processes_rather_than_waited_for(lightning: type) -> None:
    module = Module()
    module.generator = nn.Sequential(nn.Linear(2, 2), nn.SyncBatchNorm(2))
    for main in (True, False):
        with pytest.raises(InputError, match="would wait for the others at each look"):
            Trainer(LightningCallback(**SETTINGS), is_global_zero=main, world_size=2).fit(module, BATCHES)


def test_without_lightning_the_callback_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("lightning.pytorch", "pytorch_lightning"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match="LightningCallback needs Lightning: pip install lightning"):
        LightningCallback()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_real_lightning_calls_the_callback_as_the_stub_does(tmp_path: Path) -> None:
    pl = pytest.importorskip("lightning.pytorch")

    class Gan(pl.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False
            self.generator, self.discriminator = nn.Linear(2, 2), nn.Linear(2, 1)

        def configure_optimizers(self) -> list[torch.optim.Optimizer]:
            return [torch.optim.SGD(net.parameters(), 0.01) for net in (self.discriminator, self.generator)]

        def training_step(self, batch: Any, step: int) -> dict[str, Tensor]:
            real, losses = batch[0], {}
            for name, optimizer in zip(("d_loss", "g_loss"), self.optimizers(), strict=True):
                optimizer.zero_grad()
                fake = self.discriminator(self.generator(torch.randn(len(real), 2)))
                sign = -1 if name == "g_loss" else 1
                loss = nn.functional.softplus(sign * fake).mean()
                if name == "d_loss":
                    loss = loss + nn.functional.softplus(-self.discriminator(real)).mean()
                self.manual_backward(loss)
                optimizer.step()
                losses[name] = loss.detach()
            return losses

    points = torch.utils.data.TensorDataset(torch.randn(96, 2), torch.zeros(96))
    loader = torch.utils.data.DataLoader(points, batch_size=16)
    callback = LightningCallback(store=tmp_path / "runs", **SETTINGS)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    trainer = pl.Trainer(max_epochs=2, callbacks=[callback], default_root_dir=tmp_path, **quiet)
    trainer.fit(Gan(), loader)
    assert trainer.global_step == 24
    assert callback.recorder.fault == ""
    assert callback.run.trace["step"].max() == 11
    assert callback.run.samples["losses"].shape == (1, 12, 2)
    assert len(ganlab.Store(tmp_path / "runs").ids()) == 1
    trainer.save_checkpoint(tmp_path / "at.ckpt")
    again = LightningCallback(**SETTINGS)
    trainer = pl.Trainer(max_epochs=3, callbacks=[again], default_root_dir=tmp_path, **quiet)
    trainer.fit(Gan(), loader, ckpt_path=tmp_path / "at.ckpt")
    assert (again.run.trace["step"].min(), again.run.trace["step"].max()) == (12, 17)


IN_TWO_PROCESSES = """
import lightning.pytorch as pl
import torch
from torch import nn

import ganlab


class Gan(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.generator, self.discriminator = nn.Linear(2, 2), nn.Linear(2, 1)
        nn.init.constant_(self.generator.weight, torch.nan)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.01)

    def training_step(self, batch, step):
        self.manual_backward(self.discriminator(self.generator(batch)).mean())
        self.optimizers().step()

    def on_fit_end(self):
        print(f"process {self.global_rank} ends at {self.global_step}", flush=True)


callback = ganlab.LightningCallback(data="ring8", every=1, cost=1, evaluation=64, stop_when="divergence")
quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
trainer = pl.Trainer(max_epochs=1, callbacks=[callback], accelerator="cpu", devices=2, strategy="ddp_fork", **quiet)
trainer.fit(Gan(), torch.utils.data.DataLoader(torch.randn(320, 2), batch_size=16))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")
def test_two_real_processes_stop_at_once(tmp_path: Path) -> None:
    """One that went on alone would wait for ever."""
    pytest.importorskip("lightning.pytorch")
    script = tmp_path / "fit.py"
    script.write_text(IN_TWO_PROCESSES, encoding="utf-8")
    local = {**os.environ, "GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else None
    command = [sys.executable, "-W", "ignore", str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=local, start_new_session=True) as process:
        try:
            said, _ = process.communicate(timeout=180)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # the process that it began, too
    assert process.returncode == 0
    assert {"process 0 ends at 1", "process 1 ends at 1"} <= set(said.splitlines())


# --- sinks -----------------------------------------------------------------------------------------------------------------


class Board:
    """A writer, or a wandb run, that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, str, float]] = []

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        self.told.append((step, tag, value))

    def log(self, values: dict[str, float], step: int) -> None:
        self.told += [(step, tag, value) for tag, value in values.items()]


def watched(sink: Any, steps: int = 5, **settings: Any) -> Recorder:
    torch.manual_seed(0)
    return repeating.play(repeating.recorder(0, every=2, sinks=[sink], **settings), steps=steps)


@pytest.mark.parametrize("make", [tensorboard, wandb])
def test_a_board_is_told_every_look_under_tags_that_group(make: Any) -> None:
    board = Board()
    found = watched(make(board))
    assert sorted({step for step, _, _ in board.told}) == [0, 2, 4]
    at = {tag: value for step, tag, value in board.told if step == 4}
    row = found.run.trace.set_index(["name", "index", "step"])["value"]
    assert at["ganlab/signal_reach"] == row["signal_reach", "", 4]
    assert at["ganlab_generator_gradient_by_layer/0.weight"] == row["generator_gradient_by_layer", "0.weight", 4]
    assert {tag.partition("/")[0] for tag in at} >= {"ganlab", "ganlab_mode_count", "ganlab_modes_covered"}


def test_wandb_is_told_rising_steps_alone() -> None:
    board = Board()
    sink = wandb(board)
    for step in (0, 5, 5, 3, 6):
        sink(step, {"distance": 0.1})
    assert [step for step, _, _ in board.told] == [0, 5, 6]


def test_a_board_that_raises_or_is_closed_is_told_no_more_and_the_run_is_whole(caplog: pytest.LogCaptureFixture) -> None:
    class Closes(Board):
        def add_scalar(self, tag: str, value: float, step: int) -> None:
            if step >= 2:
                raise ValueError("I/O operation on closed file")
            super().add_scalar(tag, value, step)

    board = Closes()
    with caplog.at_level(logging.WARNING, "ganlab"):
        found = watched(tensorboard(board))
    assert {step for step, _, _ in board.told} == {0}
    assert found.fault == ""
    assert sorted(found.run.trace["step"].unique()) == [0, 2, 4]
    assert "a sink of the recorder of 'tiny' fails and is told no more" in caplog.text


def test_a_slow_board_makes_looks_rarer_and_loses_nothing_else() -> None:
    class Slow(Board):
        def log(self, values: dict[str, float], step: int) -> None:
            time.sleep(0.05)
            super().log(values, step)

    board = Slow()
    found = watched(wandb(board), steps=60, cost=0.05)
    assert found.fault == ""
    assert found.run.experiment.every > 2
    assert len({step for step, _, _ in board.told}) < 25


def test_tags_of_a_prefix_of_ones_own() -> None:
    assert tags({"motion": 1.0, "mode_due/0": 2.0}, "gan") == {"gan/motion": 1.0, "gan_mode_due/0": 2.0}


def test_a_real_summary_writer_takes_them(tmp_path: Path) -> None:
    board = pytest.importorskip("torch.utils.tensorboard")
    with board.SummaryWriter(str(tmp_path)) as writer:
        found = watched(tensorboard(writer))
    assert found.fault == ""
    assert list(tmp_path.glob("events*"))
