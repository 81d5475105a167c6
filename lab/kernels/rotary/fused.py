"""Rotation written half by half into its result; its gradient is the rotation by the opposite angle."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lab.kernels.precision import widen


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Shapes as in the package."""
    return _Rotate.apply(x, cos.unsqueeze(2), sin.unsqueeze(2))


class _Rotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _rotated(x, cos, sin, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _rotated(grad_y, cos, sin, -1), None, None


def _rotated(x: Tensor, cos: Tensor, sin: Tensor, direction: int) -> Tensor:
    wide = widen(x)
    first, second = wide.chunk(2, dim=-1)
    y = torch.empty(x.shape, dtype=wide.dtype, device=x.device)
    y_first, y_second = y.chunk(2, dim=-1)
    torch.mul(first, cos, out=y_first).addcmul_(second, sin, value=-direction)
    torch.mul(second, cos, out=y_second).addcmul_(first, sin, value=direction)
    return y.to(x.dtype)
