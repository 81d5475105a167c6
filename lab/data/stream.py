"""The endless stream of training documents: shuffled within a language, interleaved between languages.

Two small iterators, each of which can hand over its state and take it back: :class:`ShuffledShard` walks one
language's documents, :class:`Mixture` decides which language is next.
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
    """Part of a training document: ``tokens`` from ``start`` on of document ``index`` of ``language``."""

    language: str
    index: int
    start: int
    tokens: Tokens


class ShuffledShard:
    """Every document of a shard once an epoch, each epoch in another order that depends on the seed alone."""

    def __init__(self, language: str, shard: TokenShard, seed: int) -> None:
        self.language = language
        self.shard = shard
        self.seed = seed
        self.restore({"epoch": 0, "position": 0})

    def next(self) -> Piece:
        """The next document, whole."""
        if self._position == self.shard.num_documents:
            self.restore({"epoch": self._epoch + 1, "position": 0})
        index = int(self._order[self._position])
        self._position += 1
        return Piece(self.language, index, 0, self.shard.document(index))

    def state(self) -> dict[str, int]:
        return {"epoch": self._epoch, "position": self._position}

    def restore(self, state: Mapping[str, int]) -> None:
        self._epoch, self._position = state["epoch"], state["position"]
        self._order = shuffled(self.shard.num_documents, self.language, self.seed, self._epoch)


class Mixture:
    """Whole documents of several languages, so that their shares of the tokens follow ``weights``.

    The next document is of the language that is furthest behind its share, which holds every language within one
    document of it at any time.
    """

    def __init__(self, shards: Mapping[str, ShuffledShard], weights: Mapping[str, float]) -> None:
        self.shards = dict(shards)
        self.weights = {language: weights[language] for language in self.shards}
        self._drawn = dict.fromkeys(self.shards, 0)

    def next(self) -> Piece:
        """The next document, whole."""
        language = min(self.shards, key=lambda name: self._drawn[name] / self.weights[name])
        piece = self.shards[language].next()
        self._drawn[language] += len(piece.tokens)
        return piece

    def state(self) -> dict[str, Any]:
        return {
            "drawn": dict(self._drawn),
            "shards": {language: shard.state() for language, shard in self.shards.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self._drawn = dict(state["drawn"])
        for language, shard in self.shards.items():
            shard.restore(state["shards"][language])


def shuffled(count: int, language: str, seed: int, epoch: int) -> NDArray[np.int64]:
    """A permutation of ``range(count)`` [count], the same on every machine and with every version of numpy."""
    key = np.zeros(1, dtype=np.uint64)
    for word in (seed, epoch, int.from_bytes(language.encode(), "little")):
        key = mix(key + np.uint64(word % 2**64) + np.uint64(0x9E3779B97F4A7C15))
    return np.argsort(mix(np.arange(count, dtype=np.uint64) + key), kind="stable")
