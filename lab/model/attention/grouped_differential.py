"""Grouped differential attention."""

import math

import torch
from torch import Tensor, nn

from lab.kernels.differential_attention import differential_attention
from lab.kernels.rotary import rotate
from lab.model.cache import LayerCache
from lab.model.context import Context
from lab.model.initial import BranchOutput, InitialSpread
from lab.model.leaves.attention import GroupedDifferential
from lab.model.leaves.layers import LayerPlan
from lab.model.norm import RMSNorm


def lambda_init(layer: int) -> float:
    """``0.8 - 0.6 exp(-0.3 (l - 1))`` with the layer index counted from 0, as the released Motif code does."""
    return 0.8 - 0.6 * math.exp(-0.3 * (layer - 1))


class GroupedDifferentialAttention(nn.Module):
    """Signal heads minus a shared noise head (arXiv 2510.06949; with one signal head, arXiv 2410.05258).

    Group g, signal heads j = 1..r, noise head n, all over one value ``V_g`` of ``2d`` channels:

    ``o_gj = (1 - lambda_init) norm(softmax(q_gj k_g^T / sqrt(d)) V_g - lambda softmax(q_gn k_gn^T / sqrt(d)) V_g)``
    ``lambda = exp(<l_q1, l_k1>) - exp(<l_q2, l_k2>) + lambda_init`` (one scalar a layer, float32)

    The norm spans the ``2d`` channels of a head with one weight vector for all heads.
    """

    def __init__(self, config: GroupedDifferential, width: int, layer: LayerPlan) -> None:
        super().__init__()
        self.layer = layer
        groups, d = config.num_groups, config.head_dim
        self.heads_per_group = config.signal_per_noise + 1
        self.head_dim = d
        self.scale = d**-0.5 * (layer.rotation.softmax_scale if layer.rotation else 1.0)
        self.lambda_init = lambda_init(layer.index)
        self.query = nn.Linear(width, groups * self.heads_per_group * d, bias=False)
        self.key = nn.Linear(width, groups * 2 * d, bias=False)
        self.value = nn.Linear(width, groups * 2 * d, bias=False)
        self.output = BranchOutput(groups * config.signal_per_noise * 2 * d, width)
        self.lambdas = nn.Parameter(torch.empty(4, d))  # rows: query 1, key 1, query 2, key 2
        self.sub_norm = RMSNorm(2 * d, config.sub_norm_eps)

    def initialise(self, generator: torch.Generator, spread: InitialSpread) -> None:
        """Lambda vectors start at N(0, 0.1^2), as in the released code."""
        nn.init.normal_(self.lambdas, std=0.1, generator=generator)

    def current_lambda(self) -> Tensor:
        """The scalar that weighs the noise heads."""
        query_1, key_1, query_2, key_2 = self.lambdas.float()
        return torch.exp(query_1 @ key_1) - torch.exp(query_2 @ key_2) + self.lambda_init

    def forward(self, x: Tensor, context: Context, cache: LayerCache | None) -> Tensor:
        """``x [B, T, D] -> [B, T, D]``; with a cache the T tokens follow what it holds."""
        d = self.head_dim
        q = self.query(x).unflatten(-1, (-1, d))
        k = self.key(x).unflatten(-1, (-1, d))
        v = self.value(x).unflatten(-1, (-1, 2 * d))
        if self.layer.rotation is not None:
            cos, sin = context.rotation_table(self.layer.rotation, d)
            q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        if cache is not None:
            k, v = cache.extend(key=k, value=v)
        mask = context.mask(self.layer.window)
        q = q.unflatten(2, (-1, self.heads_per_group))
        k = k.unflatten(2, (-1, 2))
        difference = differential_attention(q, k, v, self.current_lambda(), mask, self.scale)
        y = self.sub_norm(difference) * (1 - self.lambda_init)
        return self.output(y.flatten(2))
