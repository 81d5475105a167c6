"""Router leaves: dense layers only, or a sigmoid router over experts."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from lab.checks import require, require_above_zero, require_at_least
from lab.model.leaves.base import Leaf, load
from lab.model.leaves.feed_forward import FeedForwardConfig
from lab.model.leaves.layers import LayerPlan


@dataclass
class RouterConfig(Leaf, ABC):
    """How many experts a layer has and which of them a token visits."""

    @property
    @abstractmethod
    def has_experts(self) -> bool:
        """Whether layers past ``layers.num_dense`` are mixtures."""

    @abstractmethod
    def num_params(self, width: int, unit: FeedForwardConfig, active: bool) -> int:
        """Parameters of one mixture layer; ``active`` counts only what one token uses."""

    @abstractmethod
    def routing_params(self, width: int) -> int:
        """Of these, the parameters that choose experts."""

    @abstractmethod
    def build(self, width: int, unit: FeedForwardConfig, layer: LayerPlan) -> Any:
        """The mixture module of one layer."""


@dataclass
class NoRouter(RouterConfig):
    """A dense model: no layer is a mixture."""

    @property
    def has_experts(self) -> bool:
        return False

    def num_params(self, width: int, unit: FeedForwardConfig, active: bool) -> int:
        return 0

    def routing_params(self, width: int) -> int:
        return 0

    def build(self, width: int, unit: FeedForwardConfig, layer: LayerPlan) -> Any:
        return None


@dataclass
class SigmoidRouter(RouterConfig):
    """Top-k of sigmoid scores plus a selection bias (DeepSeek-V3, arXiv 2412.19437, section 2.1.2).

    The bias steers selection only, gets no gradient and moves by ``bias_update_rate`` against the load after each
    step; ``balance_loss_weight`` weights the sequence-wise auxiliary loss. With ``num_groups`` > 1 only experts of the
    ``num_groups_kept`` best groups (sum of their two best scores) can be chosen: the others score
    ``score_outside_groups`` (out of reach in A.X K1, 0 in A.X K2). ``routed_scaling`` multiplies the weights of
    the routed experts; ``normalise_weights`` divides them by their sum first. ``num_shared`` experts see every token.
    """

    num_experts: int
    top_k: int
    expert_width: int
    num_shared: int = 1
    num_groups: int = 1
    num_groups_kept: int = 1
    score_outside_groups: float = -1e30
    routed_scaling: float = 1.0
    normalise_weights: bool = True
    bias_update_rate: float = 1e-3
    balance_loss_weight: float = 1e-4

    def __post_init__(self) -> None:
        require_at_least(
            "model.router",
            1,
            num_experts=self.num_experts,
            top_k=self.top_k,
            expert_width=self.expert_width,
            num_groups=self.num_groups,
            num_groups_kept=self.num_groups_kept,
        )
        require_at_least(
            "model.router",
            0,
            num_shared=self.num_shared,
            bias_update_rate=self.bias_update_rate,
            balance_loss_weight=self.balance_loss_weight,
        )
        require_above_zero("model.router", routed_scaling=self.routed_scaling)
        divides = self.num_experts % self.num_groups == 0
        require(
            divides and (self.num_groups == 1 or self.num_experts // self.num_groups >= 2),
            "model.router.num_groups",
            self.num_groups,
            f"model.router.num_experts={self.num_experts} must split into equal groups of at least two",
        )
        require(
            self.num_groups_kept <= self.num_groups,
            "model.router.num_groups_kept",
            self.num_groups_kept,
            f"it must be at most model.router.num_groups={self.num_groups}",
        )
        reachable = self.num_experts // self.num_groups * self.num_groups_kept
        require(
            self.top_k <= reachable,
            "model.router.top_k",
            self.top_k,
            f"a token can reach {reachable} experts (num_experts / num_groups x num_groups_kept)",
        )

    @property
    def has_experts(self) -> bool:
        return True

    def num_params(self, width: int, unit: FeedForwardConfig, active: bool) -> int:
        routed = self.top_k if active else self.num_experts
        shared = unit.num_params(width, self.num_shared * self.expert_width) if self.num_shared else 0
        return routed * unit.num_params(width, self.expert_width) + shared + self.routing_params(width)

    def routing_params(self, width: int) -> int:
        return self.num_experts * width

    def build(self, width: int, unit: FeedForwardConfig, layer: LayerPlan) -> Any:
        return load("lab.model.feed_forward.mixture:MixtureOfExperts")(self, width, unit, layer)
