"""Keys and values expanded for all heads, then ordinary attention: right where many queries meet them."""

from torch import Tensor

from lab.kernels.attention import AttentionMask, attention
from lab.kernels.latent_attention.projection import UpProjection


def latent_attention(
    q: Tensor, latent: Tensor, k_rope: Tensor, up: UpProjection, mask: AttentionMask, scale: float
) -> Tensor:
    """Shapes as in the package."""
    return attention(q, *up.expand(latent, k_rope), mask, scale)
