"""The mechanism matrix: every leaf of every group in every contender, by one override, takes a training step."""

import functools
import itertools
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn

from lab.config import compose
from lab.errors import ConfigError
from lab.mechanisms import GROUPS
from lab.model.decoder import Decoder, initialise
from lab.overrides import CONF

CONTENDERS = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
LEAVES = [(group, path.stem) for group in GROUPS for path in sorted((CONF / "model" / group).glob("*.yaml"))]
VOCABULARY, LENGTH = 300, 32
TINY = {
    "width": 32,
    "vocab_size": VOCABULARY,
    "window": 6,
    "original_positions": 16,
    "heads": 2,
    "kv_heads": 1,
    "head_dim": 8,
    "query_rank": 12,
    "latent_rank": 8,
    "nope_dim": 8,
    "rope_dim": 4,
    "value_dim": 8,
    "differential_groups": 1,
    "signal_per_noise": 2,
    "differential_head_dim": 8,
    "dense_width": 24,
    "experts": 8,
    "expert_width": 8,
    "router_groups": 2,
    "router_groups_kept": 1,
    "index_heads": 2,
    "index_dim": 8,
    "index_top_k": 6,
    "gated_norm_rank": 2,
    "init_std": 0.06,  # large enough for every part to show in a loss
    "branch_init_scale": 1,
}
OVERRIDES = [f"scale.{name}={value}" for name, value in TINY.items()]

NOT_TOGETHER = {
    ("solar_open_2", "linear_attention", "none"): "model.layers.pattern=GDDD cannot be used: D needs a model",
    **{
        (
            name,
            "linear_attention",
            "kimi_delta",
        ): "model.linear_attention=kimi_delta cannot be used: no layer of"
        for name in CONTENDERS
        if name != "solar_open_2"
    },
    **{
        (
            name,
            "residual",
            "dual_norm",
        ): "model.residual=dual_norm cannot be used: its second norm stands behind"
        for name in ("llama", "motif_2", "motif_2_6b")
    },
    ("ax_k1", "router", "none"): "model.residual=dual_norm cannot be used: its second norm stands behind",
}
"""Combinations that say why they cannot work, and how that sentence begins."""

SAME_FUNCTION = {
    (
        "solar_open",
        "position",
        "yarn_on_global",
    ): "where all channels turn, both forms scale the scores alike",
    ("solar_open_2", "position", "rope_on_local"): "no layer is local, so none turns, as before",
}
"""Swaps that give another configuration of the same function, and why."""


@functools.cache
def written(contender: str) -> dict[str, Any]:
    """What a contender's file says."""
    return yaml.safe_load((CONF / "model" / f"{contender}.yaml").read_text(encoding="utf-8"))


def own_leaf(contender: str, group: str) -> str:
    """The leaf that a contender has by itself."""
    entries = [entry for entry in written(contender)["defaults"] if isinstance(entry, dict)]
    (leaf,) = [entry[group] for entry in entries if group in entry]
    return leaf


def swaps() -> list[tuple[str, str, str]]:
    every = itertools.product(CONTENDERS, LEAVES)
    return [(name, group, leaf) for name, (group, leaf) in every if own_leaf(name, group) != leaf]


def build(contender: str, *overrides: str) -> Decoder:
    """A tiny model that has each kind of its contender's layers."""
    layers = 4 if "pattern" in written(contender).get("layers", {}) else 2
    config = compose([f"model={contender}", f"scale.layers={layers}", *overrides, *OVERRIDES])
    return initialise(Decoder(config.model), 0).train()


def training_step(model: Decoder) -> float:
    """One step of plain gradient descent on two packed documents a row; the loss before it."""
    tokens = torch.randint(0, VOCABULARY, (2, LENGTH), generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([19, LENGTH - 19])
    documents = torch.arange(2).repeat_interleave(lengths).expand_as(tokens)
    positions = torch.cat([torch.arange(length) for length in lengths]).expand_as(tokens)
    losses = model.losses(tokens, tokens.roll(-1, dims=1), documents, positions)
    loss = losses.main + sum(losses.auxiliary.values())
    loss.backward()
    require_gradients(model)
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    assert all(bool(torch.isfinite(parameter).all()) for parameter in model.parameters())
    return loss.item()


def require_gradients(model: nn.Module) -> None:
    """Every parameter learns: the indexer too, through a loss of its own."""

    def learns(gradient: Tensor | None) -> bool:
        return gradient is not None and bool(torch.isfinite(gradient).all()) and bool(gradient.any())

    assert [name for name, parameter in model.named_parameters() if not learns(parameter.grad)] == []


@functools.cache
def unchanged(contender: str) -> tuple[float, str]:
    """The loss and the modules of a contender as it is."""
    model = build(contender)
    return training_step(model), repr(model)


@pytest.mark.parametrize("contender", CONTENDERS)
def test_a_contender_as_it_is(contender: str) -> None:
    loss, _ = unchanged(contender)
    assert loss > 1


@pytest.mark.parametrize(("contender", "group", "leaf"), swaps())
def test_one_override_swaps_a_mechanism(contender: str, group: str, leaf: str) -> None:
    swap = f"model/{group}={leaf}"
    if told := NOT_TOGETHER.get((contender, group, leaf)):
        with pytest.raises(ConfigError, match=f"^{told}") as error:
            build(contender, swap)
        assert str(error.value).count(". ") == 0
        return
    model = build(contender, swap)
    same = (training_step(model), repr(model)) == unchanged(contender)
    assert same == ((contender, group, leaf) in SAME_FUNCTION), f"{swap} changed nothing"
