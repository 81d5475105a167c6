"""Root-mean-square normalisation."""

from torch import Tensor

from lab.kernels.rms_norm import naive


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Normalise ``x [..., D]`` over its last axis and scale by ``weight [D]``.

    Statistics are float32; the result is cast to the type of ``x`` *before* it is multiplied by ``weight``.
    """
    return naive.rms_norm(x, weight, eps)
