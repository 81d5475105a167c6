"""Long context: the same held-out tokens read in windows of 1, 2, 4 and 8 times the trained length.

Every figure is over the same tokens and bytes, so that figures differ by what a model had read before a token, and by
nothing else. A model that makes use of a longer context needs fewer bits in longer windows; one that breaks at
positions that it was not trained at needs more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lab.data.corpus import Corpus
from lab.data.document import Document
from lab.errors import ConfigError
from lab.evaluation.config import EvaluationConfig
from lab.evaluation.intrinsic import byte_ends
from lab.evaluation.likelihood import LanguageModel, TextTokenizer, draw_documents, evaluating
from lab.evaluation.measures.catalogue import MEASURES
from lab.evaluation.statistics import bootstrap_ratio
from lab.model.decoder import Decoder

REACH = MEASURES["long_context"].reach
MULTIPLES = (1, 2, 4, REACH)
"""Lengths of the windows, in trained lengths."""


@dataclass(frozen=True)
class LongTexts:
    """N texts out of single documents: ``tokens [N, REACH * L]``, and the ``bytes [N, REACH]`` of each L tokens."""

    tokens: torch.Tensor
    bytes: NDArray[np.int64]


def long_context(
    model: Decoder, corpus: Corpus, config: EvaluationConfig, trained_length: int
) -> dict[str, Any]:
    """Bits per byte of ``model`` by language and length of window.

    Returns by language ``x1``, ``x2``, ``x4``, ``x8`` (windows of so many times ``trained_length`` tokens);
    ``gain``, what the longest windows save over the shortest, negative where a model breaks in them; ``interval`` of
    each length (95 %, bootstrap over texts); ``by_position``, for each length the bits per byte of the first, second,
    ... eighth part of the texts, which in windows of full length are positions; ``bytes`` and ``texts``. At most
    ``config.max_bytes`` of text are read in a language. Raises :class:`ConfigError` where a language has no held-out
    document that is long enough.
    """
    figures = {}
    for language in corpus.languages:
        documents = draw_documents(corpus.held_out(language), None, config.seed)
        texts = cut_long_texts(documents, corpus.tokenizer, trained_length, config.max_bytes)
        if texts is None:
            raise ConfigError(
                f"evaluation.measures=long_context cannot be used: no held-out document in {language} has "
                f"{REACH} x trainer.sequence_length = {REACH * trained_length} tokens."
            )
        figures[language] = _judge_texts(model, corpus.tokenizer.begin_id, texts, config)
    return figures


def cut_long_texts(
    documents: Sequence[Document], tokenizer: TextTokenizer, trained_length: int, max_bytes: int | None
) -> LongTexts | None:
    """Consecutive texts of ``REACH * trained_length`` tokens, up to ``max_bytes``, one at least; None without any.

    What is left at the end of a document is too short and left out. A character that an end cuts in two counts after
    it.
    """
    length = REACH * trained_length
    tokens: list[list[int]] = []
    sizes: list[NDArray[np.int64]] = []
    for document in documents:
        (ids,) = tokenizer.encode_batch([document.text])
        whole = len(ids) // length * length
        ends = byte_ends(tokenizer, ids, document.text, range(trained_length, whole + 1, trained_length))
        parts = np.diff([0, *ends]).reshape(-1, REACH)
        for text, size in enumerate(parts):
            if tokens and max_bytes is not None and np.sum(sizes) + size.sum() > max_bytes:
                break
            tokens.append(ids[text * length : (text + 1) * length])
            sizes.append(size)
    return LongTexts(torch.tensor(tokens), np.array(sizes)) if tokens else None


def bits_of_parts(
    model: LanguageModel, begin_id: int, tokens: torch.Tensor, window: int, batch_tokens: int
) -> NDArray[np.float64]:
    """Bits ``[N, REACH]`` of the equal parts of ``tokens [N, REACH * L]``, read in windows of ``window`` tokens.

    Each window stands alone, ``<|begin|>`` before it; ``batch_tokens`` tokens pass through the model at once.
    """
    device = next(model.parameters()).device
    windows = tokens.reshape(-1, window)
    nats = []
    with evaluating(model):
        for targets in windows.split(max(1, batch_tokens // window)):
            begins = torch.full((len(targets), 1), begin_id)
            inputs = torch.cat([begins, targets[:, :-1]], dim=1)
            nats.append(model.token_losses(inputs.to(device), targets.to(device)).double().cpu())
    return torch.cat(nats).reshape(len(tokens), REACH, -1).sum(-1).numpy() / np.log(2)


def _judge_texts(model: Decoder, begin_id: int, texts: LongTexts, config: EvaluationConfig) -> dict[str, Any]:
    trained_length = texts.tokens.shape[1] // REACH
    figures: dict[str, Any] = {"interval": {}, "by_position": {}}
    for multiple in MULTIPLES:
        name, window = f"x{multiple}", multiple * trained_length
        bits = bits_of_parts(model, begin_id, texts.tokens, window, config.batch_size * trained_length)
        figures[name] = float(bits.sum() / texts.bytes.sum())
        figures["interval"][name] = list(bootstrap_ratio(bits.sum(1), texts.bytes.sum(1), config.seed))
        figures["by_position"][name] = (bits.sum(0) / texts.bytes.sum(0)).tolist()
    figures["gain"] = figures["x1"] - figures[f"x{REACH}"]
    return figures | {"bytes": int(texts.bytes.sum()), "texts": len(texts.tokens)}
