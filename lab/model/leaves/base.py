"""What every leaf has in common: a kind, checks that name the key, and a late import of the module it builds."""

import math
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from lab.errors import ConfigError

BYTES_PER_CACHE_ELEMENT = 2  # caches are sized in bfloat16, as all four houses publish them


@dataclass
class Leaf:
    """A mechanism that can be swapped by one override, ``model/<group>=<kind>``."""

    kind: str


def load(path: str) -> Any:
    """The object at ``package.module:name``; imported late so that a configuration never needs torch."""
    module, name = path.split(":")
    return getattr(import_module(module), name)


def require(condition: bool, key: str, value: object, allowed: str) -> None:
    """Raise a :class:`ConfigError` naming ``key``, ``value`` and what is ``allowed`` unless ``condition`` holds."""
    if not condition:
        raise ConfigError(f"{key}={value} cannot be used: {allowed}.")


def require_positive(prefix: str, **values: int) -> None:
    """Every value counts something: it must be at least 1."""
    for name, value in values.items():
        require(value >= 1, f"{prefix}.{name}", value, "it must be at least 1")


def require_above_zero(prefix: str, **values: float) -> None:
    """Every value must be above 0 and finite."""
    for name, value in values.items():
        require(0 < value < math.inf, f"{prefix}.{name}", value, "it must be above 0")


def require_at_least_zero(prefix: str, **values: float) -> None:
    """Every value must be 0 or above, and finite."""
    for name, value in values.items():
        require(0 <= value < math.inf, f"{prefix}.{name}", value, "it must be at least 0")


def require_fraction(prefix: str, **values: float) -> None:
    """Every value must lie between 0 and 1, as an epsilon does."""
    for name, value in values.items():
        require(0 < value < 1, f"{prefix}.{name}", value, "it must lie between 0 and 1")


@dataclass(frozen=True)
class CacheSize:
    """Bytes that decoding keeps for one sequence: ``fixed`` once, ``per_token`` for each token so far."""

    per_token: int
    fixed: int

    def at(self, length: int) -> int:
        """Bytes after ``length`` tokens."""
        return self.fixed + self.per_token * length

    def __add__(self, other: "CacheSize") -> "CacheSize":
        return CacheSize(self.per_token + other.per_token, self.fixed + other.fixed)
