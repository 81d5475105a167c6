"""Joins: how a branch is added to the residual stream."""

from collections.abc import Callable

from torch import Tensor, nn

from lab.model.record import Record

Branch = Callable[[Tensor], tuple[Tensor, Record]]


class PreNormJoin(nn.Module):
    """``x + F(norm(x))``."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor, branch: Branch) -> tuple[Tensor, Record]:
        """``x [B, T, D]`` and what the branch recorded."""
        y, record = branch(self.norm(x))
        return x + y, record


class DualNormJoin(nn.Module):
    """``x + post_norm(F(norm(x)))``."""

    def __init__(self, norm: nn.Module, post_norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm
        self.post_norm = post_norm

    def forward(self, x: Tensor, branch: Branch) -> tuple[Tensor, Record]:
        """``x [B, T, D]`` and what the branch recorded."""
        y, record = branch(self.norm(x))
        return x + self.post_norm(y), record
