"""Blocks of queries: both softmaxes are held for one block, subtracted, and meet the values once.

Equation numbers are those of the README.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lab.kernels.attention.mask import AttentionMask
from lab.kernels.precision import product_type, widen, without_autocast

QUERIES_PER_BLOCK = 64


def differential_attention(
    q: Tensor, k: Tensor, v: Tensor, noise_weight: Tensor, mask: AttentionMask, scale: float
) -> Tensor:
    """Shapes as in the package."""
    dtype = product_type(q)
    batch, length, groups, heads, _ = q.shape
    per_key = groups // k.shape[2]
    weight = widen(noise_weight).expand(batch, length, groups, heads - 1, 1)
    with without_autocast(q):
        y = _DifferentialAttention.apply(
            q.to(dtype).unflatten(2, (-1, per_key)),
            k.to(dtype),
            v.to(dtype),
            weight.unflatten(2, (-1, per_key)),
            mask,
            scale,
        )
    return y.flatten(2, 3)


class _Block(NamedTuple):
    """The places of a block's queries, those of the keys they can reach, and who sees whom ``[B, 1, Q, S]``."""

    queries: slice
    keys: slice
    allowed: Tensor


def _blocks(mask: AttentionMask) -> Iterator[_Block]:
    """Where places agree with positions, keys behind a block and before its window are left out."""
    allowed, length = mask.dense(), mask.query_positions.shape[1]
    for start in range(0, length, QUERIES_PER_BLOCK):
        stop = min(start + QUERIES_PER_BLOCK, length)
        keys = slice(0, allowed.shape[-1])
        if mask.in_order:
            keys = slice(0 if mask.window is None else max(0, start - mask.window + 1), stop)
        yield _Block(slice(start, stop), keys, allowed[:, :, start:stop, keys])


class _DifferentialAttention(torch.autograd.Function):
    """Keeps its inputs; ``q [B, T, K, n, r + 1, d]`` with n groups a key head, the noise weight likewise."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, weight: Tensor, mask: AttentionMask, scale: float
    ) -> Tensor:
        y = q.new_empty(*weight.shape[:-1], v.shape[-1])
        values = v.transpose(1, 2)
        for block in _blocks(mask):
            signal, noise = _softmaxes(q[:, block.queries], k[:, block.keys], block.allowed, scale)
            difference = signal.sub_(_rows_last(weight[:, block.queries]) * noise)  # (2)
            read = difference.to(v.dtype).flatten(2, 4) @ values[:, :, block.keys]
            y[:, block.queries] = _time_first(read, signal.shape[2:5])
        ctx.save_for_backward(q, k, v, weight)
        ctx.mask, ctx.scale = mask, scale
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, None, None]:
        q, k, v, weight = ctx.saved_tensors
        grad_q, grad_weight = torch.empty_like(q), torch.empty_like(weight)
        grad_k, grad_v = (torch.zeros(x.shape, dtype=widen(x[:0]).dtype, device=x.device) for x in (k, v))
        for block in _blocks(ctx.mask):
            queries, keys = block.queries, block.keys
            signal, noise = _softmaxes(q[:, queries], k[:, keys], block.allowed, ctx.scale)
            share = _rows_last(weight[:, queries])
            incoming = _rows_last(grad_y[:, queries])
            difference = (signal - share * noise).to(v.dtype)
            grad_v[:, keys] += (difference.flatten(2, 4).mT @ incoming.flatten(2, 4)).transpose(1, 2)  # (3)
            pull = widen(incoming.flatten(2, 4) @ v[:, keys].transpose(1, 2).mT).unflatten(
                2, signal.shape[2:5]
            )
            grad_weight[:, queries] = _time_first((pull * noise).sum(-1, keepdim=True).neg_())  # (4)
            pull_noise = (share * pull).sum(3, keepdim=True).neg_()
            grad_signal, grad_noise = (
                _through_softmax(p, grad).mul_(ctx.scale).to(q.dtype)
                for p, grad in ((signal, pull), (noise, pull_noise))
            )  # (5)
            heads = _rows_last(q[:, queries])
            parts = ((grad_signal, heads[:, :, :, :-1], 0), (grad_noise, heads[:, :, :, -1:], -1))
            grads = []
            for grad, head, which in parts:
                grads.append(
                    (grad.flatten(2, 4) @ k[:, keys, :, which].transpose(1, 2)).unflatten(2, head.shape[2:5])
                )
                grad_k[:, keys, :, which] += (grad.flatten(2, 4).mT @ head.flatten(2, 4)).transpose(1, 2)
            grad_q[:, queries] = _time_first(torch.cat(grads, dim=3))
        return grad_q, grad_k.to(k.dtype), grad_v.to(v.dtype), grad_weight, None, None


def _softmaxes(q: Tensor, k: Tensor, allowed: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Signal ``[B, K, n, r, Q, S]`` and noise ``[B, K, n, 1, Q, S]``, float32; zeros where nothing is seen (1)."""
    heads = _rows_last(q)
    allowed = allowed[:, :, None, None]

    def softmax(head: Tensor, key: Tensor) -> Tensor:
        scores = widen(head.flatten(2, 4) @ key.permute(0, 2, 3, 1)).mul_(scale).unflatten(2, head.shape[2:5])
        scores.masked_fill_(~allowed, torch.finfo(scores.dtype).min)
        return torch.softmax(scores, dim=-1).mul_(allowed)

    return softmax(heads[:, :, :, :-1], k[:, :, :, 0]), softmax(heads[:, :, :, -1:], k[:, :, :, -1])


def _through_softmax(p: Tensor, grad: Tensor) -> Tensor:
    """The gradient of the scores of ``p = softmax(scores)``."""
    return p * (grad - (p * grad).sum(-1, keepdim=True))


def _rows_last(x: Tensor) -> Tensor:
    """``[B, Q, K, n, r, d] -> [B, K, n, r, Q, d]``."""
    return x.permute(0, 2, 3, 4, 1, 5)


def _time_first(x: Tensor, heads: torch.Size | None = None) -> Tensor:
    """The inverse; with ``heads`` of ``[B, K, n r Q, d]``."""
    if heads is not None:
        x = x.unflatten(2, heads)
    return x.permute(0, 4, 1, 2, 3, 5)
