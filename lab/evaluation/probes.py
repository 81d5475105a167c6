"""Accuracy by likelihood on the probes of a race: whole texts compared, as they were trained on."""

from typing import Any

from lab.data.tokenizer import Tokenizer
from lab.evaluation.items import Probe
from lab.evaluation.likelihood import LanguageModel, TextTokenizer, text_nats
from lab.evaluation.statistics import wilson_interval


def score_probe(
    probe: Probe, model: LanguageModel, tokenizer: Tokenizer, sequence_length: int, batch_size: int
) -> dict[str, Any]:
    """The share of items where the right choice makes the most probable text, with a 95 % interval (Wilson).

    Compared are the log-likelihoods of the whole texts, context and choice encoded together: how a choice is
    cut into tokens may depend on what stands before it. ``fewest_tokens`` is what the tokenizer alone gives
    away: the accuracy of always taking the text of fewest tokens, as a model without any knowledge does.
    """
    texts = [item.context + choice for item in probe.items for choice in item.choices]
    nats = iter(text_nats(model, tokenizer, texts, sequence_length, batch_size))
    right = 0
    for item in probe.items:
        of_choices = [next(nats) for _ in item.choices]
        right += of_choices.index(min(of_choices)) == item.answer
    low, high = wilson_interval(right, len(probe.items))
    return {
        "accuracy": right / len(probe.items),
        "chance": probe.chance,
        "num_items": len(probe.items),
        "low": low,
        "high": high,
        "fewest_tokens": fewest_tokens(probe, tokenizer),
        "requested_items": probe.requested,
        "documents": len({item.document for item in probe.items}),
        "manifest": probe.manifest,
    }


def fewest_tokens(probe: Probe, tokenizer: TextTokenizer) -> float:
    """Accuracy of a guess among the choices that make the text of fewest tokens."""
    credit = 0.0
    for item in probe.items:
        texts = [item.context + choice for choice in item.choices]
        lengths = [len(tokens) for tokens in tokenizer.encode_batch(texts)]
        if lengths[item.answer] == min(lengths):
            credit += 1 / lengths.count(min(lengths))
    return credit / len(probe.items)
