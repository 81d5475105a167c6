r"""Do the hidden units of two models of one architecture stand in the same places? Zhu et al.'s constrained test.

**Equation.** :math:`\hat\pi=\arg\max_\pi\sum_i\cos(u^A_i,u^B_{\pi(i)})` by linear assignment, layer by layer. The
statistic is :math:`\sum_\ell\rho_\ell\sqrt{n_\ell-1}` over layers of :math:`n_\ell` units, with Spearman's rank
correlation :math:`\rho_\ell` of :math:`\hat\pi` with the identity.

**Null and assumption.** Units permuted within a layer would have been as likely, so :math:`\hat\pi` is a uniformly
drawn permutation whatever the weights: the statistic is ranked among those of drawn permutations, which is exact. By
that very design the test is blind once units were permuted. B's units are shuffled before the assignment, so that ties
(zeros, copies) keep to the null. Source: arXiv 2502.12292, the constrained setting, with drawn permutations for its
t-approximation.

**Control.** Built in: the p-values of independent pairs are uniform.
"""

from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import normalize

from lab.independence.units import UnitGroup, read_gain, read_part, unit_groups
from lab.independence.weights import Weights

GROUPS = 128  # feed-forwards or experts that are looked at
UNITS = 1024  # a feed-forward's units beyond these are left out: the assignment costs their cube


@dataclass(frozen=True)
class UnitAssignment:
    """``correlation`` is the mean rank correlation over ``layers`` feed-forwards."""

    correlation: float
    p_value: float
    layers: int


def unit_assignment(a: Weights, b: Weights, draws: int, seed: int) -> UnitAssignment | None:
    """Test feed-forwards of the same name and shape; None where there are none.

    One tensor is read at a time; of feed-forwards at most ``GROUPS``, drawn evenly.
    """
    chance = torch.Generator().manual_seed(seed)
    groups, others = unit_groups(a, "experts"), unit_groups(b, "experts")
    common = [name for name in groups if name in others]
    correlations: list[float] = []
    totals = torch.zeros(draws + 1, dtype=torch.float64)
    for index in torch.randperm(len(common), generator=chance)[:GROUPS].tolist():
        group, counterpart = groups[common[index]], others[common[index]]
        if (group.stacks, group.units) != (counterpart.stacks, counterpart.units) or group.count < 8:
            continue
        one, other = _up_vectors(a, group), _up_vectors(b, counterpart)
        if one is None or other is None or one.shape != other.shape:
            continue
        order = torch.randperm(len(other), generator=chance)
        costs = normalize(one, dim=1) @ normalize(other[order], dim=1).T
        _, column = linear_sum_assignment(costs.numpy(), maximize=True)
        drawn = torch.rand(draws, len(one), generator=chance).argsort(dim=1)
        rho = _rank_correlation(torch.cat([order[torch.from_numpy(column)][None], drawn]))
        totals += rho * (len(one) - 1) ** 0.5
        correlations.append(rho[0].item())
    if not correlations:
        return None
    p_value = (totals >= totals[0] - 1e-9).double().mean().item()
    return UnitAssignment(sum(correlations) / len(correlations), p_value, len(correlations))


def _up_vectors(weights: Weights, group: UnitGroup) -> Tensor | None:
    """Vectors ``N D`` of the first ``UNITS`` units by which they read; None where they cannot be compared."""
    stack = read_part(weights, group.parts["up"]) if "up" in group.parts else None
    if stack is None:
        return None
    vectors = stack[: -(-UNITS // group.units)].flatten(0, 1)[:UNITS].float()
    gain = read_gain(weights, "experts", group)
    return vectors if gain is None else vectors * gain


def _rank_correlation(permutations: Tensor) -> Tensor:
    """Spearman's correlation of each row of ``T N``, a permutation of 0 to N - 1, with the identity."""
    size = permutations.shape[1]
    distance = (permutations - torch.arange(size)).double().square().sum(dim=1)
    return 1 - 6 * distance / (size * (size**2 - 1))
