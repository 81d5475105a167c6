"""Scores of choices: by hand on models known in closed form, and what cannot be scored."""

import math
from dataclasses import astuple

import numpy as np
import pytest

from lab.data.tokenizer import Tokenizer
from lab.errors import ConfigError
from lab.evaluation.items import ChoiceItem, Probe
from lab.evaluation.scoring import TaskScore, continuation_nats, score_task, token_edges
from lab.evaluation.statistics import bootstrap_difference, clustered_t_test, mcnemar_exact
from tests.evaluation.stand_ins import CharacterTokenizer, StandIn, tiny_decoder, uniform

TOKENIZER = CharacterTokenizer("가나다라마 abc")
ITEMS = (
    ChoiceItem("가나", (" 다", " 라a"), 0, "d1"),
    ChoiceItem("나나", (" 마가", " b"), 1, "d2"),
)
PROBE = Probe("made_up", 2, ITEMS)


def by_character(prices: dict[str, float], copied: float = 0.0) -> StandIn:
    """Charges each character its price, 1 where it has none, less ``copied`` where the row had it before."""

    def nats(inputs: list[int], wanted: list[int]) -> list[float]:
        names = TOKENIZER.decode(wanted)
        return [prices.get(name, 1.0) - copied * (name in names[:place]) for place, name in enumerate(names)]

    return StandIn(nats)


def test_only_the_choice_is_charged() -> None:
    model = by_character({"가": 100.0, "다": 3.0})
    nats, truncated = continuation_nats(model, TOKENIZER, [("가가", " 다"), ("", "가")], 64, 64)
    assert nats.tolist() == [4.0, 100.0]
    assert truncated == [False, False]


def test_a_score_is_per_byte_of_the_choice() -> None:
    score = score_task(PROBE, uniform(8), TOKENIZER, 64, 64)
    # " 다" is 2 tokens and 4 bytes, " 라a" 3 and 5, " 마가" 3 and 7, " b" 2 and 2.
    per_byte = [2 / 4 - 3 / 5, 2 / 2 - 3 / 7]
    assert score.margins == pytest.approx([-math.log(8) * one for one in per_byte])
    assert score.correct == (True, False)
    assert score.accuracy == score.chance == 0.5
    low, high = score.interval
    assert low < 0.1
    assert high > 0.9
    assert score.fewest_tokens == 1.0
    assert TaskScore.of_dict(score.as_dict()) == score


def test_information_is_what_the_context_adds() -> None:
    """A choice that is dear by itself is right where the context has its letter."""
    probe = Probe(
        "copying", 2, (ChoiceItem("다 나", (" 다", " 라"), 0, "d"), ChoiceItem("라", (" 다", " 라"), 1, "d"))
    )
    model = by_character({"다": 9.0, "라": 5.0}, copied=1.0)
    assert score_task(probe, model, TOKENIZER, 64, 64).correct == (False, True)
    informed = score_task(probe, model, TOKENIZER, 64, 64, "information")
    assert informed.correct == (True, True)
    assert informed.margins == pytest.approx([1 / 4, 1 / 4])  # a nat, of four bytes


def test_a_margin_is_over_the_mean_of_the_wrong_and_documents_are_numbered() -> None:
    choices = (" 가", " 나", " 다", " 라")
    items = [ChoiceItem("마", choices, answer, f"d{answer % 2}") for answer in (1, 0, 3)]
    model = by_character({"가": 1.0, "나": 2.0, "다": 3.0, "라": 6.0})
    score = score_task(Probe("made_up", 3, tuple(items)), model, TOKENIZER, 64, 64)
    wrong = [(1 + 3 + 6) / 3, (2 + 3 + 6) / 3, (1 + 2 + 3) / 3]
    assert score.margins == pytest.approx(
        [(mean - own) / 4 for mean, own in zip(wrong, (2, 1, 6), strict=True)]
    )
    assert score.groups == (0, 1, 0)
    assert score.as_dict()["documents"] == 2


def test_a_model_that_knows_nothing_has_no_margin_however_sure_it_is() -> None:
    """Random prices: over the best wrong choice the margin would fall with the scale, over the mean it stays 0."""
    draw = np.random.default_rng(0)
    for scale in (0.1, 10.0):
        prices = scale * draw.random((2000, 4))
        margins = prices[:, 1:].mean(axis=1) - prices[:, 0]
        test = clustered_t_test(margins, np.arange(2000))
        assert test.low < 0 < test.high
        assert (prices[:, 1:].min(axis=1) - prices[:, 0]).mean() < -0.2 * scale


