"""The norm by its operator, the gate's products by torch's linear."""

import torch
from torch import Tensor
from torch.nn import functional

from lab.kernels.precision import widen
from lab.kernels.rms_norm import rms_norm


def gated_rms_norm(x: Tensor, weight: Tensor, eps: float, down: Tensor, up: Tensor) -> Tensor:
    """Shapes as in the package."""
    y = rms_norm(x, weight, eps)
    gate = torch.sigmoid(widen(functional.linear(functional.silu(functional.linear(y, down)), up)))
    return (widen(y) * gate).to(y.dtype)
