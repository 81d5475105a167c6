"""Attention for GPUs: tiles of queries walk over the tiles of keys that they can see, with a running softmax.

The forward pass keeps a number a query and head, the logarithm of its sum of exponentials; the backward pass makes
the scores again, once by queries for their gradient and once by keys for that of keys and values, so no two programs
add to one place.
"""
# mypy: disable-error-code="import-not-found,no-untyped-def"

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from lab.kernels.attention.mask import AttentionMask
from lab.kernels.precision import product_type, widen, without_autocast
from lab.kernels.triton_support import block_of, operand_type, wide_type

BYTES_OF_A_TILE = 16384
"""Of keys or of values, at most, unless 16 rows need more; with :data:`LARGEST_TILE` chosen by hand, never timed."""

LARGEST_TILE = 64
NO_WINDOW = 2**30


def attention(q: Tensor, k: Tensor, v: Tensor, mask: AttentionMask, scale: float) -> Tensor:
    """Shapes as in the package."""
    dtype = product_type(q)
    with without_autocast(q):
        return _Attention.apply(q.to(dtype), k.to(dtype), v.to(dtype), mask, scale)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, mask: AttentionMask, scale: float) -> Tensor:
        q, k, v = (_in_place(x) for x in (q, k, v))
        y = torch.empty(*q.shape[:3], v.shape[3], dtype=q.dtype, device=q.device)
        log_sums = torch.empty(q.shape[:3], dtype=widen(q[:0]).dtype, device=q.device)
        size = _tile_size(q, v)
        tiles = triton.cdiv(q.shape[1], size), q.shape[0] * q.shape[2]
        _forward[tiles](
            *(part for x in (q, k, v, y) for part in (x, *x.stride()[:3])),
            *(log_sums, mask.reach(size, size)[0], *_who_sees_whom(mask), *_sizes_and_types(q, k, v, scale)),
        )
        ctx.save_for_backward(q, k, v, y, log_sums)
        ctx.mask, ctx.scale = mask, scale
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, y, log_sums = ctx.saved_tensors
        grad_y = _in_place(grad_y)
        along = (widen(grad_y) * y).sum(-1)
        grad_q, grad_k, grad_v = (torch.empty(x.shape, dtype=x.dtype, device=x.device) for x in (q, k, v))
        size = _tile_size(q, v)
        by_query, by_key = ctx.mask.reach(size, size)
        common = *_who_sees_whom(ctx.mask), *_sizes_and_types(q, k, v, ctx.scale)
        inputs = [part for x in (q, k, v, grad_y) for part in (x, *x.stride()[:3])]
        query_tiles = triton.cdiv(q.shape[1], size), q.shape[0] * q.shape[2]
        _backward_of_queries[query_tiles](*inputs, log_sums, along, by_query, grad_q, *common)
        key_tiles = triton.cdiv(k.shape[1], size), k.shape[0] * k.shape[2]
        _backward_of_keys[key_tiles](*inputs, log_sums, along, by_key, grad_k, grad_v, *common)
        return grad_q, grad_k, grad_v, None, None


def _in_place(x: Tensor) -> Tensor:
    """``x`` itself where the channels of a head are neighbours, else a copy."""
    return x if x.stride(-1) == 1 else x.contiguous()


