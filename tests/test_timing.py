"""Timing: clocks that are made up, loops that wait a known time, workers that fail, and numbers whose answer is known."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from ganlab import throughput, timing
from ganlab.flops import Product, step_products
from ganlab.registry import InputError
from ganlab.store import Store
from ganlab.throughput import Candidate, candidates_of, compare, knee, power_law, typical
from ganlab.timing import LEAST_SECONDS, long_enough, take_turns
from ganlab.workers import Block, Closed, Dead, Meter, Team
from tests.measured import RATES, run_of
from tests.waiting import STEP_SECONDS


def candidate(name: str, **settings: object) -> Candidate:
    return Candidate(name, "group", f"tests.waiting:{name}", settings)


class Fake:
    """Workers whose rate is a number, on a clock that is made up."""

    def __init__(self, c: Candidate, cache: str, warm: bool) -> None:
        self.rate, self.facts, self.blocks = float(c.settings["rate"]), {"start_seconds": 1.0}, 0
        self.dies_in = c.settings.get("dies_in")
        TURNS.clear()
        self.label = c.label

    def start(self) -> None:
        if self.dies_in == "start":
            raise Dead("could not start")

    def run(self, pieces: int) -> Block:
        self.blocks += 1
        TURNS.append((self.label, pieces / self.rate))
        if self.blocks == self.dies_in:
            raise Dead("out of memory")
        return Block(pieces, pieces / self.rate, 0.0, pieces / self.rate)

    def close(self) -> None: ...


TURNS: list[tuple[str, float]] = []


def fakes(**rates: float) -> list[Candidate]:
    return [Candidate(name, "group", "", {"rate": rate}) for name, rate in rates.items()]


# --- FLOPs ---------------------------------------------------------------------------------------------------------------


def test_a_step_on_the_ring_has_the_products_counted_by_hand() -> None:
    """Batch 256; 2-128-128-2 against 2-128-128-1; 512 samples at once, no weight gradients of D in G's answer."""
    products = step_products((2, 128, 128, 2), (2, 128, 128, 1), 256)
    generator, discriminator = 2 * 128 + 128 * 128 + 128 * 2, 2 * 128 + 128 * 128 + 128
    critic = 2 * 256 * generator + 2 * 512 * (2 * discriminator + discriminator - 2 * 128)
    answer = 2 * 256 * (2 * generator + generator - 2 * 128) + 2 * 256 * 2 * discriminator
    assert sum(p.flops for p in products) == critic + answer
    assert round((critic + answer) / 1e6, 1) == 102.9
    assert len(products) == 25


def test_torch_counts_the_same_products_in_a_step_written_out() -> None:
    widths_g, widths_d, batch = (3, 16, 8, 2), (2, 16, 1), 32
    g, d = (
        torch.nn.Sequential(*(torch.nn.Linear(a, b) for a, b in itertools.pairwise(w))) for w in (widths_g, widths_d)
    )
    with FlopCounterMode(display=False) as counter:
        d(torch.cat([torch.randn(batch, 2), g(torch.randn(batch, 3)).detach()])).sum().backward()
        d(g(torch.randn(batch, 3))).sum().backward(inputs=list(g.parameters()))
    assert counter.get_total_flops() == sum(p.flops for p in step_products(widths_g, widths_d, batch))


def test_critic_updates_repeat_the_critics_products_only() -> None:
    once, five = (sum(p.flops for p in step_products((2, 8, 2), (2, 8, 1), 4, n)) for n in (1, 5))
    critic = once - sum(p.flops for p in step_products((2, 8, 2), (2, 8, 1), 4, 0))
    assert five == once + 4 * critic
    assert Product(2, 3, 5).flops == 60


# --- blocks --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.5, 7.0, 1e3, 1e6])
def test_a_block_is_long_enough_at_any_speed(rate: float) -> None:
    asked: list[int] = []

    def run(pieces: int) -> Block:
        asked.append(pieces)
        return Block(pieces, pieces / rate, 0.0, 0.0)

    block, pieces = long_enough(run)
    assert block.seconds >= LEAST_SECONDS
    assert pieces == asked[-1] == block.units
    assert block.seconds <= max(1.5 * LEAST_SECONDS, 1 / rate)
    assert len(asked) < 8


def test_a_machine_that_becomes_faster_gets_more_work() -> None:
    rates = iter([10.0, 100.0, 100.0, 100.0])
    blocks = [long_enough(lambda n: Block(n, n / next(rates), 0, 0), 3) for _ in range(2)]
    assert [block.seconds >= LEAST_SECONDS for block, _ in blocks] == [True, True]


