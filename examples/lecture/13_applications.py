"""Some GAN applications: images for a label, data augmentation, semi-supervised learning, image-to-image translation.

Raise steps and seeds to see them work: as they stand, they only run. `nox -s lecture` has them with 20 seeds each.
"""

import ganlab
from ganlab import applications, trace

# Label-to-image: a conditional GAN is told which digit to draw, and a judge reads what it drew
run = ganlab.run("cgan", "digits", seeds=2, steps=60, hidden=(64,), latent=8, batch=32, lr=2e-3, r1=0.1, evaluation=200)
share = trace.select(run.trace, "asked_class_share")["value"].mean()
print(f"label-to-image: {share:.0%} of the images are the digit that was asked for")

# Data augmentation: 100 real digits, with and without those of a GAN that learned from them
few = {"variant": "cgan", "steps": 60, "hidden": [64], "latent": 8, "batch": 32, "lr": 2e-3}
augmentation = applications.plan("augmentation", labels=100, gan=few, seeds=2, steps=60)

# Semi-supervised learning: 100 labels, with and without a GAN on the digits that have none
semi_supervised = applications.plan("semi_supervised", labels=100, seeds=2, steps=60)

# Image-to-image translation: from edges to the digit, by L1 alone and with a GAN beside it
translation = applications.plan("translation", seeds=2, steps=60)

for planned, measure in (
    (augmentation, "test_accuracy"), (semi_supervised, "test_accuracy"), (translation, "recognised"),
):  # fmt: skip
    for part in applications.perform(planned).parts():
        print(f"{part.experiment.subject}: {measure.replace('_', ' ')} {trace.last(part.trace, measure).mean():.0%}")
