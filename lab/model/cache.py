"""Caches for decoding: what each layer keeps of the tokens so far.

Layers with the same window share their *slots* (which position stands where); each layer holds its own tensors. A layer
that sees everything keeps a slot a token; a layer with a window keeps a ring of ``window`` slots.
"""

import torch
from torch import Tensor


class Slots:
    """Positions of the cached tokens, ``-1`` where a slot is empty.

    Call :meth:`extend` once a forward pass before any layer stores its tensors.
    """

    def __init__(self, batch: int, capacity: int, ring: bool, device: torch.device) -> None:
        self.capacity = capacity
        self.ring = ring
        self.length = 0
        self._positions = torch.full((batch, capacity), -1, dtype=torch.long, device=device)
        self.key_positions = self._positions

    def extend(self, positions: Tensor) -> None:
        """Make room for tokens at ``positions [B, T]``."""
        self.start, self.length = self.length, self.length + positions.shape[1]
        self.key_positions = self.store(self._positions, positions)

    def store(self, buffer: Tensor, new: Tensor) -> Tensor:
        """Write ``new [B, T, ...]`` to ``buffer [B, capacity, ...]``; returns what this step's queries may look at."""
        steps = new.shape[1]
        if not self.ring:
            buffer[:, self.start : self.length] = new
            return buffer[:, : self.length]
        visible = buffer if steps == 1 else torch.cat([buffer, new], dim=1)
        kept = min(steps, self.capacity)
        slots = torch.arange(self.length - kept, self.length, device=buffer.device) % self.capacity
        buffer[:, slots] = new[:, -kept:]
        return visible


class LayerCache:
    """The tensors one layer keeps for each slot, by name."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self._buffers: dict[str, Tensor] = {}

    def extend(self, **new: Tensor) -> tuple[Tensor, ...]:
        """Store ``[B, T, ...]`` tensors by name; returns each one as this step's queries see it, ``[B, S, ...]``."""
        visible = []
        for name, tensor in new.items():
            if name not in self._buffers:
                shape = (tensor.shape[0], self.slots.capacity, *tensor.shape[2:])
                self._buffers[name] = tensor.new_zeros(shape)
            visible.append(self.slots.store(self._buffers[name], tensor))
        return tuple(visible)


class Caches:
    """The caches of a whole model: one :class:`LayerCache` a layer and the slots they share."""

    def __init__(self, windows: list[int | None], batch: int, capacity: int, device: torch.device) -> None:
        self._slots: dict[int | None, Slots] = {}
        for window in windows:
            if window not in self._slots:
                ring = window is not None and window < capacity
                size = window if window is not None and ring else capacity
                self._slots[window] = Slots(batch, size, ring, device)
        self.layers = [LayerCache(self._slots[window]) for window in windows]
        self.length = 0

    def slots(self, window: int | None) -> Slots:
        """The slots shared by all layers with this window."""
        return self._slots[window]

    def extend(self, positions: Tensor) -> None:
        """Make room for tokens at ``positions [B, T]`` in every layer."""
        self.length += positions.shape[1]
        for slots in self._slots.values():
            slots.extend(positions)
