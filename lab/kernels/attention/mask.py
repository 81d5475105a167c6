"""Who sees whom."""

from functools import cached_property

import torch
from torch import Tensor


class AttentionMask:
    """Which keys a query may look at.

    Key ``j`` is allowed for query ``i`` where the slot of ``j`` is filled (its position is not -1), ``j`` is no later
    than ``i``, both belong to the same document, and ``i`` is less than ``window`` positions after ``j``.

    Args:
        query_positions: ``[B, Tq]``.
        key_positions: ``[B, Tk]`` in any order; -1 marks an empty slot.
        query_documents: ``[B, Tq]`` or None where each row is one document.
        key_documents: ``[B, Tk]``, given together with ``query_documents``.
        window: number of keys a query reaches, itself included; None for all earlier ones.
        kept: ``[B, Tq, Tk]``, a further condition where keys are chosen one by one (sparse attention); None for none.
    """

    def __init__(
        self,
        query_positions: Tensor,
        key_positions: Tensor,
        query_documents: Tensor | None = None,
        key_documents: Tensor | None = None,
        window: int | None = None,
        kept: Tensor | None = None,
    ) -> None:
        assert (query_documents is None) == (key_documents is None), (
            "documents of queries and keys come together"
        )
        self.query_positions = query_positions
        self.key_positions = key_positions
        self.query_documents = query_documents
        self.key_documents = key_documents
        self.window = window
        self.kept = kept

    def narrowed(self, kept: Tensor) -> "AttentionMask":
        """The same mask where only ``kept [B, Tq, Tk]`` keys stay allowed."""
        keep = kept if self.kept is None else kept & self.kept
        return AttentionMask(
            self.query_positions,
            self.key_positions,
            self.query_documents,
            self.key_documents,
            self.window,
            keep,
        )

    def dense(self) -> Tensor:
        """True where allowed, ``[B, 1, Tq, Tk]``; made once."""
        return self._dense

    @cached_property
    def _dense(self) -> Tensor:
        query, key = self.query_positions[:, :, None], self.key_positions[:, None, :]
        allowed = (key >= 0) & (key <= query)
        if self.window is not None:
            allowed &= query - key < self.window
        if self.query_documents is not None and self.key_documents is not None:
            allowed &= self.query_documents[:, :, None] == self.key_documents[:, None, :]
        if self.kept is not None:
            allowed = allowed & self.kept
        return allowed.unsqueeze(1)
