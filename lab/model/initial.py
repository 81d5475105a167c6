"""How weights start: matrices alike, and what a branch writes to the residual stream smaller at first."""

from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class InitialSpread:
    """``std`` is the standard deviation of matrices; a branch's last map starts ``branch_scale`` times smaller.

    Where a norm stands behind a branch, it decides how large the branch is: then its weight starts at
    ``branch_scale``. Such a norm, or one over the heads (grouped differential attention), would otherwise fill
    the residual stream with noise far larger than the embedding before anything is learnt.
    """

    std: float
    branch_scale: float

    @property
    def branch_std(self) -> float:
        """Standard deviation of a branch's last map."""
        return self.std * self.branch_scale


class BranchOutput(nn.Linear):
    """The last map ``[.., channels] -> [.., D]`` of a branch, whose result is added to the residual stream."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(channels, width, bias=False)

    def initialise(self, generator: torch.Generator, spread: InitialSpread) -> None:
        """N(0, branch_std^2)."""
        nn.init.normal_(self.weight, std=spread.branch_std, generator=generator)
