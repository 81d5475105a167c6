"""Streams read and mixed in C++, one pass forward and one back. Float32."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lab.kernels import cpp
from lab.kernels.cpp import cpp_function

_read_forward = cpp_function(__file__, "stream_read_forward", "ppplll")
_read_backward = cpp_function(__file__, "stream_read_backward", "ppppplll")
_mix_forward = cpp_function(__file__, "stream_mix_forward", "ppppplll")
_mix_backward = cpp_function(__file__, "stream_mix_backward", "ppppppppplll")


def takes(x: Tensor, *others: Tensor) -> bool:
    """Whether this path is for these: all float32 with the tokens of ``x``, on a CPU with a compiler."""
    return (
        x.dtype == torch.float32
        and x.numel() > 0
        and all(other.shape[: x.dim() - 2] == x.shape[:-2] for other in others)
        and cpp.takes(x, *others)
    )


def read_streams(x: Tensor, weight: Tensor) -> Tensor:
    """Shapes as in the package."""
    x, weight = x.contiguous(), weight.contiguous()
    return _Read.apply(x, weight) if torch.is_grad_enabled() else _read(x, weight)


def mix_streams(x: Tensor, mixing: Tensor, y: Tensor, share: Tensor) -> Tensor:
    """Shapes as in the package."""
    inputs = (x.contiguous(), mixing.contiguous(), y.contiguous(), share.contiguous())
    return _Mix.apply(*inputs) if torch.is_grad_enabled() else _mix(*inputs)


def _sizes(x: Tensor) -> tuple[int, int, int]:
    """Tokens, streams and their width."""
    streams, width = x.shape[-2:]
    return x.numel() // (streams * width), streams, width


def _read(x: Tensor, weight: Tensor) -> Tensor:
    u = torch.empty_like(x[..., 0, :], memory_format=torch.contiguous_format)
    _read_forward(x, weight, u, *_sizes(x))
    return u


def _mix(x: Tensor, mixing: Tensor, y: Tensor, share: Tensor) -> Tensor:
    mixed = torch.empty_like(x)
    _mix_forward(x, mixing, y, share, mixed, *_sizes(x))
    return mixed


class _Read(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _read(x, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_u: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        grad_x, grad_weight = torch.empty_like(x), torch.empty_like(weight)
        _read_backward(grad_u.contiguous(), x, weight, grad_x, grad_weight, *_sizes(x))
        return grad_x, grad_weight


class _Mix(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, mixing: Tensor, y: Tensor, share: Tensor) -> Tensor:
        ctx.save_for_backward(x, mixing, y, share)
        return _mix(x, mixing, y, share)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        inputs = ctx.saved_tensors
        gradients = tuple(torch.empty_like(tensor) for tensor in inputs)
        _mix_backward(grad.contiguous(), *inputs, *gradients, *_sizes(inputs[0]))
        return gradients
