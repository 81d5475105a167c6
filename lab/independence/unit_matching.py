"""Which unit of one model each unit of another resembles, by its profile over tokens that both know."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from lab.independence.units import read_units, unit_groups
from lab.independence.weights import Weights

FEWEST_TOKENS = 64
UNITS_A_GROUP = 4  # at the least


@dataclass(frozen=True)
class Sample:
    """Profiles ``N tokens`` of sampled units by part; ``groups`` and ``places`` say which units they are."""

    profiles: Mapping[str, Tensor]
    groups: tuple[str, ...]
    places: Tensor

    def numbers(self) -> Tensor:
        """The groups numbered; units of one group stand together."""
        order = {group: number for number, group in enumerate(dict.fromkeys(self.groups))}
        return torch.tensor([order[group] for group in self.groups])


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
    if len(pairs) < FEWEST_TOKENS:
        return None
    chance = torch.Generator().manual_seed(seed)
    kept = torch.tensor(pairs)[torch.randperm(len(pairs), generator=chance)[:count]]
    return normalize(rows_a[kept[:, 0]], dim=1), normalize(rows_b[kept[:, 1]], dim=1)


def sample_units(weights: Weights, module: str, tokens: Tensor, units: int, seed: int) -> Sample | None:
    """At most ``units`` units, drawn evenly from feed-forwards or attentions, themselves drawn where there are many."""
    chance = torch.Generator().manual_seed(seed)
    groups = list(unit_groups(weights, module).items())
    drawn = torch.randperm(len(groups), generator=chance)[: max(1, units // UNITS_A_GROUP)].sort().values
    profiles: dict[str, list[Tensor]] = {}
    names: list[str] = []
    places: list[Tensor] = []
    for number in drawn.tolist():
        base, tensors = groups[number]
        parts = read_units(weights, module, tensors)
        if not parts or (profiles and parts.keys() != profiles.keys()):
            continue
        size = len(next(iter(parts.values())))
        index = torch.randperm(size, generator=chance)[: max(UNITS_A_GROUP, units // len(drawn))]
        for part, vectors in parts.items():
            profiles.setdefault(part, []).append(_profiles(vectors[index], tokens))
        names += [base] * len(index)
        places.append(index)
    if not places:
        return None
    return Sample({part: torch.cat(rows) for part, rows in profiles.items()}, tuple(names), torch.cat(places))


def choose(
    weights: Weights, module: str, tokens: Tensor, sample: Sample, is_own: bool = False
) -> dict[str, Tensor]:
    """For each part the unit (numbered through all of ``weights``) that each sampled unit resembles most.

    With ``is_own`` the sample is of these very weights, and a unit's own layer is passed over, or, if there is but one,
    the unit itself.
    """
    groups = unit_groups(weights, module)
    layers = {base: weights.roles[next(iter(names.values()))].layer for base, names in groups.items()}
    best: dict[str, Tensor] = {}
    chosen: dict[str, Tensor] = {}
    first = 0
    for base, tensors in groups.items():
        parts = read_units(weights, module, tensors)
        at_home = torch.tensor([is_own and _is_near(base, group, layers) for group in sample.groups])
        for part in sample.profiles.keys() & parts.keys():
            scores = (sample.profiles[part] @ _profiles(parts[part], tokens).T).abs()
            if len(set(layers.values())) > 1:
                scores[at_home] = -1.0
            else:
                scores[at_home, sample.places[at_home]] = -1.0
            value, index = scores.max(dim=1)
            if part not in best:
                best[part], chosen[part] = value, index + first
            better = value > best[part]
            best[part] = torch.where(better, value, best[part])
            chosen[part] = torch.where(better, index + first, chosen[part])
        first += len(next(iter(parts.values()))) if parts else 0
    return chosen


def _is_near(base: str, group: str, layers: Mapping[str, int | None]) -> bool:
    return layers[base] == layers[group] if len(set(layers.values())) > 1 else base == group


def agreements(choices: Mapping[str, Tensor]) -> Tensor:
    """Share ``.. N`` of the pairs of parts that choose the same unit, unit by unit."""
    pairs = combinations(sorted(choices), 2)
    return torch.stack([choices[one] == choices[other] for one, other in pairs]).float().mean(dim=0)


def excess(choices: Mapping[str, Tensor]) -> float:
    """The share of agreements beyond what these choices give when they are shuffled, in expectation."""
    pairs = list(combinations(sorted(choices), 2))
    expected = [(choices[one][:, None] == choices[other]).float().mean().item() for one, other in pairs]
    return agreements(choices).mean().item() - sum(expected) / len(pairs)


def _profiles(vectors: Tensor, tokens: Tensor) -> Tensor:
    """Profiles ``N tokens`` of unit vectors ``N D``, mean 0 and length 1."""
    profile = vectors @ tokens.T
    return normalize(profile - profile.mean(dim=1, keepdim=True), dim=1, eps=1e-20)
