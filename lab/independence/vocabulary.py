r"""What two tokenizers have in common. No null: common strings mean common text or habits, never common weights.

**Equations.** Jaccard's index of the token strings; the share of them with the same number; Spearman's correlation of
the ranks of common merges; the longest run of strings whose numbers differ by one constant.
"""

from dataclasses import dataclass

from scipy.stats import spearmanr

from lab.independence.weights import Weights


@dataclass(frozen=True)
class VocabularyOverlap:
    """Counts of strings; ``merge_correlation`` is None below ten common merges."""

    common: int
    jaccard: float
    same_number: int
    merge_correlation: float | None
    longest_run: int


def vocabulary_overlap(a: Weights, b: Weights) -> VocabularyOverlap | None:
    """The overlap of two vocabularies; None where either is unknown."""
    if a.vocabulary is None or b.vocabulary is None:
        return None
    common = [(number, b.vocabulary[text]) for text, number in a.vocabulary.items() if text in b.vocabulary]
    longest = run = 0
    previous: tuple[int, int] | None = None
    for pair in sorted(common):
        follows = previous is not None and pair == (previous[0] + 1, previous[1] + 1)
        run = run + 1 if follows else 1
        longest = max(longest, run)
        previous = pair
    return VocabularyOverlap(
        len(common),
        len(common) / len(a.vocabulary.keys() | b.vocabulary.keys()),
        sum(one == other for one, other in common),
        _merge_correlation(a.merges or (), b.merges or ()),
        longest,
    )


def _merge_correlation(a: tuple[str, ...], b: tuple[str, ...]) -> float | None:
    ranks = {merge: rank for rank, merge in enumerate(b)}
    pairs = [(rank, ranks[merge]) for rank, merge in enumerate(a) if merge in ranks]
    return float(spearmanr(*zip(*pairs, strict=True)).statistic) if len(pairs) >= 10 else None
