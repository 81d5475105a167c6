"""Sparse latent attention: an indexer picks the keys that latent attention reads."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from lab.kernels.attention import AttentionMask
from lab.kernels.latent_attention import latent_attention
from lab.kernels.precision import without_autocast
from lab.kernels.rotary import rotate
from lab.kernels.sparse_attention import index_scores, select, sparse_attention
from lab.model.attention.latent import LatentProjections
from lab.model.cache import LayerCache
from lab.model.context import Context
from lab.model.initial import BranchOutput
from lab.model.leaves.layers import LayerPlan
from lab.model.leaves.norm import NormConfig
from lab.model.leaves.sparse_latent import SparseLatent
from lab.model.record import Record


class LightningIndexer(nn.Module):
    """Scores tokens by small heads over one shared key (DeepSeek-V3.2; A.X K2, arXiv 2608.30181).

    ``I_ts = sum_j w_tj relu(q_tj . k_s / sqrt(d))`` over heads j, with ``q = W_q c_q`` from the normed query
    latent, ``k = LayerNorm(W_k x)`` and ``w = W_w x / sqrt(num heads)``. The first ``rope_dim`` channels of q
    and k are rotated.
    """

    def __init__(self, config: SparseLatent, width: int, layer: LayerPlan) -> None:
        super().__init__()
        self.layer = layer
        self.rope_dim, self.head_dim = config.rope_dim, config.index_dim
        self.query = nn.Linear(config.query_rank, config.index_heads * config.index_dim, bias=False)
        self.key = nn.Linear(width, config.index_dim, bias=False)
        self.key_norm = nn.LayerNorm(config.index_dim, eps=1e-6)
        self.head_weight = nn.Linear(width, config.index_heads, bias=False)

    def forward(self, x: Tensor, query_latent: Tensor, context: Context, cache: LayerCache | None) -> Tensor:
        """Scores ``[B, T, S]`` of all S tokens in reach, float32, unmasked."""
        q = self._rotated(self.query(query_latent).unflatten(-1, (-1, self.head_dim)), context)
        k = self._rotated(self.key_norm(self.key(x)).unsqueeze(2), context).squeeze(2)
        if cache is not None:
            (k,) = cache.extend(index_key=k)
        with without_autocast(x):
            weight = functional.linear(x.float(), self.head_weight.weight.float())
        return index_scores(q, k, weight)

    def _rotated(self, heads: Tensor, context: Context) -> Tensor:
        if self.layer.rotation is None:
            return heads
        cos, sin = context.rotation_table(self.layer.rotation, self.rope_dim)
        first, rest = heads.split((self.rope_dim, self.head_dim - self.rope_dim), dim=-1)
        return torch.cat([rotate(first, cos, sin), rest], dim=-1)


class SparseLatentAttention(LatentProjections):
    """Latent attention over the ``index_top_k`` keys its indexer scores highest; a gated output (A.X K2).

    ``y = W_o concat_h( sigmoid(W_g c)_h * attention_h )``: the gate reads the query latent c *before* its
    norm. All heads of a layer share one selection, made among the keys that causality, documents and window
    allow; where these are at most ``index_top_k``, all are kept and attention is exactly dense.

    Selection has no gradient, and the indexer reads detached inputs, so the language-model loss never trains
    it. It learns from the auxiliary loss ``indexer``: ``KL(p || softmax(I))`` over the kept keys, where p is
    the attention's own distribution, detached and averaged over heads.
    """

    def __init__(self, config: SparseLatent, width: int, layer: LayerPlan, norm: NormConfig) -> None:
        super().__init__(config, width, layer, norm, num_expanded=config.num_heads)
        self.top_k = config.index_top_k
        self.index_loss_weight = config.index_loss_weight
        channels = config.num_heads * config.value_dim
        self.gate = nn.Linear(config.query_rank, channels, bias=False)
        self.indexer = LightningIndexer(config, width, layer)
        self.output = BranchOutput(channels, width)

    def forward(self, x: Tensor, context: Context, cache: LayerCache | None) -> tuple[Tensor, Record]:
        """``x [B, T, D] -> [B, T, D]`` and the indexer's loss; with a cache the T tokens follow its own."""
        query_latent = self.query_down(x)
        normed = self.query_norm(query_latent)
        q = self.queries(normed, context)
        latent, k_rope = self.latents(x, context, cache)
        scores = self.indexer(x.detach(), normed.detach(), context, cache)
        mask = context.mask(self.layer.window)
        record = Record()
        if cache is not None and x.shape[1] == 1:
            y = self._attend_selected(q, latent, k_rope, mask, scores)
        else:
            selection = select(scores, mask.dense().squeeze(1), self.top_k)
            k, v = self.expand(latent, k_rope)
            y = sparse_attention(q, k, v, mask, selection, self.scale)
            if self.training and self.index_loss_weight > 0:
                kept = selection.kept
                loss = indexer_loss(scores, attention_over_heads(q, k, kept, self.scale), kept)
                record.losses["indexer"] = self.index_loss_weight * loss
        gate = torch.sigmoid(self.gate(query_latent).float())
        return self.output((y.flatten(2) * gate).to(y.dtype)), record

    def _attend_selected(
        self, q: Tensor, latent: Tensor, k_rope: Tensor, mask: AttentionMask, scores: Tensor
    ) -> Tensor:
        """One query a row: read its selected latents and nothing else; ``[B, 1, H, v]``."""
        chosen = None
        if latent.shape[1] > self.top_k:
            chosen = select(scores, mask.dense().squeeze(1), self.top_k).indices
        return latent_attention(q, latent, k_rope, self.up, mask, self.scale, chosen)


@torch.no_grad()
def attention_over_heads(q: Tensor, k: Tensor, kept: Tensor, scale: float) -> Tensor:
    """Attention probabilities averaged over heads, float32.

    ``q [B, T, H, d]`` and ``k [B, S, H, d]`` over the ``kept [B, T, S]`` keys; rows that keep none are zero.
    Head by head, so that memory stays at one ``[B, T, S]``.
    """
    total = torch.zeros(kept.shape, device=q.device)
    with torch.autocast(q.device.type, enabled=False):
        for head in range(q.shape[2]):
            logits = (q[:, :, head].float() @ k[:, :, head].float().transpose(1, 2)) * scale
            total += torch.softmax(logits.masked_fill(~kept, torch.finfo(logits.dtype).min), dim=-1)
    return total.masked_fill(~kept, 0.0) / q.shape[2]


def indexer_loss(scores: Tensor, target: Tensor, kept: Tensor) -> Tensor:
    """``KL(target || softmax(scores))`` over ``kept`` keys, averaged over queries; all ``[B, T, S]``."""
    log_index = torch.log_softmax(scores.masked_fill(~kept, torch.finfo(scores.dtype).min), dim=-1)
    divergence = torch.xlogy(target, target) - target * log_index.masked_fill(~kept, 0.0)
    return divergence.sum() / kept.any(dim=-1).sum().clamp(min=1)
