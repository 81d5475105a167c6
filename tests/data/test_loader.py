"""Batches against an obvious twin; resuming bit for bit; shares of the mixture; what cannot be loaded."""

import itertools
import json
from collections import Counter
from dataclasses import astuple

import pytest
import torch

from lab.data.corpus import Corpus
from lab.data.loader import IGNORED, Batch, Loader, stream_tokens
from lab.data.stream import Mixture, ShuffledDocuments
from lab.errors import ConfigError

MIXTURE = {"ko": 0.5, "en": 0.25, "code": 0.25}


def make(corpus: Corpus, sequence_length: int = 32, batch_size: int = 4, seed: int = 3) -> Loader:
    return Loader(corpus, sequence_length, batch_size, MIXTURE, seed)


def same(left: Batch, right: Batch) -> bool:
    return all(torch.equal(a, b) for a, b in zip(astuple(left), astuple(right), strict=True))


def twin_rows(corpus: Corpus, language: str, seed: int, length: int) -> list[list[tuple[int, int, int, int]]]:
    """Rows of (token, target, document, position), one token after another: slow and obviously right."""
    documents = ShuffledDocuments(corpus.train_tokens(language), language, seed)
    stream: list[tuple[int, int]] = []  # (token, running number of its document)
    for number in range(2 * documents.shard.num_documents):
        stream += [(int(token), number) for token in documents.next().tokens]
    rows = []
    for start in range(0, len(stream) - length - 1, length):
        row: list[tuple[int, int, int, int]] = []
        for place in range(start, start + length):
            (token, number), (following, next_number) = stream[place], stream[place + 1]
            target = following if next_number == number else IGNORED
            if place == start:
                document, position = 0, 0
            elif number == stream[place - 1][1]:
                document, position = row[-1][2], row[-1][3] + 1
            else:
                document, position = row[-1][2] + 1, 0
            row.append((token, target, document, position))
        rows.append(row)
    return rows


@pytest.mark.parametrize(("sequence_length", "batch_size"), [(32, 4), (7, 5), (200, 3), (1, 8)])
def test_batches_equal_the_obvious_twin(corpus: Corpus, sequence_length: int, batch_size: int) -> None:
    seed = 3
    loader = make(corpus, sequence_length, batch_size, seed)
    rows = {
        language: iter(twin_rows(corpus, language, seed, sequence_length)) for language in corpus.languages
    }
    languages = Mixture({language: MIXTURE[language] for language in corpus.languages})
    for batch in itertools.islice(loader, 12):
        expected = torch.tensor([next(rows[language]) for language in languages.next(batch_size)])
        for place, tensor in enumerate(astuple(batch)):
            assert tensor.dtype == torch.int64
            assert torch.equal(tensor, expected[:, :, place])


def test_targets_stay_within_documents(corpus: Corpus) -> None:
    begin, end = corpus.tokenizer.begin_id, corpus.tokenizer.end_id
    for batch in itertools.islice(make(corpus), 40):
        ends = batch.tokens == end
        assert torch.equal(batch.targets == IGNORED, ends)
        assert not (batch.targets == begin).any()
        assert torch.equal(batch.positions == 0, (batch.tokens == begin) | (torch.arange(32) == 0))
        inner = batch.documents[:, 1:] == batch.documents[:, :-1]
        assert torch.equal(inner, batch.positions[:, 1:] == batch.positions[:, :-1] + 1)
        assert torch.equal(batch.targets[:, :-1][inner], batch.tokens[:, 1:][inner])


