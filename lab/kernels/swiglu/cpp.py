"""SwiGLU in C++: one pass forward, one back; only the inputs are kept."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lab.kernels import cpp
from lab.kernels.cpp import rows_of

_forward = cpp.cpp_functions(__file__, "swiglu_forward", "pppllll")
_backward = cpp.cpp_functions(__file__, "swiglu_backward", "ppppp" + "llllll")


SMALLEST = 1 << 13
"""Numbers below which two calls of the library take less time."""


def takes(gate: Tensor, up: Tensor) -> bool:
    """Whether this path is for these: two of one shape, not small, in a type it knows."""
    return gate.numel() >= SMALLEST and gate.shape == up.shape and cpp.takes(gate, up)


def swiglu(gate: Tensor, up: Tensor) -> Tensor:
    """Shapes as in the package."""
    if torch.is_grad_enabled() and (gate.requires_grad or up.requires_grad):
        return _SwiGLU.apply(gate, up)
    return _activated(gate, up)


def _activated(gate: Tensor, up: Tensor) -> Tensor:
    y = torch.empty_like(gate, memory_format=torch.contiguous_format)
    width = gate.shape[-1]
    gate, gate_stride = rows_of(gate)
    up, up_stride = rows_of(up)
    _forward[y.dtype](gate, up, y, y.numel() // max(width, 1), width, gate_stride, up_stride)
    return y


class _SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        ctx.save_for_backward(gate, up)
        return _activated(gate, up)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor, Tensor]:
        gate, up = ctx.saved_tensors
        grad_gate = torch.empty_like(gate, memory_format=torch.contiguous_format)
        grad_up = torch.empty_like(grad_gate)
        width = gate.shape[-1]
        (grad_y, *between), (gate, *gate_stride), (up, *up_stride) = map(rows_of, (grad_y, gate, up))
        rows = grad_up.numel() // max(width, 1)
        strides = (*between, *gate_stride, *up_stride, width)
        _backward[gate.dtype](grad_y, gate, up, grad_gate, grad_up, rows, width, *strides)
        return grad_gate, grad_up
