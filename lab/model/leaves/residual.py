"""How a branch is joined to the residual stream."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from lab.checks import require, require_above_zero, require_at_least, require_fraction
from lab.model.leaves.base import Leaf, load
from lab.model.leaves.norm import NormConfig


@dataclass
class ResidualConfig(Leaf, ABC):
    """A join turns a branch ``F: [B, T, D] -> [B, T, D]`` into a step of the residual stream.

    ``site`` is ``attention``, ``dense`` or ``experts``: the branch that is joined.
    """

    @abstractmethod
    def num_params(self, width: int, site: str, norm: NormConfig) -> int:
        """Parameters of one join, norms included."""

    @abstractmethod
    def build(self, width: int, site: str, norm: NormConfig) -> Any:
        """A module ``join(x, branch) -> (x, record)``."""

    def flops_per_token(self, width: int, site: str, norm: NormConfig) -> float:
        """Forward FLOPs of the join's own matrices; norms are not counted."""
        return 0.0

    @property
    def num_streams(self) -> int:
        """Copies of the residual stream; with one, ``x`` is ``[B, T, D]``, with more ``[B, T, streams, D]``."""
        return 1


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
        return super().num_params(width, site, norm) + (
            norm.num_params(width, "inner") if site == "experts" else 0
        )

    def build(self, width: int, site: str, norm: NormConfig) -> Any:
        if site != "experts":
            return super().build(width, site, norm)
        return load("lab.model.residual:DualNormJoin")(norm.build(width, site), norm.build(width, "inner"))


@dataclass
class HyperConnections(ResidualConfig):
    """Manifold-constrained hyper-connections (arXiv 2512.24880; Motif 3, arXiv 2608.09119).

    ``streams`` residual streams are mixed by a matrix that ``sinkhorn_iterations`` make doubly stochastic; the branch
    reads a gated sum of them and writes to each with a gate of at most ``post_scale``. All three depend on the token.
    """

    streams: int = 4
    sinkhorn_iterations: int = 20
    post_scale: float = 1.0
    eps: float = 1e-6

    def __post_init__(self) -> None:
        require_at_least("model.residual", 1, sinkhorn_iterations=self.sinkhorn_iterations)
        require_above_zero("model.residual", post_scale=self.post_scale)
        require_fraction("model.residual", eps=self.eps)
        require(self.streams >= 2, "model.residual.streams", self.streams, "it must be at least 2")

    @property
    def num_streams(self) -> int:
        return self.streams

    def _projection(self, width: int) -> int:
        return self.streams * width * self._coefficients()

    def _coefficients(self) -> int:
        return self.streams * (2 + self.streams)

    def num_params(self, width: int, site: str, norm: NormConfig) -> int:
        mixing = self._projection(width) + self.streams * width + self._coefficients() + 3
        return mixing + norm.num_params(width, site)

    def flops_per_token(self, width: int, site: str, norm: NormConfig) -> float:
        return 2 * self._projection(width) + 2 * width * self._coefficients()

    def build(self, width: int, site: str, norm: NormConfig) -> Any:
        return load("lab.model.residual:HyperConnectionJoin")(self, width, norm.build(width, site))
