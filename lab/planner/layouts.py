"""The layout a careful engineer would start from where none is published: the fastest that fits."""

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import product as product_of
from typing import Any

from lab.errors import ConfigError
from lab.model.config import ModelConfig
from lab.model.leaves.router import SigmoidRouter
from lab.planner.config import LayoutConfig
from lab.planner.facts import Device
from lab.planner.memory import memory
from lab.planner.utilisation import PRIOR, utilisation

UNCUT = 32768
"""Tokens of a sequence that one device takes before context parallelism is tried (an assumption)."""


def default_layout(
    model: ModelConfig, device: Device, devices: int, sequence: int, precision: str, **given: Any
) -> LayoutConfig:
    """The fastest of :func:`candidates` that fits in memory, by rooflines and prior slowdowns.

    ``given`` entries are kept as they are. Raises :class:`ConfigError` where nothing fits: one sentence with the
    smallest memory found.
    """
    smallest, fastest, least = None, None, math.inf
    for layout in candidates(model, devices, sequence, precision, **given):
        needed = memory(model, layout)
        if smallest is None or needed.total < smallest.total:
            smallest = needed
        if needed.fits(device):
            time = utilisation(model, layout, device, PRIOR).time.value
            if time < least:
                fastest, least = layout, time
    if fastest:
        return fastest
    if smallest is None:
        raise ConfigError(
            f"cluster.devices={devices} cannot be laid out with {given or 'any layout'}: the product of its "
            "parallel sizes must divide the devices."
        )
    raise ConfigError(
        f"cluster.devices={devices} of {device.name} cannot hold {model.name}: its smallest layout needs "
        f"{smallest.total} a device, most of it {smallest.largest}, and there are {device.memory}."
    )


def candidates(
    model: ModelConfig, devices: int, sequence: int, precision: str, **given: Any
) -> Iterator[LayoutConfig]:
    """Layouts over all ``devices``; ``given`` entries fixed.

    Optimizer state is sharded, weights too without pipeline; experts spread over at most 64 devices; a sequence is cut
    over devices where it is long (:data:`UNCUT`).
    """
    for (tensor, pipeline), context in product_of(_splits(model, devices, given), _contexts(sequence, given)):
        product = tensor * pipeline * context
        if devices % product:
            continue
        experts = _experts(model, devices // pipeline, given)
        shardings = ("optimizer",) if pipeline > 1 else ("optimizer", "weights")
        for expert, recompute, sharding in product_of(experts, ("selective", "full"), shardings):
            yield replace(
                LayoutConfig(sequence=sequence, precision=precision),
                **{
                    "data": devices // product,
                    "tensor": tensor,
                    "pipeline": pipeline,
                    "context": context,
                    "virtual_stages": 2 if 1 < pipeline <= model.layers.count // 2 else 1,
                    "expert": expert,
                    "sharding": sharding,
                    "recompute": recompute,
                    **given,
                },
            )


def _contexts(sequence: int, given: dict[str, Any]) -> list[int]:
    """Powers of two that leave every device a piece of ``UNCUT`` tokens or somewhat less, or the one given."""
    if "context" in given:
        return [int(given["context"])]
    if sequence <= UNCUT:
        return [1]
    return [2**power for power in range(math.ceil(math.log2(sequence / UNCUT)) + 2)]


def _splits(model: ModelConfig, devices: int, given: dict[str, Any]) -> list[tuple[int, int]]:
    tensors = [int(given["tensor"])] if "tensor" in given else [1, 2, 4, 8]
    pipelines = [int(given["pipeline"])] if "pipeline" in given else [1, 2, 4, 8, 16]
    pairs = [(t, p) for t in tensors for p in pipelines if p <= model.layers.count]
    return sorted((pair for pair in pairs if pair[0] * pair[1] <= devices), key=lambda x: (x[0] * x[1], x[0]))


def _experts(model: ModelConfig, pool: int, given: dict[str, Any]) -> list[int]:
    """Powers of two from 8 to 64 that divide experts and devices, or the one given."""
    if "expert" in given:
        return [int(given["expert"])]
    if not isinstance(model.router, SigmoidRouter):
        return [1]
    number = model.router.num_experts
    sizes = [size for size in (8, 16, 32, 64) if number % size == 0 and pool % size == 0]
    return sizes or [math.gcd(number, pool)]
