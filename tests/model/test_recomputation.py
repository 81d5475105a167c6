"""Activation checkpointing changes what a step keeps and nothing that it computes, bit for bit."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor

from lab.kernels.bfloat16 import RoundedProducts, rounds_products
from lab.model.decoder import Block, Decoder
from tests.model.test_matrix import CONTENDERS, build

LENGTH = 40
ARITHMETICS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "float32": nullcontext,
    "rounded products": RoundedProducts,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}


def batch() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Two rows of two packed documents."""
    tokens = torch.randint(0, 64, (2, LENGTH), generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([19, LENGTH - 19])
    documents = torch.arange(2).repeat_interleave(lengths).expand_as(tokens).contiguous()
    positions = torch.cat([torch.arange(length) for length in lengths]).expand_as(tokens).contiguous()
    return tokens, tokens.roll(-1, dims=1), documents, positions


def everything(model: Decoder, arithmetic: str, checkpointing: bool) -> dict[str, Tensor]:
    """Losses, loads and gradients of one step."""
    with ARITHMETICS[arithmetic]():
        losses = model.losses(*batch(), activation_checkpointing=checkpointing)
    losses.total().backward()
    found = {"main": losses.main, **losses.auxiliary}
    found |= {f"load {index}": load for index, load in enumerate(losses.loads)}
    found |= {
        name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None
    }
    model.zero_grad()
    assert not rounds_products()
    return {name: tensor.detach().clone() for name, tensor in found.items()}


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("contender", CONTENDERS)
def test_losses_loads_and_gradients_stay_the_same_bits(contender: str, arithmetic: str) -> None:
    model = build(contender)
    kept, made_again = (everything(model, arithmetic, checkpointing) for checkpointing in (False, True))
    assert kept.keys() == made_again.keys()
    for name, tensor in kept.items():
        assert torch.equal(tensor, made_again[name]), name
    for name, load in made_again.items():
        if name.startswith("load"):
            assert load.sum() == 2 * LENGTH * model.config.router.top_k  # type: ignore[attr-defined]


@pytest.mark.parametrize("contender", ["llama", "motif_3", "k_exaone_2"])
def test_each_block_runs_once_more_and_only_in_the_backward_pass(
    contender: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[Block] = []
    forward = Block.forward

    def counted(self: Block, *args: Any) -> Any:
        runs.append(self)
        return forward(self, *args)

    monkeypatch.setattr(Block, "forward", counted)
    model = build(contender)
    losses = model.losses(*batch(), activation_checkpointing=True)
    first = list(runs)
    assert {id(block) for block in first} == {id(m) for m in model.modules() if isinstance(m, Block)}
    losses.total().backward()
    assert [id(block) for block in runs] == [id(block) for block in first + first[::-1]]


def kept_bytes(model: Decoder, checkpointing: bool) -> int:
    """Bytes that the forward pass leaves for the backward pass, parameters aside."""
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, Tensor] = {}

    def note(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        model.losses(*batch(), activation_checkpointing=checkpointing)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


@pytest.mark.parametrize("contender", CONTENDERS)
def test_what_is_kept_shrinks(contender: str) -> None:
    model = build(contender)
    assert kept_bytes(model, checkpointing=True) < 0.5 * kept_bytes(model, checkpointing=False)
