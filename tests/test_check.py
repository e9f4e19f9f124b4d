"""The linter of training loops: planted mistakes are found by code, sound loops are left alone, and watching changes nothing."""

from __future__ import annotations

import pytest

from tests.loops import PLANTED, SOUND

SEEDS = (0, 1, 2)


def codes(seen) -> set[str]:
    return {finding.code for finding in seen.findings}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_mistake_is_found_and_nothing_else(name: str, seed: int) -> None:
    loop, expected = PLANTED[name]
    seen = loop(seed)
    assert codes(seen) == expected, str(seen)
    assert not seen.faults


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", SOUND)
def test_nothing_is_found_in_a_sound_loop(name: str, seed: int) -> None:
    seen = SOUND[name](seed)
    assert not seen.findings, str(seen)
    assert not seen.faults
    assert seen.n_steps > 0
