"""Routing by torch's selections of the largest."""

import torch
from torch import Tensor
from torch.nn import functional

from lab.kernels.precision import widen, without_autocast
from lab.kernels.sigmoid_router.rule import SMALLEST_SUM, RoutingRule


def route(x: Tensor, weight: Tensor, bias: Tensor, rule: RoutingRule) -> tuple[Tensor, Tensor, Tensor]:
    """Shapes as in the package."""
    with without_autocast(x):
        scores = torch.sigmoid(functional.linear(widen(x), widen(weight)))
    chosen = _eligible(scores.detach() + bias, rule).topk(rule.top_k, dim=-1).indices
    weights = scores.gather(-1, chosen)
    if rule.normalise:
        weights = weights / (weights.sum(-1, keepdim=True) + SMALLEST_SUM)
    return chosen, weights * rule.scale, scores


def _eligible(choice: Tensor, rule: RoutingRule) -> Tensor:
    """Scores with those outside the best groups replaced; a group scores the sum of its two best experts."""
    if rule.num_groups == rule.num_groups_kept:
        return choice
    grouped = choice.unflatten(-1, (rule.num_groups, -1))
    best = grouped.topk(2, dim=-1).values.sum(-1).topk(rule.num_groups_kept, dim=-1).indices
    outside = torch.ones_like(grouped[..., 0], dtype=torch.bool).scatter(-1, best, False)
    return grouped.masked_fill(outside.unsqueeze(-1), rule.score_outside_groups).flatten(-2)
