"""Settings of an audit. Torch-free."""

import math
from dataclasses import dataclass

from lab.errors import ConfigError

MOST_TESTS = 20
"""No audit makes more tests: what one of them must reach alone is the level divided by this."""


@dataclass
class AuditConfig:
    """``rows`` of each part of b and ``units`` of its feed-forwards are drawn and sought in all of a.

    ``draws`` permutations make each null, so that no p-value is below ``1 / (draws + 1)``; ``level`` is the
    family-wise error; ``tokens`` of the common vocabulary carry the tests that need one; ``describe`` adds
    fingerprints that decide nothing.
    """

    rows: int = 512
    units: int = 512
    tokens: int = 512
    draws: int = 1999
    level: float = 0.01
    seed: int = 0
    describe: bool = True

    def __post_init__(self) -> None:
        for key in ("rows", "units", "tokens"):
            if getattr(self, key) < 16:
                raise ConfigError(f"{key}={getattr(self, key)} cannot be used: it must be at least 16.")
        if not 0 < self.level < 0.5:
            raise ConfigError(f"level={self.level} cannot be used: it must lie between 0 and 0.5.")
        fewest = math.ceil(MOST_TESTS / self.level) - 1
        if self.draws < fewest:
            raise ConfigError(
                f"draws={self.draws} cannot be used: it must be at least {MOST_TESTS} / level - 1 = {fewest}, "
                "or no p-value that is corrected for all tests could reach the level."
            )
