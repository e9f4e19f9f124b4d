"""The lecture's MLP for handwritten digits in TensorFlow, with the step written out; 14_keras.py leaves it to Keras.

Needs the extra `frameworks`. The same net, weights and data as in 14_pytorch.py.
"""

import numpy as np
import tensorflow as tf


def build(weights):
    """A net that begins with these weights, `[in, out]` and bias by layer, and its optimiser."""
    net = tf.keras.Sequential(
        [
            tf.keras.Input(weights[0].shape[:1]),
            tf.keras.layers.Dense(512, "relu"),
            tf.keras.layers.Dense(256, "relu"),
            tf.keras.layers.Dense(10),
        ]
    )
    net.set_weights(weights)
    optimizer = tf.keras.optimizers.Adam(1e-3, epsilon=1e-8)
    optimizer.build(net.trainable_variables)
    return net, optimizer


@tf.function
def step(net, optimizer, x, y):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, net(x)))
    gradients = tape.gradient(loss, net.trainable_variables)
    optimizer.apply(gradients, net.trainable_variables)
    return loss


def train(learner, batches):
    losses = []
    for x, y in batches:
        losses.append(float(step(*learner, tf.constant(x), tf.constant(y))))
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
    for i in (0, 1, 9, 49, 99):
        print(f"step {i:2}: loss {losses[i]:.6f}")
