"""There and back by torch's conversions."""

from torch import Tensor


def round_to_bfloat16(x: Tensor) -> Tensor:
    """Float32 numbers as bfloat16 would hold them, nearest, ties to even; shapes as in the package."""
    return x.bfloat16().to(x.dtype)
