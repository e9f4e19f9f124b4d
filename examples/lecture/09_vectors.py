"""GAN example 1: vectors of ten numbers that follow a normal distribution of mean 4 and standard deviation 0.2."""

import ganlab

# The course's nets and rates: `ganlab list variants` has them. It trains for 12 000 steps; raise steps to see it learn.
run = ganlab.run("recipe:course_vectors", seeds=4, steps=100, evaluation=200)

vectors = run.samples["generated"][:, -1]  # [seed, n, 10]
for seed, x in zip(run.experiment.seeds, vectors, strict=True):
    print(f"seed {seed}: mean {x.mean():.2f} (4), standard deviation {x.std(0).mean():.2f} (0.2)")

print(ganlab.diagnose(run))
