"""Multi-token prediction: one more block that predicts the token after the next, and the ones after that."""

from abc import ABC, abstractmethod
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from lab.kernels.cross_entropy import linear_cross_entropy
from lab.model.cache import Cache, Caches
from lab.model.config import ModelConfig
from lab.model.context import Context
from lab.model.decoder import Block
from lab.model.leaves.layers import LayerPlan
from lab.model.leaves.multi_token import SharedBlock
from lab.model.leaves.norm import Rms
from lab.model.leaves.residual import PreNorm
from lab.model.recomputation import apply_block
from lab.model.record import Record

IGNORED = -100


class MultiTokenHead(nn.Module, ABC):
    """One block behind the trunk, applied ``num_steps`` times (DeepSeek-V3, arXiv 2412.19437, section 2.2).

    Step k = 1, 2, ... at position t reads the hidden state of step k - 1 (the trunk's for k = 1) and the
    embedding of token t + k, and predicts token t + k + 1 with the trunk's head. Subclasses put the two
    together.

    Whatever the trunk is made of, the block is a plain pre-norm one: the trunk's attention leaf with a local
    window and the local rotation, a dense feed-forward, plain norms.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        leaf = config.multi_token
        assert isinstance(leaf, SharedBlock)
        self.num_steps, self.loss_weight = leaf.num_steps, leaf.loss_weight
        depth, rotation = config.layers.count, config.position.rotation(is_local=True)
        self.layer = LayerPlan(
            depth, depth, mixer="local", window=leaf.window, sparse=False, rotation=rotation
        )
        plain = replace(config, residual=PreNorm("pre_norm"), norm=Rms("rms", config.norm.eps))
        self.embedding_norm = plain.norm.build(config.width, "final")
        self.input = nn.Linear(2 * config.width, config.width, bias=False)
        self.block = Block(plain, self.layer)
        self.norm = plain.norm.build(config.width, "final")

    def new_caches(self, batch: int, capacity: int, revocable: int = 0) -> Caches:
        """Empty caches of the block, one a step: each step reads what it itself made of the tokens so far."""
        stack = [(self.config.mixer(self.layer), self.layer.window)] * self.num_steps
        return Caches(stack, batch, capacity, self.input.weight.device, revocable)

    @abstractmethod
    def combine(self, hidden: Tensor, embedded: Tensor) -> Tensor:
        """What the block's input is projected from, ``[B, T, 2 D]``."""

    def step(
        self, hidden: Tensor, embedded: Tensor, context: Context, cache: Cache | None = None
    ) -> tuple[Tensor, Record]:
        """One step further: ``hidden [B, T, D]`` and the embeddings ``[B, T, D]`` of the tokens it predicted.

        Returns ``[B, T, D]``, ready for the trunk's head and for another step, and what the block recorded.
        """
        x, record = apply_block(self.block, self.input(self.combine(hidden, embedded)), context, cache)
        return self.norm(x), record

    def forward(
        self,
        hidden: Tensor,
        tokens: Tensor,
        targets: Tensor,
        context: Context,
        embedding: nn.Embedding,
        head: nn.Linear,
    ) -> list[Record]:
        """The training loss of all steps, ``loss_weight`` times the mean of their cross-entropies.

        ``hidden [B, T, D]`` is the trunk's, after its final norm; ``tokens`` and ``targets`` are ``[B, T]``.
        A target counts where it lies in the same document. Returns one record more than steps: what the block
        recorded in each, then the loss.
        """
        records, losses = [], []
        for k in range(1, self.num_steps + 1):
            hidden, record = self.step(hidden, embedding(ahead(tokens, k, 0)), context)
            reachable = self._reachable(targets, k, context.documents).flatten()
            losses.append(linear_cross_entropy(hidden.flatten(0, 1), head.weight, reachable, "mean"))
            records.append(record)
        loss = self.loss_weight * torch.stack(losses).mean()
        return [*records, Record(losses={"multi_token": loss})]

    @staticmethod
    def _reachable(targets: Tensor, steps: int, documents: Tensor | None) -> Tensor:
        """The targets ``[B, T]`` that lie ``steps`` further on in the same document, -100 where none does."""
        further = ahead(targets, steps, IGNORED)
        if documents is None:
            return further
        return torch.where(ahead(documents, steps, -1) == documents, further, IGNORED)


class SharedBlockHead(MultiTokenHead):
    """``W [norm(embed(token)); norm(h)]`` (K-EXAONE, arXiv 2601.01739; K-EXAONE 2.0, arXiv 2608.04505)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.hidden_norm = config.norm.build(config.width, "final")

    def combine(self, hidden: Tensor, embedded: Tensor) -> Tensor:
        return torch.cat([self.embedding_norm(embedded), self.hidden_norm(hidden)], dim=-1)


class HiddenFirstHead(MultiTokenHead):
    """``W [h; norm(embed(token))]``: the trunk has normed the hidden state (Motif 3, arXiv 2608.09119)."""

    def combine(self, hidden: Tensor, embedded: Tensor) -> Tensor:
        return torch.cat([hidden, self.embedding_norm(embedded)], dim=-1)


def ahead(x: Tensor, steps: int, fill: int) -> Tensor:
    """``x [B, T]`` at ``t + steps``; ``fill`` past the end."""
    beyond = min(steps, x.shape[1])
    return functional.pad(x[:, beyond:], (0, beyond), value=fill)
