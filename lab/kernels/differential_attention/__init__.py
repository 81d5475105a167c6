"""Differential attention: softmax attention of signal heads minus that of the noise head they share."""

from torch import Tensor

from lab.kernels.attention import AttentionMask
from lab.kernels.differential_attention import blocked, naive, separate
from lab.kernels.registry import choose

__all__ = ["differential_attention"]

PATHS = {
    "naive": naive.differential_attention,
    "separate": separate.differential_attention,
    "blocked": blocked.differential_attention,
}


def differential_attention(
    q: Tensor, k: Tensor, v: Tensor, noise_weight: Tensor, mask: AttentionMask, scale: float
) -> Tensor:
    """``(softmax(scale q_s k_s^T) - noise_weight softmax(scale q_n k_n^T)) v`` in each of G groups of heads.

    Args:
        q: ``[B, Tq, G, r + 1, d]``: the signal heads of a group, its noise head last.
        k: ``[B, Tk, K, c, d]``; group ``g`` reads head ``g // (G / K)``. ``c`` is 2, a key for the signal and one
            for the noise, or 1, one for both.
        v: ``[B, Tk, K, e]``, read by signal and noise alike.
        noise_weight: broadcasts to ``[B, Tq, G, r, 1]``.
        mask: who sees whom; a query that sees nothing gets zeros.
        scale: multiplies the scores.

    Returns:
        ``[B, Tq, G, r, e]`` in the type of ``q``, or in that of autocast. Source: Differential Transformer, arXiv
        2410.05258; grouped, arXiv 2510.06949; over a latent, Motif 3, arXiv 2608.09119.
    """
    return PATHS[choose("differential_attention", "separate")](q, k, v, noise_weight, mask, scale)
