"""Cross-entropy of a linear head as written: all logits at once, in float32."""

from torch import Tensor
from torch.nn import functional

from lab.kernels.precision import widen


def linear_cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor, reduction: str) -> Tensor:
    """``-log softmax(weight hidden)[target]`` where the target is not -100; shapes as in the package."""
    logits = widen(hidden) @ widen(weight).T
    losses = functional.cross_entropy(logits, targets, ignore_index=-100, reduction="none")
    if reduction == "none":
        return losses
    return losses.sum() / (targets != -100).sum().clamp(min=1)
