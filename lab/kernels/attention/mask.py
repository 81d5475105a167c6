"""Who sees whom."""

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(eq=False)
class AttentionMask:
    """Which keys a query may look at.

    Key ``j`` is allowed for query ``i`` where the slot of ``j`` is filled (its position is not -1), ``j`` is
    not later than ``i``, both are of one document, and ``i`` is less than ``window`` positions after ``j``.

    All that is derived from the fields is made once and kept, so layers should share a mask.
    """

    query_positions: Tensor
    """``[B, Tq]``."""
    key_positions: Tensor
    """``[B, Tk]`` in any order; -1 marks an empty slot."""
    query_documents: Tensor | None = None
    """``[B, Tq]``, or None where each row is one document."""
    key_documents: Tensor | None = None
    """``[B, Tk]``, given together with ``query_documents``."""
    window: int | None = None
    """Number of keys that a query reaches, itself included; None for all earlier ones."""
    kept: Tensor | None = None
    """``[B, Tq, Tk]``, a further condition where keys are chosen one by one (sparse attention)."""
    _additive: dict[torch.dtype, Tensor] = field(default_factory=dict, init=False, repr=False)
    _blocks: dict[int, "AttentionMask"] = field(default_factory=dict, init=False, repr=False)
    _reach: dict[tuple[int, int], tuple[Tensor, Tensor]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        together = (self.query_documents is None) == (self.key_documents is None)
        assert together, "documents of queries and keys come together"

    def narrowed(self, kept: Tensor) -> "AttentionMask":
        """The same mask where only ``kept [B, Tq, Tk]`` keys stay allowed."""
        keep = kept if self.kept is None else kept & self.kept
        queries, keys = self.query_positions, self.key_positions
        return AttentionMask(queries, keys, self.query_documents, self.key_documents, self.window, keep)

    def dense(self) -> Tensor:
        """True where allowed, ``[B, 1, Tq, Tk]``."""
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
            allowed &= self.kept
        return allowed.unsqueeze(1)

    def additive(self, dtype: torch.dtype) -> Tensor:
        """0 where allowed, else minus infinity, ``[B, 1, Tq, Tk]``."""
        if dtype not in self._additive:
            zeros = torch.zeros(self.dense().shape, dtype=dtype, device=self.dense().device)
            self._additive[dtype] = zeros.masked_fill_(~self.dense(), float("-inf"))
        return self._additive[dtype]

    @cached_property
    def in_order(self) -> bool:
        """Whether queries are the keys, and any two of a document are as far apart as their positions say.

        Then a window reaches back at most ``window - 1`` places. True where each document is a run of
        consecutive positions, whatever padding surrounds it. On a GPU the answer waits for the device; of
        tensors without data nothing is known, which is False.
        """
        if self.query_positions.is_meta or not self._queries_are_keys:
            return False
        return bool(self._follows_its_predecessor.all())

    @cached_property
    def plainly_causal(self) -> bool:
        """Whether every query sees exactly the keys up to its own place; False without data, as above."""
        if self.query_positions.is_meta or self.kept is not None or not self._queries_are_keys:
            return False
        length = self.query_positions.shape[1]
        if self.window is not None and self.window < length:
            return False
        expected = self.query_positions[:, :1] + torch.arange(length, device=self.query_positions.device)
        plain = (self.query_positions == expected).all() & (self.query_positions[:, :1] >= 0).all()
        if self.query_documents is not None:
            plain &= (self.query_documents == self.query_documents[:, :1]).all()
        return bool(plain)

    @property
    def _queries_are_keys(self) -> bool:
        pairs = ((self.query_positions, self.key_positions), (self.query_documents, self.key_documents))
        return all(a is b or (a is not None and b is not None and torch.equal(a, b)) for a, b in pairs)

    @property
    def _follows_its_predecessor(self) -> Tensor:
        """True for padding, a document's first token and one right behind its predecessor, ``[B, T]``."""
        documents, filled = self._documents, self.query_positions >= 0
        lowest = torch.iinfo(documents.dtype).min
        so_far = documents.masked_fill(~filled, lowest).cummax(dim=1).values
        new_document = documents > functional.pad(so_far, (1, 0), value=lowest)[:, :-1]
        return ~filled | self._consecutive | new_document

    @property
    def _documents(self) -> Tensor:
        """Of the queries ``[B, T]``; all 0 where a row is one document."""
        given = self.query_documents
        return torch.zeros_like(self.query_positions) if given is None else given

    @property
    def _consecutive(self) -> Tensor:
        """Whether the place before holds the token before, of the same document, ``[B, T]``."""
        positions, documents = self.query_positions, self._documents
        before = functional.pad(positions, (1, 0), value=-1)[:, :-1]
        document_before = functional.pad(documents, (1, 0))[:, :-1]
        return (before >= 0) & (before == positions - 1) & (document_before == documents)

    @cached_property
    def first_visible(self) -> Tensor:
        """The first place that each query sees ``[B, T]``, T for padding; it sees all from there to its own.

        For a mask that is :attr:`in_order`.
        """
        positions = self.query_positions
        length = positions.shape[1]
        places = torch.arange(length, device=positions.device).expand_as(positions)
        first = places.masked_fill(self._consecutive, 0).cummax(dim=1).values
        if self.window is not None:
            first = first.clamp(min=places - self.window + 1)
        return first.masked_fill(positions < 0, length).contiguous()

    def in_blocks(self, size: int) -> "AttentionMask":
        """The mask of each ``size`` queries against the places that their window reaches.

        For a mask with a window that is :attr:`in_order`. Queries are ``[B * blocks, size]``; keys are the
        block's own places and the :func:`places_before` them. Places outside the row are empty slots.
        """
        assert self.window is not None, "only a window bounds what a block reaches"
        if size not in self._blocks:
            before = places_before(self.window, size)

            def queries(x: Tensor) -> Tensor:
                return functional.pad(x, (0, -x.shape[1] % size), value=-1).reshape(-1, size)

            def keys(x: Tensor) -> Tensor:
                padded = functional.pad(x, (before, -x.shape[1] % size), value=-1)
                return padded.unfold(1, before + size, size).reshape(-1, before + size)

            self._blocks[size] = AttentionMask(
                queries(self.query_positions),
                keys(self.key_positions),
                None if self.query_documents is None else queries(self.query_documents),
                None if self.key_documents is None else keys(self.key_documents),
                self.window,
            )
        return self._blocks[size]

    def reach(self, query_size: int, key_size: int) -> tuple[Tensor, Tensor]:
        """Which tiles meet, where places are cut into tiles of ``query_size`` queries and ``key_size`` keys.

        The first result ``[B, query tiles, 2]`` has the first key tile that a query tile may see and the one
        after the last; the second ``[B, key tiles, 2]`` has the same of the query tiles that may see a key
        tile. Both are int32. What lies between may be empty all the same; what lies outside is.
        """
        if (query_size, key_size) not in self._reach:
            first_query, last_query = _ends_of_tiles(self.query_positions, self.query_positions, query_size)
            first_key, last_key = _ends_of_tiles(self.key_positions, self.key_positions, key_size)
            meets = first_key[:, None] <= last_query[:, :, None]
            if self.window is not None:
                meets &= first_query[:, :, None] - last_key[:, None] < self.window
            if self.query_documents is not None and self.key_documents is not None:
                first, last = _ends_of_tiles(self.query_documents, self.query_positions, query_size)
                first_document, last_document = _ends_of_tiles(
                    self.key_documents, self.key_positions, key_size
                )
                meets &= first_document[:, None] <= last[:, :, None]
                meets &= first[:, :, None] <= last_document[:, None]
            self._reach[query_size, key_size] = _extent(meets), _extent(meets.mT)
        return self._reach[query_size, key_size]


def _ends_of_tiles(x: Tensor, positions: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Smallest and largest of each ``size`` entries of ``x [B, T]`` that have a position, ``[B, tiles]``.

    A tile without any gets ends that meet no other's: its smallest is above its largest.
    """
    limits, filled = torch.iinfo(x.dtype), positions >= 0
    padding = (0, -x.shape[1] % size)
    low = functional.pad(x.masked_fill(~filled, limits.max // 2), padding, value=limits.max // 2)
    high = functional.pad(x.masked_fill(~filled, limits.min // 2), padding, value=limits.min // 2)
    return low.unflatten(1, (-1, size)).amin(-1), high.unflatten(1, (-1, size)).amax(-1)


def _extent(meets: Tensor) -> Tensor:
    """First true column of each row and the one after the last, ``[..., rows, columns]`` to ``[..., rows, 2]``."""
    column = torch.arange(meets.shape[-1], device=meets.device)
    first = torch.where(meets, column, meets.shape[-1]).amin(-1)
    last = torch.where(meets, column + 1, 0).amax(-1)
    return torch.stack([first, last], dim=-1).int()


def places_before(window: int, size: int) -> int:
    """How many places before a block of ``size`` queries its keys begin: blocks that cover the window."""
    return -(-(window - 1) // size) * size
