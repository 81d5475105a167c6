"""An equation through ``torch.compile``: once a process, for any shape, its machine code kept for the next process."""

import os
from collections.abc import Callable
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar

import torch

from lab.files import cache_directory
from lab.kernels.registry import AUTO
from lab.kernels.triton_support import can_use_triton

VARIANTS = 64
"""Compiled forms an equation may have: types, ranks, with and without gradient; torch's own limit is 8."""

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


_made: dict[Callable[..., Any], Callable[..., Any]] = {}


def compiled(equation: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """``equation``, compiled at its first call; as it is where :func:`can_compile` says no."""

    @wraps(equation)
    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        if equation not in _made:
            _made[equation] = _compile(equation) if can_compile() else equation
        return _made[equation](*args, **kwargs)

    return call


def _compile(equation: Callable[..., Any]) -> Callable[..., Any]:
    return torch.compile(equation, dynamic=True, recompile_limit=VARIANTS)  # type: ignore[call-overload]


def usable(kind: str, device: torch.device) -> str:
    """``kind`` of paths, or ``auto`` where it is ``compiled`` or ``triton`` and that cannot be had on ``device``."""
    missing = (kind == "compiled" and not can_compile()) or (kind == "triton" and not can_use_triton(device))
    return AUTO if missing else kind


@cache
def can_compile() -> bool:
    """Whether ``torch.compile`` makes machine code here, which on a CPU needs a C++ compiler; if not, says why once."""
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_directory() / "compiled"))
    os.environ.setdefault(
        "TORCHINDUCTOR_COMPILE_THREADS", "1"
    )  # an equation is one kernel: no pool of processes
    try:
        torch.compile(lambda x: x + 1, dynamic=True)(torch.zeros(8))
    except Exception as error:  # whatever is missing, there is another path
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        print(f"kernels=compiled cannot be used here, so operators take their other paths: {reason}")
        return False
    return True
