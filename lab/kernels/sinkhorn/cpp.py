"""All rounds of sixteen matrices at once, in C++; only the logits are kept."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lab.kernels import cpp
from lab.kernels.cpp import cpp_function

_forward = cpp_function(__file__, "sinkhorn_forward", "pplll")
_backward = cpp_function(__file__, "sinkhorn_backward", "ppplll")


def takes(logits: Tensor) -> bool:
    """Whether this path is for these: float32 on a CPU with a compiler."""
    return logits.dtype == torch.float32 and cpp.takes(logits)


def sinkhorn(logits: Tensor, iterations: int) -> Tensor:
    """See :func:`lab.kernels.sinkhorn.sinkhorn`."""
    logits = logits.contiguous()
    if torch.is_grad_enabled() and logits.requires_grad:
        return _Sinkhorn.apply(logits, iterations)
    return _balanced(logits, iterations)


def _balanced(logits: Tensor, iterations: int) -> Tensor:
    result, size = torch.empty_like(logits), logits.shape[-1]
    _forward(logits, result, result.numel() // max(size * size, 1), size, iterations)
    return result


class _Sinkhorn(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, iterations: int) -> Tensor:
        ctx.save_for_backward(logits)
        ctx.iterations = iterations
        return _balanced(logits, iterations)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_result: Tensor) -> tuple[Tensor, None]:
        (logits,) = ctx.saved_tensors
        grad_logits, size = torch.empty_like(logits), logits.shape[-1]
        number = logits.numel() // max(size * size, 1)
        _backward(grad_result.contiguous(), logits, grad_logits, number, size, ctx.iterations)
        return grad_logits, None
