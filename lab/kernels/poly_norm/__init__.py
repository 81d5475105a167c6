"""The gated PolyNorm activation."""

from torch import Tensor

from lab.kernels.poly_norm import compiled, cpp, fused, naive
from lab.kernels.registry import choose
from lab.kernels.triton_support import at_first_call

PATHS = {
    "naive": naive.poly_norm,
    "fused": fused.poly_norm,
    "cpp": cpp.poly_norm,
    "compiled": compiled.poly_norm,
    "triton": at_first_call("poly_norm", "poly_norm"),
}


def poly_norm(gate: Tensor, up: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """``PolyNorm(gate) * up`` with ``PolyNorm(x) = w0 N(x^3) + w1 N(x^2) + w2 N(x) + b``, float32 inside.

    ``N(z) = z / sqrt(mean(z^2) + eps)`` over the last axis.

    Args:
        gate: ``[..., F]``.
        up: ``[..., F]``.
        weight: ``[3]`` or a row each ``[..., 3]``: cubic, square, linear.
        bias: ``[1]`` or ``[..., 1]``.
        eps: added to each mean.

    Returns:
        ``[..., F]`` in the type of ``gate``.
    """
    by_rule = "cpp" if cpp.takes(gate, up, weight, bias) else "fused"
    return PATHS[choose("poly_norm", by_rule)](gate, up, weight, bias, eps)
