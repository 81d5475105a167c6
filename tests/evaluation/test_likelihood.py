"""Bits per byte: exact on models known in closed form, equal to one document at a time, every token once."""

import math

import numpy as np
import pytest
import torch

from lab.evaluation.likelihood import Likelihood, draw_documents, measure, text_nats
from lab.evaluation.statistics import bootstrap_ratio, wilson_interval
from tests.evaluation.stand_ins import BEGIN, CharacterTokenizer, StandIn, document, tiny_decoder, uniform

TEXTS = ["가나다라", "a", "나무가 자란다. 나무가 크다.", "ab 가나", "", "다" * 37]
TOKENIZER = CharacterTokenizer("".join(TEXTS))


def test_a_uniform_model_needs_log_of_the_vocabulary_per_token() -> None:
    documents = [document(str(place), text) for place, text in enumerate(TEXTS) if text]
    likelihood = measure(documents, TOKENIZER, uniform(8), sequence_length=5, batch_size=2)
    # log2(8) bits a character; a hangul syllable has three bytes, an ASCII character one.
    for one, bits, length in zip(documents, likelihood.bits, likelihood.bytes, strict=True):
        assert bits == pytest.approx(3 * len(one.text), rel=1e-6)
        assert length == sum(3 if "가" <= character <= "힣" else 1 for character in one.text)
    characters = sum(len(text) for text in TEXTS)
    assert likelihood.bits_per_byte == pytest.approx(3 * characters / sum(likelihood.bytes), rel=1e-6)


@pytest.mark.parametrize("sequence_length", [1, 5, 64])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_every_token_is_predicted_once_from_the_one_before(sequence_length: int, batch_size: int) -> None:
    model = uniform(8)
    text_nats(model, TOKENIZER, TEXTS, sequence_length, batch_size)
    assert all(len(inputs) <= sequence_length for inputs, _ in model.seen)
    steps = [
        (inputs[place], wanted[place])
        for (inputs, wanted), scored in zip(model.seen, model.scored, strict=True)
        for place in scored
    ]
    expected = [
        step for ids in TOKENIZER.encode_batch(TEXTS) for step in zip([BEGIN, *ids], ids, strict=False)
    ]
    assert sorted(steps) == sorted(expected)


def test_equals_one_document_at_a_time() -> None:
    model, length, generator = tiny_decoder(), 16, torch.Generator().manual_seed(1)

    class Numbers:
        begin_id = 3

        def encode_batch(self, texts: list[str]) -> list[list[int]]:
            return [[int(word) for word in text.split()] for text in texts]

    texts = [
        " ".join(map(str, torch.randint(512, (size,), generator=generator).tolist()))
        for size in (1, 5, 16, 17, 48, 63)
    ]
    expected = []
    for ids in Numbers().encode_batch(texts):
        nats = 0.0
        for place, target in enumerate(ids):
            # The window that first reaches this target: they end at targets 16, 24, 32, ...
            end = length if place < length else place - place % 8 + 8
            before = [3, *ids][max(end - length, 0) : place + 1]
            with torch.no_grad():
                probabilities = torch.log_softmax(model.logits(torch.tensor([before])).double(), dim=-1)
            nats -= probabilities[0, -1, target].item()
        expected.append(nats)
    np.testing.assert_allclose(text_nats(model, Numbers(), texts, length, 2), expected, rtol=1e-5)


def test_the_model_is_in_evaluation_mode_and_returns_to_its_own() -> None:
    for mode in (True, False):
        model = uniform(8).train(mode)
        text_nats(model, TOKENIZER, TEXTS, 8, 2)
        assert not any(model.modes)
        assert model.training is mode


def test_the_mode_is_restored_after_an_error() -> None:
    def fail(inputs: list[int], wanted: list[int]) -> list[float]:
        raise RuntimeError

    model = StandIn(fail).train()
    with pytest.raises(RuntimeError):
        text_nats(model, TOKENIZER, ["가"], 8, 2)
    assert model.training


def test_drawn_documents_fill_the_bytes_from_many_documents() -> None:
    documents = [document(f"d{place}", "가나 다라" * 200) for place in range(40)]
    drawn = draw_documents(documents, 1600, seed=0)
    lengths = [len(one.text.encode()) for one in drawn]
    assert 1590 <= sum(lengths) <= 1600
    assert len(drawn) >= 16
    assert max(lengths) <= 100
    originals = {one.id: one.text for one in documents}
    assert all(originals[one.id].startswith(one.text) for one in drawn)


def test_drawn_documents_depend_on_the_seed_and_not_on_the_order() -> None:
    documents = [document(f"d{place}", f"글 {place}") for place in range(40)]
    drawn = draw_documents(documents, 60, seed=0)
    assert drawn == draw_documents(documents[::-1], 60, seed=0)
    assert drawn != draw_documents(documents, 60, seed=1)


def test_without_a_limit_every_document_with_text_is_drawn_whole() -> None:
    documents = [document("a", "가" * 900), document("b", ""), document("c", "나")]
    drawn = draw_documents(documents, None, seed=0)
    assert sorted(one.id for one in drawn) == ["a", "c"]
    assert {one.text for one in drawn} == {"가" * 900, "나"}


def test_a_single_document_may_take_all_bytes() -> None:
    assert len(draw_documents([document("a", "a" * 500)], 100, seed=0)[0].text) == 100


def test_bootstrap_interval_covers_the_true_ratio_about_as_often_as_it_says() -> None:
    generator, covered = np.random.default_rng(0), 0
    for trial in range(200):
        sizes = generator.integers(50, 150, 60)
        bits = sizes * generator.normal(2.0, 0.3, 60)
        low, high = bootstrap_ratio(bits, sizes, seed=trial, resamples=400)
        covered += low <= 2.0 <= high
    assert 0.88 <= covered / 200 <= 0.98


def test_interval_of_equal_documents_is_a_point() -> None:
    likelihood = Likelihood(("a", "b"), np.array([6.0, 12.0]), np.array([3, 6]))
    assert likelihood.interval() == pytest.approx((2.0, 2.0))


def test_wilson_interval_solves_the_score_equation() -> None:
    for successes, trials in ((0, 10), (3, 10), (81, 263), (10, 10)):
        proportion = successes / trials
        for bound in wilson_interval(successes, trials):
            distance = abs(proportion - bound)
            assert distance == pytest.approx(1.959964 * math.sqrt(bound * (1 - bound) / trials), abs=1e-6)
