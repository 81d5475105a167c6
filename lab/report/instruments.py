"""Small measurements of mechanisms at work, for notebooks: what a cache holds, who is heard, what an indexer finds."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lab.kernels.sparse_attention import select
from lab.model.attention.sparse_latent import SparseLatentAttention, attention_over_heads
from lab.model.cache import Caches, LayerCache
from lab.model.context import Context
from lab.model.decoder import Decoder


def cache_bytes_held(caches: Caches) -> int:
    """Bytes that the tensors of ``caches`` take; of a slotted layer without the one spare slot that is never seen."""
    total = 0
    for cache in caches.layers:
        if isinstance(cache, LayerCache):
            tensors = [buffer[:, : cache.slots.capacity] for buffer in cache._buffers.values()]
        else:
            tensors = list(cache._state.values())
        total += sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    return total


@torch.no_grad()
def decoded_logits(model: Decoder, tokens: Tensor, prompt: int) -> tuple[Tensor, Caches]:
    """Logits ``[B, T - prompt, V]`` of ``tokens [B, T]`` read as decoding does, and the caches at the end.

    The first ``prompt`` tokens are read at once, then one token at a time.
    """
    caches = model.new_caches(*tokens.shape)
    model(tokens[:, :prompt], caches=caches)
    steps = [model(tokens[:, [place]], caches=caches).hidden for place in range(prompt, tokens.shape[1])]
    return model.head(torch.cat(steps, dim=1)).float(), caches


@torch.no_grad()
def influence_of_first_token(model: Decoder, tokens: Tensor) -> Tensor:
    """How far the hidden state at each position moves when the first of ``tokens [1, T]`` is another: ``[T]``.

    Relative to the norm of the state; exactly 0 where no path leads.
    """
    other = tokens.clone()
    other[0, 0] = (other[0, 0] + 1) % model.config.vocab_size
    before, after = model(tokens).hidden[0], model(other).hidden[0]
    return (after - before).norm(dim=-1) / before.norm(dim=-1)


@dataclass(frozen=True)
class IndexerShares:
    """Shares of attention's probability that a choice of keys carries, averaged over queries that must choose."""

    chosen: float
    """The indexer's keys."""
    best: float
    """The keys that attention itself weighs most: no indexer can do better."""
    random: float
    """As many keys drawn at random."""


@torch.no_grad()
def indexer_shares(layer: SparseLatentAttention, x: Tensor, top_k: int, seed: int = 0) -> IndexerShares:
    """What ``top_k`` keys of the indexer carry of the dense attention of ``layer`` over its input ``x [B, T, D]``.

    The probability is averaged over heads. Queries that see at most ``top_k`` keys are left out.
    """
    positions = torch.arange(x.shape[1], device=x.device).expand(x.shape[:2])
    context = Context(positions, None)
    latent = layer.query_norm(layer.query_down(x))
    k, _ = layer.expand(*layer.latents(x, context, None))
    allowed = context.mask(layer.layer.window).dense().squeeze(1).expand(len(x), -1, -1)
    probability = attention_over_heads(layer.queries(latent, context), k, allowed, layer.scale)
    noise = torch.rand(probability.shape, generator=torch.Generator().manual_seed(seed))
    shares = [
        (probability * select(scores, allowed, top_k).kept).sum(-1)[:, top_k:].mean().item()
        for scores in (layer.indexer(x, latent, context, None), probability, noise)
    ]
    return IndexerShares(*shares)


def effective_rank(matrix: Tensor) -> float:
    """``sum of squared singular values / the largest squared`` of ``matrix [N, F]``: between 1 and its rank."""
    squares = torch.linalg.svdvals(matrix.double()).square()
    return (squares.sum() / squares.max()).item()
