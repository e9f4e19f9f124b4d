"""GAN example 2: points on a line; then freeze the generator, and train the discriminator alone."""

import ganlab
from ganlab import frozen

# The course trains for 4000 steps; raise steps to see it learn.
run = ganlab.run("recipe:course_line", seeds=4, steps=100, evaluation=200)
points = run.samples["generated"][:, -1]  # [seed, n, 2]
for seed, x in zip(run.experiment.seeds, points, strict=True):
    print(f"seed {seed}: distance from the line {abs(x[:, 0] - x[:, 1]).mean() / 2**0.5:.2f}")
print(ganlab.diagnose(run))

# Frozen after 30 steps: what becomes of the gradient that the generator would learn from?
for objective in ("minimax", "non_saturating"):
    run = ganlab.run(
        "recipe:course_line", seeds=4, steps=100, frozen_at=30, fresh_discriminator=False, objective=objective, evaluation=200
    )
    lost = frozen.decay(run)["lost"]
    print(f"{objective}: the generator's gradient lost {lost.median():.1f} decades in 70 steps of the discriminator")
