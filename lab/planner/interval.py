"""Numbers that know how unsure they are, and why.

An :class:`Uncertain` is a product of named lognormal factors around a central value. A factor that enters twice adds
up (it is the same unknown); different factors are independent and add in squares.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from lab.planner.quantity import Quantity

EIGHTY_PERCENT = 1.2816
"""Standard deviations on either side of the median that hold 80 % of a normal distribution."""

Value = TypeVar("Value", float, Quantity)


@dataclass(frozen=True)
class Range(Generic[Value]):
    """An 80 % interval around a median."""

    low: Value
    central: Value
    high: Value

    @property
    def width(self) -> float:
        """High over low, a plain ratio."""
        return float(self.high / self.low)  # type: ignore[arg-type]

    def holds(self, value: Value) -> bool:
        return bool(self.low <= value <= self.high)

    def __str__(self) -> str:
        if isinstance(self.central, Quantity):
            return f"{self.central} ({self.low} to {self.high})"
        return f"{self.central:.3g} ({self.low:.3g} to {self.high:.3g})"


@dataclass(frozen=True)
class Bar(Generic[Value]):
    """One bar of a tornado plot: the result if ``contributor`` alone sits at either end of its 80 % range."""

    contributor: str
    low: Value
    high: Value


@dataclass(frozen=True)
class Uncertain(Generic[Value]):
    """``central`` times ``exp(sum of spread_i z_i)``, ``z_i`` independent standard normals.

    ``spreads`` maps a contributor's name to the standard deviation of the logarithm, signed: -0.1 says that the
    result falls where the contributor rises.
    """

    central: Value
    spreads: Mapping[str, float] = field(default_factory=dict)

    @property
    def spread(self) -> float:
        """Standard deviation of the logarithm."""
        return math.sqrt(sum(spread**2 for spread in self.spreads.values()))

    @property
    def range(self) -> Range[Value]:
        """The 80 % interval."""
        factor = math.exp(EIGHTY_PERCENT * self.spread)
        return Range(self.central / factor, self.central, self.central * factor)

    def tornado(self) -> list[Bar[Value]]:
        """One bar a contributor, the widest first."""
        ordered = sorted(self.spreads.items(), key=lambda item: -abs(item[1]))
        bars = []
        for name, spread in ordered:
            factor = math.exp(EIGHTY_PERCENT * abs(spread))
            bars.append(Bar(name, self.central / factor, self.central * factor))
        return bars

    def largest(self, count: int = 3) -> list[str]:
        """Names of the contributors that matter most."""
        return [bar.contributor for bar in self.tornado()[:count]]

    def __mul__(self, other: Uncertain | Quantity | float) -> Uncertain:
        right = certain(other)
        return Uncertain(self.central * right.central, _joined(self, right, 1.0, 1.0))

    __rmul__ = __mul__

    def __truediv__(self, other: Uncertain | Quantity | float) -> Uncertain:
        right = certain(other)
        return Uncertain(self.central / right.central, _joined(self, right, 1.0, -1.0))

    def __rtruediv__(self, other: Quantity | float) -> Uncertain:
        return certain(other) / self

    def __add__(self, other: Uncertain | Quantity) -> Uncertain:
        """A sum of positive parts, to first order: each part's spreads weigh as its share."""
        right = certain(other)
        total = self.central + right.central
        share: float = self.central / total
        return Uncertain(total, _joined(self, right, share, 1 - share))

    def __str__(self) -> str:
        reasons = f"; mostly {', '.join(self.largest())}" if self.spreads else ""
        return f"{self.range}{reasons}"


def certain(value: Uncertain | Quantity | float) -> Uncertain:
    """``value`` as an :class:`Uncertain`, without spread unless it has one."""
    return value if isinstance(value, Uncertain) else Uncertain(value)


def from_range(name: str, low: Quantity | float, high: Quantity | float) -> Uncertain:
    """The lognormal whose 80 % interval runs from ``low`` to ``high``, its spread charged to ``name``."""
    ratio = float(high / low)  # type: ignore[arg-type]
    assert ratio >= 1, (name, low, high)
    return Uncertain(low * math.sqrt(ratio), {name: math.log(ratio) / (2 * EIGHTY_PERCENT)})


def _joined(left: Uncertain, right: Uncertain, a: float, b: float) -> dict[str, float]:
    names = dict.fromkeys((*left.spreads, *right.spreads))
    return {name: a * left.spreads.get(name, 0.0) + b * right.spreads.get(name, 0.0) for name in names}
