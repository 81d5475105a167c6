r"""The cosine of norm weights that misled in January 2026, beside the Pearson correlation that does not.

**Equation.** For vectors with coefficients of variation :math:`c_a, c_b` and Pearson correlation r,
:math:`\cos=(1+r\,c_a c_b)/\sqrt{(1+c_a^2)(1+c_b^2)}`, exactly. Positive vectors with little spread have a cosine near 1
even where r is 0.

**Control.** Shuffled coordinates: the cosine stays, Pearson's r is all that can change. Unrelated vectors of width D
give r a standard deviation of :math:`1/\sqrt{D-1}`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lab.independence.weights import Weights


@dataclass(frozen=True)
class NormComparison:
    """Means over norms of the same name and width."""

    cosine: float
    shuffled_cosine: float
    predicted_cosine: float
    pearson: float
    norms: int


def predicted_cosine(variation_a: float, variation_b: float, pearson: float = 0.0) -> float:
    """The cosine of two vectors with these coefficients of variation and this Pearson correlation."""
    return (1 + pearson * variation_a * variation_b) / (((1 + variation_a**2) * (1 + variation_b**2)) ** 0.5)


def compare_vectors(a: Tensor, b: Tensor, chance: torch.Generator) -> tuple[float, float, float, float]:
    """Cosine, cosine with shuffled coordinates, cosine predicted for r = 0, and Pearson's r (0 if undefined)."""
    cosine = torch.nn.functional.cosine_similarity
    shuffled = b[torch.randperm(len(b), generator=chance)]
    variations = [(v.std(correction=0) / v.mean()).item() for v in (a, b)]
    pearson = cosine(a - a.mean(), b - b.mean(), dim=0)
    return (
        cosine(a, b, dim=0).item(),
        cosine(a, shuffled, dim=0).item(),
        predicted_cosine(*variations),
        pearson.item(),
    )


def norm_comparison(a: Weights, b: Weights, seed: int) -> NormComparison | None:
    """The comparison over all norms with a positive mean that both have; None where there are none."""
    chance = torch.Generator().manual_seed(seed)
    rows = []
    for name, shape in a.shapes.items():
        if a.roles[name].module != "norms" or len(shape) != 1 or b.shapes.get(name) != shape or shape[0] < 2:
            continue
        one, other = a.read(name), b.read(name)
        if one is not None and other is not None and min(one.mean(), other.mean()) > 0:
            rows.append(compare_vectors(one.float(), other.float(), chance))
    if not rows:
        return None
    cosine, shuffled, predicted, pearson = torch.tensor(rows, dtype=torch.float64).mean(dim=0).tolist()
    return NormComparison(cosine, shuffled, predicted, pearson, len(rows))
