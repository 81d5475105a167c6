"""One product a tap over the whole sequence, each with the input shifted in time."""

import torch
from torch import Tensor


def short_convolution(
    x: Tensor, weight: Tensor, tail: Tensor | None = None, documents: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """See :func:`lab.kernels.short_convolution.short_convolution`."""
    length, width = x.shape[1], weight.shape[1]
    before = x.new_zeros(x.shape[0], width - 1, x.shape[2]) if tail is None else tail
    inputs = torch.cat([before, x], dim=1)
    y = x * weight[:, width - 1]
    for back in range(1, width):
        start = width - 1 - back
        tap = inputs[:, start : start + length]
        if documents is not None:
            earlier = torch.cat([documents[:, :1].expand(-1, min(back, length)), documents[:, :-back]], dim=1)
            tap = tap * (earlier == documents).unsqueeze(-1)
        y = y + tap * weight[:, start]
    return y, inputs[:, inputs.shape[1] - width + 1 :]
