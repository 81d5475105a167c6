"""Chunks of tokens at once; equation numbers are those of README.md."""

import torch
from torch import Tensor
from torch.nn import functional

from lab.kernels.precision import widen

CHUNK = 32
"""Tokens a chunk, a power of two."""


def kimi_delta(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor,
    beta: Tensor,
    initial_state: Tensor | None = None,
    documents: Tensor | None = None,
    chunk: int = CHUNK,
) -> tuple[Tensor, Tensor]:
    """See :func:`lab.kernels.kimi_delta.kimi_delta`; ``chunk`` tokens are solved together."""
    result_type, length = v.dtype, q.shape[1]
    q, k, v, g, beta = (_in_chunks(widen(tensor), chunk) for tensor in (q, k, v, g, beta.unsqueeze(-1)))
    batch, heads, num_chunks, _, d = q.shape
    state = v.new_zeros(batch, heads, d, v.shape[-1]) if initial_state is None else widen(initial_state)
    same, continues, survives = _document_masks(documents, batch, num_chunks, chunk, q.device)

    total = g.cumsum(dim=-2)  # G: decay since the chunk began, the token's own included
    query_products, key_products = (products * same for products in _decayed_products(q, k, total))

    since_start = total.exp() * continues
    system = torch.eye(chunk, dtype=q.dtype, device=q.device) + beta * key_products
    right = beta * torch.cat([v, k * since_start], dim=-1)
    solved = torch.linalg.solve_triangular(system, right, upper=False, unitriangular=True)  # (5)
    values, reads = solved.split((v.shape[-1], d), dim=-1)

    last = total[..., -1:, :]
    keys = (k * (last - total).exp() * survives).transpose(-1, -2)
    decay = (last.exp() * continues[..., -1:, :]).transpose(-1, -2)
    by_chunk = (tensor.unbind(2) for tensor in (values, reads, q * since_start, query_products, keys, decay))
    outputs = []
    for value, read, query, products, key, fade in zip(*by_chunk, strict=True):
        written = value - read @ state  # (6)
        outputs.append(query @ state + products @ written)  # (7)
        state = fade * state + key @ written  # (8)
    o = torch.stack(outputs, dim=2).flatten(2, 3)[:, :, :length]
    return o.transpose(1, 2).to(result_type), state


def _decayed_products(q: Tensor, k: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
    """Equations 3 and 4, ``[..., C, C]`` each, from ``[..., C, d]``: blocks on the diagonal, joined two by two.

    Tokens of the later block meet those of the earlier one through the last token of the earlier, so that both
    factors of the decay are at most one (9).
    """
    diagonal = (q * k).sum(-1)
    blocks = torch.stack([diagonal, torch.zeros_like(diagonal)])[..., None, None]
    size = 1
    while size < q.shape[-2]:
        early_decay, late_decay = _halves(total, size)
        early_keys, late_keys = _halves(k, size)
        _, late_queries = _halves(q, size)
        edge = early_decay[..., -1:, :]
        readers = torch.stack([late_queries, late_keys]) * (late_decay - edge).exp()
        across = readers @ (early_keys * (edge - early_decay).exp()).transpose(-1, -2)
        early, late = blocks.unflatten(-3, (-1, 2)).unbind(-3)
        above = torch.cat([early, torch.zeros_like(early)], dim=-1)
        blocks = torch.cat([above, torch.cat([across, late], dim=-1)], dim=-2)
        size *= 2
    query_products, key_products = blocks.squeeze(-3)
    return query_products, key_products


def _halves(x: Tensor, size: int) -> tuple[Tensor, ...]:
    """Every other ``size`` tokens of ``[..., C, d]`` and those between, ``[..., C / (2 size), size, d]`` each."""
    return x.unflatten(-2, (-1, 2, size)).unbind(-3)


def _in_chunks(x: Tensor, chunk: int) -> Tensor:
    """``[B, T, H, c]`` to ``[B, H, N, C, c]``; the tail is filled with zeros, which leave the state alone."""
    assert chunk & (chunk - 1) == 0, "a chunk is halved down to single tokens"
    padded = functional.pad(x, (0, 0, 0, 0, 0, -x.shape[1] % chunk))
    return padded.transpose(1, 2).unflatten(2, (-1, chunk))


def _document_masks(
    documents: Tensor | None, batch: int, num_chunks: int, chunk: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Who shares a document: pairs of a chunk ``[B, 1, N, C, C]``; a token with what came before its chunk,
    and a token with its chunk's last one, ``[B, 1, N, C, 1]``.
    """
    if documents is None:
        documents = torch.zeros(batch, 1, dtype=torch.long, device=device)
    missing = num_chunks * chunk - documents.shape[1]
    filled = torch.cat([documents, documents[:, -1:].expand(-1, missing)], dim=1)
    filled = filled.view(batch, 1, num_chunks, chunk)
    before = torch.cat([filled[:, :, :1, 0], filled[:, :, :-1, -1]], dim=2).unsqueeze(-1)
    same = filled.unsqueeze(-1) == filled.unsqueeze(-2)
    return same, (filled == before).unsqueeze(-1), (filled == filled[..., -1:]).unsqueeze(-1)
