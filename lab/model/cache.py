"""Caches for decoding: what each layer keeps of the tokens so far.

Layers with the same window share their *slots* (which position stands where); each layer holds its own
tensors. A layer that sees everything keeps a slot a token; a layer with a window keeps a ring of ``window``
slots; a recurrent layer keeps a state of fixed size.

Rows of a batch need not be equally long: a token's place follows from its position, and padding (position -1)
leaves no trace. The newest tokens can be taken back, as speculative decoding must.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from lab.model.leaves.attention import MixerConfig


class Slots:
    """Positions of the cached tokens, ``-1`` where a slot is empty.

    The token at position p of its row has slot p, in a ring p modulo ``capacity``. One more slot, which is never
    seen, takes what is not kept. Call :meth:`extend` once a forward pass before any layer stores its tensors.
    """

    def __init__(self, batch: int, capacity: int, ring: bool, device: torch.device) -> None:
        self.capacity = capacity
        self.ring = ring
        self._positions = torch.full((batch, capacity + 1), -1, dtype=torch.long, device=device)
        self._rows = torch.arange(batch, device=device).unsqueeze(1)
        self._filled = 0
        self._slot: int | None = None
        self.key_positions = self._positions[:, :0]

    def extend(self, positions: Tensor, length: int, in_step: bool) -> None:
        """Make room for tokens at ``positions [B, T]``, after which the longest row has ``length`` tokens.

        ``in_step`` says that every row gets one token, all at one position: they share a slot.
        """
        assert self.ring or length <= self.capacity, "more tokens than the caches were made for"
        self._filled_before, self._filled = self._filled, min(length, self.capacity)
        self._slot = (length - 1) % self.capacity if in_step else None
        if self._slot is not None:
            self.key_positions = self.store(self._positions, positions)
            return
        newest = positions.amax(dim=1, keepdim=True)
        is_kept = (positions >= 0) & (positions > newest - self.capacity)
        self._targets = torch.where(is_kept, positions % self.capacity, self.capacity)
        self.key_positions = self.store(self._positions, positions)

    def store(self, buffer: Tensor, new: Tensor) -> Tensor:
        """Write ``new [B, T, ...]`` to ``buffer [B, capacity + 1, ...]``; returns what queries see."""
        if self._slot is not None:
            buffer.select(1, self._slot).copy_(new.select(1, 0))
            return buffer[:, : self._filled]
        several_in_ring = self.ring and new.shape[1] > 1  # the first of them see what the last overwrite
        visible = torch.cat([buffer[:, : self._filled_before], new], dim=1) if several_in_ring else None
        buffer[self._rows, self._targets] = new
        return buffer[:, : self._filled] if visible is None else visible

    def shorten(self, lengths: Tensor) -> None:
        """Forget the tokens at positions from ``lengths [B]`` on."""
        self._positions.masked_fill_(self._positions >= lengths.unsqueeze(1), -1)


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
                shape = (tensor.shape[0], self.slots.capacity + 1, *tensor.shape[2:])
                self._buffers[name] = tensor.new_zeros(shape)
            visible.append(self.slots.store(self._buffers[name], tensor))
        return tuple(visible)


State = dict[str, Tensor]


class RecurrentCache:
    """The tensors a recurrent layer keeps of all tokens so far, by name; their size does not grow.

    A state cannot be run backwards: to forget tokens, those of the last call that remain are read again.
    """

    def __init__(self, revocable: bool = False) -> None:
        self._state: State = {}
        self._revocable = revocable
        self._positions: Tensor | None = None
        self._read_again: Callable[[Tensor], State] | None = None

    def get(self, name: str) -> Tensor | None:
        """What was kept under ``name``; None before the first token."""
        return self._state.get(name)

    def keep(self, state: State, positions: Tensor, read_again: Callable[[Tensor], State]) -> None:
        """Replace what is kept by the ``state`` after tokens at ``positions [B, T]``.

        ``read_again(is_token [B, T])`` gives the state after only those of them.
        """
        self._state = state
        if self._revocable:
            self._positions, self._read_again = positions, read_again

    def settle(self) -> None:
        """Let go of what taking back the tokens of the last call would need."""
        self._positions = self._read_again = None

    def shorten(self, lengths: Tensor) -> None:
        """Forget the tokens of the last call at positions from ``lengths [B]`` on."""
        assert self._positions is not None, "these tokens are there to stay"
        assert self._read_again is not None, "these tokens are there to stay"
        is_kept = (self._positions >= 0) & (self._positions < lengths.unsqueeze(1))
        self._state = self._read_again(is_kept)


Cache = LayerCache | RecurrentCache


class Caches:
    """The caches of a stack of layers, first to last, and the slots they share.

    ``layers`` names each layer's mixer, which says what it keeps, and its window. Up to ``revocable`` of the newest
    tokens of a row, all of the last forward pass, can be taken back by :meth:`shorten`.
    """

    def __init__(
        self,
        layers: Iterable[tuple[MixerConfig, int | None]],
        batch: int,
        capacity: int,
        device: torch.device,
        revocable: int = 0,
    ) -> None:
        self._batch, self._capacity, self._device = batch, capacity, device
        self.revocable = revocable
        self._slots: dict[int | None, Slots] = {}
        self.layers: list[Cache] = [mixer.new_cache(window, self) for mixer, window in layers]
        self.length = 0
        """Tokens of the longest row."""

    def slots(self, window: int | None) -> Slots:
        """The slots shared by all layers with this window."""
        if window not in self._slots:
            # taking tokens back must not need what they overwrote
            size = self._capacity if window is None else min(window + self.revocable, self._capacity)
            self._slots[window] = Slots(self._batch, size, size < self._capacity, self._device)
        return self._slots[window]

    def extend(self, positions: Tensor) -> None:
        """Make room for tokens at ``positions [B, T]`` in every layer; -1 marks padding."""
        last = positions.flatten().tolist() if positions.shape[1] == 1 else [int(positions.max())]
        self.length = max(self.length, max(last) + 1)
        in_step = positions.shape[1] == 1 and min(last) == self.length - 1
        for slots in self._slots.values():
            slots.extend(positions, self.length, in_step)

    def settle(self) -> None:
        """The tokens so far stay; frees the memory that taking them back would need."""
        for cache in self.layers:
            if isinstance(cache, RecurrentCache):
                cache.settle()

    def shorten(self, lengths: Tensor) -> None:
        """Keep the first ``lengths [B]`` tokens of each row and forget the rest, all of the last forward pass."""
        self.length = int(lengths.max())
        for slots in self._slots.values():
            slots.shorten(lengths)
        for cache in self.layers:
            if isinstance(cache, RecurrentCache):
                cache.shorten(lengths)
