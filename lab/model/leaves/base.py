"""What every leaf has in common: a kind, checks that name the key, and a late import of the module it builds."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

BYTES_PER_CACHE_ELEMENT = 2  # caches are sized in bfloat16, as all four houses publish them


@dataclass
class Leaf:
    """A mechanism that can be swapped by one override, ``model/<group>=<kind>``."""

    kind: str


def load(path: str) -> Any:
    """The object at ``package.module:name``; imported late so that a configuration never needs torch."""
    module, name = path.split(":")
    return getattr(import_module(module), name)


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
