"""Routing as written: everything is sorted, and the first few are taken."""

import torch
from torch import Tensor

from lab.kernels.precision import widen, without_autocast
from lab.kernels.sigmoid_router.rule import SMALLEST_SUM, RoutingRule


def route(x: Tensor, weight: Tensor, bias: Tensor, rule: RoutingRule) -> tuple[Tensor, Tensor, Tensor]:
    """Shapes as in the package."""
    with without_autocast(x):
        scores = torch.sigmoid(widen(x) @ widen(weight).T)
    choice = scores.detach() + bias
    if rule.num_groups > rule.num_groups_kept:
        groups = choice.unflatten(-1, (rule.num_groups, -1))
        of_group = groups.sort(dim=-1, descending=True).values[..., :2].sum(-1)
        rank = of_group.argsort(dim=-1, descending=True).argsort(dim=-1)
        in_best = (rank < rule.num_groups_kept).unsqueeze(-1)
        choice = torch.where(in_best, groups, rule.score_outside_groups).flatten(-2)
    chosen = choice.argsort(dim=-1, descending=True)[..., : rule.top_k]
    weights = scores.gather(-1, chosen)
    total = weights.sum(-1, keepdim=True) + SMALLEST_SUM if rule.normalise else 1.0
    return chosen, weights / total * rule.scale, scores
