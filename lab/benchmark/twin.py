"""A contender in transformers, with the weights of ours."""

from pathlib import Path
from typing import Any

import torch

from lab.config import Config
from lab.face import build
from lab.model.checkpoint.writer import write_released
from lab.trainer.device import DTYPES


def export(config: Config, folder: Path) -> None:
    """Write the initial weights of ``config`` in its house's released format, float32."""
    weights = build(config).state_dict()
    write_released(folder, config.model, lambda name, dtype: weights[name].to(dtype), torch.float32, {})


def in_transformers(
    folder: str,
    experts: str | None = None,
    attention: str = "sdpa",
    compiled: bool = False,
    precision: str = "float32",
) -> Any:
    """The class that ``transformers`` has for the contender exported to ``folder``, weights in ``precision``.

    ``experts`` is its ``experts_implementation``, ``attention`` its ``attn_implementation``. ``compiled`` replaces
    the forward pass by its ``torch.compile``.
    """
    from transformers import AutoModelForCausalLM

    chosen = {"experts_implementation": experts} if experts else {}
    model = AutoModelForCausalLM.from_pretrained(
        folder, attn_implementation=attention, dtype=DTYPES[precision], **chosen
    )
    if compiled:
        model.forward = torch.compile(model.forward)
    return model
