"""Torch's ``silu``, then a product, in the type of the inputs."""

from torch import Tensor
from torch.nn import functional


def swiglu(gate: Tensor, up: Tensor) -> Tensor:
    """Shapes as in the package."""
    return functional.silu(gate) * up
