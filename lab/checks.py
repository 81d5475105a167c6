"""Checks of settings: each raises one sentence with the key, the value and what is allowed.

Values given by name are those of the keys ``<prefix>.<name>``; None, a setting that is left out, passes.
"""

import math
from collections.abc import Sequence

from lab.errors import ConfigError


def require(condition: bool, key: str, value: object, allowed: str) -> None:
    """Raise a :class:`ConfigError` naming ``key``, ``value`` and what is ``allowed`` unless ``condition`` holds."""
    if not condition:
        raise ConfigError(f"{key}={value} cannot be used: {allowed}.")


def require_choice(key: str, value: str, choices: Sequence[str]) -> None:
    """The value must be one of ``choices``."""
    if value not in choices:
        raise ConfigError(f"{key}={value} is unknown: it can be {', '.join(choices)}.")


def require_at_least(prefix: str, least: float, **values: float | None) -> None:
    """Every value must be ``least`` or above, and finite."""
    for name, value in values.items():
        holds = value is None or least <= value < math.inf
        require(holds, f"{prefix}.{name}", value, f"it must be at least {least:g}")


def require_above_zero(prefix: str, **values: float | None) -> None:
    """Every value must be above 0 and finite."""
    for name, value in values.items():
        require(value is None or 0 < value < math.inf, f"{prefix}.{name}", value, "it must be above 0")


def require_fraction(prefix: str, **values: float) -> None:
    """Every value must lie between 0 and 1, as an epsilon does."""
    for name, value in values.items():
        require(0 < value < 1, f"{prefix}.{name}", value, "it must lie between 0 and 1")
