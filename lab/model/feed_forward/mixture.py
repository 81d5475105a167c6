"""Mixture of experts with a sigmoid router."""

import torch
from torch import Tensor, nn

from lab.kernels.experts import expert_feed_forward
from lab.kernels.sigmoid_router import RoutingRule, route
from lab.model.feed_forward.gated import GatedFeedForward
from lab.model.initial import InitialSpread
from lab.model.leaves.feed_forward import FeedForwardConfig
from lab.model.leaves.layers import LayerPlan
from lab.model.leaves.router import SigmoidRouter
from lab.model.record import Record


class Router(nn.Module):
    """Chooses top-k experts by ``sigmoid(W x) + bias`` (DeepSeek-V3, arXiv 2412.19437, equations 12 to 16).

    Weights are the chosen sigmoids without the bias, divided by their sum (unless told not to) and scaled. All in
    float32.
    """

    def __init__(self, config: SigmoidRouter, width: int) -> None:
        super().__init__()
        self.rule = RoutingRule(
            config.top_k,
            config.num_groups,
            config.num_groups_kept,
            config.score_outside_groups,
            config.normalise_weights,
            config.routed_scaling,
        )
        self.weight = nn.Parameter(torch.empty(config.num_experts, width))
        self.selection_bias: Tensor
        self.register_buffer("selection_bias", torch.zeros(config.num_experts, dtype=torch.float32))
        self.bias_update_rate = config.bias_update_rate

    def initialise(self, generator: torch.Generator, spread: InitialSpread) -> None:
        """Router rows are N(0, std^2)."""
        nn.init.normal_(self.weight, std=spread.std, generator=generator)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``x [N, D]`` to chosen experts ``[N, k]``, their weights and all scores ``[N, E]``, float32."""
        return route(x, self.weight, self.selection_bias, self.rule)


class MixtureOfExperts(nn.Module):
    """Routed experts plus shared ones that see every token: ``sum_k w_k E_k(x) + E_shared(x)``.

    Expert weights are stacked: ``w_in [E, 2F, D]`` (gate rows first) and ``w_out [E, D, F]``.
    """

    def __init__(self, config: SigmoidRouter, width: int, unit: FeedForwardConfig, layer: LayerPlan) -> None:
        super().__init__()
        self.router = Router(config, width)
        self.w_in = nn.Parameter(torch.empty(config.num_experts, 2 * config.expert_width, width))
        self.w_out = nn.Parameter(torch.empty(config.num_experts, width, config.expert_width))
        self.activation = unit.build_activation(layer, config.num_experts)
        shared_width = config.num_shared * config.expert_width
        self.shared = GatedFeedForward(unit, width, shared_width, layer) if shared_width else None
        self.balance_loss_weight = config.balance_loss_weight

    def initialise(self, generator: torch.Generator, spread: InitialSpread) -> None:
        """Expert matrices are N(0, std^2), those that write to the residual stream N(0, branch_std^2)."""
        nn.init.normal_(self.w_in, std=spread.std, generator=generator)
        nn.init.normal_(self.w_out, std=spread.branch_std, generator=generator)

    def forward(self, x: Tensor) -> tuple[Tensor, Record]:
        """``x [B, T, D] -> [B, T, D]``; with gradients also the load of each expert and the balance loss."""
        rows = x.flatten(0, 1)
        chosen, weights, scores = self.router(rows)
        y = expert_feed_forward(rows, chosen, weights, self.w_in, self.w_out, self.activation).view_as(x)
        if self.shared is not None:
            y = y + self.shared(x)
        if not torch.is_grad_enabled():
            return y, Record()
        batch = x.shape[0]
        return y, self._record(chosen.unflatten(0, (batch, -1)), scores.unflatten(0, (batch, -1)))

    def _record(self, chosen: Tensor, scores: Tensor) -> Record:
        """Loads, and the sequence-wise balance loss ``alpha sum_i f_i P_i`` (arXiv 2412.19437, equations 17 to 20)."""
        batch, length, num_experts = scores.shape
        top_k = chosen.shape[-1]
        rows = torch.arange(batch, device=chosen.device).view(-1, 1, 1) * num_experts
        counts = torch.bincount((chosen + rows).flatten(), minlength=batch * num_experts).view(
            batch, num_experts
        )
        record = Record(load=counts.sum(0))
        if self.training and self.balance_loss_weight > 0:
            fraction = counts * (num_experts / (top_k * length))
            probability = (scores / scores.sum(-1, keepdim=True)).mean(dim=1)
            record.losses["balance"] = self.balance_loss_weight * (fraction * probability).sum(-1).mean()
        return record
