"""Failures, checkpoints and goodput (Young 1974; Daly 2006; failure rate: Llama 3, arXiv 2407.21783, section 3.3.4)."""

import math
from dataclasses import dataclass

from lab.planner.quantity import DEVICE, MINUTE, Quantity

RATE_RANGE = (0.5, 3.0)
"""Failure rates over that of the H100s of 2024 within which other devices are looked for: none is published."""


@dataclass(frozen=True)
class Reliability:
    """``interval`` between checkpoints (s), ``mean_time_between_failures`` (s), ``goodput``: useful share of time.

    ``checkpoint`` is the time training stands still to write one (s).
    """

    mean_time_between_failures: Quantity
    checkpoint: Quantity
    interval: Quantity
    goodput: float


def reliability(
    devices: int,
    failures: Quantity,
    checkpoint: Quantity = MINUTE,
    restart: Quantity = 15 * MINUTE,
) -> Reliability:
    """Daly's interval tau and goodput 1 - delta/tau - (tau/2 + R)/M.

    ``failures`` per device and second; ``checkpoint`` is the time training stands still to write one (delta),
    ``restart`` the time until training goes on (R); M the cluster's mean time between failures.
    """
    between = 1 / (failures * (devices * DEVICE))
    interval = daly_interval(checkpoint, between)
    lost = checkpoint / interval + (interval / 2 + restart) / between
    return Reliability(between, checkpoint, interval, max(0.0, 1 - float(lost)))  # type: ignore[arg-type]


def young_interval(checkpoint: Quantity, between: Quantity) -> Quantity:
    """sqrt(2 delta M), seconds (Young 1974)."""
    product = 2 * checkpoint * between
    half = tuple((name, exponent // 2) for name, exponent in product.dimension)
    return Quantity(math.sqrt(product.value), half)


def daly_interval(checkpoint: Quantity, between: Quantity) -> Quantity:
    """sqrt(2 delta M) (1 + x/3 + x^2/9) - delta with x = sqrt(delta / 2M), seconds; M where delta is 2M or more.

    Daly 2006, equation 37: Young's interval, less about two thirds of delta.
    """
    half = float(checkpoint / (2 * between))  # type: ignore[arg-type]
    if half >= 1:
        return between
    x = math.sqrt(half)
    return young_interval(checkpoint, between) * (1 + x / 3 + x**2 / 9) - checkpoint