def test_a_token_across_the_border_counts_to_the_choice() -> None:
    tokenizer = Tokenizer.train(["나무를 본다 " * 50], vocab_size=300)
    model = tiny_decoder()
    for context, choice in (("나무", "를 본다"), ("나무를 본", "다"), ("나무를", " 본다")):
        whole, before = (tokenizer.encode(text) for text in (context + choice, context))
        shared = next((i for i, (a, b) in enumerate(zip(whole, before, strict=False)) if a != b), len(before))
        shared = min(shared, len(whole))
        seen: list[int] = []
        spy = StandIn(lambda inputs, wanted, seen=seen: seen.extend(wanted) or [1.0] * len(wanted))
        nats, _ = continuation_nats(spy, tokenizer, [(context, choice)], 64, 64)
        assert nats[0] == len(whole) - shared
    nats, _ = continuation_nats(model, tokenizer, [("나무", "를 본다")], 64, 64)
    assert nats[0] > 0


def test_batches_and_their_size_change_nothing() -> None:
    model = tiny_decoder()
    tokenizer = Tokenizer.train(["나무를 본다 " * 50], vocab_size=300)
    asked = [("나무를 본다" * count, " 나무" * length) for count in (1, 3, 9) for length in (1, 4)]
    one, _ = continuation_nats(model, tokenizer, asked, 128, 1)
    many, _ = continuation_nats(model, tokenizer, asked, 128, 10_000)
    assert one == pytest.approx(many, rel=1e-4)


def test_a_long_context_loses_its_beginning_and_is_counted() -> None:
    model = by_character({})
    probe = Probe("long", 1, (ChoiceItem("가" * 50, (" 다", " 라"), 0, "d"),))
    score = score_task(probe, model, TOKENIZER, 10, 64)
    assert score.truncated == 1
    assert all(len(inputs) == 10 for inputs, _ in model.seen)
    with pytest.raises(
        ConfigError, match=r"A choice has 2 tokens, .* evaluation.window must be at least 2\.$"
    ):
        score_task(probe, model, TOKENIZER, 1, 64)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_model_without_numbers_has_no_score(value: float) -> None:
    broken = StandIn(lambda inputs, wanted: [value] * len(wanted))
    with pytest.raises(ConfigError, match=r"no finite likelihood for 4 of 4 texts of made_up: [^.]*\.$"):
        score_task(PROBE, broken, TOKENIZER, 64, 64)


def test_ranges_tile_the_window_and_double() -> None:
    assert token_edges(256, 1024) == [(0, 64), (64, 128), (128, 256), (256, 512), (512, 1024)]
    assert token_edges(8, 11) == [(0, 2), (2, 4), (4, 8), (8, 11)]
    assert token_edges(1, 1) == [(0, 1)]


def test_mcnemar_against_its_binomial() -> None:
    from scipy.stats import binomtest

    draw = np.random.default_rng(0)
    for _ in range(20):
        first, second = (draw.random(30) < share for share in (0.7, 0.5))
        only, other = int((first & ~second).sum()), int((second & ~first).sum())
        expected = binomtest(only, only + other, 0.5).pvalue if only + other else 1.0
        assert mcnemar_exact(first, second) == pytest.approx(expected)


def test_a_paired_interval_is_narrower_than_the_items_alone() -> None:
    draw = np.random.default_rng(0)
    second = (draw.random(400) < 0.5).astype(float)
    first = np.where(draw.random(400) < 0.05, 1.0, second)
    low, high = bootstrap_difference(first, second, seed=0)
    assert 0 < low < first.mean() - second.mean() < high
    assert high - low < 0.06


def test_the_clustered_test_is_students_where_every_group_is_one_item() -> None:
    from scipy.stats import ttest_1samp

    values = np.random.default_rng(0).normal(0.1, 1, 30)
    found, expected = clustered_t_test(values, np.arange(30)), ttest_1samp(values, 0)
    assert found.p_value == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval()
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_items_that_are_repeated_make_no_surer() -> None:
    values = np.random.default_rng(0).normal(0.3, 1, 30)
    once = clustered_t_test(values, np.arange(30))
    fourfold = clustered_t_test(np.repeat(values, 4), np.repeat(np.arange(30) * 7, 4))
    assert astuple(fourfold) == pytest.approx(astuple(once))


def test_the_clustered_test_keeps_its_level() -> None:
    draw = np.random.default_rng(0)
    groups = np.arange(200) % 20
    found = [
        clustered_t_test(draw.normal(0, 1, 20)[groups] + draw.normal(0, 1, 200), groups).p_value < 0.05
        for _ in range(400)
    ]
    assert 0.02 < np.mean(found) < 0.08


def test_what_has_no_spread_is_no_sample() -> None:
    for values, groups in (([1.0, 1.0], [0, 1]), ([1.0, 2.0], [0, 0])):
        found = clustered_t_test(np.array(values), np.array(groups))
        assert (found.low, found.high, found.p_value) == (found.mean, found.mean, 1.0)
