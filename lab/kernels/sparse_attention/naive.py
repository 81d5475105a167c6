"""Sparse attention as written, in float32: the equation of attention over the keys that are kept."""

from torch import Tensor

from lab.kernels.attention import naive
from lab.kernels.attention.mask import AttentionMask
from lab.kernels.sparse_attention.selection import Selection


def sparse_attention(
    q: Tensor, k: Tensor, v: Tensor, mask: AttentionMask, selection: Selection, scale: float
) -> Tensor:
    """Shapes as in the package."""
    return naive.attention(q, k, v, mask.narrowed(selection.kept), scale)
