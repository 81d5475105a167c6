"""The endless streams of training tokens: small iterators that each hand over their state and take it back.

:class:`ShuffledDocuments` walks the documents of one language, :class:`TokenStream` cuts them to any number
of tokens, and :class:`Mixture` says which language fills which row.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.data.deduplicate import mix
from lab.data.tokens import TokenShard

Tokens = NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True)
class Piece:
    """Part of a training document: the ``tokens`` of document ``index`` from place ``start`` on."""

    index: int
    start: int
    tokens: Tokens


class ShuffledDocuments:
    """Every document of a shard once an epoch, each epoch in another order that depends on the seed alone."""

    def __init__(self, shard: TokenShard, language: str, seed: int) -> None:
        self.shard = shard
        self.language = language
        self.seed = seed
        self.restore({"epoch": 0, "position": 0})

    def next(self) -> Piece:
        """The next document, whole."""
        if self._position == self.shard.num_documents:
            self.restore({"epoch": self._epoch + 1, "position": 0})
        index = int(self._order[self._position])
        self._position += 1
        return Piece(index, 0, self.shard.document(index))

    def state(self) -> dict[str, int]:
        return {"epoch": self._epoch, "position": self._position}

    def restore(self, state: Mapping[str, int]) -> None:
        self._epoch, self._position = state["epoch"], state["position"]
        self._order = shuffled(self.shard.num_documents, self.language, self.seed, self._epoch)


class TokenStream:
    """The documents of one language laid end to end, taken in any number of tokens."""

    def __init__(self, documents: ShuffledDocuments) -> None:
        self.documents = documents
        self._pending: Piece | None = None

    def take(self, count: int) -> list[Piece]:
        """The next ``count`` tokens, as pieces of documents."""
        taken = []
        while count:
            piece = self.peek()
            head, rest = piece.tokens[:count], piece.tokens[count:]
            taken.append(Piece(piece.index, piece.start, head))
            self._pending = Piece(piece.index, piece.start + len(head), rest) if len(rest) else None
            count -= len(head)
        return taken

    def peek(self) -> Piece:
        """The piece that the next take begins with; it stays where it is."""
        if self._pending is None:
            self._pending = self.documents.next()
        return self._pending

    def state(self) -> dict[str, Any]:
        pending = self._pending and {"index": self._pending.index, "start": self._pending.start}
        return {"documents": self.documents.state(), "pending": pending}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.documents.restore(state["documents"])
        pending = state["pending"]
        self._pending = pending and Piece(
            pending["index"],
            pending["start"],
            self.documents.shard.document(pending["index"])[pending["start"] :],
        )


class Mixture:
    """Which language fills which row: always the one furthest behind its share of ``weights``.

    After any number of rows every language is within one row of its share.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        self.shares = {language: weight / sum(weights.values()) for language, weight in weights.items()}
        self._rows = dict.fromkeys(self.shares, 0)

    def next(self, count: int) -> list[str]:
        """The languages of the next ``count`` rows."""
        languages = []
        for _ in range(count):
            total = sum(self._rows.values()) + 1
            language = max(self.shares, key=lambda name: self.shares[name] * total - self._rows[name])
            self._rows[language] += 1
            languages.append(language)
        return languages

    def state(self) -> dict[str, int]:
        return dict(self._rows)

    def restore(self, state: Mapping[str, int]) -> None:
        self._rows = dict(state)


def shuffled(count: int, language: str, seed: int, epoch: int) -> NDArray[np.int64]:
    """A permutation of ``range(count)`` [count], the same on every machine with every version of numpy."""
    key = np.zeros(1, dtype=np.uint64)
    for word in (seed, epoch, int.from_bytes(language.encode(), "little")):
        key = mix(key + np.uint64(word % 2**64) + np.uint64(0x9E3779B97F4A7C15))
    return np.argsort(mix(np.arange(count, dtype=np.uint64) + key), kind="stable")
