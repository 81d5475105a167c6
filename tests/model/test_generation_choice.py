"""Choosing tokens: each setting against the reference library's processors, chance against its probabilities."""

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from lab.errors import ConfigError
from lab.model.generate.choice import Chooser, penalise, restrict
from lab.model.sampling import Sampling

VOCAB = 57
CPU = torch.device("cpu")


def random_scores(rows: int = 6, seed: int = 0) -> Tensor:
    """Scores of both signs; in the last row some are equal."""
    scores = 3 * torch.randn(rows, VOCAB, generator=torch.Generator().manual_seed(seed))
    scores[-1] = scores[-1].round()
    return scores


def reference(sampling: Sampling, tokens: Tensor, scores: Tensor) -> Tensor:
    """The processors in the order in which the library's ``generate`` builds them."""
    processors = LogitsProcessorList()
    if sampling.repetition_penalty != 1:
        processors.append(RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty))
    processors.append(TemperatureLogitsWarper(sampling.temperature))
    if sampling.top_k > 0:
        processors.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        processors.append(TopPLogitsWarper(sampling.top_p))
    if sampling.min_p > 0:
        processors.append(MinPLogitsWarper(sampling.min_p))
    return processors(tokens, scores.clone())


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"temperature": 0.3},
        {"temperature": 2.5},
        {"top_k": 1},
        {"top_k": 5},
        {"top_k": VOCAB + 10},
        {"top_p": 0.5},
        {"top_p": 0.99},
        {"top_p": 1e-6},
        {"min_p": 0.1},
        {"min_p": 1.0},
        {"repetition_penalty": 1.4},
        {"repetition_penalty": 0.7},
        {"temperature": 0.6, "top_k": 20, "top_p": 0.9, "min_p": 0.05, "repetition_penalty": 1.1},
        {"temperature": 1.8, "top_k": 40, "top_p": 0.8, "min_p": 0.2, "repetition_penalty": 2.0},
    ],
    ids=str,
)
def test_scores_are_those_of_transformers(settings: dict[str, Any]) -> None:
    sampling = Sampling(**{"temperature": 1.0} | settings)
    scores = random_scores()
    tokens = torch.randint(VOCAB, (len(scores), 9), generator=torch.Generator().manual_seed(1))
    seen = torch.zeros_like(scores, dtype=torch.bool).scatter(1, tokens, True)
    ours = restrict(penalise(scores, seen, sampling.repetition_penalty), sampling)
    theirs = reference(sampling, tokens, scores)
    assert torch.equal(ours.isinf(), theirs.isinf())
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


def test_the_reference_takes_the_steps_in_this_order() -> None:
    """So that the list above is the library's own order and not ours."""
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 1, "num_hidden_layers": 1}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=VOCAB, **sizes))
    settings = GenerationConfig(
        do_sample=True, temperature=0.5, top_k=5, top_p=0.9, min_p=0.1, repetition_penalty=1.1
    )
    model._prepare_special_tokens(settings, device="cpu")
    processors = model._get_logits_processor(settings, input_ids_seq_length=3)
    assert [type(processor).__name__ for processor in processors] == [
        "RepetitionPenaltyLogitsProcessor",
        "TemperatureLogitsWarper",
        "TopKLogitsWarper",
        "TopPLogitsWarper",
        "MinPLogitsWarper",
    ]


def test_tokens_are_drawn_by_their_probabilities() -> None:
    """5,000 draws of one row each: every frequency within four standard errors, and nothing that was cut off."""
    scores = random_scores(1)
    sampling = Sampling(temperature=1.5, top_k=10)
    expected = torch.softmax(restrict(scores, sampling), dim=-1)[0].double()
    rows = 5000
    drawn = Chooser(sampling, [[0]] * rows, VOCAB, CPU)(scores.expand(rows, -1))
    frequency = torch.bincount(drawn, minlength=VOCAB) / rows
    assert not frequency[expected == 0].any()
    error = (expected * (1 - expected) / rows).sqrt()
    assert ((frequency - expected).abs() <= 4 * error).all()


def test_seeds_count_up_from_row_to_row() -> None:
    scores, sampling = random_scores(1).expand(3, -1), Sampling(temperature=1.0, seed=11)
    together = Chooser(sampling, [[0]] * 3, VOCAB, CPU)
    first, second = together(scores), together(scores)
    for row in range(3):
        alone = Chooser(Sampling(temperature=1.0, seed=11 + row), [[0]], VOCAB, CPU)
        assert alone(scores[:1]).item() == first[row]
        assert alone(scores[:1]).item() == second[row]
    assert len({*first.tolist(), *second.tolist()}) > 1


def test_penalties_cover_prompt_and_output() -> None:
    """Greedy under a large penalty never repeats itself while something else is left."""
    scores = random_scores(2).abs() + 1
    prompts = [[3, 4], [5]]
    choose = Chooser(Sampling(repetition_penalty=1e6), prompts, VOCAB, CPU)
    chosen = torch.stack([choose(scores) for _ in range(20)], dim=1)
    for row, prompt in zip(chosen.tolist(), prompts, strict=True):
        assert len(set(row)) == 20
        assert not set(row) & set(prompt)


def test_greedy_looks_at_nothing_but_the_scores() -> None:
    scores = random_scores()
    greedy = Chooser(Sampling(top_k=1, top_p=0.1, min_p=1.0, seed=4), [[0]] * 6, VOCAB, CPU)
    assert torch.equal(greedy(scores), scores.argmax(-1))
    assert Sampling(seed=3).is_greedy
    assert not Sampling(repetition_penalty=1.1).is_greedy


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("top_k", -1),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("min_p", -0.1),
        ("min_p", 1.5),
        ("repetition_penalty", 0.0),
        ("repetition_penalty", float("inf")),
        ("seed", -1),
        ("seed", 2**63),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(key: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"^{key}={value} cannot be used: it must .*\.$"):
        Sampling(**{key: value})
