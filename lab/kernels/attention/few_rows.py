"""Few queries over many keys, in C++ that reads keys and values where the cache holds them: decoding."""

import torch
from torch import Tensor

from lab.kernels.attention.mask import AttentionMask
from lab.kernels.cpp import can_build, cpp_function
from lab.kernels.precision import product_type, widen

FEW = 8
"""Queries a row up to which this path is for; a prompt has more work for matrix products."""

NAMES = {torch.float32: "float32", torch.bfloat16: "bfloat16"}

_attention = {
    (k, v): cpp_function(
        __file__, f"attention_{NAMES[k]}_{NAMES[v]}", "pppppp" + "l" * 15 + "d", "few_rows.cpp"
    )
    for k in NAMES
    for v in NAMES
}


def takes(q: Tensor, k: Tensor, v: Tensor, mask: AttentionMask) -> bool:
    """Whether this path is for these: few queries without gradient, and nothing but positions says who sees whom."""
    return (
        q.shape[1] <= FEW
        and not torch.is_grad_enabled()
        and mask.kept is None
        and mask.query_documents is None
        and q.is_cpu
        and q.dtype in NAMES
        and k.dtype in NAMES
        and v.dtype in NAMES
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
