"""What serving a model costs: memory, the rooflines of prefill and decoding, devices, money per million tokens.

The weights and the cache are those of the real configuration: grouped-query keys, latents, windows, sparse reads and
recurrent states each count as they are. Times are roofline times: work over what the device could do at best, divided
by an efficiency that is carried as a range, because no public measurement of these models fixes it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from lab.model.config import ModelConfig
from lab.model.leaves.attention import LatentMixer
from lab.model.leaves.base import BYTES_PER_CACHE_ELEMENT
from lab.model.leaves.router import SigmoidRouter
from lab.model.leaves.sparse_latent import SparseLatent
from lab.model.size import size
from lab.planner.facts import Device
from lab.planner.interval import Range, Uncertain, certain, from_range
from lab.planner.quantity import BYTE, DEVICE, FLOP, SECOND, TOKEN, Quantity
from lab.planner.training import expert_params

WEIGHT_BYTES = {"bf16": 2.0 * BYTE, "fp8": 1.0 * BYTE, "fp4": 0.5 * BYTE}
MEMORY_USED = 0.9
"""Share of a device's memory for weights and caches, the usual setting of vLLM (``gpu_memory_utilization``)."""
MOST_DEVICES = 256
MOST_SEQUENCES = 4096
"""Sequences at once beyond which no service batches, whatever memory would hold (assumed)."""

# Assumed 80 % ranges: no public measurement of the contenders fixes them.
BANDWIDTH_ACHIEVED = from_range("achieved memory bandwidth (assumed)", 0.5, 0.85)
COMPUTE_ACHIEVED = from_range("achieved compute in service (assumed)", 0.3, 0.6)
HOURS_BUSY = from_range("share of paid hours that serve (assumed)", 0.4, 0.8)
COLLECTIVE_LATENCY = 10e-6 * SECOND
"""Start-up of one exchange between devices (assumed; two of them a layer and step)."""


@dataclass(frozen=True)
class Service:
    """How a model is served: ``precision`` of weights and products, ``context`` tokens read before an answer.

    ``tokens_per_second`` is the slowest stream a reader accepts; it bounds the batch.
    """

    context: int
    precision: str = "fp8"
    tokens_per_second: float = 20.0


@dataclass(frozen=True)
class ServingCost:
    """What one replica of ``devices`` does with ``batch`` sequences of the service's context.

    ``weights`` and ``cache_per_sequence`` in bytes; ``step`` is one decoding step of the whole batch. ``prefill`` and
    ``decode`` are device-seconds per token read and per token written; ``binds`` says which roof a step meets.
    """

    devices: int
    batch: int
    weights: Quantity
    cache_per_sequence: Quantity
    step: Uncertain
    prefill: Uncertain
    decode: Uncertain
    binds: str

    def per_million(self, price: Uncertain) -> tuple[Uncertain, Uncertain]:
        """Money per million tokens read and written, at ``price`` per device-time."""
        million = 1e6 * TOKEN
        return self.prefill * price * million, self.decode * price * million

    @property
    def stream(self) -> Range:
        """Tokens per second that one reader sees."""
        return (1.0 / self.step).range


def cache_bytes(model: ModelConfig, context: int) -> Quantity:
    """Bytes that one sequence of ``context`` tokens keeps; a window keeps no more than it sees."""
    total = 0
    for layer in model.plan():
        kept = model.mixer(layer).cache(None if layer.window is None else min(layer.window, context))
        total += kept.at(context)
    return total * BYTE


def cache_bytes_read(model: ModelConfig, context: int) -> Quantity:
    """Bytes of cache that one decoding step reads for one sequence.

    All of it, but for sparse latent attention, which reads every indexer key and only the latents it picks
    (DeepSeek-V3.2; A.X K2, arXiv 2608.30181).
    """
    unread = 0
    for layer in model.plan():
        mixer = model.mixer(layer)
        if isinstance(mixer, SparseLatent):
            latent = (mixer.latent_rank + mixer.rope_dim) * BYTES_PER_CACHE_ELEMENT
            unread += latent * max(0, context - mixer.index_top_k)
    return cache_bytes(model, context) - unread * BYTE


def decode_flops(model: ModelConfig, context: int) -> Quantity:
    """FLOPs of writing one token behind ``context`` others, multi-token blocks left out.

    Latent attention is counted in its absorbed form, in which queries meet the latents themselves: per key and head
    ``2 (r + d_rope) + 2 r`` FLOPs (DeepSeek-V2, arXiv 2405.04434, section 2.1.2).
    """
    total = forward_flops(model, 1).to(FLOP)
    for layer in model.plan():
        mixer = model.mixer(layer)
        keys = float(min(layer.window or context, context))
        total -= mixer.flops_per_token(model.width, 1.0)
        if isinstance(mixer, LatentMixer):
            chosen = min(keys, mixer.index_top_k) if isinstance(mixer, SparseLatent) else keys
            heads: int = mixer.num_heads  # type: ignore[attr-defined]  # every latent leaf has it
            expanded = 2 * heads * (mixer.key_dim + mixer.value_dim)
            absorbed = 2 * heads * (2 * mixer.latent_rank + mixer.rope_dim)
            total += mixer.flops_per_token(model.width, keys) + chosen * (absorbed - expanded)
        else:
            total += mixer.flops_per_token(model.width, keys)
    return total * FLOP


def forward_flops(model: ModelConfig, sequence: int) -> Quantity:
    """FLOPs per token of the trunk and its head at causal sequences of ``sequence`` tokens."""
    record = size(model, sequence)
    blocks = model.multi_token.flops_per_token(
        model.width, model.vocab_size, model.attention, model.feed_forward, sequence
    )
    return (record.flops_per_token_forward - blocks) * FLOP


