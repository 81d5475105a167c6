"""Chunks of tokens at once; equation numbers are those of README.md."""

import torch
from torch import Tensor

from lab.kernels.precision import widen

CHUNK = 16
"""Tokens a chunk: small, because the decay between every pair of them is held for every channel."""


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
    causal = torch.ones(chunk, chunk, dtype=torch.bool, device=q.device).tril() & same
    between = (total.unsqueeze(-2) - total.unsqueeze(-3)).masked_fill(~causal.unsqueeze(-1), -torch.inf).exp()
    key_products = torch.einsum("bhnic,bhnjc,bhnijc->bhnij", k, k, between).tril(-1)  # (3)
    query_products = torch.einsum("bhnic,bhnjc,bhnijc->bhnij", q, k, between)  # (4)

    since_start = total.exp() * continues
    system = torch.eye(chunk, dtype=q.dtype, device=q.device) + beta * key_products
    right = beta * torch.cat([v, k * since_start], dim=-1)
    solved = torch.linalg.solve_triangular(system, right, upper=False, unitriangular=True)  # (5)
    values, reads = solved.split((v.shape[-1], d), dim=-1)

    queries = q * since_start
    last = total[..., -1:, :]
    keys = k * (last - total).exp() * survives
    decay = (last.exp() * continues[..., -1:, :]).transpose(-1, -2)
    outputs = []
    for n in range(num_chunks):
        written = values[:, :, n] - reads[:, :, n] @ state  # (6)
        outputs.append(queries[:, :, n] @ state + query_products[:, :, n] @ written)  # (7)
        state = decay[:, :, n] * state + keys[:, :, n].transpose(-1, -2) @ written  # (8)
    o = torch.stack(outputs, dim=2).flatten(2, 3)[:, :, :length]
    return o.transpose(1, 2).to(result_type), state


def _in_chunks(x: Tensor, chunk: int) -> Tensor:
    """``[B, T, H, c]`` to ``[B, H, N, C, c]``; the tail is filled with zeros, which leave the state alone."""
    missing = -x.shape[1] % chunk
    x = torch.nn.functional.pad(x, (0, 0, 0, 0, 0, missing))
    return x.transpose(1, 2).unflatten(2, (-1, chunk))


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
