"""RMSNorm in C++: a row is read once, and keeps one number beside its input for the way back."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lab.kernels.cpp import can_build, cpp_function

VARIANTS = {
    (torch.float32, torch.float32): "float32",
    (torch.bfloat16, torch.bfloat16): "bfloat16",
    (torch.bfloat16, torch.float32): "mixed",
}
"""Types of input and weight -> the name of the functions for them."""

_forward: dict[str, Callable[..., None]] = {
    name: cpp_function(__file__, f"rms_norm_forward_{name}", "pppplld") for name in VARIANTS.values()
}
_backward: dict[str, Callable[..., None]] = {
    name: cpp_function(__file__, f"rms_norm_backward_{name}", "ppppppll") for name in VARIANTS.values()
}


def takes(x: Tensor, weight: Tensor) -> bool:
    """Whether this path is for these: on a CPU, in types it knows, and with a compiler at hand."""
    return x.device.type == "cpu" and (x.dtype, weight.dtype) in VARIANTS and can_build()


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Shapes as in the package."""
    if not torch.is_grad_enabled():
        return _normalised(x.contiguous(), weight, eps)[0]
    return _RMSNorm.apply(x, weight, eps)


def _normalised(x: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """The result, and the inverse root mean square of each row; ``x`` is contiguous."""
    width = x.shape[-1]
    y = torch.empty(x.shape, dtype=weight.dtype)
    inverse = torch.empty(x.shape[:-1])
    _forward[VARIANTS[x.dtype, weight.dtype]](x, weight, y, inverse, inverse.numel(), width, eps)
    return y, inverse


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        x = x.contiguous()
        y, inverse = _normalised(x, weight, eps)
        ctx.save_for_backward(x, weight, inverse)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight, inverse = ctx.saved_tensors
        grad_x = torch.empty_like(x)
        grad_weight = torch.empty(weight.shape, dtype=torch.float64)
        _backward[VARIANTS[x.dtype, weight.dtype]](
            grad_y.contiguous(), x, weight, inverse, grad_x, grad_weight, inverse.numel(), x.shape[-1]
        )
        return grad_x, grad_weight.to(weight.dtype), None
