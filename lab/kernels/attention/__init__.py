"""Softmax attention with grouped keys, windows and documents."""

from torch import Tensor

from lab.kernels.attention import banded, blockwise, few_rows, naive, sdpa
from lab.kernels.attention.mask import AttentionMask
from lab.kernels.bfloat16 import operand, result, rounds_products
from lab.kernels.registry import choose
from lab.kernels.triton_support import at_first_call

__all__ = ["AttentionMask", "attention"]

PATHS = {
    "naive": naive.attention,
    "sdpa": sdpa.attention,
    "banded": banded.attention,
    "blockwise": blockwise.attention,
    "few_rows": few_rows.attention,
    "triton": at_first_call("attention", "attention"),
}

BANDED_FROM = 4
"""Windows that a row must be long before looking at its blocks separately pays (README, measurements)."""


def attention(q: Tensor, k: Tensor, v: Tensor, mask: AttentionMask, scale: float) -> Tensor:
    """Softmax attention; query head ``h`` reads key head ``h // (H / K)``.

    Args:
        q: ``[B, Tq, H, d]``.
        k: ``[B, Tk, K, d]``.
        v: ``[B, Tk, K, e]``; ``e`` need not equal ``d``.
        mask: who sees whom; a query that sees nothing gets zeros.
        scale: multiplies the scores.

    Returns:
        ``[B, Tq, H, e]`` in the type of ``q``, or in that of autocast.
    """
    path = PATHS[choose("attention", _rule(q, k, v, mask))]
    if rounds_products():
        return result(path(operand(q), operand(k), operand(v), mask, scale))
    return path(q, k, v, mask, scale)


def _rule(q: Tensor, k: Tensor, v: Tensor, mask: AttentionMask) -> str:
    """C++ where it can be; ``banded`` for a window that covers little of an ordered row, else ``sdpa``."""
    if few_rows.takes(q, k, v, mask):
        return "few_rows"
    if blockwise.takes(q, k, v, mask):
        return "blockwise"
    length = mask.query_positions.shape[1]
    narrow = mask.window is not None and length >= BANDED_FROM * mask.window
    return "banded" if narrow and mask.kept is None and mask.in_order else "sdpa"
