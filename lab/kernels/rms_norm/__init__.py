"""Root-mean-square normalisation."""

from torch import Tensor

from lab.kernels.registry import choose
from lab.kernels.rms_norm import compiled, cpp, fused, naive
from lab.kernels.triton_support import at_first_call

PATHS = {
    "naive": naive.rms_norm,
    "fused": fused.rms_norm,
    "cpp": cpp.rms_norm,
    "compiled": compiled.rms_norm,
    "triton": at_first_call("rms_norm", "rms_norm"),
}


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Normalise ``x [..., D]`` over its last axis and scale by ``weight [D]``.

    Statistics are float32; the result is cast to the type of ``x`` *before* it is multiplied by ``weight``.
    """
    return PATHS[choose("rms_norm", "cpp" if cpp.takes(x, weight) else "fused")](x, weight, eps)
