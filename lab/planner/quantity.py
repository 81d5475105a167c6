"""Quantities with units: bytes cannot be added to won, and every number says what it counts.

pint was weighed and left: its import alone takes most of half a second, it has neither tokens nor won nor device-hours
ready made, and what is needed here is small: products, sums of like with like, comparison and a readable form.

Units are quantities themselves, so that code reads as it is spoken: ``80 * GB / (3.35 * TB / SECOND)``. A result
without unit becomes a plain ``float``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, total_ordering

Dimension = tuple[tuple[str, int], ...]
"""Base units with their exponents, sorted by name; ``()`` is a plain number."""


@total_ordering
@dataclass(frozen=True, eq=False)
class Quantity:
    """``value`` in base units (byte, device, dollar, flop, joule, second, token, won) of ``dimension``."""

    value: float
    dimension: Dimension

    def to(self, unit: Quantity) -> float:
        """This quantity counted in ``unit``; raises TypeError where the dimensions differ."""
        self._same(unit, "expressed in")
        return self.value / unit.value

    def __add__(self, other: Quantity) -> Quantity:
        self._same(other, "added to")
        return Quantity(self.value + other.value, self.dimension)

    def __radd__(self, other: float) -> Quantity:
        """``sum`` starts from a bare zero, the only number that may be added."""
        if other != 0:
            raise TypeError(f"{other} has no unit and cannot be added to {self.unit}.")
        return self

    def __sub__(self, other: Quantity) -> Quantity:
        self._same(other, "subtracted from")
        return Quantity(self.value - other.value, self.dimension)

    def __mul__(self, other: Quantity | float) -> Quantity:
        if not isinstance(other, Quantity):
            return Quantity(self.value * other, self.dimension)
        return _reduced(self.value * other.value, _combined(self.dimension, other.dimension, 1))

    __rmul__ = __mul__

    def __truediv__(self, other: Quantity | float) -> Quantity:
        if not isinstance(other, Quantity):
            return Quantity(self.value / other, self.dimension)
        return _reduced(self.value / other.value, _combined(self.dimension, other.dimension, -1))

    def __rtruediv__(self, other: float) -> Quantity:
        return Quantity(other / self.value, _combined((), self.dimension, -1))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and (self.value, self.dimension) == (other.value, other.dimension)

    def __hash__(self) -> int:
        return hash((self.value, self.dimension))

    def __lt__(self, other: Quantity) -> bool:
        self._same(other, "compared with")
        return self.value < other.value

    def __bool__(self) -> bool:
        return self.value != 0

    @property
    def unit(self) -> str:
        """The unit in words, as ``flop/second``."""
        above = "·".join(_power(name, exponent) for name, exponent in self.dimension if exponent > 0)
        below = "·".join(_power(name, -exponent) for name, exponent in self.dimension if exponent < 0)
        return f"{above or '1'}/{below}" if below else above or "1"

    def __str__(self) -> str:
        scales = _SCALES.get(self.dimension)
        if scales is None:
            return f"{self.value:.4g} {self.unit}"
        fitting = [(name, size) for name, size in scales if abs(self.value) >= size]
        name, size = fitting[-1] if fitting else scales[0]
        number = f"{self.value / size:,.3g}" if abs(self.value / size) < 1000 else f"{self.value / size:,.0f}"
        return f"{name}{number}" if name in "₩$" else f"{number} {name}"

    def _same(self, other: object, verb: str) -> None:
        if not isinstance(other, Quantity):
            raise TypeError(f"{other} has no unit and cannot be {verb} {self.unit}.")
        if self.dimension != other.dimension:
            raise TypeError(f"{other.unit} cannot be {verb} {self.unit}.")


@lru_cache(maxsize=1024)
def _combined(left: Dimension, right: Dimension, sign: int) -> Dimension:
    exponents = dict(left)
    for name, exponent in right:
        exponents[name] = exponents.get(name, 0) + sign * exponent
    return tuple(sorted((name, exponent) for name, exponent in exponents.items() if exponent))


def _reduced(value: float, dimension: Dimension) -> Quantity:
    """A plain number where nothing is left to count; typed as a quantity, for which a float stands in."""
    return Quantity(value, dimension) if dimension else value  # type: ignore[return-value]


def _power(name: str, exponent: int) -> str:
    return name if exponent == 1 else f"{name}^{exponent}"


def _base(name: str) -> Quantity:
    return Quantity(1.0, ((name, 1),))


BYTE, FLOP, SECOND, DEVICE, JOULE, TOKEN, WON, DOLLAR = map(
    _base, ("byte", "flop", "second", "device", "joule", "token", "won", "dollar")
)
GB, TB, GIB = 1e9 * BYTE, 1e12 * BYTE, 2.0**30 * BYTE
TFLOP = 1e12 * FLOP
MINUTE, HOUR, DAY, YEAR = 60 * SECOND, 3600 * SECOND, 86400 * SECOND, 365.25 * 86400 * SECOND
DEVICE_HOUR, DEVICE_DAY = DEVICE * HOUR, DEVICE * DAY
WATT = JOULE / SECOND
MWH = 1e6 * WATT * HOUR
PER_SECOND = 1 / SECOND

_SCALES: dict[Dimension, list[tuple[str, float]]] = {
    BYTE.dimension: [("B", 1), ("KiB", 2**10), ("MiB", 2**20), ("GiB", 2**30), ("TiB", 2**40)],
    FLOP.dimension: [("FLOP", 1), ("GFLOP", 1e9), ("TFLOP", 1e12), ("PFLOP", 1e15), ("EFLOP", 1e18)],
    (FLOP / SECOND).dimension: [("FLOP/s", 1), ("GFLOP/s", 1e9), ("TFLOP/s", 1e12), ("PFLOP/s", 1e15)],
    (BYTE / SECOND).dimension: [("B/s", 1), ("MB/s", 1e6), ("GB/s", 1e9), ("TB/s", 1e12)],
    SECOND.dimension: [("s", 1), ("min", 60), ("h", 3600), ("days", 86400)],
    DEVICE_HOUR.dimension: [
        ("device-hours", 3600),
        ("thousand device-hours", 3.6e6),
        ("million device-hours", 3.6e9),
    ],
    WATT.dimension: [("W", 1), ("kW", 1e3), ("MW", 1e6)],
    JOULE.dimension: [("J", 1), ("kWh", 3.6e6), ("MWh", 3.6e9), ("GWh", 3.6e12)],
    WON.dimension: [("₩", 1)],
    DOLLAR.dimension: [("$", 1)],
    TOKEN.dimension: [
        ("tokens", 1),
        ("million tokens", 1e6),
        ("billion tokens", 1e9),
        ("trillion tokens", 1e12),
    ],
    (TOKEN / SECOND).dimension: [("tokens/s", 1)],
}
