"""Latent attention as written, in float32: every key and value is expanded."""

import torch
from torch import Tensor

from lab.kernels.attention import naive
from lab.kernels.attention.mask import AttentionMask
from lab.kernels.latent_attention.projection import UpProjection
from lab.kernels.precision import widen, without_autocast


def latent_attention(
    q: Tensor, latent: Tensor, k_rope: Tensor, up: UpProjection, mask: AttentionMask, scale: float
) -> Tensor:
    """``k = [W_UK c | k_rope]``, ``v = W_UV c``, then softmax attention; shapes as in the package."""
    with without_autocast(q):
        heads = torch.einsum("bsr,knr->bskn", widen(latent), widen(up.by_head()))
        k_nope, v = heads[..., : up.nope_dim], heads[..., up.nope_dim :]
        k = torch.cat([k_nope, widen(k_rope).expand(-1, -1, up.num_heads, -1)], dim=-1)
        return naive.attention(widen(q), k, v, mask, scale).to(q.dtype)
