"""The plan of one model on one cluster in the fastest layout that fits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from lab.planner.all_in import all_in_time
from lab.planner.config import LayoutConfig
from lab.planner.layouts import candidates
from lab.planner.memory import Memory, memory
from lab.planner.plans import Candidate, Infeasible, Plan, Request, make_plan, title
from lab.planner.quantity import TOKEN
from lab.planner.utilisation import Utilisation, utilisation

MOST_DEVICES = 65_536
"""How many devices are tried for a model that fits on no fewer."""


def plan_for(request: Request, candidate: Candidate) -> Plan:
    """The plan of ``candidate`` in its fastest layout."""
    layout, needed, used = fastest_layout(request, candidate)
    each = all_in_time(used.time * _idle(request, layout))
    return make_plan(request, candidate, layout, needed, used, each)


def fastest_layout(request: Request, candidate: Candidate) -> tuple[LayoutConfig, Memory, Utilisation]:
    """The layout on the cluster that fits and takes least time per token.

    A few devices may stay idle where the others divide better (1,000 are 2^3 x 5^3); their time is counted all the
    same. Raises :class:`Infeasible` where none fits: what is short, and how many devices would do.
    """
    best: tuple[LayoutConfig, Memory, Utilisation] | None = None
    for devices in _counts(request.cluster.devices):
        fitted: set[LayoutConfig] = set()
        for layout in layouts_of(request, candidate, devices):
            if replace(layout, recompute="selective") in fitted:
                continue  # computing more again cannot be faster
            needed = memory(candidate.model, layout)
            if not needed.fits(request.device):
                continue
            fitted.add(layout)
            used = utilisation(candidate.model, layout, request.device)
            if best is None or used.time * _idle(request, layout) < best[2].time * _idle(request, best[0]):
                best = layout, needed, used
    if best is None:
        raise _too_large(request, candidate)
    return best


def _counts(devices: int) -> list[int]:
    """All devices, then fewer: the multiples of powers of two just below."""
    rounded = (devices // multiple * multiple for multiple in (8, 32, 64, 128, 256))
    return sorted({devices, *filter(None, rounded)}, reverse=True)


def _idle(request: Request, layout: LayoutConfig) -> float:
    """Devices that are there over devices that work, a plain ratio."""
    return request.cluster.devices / layout.devices


def layouts_of(request: Request, candidate: Candidate, devices: int) -> Iterator[LayoutConfig]:
    """Layouts whose step holds no more tokens than the request allows."""
    most = int(request.batch / (request.sequence * TOKEN))  # type: ignore[call-overload]
    for layout in candidates(
        candidate.model, devices, request.sequence, request.precision, optimizer=request.optimizer
    ):
        rows = layout.data * layout.micro_batch
        if rows <= most:
            yield replace(layout, global_batch=min(layout.micro_batches, most // rows) * rows)


def _too_large(request: Request, candidate: Candidate) -> Infeasible:
    device, cluster = request.device, request.cluster
    smallest = min(
        (memory(candidate.model, layout) for layout in layouts_of(request, candidate, cluster.devices)),
        key=lambda needed: needed.total,
        default=None,
    )
    if smallest is None:
        fewer = cluster.devices
        while next(layouts_of(request, candidate, fewer), None) is None and fewer > 1:
            fewer //= 2
        return Infeasible(
            f"cluster.devices={cluster.devices:,} cannot share a training of {title(candidate.name)}: a step of at "
            f"most {request.batch} has too few sequences of {request.sequence:,} tokens for them; take {fewer:,} "
            "devices, or a larger batch_tokens.",
            Infeasible.BOUND,
            cluster.devices / fewer,
        )
    enough = cluster.devices
    while enough < MOST_DEVICES:
        enough = 2 ** math.ceil(math.log2(enough + 1))
        if any(memory(candidate.model, one).fits(device) for one in layouts_of(request, candidate, enough)):
            change = f"{enough:,} of them would hold it"
            break
    else:
        change = "no number of them would hold it: take a device with more memory or a smaller model"
    return Infeasible(
        f"cluster.devices={cluster.devices} of {device.name} cannot hold {title(candidate.name)}: memory binds, the "
        f"smallest layout needs {smallest.total} a device, most of it {smallest.largest}, and there are "
        f"{device.memory}; {change}.",
        Infeasible.MEMORY,
        enough / cluster.devices,
    )
