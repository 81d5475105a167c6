"""Every operator of ``lab/kernels`` at sizes of a training step: forward, and backward where there is one.

Each entry of :data:`SIZES` gives shapes a name; a builder makes inputs and call and says what the equation costs.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lab.benchmark.case import Case
from lab.benchmark.machine import fastest_shape, memory_bandwidth
from lab.kernels.attention import AttentionMask, attention
from lab.kernels.cross_entropy import linear_cross_entropy
from lab.kernels.differential_attention import differential_attention
from lab.kernels.experts import expert_feed_forward
from lab.kernels.gated_rms_norm import gated_rms_norm
from lab.kernels.kimi_delta import kimi_delta
from lab.kernels.latent_attention import UpProjection, latent_attention
from lab.kernels.newton_schulz import flops, newton_schulz
from lab.kernels.poly_norm import poly_norm
from lab.kernels.registry import use_path
from lab.kernels.rms_norm import rms_norm
from lab.kernels.rotary import rotary_table, rotate
from lab.kernels.round_to_bfloat16 import round_to_bfloat16
from lab.kernels.short_convolution import short_convolution
from lab.kernels.sigmoid_router import RoutingRule, route
from lab.kernels.sinkhorn import sinkhorn
from lab.kernels.sparse_attention import select, sparse_attention
from lab.kernels.stream_mixing import mix_streams
from lab.kernels.swiglu import swiglu
from lab.trainer.device import DTYPES

FEW = 16
"""Tokens of a decoding step; their operators are timed without gradients."""

BACKWARD = 2
"""FLOPs of a backward pass in those of the forward pass: a product has two gradients."""


@dataclass(frozen=True)
class Work:
    """A call and its inputs, whose gradients are taken if it is ``differentiable``; ``flops`` of the forward pass."""

    call: Callable[..., Tensor]
    inputs: Sequence[Tensor]
    flops: float
    differentiable: bool = True


def normal(*shape: int) -> Tensor:
    """Normal numbers, the same ones for the same ``shape``."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def _attention(B: int, T: int, H: int, K: int, d: int, window: int | None = None) -> Work:
    positions = torch.arange(T).expand(B, T).contiguous()
    mask = AttentionMask(positions, positions, window=window)
    keys = T / 2 if window is None else min(window, T / 2)
    inputs = [normal(B, T, H, d), normal(B, T, K, d), normal(B, T, K, d)]
    return Work(lambda q, k, v: attention(q, k, v, mask, d**-0.5), inputs, 4 * B * T * keys * H * d)


def _cross_entropy(N: int, D: int, V: int) -> Work:
    targets = torch.randint(V, (N,), generator=torch.Generator().manual_seed(0))
    inputs = [normal(N, D), 0.02 * normal(V, D)]
    return Work(lambda h, w: linear_cross_entropy(h, w, targets), inputs, 2 * N * D * V)


def _differential_attention(B: int, T: int, G: int, r: int, d: int) -> Work:
    positions = torch.arange(T).expand(B, T).contiguous()
    mask = AttentionMask(positions, positions)
    inputs = [normal(B, T, G, r + 1, d), normal(B, T, G, 2, d), normal(B, T, G, 2 * d), torch.tensor(0.5)]
    flops = 2 * B * T * (T / 2) * G * ((r + 1) * d + r * 2 * d)
    return Work(lambda q, k, v, w: differential_attention(q, k, v, w, mask, d**-0.5), inputs, flops)


def _experts(N: int, D: int, F: int, E: int, k: int) -> Work:
    scores = torch.rand(N, E, generator=torch.Generator().manual_seed(0))
    weights, indices = scores.topk(k, dim=-1)
    inputs = [normal(N, D), weights, 0.02 * normal(E, 2 * F, D), 0.02 * normal(E, D, F)]

    def call(x: Tensor, w: Tensor, w_in: Tensor, w_out: Tensor) -> Tensor:
        return expert_feed_forward(x, indices, w, w_in, w_out, lambda g, u, _: functional.silu(g) * u)

    return Work(call, inputs, 2 * N * k * 3 * D * F, N > FEW)


def _gated_rms_norm(N: int, D: int, rank: int) -> Work:
    inputs = [normal(N, D), torch.ones(D), normal(rank, D), normal(D, rank)]
    return Work(lambda x, w, down, up: gated_rms_norm(x, w, 1e-6, down, up), inputs, 4 * N * D * (rank + 1))


def _kimi_delta(B: int, T: int, H: int, d: int) -> Work:
    q, k, v = (normal(B, T, H, d) for _ in range(3))
    inputs = [
        functional.normalize(q, dim=-1),
        functional.normalize(k, dim=-1),
        v,
        -functional.softplus(normal(B, T, H, d)),
        torch.sigmoid(normal(B, T, H)),
    ]
    return Work(lambda *x: kimi_delta(*x)[0], inputs, 7 * B * T * H * d * d)


