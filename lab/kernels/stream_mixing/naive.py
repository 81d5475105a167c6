"""The sums as written, stream by stream."""

import torch
from torch import Tensor


def read_streams(x: Tensor, weight: Tensor) -> Tensor:
    """``sum_i weight_i x_i``; shapes as in the package."""
    return (weight.unsqueeze(-1) * x).sum(-2)


def mix_streams(x: Tensor, mixing: Tensor, y: Tensor, share: Tensor) -> Tensor:
    """``x'_i = sum_j H_ij x_j + share_i y``; shapes as in the package."""
    streams = x.unbind(-2)
    mixed = [
        sum(mixing[..., i, j, None] * stream for j, stream in enumerate(streams)) + share[..., i, None] * y
        for i in range(len(streams))
    ]
    return torch.stack(mixed, dim=-2)
