"""Not all is good news: three failures, and what stops each of them on the same seeds."""

import numpy as np

import ganlab
from ganlab import frozen
from ganlab.dynamics import simulate

# Non-convergence: the smallest GAN circles for ever; with R1 it comes to rest
for name, numbers in {"GAN": {}, "with R1": {"r1": 0.3}}.items():
    path = simulate("dirac_gan", rule="alternating", steps=500, **numbers)
    first, last = np.linalg.norm(path[[0, -1]], axis=1)
    print(f"{name}: distance from the equilibrium {first:.2f} at first, {last:.2g} at the end")

# Mode collapse: the usual GAN against R3GAN. Four seeds tell which has more modes, and not how often either fails.
nets = {"hidden": (64, 64), "activation": "tanh", "batch": 64, "lr": 3e-3, "beta2": 0.99, "evaluation": 500}
usual = ganlab.run("nsgan", "grid25", seeds=4, steps=1000, **nets)
remedied = ganlab.run("r3gan", "grid25", seeds=4, steps=1000, r1=0.1, r2=0.1, average=0.99, **nets)
for run in (usual, remedied):
    print(f"{run.experiment.subject}: {ganlab.diagnose(run)['mode_collapse'].evidence}")

# Diminished gradient: the generator stands still, the discriminator trains on
for variant in ("gan", "nsgan"):
    run = ganlab.run(variant, "ring8", seeds=4, steps=400, frozen_at=0, hidden=(64, 64), batch=128, evaluation=200)
    print(f"{variant}: the generator's gradient lost {frozen.decay(run)['lost'].median():.1f} decades")