def _latent_attention(B: int, T: int, S: int, H: int, R: int, nope: int, rope: int, v: int) -> Work:
    mask = AttentionMask(torch.arange(S - T, S).expand(B, T), torch.arange(S).expand(B, S))
    inputs = [
        normal(B, T, H, nope + rope),
        normal(B, S, R),
        normal(B, S, 1, rope),
        normal(H * (nope + v), R),
    ]

    def call(q: Tensor, latent: Tensor, k_rope: Tensor, weight: Tensor) -> Tensor:
        return latent_attention(q, latent, k_rope, UpProjection(weight, H, nope), mask, (nope + rope) ** -0.5)

    pairs = T * (S - (T - 1) / 2)
    if T == 1:
        return Work(call, inputs, 2 * B * H * (R * (nope + v) + pairs * (2 * R + rope)), False)
    return Work(call, inputs, 2 * B * H * (S * R * (nope + v) + pairs * (nope + rope + v)))


def _newton_schulz(n: int, rows: int, columns: int) -> Work:
    steps = 5
    needed = n * flops(rows, columns, steps)
    return Work(lambda x: newton_schulz(x, steps), [normal(n, rows, columns)], needed, differentiable=False)


def _poly_norm(N: int, F: int) -> Work:
    inputs = [normal(N, F), normal(N, F), torch.full((3,), 1 / 3), torch.zeros(1)]
    return Work(lambda g, u, w, b: poly_norm(g, u, w, b, 1e-6), inputs, 12 * N * F)


def _rms_norm(N: int, D: int) -> Work:
    return Work(lambda x, w: rms_norm(x, w, 1e-6), [normal(N, D), torch.ones(D)], 4 * N * D)


def _rotary(B: int, T: int, H: int, d: int) -> Work:
    frequencies = 10_000.0 ** (-torch.arange(0, d, 2) / d)
    cos, sin = rotary_table(frequencies, torch.arange(T).expand(B, T))
    return Work(lambda x: rotate(x, cos, sin), [normal(B, T, H, d)], 3 * B * T * H * d)


def _short_convolution(B: int, T: int, C: int, w: int) -> Work:
    return Work(
        lambda x, weight: short_convolution(x, weight)[0],
        [normal(B, T, C), normal(C, w)],
        2 * B * T * C * w,
    )


def _sigmoid_router(N: int, D: int, E: int, k: int) -> Work:
    bias, rule = torch.zeros(E), RoutingRule(k)
    return Work(lambda x, w: route(x, w, bias, rule)[1], [normal(N, D), normal(E, D)], 2 * N * D * E, N > FEW)


def _sinkhorn(N: int, S: int, iterations: int) -> Work:
    return Work(lambda x: sinkhorn(x, iterations), [normal(N, S, S)], 4 * N * S * S * iterations)


def _sparse_attention(B: int, T: int, S: int, H: int, K: int, d: int, top_k: int) -> Work:
    mask = AttentionMask(torch.arange(S - T, S).expand(B, T), torch.arange(S).expand(B, S))
    selection = select(normal(B, T, S), mask.dense().squeeze(1), top_k)
    inputs = [normal(B, T, H, d), normal(B, S, K, d), normal(B, S, K, d)]
    flops = 4 * float(selection.kept.sum()) * H * d
    return Work(lambda q, k, v: sparse_attention(q, k, v, mask, selection, d**-0.5), inputs, flops, T > 1)


def _stream_mixing(N: int, S: int, D: int) -> Work:
    inputs = [normal(N, S, D), normal(N, S, S), normal(N, D), normal(N, S)]
    return Work(mix_streams, inputs, 2 * N * S * D * (S + 1))


BUILDERS: dict[str, Callable[..., Work]] = {
    "attention": _attention,
    "cross_entropy": _cross_entropy,
    "differential_attention": _differential_attention,
    "experts": _experts,
    "gated_rms_norm": _gated_rms_norm,
    "kimi_delta": _kimi_delta,
    "latent_attention": _latent_attention,
    "newton_schulz": _newton_schulz,
    "poly_norm": _poly_norm,
    "rms_norm": _rms_norm,
    "rotary": _rotary,
    "round_to_bfloat16": lambda N, D: Work(round_to_bfloat16, [normal(N, D)], N * D, differentiable=False),
    "short_convolution": _short_convolution,
    "sigmoid_router": _sigmoid_router,
    "sinkhorn": _sinkhorn,
    "sparse_attention": _sparse_attention,
    "stream_mixing": _stream_mixing,
    "swiglu": lambda N, F: Work(swiglu, [normal(N, F), normal(N, F)], 6 * N * F),
}

