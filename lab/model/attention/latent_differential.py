"""Grouped differential attention over a latent."""

import torch
from torch import Tensor, nn

from lab.kernels.differential_attention import differential_attention
from lab.kernels.latent_attention import latent_keys
from lab.model.attention.latent import LatentProjections
from lab.model.cache import LayerCache
from lab.model.context import Context
from lab.model.initial import BranchOutput
from lab.model.leaves.latent_differential import LatentDifferential
from lab.model.leaves.layers import LayerPlan
from lab.model.leaves.norm import NormConfig


class LatentDifferentialAttention(LatentProjections):
    """Signal heads minus a noise head that shares their key and value (GDLA; Motif 3, arXiv 2608.09119).

    Group g, signal heads j = 1..r, noise head n; ``a_gh = softmax(s q_gh K_g^T) V_g`` with the key and value
    that the latent expands to:

    ``o_gj = sigmoid(W_g c_q)_gj * (a_gj - lambda_gj a_gn)``, ``lambda = sigmoid(W_lambda x)`` (one a token
    and signal head)

    Heads are stored group by group, the noise head last. Unlike :class:`GroupedDifferentialAttention` there
    is neither a norm nor a constant behind the difference. The difference is linear in the values, so that
    single-token decoding takes it in latent space and expands signal heads only.
    """

    def __init__(self, config: LatentDifferential, width: int, layer: LayerPlan, norm: NormConfig) -> None:
        super().__init__(config, width, layer, norm, num_expanded=config.num_groups)
        channels = config.num_signal * config.value_dim
        self.gate = nn.Linear(config.query_rank, channels, bias=False)
        self.noise_weight = nn.Linear(width, config.num_signal, bias=False)
        self.output = BranchOutput(channels, width)

    def forward(self, x: Tensor, context: Context, cache: LayerCache | None) -> Tensor:
        """``x [B, T, D] -> [B, T, D]``; with a cache the T tokens follow what it holds."""
        query_latent = self.query_norm(self.query_down(x))
        q = self.queries(query_latent, context)
        latent, k_rope = self.latents(x, context, cache)
        mask = context.mask(self.layer.window)
        noise_weight = torch.sigmoid(self.noise_weight(x)).unflatten(2, (self.num_expanded, -1, 1))
        in_latent_space = cache is not None and x.shape[1] == 1
        if in_latent_space:
            q, k, v = self.up.absorb(q), latent_keys(latent, k_rope), latent.unsqueeze(2)
        else:
            k, v = self.expand(latent, k_rope)
        q = q.unflatten(2, (self.num_expanded, -1))
        y = differential_attention(q, k.unsqueeze(3), v, noise_weight, mask, self.scale).flatten(2, 3)
        if in_latent_space:
            y = self.up.values(y)
        return self.output(y.flatten(2) * torch.sigmoid(self.gate(query_latent)))
