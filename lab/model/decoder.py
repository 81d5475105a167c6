"""The one decoder that every contender is a configuration of."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lab.kernels.cross_entropy import linear_cross_entropy
from lab.model.cache import Cache, Caches
from lab.model.config import ModelConfig
from lab.model.context import Context
from lab.model.feed_forward.gated import GatedFeedForward
from lab.model.feed_forward.mixture import Router
from lab.model.generate import Sampling, Speculation, generate
from lab.model.initial import InitialSpread
from lab.model.leaves.layers import LayerPlan
from lab.model.recomputation import apply_block
from lab.model.record import Losses, Record, with_record
from lab.model.residual import close_streams, open_streams
from lab.model.size import feed_forward_site


class Block(nn.Module):
    """One layer: a token mixer and a feed-forward, each joined to the residual stream."""

    def __init__(self, config: ModelConfig, layer: LayerPlan) -> None:
        super().__init__()
        width, norm, unit = config.width, config.norm, config.feed_forward
        self.mixer = config.mixer(layer).build(width, layer, norm)
        self.mixer_join = config.residual.build(width, "attention", norm)
        sparse = config.router.build(width, unit, layer) if layer.sparse else None
        self.feed_forward = sparse or GatedFeedForward(unit, width, unit.width, layer)
        self.feed_forward_join = config.residual.build(width, feed_forward_site(layer), norm)

    def forward(self, x: Tensor, context: Context, cache: Cache | None) -> tuple[Tensor, Record]:
        """``x [B, T, D] -> [B, T, D]`` and what its branches recorded."""
        x, mixed = self.mixer_join(x, lambda h: with_record(self.mixer(h, context, cache)))
        x, fed = self.feed_forward_join(x, lambda h: with_record(self.feed_forward(h)))
        return x, mixed.merged(fed)


@dataclass
class DecoderOutput:
    """Normalised hidden states ``[B, T, D]`` before the head, and one record a layer."""

    hidden: Tensor
    records: list[Record]


class Decoder(nn.Module):
    """Tokens to next-token predictions through a stack of blocks.

    Build one with :func:`lab.build`, which also sets the initial weights from a seed.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.width)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in config.plan())
        self.norm = config.norm.build(config.width, "final")
        self.head = nn.Linear(config.width, config.vocab_size, bias=False)
        if config.tied_embeddings:
            self.head.weight = self.embedding.weight
        self.multi_token = config.multi_token.build(config)

    def forward(
        self,
        tokens: Tensor,
        documents: Tensor | None = None,
        positions: Tensor | None = None,
        caches: Caches | None = None,
    ) -> DecoderOutput:
        """Hidden states of ``tokens [B, T]``.

        ``documents [B, T]`` keeps attention within a document; ``positions [B, T]`` default to 0, 1, 2, ...
        after what ``caches`` hold, -1 marks padding.
        """
        if positions is None:
            start = caches.length if caches is not None else 0
            positions = torch.arange(start, start + tokens.shape[1], device=tokens.device).expand_as(tokens)
        if caches is not None:
            caches.extend(positions)
        return self._trunk(tokens, Context(positions, documents, caches))

    def _trunk(self, tokens: Tensor, context: Context) -> DecoderOutput:
        num_streams, caches = self.config.residual.num_streams, context.caches
        x = open_streams(self.embedding(tokens), num_streams)
        records = []
        for index, block in enumerate(self.blocks):
            cache = caches.layers[index] if caches is not None else None
            x, record = apply_block(block, x, context, cache)
            records.append(record)
        return DecoderOutput(self.norm(close_streams(x, num_streams)), records)

    def logits(self, tokens: Tensor, documents: Tensor | None = None) -> Tensor:
        """``[B, T] -> [B, T, V]``, float32."""
        return self.head(self(tokens, documents).hidden).float()

    def losses(
        self,
        tokens: Tensor,
        targets: Tensor,
        documents: Tensor,
        positions: Tensor,
        activation_checkpointing: bool = False,
    ) -> Losses:
        """Training losses of a packed batch, all ``[B, T]``; targets of -100 are ignored.

        Auxiliary losses are there in training mode only. With ``activation_checkpointing`` the backward pass computes
        each block once more, so that only its input is kept: same losses and gradients in less memory and more time.
        """
        context = Context(positions, documents, recomputes_blocks=activation_checkpointing)
        output = self._trunk(tokens, context)
        records = output.records
        if self.multi_token is not None and self.training:
            records = records + self.multi_token(
                output.hidden, tokens, targets, context, self.embedding, self.head
            )
        main = linear_cross_entropy(output.hidden.flatten(0, 1), self.head.weight, targets.flatten(), "mean")
        auxiliary: dict[str, Tensor] = {}
        for record in records:
            for name, value in record.losses.items():
                auxiliary[name] = auxiliary[name] + value if name in auxiliary else value
        return Losses(main, auxiliary, [record.load for record in records if record.load is not None])

    @torch.no_grad()
    def token_losses(
        self,
        tokens: Tensor,
        targets: Tensor,
        documents: Tensor | None = None,
        positions: Tensor | None = None,
    ) -> Tensor:
        """Nats of every target ``[B, T]``, float32; 0 where a target is -100."""
        hidden = self(tokens, documents, positions).hidden
        losses = linear_cross_entropy(hidden.flatten(0, 1), self.head.weight, targets.flatten(), "none")
        return losses.view_as(targets)

    def generate(
        self, tokens: Tensor, num_new: int, sampling: Sampling | None = None, speculative: bool = False
    ) -> Tensor:
        """Continue ``tokens [B, T]`` by ``num_new``; see :func:`lab.model.generate.generate`.

        ``speculative`` lets the multi-token head draft: the same tokens in fewer forward passes.
        """
        return generate(self, tokens, num_new, sampling, speculation=Speculation() if speculative else None)

    def new_caches(self, batch: int, capacity: int, revocable: int = 0) -> Caches:
        """Empty caches for ``batch`` sequences of up to ``capacity`` tokens, see :class:`Caches`."""
        layers = [(self.config.mixer(layer), layer.window) for layer in self.config.plan()]
        return Caches(layers, batch, capacity, self.embedding.weight.device, revocable)

    def routers(self) -> list[Router]:
        """The routers, first layer to last, in the order of ``Losses.loads``."""
        return [module for module in self.modules() if isinstance(module, Router)]


def initialise(model: Decoder, seed: int) -> Decoder:
    """Set the weights from ``seed``, in place.

    A module that starts in its own way has a method ``initialise(generator, spread)``; other linear and embedding
    matrices are N(0, init_std^2); norms and activations keep the values they are constructed with.
    """
    generator = torch.Generator().manual_seed(seed)
    spread = InitialSpread(model.config.init_std, model.config.branch_init_scale)
    for module in model.modules():
        if callable(own := getattr(module, "initialise", None)):
            own(generator, spread)
        elif isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=spread.std, generator=generator)
    return model
