"""PolyNorm as written (PolyCom, arXiv 2411.03884; degree 3 as Motif uses it)."""

from torch import Tensor

from lab.kernels.precision import widen


def poly_norm(gate: Tensor, up: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """``(w0 N(x^3) + w1 N(x^2) + w2 N(x) + b) up`` with ``x`` the gate; shapes as in the package."""
    x = widen(gate)
    cubic, square, linear = widen(weight).split(1, dim=-1)
    value = cubic * _norm(x**3, eps) + square * _norm(x**2, eps) + linear * _norm(x, eps) + widen(bias)
    return (value * widen(up)).to(gate.dtype)


def _norm(z: Tensor, eps: float) -> Tensor:
    return z / (z.square().mean(-1, keepdim=True) + eps).sqrt()
