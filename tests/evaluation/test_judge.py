"""Judging as a whole, on a tiny decoder and corpus: what results.json and race.json get, what is refused."""

import json

import numpy as np
import pytest
import torch

from lab.config import compose
from lab.errors import ConfigError
from lab.evaluation.compression import xz_bits_per_byte
from lab.evaluation.config import DecodingConfig, EvaluationConfig
from lab.evaluation.judge import build_probes, judge
from lab.evaluation.likelihood import draw_documents, measure
from lab.evaluation.ngram import NgramModel
from lab.evaluation.speed import decode_tokens_per_second
from lab.evaluation.yardsticks import yardsticks
from lab.model.decoder import Decoder
from tests.evaluation.stand_ins import TinyCorpus, document, tiny_decoder
from tests.evaluation.test_probes import DOCUMENTS

ENGLISH = [document(f"e{number}", f"The device number {number} is ready.", "en") for number in range(6)]
CORPUS = TinyCorpus(training=DOCUMENTS[4:] + ENGLISH[3:], held=DOCUMENTS[:4] + ENGLISH[:3])
CONFIG = EvaluationConfig(
    batch_size=4,
    max_bytes=400,
    num_items=8,
    decoding=DecodingConfig(2, prompt_length=4, new_tokens=3, repeats=2),
)


def test_results_hold_the_contract_and_are_plain_data() -> None:
    model = tiny_decoder()
    results = judge(model, CORPUS, CONFIG, sequence_length=32)
    assert json.loads(json.dumps(results)) == results
    assert set(results["bits_per_byte"]) == {"ko", "en"}
    for language, bits in results["bits_per_byte"].items():
        low, high = results["bits_per_byte_interval"][language]
        by_document = results["held_out"][language]
        assert low <= bits <= high
        assert bits == pytest.approx(sum(by_document["bits"]) / sum(by_document["bytes"]))
        assert sum(by_document["bytes"]) <= 400
    assert set(results["probes"]) == {"object_particle", "particle_role"}
    for probe in results["probes"].values():
        assert {"accuracy", "chance", "num_items", "low", "high"} <= set(probe)
        assert probe["low"] <= probe["accuracy"] <= probe["high"]
    assert results["throughput"]["decode_tokens_per_second"] > 0


def test_judging_again_gives_the_same_figures() -> None:
    first, second = (judge(tiny_decoder(), CORPUS, CONFIG, 32) for _ in range(2))
    first.pop("throughput"), second.pop("throughput")
    assert first == second


def test_the_settings_length_goes_before_the_trainers() -> None:
    model = tiny_decoder()
    short = EvaluationConfig(sequence_length=4, batch_size=4, max_bytes=400, num_items=0)
    documents = draw_documents(CORPUS.held_out("ko"), 400, 0)
    expected = measure(documents, CORPUS.tokenizer, model, 4, 4).bits_per_byte
    assert judge(model, CORPUS, short, 32)["bits_per_byte"]["ko"] == pytest.approx(expected, rel=1e-6)
    assert measure(documents, CORPUS.tokenizer, model, 32, 4).bits_per_byte != pytest.approx(
        expected, rel=1e-6
    )


def test_without_korean_or_items_there_are_no_probes() -> None:
    assert build_probes(TinyCorpus(ENGLISH[3:], ENGLISH[:3]), CONFIG) == []
    assert build_probes(CORPUS, EvaluationConfig(num_items=0)) == []


@pytest.mark.parametrize(
    ("config", "key"),
    [
        (EvaluationConfig(sequence_length=5000), "evaluation.sequence_length=5000"),
        (EvaluationConfig(decoding=DecodingConfig(new_tokens=5000)), "evaluation.decoding.new_tokens=5032"),
    ],
)
def test_lengths_beyond_the_model_are_refused_before_any_work(config: EvaluationConfig, key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        judge(tiny_decoder(), CORPUS, config, 32)


@pytest.mark.parametrize(
    "override",
    [
        "evaluation.batch_size=0",
        "evaluation.num_items=3",
        "evaluation.max_bytes=0",
        "evaluation.sequence_length=-1",
        "evaluation.decoding.repeats=0",
    ],
)
def test_settings_that_cannot_be_used_are_named(override: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{override} cannot be used"):
        compose([override])


def test_the_default_file_says_what_the_class_says() -> None:
    assert compose([]).evaluation == EvaluationConfig()


def test_decoding_speed_counts_the_new_tokens_of_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, asked = [0.0], []

    def generate(model: Decoder, prompt: torch.Tensor, num_new: int) -> torch.Tensor:
        asked.append((tuple(prompt.shape), num_new, model.training))
        clock[0] += (9.0, 2.0, 1.0, 4.0)[len(asked) - 1]  # the first one warms up
        return prompt

    monkeypatch.setattr("lab.evaluation.speed.generate", generate)
    monkeypatch.setattr("lab.evaluation.speed.time.perf_counter", lambda: clock[0])
    model = tiny_decoder().train()
    assert decode_tokens_per_second(model, DecodingConfig(5, 7, 11, repeats=3), seed=0) == 5 * 11 / 2.0
    assert asked[1:] == [((5, 7), 11, False)] * 3
    assert model.training


def test_yardsticks_read_what_they_are_given_and_are_judged_on_the_same_documents() -> None:
    shards = {language: CORPUS.train_tokens(language) for language in ("ko", "en")}
    pieces = {language: [shard.document(1), shard.document(0)] for language, shard in shards.items()}
    result = yardsticks(CORPUS, CONFIG, pieces)
    assert set(result["yardsticks"]) == {"bigram", "five_gram", "xz"}
    assert result["yardstick_tokens"] == sum(len(piece) for own in pieces.values() for piece in own)

    held_out = draw_documents(CORPUS.held_out("ko"), CONFIG.max_bytes, CONFIG.seed)
    tokens = np.concatenate(pieces["ko"]).astype(np.int64)
    for name, n in (("bigram", 2), ("five_gram", 5)):
        model = NgramModel(tokens, np.array([0, len(pieces["ko"][0])]), n, CORPUS.tokenizer.vocab_size)
        expected = model.measure(held_out, CORPUS.tokenizer).bits_per_byte
        assert result["yardsticks"][name]["ko"] == pytest.approx(expected)
    plain = xz_bits_per_byte([one.text for one in held_out])
    assert 0 < result["yardsticks"]["xz"]["ko"] < plain
