"""All matrices of a shape in one batched product a step, and the polynomial taken on the smaller side."""

import torch
from torch import Tensor

from lab.kernels.newton_schulz.naive import CUBIC, LINEAR, QUINTIC, SMALLEST_NORM


def normalised(stack: Tensor) -> Tensor:
    """Every matrix divided by its Frobenius norm."""
    return stack / torch.linalg.matrix_norm(stack, keepdim=True).clamp(min=SMALLEST_NORM)


def newton_schulz(stack: Tensor, steps: int, precision: str = "float32") -> Tensor:
    """``G = X X^T;  X <- a X + (b G + c G^2) X``; shapes as in the package."""
    x = normalised(stack)
    if precision == "bfloat16":
        x = x.bfloat16()
    for _ in range(steps):
        gram = x @ x.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=CUBIC, alpha=QUINTIC)
        x = torch.baddbmm(x, polynomial, x, beta=LINEAR)
    return x.to(stack.dtype)
