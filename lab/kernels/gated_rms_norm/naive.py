"""The gated norm as written, in float32 from end to end."""

import torch
from torch import Tensor

from lab.kernels.precision import widen, without_autocast
from lab.kernels.rms_norm import naive


def gated_rms_norm(x: Tensor, weight: Tensor, eps: float, down: Tensor, up: Tensor) -> Tensor:
    """Shapes as in the package."""
    with without_autocast(x):
        y = naive.rms_norm(widen(x), widen(weight), eps)
        inner = y @ widen(down).T
        gate = torch.sigmoid((inner * torch.sigmoid(inner)) @ widen(up).T)
        return (y * gate).to(x.dtype)
