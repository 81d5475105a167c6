"""The n-gram yardstick against a twin of dictionaries, and as a probability distribution."""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest

from lab.evaluation.ngram import FALLBACK_DISCOUNTS, NgramModel, discounts
from tests.evaluation.stand_ins import BEGIN, CharacterTokenizer, document


def corpus(seed: int, documents: int, vocab_size: int) -> list[list[int]]:
    """Documents with repeated passages, so that n-grams of every order occur once, twice and more often."""
    generator = np.random.default_rng(seed)
    phrases = [generator.integers(1, vocab_size, generator.integers(1, 9)).tolist() for _ in range(25)]
    made = []
    for _ in range(documents):
        chosen = generator.zipf(1.5, generator.integers(0, 8)) % len(phrases)
        made.append([BEGIN, *(token for place in chosen for token in phrases[place])])
    return made


def flat(documents: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate(documents), np.cumsum([0, *map(len, documents[:-1])])


class DictionaryModel:
    """The equations of the module, one n-gram at a time."""

    def __init__(self, documents: list[list[int]], order: int, vocab_size: int) -> None:
        self.order, self.vocab_size = order, vocab_size
        self.counts: dict[int, Counter[tuple[int, ...]]] = {n: Counter() for n in range(1, order + 1)}
        for n in range(1, order + 1):
            before = defaultdict(set)
            for ids in documents:
                for start in range(len(ids) - n + 1):
                    gram = tuple(ids[start : start + n])
                    if n == order:
                        self.counts[n][gram] += 1
                    elif start > 0:
                        before[gram].add(ids[start - 1])
                    elif n > 1:
                        self.counts[n][gram] += 1
            for gram, tokens in before.items():
                self.counts[n][gram] += len(tokens)
        self.followers: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for counts in self.counts.values():
            for gram, count in counts.items():
                self.followers[gram[:-1]].append(count)
        self.discounts = {n: discounts(np.array(list(counts.values()))) for n, counts in self.counts.items()}

    def probability(self, context: tuple[int, ...], token: int) -> float:
        lower = self.probability(context[1:], token) if context else 1 / self.vocab_size
        followers = self.followers.get(context)
        if followers is None:
            return lower
        n, total = len(context) + 1, sum(followers)
        discount = {count: self.discounts[n][min(count, 3) - 1] for count in followers}
        count = self.counts[n][(*context, token)]
        left = sum(discount[other] for other in followers) / total
        return (count - discount[count] if count else 0) / total + left * lower


@pytest.mark.parametrize("order", [2, 3, 5])
def test_equals_the_twin_of_dictionaries(order: int) -> None:
    training, held_out = corpus(0, 60, 30), corpus(1, 20, 30)
    model, twin = NgramModel(*flat(training), order, 30), DictionaryModel(training, order, 30)
    expected = [
        twin.probability(tuple(ids[max(0, place - order + 1) : place]), ids[place])
        for ids in held_out
        for place in range(1, len(ids))
    ]
    np.testing.assert_allclose(model.probabilities(*flat(held_out)), expected, rtol=1e-10)


@pytest.mark.parametrize("order", [2, 5])
def test_probabilities_sum_to_one_in_every_context(order: int) -> None:
    vocab_size = 30
    training = corpus(0, 60, vocab_size)
    model = NgramModel(*flat(training), order, vocab_size)
    known = [ids[:length] for ids in training[:30] for length in range(1, len(ids) + 1)]
    unknown = [[BEGIN, 29, 28, 27, 26, 25], [BEGIN, *known[-1][-3:], 29], [BEGIN]]
    for context in [*known[:80], *unknown]:
        continued = [[*context, token] for token in range(vocab_size)]
        last = np.cumsum([len(ids) - 1 for ids in continued]) - 1
        probabilities = model.probabilities(*flat(continued))[last]
        assert probabilities.min() > 0
        assert probabilities.sum() == pytest.approx(1, abs=1e-12)


def test_contexts_do_not_cross_documents() -> None:
    model = NgramModel(*flat([[BEGIN, 1, 2], [BEGIN, 3, 4]] * 20), 3, 6)
    together = model.probabilities(*flat([[BEGIN, 1, 2], [BEGIN, 3, 4]]))
    apart = [model.probabilities(*flat([ids])) for ids in ([BEGIN, 1, 2], [BEGIN, 3, 4])]
    np.testing.assert_array_equal(together, np.concatenate(apart))


def test_a_longer_context_predicts_what_a_short_one_cannot() -> None:
    generator = np.random.default_rng(0)

    def sentences(number: int) -> list[list[int]]:  # the fourth token repeats the first
        rows = generator.integers(1, 9, (number, 3)).tolist()
        return [[BEGIN, *row, row[0]] for row in rows]

    training, held_out = sentences(4000), sentences(500)
    bits = {
        order: -np.log2(NgramModel(*flat(training), order, 10).probabilities(*flat(held_out))).mean()
        for order in (2, 5)
    }
    assert bits[2] == pytest.approx(3, abs=0.1)  # every token is one of eight
    assert bits[5] == pytest.approx(3 * 3 / 4, abs=0.15)  # but for the last, which is certain


def test_discounts_follow_the_rule_of_chen_and_goodman() -> None:
    counts = np.repeat([1, 2, 3, 4, 9], [100, 40, 20, 12, 7])
    y = 100 / (100 + 2 * 40)
    expected = (1 - 2 * y * 40 / 100, 2 - 3 * y * 20 / 40, 3 - 4 * y * 12 / 20)
    assert discounts(counts) == pytest.approx(expected)
    assert discounts(np.array([1, 1, 2, 5])) == FALLBACK_DISCOUNTS


def test_documents_too_short_for_the_order_are_no_obstacle() -> None:
    model = NgramModel(*flat([[BEGIN, 1], [BEGIN]]), 5, 4)
    assert model.probabilities(*flat([[BEGIN, 1, 2, 3, 1, 2]])).min() > 0


def test_bits_are_those_of_each_document_with_its_bytes() -> None:
    tokenizer = CharacterTokenizer("가나다")
    training = [[BEGIN, *ids] for ids in tokenizer.encode_batch(["가나다가", "나다"])]
    model = NgramModel(*flat(training), 2, tokenizer.vocab_size)
    documents = [document("first", "가나"), document("second", "다가나")]
    likelihood = model.measure(documents, tokenizer)
    assert likelihood.documents == ("first", "second")
    assert likelihood.bytes.tolist() == [6, 9]
    for one, bits in zip(documents, likelihood.bits, strict=True):
        ids = [BEGIN, *tokenizer.encode_batch([one.text])[0]]
        probabilities = model.probabilities(np.array(ids), np.array([0]))
        assert bits == pytest.approx(-sum(map(math.log2, probabilities)))
