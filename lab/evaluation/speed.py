"""How fast a model decodes."""

import statistics
import time

import torch

from lab.evaluation.config import DecodingConfig
from lab.evaluation.likelihood import evaluating
from lab.model.decoder import Decoder
from lab.model.generate import generate


def decode_tokens_per_second(model: Decoder, config: DecodingConfig, seed: int) -> float:
    """New tokens a second, over all rows of the batch, of greedy decoding with caches.

    The median of ``config.repeats`` runs after a short one to warm up. The time includes reading the prompts,
    which are random tokens drawn from ``seed``.
    """
    device = next(model.parameters()).device
    prompt = torch.randint(
        model.config.vocab_size,
        (config.batch_size, config.prompt_length),
        generator=torch.Generator().manual_seed(seed),
    ).to(device)
    seconds = []
    with evaluating(model):
        generate(model, prompt, 1).cpu()
        for _ in range(config.repeats):
            started = time.perf_counter()
            generate(model, prompt, config.new_tokens).cpu()  # the copy waits for an accelerator to finish
            seconds.append(time.perf_counter() - started)
    return config.batch_size * config.new_tokens / statistics.median(seconds)
