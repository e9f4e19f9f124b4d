"""Other libraries on the ring's nets, a file each: 2-128-128-2 against 2-128-128-1, batch 256, Adam, as in `throughput.RING8`.

A peer is a loop as in `benchmarks.loops`; one that is not installed is reported as such. Nothing here is needed by ganlab.
"""

from __future__ import annotations

from typing import Any


def loops(cores: int) -> list[tuple[str, str, dict[str, Any], int]]:
    """Return name, loop, settings and number of processes of each peer."""
    return [
        ("JAX, vmap and scan, 16 members", "benchmarks.peers.jax_gan:loop", {"members": 16}, 1),
        ("JAX, scan, one member a core", "benchmarks.peers.jax_gan:loop", {"members": 1}, cores),
        ("Lightning, manual optimisation", "benchmarks.peers.lightning_gan:loop", {}, 1),
        ("torchgan Trainer", "benchmarks.peers.torchgan_gan:loop", {}, 1),
    ]
