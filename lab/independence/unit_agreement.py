r"""Are hidden units of one model those of the other, in whatever basis, order or width? The matching test.

**Equation.** On embeddings X of tokens that both vocabularies have, scaled to unit rows, a unit's vector w has the
profile :math:`Xw` over tokens, the norm's gain folded into what reads. A feed-forward's unit has three (gate, up,
down); an attention's coordinate has two (query and output, or key and value). Each unit of B takes, profile by profile,
the unit of A with the largest absolute correlation. The statistic is the share of pairs of profiles that take the same.

**Null and assumption.** Approximate, and the larger of two p-values. *Shuffles*: profiles of an unrelated unit choose
independently of each other, so choices are shuffled among the units of each feed-forward of B. Kinds of unit that all
language models have would break that, hence *reference pairs*: the excess over shuffled choices must also stand out
from that of at least ten pairs without a common origin, by Student's t for one more value. They are pairs with and
among unrelated models, where the user names four or more; else 16 parts of one of the two models, each against the
other feed-forwards of that same model, which were drawn apart and share its data and its tokens. Of the two models the
one with the smaller excess serves, since layers that were copied within a model say nothing of two. Single neurons
that unrelated models have in common (arXiv 2401.12181) are seen only by named references.

It survives permuted, rotated, widened and rescaled residual streams, permuted units, layers and experts. After Zhu et
al., arXiv 2502.12292 (MATCH), with counts for rank correlations and embeddings for text.

**Control.** The shuffles and the reference pairs; the testbed's independent pairs measure what is left.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from scipy.stats import t as student
from torch import Tensor

from lab.independence.unit_matching import Sample, agreements, choose, common_tokens, excess, sample_units
from lab.independence.weights import Weights

PARTS = 16  # of a model, each a reference pair with the rest of it
FEWEST_REFERENCES = 10
FEWEST_UNITS = 5 * PARTS


@dataclass(frozen=True)
class References:
    """Excess agreement of pairs without a common origin: how many, of what, mean and standard deviation."""

    count: int
    words: str
    mean: float
    spread: float

    def p_value(self, value: float) -> float:
        """Of one more value, by Student's t."""
        return float(student.sf((value - self.mean) / self._error, self.count - 1))

    def limit(self, level: float) -> float:
        """The value whose p-value is ``level``."""
        return self.mean + float(student.isf(level, self.count - 1)) * self._error

    @property
    def _error(self) -> float:
        return float(self.spread * (1 + 1 / self.count) ** 0.5)


@dataclass(frozen=True)
class UnitAgreement:
    """Share of agreeing profiles of b's units, its excess over shuffled choices, and the floor of that excess."""

    share: float
    excess: float
    p_value: float
    floor: float
    units: int
    references: References


def unit_agreement(
    a: Weights,
    b: Weights,
    module: str,
    units: int,
    tokens: int,
    draws: int,
    level: float,
    seed: int,
    references: Sequence[Weights] = (),
) -> UnitAgreement | None:
    """Test whether units of ``b``'s ``module`` come from ``a``; None where there are no common tokens or few units.

    ``level`` is what the floor is computed for; ``references`` are models without a common origin with
    each other, a or b.
    """
    common = common_tokens(a, b, tokens, seed)
    if common is None:
        return None
    sample = sample_units(b, module, common[1], units, seed)
    if sample is None or len(sample.places) < FEWEST_UNITS:
        return None
    choices = choose(a, module, common[0], sample)
    if choices.keys() != sample.profiles.keys():
        return None
    known = _named(a, b, references, module, units, tokens, seed) or _own((a, b), common, module, units, seed)
    if known is None:
        return None
    observed = agreements(choices).mean().item()
    chance = torch.Generator().manual_seed(seed)
    null = agreements(
        {part: chosen[_within(sample.numbers(), draws, chance)] for part, chosen in choices.items()}
    ).mean(dim=-1)
    beyond = observed - null.mean().item()
    by_shuffles = (1 + (null >= observed - 1e-9).sum().item()) / (draws + 1)
    needed = null.quantile(1 - level, interpolation="higher").item() - null.mean().item()
    return UnitAgreement(
        observed,
        beyond,
        max(by_shuffles, known.p_value(beyond)),
        min(1.0, max(needed + _one(sample), known.limit(level))),
        len(sample.places),
        known,
    )


def _named(
    a: Weights, b: Weights, references: Sequence[Weights], module: str, units: int, tokens: int, seed: int
) -> References | None:
    """Pairs among the references and with a and b; None where fewer than ten of them have units to compare."""
    values, smallest = [], 0.0
    for one, other in combinations([a, b, *references], 2):
        common = None if (one, other) == (a, b) else common_tokens(one, other, tokens, seed)
        sample = sample_units(other, module, common[1], units, seed) if common is not None else None
        if common is None or sample is None:
            continue
        choices = choose(one, module, common[0], sample)
        if choices.keys() == sample.profiles.keys():
            values.append(excess(choices))
            smallest = max(smallest, _one(sample))
    if len(values) < FEWEST_REFERENCES:
        return None
    return _summary(values, f"{len(values)} pairs with unrelated models", smallest)


def _own(
    models: tuple[Weights, Weights], tokens: tuple[Tensor, Tensor], module: str, units: int, seed: int
) -> References | None:
    """Parts of a model against its other feed-forwards, for the model of the two that has the smaller excess."""
    found = []
    for model, rows in zip(models, tokens, strict=True):
        sample = sample_units(model, module, rows, units, seed)
        if sample is None or len(sample.places) < FEWEST_UNITS:
            continue
        choices = choose(model, module, rows, sample, is_own=True)
        parts = zip(*(chosen.chunk(PARTS) for chosen in choices.values()), strict=True)
        values = [excess(dict(zip(choices, part, strict=True))) for part in parts]
        if len(values) >= FEWEST_REFERENCES:
            words = f"{len(values)} parts of {model.name} against the rest of it"
            found.append(_summary(values, words, PARTS * _one(sample)))
    return min(found, key=lambda references: references.mean, default=None)


def _summary(values: Sequence[float], words: str, smallest: float) -> References:
    """``smallest`` is the share of a single agreement, below which no spread can be told."""
    table = torch.tensor(values)
    return References(len(values), words, table.mean().item(), max(table.std().item(), smallest))


def _one(sample: Sample) -> float:
    """The share that a single agreement adds."""
    pairs: Iterator[tuple[str, str]] = combinations(sample.profiles, 2)
    return 1 / (len(sample.places) * sum(1 for _ in pairs))


def _within(groups: Tensor, draws: int, chance: torch.Generator) -> Tensor:
    """``draws N`` permutations that stay within groups, which stand together."""
    return (groups + torch.rand(draws, len(groups), generator=chance)).argsort(dim=1)
