"""Arrangements of A.X: rotary channels in interleaved pairs, and queries fused with an output gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class InterleavedRows:
    """Rows of heads whose last ``rope_dim`` channels pair ``(2i, 2i + 1)`` on disk and ``(i, i +
    rope_dim/2)`` here.

    Both layouts turn a pair by the same angle, and queries and keys move alike, so that scores are the same.
    """

    num_heads: int
    head_dim: int
    rope_dim: int

    def to_ours(self, stored: Sequence[Tensor]) -> list[Tensor]:
        return [stored[0][self._order()]]

    def to_stored(self, ours: Sequence[Tensor]) -> list[Tensor]:
        rows = ours[0].new_empty(ours[0].shape)
        rows[self._order()] = ours[0]
        return [rows]

    def _order(self) -> list[int]:
        """Which row on disk each of our rows is."""
        plain = self.head_dim - self.rope_dim
        within = [*range(plain), *range(plain, self.head_dim, 2), *range(plain + 1, self.head_dim, 2)]
        return [head * self.head_dim + row for head in range(self.num_heads) for row in within]


@dataclass(frozen=True)
class QueryAndGate:
    """A.X K2's fused matrix: per head ``[query rows | gate rows]`` over columns ``[normed latent | latent]``.

    Queries read the normed latent and gates the other one, so two of the four blocks are zero. Two matrices
    here, because a trainable one would fill those blocks.
    """

    name: str
    query_rows: InterleavedRows
    value_dim: int

    def to_ours(self, stored: Sequence[Tensor]) -> list[Tensor]:
        heads, key_dim = self.query_rows.num_heads, self.query_rows.head_dim
        rank = stored[0].shape[1] // 2
        blocks = stored[0].view(heads, key_dim + self.value_dim, 2 * rank)
        query, gate = blocks[:, :key_dim, :rank], blocks[:, key_dim:, rank:]
        if blocks[:, :key_dim, rank:].any() or blocks[:, key_dim:, :rank].any():
            raise ConfigError(
                f"{self.name} cannot be used: queries must not read the latent before its norm, nor the "
                "output gate the latent behind it, but those blocks are not zero."
            )
        return [*self.query_rows.to_ours([query.flatten(0, 1)]), gate.flatten(0, 1)]

    def to_stored(self, ours: Sequence[Tensor]) -> list[Tensor]:
        heads, key_dim = self.query_rows.num_heads, self.query_rows.head_dim
        query, gate = self.query_rows.to_stored(ours[:1])[0], ours[1]
        rank = query.shape[1]
        blocks = query.new_zeros(heads, key_dim + self.value_dim, 2 * rank)
        blocks[:, :key_dim, :rank] = query.unflatten(0, (heads, key_dim))
        blocks[:, key_dim:, rank:] = gate.unflatten(0, (heads, self.value_dim))
        return [blocks.flatten(0, 1)]
