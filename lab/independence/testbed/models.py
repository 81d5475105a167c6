"""Tiny language models trained in a second or two on text drawn from a random language."""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from lab.independence.weights import Weights
from lab.model.config import ModelConfig
from lab.model.decoder import Decoder, initialise
from lab.model.leaves.attention import GroupedQuery
from lab.model.leaves.feed_forward import SwiGLU
from lab.model.leaves.layers import LayersConfig
from lab.model.leaves.linear_attention import NoLinear
from lab.model.leaves.multi_token import NoMultiToken
from lab.model.leaves.norm import Rms
from lab.model.leaves.position import Rope
from lab.model.leaves.residual import PreNorm
from lab.model.leaves.router import NoRouter, SigmoidRouter

State = dict[str, Tensor]

WIDTH, LAYERS, HIDDEN, HEADS, VOCABULARY = 64, 2, 128, 4, 384
BATCH, LENGTH = 16, 24
PARENT_STEPS = 150
RATE = 3e-3
TOKENS_PER_STEP = BATCH * LENGTH


EXPERTS, EXPERT_HIDDEN = 8, 32


def tiny_config(is_mixture: bool = False) -> ModelConfig:
    """A plain Llama of two layers, or one with a mixture of eight experts in each."""
    router = (
        SigmoidRouter("sigmoid", EXPERTS, top_k=2, expert_width=EXPERT_HIDDEN, num_shared=0)
        if is_mixture
        else NoRouter("none")
    )
    return ModelConfig(
        name="llama",
        width=WIDTH,
        vocab_size=VOCABULARY,
        max_positions=LENGTH,
        tied_embeddings=False,
        init_std=0.05,
        layers=LayersConfig(LAYERS),
        attention=GroupedQuery("grouped_query", HEADS, HEADS, WIDTH // HEADS),
        linear_attention=NoLinear("none"),
        position=Rope("rope", 10_000.0),
        feed_forward=SwiGLU("swiglu", HIDDEN),
        router=router,
        residual=PreNorm("pre_norm"),
        norm=Rms("rms", 1e-6),
        multi_token=NoMultiToken("none"),
    )


@lru_cache
def language(seed: int) -> Tensor:
    """Cumulated probabilities ``V V`` of the next token: Zipf's frequencies, few likely successors a token."""
    chance = torch.Generator().manual_seed(seed)
    frequency = -torch.arange(1, VOCABULARY + 1).log()
    order = torch.randperm(VOCABULARY, generator=chance)
    taste = 3.0 * torch.randn(VOCABULARY, 8, generator=chance) @ torch.randn(8, VOCABULARY, generator=chance)
    return torch.softmax(frequency[order] + taste / 8**0.5, dim=1).cumsum(dim=1)


def draw_text(data: int, chance: torch.Generator) -> Tensor:
    """A batch ``B T+1`` of the language with the number ``data``."""
    table = language(data)
    tokens = [torch.randint(VOCABULARY, (BATCH,), generator=chance)]
    for _ in range(LENGTH):
        draw = torch.rand(BATCH, 1, generator=chance)
        tokens.append(torch.searchsorted(table[tokens[-1]], draw)[:, 0].clamp_max(VOCABULARY - 1))
    return torch.stack(tokens, dim=1)


def fresh(seed: int, is_mixture: bool = False) -> State:
    """The initial weights of a seed."""
    return dict(initialise(Decoder(tiny_config(is_mixture)), seed).state_dict())


def train(
    state: State, data: int, order: int, steps: int, teacher: State | None = None, rate: float = RATE
) -> State:
    """Weights after ``steps`` of AdamW on language ``data`` in ``order``; with a teacher, on its distributions."""
    model = _model(state)
    guide = _model(teacher) if teacher is not None else None
    chance = torch.Generator().manual_seed(order)
    optimizer = torch.optim.AdamW(model.parameters(), rate, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    for _ in range(steps):
        text = draw_text(data, chance)
        logits = model.logits(text[:, :-1]).flatten(0, 1)
        if guide is None:
            loss = cross_entropy(logits, text[:, 1:].flatten())
        else:
            with torch.no_grad():
                target = log_softmax(guide.logits(text[:, :-1]).flatten(0, 1), dim=1)
            loss = kl_div(log_softmax(logits, dim=1), target, reduction="batchmean", log_target=True)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


@lru_cache(maxsize=64)
def parent(seed: int, data: int, is_mixture: bool = False) -> State:
    """A model trained from scratch."""
    return train(fresh(seed, is_mixture), data, order=10_000 + seed, steps=PARENT_STEPS)


def as_weights(name: str, state: State, token_numbers: Tensor | None = None) -> Weights:
    """What the audit reads; ``token_numbers`` says where each token of the common vocabulary stands."""
    numbers = torch.arange(VOCABULARY) if token_numbers is None else token_numbers
    vocabulary = {f"token {token}": int(number) for token, number in enumerate(numbers)}
    return Weights(name, {k: tuple(v.shape) for k, v in state.items()}, state.__getitem__, vocabulary)


def _model(state: State) -> Decoder:
    model = Decoder(tiny_config(any("router" in name for name in state)))
    model.load_state_dict(state)
    return model.train()
