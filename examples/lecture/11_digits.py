"""GAN example 3: handwritten digits, by perceptrons. With MNIST at hand, leave out "digits" and the smaller nets."""

import ganlab

run = ganlab.run(
    "recipe:course_mnist", "digits", seeds=2, steps=600, evaluation=100, lr=1e-3, batch=32,
    generator={"hidden": (64, 128), "norm": (None, "batch")}, discriminator={"hidden": (128, 64)},
)  # fmt: skip

for seed, images in zip(run.experiment.seeds, run.samples["generated"][:, -1, :, 0], strict=True):
    print(f"a digit of seed {seed}:")
    for row in images[0]:
        print("  " + "".join(" .:-=+*#@"[round(4 * (pixel + 1))] * 2 for pixel in row))

print(ganlab.diagnose(run))
