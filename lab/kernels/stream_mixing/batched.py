"""A small matrix product a token."""

from torch import Tensor


def read_streams(x: Tensor, weight: Tensor) -> Tensor:
    """Shapes as in the package."""
    return (weight.unsqueeze(-2) @ x).squeeze(-2)


def mix_streams(x: Tensor, mixing: Tensor, y: Tensor, share: Tensor) -> Tensor:
    """Shapes as in the package."""
    return mixing @ x + share.unsqueeze(-1) * y.unsqueeze(-2)
