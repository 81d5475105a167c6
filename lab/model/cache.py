"""Caches for decoding: what each layer keeps of the tokens so far.

Layers with the same window share their *slots* (which position stands where); each layer holds its own
tensors. A layer that sees everything keeps a slot a token; a layer with a window keeps a ring of ``window``
slots; a recurrent layer keeps a state of fixed size.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from lab.model.leaves.attention import MixerConfig


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
        """Write ``new [B, T, ...]`` to ``buffer [B, capacity, ...]``; returns what queries see."""
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
        """Store ``[B, T, ...]`` tensors by name; returns each as queries see it, ``[B, S, ..]``."""
        visible = []
        for name, tensor in new.items():
            if name not in self._buffers:
                shape = (tensor.shape[0], self.slots.capacity, *tensor.shape[2:])
                self._buffers[name] = tensor.new_zeros(shape)
            visible.append(self.slots.store(self._buffers[name], tensor))
        return tuple(visible)


class RecurrentCache:
    """The tensors a recurrent layer keeps of all tokens so far, by name; their size does not grow."""

    def __init__(self) -> None:
        self._state: dict[str, Tensor] = {}

    def get(self, name: str) -> Tensor | None:
        """What was kept under ``name``; None before the first token."""
        return self._state.get(name)

    def keep(self, **state: Tensor) -> None:
        """Replace what is kept."""
        self._state.update(state)


Cache = LayerCache | RecurrentCache


class Caches:
    """The caches of a stack of layers, first to last, and the slots they share.

    ``layers`` names each layer's mixer, which says what it keeps, and its window.
    """

    def __init__(
        self,
        layers: Iterable[tuple[MixerConfig, int | None]],
        batch: int,
        capacity: int,
        device: torch.device,
    ) -> None:
        self._batch, self._capacity, self._device = batch, capacity, device
        self._slots: dict[int | None, Slots] = {}
        self.layers: list[Cache] = [mixer.new_cache(window, self.slots) for mixer, window in layers]
        self.length = 0

    def slots(self, window: int | None) -> Slots:
        """The slots shared by all layers with this window."""
        if window not in self._slots:
            ring = window is not None and window < self._capacity
            size = window if window is not None and ring else self._capacity
            self._slots[window] = Slots(self._batch, size, ring, self._device)
        return self._slots[window]

    def extend(self, positions: Tensor) -> None:
        """Make room for tokens at ``positions [B, T]`` in every layer."""
        self.length += positions.shape[1]
        for slots in self._slots.values():
            slots.extend(positions)
