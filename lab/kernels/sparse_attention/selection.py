"""Which keys a query reads: scores of an index, and the best of them."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from lab.kernels.precision import without_autocast


def index_scores(q: Tensor, k: Tensor, weight: Tensor) -> Tensor:
    """``I_ts = sum_j w_tj relu(q_tj . k_s / sqrt(d)) / sqrt(J)``, float32 ``[B, T, S]``.

    For J heads ``q [B, T, J, d]`` over one key ``k [B, S, d]`` with ``weight [B, T, J]``.
    """
    with without_autocast(q):
        matches = torch.relu(torch.einsum("btjd,bsd->btjs", q.float(), k.float()))
        scale = (q.shape[-1] * weight.shape[-1]) ** -0.5
        return torch.einsum("btj,btjs->bts", weight * scale, matches)


@dataclass(frozen=True, eq=False)
class Selection:
    """The keys that each query reads: those of ``indices [B, T, n]`` that are ``allowed [B, T, S]``."""

    indices: Tensor
    allowed: Tensor

    @cached_property
    def kept(self) -> Tensor:
        """The same as True and False, ``[B, T, S]``."""
        return torch.zeros_like(self.allowed).scatter(-1, self.indices, True) & self.allowed


def select(scores: Tensor, allowed: Tensor, top_k: int) -> Selection:
    """The allowed keys among the ``top_k`` best of each query; both ``[B, T, S]``. Ties fall in any order."""
    eligible = scores.detach().masked_fill(~allowed, -torch.inf)
    return Selection(eligible.topk(min(top_k, scores.shape[-1]), dim=-1).indices, allowed)
