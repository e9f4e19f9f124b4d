"""GAN example 2: points on a line; then freeze the generator, and train the discriminator alone."""

import ganlab
from ganlab import frozen

# These are 1000 of the course's 4000 steps: points come to the line, but do they come to all of it?
run = ganlab.run("recipe:course_line", seeds=4, steps=1000, evaluation=200)
points = run.samples["generated"][:, -1]  # [seed, n, 2]
for seed, x in zip(run.experiment.seeds, points, strict=True):
    off = abs(x[:, 0] - x[:, 1]).mean() / 2**0.5
    print(f"seed {seed}: distance from the line {off:.2f}, along it from {x.min():.1f} to {x.max():.1f} (2.5 to 7.5)")
print(ganlab.diagnose(run))

# Frozen after 200 steps: what becomes of the gradient that the generator would learn from?
for objective in ("minimax", "non_saturating"):
    run = ganlab.run(
        "recipe:course_line", seeds=4, steps=600, frozen_at=200, fresh_discriminator=False, objective=objective, evaluation=200
    )
    lost = frozen.decay(run)["lost"]
    print(f"{objective}: the generator's gradient lost {lost.median():.1f} decades in 400 steps of the discriminator")
