"""PolyNorm as a cubic whose coefficients depend on the row, with its gradient written out.

Equation numbers are those of the README.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lab.kernels.precision import widen


def poly_norm(gate: Tensor, up: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Shapes as in the package."""
    return _PolyNorm.apply(gate, up, weight, bias, eps)


class _PolyNorm(torch.autograd.Function):
    """Keeps its inputs and three numbers a row."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        x = widen(gate)
        square = x * x
        norms = [torch.linalg.vector_norm(z, dim=-1) for z in (square * x, square, x)]
        inverse = torch.stack(norms, dim=-1).square_().div_(x.shape[-1]).add_(eps).rsqrt_()  # (1)
        cubic, quadratic, linear = (widen(weight) * inverse).split(1, dim=-1)
        value = _quadratic(x, cubic, quadratic, linear).mul_(x).add_(widen(bias))  # (2)
        ctx.save_for_backward(gate, up, weight, bias, inverse)
        return value.mul_(widen(up)).to(gate.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, None]:
        gate, up, weight, bias, inverse = ctx.saved_tensors
        x, grad_y = widen(gate), widen(grad_y)
        coefficients = widen(weight) * inverse
        cubic, quadratic, linear = coefficients.split(1, dim=-1)
        grad_up = _quadratic(x, cubic, quadratic, linear).mul_(x).add_(widen(bias)).mul_(grad_y)

        grad_value = grad_y * widen(up)
        square, moment = x * x, grad_value * x
        first, second = moment.sum(-1), (moment * x).sum(-1)
        third = moment.mul_(square).sum(-1)
        moments = torch.stack([third, second, first], dim=-1)
        grad_weight = inverse * moments  # (3)

        pull_3, pull_2, pull_1 = (coefficients * inverse * grad_weight / x.shape[-1]).split(1, dim=-1)
        grad_x = _quadratic(x, 3 * cubic, 2 * quadratic, linear).mul_(grad_value)
        grad_x -= _quadratic(square, 3 * pull_3, 2 * pull_2, pull_1).mul_(x)  # (4)
        grad_bias = grad_value.sum(-1, keepdim=True)
        return (
            grad_x.to(gate.dtype),
            grad_up.to(up.dtype),
            grad_weight.sum_to_size(weight.shape).to(weight.dtype),
            grad_bias.sum_to_size(bias.shape).to(bias.dtype),
            None,
        )


def _quadratic(x: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """``a x^2 + b x + c`` for ``x [..., F]`` and coefficients ``[..., 1]``."""
    return (x * a).add_(b).mul_(x).add_(c)