def test_a_meter_counts_between_requests_and_synchronises_once_a_block() -> None:
    clock, answers, waits = [0.0], [], []

    class Device:
        def start(self) -> None: ...

        def stop(self) -> float:
            clock[0] += 1.0  # what was launched is still at work
            waits.append(clock[0])
            return 0.5

    meter = Meter(iter([3, 2]), answers.append, Device(), lambda: clock[0], lambda: 2 * clock[0])
    meter.note(flops=7)

    def work() -> None:
        for _ in range(6):
            clock[0] += 10.0
            meter(4)

    with pytest.raises(Closed):
        work()
    assert answers[0] == {"seconds": 11.0, "flops": 7}
    assert [tuple(a["block"]) for a in answers[1:]] == [(12, 31.0, 0.5, 62.0), (8, 21.0, 0.5, 42.0)]
    assert len(waits) == 3


# --- turns ---------------------------------------------------------------------------------------------------------------


def test_candidates_take_turns_forth_and_back_and_the_first_round_is_dropped() -> None:
    parts: list[float] = []
    results = take_turns(fakes(a=10, b=20), 3, employ=Fake, progress=parts.append)
    assert [len(r.blocks) for r in results.values()] == [3, 3]
    assert {name: r.blocks[0].units / r.blocks[0].seconds for name, r in results.items()} == {"a": 10, "b": 20}
    assert [name for name, _ in TURNS[-8:]] == list("baabbaab")
    assert all(seconds >= LEAST_SECONDS for _, seconds in TURNS[-8:])
    assert sum(parts) == pytest.approx(1)


@pytest.mark.parametrize("moment", ["start", 5])
def test_a_dead_candidate_is_a_reason_and_the_others_go_on(moment: str | int) -> None:
    a, b = fakes(a=10, b=20)
    results = take_turns([a, replace(b, settings={"rate": 20, "dies_in": moment})], 4, employ=Fake)
    assert len(results["a"].blocks) == 4
    assert results["b"].blocks == []
    assert ("could not start" if moment == "start" else "out of memory") in results["b"].failed


def test_a_wait_of_five_milliseconds_is_measured_as_that() -> None:
    team = Team(candidate("busy"), "")
    try:
        team.start()
        rates = [block.units / block.seconds for block, _ in (long_enough(team.run, 40) for _ in range(3))]
    finally:
        team.close()
    assert max(rates) == pytest.approx(1 / STEP_SECONDS, rel=0.1)
    assert team.facts["peak_bytes"] > 1e6
    assert team.facts["start_seconds"] >= STEP_SECONDS


def test_workers_that_fail_or_die_say_why() -> None:
    names = ("killed", "refused", "short", "absent", "missing")
    results = take_turns([candidate(name) for name in names], 1)
    reasons = {name: results[name].failed for name in names}
    assert "SIGKILL" in reasons["killed"]
    assert reasons["refused"] == "this cannot be"
    assert "ended by itself" in reasons["short"]
    assert reasons["absent"] == "no_such_package is not installed"
    assert "AttributeError" in reasons["missing"]


def test_what_a_loop_prints_is_not_taken_for_an_answer() -> None:
    results = take_turns([candidate("loud")], 1)
    assert results["loud"].failed == ""
    assert results["loud"].blocks[0].units > 10


def test_processes_of_a_team_add_up() -> None:
    team = Team(replace(candidate("busy"), processes=2), "")
    try:
        team.start()
        block = team.run(10)
    finally:
        team.close()
    assert block.units == 20
    assert team.facts["start_seconds"] > 0
    assert team.facts["peak_bytes"] > 2e6


def test_work_of_several_processes_counts_in_the_time_of_the_slowest() -> None:
    class Answer:
        def __init__(self, *block: float) -> None:
            self.block = block

        def ask(self, request: object) -> None: ...

        def answer(self) -> dict[str, object]:
            return {"block": self.block, "peak_bytes": 7}

    team = Team(candidate("busy"), "")
    team.workers = [Answer(10, 1.0, 0.5, 0.9), Answer(10, 1.25, 0.75, 0.8)]
    assert team.run(10) == Block(20, 1.25, 0.75, pytest.approx(1.7))
    assert team.facts["peak_bytes"] == 14


# --- a measurement as a run ----------------------------------------------------------------------------------------------


