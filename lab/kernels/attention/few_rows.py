"""Few queries over many keys, in C++ that reads keys and values where the cache holds them: decoding."""

import torch
from torch import Tensor

from lab.kernels.attention.mask import AttentionMask
from lab.kernels.cpp import KNOWN, can_build, cpp_function
from lab.kernels.precision import product_type, widen

FEW = 8
"""Queries a row up to which this path is for; a prompt has more work for matrix products."""

_attention = {
    (k, v): cpp_function(
        __file__, f"attention_{KNOWN[k]}_{KNOWN[v]}", "pppppp" + "l" * 15 + "d", "few_rows.cpp"
    )
    for k in KNOWN
    for v in KNOWN
}


def takes(q: Tensor, k: Tensor, v: Tensor, mask: AttentionMask) -> bool:
    """Whether this path is for these, in types it knows."""
    return few_queries(q, mask, FEW) and k.dtype in KNOWN and v.dtype in KNOWN


def few_queries(q: Tensor, mask: AttentionMask, most: int) -> bool:
    """Up to ``most`` queries a row without gradient, of which nothing but positions says who sees whom, for C++."""
    return (
        q.shape[1] <= most
        and not torch.is_grad_enabled()
        and mask.kept is None
        and mask.query_documents is None
        and q.is_cpu
        and q.dtype in KNOWN
        and can_build()
    )


def attention(q: Tensor, k: Tensor, v: Tensor, mask: AttentionMask, scale: float) -> Tensor:
    """Shapes as in the package; arithmetic is float32 whatever holds the numbers."""
    batch, length, heads, width = q.shape
    keys, key_heads, value_width = k.shape[1], k.shape[2], v.shape[3]
    k, v, positions = (x if x.stride(-1) == 1 else x.contiguous() for x in (k, v, mask.key_positions))
    y = torch.empty(batch, length, heads, value_width)
    _attention[k.dtype, v.dtype](
        *(widen(q).contiguous(), k, v, mask.query_positions.contiguous(), positions, y),
        *(batch, length, heads, key_heads, keys, width, value_width),
        *(*k.stride()[:3], *v.stride()[:3], positions.stride(0), mask.window or 0),
        scale,
    )
    return y.to(product_type(q))
