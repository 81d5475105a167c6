"""The dense gated feed-forward."""

from torch import Tensor, nn

from lab.model.initial import BranchOutput
from lab.model.leaves.feed_forward import FeedForwardConfig
from lab.model.leaves.layers import LayerPlan


class GatedFeedForward(nn.Module):
    """``W_down act(W_gate x, W_up x)`` through ``hidden`` channels."""

    def __init__(self, config: FeedForwardConfig, width: int, hidden: int, layer: LayerPlan) -> None:
        super().__init__()
        self.gate = nn.Linear(width, hidden, bias=False)
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = BranchOutput(hidden, width)
        self.activation = config.build_activation(layer, num_experts=None)

    def forward(self, x: Tensor) -> Tensor:
        """``[.., D] -> [.., D]``."""
        return self.down(self.activation(self.gate(x), self.up(x)))
