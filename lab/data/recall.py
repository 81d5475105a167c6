"""Multi-query associative recall: a synthetic task that tells a memory of fixed size from one that grows.

After the task of Zoology (arXiv 2312.04927, section 3). A row lists pairs of a key and its value, then asks: each
further token is one of the row's keys, drawn anew, and the model must name its value. With keys 0..3 and values 4..7
a row of two pairs and six tokens is

    tokens    3  6  0  5  0  3
    targets   .  .  .  .  5  6

where a dot is ``IGNORED``: the loss is that of the answers alone. The knobs of difficulty are the number of pairs, the
length of a row (more questions) and the number of keys (more to keep apart).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lab.data.loader import IGNORED, Batch, Rows

TRAIN, HELD_OUT = 0, 1


@dataclass(frozen=True)
class RecallTask:
    """Rows of the task, drawn when they are asked for; there is nothing to prepare.

    Tokens below ``num_keys`` are keys, the ``num_keys`` after them values. A row has one of ``num_pairs`` numbers of
    pairs; no key and no value is in a row's pairs twice, so that a guess among the row's values is right once in
    ``num_pairs`` times.
    """

    num_pairs: tuple[int, ...]
    num_keys: int

    @property
    def languages(self) -> tuple[str, ...]:
        """None: there is no text to judge by, as a :class:`~lab.data.corpus.Corpus` has."""
        return ()

    def held_out(self, num_pairs: int, sequence_length: int, rows: int, seed: int) -> Batch:
        """``rows`` rows of ``num_pairs`` pairs from a stream of random numbers that no training batch uses."""
        generator = np.random.default_rng([HELD_OUT, seed, num_pairs])
        return _batch(self.draw(generator, np.full(rows, num_pairs), sequence_length))

    def draw(self, generator: np.random.Generator, num_pairs: Rows, sequence_length: int) -> Rows:
        """Tokens and targets ``[2, R, T]`` of R rows, which have ``num_pairs [R]`` pairs."""
        rows = np.empty((2, len(num_pairs), sequence_length), dtype=np.int64)
        for number in np.unique(num_pairs):
            own = num_pairs == number
            rows[:, own] = self._draw(generator, int(own.sum()), int(number), sequence_length)
        return rows

    def _draw(self, generator: np.random.Generator, rows: int, num_pairs: int, sequence_length: int) -> Rows:
        keys, values = (
            generator.random((rows, self.num_keys)).argsort(axis=1)[:, :num_pairs] for _ in range(2)
        )
        values += self.num_keys
        asked = generator.integers(num_pairs, size=(rows, sequence_length - 2 * num_pairs))
        pairs = np.stack([keys, values], axis=2).reshape(rows, -1)
        questions, answers = (np.take_along_axis(half, asked, axis=1) for half in (keys, values))
        tokens = np.concatenate([pairs, questions], axis=1)
        targets = np.concatenate([np.full_like(pairs, IGNORED), answers], axis=1)
        return np.stack([tokens, targets])


class RecallLoader:
    """Endless training batches of a :class:`RecallTask`; the number of pairs is drawn for each row.

    Batch number n depends on ``seed`` and n alone, so that the state is n.
    """

    def __init__(self, task: RecallTask, sequence_length: int, batch_size: int, seed: int) -> None:
        self.task = task
        self.sequence_length = sequence_length
        self.batch_size = batch_size
        self.seed = seed
        self._drawn = 0

    def __iter__(self) -> "RecallLoader":
        return self

    def __next__(self) -> Batch:
        generator = np.random.default_rng([TRAIN, self.seed, self._drawn])
        self._drawn += 1
        num_pairs = generator.choice(self.task.num_pairs, size=self.batch_size)
        return _batch(self.task.draw(generator, num_pairs, self.sequence_length))

    def state(self) -> dict[str, Any]:
        """How many batches were drawn."""
        return {"drawn": self._drawn}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where :meth:`state` was taken from a loader of the same arguments."""
        self._drawn = state["drawn"]


def _batch(rows: Rows) -> Batch:
    """A row is one document, whose positions run through."""
    tokens, targets = torch.from_numpy(rows)
    positions = torch.arange(tokens.shape[1]).expand_as(tokens).contiguous()
    return Batch(tokens, targets, torch.zeros_like(tokens), positions)
