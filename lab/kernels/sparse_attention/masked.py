"""Attention to all keys with those that were not selected masked: the queries of a sequence share each key's tile."""

from torch import Tensor

from lab.kernels.attention import AttentionMask, attention
from lab.kernels.sparse_attention.selection import Selection


def sparse_attention(
    q: Tensor, k: Tensor, v: Tensor, mask: AttentionMask, selection: Selection, scale: float
) -> Tensor:
    """Shapes as in the package."""
    return attention(q, k, v, mask.narrowed(selection.kept), scale)
