"""Won and dollars: what an hour of a device costs, with the range that was published, and what a sum is elsewhere."""

from __future__ import annotations

import math
from typing import Any

from lab.errors import ConfigError
from lab.planner.config import BudgetConfig
from lab.planner.facts import prices, read
from lab.planner.interval import EIGHTY_PERCENT, Uncertain, certain, from_range
from lab.planner.quantity import DEVICE_HOUR, DOLLAR, WON, Quantity

EXCHANGE, PRICE = "exchange rate", "price of a device-hour"


def won_per_dollar(budget: BudgetConfig) -> Uncertain:
    """Won per dollar: the budget's rate, as unsure as the published rates of 2025 and 2026 differ.

    Sources: 1,480.1 on 2025-12-22 (biz.chosun, secondary), 1,350 to 1,376 in mid-2026 (web logs, secondary).
    """
    seen = [rate for entry in read("prices")["won_per_dollar"] for rate in _ends(entry["value"])]
    spread = math.log(max(seen) / min(seen)) / (2 * EIGHTY_PERCENT)
    return Uncertain(budget.won_per_dollar * (WON / DOLLAR), {EXCHANGE: spread})


def price(device: str, budget: BudgetConfig) -> Uncertain:
    """Won per device-time: the budget's own price where it states one, else the whole range that was published.

    Raises :class:`ConfigError` for a device whose rent nobody published.
    """
    if budget.won_per_device_hour is not None:
        return certain(budget.won_per_device_hour * (WON / DEVICE_HOUR))
    rate, ranges = won_per_dollar(budget), []
    for entry in prices(device):
        unit = rate.central * DOLLAR if "dollars" in entry else WON
        ranges.append([value * unit / DEVICE_HOUR for value in _ends(entry.get("dollars") or entry["won"])])
    if not ranges:
        raise ConfigError(
            f"budget.won_per_device_hour must be set: no rent of a {device} is published, only of "
            f"{', '.join(sorted({entry['device'] for entry in read('prices')['prices']}))}."
        )
    spanned = from_range(PRICE, min(low for low, _ in ranges), max(high for _, high in ranges))
    in_dollars = any("dollars" in entry for entry in prices(device))
    return Uncertain(spanned.central, {**spanned.spreads, **(rate.spreads if in_dollars else {})})


def money(budget: BudgetConfig) -> Quantity | None:
    """Won that may be spent, the smaller where won and dollars are both given; None where neither is."""
    sums = []
    if budget.won is not None:
        sums.append(budget.won * WON)
    if budget.dollars is not None:
        sums.append(budget.dollars * DOLLAR * won_per_dollar(budget).central)
    return min(sums, default=None)


def in_dollars(won: Uncertain, budget: BudgetConfig) -> Uncertain:
    """A sum of won in dollars."""
    return won / won_per_dollar(budget)


def _ends(value: Any) -> list[float]:
    return [float(end) for end in (value if isinstance(value, list) else [value])]
