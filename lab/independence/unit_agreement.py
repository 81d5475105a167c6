r"""Are hidden units of one model those of the other, in whatever basis, order or width? The matching test.

**Equation.** On embeddings X of tokens that both vocabularies have, a unit with read vectors g (gate), u (up) and
write vector d (down) has the profiles :math:`Xg`, :math:`Xu`, :math:`Xd` over tokens, X scaled to unit rows and the
norm's gain folded into g and u. Each unit of B takes, profile by profile, the unit of A with the largest absolute
correlation. The statistic counts how often two profiles choose the same unit.

**Null and assumption.** Profiles of an unrelated unit choose independently of each other within a layer: choices are
shuffled among the units of each feed-forward of B, which keeps favourites of a layer and units that many choose. Not
exact, since kinds of unit that are common to all language models would tie the choices; the testbed's independent
pairs measure how far it is off. It survives permuted, rotated, widened and rescaled residual streams, permuted units,
layers and experts. After Zhu et al., arXiv 2502.12292 (MATCH), with counts for rank correlations and embeddings for
text.

**Control.** The shuffle within layers.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from lab.independence.weights import Weights

PARTS = ("gate", "up", "down")


@dataclass(frozen=True)
class UnitAgreement:
    """Share of b's units whose profiles agree on a unit of a, the share expected by chance, and the floor."""

    share: float
    expected: float
    p_value: float
    floor: float
    units: int
    tokens: int


def common_tokens(a: Weights, b: Weights, count: int, seed: int) -> tuple[Tensor, Tensor] | None:
    """Rows of the embeddings of at most ``count`` tokens that both have, by string; None where none can be told.

    Without vocabularies rows of the same number are paired if there are equally many.
    """
    rows_a, rows_b = a.embedding(), b.embedding()
    if rows_a is None or rows_b is None:
        return None
    if a.vocabulary is not None and b.vocabulary is not None:
        pairs = [(n, b.vocabulary[s]) for s, n in a.vocabulary.items() if s in b.vocabulary]
    elif len(rows_a) == len(rows_b):
        pairs = [(n, n) for n in range(len(rows_a))]
    else:
        return None
    pairs = [(i, j) for i, j in pairs if i < len(rows_a) and j < len(rows_b)]
    if len(pairs) < 64:
        return None
    chance = torch.Generator().manual_seed(seed)
    kept = torch.tensor(pairs)[torch.randperm(len(pairs), generator=chance)[:count]]
    return normalize(rows_a[kept[:, 0]], dim=1), normalize(rows_b[kept[:, 1]], dim=1)


def unit_agreement(
    a: Weights, b: Weights, units: int, tokens: int, draws: int, level: float, seed: int
) -> UnitAgreement | None:
    """Test whether hidden units of ``b`` come from ``a``; None where there are no common tokens or units."""
    common = common_tokens(a, b, tokens, seed)
    if common is None:
        return None
    chance = torch.Generator().manual_seed(seed)
    sample, groups = _sample(b, common[1], units, chance)
    choices = _choices(a, common[0], sample)
    pairs = [pair for pair in combinations(PARTS, 2) if set(pair) <= set(choices)]
    if not pairs or len(groups) < 2:
        return None
    observed = _agreements(choices, pairs)
    totals = [observed.sum().item()]
    for _ in range(draws):
        shuffled = {part: choice[_within(groups, chance)] for part, choice in choices.items()}
        totals.append(_agreements(shuffled, pairs).sum().item())
    null = torch.tensor(totals[1:])
    p = (1 + (null >= totals[0]).sum().item()) / (draws + 1)
    needed = null.quantile(1 - level, interpolation="higher").item() + 1 - null.mean().item()
    count = len(groups)
    return UnitAgreement(
        totals[0] / len(pairs) / count,
        null.mean().item() / len(pairs) / count,
        p,
        min(1.0, needed / len(pairs) / count),
        count,
        len(common[0]),
    )


def _profiles(vectors: Tensor, tokens: Tensor) -> Tensor:
    """Profiles ``N tokens`` of unit vectors ``N D``, mean 0 and length 1."""
    profile = vectors @ tokens.T
    return normalize(profile - profile.mean(dim=1, keepdim=True), dim=1, eps=1e-20)


def _sample(
    b: Weights, tokens: Tensor, units: int, chance: torch.Generator
) -> tuple[Mapping[str, Tensor], Tensor]:
    """Profiles of at most ``units`` units by part, drawn evenly from each feed-forward; and which one each is of."""
    groups = list(_complete(b, tokens.shape[1]))
    profiles: dict[str, list[Tensor]] = {}
    numbers: list[Tensor] = []
    share = max(4, units // max(1, len(groups)))
    for number, parts in enumerate(groups):
        size = len(next(iter(parts.values())))
        index = torch.randperm(size, generator=chance)[:share]
        numbers.append(torch.full((len(index),), number))
        for part, vectors in parts.items():
            profiles.setdefault(part, []).append(_profiles(vectors[index], tokens))
    joined = {part: torch.cat(rows) for part, rows in profiles.items() if len(rows) == len(groups)}
    return joined, torch.cat(numbers) if numbers else torch.empty(0, dtype=torch.long)


def _complete(weights: Weights, width: int) -> Iterator[dict[str, Tensor]]:
    for _, parts in weights.units():
        if all(part.shape[1] == width for part in parts.values()):
            yield parts


def _choices(a: Weights, tokens: Tensor, sample: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """For each part, the unit of ``a`` (numbered through all of its layers) that each sampled unit chooses."""
    best: dict[str, Tensor] = {}
    chosen: dict[str, Tensor] = {}
    first = 0
    for parts in _complete(a, tokens.shape[1]):
        for part, wanted in sample.items():
            if part not in parts:
                continue
            value, index = (wanted @ _profiles(parts[part], tokens).T).abs().max(dim=1)
            if part not in best:
                best[part], chosen[part] = value, index + first
                continue
            better = value > best[part]
            best[part] = torch.where(better, value, best[part])
            chosen[part] = torch.where(better, index + first, chosen[part])
        first += len(next(iter(parts.values())))
    return chosen


def _agreements(choices: Mapping[str, Tensor], pairs: list[tuple[str, str]]) -> Tensor:
    return torch.stack([choices[one] == choices[other] for one, other in pairs]).float().sum(dim=0)


def _within(groups: Tensor, chance: torch.Generator) -> Tensor:
    """A permutation that stays within groups, which stand together."""
    return (groups + torch.rand(len(groups), generator=chance)).argsort()
