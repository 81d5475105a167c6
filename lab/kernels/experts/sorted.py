"""Tokens sorted by expert, one matrix product an expert."""

import torch
from torch import Tensor

from lab.kernels.experts.activation import Activation


def expert_feed_forward(
    x: Tensor, indices: Tensor, weights: Tensor, w_in: Tensor, w_out: Tensor, activation: Activation
) -> Tensor:
    """Shapes as in the package."""
    num_tokens, top_k = indices.shape
    expert_of_pair = indices.flatten()
    order = expert_of_pair.argsort(stable=True)
    token_of_row, expert_of_row = order // top_k, expert_of_pair[order]
    rows_of_expert = torch.bincount(expert_of_pair, minlength=w_in.shape[0]).tolist()
    gate, up = _product_by_expert(x[token_of_row], w_in, rows_of_expert).chunk(2, dim=-1)
    output = _product_by_expert(activation(gate, up, expert_of_row), w_out, rows_of_expert)
    output = output * weights.flatten()[order].unsqueeze(-1)
    y = torch.zeros(num_tokens, w_out.shape[1], dtype=output.dtype, device=x.device)
    return y.index_add(0, token_of_row, output).to(x.dtype)


def _product_by_expert(rows: Tensor, weight: Tensor, rows_of_expert: list[int]) -> Tensor:
    """``rows [M, D]``, sorted by expert, times ``weight [E, F, D]`` transposed: ``[M, F]``."""
    parts = [
        part @ matrix.T
        for part, matrix in zip(rows.split(rows_of_expert), weight.unbind(), strict=True)
        if len(part) > 0
    ]
    return torch.cat(parts)
