"""Kimi delta attention: a recurrent mixer."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from lab.kernels.kimi_delta import kimi_delta
from lab.kernels.precision import widen
from lab.kernels.short_convolution import short_convolution
from lab.model.cache import RecurrentCache, State
from lab.model.context import Context
from lab.model.initial import BranchOutput, InitialSpread
from lab.model.leaves.linear_attention import KimiDelta
from lab.model.norm import RMSNorm


class KimiDeltaAttention(nn.Module):
    """A delta rule whose state decays by channel (arXiv 2510.26692; Solar Open 2, arXiv 2607.20062).

    ``q, k, v = silu(conv(W x))``, q and k of unit length in each head, q scaled by ``d^-1/2``; then, with a
    state ``S [d, d]`` a head (keys by values, float32):

    ``g    = -exp(A_log) softplus(W_fb W_fa x + dt_bias)``, the log-decay of each key channel
    ``beta = max_beta sigmoid(W_b x)``, one write strength a head
    ``S_t  = (I - beta_t k_t k_t^T) Diag(exp(g_t)) S_{t-1} + beta_t k_t v_t^T``
    ``o_t  = S_t^T q_t``, ``y = W_o (norm(o) * sigmoid(W_gb W_ga x))``, without output gate ``y = W_o norm(o)``

    The convolution is causal and depthwise, its last weight the current token's. The cache holds S and the
    last ``conv_width - 1`` inputs of the convolution. Padding leaves both as they are; it may stand before a
    row's first token and after its last one, not between them.
    """

    def __init__(self, config: KimiDelta, width: int) -> None:
        super().__init__()
        self.config = config
        heads, d = config.num_heads, config.head_dim
        channels = heads * d
        self.query = nn.Linear(width, channels, bias=False)
        self.key = nn.Linear(width, channels, bias=False)
        self.value = nn.Linear(width, channels, bias=False)
        self.convolution = nn.Parameter(torch.empty(3 * channels, config.conv_width))  # queries, keys, values
        self.decay_down = nn.Linear(width, d, bias=False)
        self.decay_up = nn.Linear(d, channels, bias=False)
        self.A_log = nn.Parameter(torch.empty(heads))
        self.dt_bias = nn.Parameter(torch.empty(channels))
        self.beta = nn.Linear(width, heads, bias=False)
        if config.output_gate:
            self.gate_down = nn.Linear(width, d, bias=False)
            self.gate_up = nn.Linear(d, channels, bias=False)
        self.norm = RMSNorm(d, config.output_norm_eps)
        self.output = BranchOutput(channels, width)
        for parameter in (self.A_log, self.dt_bias):
            parameter.no_weight_decay = True  # type: ignore[attr-defined]

    def initialise(self, generator: torch.Generator, spread: InitialSpread) -> None:
        """Decay as in flash-linear-attention: half-lives of about 1 to 100 tokens.

        ``A_log = ln U(1, 16)``; ``softplus(dt_bias)`` is log-uniform in [1e-3, 1e-1]; convolution weights are
        ``U(-1, 1) / sqrt(conv_width)``. What Solar Open 2 started from is not published.
        """
        bound = self.config.conv_width**-0.5
        nn.init.uniform_(self.convolution, -bound, bound, generator=generator)
        with torch.no_grad():
            self.A_log.uniform_(1, 16, generator=generator).log_()
            step = self.dt_bias.uniform_(math.log(1e-3), math.log(1e-1), generator=generator).exp()
            step = step.clamp(min=1e-4)
            self.dt_bias.copy_(step + torch.log(-torch.expm1(-step)))  # the inverse of softplus

    def forward(self, x: Tensor, context: Context, cache: RecurrentCache | None) -> Tensor:
        """``x [B, T, D] -> [B, T, D]``; with a cache the T tokens follow what it holds."""
        heads, d = self.config.num_heads, self.config.head_dim
        is_token = (context.positions >= 0).unsqueeze(-1)
        x = x * is_token
        inputs = torch.cat([self.query(x), self.key(x), self.value(x)], dim=-1)
        tail = cache.get("tail") if cache is not None else None
        state = cache.get("state") if cache is not None else None
        convolved, _ = short_convolution(inputs, self.convolution, tail, context.documents)
        q, k, v = functional.silu(convolved).unflatten(-1, (3, heads, d)).unbind(2)
        g = self._log_decay(x)
        beta = self.config.max_beta * torch.sigmoid(widen(self.beta(x)))
        q, k = _unit(q) * d**-0.5, _unit(k)

        def read(is_read: Tensor) -> tuple[Tensor, State]:
            """Outputs and what to keep after the tokens of ``is_read [B, T, 1]`` alone."""
            with torch.autocast(x.device.type, enabled=False):  # errors of a recurrence add up
                o, new = kimi_delta(
                    q, k, v, g * is_read.unsqueeze(-1), beta * is_read, state, context.documents
                )
            return o, {"state": new, "tail": self._new_tail(tail, inputs, is_read)}

        o, kept = read(is_token)
        if cache is not None:
            cache.keep(kept, context.positions, lambda is_kept: read(is_kept.unsqueeze(-1))[1])
        y = self.norm(widen(o))
        if self.config.output_gate:
            y = y * torch.sigmoid(widen(self.gate_up(self.gate_down(x))).unflatten(-1, (heads, d)))
        return self.output(y.flatten(-2).to(x.dtype))

    def _log_decay(self, x: Tensor) -> Tensor:
        """``g [B, T, H, d]``, float32 and at most 0."""
        step = functional.softplus(widen(self.decay_up(self.decay_down(x))) + widen(self.dt_bias))
        rate = torch.exp(widen(self.A_log)).unsqueeze(-1)
        return -rate * step.unflatten(-1, (self.config.num_heads, self.config.head_dim))

    def _new_tail(self, tail: Tensor | None, inputs: Tensor, is_token: Tensor) -> Tensor:
        """The ``conv_width - 1`` inputs up to each row's last token, ``[B, conv_width - 1, 3 H d]``."""
        length = self.config.conv_width - 1
        if tail is None:
            tail = inputs.new_zeros(inputs.shape[0], length, inputs.shape[2])
        seen = torch.cat([tail, inputs], dim=1)
        count = torch.arange(1, inputs.shape[1] + 1, device=inputs.device)
        last = (is_token.squeeze(-1) * count).amax(dim=1, keepdim=True)  # 0 where a row holds padding only
        index = last + torch.arange(length, device=inputs.device)
        return seen.gather(1, index.unsqueeze(-1).expand(-1, -1, seen.shape[2]))


def _unit(x: Tensor) -> Tensor:
    """``x [..., d]`` at unit length, float32."""
    wide = widen(x)
    return wide * torch.rsqrt(wide.square().sum(-1, keepdim=True) + 1e-6)
