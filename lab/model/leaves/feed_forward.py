"""Feed-forward leaves: the gated unit that a dense layer and every expert share."""

from dataclasses import dataclass
from typing import Any

from lab.model.leaves.base import Leaf, load, require, require_positive


@dataclass
class FeedForwardConfig(Leaf):
    """``W_down(act(W_gate x) * W_up x)`` with ``width`` hidden channels where the layer is dense."""

    width: int

    def __post_init__(self) -> None:
        require_positive("model.feed_forward", width=self.width)

    def activation_params(self) -> int:
        """Parameters of one activation (one dense layer, one shared expert or one routed expert)."""
        return 0

    def num_params(self, width: int, hidden: int) -> int:
        """Parameters of one gated unit from ``width`` through ``hidden`` channels and back."""
        return 3 * width * hidden + self.activation_params()

    def build_activation(self, num_experts: int | None) -> Any:
        """A module ``(gate [.., F], up [.., F], expert_of_row | None) -> [.., F]``.

        ``num_experts`` asks for one set of activation parameters an expert; None for a single set.
        """
        raise NotImplementedError


@dataclass
class SwiGLU(FeedForwardConfig):
    """``silu(gate) * up`` (arXiv 2002.05202)."""

    def build_activation(self, num_experts: int | None) -> Any:
        return load("lab.model.feed_forward.activation:SwiGLU")()


@dataclass
class PolyNorm(FeedForwardConfig):
    """``PolyNorm(gate) * up`` with a cubic polynomial of normalised powers (arXiv 2411.03884; Motif-2.6B, Motif 2)."""

    eps: float = 1e-6

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 < self.eps < 1, "model.feed_forward.eps", self.eps, "it must lie between 0 and 1")

    def activation_params(self) -> int:
        return 4  # cubic, square and linear weight, one bias

    def build_activation(self, num_experts: int | None) -> Any:
        return load("lab.model.feed_forward.activation:PolyNorm")(self.eps, num_experts)
