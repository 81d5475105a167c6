"""Hyper-connections: what a branch reads of several residual streams, and how its result joins them."""

from torch import Tensor

from lab.kernels.registry import choose
from lab.kernels.stream_mixing import batched, compiled, cpp, naive

__all__ = ["mix_streams", "read_streams"]

PATHS = {"naive": naive, "batched": batched, "cpp": cpp, "compiled": compiled}


def read_streams(x: Tensor, weight: Tensor) -> Tensor:
    """``sum_i weight_i x_i``: ``x [..., S, D]``, ``weight [..., S]`` to ``[..., D]``, all float32."""
    by_rule = "cpp" if cpp.takes(x, weight) else "batched"
    return PATHS[choose("stream_mixing", by_rule)].read_streams(x, weight)


def mix_streams(x: Tensor, mixing: Tensor, y: Tensor, share: Tensor) -> Tensor:
    """``X <- H X + share y^T``: streams mixed, and a branch's result ``y`` added to each.

    Args:
        x: ``X [..., S, D]``.
        mixing: ``H [..., S, S]``.
        y: ``[..., D]``.
        share: ``[..., S]``.

    Returns:
        ``[..., S, D]``. All are float32 (or all float64). Source: mHC, arXiv 2512.24880; Motif 3, arXiv 2608.09119.
    """
    by_rule = "cpp" if cpp.takes(x, mixing, y, share) else "batched"
    return PATHS[choose("stream_mixing", by_rule)].mix_streams(x, mixing, y, share)
