"""Sinkhorn: a matrix made doubly stochastic."""

from torch import Tensor

from lab.kernels.registry import choose
from lab.kernels.sinkhorn import compiled, cpp, naive

__all__ = ["sinkhorn"]

PATHS = {"naive": naive.sinkhorn, "cpp": cpp.sinkhorn, "compiled": compiled.sinkhorn}


def sinkhorn(logits: Tensor, iterations: int) -> Tensor:
    """``exp(logits)`` with rows, then columns, divided by their sums, ``iterations`` times.

    Args:
        logits: ``[..., S, S]``, bounded by the caller so that the exponential stays finite.
        iterations: rounds; columns sum to one exactly, rows nearly.

    Returns:
        ``[..., S, S]``, float32 (float64 for float64 logits). Source: Motif 3, arXiv 2608.09119; mHC, arXiv
        2512.24880.
    """
    return PATHS[choose("sinkhorn", "cpp" if cpp.takes(logits) else "naive")](logits, iterations)
