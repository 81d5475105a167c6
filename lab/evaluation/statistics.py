"""Intervals for the figures of an evaluation."""

import math
from dataclasses import dataclass

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


def mcnemar_exact(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Two-sided exact p-value that two models answer the same items ``[N]`` equally well (McNemar 1947).

    Of the items that one alone answers rightly, each model has half, binomially, where they are equally good.
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    discordant, fewer = only_first + only_second, min(only_first, only_second)
    tail = sum(math.comb(discordant, count) for count in range(fewer + 1)) / 2**discordant
    return min(1.0, 2 * tail)


def bootstrap_difference(
    first: NDArray[np.float64], second: NDArray[np.float64], seed: int, resamples: int = 2000
) -> tuple[float, float]:
    """95 % percentile bootstrap interval of ``mean(first - second)`` over the same items ``[N]``."""
    differences = first - second
    ones = np.ones(len(differences), np.int64)
    return bootstrap_ratio(differences, ones, seed, resamples)


@dataclass(frozen=True)
class MeanTest:
    """A mean, its 95 % interval, and the two-sided p-value that it is 0."""

    mean: float
    low: float
    high: float
    p_value: float


def clustered_t_test(values: NDArray[np.float64], groups: NDArray[np.int64]) -> MeanTest:
    """Student's test that the mean of ``values [N]`` is 0, where those of one of G groups ``[N]`` may be alike.

    The error is the cluster-robust one with ``G - 1`` degrees of freedom (Liang and Zeger, Biometrika 1986; Cameron
    and Miller, Journal of Human Resources 2015, section II): values enter as sums over groups, so that forty items
    from a document don't count as forty. Values without spread are no sample: their interval is their mean, p 1.
    """
    from scipy.stats import t

    mean = float(values.mean())
    sums = np.bincount(np.unique(groups, return_inverse=True)[1], values - mean)
    count = len(sums)
    if count < 2 or np.ptp(values) == 0:
        return MeanTest(mean, mean, mean, 1.0)
    error = math.sqrt(count / (count - 1) * float((sums**2).sum())) / len(values)
    reach = float(t.ppf(0.975, count - 1)) * error
    return MeanTest(mean, mean - reach, mean + reach, 2 * float(t.sf(abs(mean) / error, count - 1)))
