"""Two normal laws of equal spread, the data a gap above the fakes: what each loss pulls with against the best discriminator.

The optimal discriminator's logit is linear, l(x) = g / s^2 (x - g / 2) with the fakes at 0 and the data at g, so that every
pull on the fake mean is an integral over one line.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

Z = np.linspace(-14.0, 14.0, 5601)
WEIGHTS = np.exp(-(Z**2) / 2) / np.sqrt(2 * np.pi) * (Z[1] - Z[0])
"""Trapezoidal rule for a standard normal expectation: exact to rounding for functions as smooth as these."""


class Pulls(NamedTuple):
    """Pull on the fake mean towards the data, by loss."""

    saturating: float
    non_saturating: float
    wasserstein: float


def pulls(gap: float, std: float) -> Pulls:
    r"""Return the pulls at a gap g above 0 between the means, both laws of spread s above 0.

    Saturating :math:`\frac{g}{s^2} E\,\sigma(l)`, which is twice the slope of the Jensen-Shannon divergence; non-saturating
    :math:`\frac{g}{s^2} E\,\sigma(-l)`, that of the Kullback-Leibler divergence less the former, so that the two add up to
    :math:`g / s^2`; a Wasserstein critic of slope 1 pulls by 1 at any gap.

    Example
    -------
    >>> [round(pull, 5) for pull in pulls(1, 1)]
    [0.39797, 0.60203, 1.0]

    Source: Arjovsky and Bottou 2017, theorem 2.5.
    """
    logit = gap / std**2 * (std * Z - gap / 2)
    share = 1 / (1 + np.exp(-logit))
    return Pulls(gap / std**2 * float(WEIGHTS @ share), gap / std**2 * float(WEIGHTS @ (1 - share)), 1.0)
