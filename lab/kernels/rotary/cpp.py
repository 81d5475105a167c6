"""Rotation in C++, one pass; heads may lie apart, as those of a slice do. Its gradient is the opposite rotation."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lab.kernels import cpp

_rotate = cpp.cpp_functions(__file__, "rotate", "pppplllllll" + "d")


def takes(x: Tensor, cos: Tensor, sin: Tensor) -> bool:
    """Whether this path is for these: types it knows, and a table of float32 for every token."""
    return cos.dtype == torch.float32 == sin.dtype and cos.shape[:2] == x.shape[:2] and cpp.takes(x)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Shapes as in the package."""
    cos, sin = cos.contiguous(), sin.contiguous()
    if torch.is_grad_enabled() and x.requires_grad:
        return _Rotate.apply(x, cos, sin)
    return _rotated(x, cos, sin, 1.0)


class _Rotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _rotated(x, cos, sin, 1.0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _rotated(grad_y, cos, sin, -1.0), None, None


def _rotated(x: Tensor, cos: Tensor, sin: Tensor, direction: float) -> Tensor:
    batch, length, heads, dim = x.shape
    *strides, last = x.stride()
    if last != 1:
        x = x.contiguous()
        strides = list(x.stride()[:3])
    y = torch.empty_like(x, memory_format=torch.contiguous_format)
    _rotate[x.dtype](x, cos, sin, y, batch, length, heads, dim // 2, *strides, direction)
    return y
