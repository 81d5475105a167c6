"""Sparse attention: an index scores all keys, each query reads the best few."""

from torch import Tensor

from lab.kernels.attention import AttentionMask
from lab.kernels.registry import choose
from lab.kernels.sparse_attention import gathered, masked, naive
from lab.kernels.sparse_attention.gathered import gather, gathered_mask
from lab.kernels.sparse_attention.selection import Selection, index_scores, select

__all__ = ["Selection", "gather", "gathered_mask", "index_scores", "select", "sparse_attention"]

PATHS = {
    "naive": naive.sparse_attention,
    "masked": masked.sparse_attention,
    "gathered": gathered.sparse_attention,
}


def sparse_attention(
    q: Tensor, k: Tensor, v: Tensor, mask: AttentionMask, selection: Selection, scale: float
) -> Tensor:
    """Softmax attention over the selected keys; query head ``h`` reads key head ``h // (H / K)``.

    Args:
        q: ``[B, Tq, H, d]``.
        k: ``[B, Tk, K, d]``.
        v: ``[B, Tk, K, e]``.
        mask: who may see whom; ``selection`` was made among these.
        selection: the keys that each query reads, the same for all heads.
        scale: multiplies the scores.

    Returns:
        ``[B, Tq, H, e]`` in the type of ``q``, or in that of autocast. Source: DeepSeek-V3.2; A.X K2, arXiv
        2608.30181.
    """
    path = choose("sparse_attention", "gathered" if q.shape[1] == 1 else "masked")
    return PATHS[path](q, k, v, mask, selection, scale)
