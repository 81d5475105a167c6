"""Small models of every contender for the tests of generation: windows, selections and vocabularies that bite."""

from dataclasses import replace
from functools import cache

import torch

from lab.config import compose
from lab.model.decoder import Decoder, initialise

CONTENDERS = (
    "k_exaone",
    "k_exaone_2",
    "ax_k1",
    "ax_k2",
    "solar_open",
    "solar_open_2",
    "motif_2_6b",
    "motif_2",
    "motif_3",
    "llama",
)
SMALL = (
    "scale.layers=5",
    "scale.width=32",
    "scale.head_dim=8",
    "scale.differential_head_dim=8",
    "scale.vocab_size=300",
    "scale.window=5",
    "scale.lead_window=7",
    "scale.index_top_k=4",
    "scale.dense_width=48",
    "scale.experts=8",
    "scale.expert_width=16",
)


@cache
def small(contender: str, *overrides: str, vocab_size: int = 300) -> Decoder:
    """A contender of five layers whose weights are far from their initial values, so that every product matters."""
    config = compose([f"model={contender}", *SMALL, *overrides])
    model = initialise(Decoder(replace(config.model, vocab_size=vocab_size)), seed=0).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                spread = 1.3 * parameter.shape[-1] ** -0.5
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread)
    return model


def random_rows(*lengths: int, vocab_size: int = 300, seed: int = 3) -> list[list[int]]:
    """Rows of random tokens, of these lengths."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(vocab_size, (length,), generator=generator).tolist() for length in lengths]


@torch.no_grad()
def logits_alone(model: Decoder, row: list[int]) -> torch.Tensor:
    """``[T, V]`` of one row without caches."""
    return model.logits(torch.tensor([row]))[0]
