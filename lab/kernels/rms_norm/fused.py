"""RMSNorm with its gradient written out: keeps one number a row beside its input.

Equation numbers are those of the README.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lab.kernels.precision import widen, without_autocast


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Shapes as in the package."""
    return _RMSNorm.apply(x, weight, eps)


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        wide = widen(x)
        norm = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
        inverse = norm.square_().div_(x.shape[-1]).add_(eps).rsqrt_()  # (1)
        ctx.save_for_backward(x, weight, inverse)
        return (wide * inverse).to(x.dtype) * weight

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight, inverse = ctx.saved_tensors
        grad_y, wide_weight = widen(grad_y), widen(weight)
        normalised = widen(x) * inverse
        product = grad_y * normalised
        grad_weight = product.sum(dim=tuple(range(x.dim() - 1)))  # (2)
        with without_autocast(x):
            along = (product @ wide_weight).unsqueeze(-1).div_(x.shape[-1])
        grad_x = (grad_y * wide_weight).addcmul_(normalised, along, value=-1).mul_(inverse)  # (3)
        return grad_x.to(x.dtype), grad_weight.to(weight.dtype), None
