"""Kimi delta: a delta rule whose state decays by channel."""

from torch import Tensor

from lab.kernels.kimi_delta import chunked, naive
from lab.kernels.registry import choose

__all__ = ["kimi_delta"]

PATHS = {"naive": naive.kimi_delta, "chunked": chunked.kimi_delta}


def kimi_delta(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor,
    beta: Tensor,
    initial_state: Tensor | None = None,
    documents: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """``S_t = (I - beta_t k_t k_t^T) diag(e^{g_t}) S_{t-1} + beta_t k_t v_t^T``, ``o_t = S_t^T q_t``.

    Per head the state decays, then the write replaces what it held under the key, then the query reads.

    Args:
        q: queries, already scaled, ``[B, T, H, d]``.
        k: keys, usually of unit length, ``[B, T, H, d]``.
        v: values ``[B, T, H, e]``.
        g: logarithm of the decay, at most 0, ``[B, T, H, d]``.
        beta: write strength in [0, 2], ``[B, T, H]``.
        initial_state: ``[B, H, d, e]``; None for zeros. It belongs to the first token's document.
        documents: ``[B, T]``; the state starts from zero in each document.

    Returns:
        ``o [B, T, H, e]`` in the type of ``v`` and the last state ``[B, H, d, e]``, float32 (float64 for
        float64). Source: Kimi Linear, arXiv 2510.26692; Solar Open 2, arXiv 2607.20062.
    """
    path = choose("kimi_delta", "naive" if q.shape[1] == 1 else "chunked")
    return PATHS[path](q, k, v, g, beta, initial_state, documents)
