"""How a branch is joined to the residual stream."""

from dataclasses import dataclass
from typing import Any

from lab.model.leaves.base import Leaf, load
from lab.model.leaves.norm import NormConfig


@dataclass
class ResidualConfig(Leaf):
    """A join turns a branch ``F: [B, T, D] -> [B, T, D]`` into a step of the residual stream.

    ``site`` is ``attention``, ``dense`` or ``experts``: the branch that is joined.
    """

    def num_params(self, width: int, site: str, norm: NormConfig) -> int:
        """Parameters of one join, norms included."""
        raise NotImplementedError

    def build(self, width: int, site: str, norm: NormConfig) -> Any:
        """A module ``join(x, branch) -> (x, record)``."""
        raise NotImplementedError


@dataclass
class PreNorm(ResidualConfig):
    """``x + F(norm(x))``."""

    def num_params(self, width: int, site: str, norm: NormConfig) -> int:
        return norm.num_params(width, site)

    def build(self, width: int, site: str, norm: NormConfig) -> Any:
        return load("lab.model.residual:PreNormJoin")(norm.build(width, site))


@dataclass
class DualNorm(PreNorm):
    """``x + norm(F(norm(x)))`` around experts, plain pre-norm elsewhere (A.X K1 report, arXiv 2601.09200).

    The second norm covers the sum of routed and shared experts, inside the branch.
    """

    def num_params(self, width: int, site: str, norm: NormConfig) -> int:
        return super().num_params(width, site, norm) + (norm.num_params(width, "inner") if site == "experts" else 0)

    def build(self, width: int, site: str, norm: NormConfig) -> Any:
        if site != "experts":
            return super().build(width, site, norm)
        return load("lab.model.residual:DualNormJoin")(norm.build(width, site), norm.build(width, "inner"))
