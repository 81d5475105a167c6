"""Few queries, in C++: absorbed, met with the latents where the cache holds them, and turned to values in one call."""

import torch
from torch import Tensor

from lab.kernels.attention import AttentionMask
from lab.kernels.attention.few_rows import few_queries
from lab.kernels.cpp import KNOWN, cpp_function
from lab.kernels.latent_attention.projection import UpProjection
from lab.kernels.precision import product_type, widen

FEW = 4
"""Queries a row up to which this path is for."""

_attention = {
    dtype: cpp_function(__file__, f"latent_attention_{word}", "p" * 8 + "l" * 16 + "d", "few_rows.cpp")
    for dtype, word in KNOWN.items()
}


def takes(q: Tensor, latent: Tensor, k_rope: Tensor, up: UpProjection, mask: AttentionMask) -> bool:
    """Whether this path is for these, in types it knows."""
    kept = latent.dtype in KNOWN and latent.dtype == k_rope.dtype == up.weight.dtype
    return kept and few_queries(q, mask, FEW)


def latent_attention(
    q: Tensor,
    latent: Tensor,
    k_rope: Tensor,
    up: UpProjection,
    mask: AttentionMask,
    scale: float,
    chosen: Tensor | None = None,
) -> Tensor:
    """Shapes as in the package; arithmetic is float32 whatever holds the numbers.

    With ``chosen [B, T, n]`` each query looks at the keys in these places alone.
    """
    batch, length, heads, width = q.shape
    keys, rank = latent.shape[1:]
    rope = width - up.nope_dim
    value_width = up.weight.shape[0] // up.num_heads - up.nope_dim
    latent, k_rope, positions = (
        x if x.stride(-1) == 1 else x.contiguous() for x in (latent, k_rope, mask.key_positions)
    )
    places, number = (positions, 0) if chosen is None else (chosen.contiguous(), chosen.shape[-1])
    y = torch.empty(batch, length, heads, value_width)
    _attention[latent.dtype](
        *(widen(q).contiguous(), latent, k_rope, up.weight.contiguous()),
        *(mask.query_positions.contiguous(), positions, places, y),
        *(batch, length, heads, up.num_heads, keys, rank, up.nope_dim, rope, value_width),
        *(*latent.stride()[:2], *k_rope.stride()[:2], positions.stride(0), number, mask.window or 0),
        scale,
    )
    return y.to(product_type(q))
