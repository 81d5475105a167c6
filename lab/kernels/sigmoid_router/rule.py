"""What a router is asked for beside its scores."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RoutingRule:
    """How experts are chosen.

    ``top_k`` of them, from the ``num_groups_kept`` best of ``num_groups`` groups of equal size; others count as
    ``score_outside_groups``. Weights are divided by their sum where ``normalise`` says so, and multiplied by ``scale``.
    """

    top_k: int
    num_groups: int = 1
    num_groups_kept: int = 1
    score_outside_groups: float = 0.0
    normalise: bool = True
    scale: float = 1.0


SMALLEST_SUM = 1e-20
"""Added to the sum that weights are divided by."""
