"""p-values by permutation, several statistics in one, and Holm's correction."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

Key = TypeVar("Key", bound=Hashable)


def joint_p(values: Tensor) -> float:
    """The p-value of several statistics taken together, exact whatever their dependence.

    ``values`` is ``T S``: the observed statistics first, then draws from the null. Each column is standardised over all
    T, which treats them alike, and the largest standardised value of the observed row is ranked among those of the
    draws.
    """
    spread = values.std(dim=0).clamp_min(1e-12)
    largest = ((values - values.mean(dim=0)) / spread).amax(dim=1)
    return (largest >= largest[0]).sum().item() / len(values)


def holm(p_values: Mapping[Key, float]) -> dict[Key, float]:
    """Holm's step-down adjusted p-values; they keep the family-wise error under any dependence."""
    adjusted: dict[Key, float] = {}
    running = 0.0
    ordered: Sequence[Key] = sorted(p_values, key=lambda key: p_values[key])
    for rank, key in enumerate(ordered):
        running = max(running, min(1.0, (len(ordered) - rank) * p_values[key]))
        adjusted[key] = running
    return adjusted
