"""Keeping experts equally busy without a loss: the selection bias of each expert follows its load.

``b_e <- b_e + rate * sign(mean load - load_e)`` after every step (DeepSeek-V3, arXiv 2412.19437, section
2.1.2), in float32 and outside the gradient. K-EXAONE uses the rate 1e-4, Solar Open 1e-3.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor


class Balanced(Protocol):
    """A router with a bias ``[E]`` that only chooses experts and never weighs them."""

    selection_bias: Tensor
    bias_update_rate: float


@torch.no_grad()
def update_selection_biases(routers: Sequence[Balanced], loads: Sequence[Tensor]) -> None:
    """Move the bias of every router against its load ``[E]``, the tokens per expert of the last step."""
    for router, load in zip(routers, loads, strict=True):
        if router.bias_update_rate > 0:
            assert router.selection_bias.dtype == torch.float32
            counts = load.to(router.selection_bias.dtype)
            router.selection_bias.add_(torch.sign(counts.mean() - counts), alpha=router.bias_update_rate)


def load_statistics(loads: Sequence[Tensor]) -> dict[str, float]:
    """How unequal the loads ``[E]`` of a step are; empty where no layer has experts.

    ``moe/max_over_mean`` is the busiest expert's load over the mean (1 is perfect balance), averaged over
    layers and given for each layer with experts (``moe/max_over_mean/0`` is the first); ``moe/dead_experts``
    counts the experts of all layers that no token reached.
    """
    if not loads:
        return {}
    ratios = [(load.max() / load.float().mean().clamp(min=1)).item() for load in loads]
    statistics = {"moe/max_over_mean": sum(ratios) / len(ratios)}
    statistics |= {f"moe/max_over_mean/{layer}": ratio for layer, ratio in enumerate(ratios)}
    statistics["moe/dead_experts"] = float(sum(int((load == 0).sum()) for load in loads))
    return statistics