SIZES: dict[str, tuple[str, Mapping[str, Any]]] = {
    "attention, causal": ("attention", {"B": 8, "T": 512, "H": 8, "K": 2, "d": 32}),
    "attention, window 128, 2k tokens": (
        "attention",
        {"B": 2, "T": 2048, "H": 8, "K": 2, "d": 32, "window": 128},
    ),
    "attention, window 128, 8k tokens": (
        "attention",
        {"B": 1, "T": 8192, "H": 4, "K": 2, "d": 32, "window": 128},
    ),
    "attention, causal, 4k tokens, as wide as delta": (
        "attention",
        {"B": 1, "T": 4096, "H": 4, "K": 4, "d": 64},
    ),
    "cross-entropy, 16k words": ("cross_entropy", {"N": 4096, "D": 256, "V": 16_384}),
    "cross-entropy, 200k words": ("cross_entropy", {"N": 2048, "D": 256, "V": 200_000}),
    "differential attention, 3 signal heads to 1": (
        "differential_attention",
        {"B": 8, "T": 512, "G": 2, "r": 3, "d": 16},
    ),
    "experts, 4 of 32": ("experts", {"N": 4096, "D": 256, "F": 128, "E": 32, "k": 4}),
    "experts, decoding, 4 of 32": ("experts", {"N": 16, "D": 256, "F": 128, "E": 32, "k": 4}),
    "Kimi delta, 512 tokens": ("kimi_delta", {"B": 8, "T": 512, "H": 4, "d": 64}),
    "Kimi delta, 4k tokens": ("kimi_delta", {"B": 1, "T": 4096, "H": 4, "d": 64}),
    "latent attention, 512 tokens": (
        "latent_attention",
        {"B": 8, "T": 512, "S": 512, "H": 8, "R": 64, "nope": 32, "rope": 16, "v": 32},
    ),
    "latent attention, decoding behind 2k tokens": (
        "latent_attention",
        {"B": 16, "T": 1, "S": 2048, "H": 8, "R": 64, "nope": 32, "rope": 16, "v": 32},
    ),
    "Newton-Schulz, 320 matrices": ("newton_schulz", {"n": 320, "rows": 128, "columns": 256}),
    "PolyNorm": ("poly_norm", {"N": 4096, "F": 768}),
    "RMSNorm, gated": ("gated_rms_norm", {"N": 4096, "D": 256, "rank": 16}),
    "RMSNorm": ("rms_norm", {"N": 4096, "D": 256}),
    "rotary": ("rotary", {"B": 8, "T": 512, "H": 8, "d": 32}),
    "rounding to bfloat16": ("round_to_bfloat16", {"N": 4096, "D": 256}),
    "short convolution": ("short_convolution", {"B": 8, "T": 512, "C": 256, "w": 4}),
    "sigmoid router, 4 of 32": ("sigmoid_router", {"N": 4096, "D": 256, "E": 32, "k": 4}),
    "sigmoid router, decoding": ("sigmoid_router", {"N": 16, "D": 256, "E": 32, "k": 4}),
    "Sinkhorn": ("sinkhorn", {"N": 4096, "S": 4, "iterations": 20}),
    "sparse attention, 128 of 512 tokens": (
        "sparse_attention",
        {"B": 8, "T": 512, "S": 512, "H": 8, "K": 8, "d": 32, "top_k": 128},
    ),
    "sparse attention, decoding, 128 of 2k tokens": (
        "sparse_attention",
        {"B": 16, "T": 1, "S": 2048, "H": 8, "K": 1, "d": 32, "top_k": 128},
    ),
    "stream mixing": ("stream_mixing", {"N": 4096, "S": 4, "D": 256}),
    "SwiGLU": ("swiglu", {"N": 4096, "F": 768}),
}
"""Name of a measurement -> operator and shapes, at the sizes of :data:`lab.benchmark.contenders.SMALL`."""


def operator_case(
    size: str, path: str | None, precision: str = "float32", shapes: Mapping[str, Any] | None = None
) -> Case:
    """Forward and, if there is one, backward of one operator by one path, None = the one it chooses.

    ``shapes`` replace some of those of ``size``.
    """
    operator, usual = SIZES[size]
    work = BUILDERS[operator](**{**usual, **(shapes or {})})
    dtype = DTYPES[precision]
    leaves = [x.to(dtype).requires_grad_(work.differentiable) for x in work.inputs]
    with use_path(operator, path) if path else nullcontext():
        outgoing = work.call(*leaves)
    if work.differentiable and not outgoing.requires_grad:
        raise ValueError(f"path={path!r} cannot be used: it has no backward pass.")
    incoming = torch.ones_like(outgoing.detach())

    def run() -> None:
        gradients = torch.set_grad_enabled(work.differentiable)
        with gradients, use_path(operator, path) if path else nullcontext():
            y = work.call(*leaves)
        if work.differentiable:
            torch.autograd.grad(y, leaves, incoming)

    read = sum(x.numel() * x.element_size() for x in leaves)
    written = incoming.numel() * incoming.element_size()
    passes, moved = (1 + BACKWARD, 3 * read + 2 * written) if work.differentiable else (1, read + written)
    return Case(run, flops=passes * work.flops, facts={"bytes": moved, "operator": operator})


def matmul_case(precision: str = "float32", repeats: int = 10) -> Case:
    """Products at the fastest of :data:`lab.benchmark.machine.PEAK_SHAPES`: the machine's limit, timed like a case."""
    m, k, n = fastest_shape(precision)
    a, b = normal(m, k).to(DTYPES[precision]), normal(n, k).to(DTYPES[precision])

    def run() -> None:
        for _ in range(repeats):
            torch.mm(a, b.T)

    return Case(
        run, flops=2 * m * k * n * repeats, facts={"shape": [m, k, n], "bandwidth": memory_bandwidth()}
    )
