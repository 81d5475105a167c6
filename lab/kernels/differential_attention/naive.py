"""Differential attention as written, in float32."""

import torch
from torch import Tensor

from lab.kernels.attention.mask import AttentionMask
from lab.kernels.precision import widen, without_autocast


def differential_attention(
    q: Tensor, k: Tensor, v: Tensor, noise_weight: Tensor, mask: AttentionMask, scale: float
) -> Tensor:
    """Both softmaxes, their difference, one product with the values; shapes as in the package."""
    groups_per_key = q.shape[2] // k.shape[2]
    k, v = (x.repeat_interleave(groups_per_key, dim=2) for x in (k, v))
    with without_autocast(q):
        signal = _softmax(q[:, :, :, :-1], k[:, :, :, 0], mask, scale)
        noise = _softmax(q[:, :, :, -1:], k[:, :, :, -1], mask, scale)
        weight = widen(noise_weight).expand(*q.shape[:3], q.shape[3] - 1, 1).permute(0, 2, 3, 1, 4)
        return torch.einsum("bgrqk,bkge->bqgre", signal - weight * noise, widen(v)).to(q.dtype)


def _softmax(q: Tensor, k: Tensor, mask: AttentionMask, scale: float) -> Tensor:
    """``[B, G, r, Tq, Tk]`` from ``[B, Tq, G, r, d]`` and ``[B, Tk, G, d]``; zeros where nothing is seen."""
    allowed = mask.dense().unsqueeze(2)
    scores = torch.einsum("bqgrd,bkgd->bgrqk", widen(q), widen(k)) * scale
    return torch.softmax(scores.masked_fill(~allowed, torch.finfo(scores.dtype).min), dim=-1) * allowed
