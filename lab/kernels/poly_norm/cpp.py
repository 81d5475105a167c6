"""PolyNorm in C++: a row is read once forward and once back, and keeps three numbers beside its inputs."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lab.kernels import cpp
from lab.kernels.cpp import rows_of

_forward = cpp.cpp_functions(__file__, "poly_norm_forward", "pppppp" + "lllll" + "d")
_backward = cpp.cpp_functions(__file__, "poly_norm_backward", "ppppppppp" + "llllll")


def takes(gate: Tensor, up: Tensor, weight: Tensor, bias: Tensor) -> bool:
    """Whether this path is for these: types it knows, coefficients of all rows or of each."""
    rows = weight.shape[:-1]
    return (
        gate.shape == up.shape
        and rows == bias.shape[:-1]
        and (not rows or rows == gate.shape[:-1])
        and weight.dtype in cpp.KNOWN
        and cpp.takes(gate, up)
    )


def poly_norm(gate: Tensor, up: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Shapes as in the package."""
    weight, bias = weight.float().contiguous(), bias.float().contiguous()
    if torch.is_grad_enabled():
        return _PolyNorm.apply(gate, up, weight, bias, eps)
    return _activated(gate, up, weight, bias, eps)[0]


def _activated(gate: Tensor, up: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """The result, and three inverse norms a row."""
    y = torch.empty_like(gate, memory_format=torch.contiguous_format)
    width = gate.shape[-1]
    inverse = torch.empty(y.numel() // max(width, 1), 3)
    (gate, between), (up, up_stride) = rows_of(gate), rows_of(up)
    sizes = (inverse.shape[0], width, between, up_stride, int(weight.dim() > 1))
    _forward[y.dtype](gate, up, weight, bias, y, inverse, *sizes, eps)
    return y, inverse


class _PolyNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        y, inverse = _activated(gate, up, weight, bias, eps)
        ctx.save_for_backward(gate, up, weight, bias, inverse)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, None]:
        gate, up, weight, bias, inverse = ctx.saved_tensors
        grad_gate = torch.empty_like(gate, memory_format=torch.contiguous_format)
        grad_up = torch.empty_like(grad_gate)
        rows, width = inverse.shape[0], gate.shape[-1]
        (grad_y, *strides), (gate, *gate_stride), (up, *up_stride) = map(rows_of, (grad_y, gate, up))
        sums = torch.empty(rows, 4)
        _backward[gate.dtype](
            *(grad_y, gate, up, weight, bias, inverse, grad_gate, grad_up, sums),
            *(rows, width, *strides, *gate_stride, *up_stride, int(weight.dim() > 1)),
        )
        if weight.dim() == 1:
            sums = sums.sum(0, dtype=torch.float64).float()
        grad_weight, grad_bias = sums[..., :3], sums[..., 3:]
        return grad_gate, grad_up, grad_weight.reshape(weight.shape), grad_bias.reshape(bias.shape), None
