"""RMSNorm as written (arXiv 1910.07467), in the order of the released Llama code."""

from torch import Tensor

from lab.kernels.precision import widen


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """``weight * cast(x / sqrt(mean(x^2) + eps))`` over the last axis of ``x [..., D]``; ``weight [D]``."""
    wide = widen(x)
    normalised = wide / (wide.square().mean(-1, keepdim=True) + eps).sqrt()
    return weight * normalised.to(x.dtype)
