"""Neuron with different activation functions."""

import numpy as np

from ganlab.by_hand import ACTIVATIONS, CORNERS

x = np.array([4.0, 1.0])  # inputs
w = np.array([3.0, 1.0])  # weights
b = -1.0  # bias

for name, f in ACTIVATIONS.items():
    print(f"{name:>10}: f(w . x + b) = {float(f(w @ x + b)):.10f}")

# A neuron with a step is a gate: change weights and threshold and see which gates you get. XOR is not among them.
step = ACTIVATIONS["step"]
for gate, w, threshold in (("AND", np.array([1, 1]), 2), ("OR", np.array([2, 2]), 2)):
    print(gate, {f"{x1} {x2}": int(step(w @ (x1, x2) - threshold)) for x1, x2 in CORNERS})
