"""Rounding to bfloat16 without leaving float32."""

from torch import Tensor

from lab.kernels.registry import choose
from lab.kernels.round_to_bfloat16 import cpp, naive

__all__ = ["round_to_bfloat16"]

PATHS = {"naive": naive.round_to_bfloat16, "cpp": cpp.round_to_bfloat16}


def round_to_bfloat16(x: Tensor) -> Tensor:
    """``x`` of any shape with every number as bfloat16 would hold it (nearest, ties to even), in the type of ``x``."""
    return PATHS[choose("round_to_bfloat16", "cpp" if cpp.takes(x) else "naive")](x)
