"""What a model must beat: n-gram models and a compressor that read the same training text."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from lab.data.corpus import Corpus
from lab.data.document import Document
from lab.data.stream import Tokens
from lab.evaluation.compression import xz_bits_per_byte
from lab.evaluation.config import EvaluationConfig
from lab.evaluation.likelihood import draw_documents
from lab.evaluation.ngram import Integers, NgramModel

ORDERS = {"bigram": 2, "five_gram": 5}


def yardsticks(
    corpus: Corpus, config: EvaluationConfig, training: Mapping[str, Sequence[Tokens]]
) -> dict[str, Any]:
    """Bits per byte of the yardsticks on the documents that models are judged on, for ``race.json``.

    ``training`` holds by language the documents that a model was trained on, as tokens that begin with
    ``<|begin|>`` (:func:`lab.data.loader.stream_tokens`). Each language has yardsticks of its own.

    Returns:
        ``yardsticks``: name -> language -> bits per byte; ``yardstick_tokens``: tokens read in all languages
        together.
    """
    figures: dict[str, dict[str, float]] = {name: {} for name in (*ORDERS, "xz")}
    tokens_read = 0
    with ThreadPoolExecutor() as threads:  # xz lets other threads run
        compressed = {}
        for language, pieces in training.items():
            tokens = np.concatenate(pieces).astype(np.int64)
            starts = np.cumsum([0, *map(len, pieces[:-1])])
            documents = draw_documents(corpus.held_out(language), config.max_bytes, config.seed)
            compressed[language] = threads.submit(_xz, corpus, documents, tokens, starts)
            for name, order in ORDERS.items():
                ngrams = NgramModel(tokens, starts, order, corpus.tokenizer.vocab_size)
                figures[name][language] = ngrams.measure(documents, corpus.tokenizer).bits_per_byte
            tokens_read += len(tokens)
        for language, result in compressed.items():
            figures["xz"][language] = result.result()
    return {"yardsticks": figures, "yardstick_tokens": tokens_read}


def _xz(corpus: Corpus, documents: list[Document], tokens: Integers, starts: Integers) -> float:
    training = [corpus.tokenizer.decode(part.tolist()) for part in np.split(tokens, starts[1:])]
    return xz_bits_per_byte([document.text for document in documents], training)
