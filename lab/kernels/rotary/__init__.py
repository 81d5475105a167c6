"""Rotary position embedding, half-split layout: channel ``i`` pairs with channel ``i + d/2``."""

import torch
from torch import Tensor

from lab.kernels.registry import choose
from lab.kernels.rotary import compiled, cpp, fused, naive
from lab.kernels.triton_support import at_first_call

PATHS = {
    "naive": naive.rotate,
    "fused": fused.rotate,
    "cpp": cpp.rotate,
    "compiled": compiled.rotate,
    "triton": at_first_call("rotary", "rotate"),
}


def rotary_table(inverse_frequencies: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine, float32 ``[B, T, d/2]``, of ``positions [B, T]`` times frequencies ``[d/2]``."""
    angles = positions.unsqueeze(-1).float() * inverse_frequencies.float()
    return torch.cos(angles), torch.sin(angles)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate ``x [B, T, H, d]`` by a table of ``[B, T, d/2]``; no gradient reaches the table."""
    return PATHS[choose("rotary", "cpp" if cpp.takes(x, cos, sin) else "fused")](x, cos, sin)
