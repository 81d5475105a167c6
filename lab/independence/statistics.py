"""p-values by permutation, several statistics in one, and Holm's correction."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def upper_ranks(values: Tensor) -> Tensor:
    """For each column of ``values`` (draws first, ``T S``): the share of draws at least as large, itself included."""
    order = values.sort(dim=0).values
    below = torch.stack(
        [
            torch.searchsorted(order[:, column].contiguous(), values[:, column].contiguous())
            for column in range(values.shape[1])
        ],
        dim=1,
    )
    return (len(values) - below) / len(values)


def smallest_p(values: Tensor) -> Tensor:
    """Joint p-values of all draws, the smallest over the columns corrected by the draws themselves (Westfall-Young).

    ``values`` is ``T S``: the observed statistics first, then draws from the null, exchangeable under it. The first
    result is the observed pair's p-value, exact whatever the dependence between columns.
    """
    smallest = upper_ranks(values).min(dim=1).values
    return upper_ranks(-smallest[:, None])[:, 0]


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's step-down adjusted p-values; they keep the family-wise error under any dependence."""
    adjusted: dict[str, float] = {}
    running = 0.0
    ordered: Sequence[str] = sorted(p_values, key=lambda key: p_values[key])
    for rank, key in enumerate(ordered):
        running = max(running, min(1.0, (len(ordered) - rank) * p_values[key]))
        adjusted[key] = running
    return adjusted
