"""Measures of a run: asked for by name, the same tokens at every length, ranks that can be worked out by hand."""

import json
import math

import pytest
import torch

from lab.config import compose
from lab.data.tokenizer import Tokenizer
from lab.errors import ConfigError
from lab.evaluation.config import DecodingConfig, EvaluationConfig
from lab.evaluation.judge import judge
from lab.evaluation.measures.catalogue import MEASURES
from lab.evaluation.measures.gate_rank import entropy_rank, gates_of
from lab.evaluation.measures.long_context import MULTIPLES, REACH, bits_of_parts, cut_long_texts
from lab.evaluation.measures.take import take_measures
from lab.model.decoder import Decoder, initialise
from lab.model.feed_forward.gated import GatedFeedForward
from tests.evaluation.stand_ins import (
    TINY,
    CharacterTokenizer,
    StandIn,
    TinyCorpus,
    document,
    tiny_decoder,
)

LONG = [document(f"d{place}", f"세금을 {place}번 낸다. The tax. " * 20) for place in range(3)]
ENGLISH = [document(f"e{place}", f"The tax number {place} is paid. " * 20, "en") for place in range(3)]
CORPUS = TinyCorpus(training=[*LONG, *ENGLISH], held=[*LONG, *ENGLISH])
CONFIG = EvaluationConfig(
    batch_size=4,
    max_bytes=4096,
    num_items=0,
    decoding=DecodingConfig(1, prompt_length=2, new_tokens=1, repeats=1),
    measures=["long_context", "gate_rank"],
)
T = 8


def test_results_hold_the_measures_that_are_asked_for_as_plain_data() -> None:
    figures = judge(tiny_decoder(), CORPUS, CONFIG, T)["measures"]
    assert set(figures) == set(CONFIG.measures)
    assert json.loads(json.dumps(figures)) == figures
    korean = figures["long_context"]["ko"]
    for multiple in MULTIPLES:
        low, high = korean["interval"][f"x{multiple}"]
        assert low <= korean[f"x{multiple}"] <= high
        assert len(korean["by_position"][f"x{multiple}"]) == REACH
    assert korean["gain"] == pytest.approx(korean["x1"] - korean["x8"])
    ranks = figures["gate_rank"]
    assert len(ranks["effective_rank"]["units"]) == 2
    for kind in ("effective_rank", "entropy_rank", "centred_rank"):
        assert ranks[kind]["mean"] == pytest.approx(sum(ranks[kind]["units"]) / 2)
        assert all(1 <= rank <= 64 for rank in ranks[kind]["units"])


def test_nothing_is_measured_unless_asked() -> None:
    assert take_measures(tiny_decoder(), CORPUS, EvaluationConfig(), T) == {}


def test_unknown_names_and_too_few_positions_are_told_before_any_work() -> None:
    with pytest.raises(
        ConfigError, match=r"^evaluation.measures=longcontext is unknown: it can be .*long_context"
    ):
        compose(["evaluation.measures=[longcontext]"])
    wanted = (
        r"^8 x trainer.sequence_length \(evaluation.measures=long_context\)=2048 .* model.max_positions=1024"
    )
    with pytest.raises(ConfigError, match=wanted):
        CONFIG.require_within(1024, 256)
    CONFIG.require_within(1024, 128)
    assert MEASURES["gate_rank"].reach == 1