def test_ratios_are_taken_round_by_round_so_that_disturbance_cancels() -> None:
    table = throughput.table(run_of()).set_index("label")
    mapped = table.loc["ring8: mapped"]
    assert mapped[["ratio", "ratio_low", "ratio_high"]].tolist() == pytest.approx([2, 2, 2])
    assert mapped[["share", "share_low", "share_high"]].tolist() == pytest.approx([0.5, 0.5, 0.5])
    assert mapped[["rate", "rate_low", "rate_high"]].tolist() == pytest.approx([808, 720, 880])
    assert mapped["flops_per_second"] == pytest.approx(808 * 102.9e6)
    assert mapped["cpu_share"] == pytest.approx(0.98)
    assert "ring8: peer" not in table.index
    assert throughput.failed(run_of()) == {"ring8: peer": "no_such_package is not installed"}
    assert throughput.ratio(run_of(), "ring8: mapped", "ring8: peer") is None


def test_each_measurement_is_a_run_of_its_own_and_comes_back_from_the_store(tmp_path: Path) -> None:
    plans = [timing.plan([candidate("busy")], profile="test", rounds=1) for _ in range(2)]
    assert plans[0].id != plans[1].id
    run = run_of()
    run.save(tmp_path)
    stored = Store(tmp_path).load(run.experiment.id)
    assert candidates_of(stored.experiment) == candidates_of(run.experiment)
    assert throughput.table(stored).equals(throughput.table(run))


def test_a_measurement_of_nothing_but_failures_is_still_a_run() -> None:
    experiment = timing.plan([candidate("refused")], profile="test", rounds=1)
    run = timing.perform(experiment)
    assert run.environment["failed"] == {"refused": "this cannot be"}
    assert throughput.table(run).empty


def test_only_candidates_that_take_turns_are_compared() -> None:
    a = Candidate("a", "one", "x:y")
    with pytest.raises(InputError, match=r"'b' is compared with 'a', which does not take turns with it: the group 'two' has b"):
        timing.plan([a, Candidate("b", "two", "x:y", base="a")], profile="test", rounds=1)
    with pytest.raises(InputError, match="there twice: a"):
        timing.plan([a, a], profile="test", rounds=1)


# --- what numbers say ----------------------------------------------------------------------------------------------------


def test_the_interval_of_a_median_covers_it_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(500):
        interval = typical(generator.exponential(size=9))
        covered += interval.low <= np.log(2) <= interval.high
    assert 0.95 <= covered / 500 <= 0.985  # 96.1 % exactly: the second and the eighth of nine


def test_five_rounds_have_no_interval() -> None:
    assert typical([1, 2, 3, 4, 5]).low == -np.inf
    assert (typical([1, 2, 3, 4, 5, 6]).low, typical([1, 2, 3, 4, 5, 6]).high) == (1, 6)


@pytest.mark.parametrize(
    ("rates", "where", "inside"),
    [
        ([100, 190, 350, 400], 8, False),
        ([100, 195, 198, 200], 2, True),
        ([100, 99, 98, 97], 1, True),
        ([50, 89, 90, 100], 4, True),
    ],
)
def test_the_knee_is_the_smallest_with_nine_tenths_of_the_best(rates: list[float], where: int, inside: bool) -> None:
    found = knee([1, 2, 4, 8], rates)
    assert (found.x, found.inside) == (where, inside)


@pytest.mark.parametrize(
    ("exponent", "verdict"), [(0.5, "linear or better"), (1.0, "linear or better"), (1.3, "worse than linear")]
)
def test_a_power_law_finds_its_exponent(exponent: float, verdict: str) -> None:
    x = np.array([1, 2, 4, 8, 16])
    law = power_law(x, 3 * x**exponent * np.array([1.01, 0.99, 1.0, 1.01, 0.99]))
    assert law.exponent.low < exponent < law.exponent.high
    assert law.factor == pytest.approx(3, rel=0.05)
    assert law.verdict == verdict


def test_two_points_carry_no_claim() -> None:
    assert power_law([1, 2], [1, 2]).verdict == "inconclusive"


def test_an_earlier_measurement_on_the_same_machine_is_compared_with_an_interval() -> None:
    found = compare(run_of(factor=2.0), run_of())
    assert len(found) == len(throughput.table(run_of()))
    assert found["ratio"].tolist() == pytest.approx([2] * len(found))
    assert found["low"].between(1.5, 1.99).all()
    assert found["high"].between(2.01, 2.7).all()


def test_other_machines_are_not_compared() -> None:
    with pytest.raises(InputError, match=r"different machines \(cpu another against a processor\), so no ratio is claimed"):
        compare(run_of(machine={"cpu": "another"}), run_of())


def test_a_candidate_that_was_changed_is_not_compared() -> None:
    changed = [(replace(c, settings={"batch": 512}) if c.label == "ring8: mapped" else c, rate) for c, rate in RATES]
    assert "ring8: mapped" not in set(compare(run_of(changed), run_of())["label"])
