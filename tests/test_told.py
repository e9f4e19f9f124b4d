"""What a recorder says while a loop trains, to whom and when, and what it makes of what it is told."""

from __future__ import annotations

import io
import logging
import re
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

from ganlab import Recorder, listeners, told
from ganlab.pages import recorded_page
from tests.test_recorder import OfTheRing, mlp


def test_verdicts_are_inconclusive_before_anything_was_seen_and_after_a_fault() -> None:
    one = Recorder(mlp(3, 2), mlp(2, 1), latent=3, name="mine")
    found = one.verdicts()
    assert {verdict.verdict for verdict in found.values()} == {"inconclusive"}
    assert found.line() == "too early to tell"
    assert "nothing was seen of 'mine' yet; give data=" in str(found)
    one.record(0)
    assert "the recorder failed: InputError: there are no real samples" in str(one.verdicts())


def test_a_diagnosis_that_fails_makes_the_recorder_stand_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    def planted(*_: object) -> None:
        raise RuntimeError("out of luck")

    one = Recorder(mlp(3, 2), mlp(2, 1), data="ring8", latent=3, every=1, cost=1)
    one.record(0)
    monkeypatch.setattr("ganlab.recorder.verdicts_of", planted)
    assert "out of luck" in str(one.verdicts())
    assert one.fault == "RuntimeError: out of luck"


def test_a_generator_that_has_not_learned_yet_stops_no_loop() -> None:
    """It lacks modes from the first look on, as every untrained one does; only after `LEARNING` looks is that a failure."""
    one = Recorder(OfTheRing(3), mlp(2, 1), data="ring8", latent=3, every=1, cost=1, stop_when="mode_collapse")
    stopped = next(step for step in range(100) if one.record(step))
    assert listeners.LEARNING - 1 <= stopped <= 2 * listeners.LEARNING


def test_a_generator_that_loses_modes_later_stops_it_at_once() -> None:
    generator = OfTheRing(8)
    one = Recorder(generator, mlp(2, 1), data="ring8", latent=3, every=1, cost=1, stop_when="mode_collapse")
    for step in range(8):
        assert not one.record(step)
    generator.modes = 3
    assert next(step for step in range(8, 100) if one.record(step)) < listeners.LEARNING