@pytest.mark.parametrize("multiple", MULTIPLES)
def test_every_length_scores_the_same_tokens_once(multiple: int) -> None:
    """A model that needs n bits for the nth token of a window: 0 + 1 + ... in each window."""
    counting = StandIn(lambda inputs, wanted: [place * math.log(2) for place in range(len(wanted))])
    tokens = torch.arange(2 * REACH * T).reshape(2, -1) + 2
    window = multiple * T
    bits = bits_of_parts(counting, 0, tokens, window, batch_tokens=3 * T)
    assert bits.sum() == pytest.approx((tokens.numel() // window) * window * (window - 1) / 2)
    assert [token for _, wanted in counting.seen for token in wanted] == tokens.flatten().tolist()
    assert {inputs[0] for inputs, _ in counting.seen} == {0}
    parts = [sum(place % window for place in range(part * T, (part + 1) * T)) for part in range(REACH)]
    assert bits[0].tolist() == pytest.approx(parts)


def test_the_batch_changes_nothing() -> None:
    model, tokens = tiny_decoder(), torch.randint(2, 500, (3, REACH * T))
    one, many = (bits_of_parts(model, 0, tokens, 2 * T, size) for size in (1, 10_000))
    assert one == pytest.approx(many, rel=1e-4)


def test_longer_windows_of_a_model_that_looks_back_hold_more_context() -> None:
    """The first part of a text is read alike at every length; later ones are not."""
    model, tokens = tiny_decoder(), torch.randint(2, 500, (2, REACH * T))
    short, long = (bits_of_parts(model, 0, tokens, multiple * T, 64) for multiple in (1, REACH))
    assert short[:, 0] == pytest.approx(long[:, 0], rel=1e-4)
    assert not torch.allclose(torch.tensor(short[:, 1:]), torch.tensor(long[:, 1:]), rtol=1e-4)


def test_texts_come_from_one_document_each_and_keep_their_bytes() -> None:
    short = document("short", "세금을 낸다. ")
    texts = cut_long_texts([short, *LONG], CORPUS.tokenizer, T, None)
    assert texts is not None
    pieces = [CORPUS.tokenizer.decode(row.tolist()) for row in texts.tokens]
    assert [len(piece) for piece in pieces] == [REACH * T] * len(pieces)
    assert all(any(piece in one.text for one in LONG) for piece in pieces)
    assert texts.bytes.sum(1).tolist() == [len(piece.encode()) for piece in pieces]
    limited = cut_long_texts(LONG, CORPUS.tokenizer, T, 300)
    assert limited is not None
    assert len(limited.tokens) < len(texts.tokens)
    assert limited.bytes.sum() <= 300


def test_a_character_cut_in_two_counts_after_the_cut() -> None:
    tokenizer = Tokenizer.train(["세금 기기"], vocab_size=262)
    texts = cut_long_texts([document("a", "켠" * 40)], tokenizer, 2, None)
    assert texts is not None
    assert texts.tokens.shape[1] == 16
    assert texts.bytes.sum() % 3 == 0
    assert abs(int(texts.bytes.sum()) - texts.tokens.numel()) < 3


def test_without_long_documents_long_context_is_one_sentence() -> None:
    corpus = TinyCorpus(LONG, [document("a", "세금을 낸다")])
    with pytest.raises(
        ConfigError, match=r"no held-out document in ko has 8 x trainer\.sequence_length = 64 tokens"
    ):
        take_measures(tiny_decoder(), corpus, CONFIG, T)
    assert cut_long_texts([document("a", "ab")], CharacterTokenizer("ab"), T, None) is None


def test_the_entropy_rank_of_equal_directions_is_their_number() -> None:
    assert entropy_rank(torch.eye(5) * 3) == pytest.approx(5)
    assert entropy_rank(torch.ones(4, 6)) == pytest.approx(1)
    p = torch.tensor([0.75, 0.25])
    assert entropy_rank(torch.diag(p)) == pytest.approx(math.exp(-(p * p.log()).sum()))


@pytest.mark.parametrize("feed_forward", ["swiglu", "polynorm", "sigmoid_polynorm"])
def test_gates_are_what_multiplies_the_up_projection(feed_forward: str) -> None:
    config = compose(["model=llama", *TINY, f"model/feed_forward={feed_forward}"])
    model = initialise(Decoder(config.model), 0)
    units = [module for module in model.modules() if isinstance(module, GatedFeedForward)]
    tokens = torch.randint(0, 512, (3, 5))
    before = model.logits(tokens)
    inputs: list[torch.Tensor] = []
    handle = units[0].register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    gates = gates_of(model, units, tokens, batch_size=3)
    handle.remove()
    x = inputs[0]
    up = units[0].up(x)
    product = units[0].activation(units[0].gate(x), up)
    assert torch.allclose(gates[0].view_as(up) * up, product, atol=1e-6)
    assert len(gates) == 2
    assert gates[1].shape == (15, 64)
    assert torch.equal(model.logits(tokens), before), "no hook is left behind"


def test_a_model_of_routed_experts_alone_has_no_gate_to_measure() -> None:
    config = compose(["model=solar_open", *TINY, "scale.shared_experts=0"])
    with pytest.raises(ConfigError, match="every feed-forward is routed experts"):
        take_measures(
            initialise(Decoder(config.model), 0), CORPUS, EvaluationConfig(measures=["gate_rank"]), T
        )
