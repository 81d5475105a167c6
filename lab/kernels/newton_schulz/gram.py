"""The iteration on the Gram matrix, for matrices much wider than high: the wide side is met twice, not every step."""

import torch
from torch import Tensor

from lab.kernels.newton_schulz.batched import normalised
from lab.kernels.newton_schulz.naive import CUBIC, LINEAR, QUINTIC


def newton_schulz(stack: Tensor, steps: int, precision: str = "float32") -> Tensor:
    """Equations (3) to (5) of the README; always float32, as rounding errors of G grow by ``a^2`` a step."""
    x = normalised(stack)
    gram = x @ x.mT
    product = None
    for step in range(steps):
        polynomial = torch.baddbmm(gram, gram, gram, beta=CUBIC, alpha=QUINTIC)
        polynomial.diagonal(dim1=1, dim2=2).add_(LINEAR)
        product = polynomial if product is None else polynomial @ product
        if step + 1 < steps:
            gram = polynomial @ gram @ polynomial
    assert product is not None, "steps must be at least 1"
    return product @ x
