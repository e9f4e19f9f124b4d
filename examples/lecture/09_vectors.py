"""GAN example 1: vectors of ten numbers that follow a normal distribution of mean 4 and standard deviation 0.2."""

import ganlab

# The course's nets and rates: `ganlab list variants` has them. These are 500 of its 12 000 steps.
run = ganlab.run("recipe:course_vectors", seeds=4, steps=500, evaluation=200)

vectors = run.samples["generated"][:, -1]  # [seed, n, 10]
for seed, x in zip(run.experiment.seeds, vectors, strict=True):
    print(f"seed {seed}: mean {x.mean():.2f} (4), standard deviation {x.std(0).mean():.2f} (0.2)")
print(ganlab.diagnose(run))

# Mended: scaled data, latents about zero, a faster discriminator held by R1. Which of these does it take?
run = ganlab.run(
    "recipe:course_vectors", "normal_vectors:dimensions=10,mean=0,std=1", seeds=4, steps=500, evaluation=200,
    generator={"net": "mlp", "hidden": (150, 150), "activation": "selu"}, latent=10, latent_law="normal",
    optimizer="adam", beta1=0.0, lr=1e-3, lr_discriminator=5e-3, r1=0.1, average=0.99,
)  # fmt: skip
for seed, x in zip(run.experiment.seeds, run.samples["generated"][:, -1], strict=True):
    print(f"mended, seed {seed}: mean {x.mean():.2f} (0), standard deviation {x.std(0).mean():.2f} (1)")
