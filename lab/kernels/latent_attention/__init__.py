"""Multi-head latent attention: keys and values are projections of a latent that all heads share."""

from torch import Tensor

from lab.kernels.attention import AttentionMask
from lab.kernels.latent_attention import absorbed, expanded, few_rows, naive
from lab.kernels.latent_attention.projection import UpProjection, latent_keys
from lab.kernels.registry import choose
from lab.kernels.sparse_attention import gather, gathered_mask

__all__ = ["UpProjection", "latent_attention", "latent_keys"]

PATHS = {
    "naive": naive.latent_attention,
    "expanded": expanded.latent_attention,
    "absorbed": absorbed.latent_attention,
    "few_rows": few_rows.latent_attention,
}


def latent_attention(
    q: Tensor,
    latent: Tensor,
    k_rope: Tensor,
    up: UpProjection,
    mask: AttentionMask,
    scale: float,
    chosen: Tensor | None = None,
) -> Tensor:
    """Softmax attention with keys ``[W_UK c | k_rope]`` and values ``W_UV c``; head ``h`` reads head ``h // (H / K)``.

    Args:
        q: ``[B, Tq, H, nope + rope]``, the rotated channels last.
        latent: ``c [B, Tk, R]``.
        k_rope: ``[B, Tk, 1, rope]``, rotated, one head for all.
        up: what expands a latent to K heads.
        mask: who sees whom; a query that sees nothing gets zeros.
        scale: multiplies the scores.
        chosen: places of keys ``[B, Tq, n]`` that a query looks at, of those that the mask allows; None for all.

    Returns:
        ``[B, Tq, H, v]`` in the type of ``q``, or in that of autocast. Source: DeepSeek-V2, arXiv 2405.04434,
        section 2.1.
    """
    by_rule = "absorbed" if q.shape[1] == 1 else "expanded"
    if few_rows.takes(q, latent, k_rope, up, mask):
        by_rule = "few_rows"
    path = choose("latent_attention", by_rule)
    if chosen is None:
        return PATHS[path](q, latent, k_rope, up, mask, scale)
    if path == "few_rows":
        return few_rows.latent_attention(q, latent, k_rope, up, mask, scale, chosen)
    rows, keys, rope = q.flatten(0, 1).unsqueeze(1), gather(latent, chosen), gather(k_rope, chosen)
    y = PATHS[path](rows, keys, rope, up, gathered_mask(mask, chosen), scale)
    return y.squeeze(1).unflatten(0, q.shape[:2])
