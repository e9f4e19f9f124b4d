"""How often are the diagnoses right? Worlds whose truth is planted: failures of every kind by every cause, and healthy twins.

Each script gives the numbers that differ from a sound pair of players (`ganlab.planted.SOUND`) at a progress from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ganlab.planted import Script, World

Random = np.random.Generator
OBJECTIVES = ("minimax", "non_saturating", "least_squares", "hinge", "wasserstein", "relativistic")
COLLAPSE, VANISHING, MOVING, DIVERGING = "mode_collapse", "vanishing_gradients", "non_convergence", "divergence"
COPYING, OVERFITTING = "memorisation", "discriminator_overfitting"


def always(**values: Any) -> Script:
    return lambda progress, random: values


def since(onset: float, before: Mapping[str, Any] | None = None, **values: Any) -> Script:
    return lambda progress, random: values if progress >= onset else before or {}


def kept(k: int, n: int) -> Script:
    """Return k modes in all and n of them hit, which ones by seed."""
    return lambda progress, random: {"shares": (random.permutation(k) < n).astype(float)}


def from_onset(onset: float, script: Script) -> Script:
    return lambda progress, random: script(progress, random) if progress >= onset else {}


def swing(amplitude: float, turns: float, growth: float = 0.0, name: str = "shift") -> Script:
    def script(progress: float, random: Random) -> dict[str, Any]:
        return {name: amplitude * np.exp(growth * progress) * np.sin(2 * np.pi * (turns * progress + random.uniform()))}

    return script


def slosh(k: int, turns: float) -> Script:
    """Return shares that wander around the modes, so that each has its time."""

    def script(progress: float, random: Random) -> dict[str, Any]:
        phase = 2 * np.pi * (np.arange(k) / k + turns * progress + random.uniform())
        return {"shares": np.exp(2.5 * np.cos(phase))}

    return script


def hop(k: int, looks: int = 26) -> Script:
    """Return one mode at a time, another at each look."""

    def script(progress: float, random: Random) -> dict[str, Any]:
        order = random.permutation(k)
        return {"shares": (np.arange(k) == order[round(progress * (looks - 1)) % k]).astype(float)}

    return script


def learning(until: float) -> Script:
    def script(progress: float, random: Random) -> dict[str, Any]:
        to_do = max(0.0, 1 - progress / until)
        return {"shift": 1.0 * to_do, "spread": 1 + 5 * to_do, "height": 0.3 + 3 * to_do}

    return script


def jitter(size: float) -> Script:
    def script(progress: float, random: Random) -> dict[str, Any]:
        return {"shift": size * np.random.default_rng([round(1e6 * progress), int(random.integers(1e9))]).normal()}

    return script


def rising(name: str, exponent: float, onset: float) -> Script:
    def script(progress: float, random: Random) -> dict[str, Any]:
        return {name: float(np.exp(exponent * max(0.0, progress - onset)))}

    return script


def strengthening(exponent: float) -> Script:
    """Return a discriminator that wins in the first half of the run, while the generator is one std off all modes."""
    return lambda progress, random: {"shift": 1.0, "height": float(np.exp(exponent * min(1.0, 2 * progress)))}


def worlds() -> list[World]:
    """Return all of them."""
    w: Callable[..., World] = World
    collapsed = [
        w("ring8: one of 8 lost", "dropped modes", kept(8, 7), [COLLAPSE], 0.0),
        w("ring8: 3 of 8 lost", "dropped modes", kept(8, 5), [COLLAPSE], 0.0),
        w("ring8: one of 8 left", "dropped modes", kept(8, 1), [COLLAPSE], 0.0),
        w("grid25: 2 of 25 lost", "dropped modes", kept(25, 23), [COLLAPSE], 0.0, data="grid25"),
        w("grid25: 10 of 25 lost, Wasserstein", "dropped modes", kept(25, 15), [COLLAPSE], 0.0, "wasserstein", "grid25"),
        w("ring8: half lost at a third", "modes lost on the way", from_onset(0.32, kept(8, 4)), [COLLAPSE], 0.32),
        w("grid25: 5 lost at two thirds", "modes lost on the way", from_onset(0.64, kept(25, 20)), [COLLAPSE], 0.64,
          "hinge", "grid25"),
        w("ring8: one mode has half of all", "tilted weights", always(shares=[7, 1, 1, 1, 1, 1, 1, 1]), [COLLAPSE], 0.0),
        w("grid25: one half ten times the other", "tilted weights", always(shares=[10] * 12 + [1] * 13), [COLLAPSE], 0.0,
          "least_squares", "grid25"),
        w("ring8: weights tilt at a half", "tilted weights", since(0.48, shares=[9, 1, 9, 1, 9, 1, 1, 1]), [COLLAPSE], 0.48),
        w("ring8: a tenth of the spread", "shrunken modes", always(spread=0.1), [COLLAPSE], 0.0),
        w("grid25: spread falls off at a half", "shrunken modes", since(0.48, spread=0.12), [COLLAPSE], 0.48, data="grid25"),
        w("tutorial ring: a seventh of the spread", "shrunken modes", always(spread=0.15), [COLLAPSE], 0.0, "relativistic",
          "ring8_tutorial"),
        w("ring8: all drawn to the centre", "shrunken whole", since(0.4, size=0.1), [COLLAPSE], 0.4),
    ]  # fmt: skip
    vanishing = [
        w(f"ring8: saturating, {name} discriminator", "saturated slope", strengthening(exponent), [VANISHING], None,
          "minimax", unknown=[COLLAPSE])
        for name, exponent in (("strong", 3.0), ("very strong", 4.0), ("crushing", 6.0))
    ] + [
        w(f"ring8: {objective}, discriminator flat at the fakes", "flat discriminator", always(height=8.0, flat=1.0, shift=3.0),
          [VANISHING], 0.0, objective, unknown=[COLLAPSE])
        for objective in OBJECTIVES if objective != "minimax"
    ] + [
        w("grid25: saturating since a half", "saturated slope", since(0.48, {"shift": 0.12}, height=40.0, foot=0.1, shift=0.12),
          [VANISHING], 0.48, "minimax", "grid25", unknown=[COLLAPSE]),
        w("ring8: flat since a third", "flat discriminator", since(0.32, {"shift": 3.0}, height=8.0, flat=1.0, shift=3.0),
          [VANISHING], 0.32, unknown=[COLLAPSE]),
        w("ring8: saturating, modes lost too", "saturated slope",
          always(height=40.0, shift=0.6, shares=[1, 1, 0, 0, 0, 0, 0, 0]), [VANISHING], 0.0, "minimax", unknown=[COLLAPSE]),
    ]  # fmt: skip
    moving = [
        w("ring8: swings fast", "swinging", swing(0.6, 9.3), [MOVING], None, unknown=[COLLAPSE]),
        w("ring8: swings slowly, Wasserstein", "swinging", swing(1.0, 3.1), [MOVING], None, "wasserstein", unknown=[COLLAPSE]),
        w("grid25: swings since a half", "swinging", from_onset(0.48, swing(0.8, 7.7)), [MOVING], 0.48, data="grid25",
          unknown=[COLLAPSE]),
        w("grid25: turns", "circling", lambda p, r: {"angle": 2.3 * p + r.uniform()}, [MOVING], None, data="grid25",
          unknown=[COLLAPSE]),
        w("ring8: an arc goes round", "circling",
          lambda p, r: {"angle": 3 * p + r.uniform(), "shares": [1, 1, 1, 0, 0, 0, 0, 0]}, [MOVING], None, "relativistic",
          unknown=[COLLAPSE]),
        w("ring8: weights slosh round", "turning over modes", slosh(8, 4.2), [MOVING], None, unknown=[COLLAPSE]),
        w("grid25: weights slosh round, hinge", "turning over modes", slosh(25, 5.3), [MOVING], None, "hinge", "grid25",
          unknown=[COLLAPSE]),
        w("ring8: hops from mode to mode", "turning over modes", hop(8), [MOVING, COLLAPSE], None),
    ]  # fmt: skip
    diverging = [
        w("ring8: not finite at a half", "not finite", always(), [DIVERGING], 0.5, fault=0.5, unknown=[COLLAPSE, MOVING]),
        w("grid25: not finite near the end", "not finite", always(), [DIVERGING], 0.9, "wasserstein", "grid25", 0.9,
          [COLLAPSE, MOVING]),
        w("ring8: repaired silently", "not finite", lambda p, r: {"size": float("nan") if 0.5 < p < 0.55 else 1.0}, [DIVERGING],
          0.52, unknown=[COLLAPSE, MOVING]),
        w("ring8: weights explode", "exploding weights", rising("ballast", 14.0, 0.4), [DIVERGING], None),
        w("grid25: weights explode, hinge", "exploding weights", rising("ballast", 25.0, 0.6), [DIVERGING], None, "hinge",
          "grid25"),
        w("ring8: samples explode", "exploding samples", rising("size", 6.0, 0.2), [DIVERGING], None, "wasserstein",
          unknown=[COLLAPSE, MOVING]),
        w("ring8: swings more and more", "growing swings", swing(0.2, 8.3, 4.0), [DIVERGING, MOVING], None,
          unknown=[COLLAPSE]),
        w("grid25: swings more and more, least squares", "growing swings", swing(0.1, 11.3, 5.0), [DIVERGING, MOVING], None,
          "least_squares", "grid25", unknown=[COLLAPSE]),
    ]  # fmt: skip
    few, some = "ring:points=200", "grid:points=1000"
    copying = [
        w("200 points: all copied", "copies", always(copied=1.0), [COPYING], None, data=few),
        w("1000 points: a third copied", "copies", always(copied=0.34), [COPYING], None, data=some),
        w("200 points: copied since a half, Wasserstein", "copies on the way", since(0.48, copied=0.6), [COPYING], None,
          "wasserstein", few),
        w("1000 points: a sixth copied", "copies on the way", since(0.3, copied=0.17), [COPYING], None, data=some),
        w("200 points: known to the discriminator", "known points", always(learnt=2.0), [OVERFITTING], 0.0, data=few),
        w("1000 points: known since a half", "known points", since(0.48, learnt=1.0), [OVERFITTING], 0.48, "hinge", some),
        w("1000 points: known to the critic", "points learnt by heart", always(learnt=5.0), [OVERFITTING], 0.0, "wasserstein",
          some),
        w("200 points: known and copied", "points learnt by heart", always(learnt=3.0, copied=0.8), [OVERFITTING, COPYING],
          None, data=few),
        w("200 points: sound", "fixed data, sound", always(), data=few),
        w("1000 points: sound, relativistic", "fixed data, sound", always(), objective="relativistic", data=some),
        w("1000 points: a fifth too tight", "fixed data, tight", always(spread=0.8), data=some),
    ]  # fmt: skip
    healthy = [
        *(w(f"ring8: sound, {objective}", "sound", always(), objective=objective) for objective in OBJECTIVES),
        w("grid25: sound", "sound", always(), data="grid25"),
        w("tutorial ring: sound", "sound", always(), data="ring8_tutorial"),
        w("ring8: learns in half of the run", "learning", learning(0.5)),
        w("grid25: learns in half of the run, minimax", "learning", learning(0.4), objective="minimax", data="grid25"),
        w("ring8: done, the discriminator has given up", "done", always(height=1e-9)),
        w("ring8: done, minimax, given up", "done", always(height=1e-9), objective="minimax"),
        w("ring8: bad samples that stay, over all modes", "standing in a wrong place", always(spread=12.0)),
        w("ring8: off the modes and still", "standing in a wrong place", always(shift=0.5), unknown=[COLLAPSE]),
        w("ring8: strong critic, signal alive", "strong discriminator", always(height=100.0), objective="wasserstein"),
        w("ring8: strong discriminator, non-saturating, poor samples", "strong discriminator",
          always(height=30.0, shift=0.6), unknown=[COLLAPSE]),
        w("ring8: strong discriminator, least squares, poor samples", "strong discriminator",
          always(height=30.0, shift=0.6), objective="least_squares", unknown=[COLLAPSE]),
        w("ring8: an episode without signal, recovered", "recovered",
          lambda p, r: {"height": 8.0, "flat": 1.0, "shift": 3.0} if 0.2 < p < 0.5 else {}),
        w("ring8: collapsed once, recovered", "recovered",
          lambda p, r: {"shares": [1, 1, 0, 0, 0, 0, 0, 0]} if p < 0.4 else {}),
        w("grid25: trembles", "trembling", jitter(0.02), data="grid25"),
        w("ring8: trembles, hinge", "trembling", jitter(0.03), objective="hinge"),
        w("ring8: one mode at half its weight", "mild tilt", always(shares=[1, 2, 2, 2, 2, 2, 2, 2])),
        w("grid25: spread a fifth too wide, weights uneven", "mild tilt",
          lambda p, r: {"spread": 1.2, "shares": 1 + 0.3 * r.random(25)}, data="grid25"),
    ]  # fmt: skip
    return [*collapsed, *vanishing, *moving, *diverging, *copying, *healthy]


def worlds_of_unknown_modes() -> list[World]:
    """Return those whose truth about mode collapse can be told where only samples are known.

    They are those above that fail by it or by nothing, and as many kinds on data that do not fall apart into clumps: a ring of
    modes that run into each other, and one cloud in ten dimensions.
    """
    wide, cloud = "ring:std=0.4", "normal_vectors:dimensions=10"
    w: Callable[..., World] = World
    together = [
        w("wide ring: 3 of 8 lost", "dropped modes", kept(8, 5), [COLLAPSE], 0.0, data=wide),
        w("wide ring: one of 8 left since a half", "modes lost on the way", from_onset(0.48, kept(8, 1)), [COLLAPSE], 0.48,
          "hinge", wide),
        w("wide ring: half lost at a third", "modes lost on the way", from_onset(0.32, kept(8, 4)), [COLLAPSE], 0.32,
          data=wide),
        w("wide ring: one mode has half of all", "tilted weights", always(shares=[7, 1, 1, 1, 1, 1, 1, 1]), [COLLAPSE], 0.0,
          data=wide),
        w("wide ring: a tenth of the spread", "shrunken modes", always(spread=0.1), [COLLAPSE], 0.0, "relativistic", wide),
        w("cloud: a tenth of the spread since a half", "shrunken modes", since(0.48, spread=0.1), [COLLAPSE], 0.48, data=cloud),
        w("wide ring: all drawn to the centre", "shrunken whole", since(0.4, size=0.1), [COLLAPSE], 0.4, data=wide),
        w("wide ring: sound", "sound", always(), data=wide),
        w("cloud: sound, hinge", "sound", always(), objective="hinge", data=cloud),
        w("wide ring: learns in half of the run", "learning", learning(0.5), data=wide),
        w("cloud: three times too wide", "standing in a wrong place", always(spread=3.0), data=cloud),
        w("wide ring: collapsed once, recovered", "recovered",
          lambda p, r: {"shares": [1, 1, 0, 0, 0, 0, 0, 0]} if p < 0.4 else {}, data=wide),
        w("wide ring: one mode at half its weight", "mild tilt", always(shares=[1, 2, 2, 2, 2, 2, 2, 2]), data=wide),
        w("cloud: a fifth too tight", "mild tilt", always(spread=0.8), data=cloud),
    ]  # fmt: skip
    known = [w for w in worlds() if COLLAPSE not in w.unknown and (COLLAPSE in w.failures or not w.failures)]
    return [*known, *together]
