"""RMSNorm gated by itself through a few channels."""

from torch import Tensor

from lab.kernels.gated_rms_norm import naive, separate
from lab.kernels.registry import choose

__all__ = ["gated_rms_norm"]

PATHS = {"naive": naive.gated_rms_norm, "separate": separate.gated_rms_norm}


def gated_rms_norm(x: Tensor, weight: Tensor, eps: float, down: Tensor, up: Tensor) -> Tensor:
    """``y = rms_norm(x)``, then ``y * sigmoid(up silu(down y))``, the gate's sigmoid and product in float32.

    Args:
        x: ``[..., D]``.
        weight: ``[D]`` of the norm.
        eps: added to the mean square.
        down: ``[rank, D]``.
        up: ``[D, rank]``.

    Returns:
        ``[..., D]`` in the type of ``y``. Source: A.X K2, arXiv 2608.30181; idea of arXiv 2601.22966.
    """
    return PATHS[choose("gated_rms_norm", "separate")](x, weight, eps, down, up)
