"""Which path an operator takes: chosen by its own rule, or forced; recorded either way.

>>> with use_path("attention", "naive"):
...     model.losses(...)
>>> paths_taken()
{'attention': {'naive': 8}, 'rms_norm': {'fused': 17}}
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

PATHS: dict[str, tuple[str, ...]] = {
    "attention": ("naive", "sdpa", "banded"),
    "cross_entropy": ("naive", "chunked"),
    "experts": ("naive", "sorted"),
    "kimi_delta": ("naive", "chunked"),
    "newton_schulz": ("naive", "batched", "gram"),
    "poly_norm": ("naive", "fused"),
    "rms_norm": ("naive", "fused"),
    "rotary": ("naive", "fused"),
    "short_convolution": ("naive", "shifted"),
    "sinkhorn": ("naive",),
}
"""Every operator and its paths; ``naive`` is the one that the others are held to."""

_forced: dict[str, str] = {}
_taken: dict[str, Counter[str]] = {}


def choose(operator: str, by_rule: str) -> str:
    """The path of this call: the forced one, else ``by_rule``."""
    path = _forced.get(operator, by_rule)
    _taken.setdefault(operator, Counter())[path] += 1
    return path


@contextmanager
def use_path(operator: str, path: str) -> Iterator[None]:
    """Force ``path`` while the block runs. Raises ValueError for names that :data:`PATHS` does not have."""
    if operator not in PATHS:
        raise ValueError(f"operator={operator!r} is unknown: it must be one of {', '.join(PATHS)}.")
    if path not in PATHS[operator]:
        raise ValueError(f"path={path!r} is unknown: {operator} has {', '.join(PATHS[operator])}.")
    before = _forced.get(operator)
    _forced[operator] = path
    try:
        yield
    finally:
        if before is None:
            del _forced[operator]
        else:
            _forced[operator] = before


def paths_taken() -> dict[str, dict[str, int]]:
    """Calls since the last :func:`forget_paths_taken`, by operator and path."""
    return {operator: dict(counts) for operator, counts in sorted(_taken.items())}


def forget_paths_taken() -> None:
    """Count from zero again."""
    _taken.clear()
