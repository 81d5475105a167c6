"""Tensor names of everything but the token mixers: trunk, norms, feed-forwards and experts."""

from collections.abc import Iterator
from dataclasses import replace

from lab.model.checkpoint.layout.entry import Entry, Prefix, Stored
from lab.model.config import ModelConfig
from lab.model.leaves.router import SigmoidRouter

MODEL = Prefix("", "model.")


def trunk(config: ModelConfig) -> Iterator[Entry]:
    """Embedding, final norm and head."""
    yield MODEL.same("embedding.weight", "embed_tokens.weight", config.vocab_size, config.width)
    yield MODEL.same("norm.weight", "norm.weight", config.width)
    if not config.tied_embeddings:
        yield Prefix("", "").same("head.weight", "lm_head.weight", config.vocab_size, config.width)


def layer(index: int) -> Prefix:
    """Layer ``index`` of the trunk."""
    return MODEL.below(f"blocks.{index}", f"layers.{index}")


def input_norms(at: Prefix, width: int) -> Iterator[Entry]:
    """The norms in front of attention and feed-forward."""
    yield at.same("mixer_join.norm.weight", "input_layernorm.weight", width)
    yield at.same("feed_forward_join.norm.weight", "post_attention_layernorm.weight", width)


def gated_unit(at: Prefix, width: int, hidden: int) -> Iterator[Entry]:
    """A dense feed-forward or a shared expert."""
    yield at.same("gate.weight", "gate_proj.weight", hidden, width)
    yield at.same("up.weight", "up_proj.weight", hidden, width)
    yield at.same("down.weight", "down_proj.weight", width, hidden)


def poly_norm(at: Prefix) -> Iterator[Entry]:
    """Weights and bias of Motif's activation in one unit."""
    yield at.same("activation.weight", "act_fn.weight", 3)
    yield at.same("activation.bias", "act_fn.bias", 1)


def mixture(at: Prefix, router: SigmoidRouter, width: int, bias: str) -> Iterator[Entry]:
    """Router, experts one by one and shared experts; ``bias`` is the name of the selection bias on disk."""
    yield at.same("router.weight", "gate.weight", router.num_experts, width)
    yield selection_bias(at, bias, router)
    yield from experts(at, router, width)
    shared = at.below("shared", "shared_experts")
    if router.num_shared:
        yield from gated_unit(shared, width, router.num_shared * router.expert_width)
    else:  # transformers stores matrices without rows
        for name, shape in (("gate", (0, width)), ("up", (0, width)), ("down", (width, 0))):
            yield unused(shared, f"{name}_proj.weight", *shape)


def selection_bias(at: Prefix, name: str, router: SigmoidRouter) -> Entry:
    """The router's selection bias, which stays float32."""
    return replace(at.same("router.selection_bias", name, router.num_experts), keeps_float32=True)


def experts(at: Prefix, router: SigmoidRouter, width: int) -> Iterator[Entry]:
    """Three matrices an expert on disk, two stacks here: gate and up rows of one expert stand together."""
    hidden, prefixes = router.expert_width, [f"experts.{e}." for e in range(router.num_experts)]
    gate_and_up = [(f"{p}{name}_proj.weight", (hidden, width)) for p in prefixes for name in ("gate", "up")]
    yield at.joined("w_in", *gate_and_up)
    yield at.joined("w_out", *((f"{p}down_proj.weight", (width, hidden)) for p in prefixes))


def unused(at: Prefix, name: str, *shape: int) -> Entry:
    """A tensor that folders may hold and no model reads."""
    return Entry((), (Stored(at.stored + name, shape),), default=1.0)
