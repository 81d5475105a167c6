"""Few tokens, all steps in one call of C++: decoding."""

import torch
from torch import Tensor

from lab.kernels.cpp import KNOWN, can_build, cpp_function
from lab.kernels.precision import widen
from lab.kernels.sigmoid_router.rule import RoutingRule

FEW = 64
"""Tokens up to which this path is for."""

OUT_OF_REACH = -1e20
"""Scores below this one are never chosen."""

_route = cpp_function(__file__, "route", "pppppp" + "lllllll" + "dd", "few_rows.cpp")


def takes(x: Tensor, weight: Tensor, rule: RoutingRule) -> bool:
    """Whether this path is for these: few tokens without gradient, in types it knows, and no ties by design.

    Experts outside the best groups that score alike and within reach are chosen in the order of torch's ``topk``,
    which released models are held to.
    """
    ties = rule.num_groups_kept < rule.num_groups and rule.score_outside_groups > OUT_OF_REACH
    return (
        not ties
        and x.shape[0] <= FEW
        and not torch.is_grad_enabled()
        and x.is_cpu
        and x.dtype in KNOWN
        and weight.dtype in KNOWN
        and can_build()
    )


def route(x: Tensor, weight: Tensor, bias: Tensor, rule: RoutingRule) -> tuple[Tensor, Tensor, Tensor]:
    """Shapes as in the package."""
    tokens, experts = x.shape[0], weight.shape[0]
    chosen = torch.empty(tokens, rule.top_k, dtype=torch.long)
    weights, scores = torch.empty(tokens, rule.top_k), torch.empty(tokens, experts)
    _route(
        *(widen(x).contiguous(), widen(weight).contiguous(), widen(bias), chosen, weights, scores),
        *(tokens, x.shape[1], experts, rule.top_k, rule.num_groups, rule.num_groups_kept, rule.normalise),
        *(rule.score_outside_groups, rule.scale),
    )
    return chosen, weights, scores
