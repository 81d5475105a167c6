"""Rotary position embedding as written (RoFormer, arXiv 2104.09864), half-split layout."""

import torch
from torch import Tensor

from lab.kernels.precision import widen


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn channels ``(i, i + d/2)`` of ``x [B, T, H, d]`` by angle ``i`` of ``[B, T, d/2]``."""
    first, second = widen(x).chunk(2, dim=-1)
    cos, sin = cos.unsqueeze(2), sin.unsqueeze(2)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1).to(x.dtype)
