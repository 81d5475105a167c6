"""What all layers of one forward pass share: positions, documents, masks and rotations."""

from functools import cache

import torch
from torch import Tensor

from lab.kernels.attention import AttentionMask
from lab.kernels.rotary import rotary_table
from lab.model.cache import Caches
from lab.model.leaves.position import Rotation


@cache
def _frequencies(rotation: Rotation, dim: int) -> Tensor:
    return torch.tensor(rotation.inverse_frequencies(dim))


class Context:
    """Positions and documents of ``[B, T]`` tokens; masks and rotation tables are made once and shared by layers.

    Attention never crosses ``documents``; None means that each row is one document. Position -1 marks padding, which
    nothing sees. With ``caches`` the tokens follow what the caches hold, and each row is one document.
    ``recomputes_blocks`` is activation checkpointing, see :mod:`lab.model.recomputation`.
    """

    def __init__(
        self,
        positions: Tensor,
        documents: Tensor | None,
        caches: Caches | None = None,
        recomputes_blocks: bool = False,
    ) -> None:
        self.positions = positions
        self.documents = documents
        self.caches = caches
        self.recomputes_blocks = recomputes_blocks
        self._masks: dict[int | None, AttentionMask] = {}
        self._tables: dict[tuple[Rotation, int], tuple[Tensor, Tensor]] = {}

    def mask(self, window: int | None) -> AttentionMask:
        """Who sees whom in a layer whose queries reach ``window`` keys (None: all earlier ones)."""
        if window not in self._masks:
            keys = self.positions if self.caches is None else self.caches.slots(window).key_positions
            self._masks[window] = AttentionMask(self.positions, keys, self.documents, self.documents, window)
        return self._masks[window]

    def rotation_table(self, rotation: Rotation, dim: int) -> tuple[Tensor, Tensor]:
        """Cosine and sine ``[B, T, dim / 2]`` for the tokens' positions."""
        key = (rotation, dim)
        if key not in self._tables:
            frequencies = _frequencies(rotation, dim).to(self.positions.device)
            cos, sin = rotary_table(frequencies, self.positions)
            self._tables[key] = (cos * rotation.magnitude, sin * rotation.magnitude)
        return self._tables[key]
