"""The iteration as written."""

from torch import Tensor

from lab.kernels.precision import widen

SMALLEST_SUM = 1e-8


def sinkhorn(logits: Tensor, iterations: int) -> Tensor:
    """See :func:`lab.kernels.sinkhorn.sinkhorn`."""
    matrix = widen(logits).exp()
    for _ in range(iterations):
        matrix = matrix / matrix.sum(-1, keepdim=True).clamp(min=SMALLEST_SUM)
        matrix = matrix / matrix.sum(-2, keepdim=True).clamp(min=SMALLEST_SUM)
    return matrix
