"""What most houses' ``config.json`` say alike: trunk, grouped-query attention, router."""

from typing import Any

from lab.model.checkpoint.hub_config import HubConfig
from lab.model.config import ModelConfig
from lab.model.leaves.attention import GroupedQuery
from lab.model.leaves.router import SigmoidRouter


def read_trunk(hub: HubConfig) -> dict[str, Any]:
    """The fields of :class:`ModelConfig` that every file has under the same keys."""
    hub.require(hidden_act="silu", attention_bias=False, mlp_bias=False, attention_dropout=0.0)
    return {
        "width": hub.integer("hidden_size"),
        "vocab_size": hub.integer("vocab_size"),
        "max_positions": hub.integer("max_position_embeddings"),
        "tied_embeddings": hub.flag("tie_word_embeddings", False),
        "init_std": hub.number("initializer_range", 0.02),
    }


def write_trunk(config: ModelConfig) -> dict[str, Any]:
    """The inverse of :func:`read_trunk`, with the number of layers and the norms' epsilon."""
    return {
        "hidden_size": config.width,
        "num_hidden_layers": config.layers.count,
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.max_positions,
        "tie_word_embeddings": config.tied_embeddings,
        "initializer_range": config.init_std,
        "hidden_act": "silu",
        "attention_bias": False,
        "rms_norm_eps": config.norm.eps,
    }


def read_heads(hub: HubConfig) -> dict[str, int]:
    """The fields of :class:`GroupedQuery`."""
    heads = hub.integer("num_attention_heads")
    return {
        "num_heads": heads,
        "num_kv_heads": hub.integer("num_key_value_heads", heads),
        "head_dim": hub.integer("head_dim", hub.integer("hidden_size") // heads),
    }


def write_heads(attention: GroupedQuery) -> dict[str, int]:
    """The inverse of :func:`read_heads`."""
    return {
        "num_attention_heads": attention.num_heads,
        "num_key_value_heads": attention.num_kv_heads,
        "head_dim": attention.head_dim,
    }


def read_router(
    hub: HubConfig, experts: str = "n_routed_experts", shared: str = "n_shared_experts", **unsaid: float
) -> SigmoidRouter:
    """A sigmoid router; ``experts`` and ``shared`` are the keys of the two counts.

    ``unsaid`` are fields that no released file holds: those of training, and ``score_outside_groups``, which
    is code.
    """
    hub.require(scoring_func="sigmoid", topk_method="noaux_tc")
    return SigmoidRouter(
        "sigmoid",
        num_experts=hub.integer(experts),
        top_k=hub.integer("num_experts_per_tok"),
        expert_width=hub.integer("moe_intermediate_size"),
        num_shared=hub.integer(shared, 1),
        num_groups=hub.integer("n_group", 1),
        num_groups_kept=hub.integer("topk_group", 1),
        routed_scaling=hub.number("routed_scaling_factor", 1.0),
        normalise_weights=hub.flag("norm_topk_prob", True),
        **unsaid,
    )


def write_router(
    router: SigmoidRouter, experts: str = "n_routed_experts", shared: str = "n_shared_experts"
) -> dict[str, Any]:
    """The inverse of :func:`read_router`."""
    return {
        experts: router.num_experts,
        shared: router.num_shared,
        "num_experts_per_tok": router.top_k,
        "moe_intermediate_size": router.expert_width,
        "n_group": router.num_groups,
        "topk_group": router.num_groups_kept,
        "routed_scaling_factor": router.routed_scaling,
        "norm_topk_prob": router.normalise_weights,
        "scoring_func": "sigmoid",
        "topk_method": "noaux_tc",
    }
