"""SwiGLU as written (arXiv 2002.05202), in float32."""

import torch
from torch import Tensor

from lab.kernels.precision import widen


def swiglu(gate: Tensor, up: Tensor) -> Tensor:
    """``gate sigmoid(gate) up``; shapes as in the package."""
    wide = widen(gate)
    return (wide * torch.sigmoid(wide) * widen(up)).to(gate.dtype)
