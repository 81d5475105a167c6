"""Entries: tensors on disk and the tensors of ours they hold.

The tables of entries need no torch, so that a released checkpoint can be counted from its configuration in a moment.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Arrangement(Protocol):
    """How the numbers of an entry move between disk and model."""

    def to_ours(self, stored: Sequence[Tensor]) -> list[Tensor]:
        """Our tensors from those on disk."""

    def to_stored(self, ours: Sequence[Tensor]) -> list[Tensor]:
        """The inverse of :meth:`to_ours`."""


@dataclass(frozen=True)
class Stored:
    """One tensor on disk; with ``any_shape`` only the number of its elements is known."""

    name: str
    shape: tuple[int, ...]
    any_shape: bool = False


@dataclass(frozen=True)
class Entry:
    """Tensors on disk (``stored``) and the tensors of ours (``ours``) that hold the same numbers.

    Without an ``arrangement`` there is one tensor of ours, and it is the stored ones laid one after the
    other: a single tensor as it is, or the matrices of all experts as one stack. ``default`` is what our
    tensors, or else the stored ones, are filled with where a folder may lack them; None where it may not.
    ``keeps_float32`` is set for tensors that stay float32 whatever the model's type.
    """

    ours: tuple[str, ...]
    stored: tuple[Stored, ...]
    arrangement: Arrangement | None = None
    default: float | None = None
    keeps_float32: bool = False

    def dtype(self, dtype: torch.dtype) -> torch.dtype:
        """The type of this entry's tensors where others have ``dtype``."""
        import torch

        return torch.float32 if self.keeps_float32 else dtype

    def load(
        self, read: Callable[[str], Tensor], shapes: Sequence[tuple[int, ...]], dtype: torch.dtype
    ) -> list[Tensor]:
        """Our tensors, of ``shapes`` and ``dtype``; ``read`` gives stored tensors one by one, by name."""
        import torch

        dtype = self.dtype(dtype)
        if self.arrangement is not None:
            stored = [read(tensor.name) for tensor in self.stored]
            return [tensor.to(dtype).contiguous() for tensor in self.arrangement.to_ours(stored)]
        if not self.ours:
            return []
        joined = torch.empty(math.prod(shapes[0]), dtype=dtype)
        start = 0
        for tensor in self.stored:
            length = math.prod(tensor.shape)
            joined[start : start + length] = read(tensor.name).flatten()
            start += length
        return [joined.view(shapes[0])]

    def unload(self, ours: Sequence[Tensor]) -> list[Tensor]:
        """The stored tensors that hold ``ours``."""
        if self.arrangement is not None:
            return [tensor.contiguous() for tensor in self.arrangement.to_stored(ours)]
        flat = ours[0].flatten()
        parts = flat.split([math.prod(tensor.shape) for tensor in self.stored])
        return [part.view(tensor.shape) for part, tensor in zip(parts, self.stored, strict=True)]


@dataclass(frozen=True)
class Prefix:
    """Where a module stands: ``ours`` in our model, ``stored`` on disk, both with their last dot."""

    ours: str
    stored: str

    def same(self, ours: str, stored: str, *shape: int) -> Entry:
        """One tensor that is the same on both sides."""
        return Entry((self.ours + ours,), (Stored(self.stored + stored, shape),))

    def joined(self, ours: str, *stored: tuple[str, tuple[int, ...]]) -> Entry:
        """One tensor of ours that holds several stored ones, one after the other."""
        return Entry((self.ours + ours,), tuple(Stored(self.stored + name, shape) for name, shape in stored))

    def below(self, ours: str, stored: str) -> Prefix:
        """A module inside this one."""
        return Prefix(f"{self.ours}{ours}.", f"{self.stored}{stored}.")
