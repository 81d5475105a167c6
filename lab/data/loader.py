"""Training batches: rows cut from the streams of the languages, with what keeps documents apart.

A row is T consecutive tokens of one language; it sees one token more, its last target. Every token of a
stream is thus a target once, save the first of a document, which nothing may predict. A row numbers its
documents and its positions start at 0 in each, so that attention stays within a document. A document that
does not fit continues in the next row of its language as if it were a new one: no mask reaches back over a
row's edge.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lab.data.corpus import Corpus
from lab.data.stream import Mixture, Piece, ShuffledDocuments, Tokens, TokenStream
from lab.errors import ConfigError

IGNORED = -100
"""The target of a token whose successor belongs to another document."""

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """One training batch; every tensor is [B, T] int64.

    ``targets`` is the token to predict or ``IGNORED``; ``documents`` numbers the documents of a row from 0;
    ``positions`` starts at 0 in each of them.
    """

    tokens: Tensor
    targets: Tensor
    documents: Tensor
    positions: Tensor


class Loader:
    """An endless iterator of :class:`Batch`; :meth:`state` and :meth:`restore` resume it bit for bit.

    ``mixture`` gives the shares of the languages, ``seed`` the order of their documents. Raises
    :class:`ConfigError` where the mixture asks for a language that the corpus lacks, or the corpus is smaller
    than one batch.
    """

    def __init__(
        self, corpus: Corpus, sequence_length: int, batch_size: int, mixture: Mapping[str, float], seed: int
    ) -> None:
        weights = {language: weight for language, weight in mixture.items() if weight > 0}
        for language, weight in weights.items():
            if language not in corpus.languages:
                raise ConfigError(
                    f"data.mixture.{language}={weight} cannot be met: the corpus holds "
                    f"{', '.join(corpus.languages)} only, so the weight of {language} must be 0."
                )
        shards = {name: corpus.train_tokens(name) for name in corpus.languages if name in weights}
        available = sum(len(shard.tokens) for shard in shards.values())
        needed = batch_size * sequence_length + 1
        if available < needed:
            raise ConfigError(
                f"trainer.sequence_length={sequence_length} and trainer.batch_size={batch_size} ask for "
                f"{needed} tokens at once: the corpus has {available}, so one of them must be smaller."
            )
        self.sequence_length = sequence_length
        self.batch_size = batch_size
        self._mixture = Mixture({name: weights[name] for name in shards})
        self._streams = {
            name: TokenStream(ShuffledDocuments(shard, name, seed)) for name, shard in shards.items()
        }

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        languages = np.array(self._mixture.next(self.batch_size))
        batch = np.empty((4, self.batch_size, self.sequence_length), dtype=np.int64)
        for language, stream in self._streams.items():
            own = languages == language
            if count := int(own.sum()):
                pieces = stream.take(count * self.sequence_length)
                batch[:, own] = pack(pieces, stream.peek(), self.sequence_length)
        return Batch(*torch.from_numpy(batch))

    def state(self) -> dict[str, Any]:
        """Where the streams stand, as JSON-able data of a few numbers a language."""
        streams = {language: stream.state() for language, stream in self._streams.items()}
        return {"mixture": self._mixture.state(), "streams": streams}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where :meth:`state` was taken from a loader of the same arguments."""
        self._mixture.restore(state["mixture"])
        for language, stream in self._streams.items():
            stream.restore(state["streams"][language])


def pack(pieces: list[Piece], following: Piece, sequence_length: int) -> Rows:
    """Tokens, targets, documents and positions [4, R, T] of ``pieces``, which together have R x T tokens.

    ``following``, the piece that comes after them, supplies the very last target.
    """
    lengths = np.array([len(piece.tokens) for piece in pieces])
    tokens = np.concatenate([piece.tokens for piece in pieces] + [following.tokens[:1]]).astype(np.int64)
    # A document begins where a piece does, unless the piece continues a document of an earlier row.
    begins = np.zeros(len(tokens), dtype=bool)
    begins[np.cumsum(lengths) - lengths] = [piece.start == 0 for piece in pieces]
    begins[-1] = following.start == 0
    targets = np.where(begins[1:], IGNORED, tokens[1:])

    column = np.arange(sequence_length)
    fresh = begins[:-1].reshape(-1, sequence_length) | (column == 0)
    documents = np.cumsum(fresh, axis=1) - 1
    positions = column - np.maximum.accumulate(np.where(fresh, column, 0), axis=1)
    return np.stack([tokens[:-1].reshape(fresh.shape), targets.reshape(fresh.shape), documents, positions])


def stream_tokens(
    corpus: Corpus,
    sequence_length: int,
    batch_size: int,
    mixture: Mapping[str, float],
    seed: int,
    num_tokens: int,
) -> dict[str, list[Tokens]]:
    """The documents in the first ``num_tokens`` tokens of a :class:`Loader` of these arguments, by language.

    For yardsticks that must learn from exactly what a model is trained on. Counted row by row; a document is one
    array however rows cut it (the last of a language may end early), and is there once however often it is met.
    """
    loader = Loader(corpus, sequence_length, batch_size, mixture, seed)
    rows, rest = divmod(num_tokens, sequence_length)
    wanted = dict.fromkeys(loader._streams, 0)
    for language in loader._mixture.next(rows):
        wanted[language] += sequence_length
    if rest:
        wanted[loader._mixture.next(1)[0]] += rest
    return {
        name: [
            piece.tokens
            for piece in loader._streams[name].take(min(count, len(corpus.train_tokens(name).tokens)))
        ]
        for name, count in wanted.items()
    }
