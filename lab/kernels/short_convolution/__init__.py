"""Short causal convolution along time, one filter a channel."""

from torch import Tensor

from lab.kernels.registry import choose
from lab.kernels.short_convolution import compiled, naive, shifted

__all__ = ["short_convolution"]

PATHS = {
    "naive": naive.short_convolution,
    "shifted": shifted.short_convolution,
    "compiled": compiled.short_convolution,
}


def short_convolution(
    x: Tensor, weight: Tensor, tail: Tensor | None = None, documents: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """``y_t[c] = sum_j weight[c, j] x_{t - w + 1 + j}[c]``; the last weight meets the current token.

    Args:
        x: ``[B, T, C]``.
        weight: ``[C, w]``.
        tail: the ``w - 1`` inputs before ``x``, ``[B, w - 1, C]``; None for zeros.
        documents: ``[B, T]``; inputs of another document count as zero. The tail is of the first token's.

    Returns:
        ``y [B, T, C]`` and the last ``w - 1`` inputs ``[B, w - 1, C]``. Source: Solar Open 2, arXiv
        2607.20062; Kimi Linear, arXiv 2510.26692.
    """
    return PATHS[choose("short_convolution", "shifted")](x, weight, tail, documents)
