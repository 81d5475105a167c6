"""The iteration on the Gram matrix, for matrices much wider than high: the wide side is met twice, not every step."""

import torch
from torch import Tensor

from lab.kernels.newton_schulz.batched import normalised
from lab.kernels.newton_schulz.naive import CUBIC, LINEAR, QUINTIC

STEPS_ON_GRAM = 5
"""Rounding errors of G grow by ``a^2`` a step, to a few thousandths in so many; then G is taken from X again."""


def newton_schulz(stack: Tensor, steps: int, precision: str = "float32") -> Tensor:
    """Equations (3) to (5) of the README; always float32, whatever ``precision`` says."""
    assert steps > 0
    x = normalised(stack)
    for done in range(0, steps, STEPS_ON_GRAM):
        x = _product(x @ x.mT, min(STEPS_ON_GRAM, steps - done)) @ x
    return x


def _product(gram: Tensor, steps: int) -> Tensor:
    """The product of the polynomials of ``steps`` iterations."""
    product = None
    for step in range(steps):
        polynomial = torch.baddbmm(gram, gram, gram, beta=CUBIC, alpha=QUINTIC)
        polynomial.diagonal(dim1=1, dim2=2).add_(LINEAR)
        product = polynomial if product is None else polynomial @ product
        if step + 1 < steps:
            gram = polynomial @ gram @ polynomial
    assert product is not None
    return product
