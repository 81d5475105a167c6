r"""Do the hidden units of two models of one architecture stand in the same places? Zhu et al.'s constrained test.

**Equation.** :math:`\hat\pi=\arg\max_\pi\sum_i\cos(u^A_i,u^B_{\pi(i)})` by linear assignment, layer by layer;
Spearman's rank correlation of :math:`\hat\pi` with the identity gives a p-value a layer, Fisher's method one for all.

**Null and assumption.** Units permuted within a layer would have been as likely, so :math:`\hat\pi` is a uniformly
drawn permutation whatever the weights. By that very design the test is blind once units were permuted. B's units are
shuffled before the assignment, so that ties (zeros, copies) keep to the null. Source: arXiv 2502.12292, the
constrained setting.

**Control.** Built in: the p-values of independent pairs are uniform.
"""

import torch
from scipy.optimize import linear_sum_assignment
from scipy.stats import combine_pvalues, spearmanr
from torch.nn.functional import normalize

from lab.independence.weights import Weights

SMALLEST = 1e-300  # below it logarithms end
UNITS = 1024  # a feed-forward's units beyond these are left out: the assignment costs their cube


def unit_assignment(a: Weights, b: Weights, seed: int) -> float | None:
    """Fisher's p-value over feed-forwards of the same name and shape; None where there are none.

    Both are read at once, one feed-forward at a time; tensors of different shapes are left out.
    """
    chance = torch.Generator().manual_seed(seed)
    p_values: list[float] = []
    others = b.units()
    for name, parts in a.units():
        match = next(((n, p) for n, p in others if n == name), None)
        if match is None:
            break
        one, other = parts.get("up"), match[1].get("up")
        if one is None or other is None or one.shape != other.shape or len(one) < 8:
            continue
        one, other = one[:UNITS], other[:UNITS]
        order = torch.randperm(len(other), generator=chance)
        costs = normalize(one, dim=1) @ normalize(other[order], dim=1).T
        _, column = linear_sum_assignment(costs.numpy(), maximize=True)
        places = order[torch.from_numpy(column)]
        p_value = spearmanr(places.numpy(), range(len(places)), alternative="greater").pvalue
        p_values.append(max(float(p_value), SMALLEST))
    return float(combine_pvalues(p_values).pvalue) if p_values else None
