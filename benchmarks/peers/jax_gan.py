"""The ring's GAN in JAX with optax: the step under vmap over members, many steps in one compiled scan."""

from __future__ import annotations

import itertools
import os
from typing import Any

if os.environ.get("OMP_NUM_THREADS") == "1":  # XLA has threads of its own, and reads this when it is imported
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import jax
import jax.numpy as jnp
import optax

from ganlab.workers import Meter

WIDTHS = {"generator": (2, 128, 128, 2), "discriminator": (2, 128, 128, 1)}
BATCH, STEPS = 256, 50
OPTIMIZER = optax.adam(1e-3, b1=0.5)


def loop(meter: Meter, *, members: int) -> None:
    """Fifty steps of every member are a piece of work."""
    jax.config.update("jax_default_prng_impl", "rbg")  # the faster generator on a CPU
    keys = jax.random.split(jax.random.key(0), members)
    state = jax.vmap(_start)(keys)
    advance = jax.jit(jax.vmap(lambda state, key: jax.lax.scan(_step, state, jax.random.split(key, STEPS))))
    while True:
        keys = jax.vmap(lambda key: jax.random.split(key)[0])(keys)
        state, losses = advance(state, keys)
        losses.block_until_ready()
        meter(STEPS * members)


def _start(key: Any) -> Any:
    nets = [_net(k, widths) for k, widths in zip(jax.random.split(key), WIDTHS.values(), strict=True)]
    return tuple((net, OPTIMIZER.init(net)) for net in nets)


def _net(key: Any, widths: tuple[int, ...]) -> Any:
    pairs = list(itertools.pairwise(widths))
    keys = jax.random.split(key, len(pairs))
    return [(jax.random.normal(k, (a, b)) / a**0.5, jnp.zeros(b)) for k, (a, b) in zip(keys, pairs, strict=True)]


def _apply(net: Any, x: Any) -> Any:
    for weight, bias in net[:-1]:
        x = jax.nn.relu(x @ weight + bias)
    weight, bias = net[-1]
    return x @ weight + bias


def _real(key: Any) -> Any:
    mode, noise = jax.random.split(key)
    angle = jax.random.randint(mode, (BATCH,), 0, 8) * (jnp.pi / 4)
    return 2 * jnp.stack([jnp.cos(angle), jnp.sin(angle)], 1) + 0.02 * jax.random.normal(noise, (BATCH, 2))


def _discriminator_loss(psi: Any, theta: Any, real: Any, z: Any) -> Any:
    logits = _apply(psi, jnp.concatenate([real, _apply(theta, z)]))
    return jax.nn.softplus(-logits[:BATCH]).mean() + jax.nn.softplus(logits[BATCH:]).mean()


def _generator_loss(theta: Any, psi: Any, z: Any) -> Any:
    return jax.nn.softplus(-_apply(psi, _apply(theta, z))).mean()


def _step(state: Any, key: Any) -> Any:
    (theta, memory_g), (psi, memory_d) = state
    of_real, of_d, of_g = jax.random.split(key, 3)
    d_loss, gradient = jax.value_and_grad(_discriminator_loss)(psi, theta, _real(of_real), jax.random.normal(of_d, (BATCH, 2)))
    change, memory_d = OPTIMIZER.update(gradient, memory_d)
    psi = optax.apply_updates(psi, change)
    g_loss, gradient = jax.value_and_grad(_generator_loss)(theta, psi, jax.random.normal(of_g, (BATCH, 2)))
    change, memory_g = OPTIMIZER.update(gradient, memory_g)
    return ((optax.apply_updates(theta, change), memory_g), (psi, memory_d)), d_loss + g_loss
