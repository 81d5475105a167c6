"""Joins: how a branch is added to the residual stream, or to several of them."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from lab.kernels.precision import widen
from lab.kernels.sinkhorn import sinkhorn
from lab.kernels.stream_mixing import mix_streams, read_streams
from lab.model.initial import InitialSpread
from lab.model.leaves.residual import HyperConnections
from lab.model.norm import RMSNorm
from lab.model.record import Record

Branch = Callable[[Tensor], tuple[Tensor, Record]]


class PreNormJoin(nn.Module):
    """``x + F(norm(x))``."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor, branch: Branch) -> tuple[Tensor, Record]:
        """``x [B, T, D]`` and what the branch recorded."""
        y, record = branch(self.norm(x))
        return x + y, record


class DualNormJoin(nn.Module):
    """``x + post_norm(F(norm(x)))``."""

    def __init__(self, norm: nn.Module, post_norm: RMSNorm) -> None:
        super().__init__()
        self.norm = norm
        self.post_norm = post_norm

    def initialise(self, generator: torch.Generator, spread: InitialSpread) -> None:
        """The second norm's weight is ``branch_scale``: it alone decides how large the branch is."""
        nn.init.constant_(self.post_norm.weight, spread.branch_scale)

    def forward(self, x: Tensor, branch: Branch) -> tuple[Tensor, Record]:
        """``x [B, T, D]`` and what the branch recorded."""
        y, record = branch(self.norm(x))
        return x + self.post_norm(y), record


class HyperConnectionJoin(nn.Module):
    """Residual streams mixed by a doubly stochastic matrix (arXiv 2512.24880; Motif 3, arXiv 2608.09119).

    ``X [S, D]`` are a token's streams, ``p = W norm(flatten(X))`` its coefficients, rows pre, post and res:

    ``h_pre  = sigmoid(clamp(a_pre p_pre + b_pre, -10, 10))``
    ``h_post = post_scale * sigmoid(clamp(a_post p_post + b_post, -10, 10))``
    ``H_res  = sinkhorn(exp(clamp(a_res p_res + B_res, -20, 20)))``
    ``X <- H_res X + h_post F(norm(sum_i h_pre_i X_i))^T``

    The norm over all ``S D`` channels has a weight of its own; everything around the branch is float32.
    """

    GATE_LIMIT = 10.0
    MIXING_LIMIT = 20.0

    def __init__(self, config: HyperConnections, width: int, norm: nn.Module) -> None:
        super().__init__()
        self.config = config
        streams = config.streams
        self.norm = norm
        self.stream_norm = RMSNorm(streams * width, config.eps)
        self.projection = nn.Linear(streams * width, streams * (2 + streams), bias=False)
        self.bias = nn.Parameter(torch.empty(streams * (2 + streams)))
        self.alpha = nn.Parameter(torch.empty(3))

    def initialise(self, generator: torch.Generator, spread: InitialSpread) -> None:
        """Start near a plain pre-norm residual, as what Motif 3 started from is not published.

        ``h_pre = 1 / S`` makes the branch read the mean of the streams; ``h_post`` is 1 or, where
        ``post_scale`` does not reach that with a gradient left, ``0.95 post_scale``; ``B_res`` puts 0.95 of
        ``H_res`` on the diagonal. Small alphas let the projection tell the streams apart.
        """
        streams = self.config.streams
        pre = torch.full((streams,), -math.log(streams - 1))
        post = torch.full((streams,), _logit(min(1 / self.config.post_scale, 0.95)))
        mixing = torch.eye(streams) * (_logit(0.95) + math.log(streams - 1))
        with torch.no_grad():
            self.bias.copy_(torch.cat([pre, post, mixing.flatten()]))
            self.alpha.fill_(0.01)

    def coefficients(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``h_pre [B, T, S]``, ``h_post [B, T, S]`` and ``H_res [B, T, S, S]`` of ``x [B, T, S, D]``."""
        streams = self.config.streams
        sizes = (streams, streams, streams * streams)
        p = nn.functional.linear(self.stream_norm(x.flatten(-2)), widen(self.projection.weight))
        parts = zip(widen(self.alpha), p.split(sizes, dim=-1), widen(self.bias).split(sizes), strict=True)
        pre, post, mixing = (scale * token + constant for scale, token, constant in parts)
        h_pre = torch.sigmoid(pre.clamp(-self.GATE_LIMIT, self.GATE_LIMIT))
        h_post = self.config.post_scale * torch.sigmoid(post.clamp(-self.GATE_LIMIT, self.GATE_LIMIT))
        mixing = mixing.clamp(-self.MIXING_LIMIT, self.MIXING_LIMIT).unflatten(-1, (streams, streams))
        return h_pre, h_post, sinkhorn(mixing, self.config.sinkhorn_iterations)

    def forward(self, x: Tensor, branch: Branch) -> tuple[Tensor, Record]:
        """``x [B, T, S, D]`` and what the branch recorded."""
        streams = widen(x)
        with torch.autocast(x.device.type, enabled=False):
            h_pre, h_post, mixing = self.coefficients(streams)
            u = read_streams(streams, h_pre)
        y, record = branch(self.norm(u.to(x.dtype)))
        with torch.autocast(x.device.type, enabled=False):
            mixed = mix_streams(streams, mixing, widen(y), h_post)
        return mixed.to(x.dtype), record


def open_streams(x: Tensor, num_streams: int) -> Tensor:
    """``[B, T, D]`` to what joins work on: itself, or ``[B, T, S, D]`` with S copies."""
    if num_streams == 1:
        return x
    return x.unsqueeze(-2).expand(*x.shape[:-1], num_streams, x.shape[-1]).contiguous()  # not by each reader


def close_streams(x: Tensor, num_streams: int) -> Tensor:
    """The mean over streams, ``[B, T, D]``; inverse of :func:`open_streams`."""
    return x if num_streams == 1 else x.mean(dim=-2)


def _logit(probability: float) -> float:
    return math.log(probability / (1 - probability))