def prefill_flops(model: ModelConfig, context: int) -> Quantity:
    """FLOPs per token of reading ``context`` tokens; the head runs once and is left out."""
    return forward_flops(model, context) - 2.0 * model.vocab_size * model.width * FLOP


def weight_bytes(model: ModelConfig, precision: str) -> Quantity:
    """Bytes of all weights a server keeps: no multi-token block; embedding and head stay in bfloat16."""
    parts = size(model, 1).parts
    ends = parts["embedding"] + parts["head"]
    inner = sum(parts.values()) - ends - parts["multi_token"]
    return inner * WEIGHT_BYTES[precision] + ends * WEIGHT_BYTES["bf16"]


def weight_bytes_read(model: ModelConfig, precision: str, batch: float) -> Quantity:
    """Bytes of weights that one step over ``batch`` tokens touches.

    Of E experts a batch visits ``E (1 - (1 - k/E)^batch)`` if routing is even; of the embedding a row a token.
    """
    router, parts = model.router, size(model, 1).parts
    unread = 0.0 if model.tied_embeddings else parts["embedding"] * WEIGHT_BYTES["bf16"].to(BYTE)
    if isinstance(router, SigmoidRouter):
        share = (1 - router.top_k / router.num_experts) ** batch
        unread += share * expert_params(model) * WEIGHT_BYTES[precision].to(BYTE)
    return weight_bytes(model, precision) - unread * BYTE


def serve(model: ModelConfig, device: Device, service: Service) -> ServingCost | None:
    """The cheapest replica per written token on ``device``; None where none writes fast enough.

    Replicas of 1, 2, 4 ... devices are tried, each with the largest batch that memory and the wanted speed allow.
    Weights and caches are taken to be divided evenly, so the result is a lower bound of what a real layout needs.
    """
    work = Workload.of(model, service)
    counts = [2**power for power in range(int(math.log2(MOST_DEVICES)) + 1)]
    replicas = [replica for count in counts if (replica := _replica(work, device, service, count))]
    return min(replicas, key=lambda replica: replica.decode.central, default=None)


@dataclass(frozen=True)
class Workload:
    """What the model asks of any device: bytes (``always_read``: weights that every step reads) and FLOPs a token."""

    weights: Quantity
    always_read: Quantity
    experts: Quantity
    unvisited: float
    cached: Quantity
    cache_read: Quantity
    decode: Quantity
    prefill: Quantity
    hidden: Quantity
    layers: int

    @classmethod
    def of(cls, model: ModelConfig, service: Service) -> Workload:
        """The workload of ``model`` under ``service``; ``unvisited`` is the chance of a token to pass an expert by."""
        router, experts = model.router, expert_params(model) * WEIGHT_BYTES[service.precision]
        return cls(
            weights=weight_bytes(model, service.precision),
            always_read=weight_bytes_read(model, service.precision, 0),
            experts=experts,
            unvisited=1 - router.top_k / router.num_experts if isinstance(router, SigmoidRouter) else 1.0,
            cached=cache_bytes(model, service.context),
            cache_read=cache_bytes_read(model, service.context),
            decode=decode_flops(model, service.context),
            prefill=prefill_flops(model, service.context),
            hidden=model.width * WEIGHT_BYTES["bf16"],
            layers=model.layers.count,
        )

    def step(self, device: Device, precision: str, count: int, batch: int) -> tuple[Uncertain, str]:
        """One decoding step (s) of ``batch`` sequences on ``count`` devices, and the roof it meets.

        ``max(bytes / bandwidth, FLOPs / peak)``, and for several devices two exchanges a layer of the batch's hidden
        states, each of ``2 (n-1)/n`` times a device's share of their bytes (ring).
        """
        moved = self.always_read + (1 - self.unvisited**batch) * self.experts + batch * self.cache_read
        by_memory = certain(moved / (count * device.memory_bandwidth)) / BANDWIDTH_ACHIEVED
        by_compute = certain(batch * self.decode / (count * device.peak(precision))) / COMPUTE_ACHIEVED
        roofs = ((by_memory, "bandwidth"), (by_compute, "compute"))
        step, binds = max(roofs, key=lambda roof: roof[0].central)
        if count == 1:
            return step, binds
        link = device.scale_up_bandwidth if count <= device.node else device.scale_out_bandwidth
        exchange = 2 * (count - 1) / count * (batch / count * self.hidden) / link + COLLECTIVE_LATENCY
        return step + 2 * self.layers * exchange, binds


def _replica(work: Workload, device: Device, service: Service, count: int) -> ServingCost | None:
    room = count * MEMORY_USED * device.memory - work.weights
    if room < work.cached:
        return None
    slowest = 1 / service.tokens_per_second * SECOND
    fitting = min(MOST_SEQUENCES, int(room.to(BYTE) / work.cached.to(BYTE)))
    batch = _largest(
        fitting, lambda tried: work.step(device, service.precision, count, tried)[0].central <= slowest
    )
    if batch == 0:
        return None
    step, binds = work.step(device, service.precision, count, batch)
    reading = certain(work.prefill / device.peak(service.precision) * (DEVICE / TOKEN))
    return ServingCost(
        devices=count,
        batch=batch,
        weights=work.weights,
        cache_per_sequence=work.cached,
        step=step,
        prefill=reading / COMPUTE_ACHIEVED / HOURS_BUSY,
        decode=step * (count * DEVICE / (batch * TOKEN)) / HOURS_BUSY,
        binds=binds if batch < fitting else f"{binds}, and memory for more sequences",
    )


def _largest(limit: int, allowed: Callable[[int], bool]) -> int:
    """The largest whole number up to ``limit`` that is ``allowed``, where all below an allowed one are; else 0."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if allowed(middle) else (low, middle - 1)
    return low
