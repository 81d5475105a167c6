"""From a plan to a training: the overrides with which ``experiments.train`` composes what was planned."""

from __future__ import annotations

from lab.model.config import ModelConfig
from lab.model.leaves.attention import GroupedQuery
from lab.model.leaves.router import SigmoidRouter
from lab.planner.plans import Plan
from lab.planner.quantity import SECOND, TOKEN
from lab.planner.reliability import Reliability


def train_overrides(plan: Plan, kept: Reliability) -> list[str]:
    """Overrides of :func:`lab.config.compose` for the planned model, tokens, global batch and checkpoints.

    The trainer works on one device: what the layout spreads over devices is accumulated, so that a step sees the same
    rows.
    """
    layout = plan.layout
    return [
        *plan.candidate.overrides,
        f"optimizer={layout.optimizer}",
        f"trainer.sequence_length={layout.sequence}",
        f"trainer.batch_size={layout.micro_batch}",
        f"trainer.gradient_accumulation={layout.data * layout.micro_batches}",
        "trainer.precision=bfloat16",
        "trainer.budget_flops=null",
        f"trainer.budget_tokens={round(plan.tokens.to(TOKEN))}",
        f"trainer.checkpoint_every_seconds={round(kept.interval.to(SECOND))}",
    ]


def train_command(plan: Plan, kept: Reliability) -> str:
    """The same as one command line."""
    return " ".join(["python -m experiments.train", *train_overrides(plan, kept)])


def free_overrides(model: ModelConfig) -> tuple[str, ...]:
    """Overrides that compose a :func:`lab.planner.training.sketch`: Solar Open's plain parts, or Llama's if dense."""
    attention, router = model.attention, model.router
    assert isinstance(attention, GroupedQuery)
    sizes = {
        "width": model.width,
        "layers": model.layers.count,
        "vocab_size": model.vocab_size,
        "heads": attention.num_heads,
        "kv_heads": attention.num_kv_heads,
        "head_dim": attention.head_dim,
        "dense_width": model.feed_forward.width,
    }
    base = "llama"
    if isinstance(router, SigmoidRouter):
        base = "solar_open"
        sizes |= {
            "experts": router.num_experts,
            "top_k": router.top_k,
            "expert_width": router.expert_width,
            "shared_experts": router.num_shared,
        }
    return (f"model={base}", "scale=published", *(f"scale.{name}={size}" for name, size in sizes.items()))
