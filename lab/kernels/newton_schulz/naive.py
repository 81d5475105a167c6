"""The iteration as written, one matrix after the other."""

import torch
from torch import Tensor

LINEAR, CUBIC, QUINTIC = 3.4445, -4.7750, 2.0315
"""Coefficients of one iteration ``a x + b x^3 + c x^5`` on the singular values (Jordan et al. 2024)."""

SMALLEST_NORM = 1e-7


def newton_schulz(stack: Tensor, steps: int, precision: str = "float32") -> Tensor:
    """Equations (1) and (2) of the README; in float32 (float64 for float64) whatever ``precision`` says."""
    return torch.stack([_orthogonal(matrix, steps) for matrix in stack]) if len(stack) else stack.clone()


def _orthogonal(matrix: Tensor, steps: int) -> Tensor:
    x = matrix / matrix.norm().clamp(min=SMALLEST_NORM)
    for _ in range(steps):
        x = LINEAR * x + CUBIC * (x @ x.T @ x) + QUINTIC * (x @ x.T @ x @ x.T @ x)
    return x
