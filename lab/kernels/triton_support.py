"""Kernels in Triton: whether they can run here, and what all of them share.

Triton is imported when the first such kernel is called, never before. Each kernel is in the ``triton.py`` of its
operator; without a GPU it runs under Triton's interpreter, for tests, where ``TRITON_INTERPRET=1`` is set before
the first call.
"""

import os
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from lab.kernels.precision import widen

TILE = 4096
"""Numbers that a program of a row-wise kernel holds of each operand; chosen by hand, never timed."""

PROGRAMS_PER_PROCESSOR = 4
"""Programs of a kernel that adds up over rows, for each multiprocessor of the GPU."""


def interpreted() -> bool:
    """Whether kernels run under Triton's interpreter, slowly and on any device."""
    return os.environ.get("TRITON_INTERPRET", "0").lower() in ("1", "true", "yes", "on")


def lacks(device: torch.device) -> str | None:
    """What Triton kernels lack to run on tensors of ``device``; None where they can."""
    if find_spec("triton") is None:
        return "Triton is not installed"
    if device.type != "cuda" and not interpreted():
        return f"device={device.type} is no GPU"
    return None


@cache
def can_use_triton(device: torch.device) -> bool:
    """Whether Triton kernels run on tensors of ``device``; if not, says why once."""
    reason = lacks(device)
    if reason is not None:
        print(
            f"kernels=triton cannot be used here, so operators take the paths of their own rules: {reason}."
        )
    return reason is None


def at_first_call(operator: str, function: str) -> Callable[..., Any]:
    """``function`` of the operator's ``triton.py``, which is imported when it is first called.

    Its first argument is a tensor. Raises RuntimeError where Triton kernels cannot run on its device.
    """

    def call(x: Tensor, *args: Any, **kwargs: Any) -> Any:
        reason = lacks(x.device)
        if reason is not None:
            raise RuntimeError(f"path='triton' of {operator} cannot be used: {reason}.")
        with torch.cuda.device_of(x):
            return getattr(import_module(f"lab.kernels.{operator}.triton"), function)(x, *args, **kwargs)

    return call


def language_type(dtype: torch.dtype) -> Any:
    """Triton's name of ``dtype``."""
    return getattr(import_module("triton.language"), str(dtype).removeprefix("torch."))


def wide_type(x: Tensor) -> Any:
    """The type in which a kernel adds up numbers of ``x``: float64 for float64, else float32."""
    return language_type(widen(x[:0]).dtype)


def operand_type(dtype: torch.dtype) -> Any:
    """The type in which numbers of ``dtype`` enter ``tl.dot``.

    The interpreter multiplies the bit patterns of bfloat16 as if they were integers, so there it is float32.
    """
    return language_type(torch.float32 if interpreted() and dtype == torch.bfloat16 else dtype)


def block_of(size: int, smallest: int = 1) -> int:
    """The power of two, at least ``smallest``, that holds ``size``: lengths of Triton's tiles are such."""
    return max(smallest, 1 << max(size - 1, 0).bit_length())


def rows_of(x: Tensor) -> Tensor:
    """``[..., D]`` as ``[N, D]`` whose rows may lie apart; copied only where numbers of a row do."""
    rows = x.reshape(-1, x.shape[-1])
    return rows if rows.stride(-1) == 1 else rows.contiguous()


def num_programs(x: Tensor, blocks: int) -> int:
    """Programs that share ``blocks`` and keep one sum each; two under the interpreter, so that sums meet."""
    if x.device.type != "cuda":
        return min(blocks, 2)
    processors = torch.cuda.get_device_properties(x.device).multi_processor_count
    return min(blocks, PROGRAMS_PER_PROCESSOR * processors)