def _tile_size(q: Tensor, v: Tensor) -> int:
    """Queries and keys of a tile."""
    row = max(block_of(q.shape[3], 16), block_of(v.shape[3], 16)) * q.element_size()
    return max(16, min(LARGEST_TILE, BYTES_OF_A_TILE // row))


def _who_sees_whom(mask: AttentionMask) -> tuple[Any, ...]:
    """Positions, documents or None, chosen keys or None, and the window."""
    kept = None if mask.kept is None else mask.kept.contiguous().view(torch.uint8)
    documents = (None if x is None else x.contiguous() for x in (mask.query_documents, mask.key_documents))
    positions = mask.query_positions.contiguous(), mask.key_positions.contiguous()
    return *positions, *documents, kept, NO_WINDOW if mask.window is None else mask.window


def _sizes_and_types(q: Tensor, k: Tensor, v: Tensor, scale: float) -> tuple[Any, ...]:
    widths = q.shape[3], v.shape[3]
    sizes = q.shape[1], k.shape[1], q.shape[2], q.shape[2] // k.shape[2], *widths
    tile = _tile_size(q, v), *(block_of(width, 16) for width in widths)
    return *sizes, scale, wide_type(q), operand_type(q.dtype), *tile


@triton.jit
def _tile_of(x_ptr, row, channel, row_stride, rows, channels):
    """``[rows, channels]``, zero outside; ``row`` and ``channel`` are a column and a row, or the other way round."""
    inside = (row < rows) & (channel < channels)
    return tl.load(x_ptr + row.to(tl.int64) * row_stride + channel, mask=inside, other=0.0)


@triton.jit
def _allowed(
    query, key, batch, query_positions_ptr, key_positions_ptr, query_documents_ptr, key_documents_ptr,
    kept_ptr, window, queries, keys,
):  # fmt: skip
    """The rule of ``AttentionMask`` for places ``query [Q]`` and ``key [C]``, ``[Q, C]``."""
    query_place, key_place = batch * queries + query, batch * keys + key
    position = tl.load(query_positions_ptr + query_place, mask=query < queries, other=-1)[:, None]
    key_position = tl.load(key_positions_ptr + key_place, mask=key < keys, other=-1)[None, :]
    allowed = (key_position >= 0) & (key_position <= position) & (position - key_position < window)
    if query_documents_ptr is not None:
        document = tl.load(query_documents_ptr + query_place, mask=query < queries, other=0)[:, None]
        key_document = tl.load(key_documents_ptr + key_place, mask=key < keys, other=0)[None, :]
        allowed = allowed & (document == key_document)
    if kept_ptr is not None:
        inside = (query < queries)[:, None] & (key < keys)[None, :]
        place = query_place.to(tl.int64)[:, None] * keys + key[None, :]
        allowed = allowed & (tl.load(kept_ptr + place, mask=inside, other=0) != 0)
    return allowed


@triton.jit
def _forward(
    q_ptr, q_batch, q_row, q_head, k_ptr, k_batch, k_row, k_head, v_ptr, v_batch, v_row, v_head,
    y_ptr, y_batch, y_row, y_head, log_sums_ptr, reach_ptr,
    query_positions_ptr, key_positions_ptr, query_documents_ptr, key_documents_ptr, kept_ptr, window,
    queries, keys, heads, heads_per_key, width, value_width,
    SCALE: tl.constexpr, WIDE: tl.constexpr, OPERAND: tl.constexpr,
    TILE: tl.constexpr, WIDTH: tl.constexpr, VALUE_WIDTH: tl.constexpr,
):  # fmt: skip
    batch = (tl.program_id(1) // heads).to(tl.int64)
    head = tl.program_id(1) % heads
    query = tl.program_id(0) * TILE + tl.arange(0, TILE)
    channel, value_channel = tl.arange(0, WIDTH), tl.arange(0, VALUE_WIDTH)
    q = _tile_of(
        q_ptr + batch * q_batch + head * q_head, query[:, None], channel[None, :], q_row, queries, width
    ).to(OPERAND)
    k_head_ptr = k_ptr + batch * k_batch + head // heads_per_key * k_head
    v_head_ptr = v_ptr + batch * v_batch + head // heads_per_key * v_head
    largest = tl.full([TILE], float("-inf"), WIDE)
    total = tl.zeros([TILE], WIDE)
    y = tl.zeros([TILE, VALUE_WIDTH], WIDE)
    reach = reach_ptr + (batch * tl.num_programs(0) + tl.program_id(0)) * 2
    for tile in range(tl.load(reach), tl.load(reach + 1)):
        key = tile * TILE + tl.arange(0, TILE)
        allowed = _allowed(
            query, key, batch, query_positions_ptr, key_positions_ptr, query_documents_ptr, key_documents_ptr,
            kept_ptr, window, queries, keys,
        )  # fmt: skip
        k = _tile_of(k_head_ptr, key[None, :], channel[:, None], k_row, keys, width).to(OPERAND)
        v = _tile_of(v_head_ptr, key[:, None], value_channel[None, :], v_row, keys, value_width)
        scores = tl.dot(q, k, input_precision="ieee", out_dtype=WIDE) * SCALE  # (1)
        scores = tl.where(allowed, scores, float("-inf"))
        new_largest = tl.maximum(largest, tl.max(scores, 1))
        finite = tl.where(new_largest == float("-inf"), 0.0, new_largest)
        weights = tl.exp(scores - finite[:, None])
        fade = tl.exp(largest - finite)
        total = total * fade + tl.sum(weights, 1)
        y = tl.dot(
            weights.to(v.dtype).to(OPERAND), v.to(OPERAND), y * fade[:, None],
            input_precision="ieee", out_dtype=WIDE,
        )  # fmt: skip
        largest = new_largest
    seen = total > 0
    total = tl.where(seen, total, 1.0)
    y_place = y_ptr + batch * y_batch + query.to(tl.int64)[:, None] * y_row + head * y_head
    inside = (query < queries)[:, None] & (value_channel < value_width)[None, :]
    tl.store(y_place + value_channel[None, :], y / total[:, None], mask=inside)  # (2)
    log_sum = tl.where(seen, largest + tl.log(total), 0.0)
    tl.store(log_sums_ptr + (batch * queries + query) * heads + head, log_sum, mask=query < queries)


@triton.jit
def _weights_and_gradient(
    q, k, v, grad_y, allowed, log_sum, along, SCALE: tl.constexpr, WIDE: tl.constexpr, OPERAND: tl.constexpr
):
    """Softmax weights of a tile and the gradient of its unscaled scores, ``[Q, C]`` each."""
    scores = tl.dot(q, tl.trans(k), input_precision="ieee", out_dtype=WIDE) * SCALE
    weights = tl.where(allowed, tl.exp(scores - log_sum[:, None]), 0.0)
    grad_weights = tl.dot(grad_y, tl.trans(v), input_precision="ieee", out_dtype=WIDE)
    return weights, weights * (grad_weights - along[:, None]) * SCALE


@triton.jit
def _backward_of_queries(
    q_ptr, q_batch, q_row, q_head, k_ptr, k_batch, k_row, k_head, v_ptr, v_batch, v_row, v_head,
    grad_y_ptr, grad_batch, grad_row, grad_head, log_sums_ptr, along_ptr, reach_ptr, grad_q_ptr,
    query_positions_ptr, key_positions_ptr, query_documents_ptr, key_documents_ptr, kept_ptr, window,
    queries, keys, heads, heads_per_key, width, value_width,
    SCALE: tl.constexpr, WIDE: tl.constexpr, OPERAND: tl.constexpr,
    TILE: tl.constexpr, WIDTH: tl.constexpr, VALUE_WIDTH: tl.constexpr,
):  # fmt: skip
    batch = (tl.program_id(1) // heads).to(tl.int64)
    head = tl.program_id(1) % heads
    query = tl.program_id(0) * TILE + tl.arange(0, TILE)
    channel, value_channel = tl.arange(0, WIDTH)[None, :], tl.arange(0, VALUE_WIDTH)[None, :]
    q = _tile_of(q_ptr + batch * q_batch + head * q_head, query[:, None], channel, q_row, queries, width)
    grad_y = _tile_of(
        grad_y_ptr + batch * grad_batch + head * grad_head,
        query[:, None], value_channel, grad_row, queries, value_width,
    ).to(OPERAND)  # fmt: skip
    place = (batch * queries + query) * heads + head
    log_sum = tl.load(log_sums_ptr + place, mask=query < queries, other=0.0)
    along = tl.load(along_ptr + place, mask=query < queries, other=0.0)
    k_head_ptr = k_ptr + batch * k_batch + head // heads_per_key * k_head
    v_head_ptr = v_ptr + batch * v_batch + head // heads_per_key * v_head
    grad_q = tl.zeros([TILE, WIDTH], WIDE)
    reach = reach_ptr + (batch * tl.num_programs(0) + tl.program_id(0)) * 2
    for tile in range(tl.load(reach), tl.load(reach + 1)):
        key = tile * TILE + tl.arange(0, TILE)
        allowed = _allowed(
            query, key, batch, query_positions_ptr, key_positions_ptr, query_documents_ptr, key_documents_ptr,
            kept_ptr, window, queries, keys,
        )  # fmt: skip
        k = _tile_of(k_head_ptr, key[:, None], channel, k_row, keys, width).to(OPERAND)
        v = _tile_of(v_head_ptr, key[:, None], value_channel, v_row, keys, value_width).to(OPERAND)
        _, grad_scores = _weights_and_gradient(
            q.to(OPERAND), k, v, grad_y, allowed, log_sum, along, SCALE, WIDE, OPERAND
        )
        grad_q = tl.dot(
            grad_scores.to(q.dtype).to(OPERAND), k, grad_q, input_precision="ieee", out_dtype=WIDE
        )
    result = grad_q_ptr + place[:, None] * width + channel
    tl.store(result, grad_q, mask=(query < queries)[:, None] & (channel < width))


@triton.jit
def _backward_of_keys(
    q_ptr, q_batch, q_row, q_head, k_ptr, k_batch, k_row, k_head, v_ptr, v_batch, v_row, v_head,
    grad_y_ptr, grad_batch, grad_row, grad_head, log_sums_ptr, along_ptr, reach_ptr, grad_k_ptr, grad_v_ptr,
    query_positions_ptr, key_positions_ptr, query_documents_ptr, key_documents_ptr, kept_ptr, window,
    queries, keys, heads, heads_per_key, width, value_width,
    SCALE: tl.constexpr, WIDE: tl.constexpr, OPERAND: tl.constexpr,
    TILE: tl.constexpr, WIDTH: tl.constexpr, VALUE_WIDTH: tl.constexpr,
):  # fmt: skip
    """All query heads of a group add to their key head in turn."""
    key_heads = heads // heads_per_key
    batch = (tl.program_id(1) // key_heads).to(tl.int64)
    key_head = tl.program_id(1) % key_heads
    key = tl.program_id(0) * TILE + tl.arange(0, TILE)
    channel, value_channel = tl.arange(0, WIDTH)[None, :], tl.arange(0, VALUE_WIDTH)[None, :]
    k_head_ptr, v_head_ptr = (
        k_ptr + batch * k_batch + key_head * k_head,
        v_ptr + batch * v_batch + key_head * v_head,
    )
    k = _tile_of(k_head_ptr, key[:, None], channel, k_row, keys, width).to(OPERAND)
    v = _tile_of(v_head_ptr, key[:, None], value_channel, v_row, keys, value_width).to(OPERAND)
    grad_k, grad_v = tl.zeros([TILE, WIDTH], WIDE), tl.zeros([TILE, VALUE_WIDTH], WIDE)
    reach = reach_ptr + (batch * tl.num_programs(0) + tl.program_id(0)) * 2
    first, last = tl.load(reach), tl.load(reach + 1)
    for head in range(key_head * heads_per_key, (key_head + 1) * heads_per_key):
        for tile in range(first, last):
            query = tile * TILE + tl.arange(0, TILE)
            allowed = _allowed(
                query, key, batch, query_positions_ptr, key_positions_ptr, query_documents_ptr,
                key_documents_ptr, kept_ptr, window, queries, keys,
            )  # fmt: skip
            q = _tile_of(
                q_ptr + batch * q_batch + head * q_head, query[:, None], channel, q_row, queries, width
            )
            grad_y = _tile_of(
                grad_y_ptr + batch * grad_batch + head * grad_head,
                query[:, None], value_channel, grad_row, queries, value_width,
            ).to(OPERAND)  # fmt: skip
            place = (batch * queries + query) * heads + head
            log_sum = tl.load(log_sums_ptr + place, mask=query < queries, other=0.0)
            along = tl.load(along_ptr + place, mask=query < queries, other=0.0)
            weights, grad_scores = _weights_and_gradient(
                q.to(OPERAND), k, v, grad_y, allowed, log_sum, along, SCALE, WIDE, OPERAND
            )
            narrow = tl.trans(weights.to(q.dtype).to(OPERAND))
            grad_v = tl.dot(narrow, grad_y, grad_v, input_precision="ieee", out_dtype=WIDE)
            narrow = tl.trans(grad_scores.to(q.dtype).to(OPERAND))
            grad_k = tl.dot(narrow, q.to(OPERAND), grad_k, input_precision="ieee", out_dtype=WIDE)
    place = (batch * keys + key)[:, None] * key_heads + key_head
    tl.store(grad_k_ptr + place * width + channel, grad_k, mask=(key < keys)[:, None] & (channel < width))
    inside = (key < keys)[:, None] & (value_channel < value_width)
    tl.store(grad_v_ptr + place * value_width + value_channel, grad_v, mask=inside)