def test_every_document_is_met_once_an_epoch_in_another_order(corpus: Corpus) -> None:
    documents = ShuffledDocuments(corpus.train_tokens("ko"), "ko", seed=0)
    count = documents.shard.num_documents
    epochs = [[documents.next().index for _ in range(count)] for _ in range(3)]
    assert all(sorted(epoch) == list(range(count)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    other = ShuffledDocuments(corpus.train_tokens("ko"), "ko", seed=1)
    assert epochs[0] != [other.next().index for _ in range(count)]


def test_seeds_decide_the_batches(corpus: Corpus) -> None:
    assert same(next(make(corpus, seed=5)), next(make(corpus, seed=5)))
    assert not same(next(make(corpus, seed=5)), next(make(corpus, seed=6)))


def test_resuming_anywhere_gives_the_same_batches(corpus: Corpus) -> None:
    steps = 60  # beyond the first epoch
    loader = make(corpus, sequence_length=64, batch_size=5)
    batches, states = [], [json.dumps(loader.state())]
    for _ in range(steps):
        batches.append(next(loader))
        states.append(json.dumps(loader.state()))
    assert max(len(state) for state in states) < 1000
    assert json.loads(states[-1])["streams"]["ko"]["documents"]["epoch"] > 0
    for step in range(steps):
        resumed = make(corpus, sequence_length=64, batch_size=5)
        resumed.restore(json.loads(states[step]))
        for offset in range(min(3, steps - step)):
            assert same(next(resumed), batches[step + offset])
            assert json.dumps(resumed.state()) == states[step + offset + 1]


def test_mixture_holds_every_language_within_a_row_of_its_share() -> None:
    weights = {"ko": 5.0, "en": 3.0, "code": 2.0}
    mixture = Mixture(weights)
    rows: Counter[str] = Counter()
    for total in range(1, 500):
        rows.update(mixture.next(1))
        for language, weight in weights.items():
            assert abs(rows[language] - total * weight / 10) < 1


def test_mixture_counts_tokens(corpus: Corpus) -> None:
    loader = Loader(
        corpus,
        16,
        10,
        {
            "ko": 0.7,
            "en": 0.2,
            "code": 0.1,
        },
        seed=0,
    )
    hangul = 0
    for batch in itertools.islice(loader, 5):
        texts = [corpus.tokenizer.decode(row.tolist()) for row in batch.tokens]
        hangul += sum(any("가" <= letter <= "힣" for letter in text) for text in texts)
    assert hangul == 35


def test_a_language_of_weight_zero_is_left_out(corpus: Corpus) -> None:
    loader = Loader(corpus, 16, 4, {"ko": 1.0, "en": 0.0}, seed=0)
    assert loader.state()["streams"].keys() == {"ko"}


@pytest.mark.parametrize("num_tokens", [1, 100, 640])
def test_stream_tokens_are_the_tokens_of_the_batches(corpus: Corpus, num_tokens: int) -> None:
    arguments = (corpus, 32, 4, MIXTURE, 3)
    pieces = [piece for own in stream_tokens(*arguments, num_tokens).values() for piece in own]
    assert sum(map(len, pieces)) == num_tokens
    rows = torch.cat([batch.tokens for batch in itertools.islice(Loader(*arguments), num_tokens // 128 + 1)])
    assert Counter(token for piece in pieces for token in piece.tolist()) == Counter(
        rows.flatten()[:num_tokens].tolist()
    )
    begin, end = corpus.tokenizer.begin_id, corpus.tokenizer.end_id
    assert all(begin not in piece[1:] and end not in piece[:-1] for piece in pieces)


def test_stream_tokens_hold_a_document_once_however_often_it_is_met(corpus: Corpus) -> None:
    streams = stream_tokens(corpus, 32, 4, MIXTURE, 3, num_tokens=1_000_000)
    for language, pieces in streams.items():
        shard = corpus.train_tokens(language)
        whole = sorted(shard.document(index).tolist() for index in range(shard.num_documents))
        assert sorted(piece.tolist() for piece in pieces) == whole


def test_a_corpus_smaller_than_one_batch_is_refused(corpus: Corpus) -> None:
    available = sum(len(corpus.train_tokens(language).tokens) for language in corpus.languages)
    with pytest.raises(ConfigError) as caught:
        make(corpus, sequence_length=available, batch_size=2)
    for word in (
        f"trainer.sequence_length={available}",
        "trainer.batch_size=2",
        f"the corpus has {available}",
    ):
        assert word in str(caught.value)


def test_a_language_that_is_not_there_is_refused(corpus: Corpus) -> None:
    korean_only = Corpus(corpus.directory, corpus.texts, {**corpus.manifest, "languages": {"ko": {}}})
    with pytest.raises(ConfigError, match=r"data.mixture.en=0.25 cannot be met: the corpus holds ko only"):
        make(korean_only)
