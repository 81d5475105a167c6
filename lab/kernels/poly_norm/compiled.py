"""The equation, compiled; rows of any number of axes are one axis to it, so that one form serves them all."""

from torch import Tensor

from lab.kernels.compilation import compiled
from lab.kernels.poly_norm import naive

_of_rows = compiled(naive.poly_norm)


def poly_norm(gate: Tensor, up: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Shapes as in the package."""
    gate_rows, up_rows = gate.reshape(-1, gate.shape[-1]), up.reshape(-1, up.shape[-1])
    if weight.dim() > 1:
        weight, bias = weight.reshape(-1, weight.shape[-1]), bias.reshape(-1, bias.shape[-1])
    return _of_rows(gate_rows, up_rows, weight, bias, eps).reshape(gate.shape)
