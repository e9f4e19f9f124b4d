"""The lecture's MLP for handwritten digits in Keras, which runs on three frameworks: KERAS_BACKEND=torch, tensorflow or jax.

Needs the extra `frameworks`. The same net, weights and data as in 14_pytorch.py.
"""

import keras
import numpy as np


def build(weights):
    """A net that begins with these weights, `[in, out]` and bias by layer, and its optimiser."""
    net = keras.Sequential(
        [
            keras.Input(weights[0].shape[:1]),
            keras.layers.Dense(512, "relu"),
            keras.layers.Dense(256, "relu"),
            keras.layers.Dense(10),
        ]
    )
    net.set_weights(weights)
    net.compile(keras.optimizers.Adam(1e-3, epsilon=1e-8), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return net


def train(net, batches):
    losses = []
    for x, y in batches:
        net.reset_metrics()  # else what comes back is the mean over all batches so far
        losses.append(float(net.train_on_batch(x, y)))
    return losses


if __name__ == "__main__":
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)  # 8 x 8 pixels, 0 to 16
    x, y = (x / 8 - 1).astype(np.float32), y.astype(np.int64)
    draws = np.random.default_rng(0)
    weights = []
    for n_in, n_out in ((64, 512), (512, 256), (256, 10)):
        weights += [draws.uniform(-1, 1, size).astype(np.float32) / n_in**0.5 for size in ((n_in, n_out), n_out)]
    order = draws.integers(len(x), size=(100, 32))
    losses = train(build(weights), [(x[chosen], y[chosen]) for chosen in order])
    for step in (0, 1, 9, 49, 99):
        print(f"{keras.backend.backend()}, step {step:2}: loss {losses[step]:.6f}")
