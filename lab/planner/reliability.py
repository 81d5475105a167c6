"""Failures, checkpoints and goodput (Young 1974; Daly 2006; failure rate: Llama 3, arXiv 2407.21783, section 3.3.4)."""

import math
from dataclasses import dataclass

from lab.planner.quantity import DEVICE, MINUTE, Quantity


@dataclass(frozen=True)
class Reliability:
    """``interval`` between checkpoints (s), ``mean_time_between_failures`` (s), ``goodput``: useful share of time."""

    mean_time_between_failures: Quantity
    interval: Quantity
    goodput: float


def reliability(
    devices: int,
    failures: Quantity,
    checkpoint: Quantity = MINUTE,
    restart: Quantity = 15 * MINUTE,
) -> Reliability:
    """Young's interval sqrt(2 delta M) and goodput 1 - delta/tau - (tau/2 + R)/M.

    ``failures`` per device and second; ``checkpoint`` is the time training stands still to write one (delta),
    ``restart`` the time until training goes on (R); M the cluster's mean time between failures.
    """
    between = 1 / (failures * (devices * DEVICE))
    interval = young_interval(checkpoint, between)
    lost = checkpoint / interval + (interval / 2 + restart) / between
    return Reliability(between, interval, max(0.0, 1 - float(lost)))  # type: ignore[arg-type]


def young_interval(checkpoint: Quantity, between: Quantity) -> Quantity:
    """sqrt(2 delta M), seconds; Daly's higher order is shorter by about delta where delta is short."""
    product = 2 * checkpoint * between
    half = tuple((name, exponent // 2) for name, exponent in product.dimension)
    return Quantity(math.sqrt(product.value), half)
