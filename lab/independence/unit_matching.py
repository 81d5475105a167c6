"""Which unit of one model each unit of another resembles, by its profile over tokens that both know."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from lab.independence.units import UnitGroup, read_gain, read_part, unit_groups
from lab.independence.weights import Weights

FEWEST_TOKENS = 64
UNITS_A_GROUP = 4  # at the least
BLOCK = 8192  # units whose profiles are held at once


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
    sizes = a.embedding_size(), b.embedding_size()
    if a.vocabulary is not None and b.vocabulary is not None:
        pairs = [(n, b.vocabulary[s]) for s, n in a.vocabulary.items() if s in b.vocabulary]
    elif sizes[0] == sizes[1]:
        pairs = [(n, n) for n in range(sizes[0])]
    else:
        return None
    pairs = [(i, j) for i, j in pairs if i < sizes[0] and j < sizes[1]]
    if len(pairs) < FEWEST_TOKENS:
        return None
    chance = torch.Generator().manual_seed(seed)
    kept = torch.tensor(pairs)[torch.randperm(len(pairs), generator=chance)[:count]]
    rows_a, rows_b = a.embedding_rows(kept[:, 0]), b.embedding_rows(kept[:, 1])
    if rows_a is None or rows_b is None:
        return None
    return normalize(rows_a, dim=1), normalize(rows_b, dim=1)


def sample_units(weights: Weights, module: str, tokens: Tensor, units: int, seed: int) -> Sample | None:
    """At most ``units`` units, drawn evenly from feed-forwards or attentions, themselves drawn where there are many."""
    chance = torch.Generator().manual_seed(seed)
    groups = list(unit_groups(weights, module).items())
    drawn = torch.randperm(len(groups), generator=chance)[: max(1, units // UNITS_A_GROUP)].sort().values
    profiles: dict[str, list[Tensor]] = {}
    names: list[str] = []
    places: list[Tensor] = []
    for number in drawn.tolist():
        base, group = groups[number]
        index = torch.randperm(group.count, generator=chance)[: max(UNITS_A_GROUP, units // len(drawn))]
        found = {}
        for part, seen in _seen_tokens(weights, module, group, tokens).items():
            stack = read_part(weights, group.parts[part])
            if stack is not None:
                vectors = stack[index // group.units, index % group.units].float()
                found[part] = _profiles(vectors, seen)
            del stack  # before the next is read
        if len(found) < 2 or (profiles and found.keys() != profiles.keys()):
            continue
        for part, rows in found.items():
            profiles.setdefault(part, []).append(rows)
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
    layers = {base: group.layer for base, group in groups.items()}
    best: dict[str, Tensor] = {}
    chosen: dict[str, Tensor] = {}
    first = 0
    for base, group in groups.items():
        at_home = torch.tensor([is_own and _is_near(base, member, layers) for member in sample.groups])
        own = torch.where(at_home, -1 if len(set(layers.values())) > 1 else sample.places, group.count)
        for part, seen in _seen_tokens(weights, module, group, tokens).items():
            if part not in sample.profiles or (stack := read_part(weights, group.parts[part])) is None:
                continue
            for start, block in _blocks(stack):
                scores = (sample.profiles[part] @ _profiles(block, seen).T).abs_()
                scores[own < 0] = -1.0
                here = (own >= start) & (own < start + len(block))
                scores[here, own[here] - start] = -1.0
                value, index = scores.max(dim=1)
                best.setdefault(part, torch.full_like(value, -2.0))
                chosen.setdefault(part, index)
                better = value > best[part]
                best[part] = torch.where(better, value, best[part])
                chosen[part] = torch.where(better, index + first + start, chosen[part])
            del stack, block  # before the next is read
        first += group.count
    return chosen


def _seen_tokens(weights: Weights, module: str, group: UnitGroup, tokens: Tensor) -> dict[str, Tensor]:
    """The tokens ``.. D`` by part of a group, as the part meets them: what reads does so behind the norm."""
    gain = read_gain(weights, module, group)
    return {
        part: tokens * gain if gain is not None and source.reads else tokens
        for part, source in group.parts.items()
    }


def _blocks(stack: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Vectors ``N D`` of a stack ``S N D`` in float32 with the number of the first, a block at a time."""
    size = stack.shape[1]
    for number, matrix in enumerate(stack):
        for start in range(0, size, BLOCK):
            yield number * size + start, matrix[start : start + BLOCK].float()


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
