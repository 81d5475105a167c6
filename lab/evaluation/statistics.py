"""Intervals for the figures of an evaluation."""

import math

import numpy as np
from numpy.typing import NDArray

Z_95 = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson, JASA 1927): the proportions that a score test doesn't reject."""
    proportion, shrink = successes / trials, 1 + Z_95**2 / trials
    centre = (proportion + Z_95**2 / (2 * trials)) / shrink
    spread = Z_95 / shrink * math.sqrt(proportion * (1 - proportion) / trials + Z_95**2 / (4 * trials**2))
    return max(0.0, centre - spread), min(1.0, centre + spread)


def bootstrap_ratio(
    numerators: NDArray[np.float64], denominators: NDArray[np.int64], seed: int, resamples: int = 2000
) -> tuple[float, float]:
    """95 % percentile bootstrap interval of ``sum(numerators) / sum(denominators)``, both ``[units]``."""
    generator = np.random.default_rng(seed)
    units = len(numerators)
    drawn = generator.multinomial(units, np.full(units, 1 / units), size=resamples)
    low, high = np.quantile((drawn @ numerators) / (drawn @ denominators), [0.025, 0.975])
    return float(low), float(high)
