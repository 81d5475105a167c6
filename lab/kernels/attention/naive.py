"""Softmax attention as written, in float32."""

import torch
from torch import Tensor

from lab.kernels.attention.mask import AttentionMask
from lab.kernels.precision import widen, without_autocast


def attention(q: Tensor, k: Tensor, v: Tensor, mask: AttentionMask, scale: float) -> Tensor:
    """``softmax(scale q k^T) v`` over the allowed keys; zeros for a query with none."""
    heads_per_key = q.shape[2] // k.shape[2]
    k, v = k.repeat_interleave(heads_per_key, dim=2), v.repeat_interleave(heads_per_key, dim=2)
    allowed = mask.dense()
    with without_autocast(q):
        scores = torch.einsum("bqhd,bkhd->bhqk", widen(q), widen(k)) * scale
        scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
        weights = torch.softmax(scores, dim=-1) * allowed
        return torch.einsum("bhqk,bkhe->bqhe", weights, widen(v)).to(q.dtype)
