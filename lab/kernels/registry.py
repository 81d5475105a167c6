"""Which path an operator takes: chosen by its own rule, or asked for; recorded either way.

>>> with use_path("attention", "naive"):
...     model.losses(...)
>>> paths_taken()
{'attention': {'naive': 8}, 'rms_norm': {'fused': 17}}
>>> with prefer("naive"):  # the setting ``kernels`` of a run: every operator that has such a path
...     model.losses(...)
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

PATHS: dict[str, tuple[str, ...]] = {
    "attention": ("naive", "sdpa", "banded", "blockwise", "few_rows", "triton"),
    "cross_entropy": ("naive", "chunked", "cpp", "triton"),
    "differential_attention": ("naive", "separate", "blocked"),
    "experts": ("naive", "sorted", "grouped", "few_rows", "triton"),
    "gated_rms_norm": ("naive", "separate"),
    "kimi_delta": ("naive", "chunked"),
    "latent_attention": ("naive", "expanded", "absorbed", "few_rows"),
    "newton_schulz": ("naive", "batched", "gram", "cpp"),
    "poly_norm": ("naive", "fused", "cpp", "compiled", "triton"),
    "rms_norm": ("naive", "fused", "cpp", "compiled", "triton"),
    "rotary": ("naive", "fused", "cpp", "compiled", "triton"),
    "round_to_bfloat16": ("naive", "cpp"),
    "short_convolution": ("naive", "shifted", "compiled"),
    "sigmoid_router": ("naive", "library", "few_rows"),
    "sinkhorn": ("naive", "cpp", "compiled"),
    "sparse_attention": ("naive", "masked", "gathered"),
    "stream_mixing": ("naive", "batched", "cpp", "compiled"),
    "swiglu": ("naive", "library", "cpp", "compiled", "triton"),
}
"""Every operator and its paths; ``naive`` is the one that the others are held to.

Of several of one kind the first takes any input; the others are for special ones.
"""

AUTO = "auto"
NATIVE = "native"
KERNEL_KINDS = (AUTO, "naive", NATIVE, "compiled", "triton")
"""What ``kernels`` can be: each operator's own rule, or a kind of path.

``naive`` is the equation, ``native`` arranges library calls by hand or is C++ of ours, ``compiled`` is the equation
through ``torch.compile``, ``triton`` is written for GPUs. A file of one of these names is a path of this kind; all
others are native.
"""

_preferred: str = AUTO
_forced: dict[str, str] = {}
_taken: defaultdict[str, Counter[str]] = defaultdict(Counter)


def kind_of(path: str) -> str:
    """The one of :data:`KERNEL_KINDS` that ``path`` belongs to."""
    return path if path in KERNEL_KINDS else NATIVE


def choose(operator: str, by_rule: str) -> str:
    """The path of this call: the forced one, else one of the preferred kind, else ``by_rule``."""
    path = _forced.get(operator) or _of_preferred_kind(operator, by_rule)
    _taken[operator][path] += 1
    return path


def _of_preferred_kind(operator: str, by_rule: str) -> str:
    if _preferred in (AUTO, kind_of(by_rule)):
        return by_rule
    return next((path for path in PATHS[operator] if kind_of(path) == _preferred), by_rule)


@contextmanager
def prefer(kind: str) -> Iterator[None]:
    """While the block runs, operators take a path of ``kind``, one of :data:`KERNEL_KINDS`, if they have one.

    Those that have none follow their own rule; :func:`lacks_preferred` names them. A path forced by
    :func:`use_path` comes first. Raises ValueError for other words.
    """
    global _preferred
    if kind not in KERNEL_KINDS:
        raise ValueError(f"kernels={kind!r} is unknown: it can be {', '.join(KERNEL_KINDS)}.")
    before, _preferred = _preferred, kind
    try:
        yield
    finally:
        _preferred = before


def preferred() -> str:
    """The kind of path that is asked for now."""
    return _preferred


def lacks_preferred(operator: str) -> bool:
    """Whether ``operator`` has no path of the kind that is asked for now, and so follows its own rule."""
    return _preferred != AUTO and all(kind_of(path) != _preferred for path in PATHS[operator])


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
