"""What a model must beat: n-gram models and a compressor that read as much of the same training text."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from lab.data.corpus import Corpus
from lab.data.document import Document
from lab.data.tokens import TokenShard
from lab.evaluation.compression import xz_bits_per_byte
from lab.evaluation.config import EvaluationConfig
from lab.evaluation.likelihood import draw_documents
from lab.evaluation.ngram import Integers, NgramModel

ORDERS = {"bigram": 2, "five_gram": 5}


def yardsticks(
    corpus: Corpus, config: EvaluationConfig, training_tokens: Mapping[str, int]
) -> dict[str, Any]:
    """Bits per byte of the yardsticks on the documents that models are judged on, for ``race.json``.

    ``training_tokens`` says by language how many tokens the models were trained on. Each language has
    yardsticks of its own, which read whole documents in an order that ``config.seed`` decides, up to that
    many tokens or all there are.

    Returns:
        ``yardsticks``: name -> language -> bits per byte; ``yardstick_tokens``: tokens read in all languages
        together.
    """
    figures: dict[str, dict[str, float]] = {name: {} for name in (*ORDERS, "xz")}
    tokens_read = 0
    with ThreadPoolExecutor() as threads:  # xz lets other threads run
        compressed = {}
        for language, wanted in training_tokens.items():
            tokens, starts = read_documents(corpus.train_tokens(language), wanted, config.seed)
            documents = draw_documents(corpus.held_out(language), config.max_bytes, config.seed)
            compressed[language] = threads.submit(_xz, corpus, documents, tokens, starts)
            for name, order in ORDERS.items():
                ngrams = NgramModel(tokens, starts, order, corpus.tokenizer.vocab_size)
                figures[name][language] = ngrams.measure(documents, corpus.tokenizer).bits_per_byte
            tokens_read += len(tokens)
        for language, result in compressed.items():
            figures["xz"][language] = result.result()
    return {"yardsticks": figures, "yardstick_tokens": tokens_read}


def read_documents(shard: TokenShard, wanted: int, seed: int) -> tuple[Integers, Integers]:
    """Tokens and starts of whole documents in random order, no more of them than hold ``wanted`` tokens."""
    order = np.random.default_rng(seed).permutation(shard.num_documents)
    lengths = np.diff(shard.offsets)[order]
    taken = order[: np.searchsorted(np.cumsum(lengths), wanted) + 1]
    tokens = np.concatenate([shard.document(int(index)) for index in taken]).astype(np.int64)
    return tokens, np.cumsum(np.append(0, lengths[: len(taken) - 1]))


def _xz(corpus: Corpus, documents: list[Document], tokens: Integers, starts: Integers) -> float:
    training = [corpus.tokenizer.decode(part.tolist()) for part in np.split(tokens, starts[1:])]
    return xz_bits_per_byte([document.text for document in documents], training)
