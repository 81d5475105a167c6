"""Training batches: the stream of documents cut into rows, with what keeps documents apart.

The stream is laid end to end and cut every T tokens; a row sees one token more, its last target. Every token of
the stream is thus a target once, save the first of a document, which nothing may predict. A row has the numbers
of its documents and positions that start at 0 in each, so that attention stays within a document. A document
that does not fit continues in the next row as a new one: the mask cannot reach back over a row's edge.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lab.data.corpus import Corpus
from lab.data.stream import Mixture, Piece, ShuffledShard, Tokens
from lab.errors import ConfigError

IGNORED = -100
"""The target of a token whose successor belongs to another document."""


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
                    f"data.mixture.{language}={weight} cannot be met: the corpus has "
                    f"{', '.join(corpus.languages)}, so the weight of {language} must be 0."
                )
        shards = {language: corpus.train_tokens(language) for language in corpus.languages if language in weights}
        available = sum(len(shard.tokens) for shard in shards.values())
        needed = batch_size * sequence_length + 1
        if available < needed:
            raise ConfigError(
                f"trainer.sequence_length={sequence_length} and trainer.batch_size={batch_size} need {needed} "
                f"tokens for one batch, but the corpus has {available}: one of them must be smaller."
            )
        self.sequence_length = sequence_length
        self.batch_size = batch_size
        self._documents = Mixture(
            {language: ShuffledShard(language, shard, seed) for language, shard in shards.items()}, weights
        )
        self._shards = shards
        self._pending: list[Piece] = []

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        wanted = self.batch_size * self.sequence_length
        pieces = self._take(wanted)
        return pack(pieces, self._peek(), self.batch_size, self.sequence_length)

    def state(self) -> dict[str, Any]:
        """Where the stream stands, as JSON-able data of a few numbers a language."""
        pending = [{"language": p.language, "index": p.index, "start": p.start} for p in self._pending]
        return {"documents": self._documents.state(), "pending": pending}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where :meth:`state` was taken, by a loader of the same arguments."""
        self._documents.restore(state["documents"])
        self._pending = [
            Piece(p["language"], p["index"], p["start"], self._shards[p["language"]].document(p["index"])[p["start"] :])
            for p in state["pending"]
        ]

    def _take(self, count: int) -> list[Piece]:
        """The next ``count`` tokens of the stream, as pieces of documents."""
        taken = []
        while count:
            piece = self._pending.pop() if self._pending else self._documents.next()
            head, rest = piece.tokens[:count], piece.tokens[count:]
            taken.append(Piece(piece.language, piece.index, piece.start, head))
            count -= len(head)
            if len(rest):
                self._pending = [Piece(piece.language, piece.index, piece.start + len(head), rest)]
        return taken

    def _peek(self) -> Piece:
        """The piece that the next batch begins with; it stays where it is."""
        if not self._pending:
            self._pending = [self._documents.next()]
        return self._pending[0]


def pack(pieces: list[Piece], following: Piece, batch_size: int, sequence_length: int) -> Batch:
    """The batch of ``pieces``, which together have B x T tokens; ``following`` supplies the very last target."""
    shape = (batch_size, sequence_length)
    lengths = np.array([len(piece.tokens) for piece in pieces])
    starts = np.cumsum(lengths) - lengths
    tokens = np.concatenate([piece.tokens for piece in pieces] + [following.tokens[:1]]).astype(np.int64)

    # A document begins where a piece does that is not the continuation of an earlier batch's last document.
    begins = np.zeros(len(tokens), dtype=bool)
    begins[starts] = [piece.start == 0 for piece in pieces]
    begins[-1] = following.start == 0
    targets = np.where(begins[1:], IGNORED, tokens[1:])

    # Within a row, numbering and positions start anew at the row's edge and at every document's beginning.
    fresh = begins[:-1].reshape(shape).copy()
    fresh[:, 0] = True
    documents = np.cumsum(fresh, axis=1) - 1
    column = np.arange(sequence_length)
    positions = column - np.maximum.accumulate(np.where(fresh, column, 0), axis=1)

    return Batch(
        torch.from_numpy(tokens[:-1].reshape(shape)),
        torch.from_numpy(targets.reshape(shape)),
        torch.from_numpy(documents),
        torch.from_numpy(positions),
    )


def stream_tokens(loader: Loader, num_tokens: int) -> list[Tokens]:
    """The first ``num_tokens`` tokens that ``loader`` will give, one array a piece of document, in order.

    For yardsticks that must learn from exactly what a model is trained on. The loader is advanced.
    """
    return [piece.tokens for piece in loader._take(num_tokens)]
