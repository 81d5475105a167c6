"""Routing by sigmoids: which experts a token goes to, and with which weights."""

from torch import Tensor

from lab.kernels.registry import choose
from lab.kernels.sigmoid_router import few_rows, library, naive
from lab.kernels.sigmoid_router.rule import RoutingRule

__all__ = ["RoutingRule", "route"]

PATHS = {"naive": naive.route, "library": library.route, "few_rows": few_rows.route}


def route(x: Tensor, weight: Tensor, bias: Tensor, rule: RoutingRule) -> tuple[Tensor, Tensor, Tensor]:
    """Experts by the top-k of ``sigmoid(W x) + bias``, weights from the sigmoids without the bias; all in float32.

    Args:
        x: ``[N, D]``.
        weight: ``W [E, D]``.
        bias: ``[E]``, which only takes part in the choice.
        rule: how many experts are chosen, from which groups, and how their weights are scaled.

    Returns:
        Chosen experts ``[N, k]``, best first, their weights ``[N, k]`` and all scores ``[N, E]``, float32. Equal
        scores fall in any order. Source: DeepSeek-V3, arXiv 2412.19437, equations 12 to 16.
    """
    return PATHS[choose("sigmoid_router", "few_rows" if few_rows.takes(x, weight, rule) else "library")](
        x, weight, bias, rule
    )
