"""Softmax attention with grouped keys, windows and documents."""

from torch import Tensor

from lab.kernels.attention import naive
from lab.kernels.attention.mask import AttentionMask

__all__ = ["AttentionMask", "attention"]


def attention(q: Tensor, k: Tensor, v: Tensor, mask: AttentionMask, scale: float) -> Tensor:
    """Softmax attention; query head ``h`` reads key head ``h // (H / K)``.

    Args:
        q: ``[B, Tq, H, d]``.
        k: ``[B, Tk, K, d]``.
        v: ``[B, Tk, K, e]``; ``e`` need not equal ``d``.
        mask: who sees whom; a query that sees nothing gets zeros.
        scale: multiplies the scores.

    Returns:
        ``[B, Tq, H, e]``.
    """
    return naive.attention(q, k, v, mask, scale)
