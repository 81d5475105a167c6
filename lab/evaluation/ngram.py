"""The n-gram yardsticks: modified Kneser-Ney, the strongest smoothing of counts (Chen and Goodman 1999).

With ``c`` the count of an n-gram, ``D(c)`` a discount for counts 1, 2 and above, and ``h'`` the context ``h``
without its first token, the probability of a token is

    p(w | h) = max(c(hw) - D(c(hw)), 0) / c(h) + (sum_v D(c(hv)) / c(h)) p(w | h')

down to the empty context, below which every token of the vocabulary has the same probability. At the full
order ``c`` counts occurrences; below it, an n-gram counts once for each distinct token before it, or for each
occurrence at the start of a document, where nothing stands before it. So the probabilities of all tokens sum
to 1 in every context.

The discounts follow from the training counts alone, order by order: with ``n_k`` the number of n-grams that
count k and ``Y = n_1 / (n_1 + 2 n_2)``, ``D(k) = k - (k + 1) Y n_(k+1) / n_k`` for k = 1, 2, 3. Where this is
no discount between 0 and k, as in tiny corpora, the order takes 0.5, 1 and 1.5.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lab.data.document import Document
from lab.data.tokenizer import Tokenizer
from lab.evaluation.likelihood import Likelihood, encode

FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)
UNKNOWN = -1
"""The number of an n-gram that training didn't hold."""

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Order:
    """The G distinct n-grams of one order, numbered by their place in ``keys [G + 1]``, which ascend.

    A key is ``V * number of the context + token``; the last key is a sentinel. By n-gram: ``discounted [G]``
    is the count less the discount, over the count of the context. By context: ``backoff [C]`` is the
    probability left to the shorter context, 1 where nothing followed the context.
    """

    keys: Integers
    discounted: Floats
    backoff: Floats


class NgramModel:
    """A model of ``order``-grams over the tokens 0 ... ``vocab_size`` - 1; see the module."""

    def __init__(self, tokens: Integers, starts: Integers, order: int, vocab_size: int) -> None:
        """Count ``tokens [N]``, the documents of which begin at ``starts [documents]``, ascending from 0.

        Each document holds ``<|begin|>`` first, which is context alone. Takes O(order * N log N) time.
        """
        assert order >= 2
        self.vocab_size = vocab_size
        self._orders: list[_Order] = []
        tokens = np.asarray(tokens, np.int64)
        depth = _depth(starts, len(tokens))
        # numbers [N]: which n-gram ends at each token; n = 1 here, where the number is the token itself.
        keys, numbers, num_contexts = np.arange(vocab_size), tokens, 1
        for n in range(2, order + 1):
            ends = np.flatnonzero(depth >= n - 1)
            longer_keys, first, inverse, occurrences = np.unique(
                numbers[ends - 1] * vocab_size + tokens[ends],
                return_index=True,
                return_inverse=True,
                return_counts=True,
            )
            # An (n-1)-gram counts once for each distinct token before it and each document it starts.
            counts = np.bincount(numbers[ends[first]], minlength=len(keys))
            if n > 2:
                counts += np.bincount(numbers[depth == n - 2], minlength=len(keys))
            self._orders.append(_smoothed(keys, counts, num_contexts, vocab_size))
            num_contexts, keys = len(keys), longer_keys
            numbers = np.full(len(tokens), UNKNOWN)
            numbers[ends] = inverse
        self._orders.append(_smoothed(keys, occurrences, num_contexts, vocab_size))

    def probabilities(self, tokens: Integers, starts: Integers) -> Floats:
        """Probability ``[N - documents]`` of every token of ``tokens [N]`` but the first of each document."""
        tokens = np.asarray(tokens, np.int64)
        depth = _depth(starts, len(tokens))
        probability = np.full(len(tokens), 1 / self.vocab_size)
        numbers = np.zeros(len(tokens), np.int64)  # everything follows the one empty context
        for n, table in enumerate(self._orders, start=1):
            ends = np.flatnonzero(depth >= n - 1)
            ends = ends[numbers[ends - 1] != UNKNOWN]
            context = numbers[ends - 1]
            wanted = context * self.vocab_size + tokens[ends]
            place = np.searchsorted(table.keys, wanted)
            hit = table.keys[place] == wanted
            probability[ends] *= table.backoff[context]
            probability[ends[hit]] += table.discounted[place[hit]]
            numbers = np.full(len(tokens), UNKNOWN)
            numbers[ends[hit]] = place[hit]
        return probability[depth > 0]

    def measure(self, documents: Sequence[Document], tokenizer: Tokenizer) -> Likelihood:
        """Bits that the model needs for ``documents``, by the rules of :mod:`lab.evaluation.likelihood`."""
        encoded = encode(tokenizer, [document.text for document in documents])
        lengths = np.array([len(tokens) for tokens in encoded])
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        bits = -np.log2(self.probabilities(np.concatenate(encoded), starts))
        by_document = np.split(bits, np.cumsum(lengths - 1)[:-1])
        return Likelihood.of(documents, np.array([part.sum() for part in by_document]))


def discounts(counts: Integers) -> tuple[float, float, float]:
    """D(1), D(2) and D(3 or more) for n-grams with these ``counts``; see the module's description."""
    n_1, n_2, n_3, n_4 = (int(np.count_nonzero(counts == k)) for k in (1, 2, 3, 4))
    if min(n_1, n_2, n_3) == 0:
        return FALLBACK_DISCOUNTS
    y = n_1 / (n_1 + 2 * n_2)
    estimated = (1 - 2 * y * n_2 / n_1, 2 - 3 * y * n_3 / n_2, 3 - 4 * y * n_4 / n_3)
    usable = all(0 < discount < k for k, discount in enumerate(estimated, start=1))
    return estimated if usable else FALLBACK_DISCOUNTS


def _smoothed(keys: Integers, counts: Integers, num_contexts: int, vocab_size: int) -> _Order:
    context = keys // vocab_size
    total = np.bincount(context, counts, minlength=num_contexts)
    seen = total > 0
    discount = np.array([0.0, *discounts(counts)])[np.minimum(counts, 3)]
    backoff = np.ones(num_contexts)
    backoff[seen] = np.bincount(context, discount, minlength=num_contexts)[seen] / total[seen]
    discounted = (counts - discount) / np.where(seen, total, 1)[context]
    return _Order(np.append(keys, np.iinfo(np.int64).max), discounted, backoff)


def _depth(starts: Integers, length: int) -> Integers:
    """How many tokens of the same document stand before each of ``length`` tokens."""
    return np.arange(length) - np.repeat(starts, np.diff(np.append(starts, length)))
