"""Greedy decoding with a cache, ours and transformers'."""

from collections.abc import Sequence
from typing import Any

import torch

from lab.benchmark.case import Case
from lab.benchmark.training import CPU, batch_of
from lab.benchmark.twin import in_transformers
from lab.config import compose
from lab.face import build
from lab.trainer.device import autocast


def our_decoding(overrides: Sequence[str], precision: str, batch: int, prompt: int, new: int) -> Case:
    """``new`` tokens behind each of ``batch`` prompts of ``prompt`` tokens."""
    config = compose(overrides)
    model = build(config).eval()
    tokens = batch_of(config.model.vocab_size, batch, prompt)

    def decode() -> torch.Tensor:
        with autocast(CPU, precision):
            return model.generate(tokens, new)

    return Case(decode, tokens=batch * new, facts={"continuation": decode()[0, prompt:].tolist()})


def transformers_decoding(
    overrides: Sequence[str],
    precision: str,
    batch: int,
    prompt: int,
    new: int,
    folder: str,
    cache: str | None = None,
    compiled: bool = False,
    **settings: Any,
) -> Case:
    """The same by ``generate`` with weights in ``precision``.

    ``cache`` is its ``cache_implementation``, ``compiled`` has it compile the forward pass for one new token, which it
    does by itself on a GPU; the rest as in :func:`in_transformers`.
    """
    from transformers import CompileConfig

    config = compose(overrides)
    model = in_transformers(folder, precision=precision, **settings).eval()
    tokens = batch_of(config.model.vocab_size, batch, prompt)
    options: dict[str, Any] = {
        "max_new_tokens": new,
        "min_new_tokens": new,
        "do_sample": False,
        "pad_token_id": 0,
    }
    if cache:
        options["cache_implementation"] = cache
    if compiled:
        options["compile_config"] = CompileConfig(mode="default")
        options["compile_config"]._compile_all_devices = True

    def decode() -> torch.Tensor:
        return model.generate(tokens, attention_mask=torch.ones_like(tokens), **options)

    return Case(decode, tokens=batch * new, facts={"continuation": decode()[0, prompt:].tolist()})
