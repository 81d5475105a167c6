"""Days between two dates, as a person writes them."""

from datetime import date

from lab.errors import ConfigError


def days_between(start: str | None, end: str) -> int:
    """Days from ``start`` (today if None) to ``end``; raises ConfigError for a deadline in the past."""
    first, last = date.today() if start is None else _day("start", start), _day("deadline", end)
    if last <= first:
        raise ConfigError(f"deadline={end} is in the past: it must be later than {first}, the start.")
    return (last - first).days


def _day(key: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{key}={text} is not a day: it is written like 2026-07-31.") from None
