"""Attention over the latents themselves, one key and value head for all: right where few queries meet many keys."""

from torch import Tensor

from lab.kernels.attention import AttentionMask, attention
from lab.kernels.latent_attention.projection import UpProjection, latent_keys


def latent_attention(
    q: Tensor, latent: Tensor, k_rope: Tensor, up: UpProjection, mask: AttentionMask, scale: float
) -> Tensor:
    """Shapes as in the package."""
    return up.values(attention(up.absorb(q), latent_keys(latent, k_rope), latent.unsqueeze(2), mask, scale))
