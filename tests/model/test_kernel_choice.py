"""Whole models on other paths than those they choose: the same loss and gradients, packed documents included."""

from contextlib import AbstractContextManager

import pytest
import torch
from torch import Tensor

from lab.config import compose
from lab.face import build
from lab.kernels.registry import forget_paths_taken, paths_taken, prefer, use_path
from lab.model.decoder import Decoder


def step(model: Decoder, choice: AbstractContextManager[None]) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss and gradients of two rows of two documents each."""
    tokens = torch.randint(model.config.vocab_size, (2, 64), generator=torch.Generator().manual_seed(0))
    place = torch.arange(64).expand(2, -1)
    model.zero_grad()
    forget_paths_taken()
    with choice:
        losses = model.losses(tokens, tokens, (place // 50).contiguous(), (place % 50).contiguous())
    loss = losses.main + sum(losses.auxiliary.values())
    loss.backward()
    return loss.detach(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(
    ("contender", "choice"),
    [
        ("ax_k2", prefer("naive")),
        ("motif_2", use_path("differential_attention", "blocked")),
        ("motif_3", prefer("naive")),
        ("motif_3", use_path("differential_attention", "blocked")),
        ("solar_open_2", prefer("naive")),
    ],
    ids=["ax_k2, naive", "motif_2, blocked", "motif_3, naive", "motif_3, blocked", "solar_open_2, naive"],
)
def test_other_paths_train_alike(contender: str, choice: AbstractContextManager[None]) -> None:
    model = build(compose([f"model={contender}", "scale=nano"])).train()
    loss, gradients = step(model, prefer("auto"))
    other_loss, other_gradients = step(model, choice)
    assert {"naive", "blocked"} & {path for paths in paths_taken().values() for path in paths}
    torch.testing.assert_close(other_loss, loss, rtol=1e-5, atol=0)
    for name, gradient in gradients.items():
        difference = (other_gradients[name] - gradient).abs().max()
        assert difference <= 2e-4 * gradient.abs().max(), name
