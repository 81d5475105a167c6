"""The SwiGLU activation."""

from torch import Tensor

from lab.kernels.registry import choose
from lab.kernels.swiglu import compiled, cpp, library, naive
from lab.kernels.triton_support import at_first_call

__all__ = ["swiglu"]

PATHS = {
    "naive": naive.swiglu,
    "library": library.swiglu,
    "cpp": cpp.swiglu,
    "compiled": compiled.swiglu,
    "triton": at_first_call("swiglu", "swiglu"),
}


def swiglu(gate: Tensor, up: Tensor) -> Tensor:
    """``silu(gate) * up`` for two tensors of one shape and type, the result too (arXiv 2002.05202)."""
    return PATHS[choose("swiglu", "cpp" if cpp.takes(gate, up) else "library")](gate, up)
