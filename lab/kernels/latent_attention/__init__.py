"""Multi-head latent attention: keys and values are projections of a latent that all heads share."""

from torch import Tensor

from lab.kernels.attention import AttentionMask
from lab.kernels.latent_attention import absorbed, expanded, naive
from lab.kernels.latent_attention.projection import UpProjection, latent_keys
from lab.kernels.registry import choose

__all__ = ["UpProjection", "latent_attention", "latent_keys"]

PATHS = {
    "naive": naive.latent_attention,
    "expanded": expanded.latent_attention,
    "absorbed": absorbed.latent_attention,
}


def latent_attention(
    q: Tensor, latent: Tensor, k_rope: Tensor, up: UpProjection, mask: AttentionMask, scale: float
) -> Tensor:
    """Softmax attention with keys ``[W_UK c | k_rope]`` and values ``W_UV c``; head ``h`` reads head ``h // (H / K)``.

    Args:
        q: ``[B, Tq, H, nope + rope]``, the rotated channels last.
        latent: ``c [B, Tk, R]``.
        k_rope: ``[B, Tk, 1, rope]``, rotated, one head for all.
        up: what expands a latent to K heads.
        mask: who sees whom; a query that sees nothing gets zeros.
        scale: multiplies the scores.

    Returns:
        ``[B, Tq, H, v]`` in the type of ``q``, or in that of autocast. Source: DeepSeek-V2, arXiv 2405.04434,
        section 2.1.
    """
    path = choose("latent_attention", "absorbed" if q.shape[1] == 1 else "expanded")
    return PATHS[path](q, latent, k_rope, up, mask, scale)
