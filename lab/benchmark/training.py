"""One training step, ours and transformers': same weights, same batch, same optimiser."""

from collections.abc import Sequence
from typing import Any

import torch

from lab.benchmark.case import Case
from lab.benchmark.twin import in_transformers
from lab.config import compose, size
from lab.face import build
from lab.job import rehearse
from lab.trainer.device import arithmetic, autocast
from lab.trainer.optimizer import build_optimizer

CPU = torch.device("cpu")


def batch_of(vocab_size: int, rows: int, length: int) -> torch.Tensor:
    """``[rows, length]`` tokens, the same ones for every case."""
    return torch.randint(vocab_size, (rows, length), generator=torch.Generator().manual_seed(0))


def our_training(overrides: Sequence[str], precision: str) -> Case:
    """A step of ours: forward, backward, AdamW."""
    config = compose([*overrides, "optimizer=adamw"])
    rows, length = config.trainer.batch_size, config.trainer.sequence_length
    model = build(config).train()
    optimizer = build_optimizer(model, config.optimizer)
    tokens = batch_of(config.model.vocab_size, rows, length)
    targets = torch.cat([tokens[:, 1:], torch.full((rows, 1), -100)], dim=1)
    documents = torch.zeros_like(tokens)
    positions = torch.arange(length).expand_as(tokens).contiguous()
    rehearse(model, length)

    def losses() -> tuple[torch.Tensor, torch.Tensor]:
        with arithmetic(CPU, precision):
            found = model.losses(
                tokens, targets, documents, positions, config.trainer.activation_checkpointing
            )
        return found.main, found.main + sum(found.auxiliary.values())

    def step() -> None:
        losses()[1].backward()
        optimizer.step(1.0)
        optimizer.zero_grad()

    first = float(losses()[0].detach())
    flops = size(config).flops_per_token_training * tokens.numel()
    return Case(step, flops, tokens.numel(), {"loss": first})


def transformers_training(overrides: Sequence[str], precision: str, folder: str, **settings: Any) -> Case:
    """The same step by transformers' class; ``folder`` and ``settings`` as in :func:`in_transformers`."""
    config = compose(overrides)
    model = in_transformers(folder, **settings).train()
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, fused=True)
    tokens = batch_of(config.model.vocab_size, config.trainer.batch_size, config.trainer.sequence_length)

    def loss() -> torch.Tensor:
        with autocast(CPU, precision):
            return model(input_ids=tokens, labels=tokens, use_cache=False).loss

    def step() -> None:
        loss().backward()
        optimizer.step()
        optimizer.zero_grad()

    first = float(loss().detach())
    flops = size(config).flops_per_token_training * tokens.numel()
    return Case(step, flops, tokens.numel(), {"loss": first})
