"""Bytes that leave a device in training, per token of the whole model, and how long the links need for them.

All volumes are per device and per token that this device's group works on, in device-seconds per token once divided by
a bandwidth: a group of g devices that works on one token for one second spends g device-seconds. Ring algorithms:
a reduction over g devices moves 2 (g-1)/g of its bytes, a gather (g-1)/g. Overlap is no part of this module: what
share is exposed is one fitted number (:mod:`lab.planner.utilisation`).
"""

from dataclasses import dataclass

from lab.model.config import ModelConfig
from lab.model.leaves.router import SigmoidRouter
from lab.planner.config import LayoutConfig
from lab.planner.facts import Device
from lab.planner.memory import held_parameters
from lab.planner.once import once_per_model
from lab.planner.quantity import BYTE, DEVICE, SECOND, TOKEN, Quantity
from lab.planner.training import sparse_layers

ELEMENT = 2
"""Bytes of an activation or weight on the wire (bf16); gradients travel as float32 in reductions."""
GRADIENT = 4


@dataclass(frozen=True)
class Communication:
    """Time on the links with nothing overlapped, device-seconds per token, by kind of parallelism."""

    tensor: Quantity
    pipeline: Quantity
    expert: Quantity
    context: Quantity
    data: Quantity

    @property
    def total(self) -> Quantity:
        return self.tensor + self.pipeline + self.expert + self.context + self.data


def communication(model: ModelConfig, layout: LayoutConfig, device: Device) -> Communication:
    """Link time of one token, forward and backward, on ``device`` (device-seconds per token)."""
    up, out = device.scale_up_bandwidth, device.scale_out_bandwidth
    width, passes = model.width, 3 if layout.recompute == "full" else 2
    unit = DEVICE / TOKEN

    t, p, c = layout.tensor, layout.pipeline, layout.context
    tensor_bytes = passes * 2 * model.layers.count * 2 * (t - 1) / t * width * ELEMENT * BYTE
    tensor = t * (tensor_bytes / (up if t <= device.node else out)) * unit

    hops = 2 * (p * layout.virtual_stages - 1) if p > 1 else 0
    pipeline = hops * width * ELEMENT * BYTE / out * unit

    context_bytes = 3 * (c - 1) * _attended(model) * BYTE
    context = context_bytes / (up if t * c <= device.node else out) * unit

    return Communication(
        tensor, pipeline, _expert(model, layout, device, passes), context, _data(model, layout, device)
    )


@once_per_model
def _attended(model: ModelConfig) -> int:
    """Bytes of keys and values, or latents, that a token adds to what later ones attend to."""
    return sum(model.mixer(layer).cache(layer.window).per_token for layer in model.plan())


def _expert(model: ModelConfig, layout: LayoutConfig, device: Device, passes: int) -> Quantity:
    """Dispatch and combine of routed tokens: each k D elements, a copy a node where the group spans nodes."""
    router = model.router
    if layout.expert == 1 or not isinstance(router, SigmoidRouter):
        return 0 * SECOND * DEVICE / TOKEN
    copy = passes * 2 * sparse_layers(model) * model.width * ELEMENT * BYTE
    inside = router.top_k * (layout.expert - 1) / layout.expert
    seconds = inside * copy / device.scale_up_bandwidth
    nodes = layout.expert / device.node
    if nodes > 1:
        others = (nodes - 1) * (1 - (1 - 1 / nodes) ** router.top_k)  # distinct other nodes a token visits
        seconds = seconds + others * copy / device.scale_out_bandwidth
    return seconds * DEVICE / TOKEN


def _data(model: ModelConfig, layout: LayoutConfig, device: Device) -> Quantity:
    """Gradients reduced and weights gathered once a step; with sharded weights gathered twice a micro-batch."""
    if layout.data * layout.context == 1:
        return 0 * SECOND * DEVICE / TOKEN
    held = held_parameters(model, layout)
    group = layout.shard or layout.data * layout.context
    inside = group * layout.tensor <= device.node
    bandwidth = device.scale_up_bandwidth if inside else _hierarchical(device)
    tokens = layout.micro_batch * layout.sequence * TOKEN
    per_step = (ELEMENT + GRADIENT) * held.total * BYTE / layout.micro_batches
    per_micro_batch = 2 * ELEMENT * held.total * BYTE if layout.sharding == "weights" else 0 * BYTE
    if layout.sharding == "weights":
        per_step = GRADIENT * held.total * BYTE  # reduced after every micro-batch
    replica = layout.tensor * layout.pipeline * layout.context
    return replica * ((per_step + per_micro_batch) / bandwidth) / tokens * DEVICE


def _hierarchical(device: Device) -> Quantity:
    """Bandwidth of a gather over nodes whose devices each use their own network port: the node's ports together
    bring what every device of the node needs, and the fast link spreads it; bounded by the fast link."""
    ports = device.scale_out_bandwidth * min(device.node, 8)
    return min(ports, device.scale_up_bandwidth)