@pytest.mark.parametrize("every", [1, 100_000])
def test_a_loss_that_is_not_finite_stops_the_loop_though_no_look_is_due(every: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(told, "PENDING", 16)
    one = Recorder(mlp(3, 2), mlp(2, 1), data="ring8", latent=3, every=every, stop_when=["divergence"], evaluation=64)
    for step in range(200):
        assert not one.record(step, d_loss=torch.tensor(1.0))
    stopped = next(step for step in range(200, 300) if one.record(step, d_loss=torch.tensor(float("nan"))))
    assert stopped < 200 + 16
    assert one.verdicts()["divergence"].onset == 200


# --- the line of a terminal -----------------------------------------------------------------------------------------------


def left_on(screen: str) -> list[str]:
    """Return the lines that a terminal shows after this was written."""
    lines, at = [""], 0
    for part in re.split("(\n|\r|\x1b\\[2K)", screen):
        if part == "\n":
            lines, at = [*lines, ""], 0
        elif part == "\r":
            at = 0
        elif part == "\x1b[2K":
            lines[-1] = ""
        else:
            lines[-1] = lines[-1][:at] + part + lines[-1][at + len(part) :]
            at += len(part)
    return lines


def test_one_line_is_kept_up_to_date_on_a_terminal() -> None:
    generator = OfTheRing(3)
    one = Recorder(generator, mlp(2, 1), data="ring8", latent=3, every=1, cost=1, status=True)
    screen = io.StringIO()
    one._listeners._console = Console(file=screen, force_terminal=True, color_system=None, width=60)
    for step in range(60):
        generator.modes = 3 if step < 30 else 8
        one.record(step)
    one.close()
    print("next", file=screen)
    lines = left_on(screen.getvalue())
    assert len(lines) == 3
    assert lines[0].startswith("step 59: no failure; ")
    assert lines[0].endswith("of high quality")
    assert max(map(len, lines)) < 60
    assert lines[1:] == ["next", ""]


# --- steps, losses, samples ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [int, float, torch.tensor])
def test_steps_may_be_numbers_of_any_kind(kind: Any) -> None:
    one = Recorder(mlp(3, 2), mlp(2, 1), data="ring8", latent=3, every=10, cost=1)
    for step in (0, 10, 20):
        one.record(kind(step))
    assert one.run.trace["step"].unique().tolist() == [0, 10, 20]


class Epoch:
    def __int__(self) -> int:
        raise KeyError("no number")


@pytest.mark.parametrize("step", [None, "epoch", float("nan"), torch.zeros(2), Epoch()])
def test_what_is_no_step_counts_calls(step: Any) -> None:
    one = Recorder(mlp(3, 2), mlp(2, 1), data="ring8", latent=3, every=1, cost=1)
    for _ in range(3):
        one.record(step)
    assert one.fault == ""
    assert one.run.trace["step"].unique().tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("shown", "odd"),
    [
        (lambda x: x, False), (lambda x: 2 * x - 1, True), (lambda x: 255 * x, True), (lambda x: x / 255, True),
        (lambda x: x[:4] * 255, False), (lambda x: x + 0.1 * torch.randn(x.shape), False),
    ],
)  # fmt: skip
def test_samples_on_another_scale_than_the_data_are_noticed(shown: Any, odd: bool, caplog: pytest.LogCaptureFixture) -> None:
    images = torch.rand(300, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    generator, discriminator = mlp(3, 36, nn.Unflatten(1, (1, 6, 6))), nn.Sequential(nn.Flatten(), mlp(36, 1))
    with caplog.at_level(logging.WARNING), Recorder(generator, discriminator, images, latent=3, every=1, cost=1) as one:
        one.record(0, real=shown(images[:32]))
    said = "the loop's real samples lie in"
    assert bool(one.notes) == odd == any(said in line for line in caplog.messages) == (said in str(one.verdicts()))
    page = recorded_page(one.run)
    paragraphs = [text for block in page.sections[0].blocks for text in getattr(block, "paragraphs", [])]
    assert any(text.startswith(f"Mind that {said}") for text in paragraphs) == odd


def test_points_of_any_law_are_not_taken_for_another_scale() -> None:
    dice = torch.Generator().manual_seed(0)
    for draw in (torch.randn, torch.rand, lambda *shape, generator: torch.randn(*shape, generator=generator).pow(3)):
        data: Tensor = draw(2000, 5, generator=dice)
        assert not [at for at in range(0, 2000, 16) if told.unlike(data[at : at + 16], data)]


def test_what_was_looked_at_last_costs_the_recorder_and_not_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    one = Recorder(mlp(3, 2), mlp(2, 1), data="ring8", latent=3, every=1, cost=1)
    monkeypatch.setattr("ganlab.recorder.verdicts_of", lambda run: clock.__setitem__(0, clock[0] + 1))
    for step in range(4):
        clock[0] += 1
        one.record(step)
        one.verdicts()
    assert one._budget.spent == pytest.approx(4)


def test_large_images_are_gathered_until_there_is_enough_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganlab.recorder.KEPT", 100 * 36)
    generator, discriminator = mlp(3, 36, nn.Unflatten(1, (1, 6, 6))), nn.Sequential(nn.Flatten(), mlp(36, 1))
    one = Recorder(generator, discriminator, latent=3, every=1, cost=1, evaluation=64)
    for step in range(4):
        one.record(step, real=torch.rand(40, 1, 6, 6))
    assert one.fault == ""
    assert one.run.trace["step"].unique().tolist() == [2, 3]
