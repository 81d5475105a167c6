"""Normalisation modules."""

import torch
from torch import Tensor, nn

from lab.kernels.gated_rms_norm import gated_rms_norm
from lab.kernels.rms_norm import rms_norm


class RMSNorm(nn.Module):
    """``weight * x / sqrt(mean(x^2) + eps)`` over the last axis, statistics in float32 (arXiv 1910.07467)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """``[..., width] -> [..., width]``."""
        return rms_norm(x, self.weight, self.eps)


class GatedRMSNorm(RMSNorm):
    """RMSNorm gated by itself through ``rank`` channels (A.X K2, arXiv 2608.30181; idea of arXiv 2601.22966).

    ``y = norm(x)``; ``y * sigmoid(W_up silu(W_down y))``, the product in float32 and cast back.
    """

    def __init__(self, width: int, eps: float, rank: int) -> None:
        super().__init__(width, eps)
        self.down = nn.Linear(width, rank, bias=False)
        self.up = nn.Linear(rank, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """``[..., width] -> [..., width]``."""
        return gated_rms_norm(x, self.weight, self.eps, self.down.weight, self.up.weight)
