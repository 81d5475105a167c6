"""Settings that cannot be built: refused before any tensor is made, by key, value and what is allowed."""

import copy
import math
import re
from typing import Any

import pytest

from lab.config import compose, from_plain, plain
from lab.errors import ConfigError
from lab.overrides import CONF

GROUPS = ("attention", "position", "feed_forward", "router", "residual", "norm", "multi_token")
HOSTS = {"linear_attention": "solar_open_2", "residual": "ax_k1"}
"""Contenders that every leaf of a group fits into; else K-EXAONE."""
LEAVES = [
    (group, path.stem)
    for group in (*GROUPS, "linear_attention")
    for path in sorted((CONF / "model" / group).glob("*.yaml"))
    if path.stem != "none" and (group, path.stem) != ("attention", "kimi_delta")
]
NOTHING_IS_FINE = {
    "num_shared": "no shared expert",
    "clamped_layers": "no layer clamped",
    "index_loss_weight": "the indexer does not learn",
    "loss_weight": "the block does not learn",
    "bias_update_rate": "biases stay",
    "balance_loss_weight": "no balance loss",
    "softmax_mscale": "no temperature",
    "score_outside_groups": "any score will do",
    "bias_clamp": "no bias",
}
ANY_SIGN = {"score_outside_groups", "softmax_mscale"}


def refuse(data: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as error:
        from_plain(data)
    told = str(error.value)
    assert told.count("\n") == 0
    assert told.endswith(".")
    return told


def host(group: str, leaf: str) -> dict[str, Any]:
    return plain(compose([f"model={HOSTS.get(group, 'k_exaone')}", f"model/{group}={leaf}"]))


@pytest.mark.parametrize(("group", "leaf"), LEAVES)
def test_every_number_of_every_leaf_has_bounds(group: str, leaf: str) -> None:
    data = host(group, leaf)
    numbers = {key: value for key, value in data["model"][group].items() if type(value) in (int, float)}
    for key, value in numbers.items():
        wrong = [] if key in ANY_SIGN else [type(value)(-1)]
        wrong += [] if key in NOTHING_IS_FINE else [type(value)(0)]
        wrong += [math.nan, math.inf] if type(value) is float and key not in ANY_SIGN else []
        for bad in wrong:
            changed = copy.deepcopy(data)
            changed["model"][group][key] = bad
            assert refuse(changed).startswith(f"model.{group}.{key}={bad} cannot be used: "), (key, bad)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (
            ["model.attention.num_heads=5"],
            "model.attention.num_heads=5 cannot be used: it must be a multiple of model.attention.num_kv_heads=2.",
        ),
        (
            ["model.attention.head_dim=15"],
            "model.attention.head_dim=15 cannot be used: a rotary width is even.",
        ),
        (
            ["model/attention=latent", "model.attention.rope_dim=7"],
            "model.attention.rope_dim=7 cannot be used: a rotary width is even.",
        ),
        (
            ["model/attention=sparse_latent", "model.attention.rope_dim=7"],
            "model.attention.rope_dim=7 cannot be used: a rotary width is even.",
        ),
        (
            ["model/attention=latent_differential", "model.attention.rope_dim=7"],
            "model.attention.rope_dim=7 cannot be used: a rotary width is even.",
        ),
        (
            ["model/attention=grouped_differential", "model.attention.head_dim=7"],
            "model.attention.head_dim=7 cannot be used: a rotary width is even.",
        ),
        (
            ["model/attention=sparse_latent", "model.attention.index_dim=8"],
            "model.attention.index_dim=8 cannot be used: it must hold model.attention.rope_dim=16 rotated",
        ),
        (
            ["model.router.top_k=17"],
            "model.router.top_k=17 cannot be used: a token can reach 16 experts",
        ),
        (
            ["model.router.num_groups=3"],
            "model.router.num_groups=3 cannot be used: model.router.num_experts=16 must split into equal groups",
        ),
        (
            ["model.router.num_groups=2", "model.router.num_groups_kept=3"],
            "model.router.num_groups_kept=3 cannot be used: it must be at most model.router.num_groups=2.",
        ),
        (["model.layers.window=0"], "model.layers.window=0 cannot be used: it must be at least 1."),
        (["+model.layers.windows.0=0"], "model.layers.windows.0=0 cannot be used: it must be at least 1."),
        (["+model.layers.windows.9=4"], "model.layers.windows=9 cannot be used: layers run from 0 to 3."),
        (["model.layers.count=0"], "model.layers.count=0 cannot be used: it must be at least 1."),
        (
            ["model.layers.pattern=LXG"],
            "model.layers.pattern=LXG cannot be used: it is spelled with L (local)",
        ),
        (["model.layers.pattern=''"], "model.layers.pattern"),
        (["model.layers.num_dense=9"], "model.layers.num_dense=9 cannot be used: it must lie between 0 and"),
        (
            ["model.layers.pattern=LD"],
            "model.layers.pattern=LD cannot be used: D needs a model.linear_attention",
        ),
        (["model.width=0"], "model.width=0 cannot be used: it must be at least 1."),
        (["model.init_std=0"], "model.init_std=0.0 cannot be used: it must be above 0."),
        (
            ["model.residual.streams=1", "model/residual=hyper_connections"],
            "model.residual.streams=1 cannot be",
        ),
        (["model/attention=multi_query"], "model/attention=multi_query is not an option"),
        (["model.attention.kind=multi_query"], "model.attention.kind=multi_query is unknown: it can be"),
        (
            ["model.attention.num_heads=2.5"],
            "model.attention.num_heads=2.5 cannot be used: it must be a whole",
        ),
        (
            ["model.attention.num_heads=many"],
            "model.attention.num_heads=many cannot be used: it must be a whole",
        ),
        (
            ["model.router.expert_widht=3"],
            "model.router.expert_widht is not a setting: did you mean model.router.expert_width",
        ),
    ],
)
def test_what_cannot_be_built_is_told(overrides: list[str], told: str) -> None:
    with pytest.raises(ConfigError, match="^" + re.escape(told)):
        compose(["model=k_exaone", *overrides])
