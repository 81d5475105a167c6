"""A variant against the baseline, paired by seed: the difference, its interval, and how surprising it would be.

The stated test is Student's paired t-test on the differences ``variant - baseline`` of runs that share a seed. It
assumes that these differences are independent over seeds and about normal. Sharing a seed means sharing the order of
the data, and the initial weights as far as shapes agree: whatever these make alike drops out of the difference.

Why not an exact test alone? Flipping signs (Fisher, *The Design of Experiments*, 1935, section 21) assumes only that
a difference is as likely positive as negative, but with n seeds its two-sided p-value cannot be below ``2 / 2**n``:
0.0625 for five. It is given beside the t-test, never in its place.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from lab.independence.statistics import holm

CONFIDENCE = 0.95
SIGNIFICANT = 0.05  # corrected p-value below which a difference is called one
MOST_FLIPPED = 16  # seeds: beyond it all 2**n flips are too many to go through

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Comparison:
    """``differences`` are variant minus baseline, by rising seed; every field after ``mean`` is None where the
    differences have no spread to judge by: of a single seed, or the same in every seed.

    ``sd`` is the sample standard deviation of the differences; ``low`` and ``high`` bound their mean at 95 %, each
    interval by itself; ``p`` is the paired t-test's, ``p_corrected`` the same after Holm's correction for all
    comparisons made; ``p_flips`` the exact sign-flip test's, uncorrected.
    """

    seeds: tuple[int, ...]
    differences: tuple[float, ...]
    mean: float
    sd: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_corrected: float | None = None
    p_flips: float | None = None

    @property
    def tested(self) -> tuple[float, float, float, float]:
        """``low``, ``high``, ``p`` and ``p_corrected`` of a comparison that could be tested."""
        found = (self.low, self.high, self.p, self.p_corrected)
        low, high, p, p_corrected = (number for number in found if number is not None)
        return low, high, p, p_corrected

    @property
    def shown(self) -> bool:
        """Whether the difference is more than chance would often make: corrected p below 0.05."""
        return self.p_corrected is not None and self.p_corrected < SIGNIFICANT


def compare(variant: Mapping[int, float], baseline: Mapping[int, float]) -> Comparison | None:
    """The comparison of two figures by seed over the seeds that both have; None where they share none."""
    seeds = tuple(sorted(variant.keys() & baseline.keys()))
    if not seeds:
        return None
    differences = np.array([variant[seed] - baseline[seed] for seed in seeds])
    n, mean = len(seeds), float(differences.mean())
    plain = Comparison(seeds, tuple(differences.tolist()), mean)
    sd = float(differences.std(ddof=1)) if n > 1 else 0.0
    # Differences that agree up to the rounding of their own subtraction are copies, not a sample.
    largest = max(abs(figures[seed]) for figures in (variant, baseline) for seed in seeds)
    if sd <= 4 * np.finfo(float).eps * largest:
        return plain
    from scipy.stats import t

    error = sd / math.sqrt(n)
    reach = float(t.ppf((1 + CONFIDENCE) / 2, n - 1)) * error
    p = 2 * float(t.sf(abs(mean) / error, n - 1))
    return replace(plain, sd=sd, low=mean - reach, high=mean + reach, p=p, p_flips=_sign_flips(differences))


def corrected(comparisons: Mapping[Key, Comparison | None]) -> dict[Key, Comparison | None]:
    """The comparisons with Holm's corrected p-values (Holm 1979) for as many as there are.

    Those that can't be tested yet count too, so that a half-finished sweep isn't judged more kindly.
    """
    p_values = {key: 1.0 if one is None or one.p is None else one.p for key, one in comparisons.items()}
    adjusted = holm(p_values)
    return {
        key: one if one is None or one.p is None else replace(one, p_corrected=adjusted[key])
        for key, one in comparisons.items()
    }


def _sign_flips(differences: np.ndarray) -> float | None:
    """Two-sided exact p-value: of all 2**n choices of signs, the share whose mean is at least as far from 0."""
    n = len(differences)
    if n > MOST_FLIPPED:
        return None
    bits = np.arange(2**n)[:, None] >> np.arange(n) & 1
    sums = np.abs((1 - 2 * bits) @ differences)
    return float(np.mean(sums >= abs(differences.sum()) * (1 - 1e-12)))
