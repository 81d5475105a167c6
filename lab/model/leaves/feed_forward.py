"""Feed-forward leaves: the gated unit that a dense layer and every expert share."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from lab.checks import require_above_zero, require_at_least, require_fraction
from lab.model.leaves.base import Leaf, load
from lab.model.leaves.layers import LayerPlan


@dataclass
class FeedForwardConfig(Leaf, ABC):
    """``W_down(act(W_gate x) * W_up x)`` with ``width`` hidden channels where the layer is dense."""

    width: int

    def __post_init__(self) -> None:
        require_at_least("model.feed_forward", 1, width=self.width)

    def activation_params(self) -> int:
        """Parameters of one activation (one dense layer, one shared expert or one routed expert)."""
        return 0

    def num_params(self, width: int, hidden: int) -> int:
        """Parameters of one gated unit from ``width`` through ``hidden`` channels and back."""
        return 3 * width * hidden + self.activation_params()

    @abstractmethod
    def build_activation(self, layer: LayerPlan, num_experts: int | None) -> Any:
        """A module ``(gate [.., F], up [.., F], expert_of_row | None) -> [.., F]``.

        ``num_experts`` asks for one set of activation parameters an expert; None for a single set.
        """


@dataclass
class SwiGLU(FeedForwardConfig):
    """``silu(gate) * up`` (arXiv 2002.05202)."""

    def build_activation(self, layer: LayerPlan, num_experts: int | None) -> Any:
        return load("lab.model.feed_forward.activation:SwiGLU")()


@dataclass
class PolyNorm(FeedForwardConfig):
    """``PolyNorm(gate) * up`` with a cubic polynomial of normalised powers (arXiv 2411.03884; Motif-2.6B, Motif 2)."""

    eps: float = 1e-6

    def __post_init__(self) -> None:
        super().__post_init__()
        require_fraction("model.feed_forward", eps=self.eps)

    def activation_params(self) -> int:
        return 4  # cubic, square and linear weight, one bias

    def build_activation(self, layer: LayerPlan, num_experts: int | None) -> Any:
        return load("lab.model.feed_forward.activation:PolyNorm")(self.eps, num_experts)


@dataclass
class ClampedSwiGLU(SwiGLU):
    """SwiGLU whose inputs are clamped in the last ``clamped_layers`` layers (K-EXAONE 2.0, arXiv 2608.04505).

    The gate is clamped above at ``limit``, the up projection to ``[-limit, limit]``, before the activation, in routed,
    shared and dense units alike; a multi-token block, which stands behind the stack, is not clamped.
    """

    limit: float = 7.0
    clamped_layers: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        require_above_zero("model.feed_forward", limit=self.limit)
        require_at_least("model.feed_forward", 0, clamped_layers=self.clamped_layers)

    def build_activation(self, layer: LayerPlan, num_experts: int | None) -> Any:
        if not layer.depth - self.clamped_layers <= layer.index < layer.depth:
            return super().build_activation(layer, num_experts)
        return load("lab.model.feed_forward.activation:ClampedSwiGLU")(self.limit)


@dataclass
class SigmoidPolyNorm(PolyNorm):
    """PolyNorm with sigmoid-bounded weights and a scaled output (Motif 3, arXiv 2608.09119).

    ``output_scale * PolyNorm(gate; sigmoid(w), b) * up``; routed experts clamp their bias to ``+-bias_clamp``, dense
    and shared units do not.
    """

    output_scale: float = 0.5
    bias_clamp: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        require_above_zero("model.feed_forward", output_scale=self.output_scale)
        require_at_least("model.feed_forward", 0, bias_clamp=self.bias_clamp)

    def build_activation(self, layer: LayerPlan, num_experts: int | None) -> Any:
        clamp = self.bias_clamp if num_experts is not None else None
        module = load("lab.model.feed_forward.activation:SigmoidPolyNorm")
        return module(self.eps, num_experts, self.output_scale, clamp)
