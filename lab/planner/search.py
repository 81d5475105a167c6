"""From constraints to a plan: layouts and sizes are searched, and the best of what is feasible is recommended."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lab.errors import ConfigError
from lab.planner.calibration import all_in_time
from lab.planner.config import LayoutConfig
from lab.planner.export import free_overrides
from lab.planner.facts import device as find_device
from lab.planner.layouts import candidates
from lab.planner.memory import Memory, memory
from lab.planner.plans import Candidate, Plan, Request, make_plan, nearest_change
from lab.planner.training import sketch
from lab.planner.utilisation import Utilisation, utilisation

MOST_DEVICES = 65_536
FREE_ACTIVATION = 1 / 16
"""Active over total parameters of the mixtures that a free size is tried with; the contenders have 1/24 to 1/8."""


@dataclass(frozen=True)
class Found:
    """``plans`` that are feasible, best first, ``reasons`` for the first, and ``refused``: name and sentence."""

    plans: tuple[Plan, ...]
    reasons: tuple[str, ...]
    refused: dict[str, str]

    @property
    def recommended(self) -> Plan:
        return self.plans[0]


def search(request: Request, models: Sequence[Candidate]) -> Found:
    """Plans for every candidate that the constraints allow, best first.

    With a wanted loss the cheapest is best, otherwise the one of least predicted loss. Raises
    :class:`ConfigError`, one sentence, where nothing is feasible: that of the candidate that misses by least.
    """
    find_device(request.cluster.device)  # an unknown one is no question of what is feasible
    plans, refused = [], {}
    for candidate in models:
        try:
            plan = plan_for(request, candidate)
        except ConfigError as error:
            refused[candidate.name] = str(error)
            continue
        if plan.feasible:
            plans.append(plan)
        else:
            refused[candidate.name] = nearest_change(plan, request)
    if not plans:
        raise ConfigError(next(iter(refused.values())) if len(refused) == 1 else _nothing(refused))
    if request.target_loss is None:
        plans.sort(key=lambda plan: plan.loss.central)
    else:
        plans.sort(key=lambda plan: plan.cost.central)
    return Found(tuple(plans), tuple(_reasons(request, plans)), refused)


def plan_for(request: Request, candidate: Candidate) -> Plan:
    """The plan of ``candidate`` in its fastest layout."""
    layout, needed, used = fastest_layout(request, candidate)
    each = all_in_time(used.time * _idle(request, layout))
    return make_plan(request, candidate, layout, needed, used, each)


def fastest_layout(request: Request, candidate: Candidate) -> tuple[LayoutConfig, Memory, Utilisation]:
    """The layout on the cluster that fits and takes least time per token.

    A few devices may stay idle where the others divide better (1,000 are 2^3 x 5^3); their time is counted all the
    same. Raises :class:`ConfigError` where none fits: what is short, and how many devices would do.
    """
    best: tuple[LayoutConfig, Memory, Utilisation] | None = None
    for devices in _counts(request.cluster.devices):
        fitted_without_recomputation: set[tuple[int, int]] = set()
        for layout in _layouts(request, candidate, devices):
            split = (layout.tensor, layout.pipeline)
            if split in fitted_without_recomputation:
                continue  # computing more again cannot be faster
            needed = memory(candidate.model, layout)
            if not needed.fits(request.device):
                continue
            if layout.recompute != "full":
                fitted_without_recomputation.add(split)
            used = utilisation(candidate.model, layout, request.device)
            if best is None or used.time * _idle(request, layout) < best[2].time * _idle(request, best[0]):
                best = layout, needed, used
    if best is None:
        raise ConfigError(_too_large(request, candidate))
    return best


def _counts(devices: int) -> list[int]:
    """All devices, then fewer: the multiples of powers of two just below."""
    rounded = (devices // multiple * multiple for multiple in (8, 32, 64, 128, 256))
    return sorted({devices, *filter(None, rounded)}, reverse=True)


def _idle(request: Request, layout: LayoutConfig) -> float:
    """Devices that are there over devices that work, a plain ratio."""
    return request.cluster.devices / layout.devices


def free_sizes() -> list[Candidate]:
    """Plain dense models and mixtures of a ladder of sizes, for when no house's design is wanted."""
    sizes = []
    for active in (3e9, 10e9, 30e9, 100e9):
        total = active / FREE_ACTIVATION
        for name, model in (
            (f"dense {active / 1e9:g}B", sketch(active, active, name="dense")),
            (f"mixture {total / 1e9:g}B-A{active / 1e9:g}B", sketch(total, active, name="mixture")),
        ):
            sizes.append(Candidate(name, model, free_overrides(model)))
    return sizes


def _layouts(request: Request, candidate: Candidate, devices: int) -> Iterator[LayoutConfig]:
    return candidates(
        candidate.model,
        request.device,
        devices,
        request.sequence,
        request.precision,
        optimizer=request.optimizer,
    )


def _too_large(request: Request, candidate: Candidate) -> str:
    device, cluster = request.device, request.cluster
    smallest = min(
        (memory(candidate.model, layout) for layout in _layouts(request, candidate, cluster.devices)),
        key=lambda needed: needed.total,
        default=None,
    )
    if smallest is None:
        return f"cluster.devices={cluster.devices} cannot be laid out for {candidate.name}: no sizes divide them."
    enough = cluster.devices
    while enough < MOST_DEVICES:
        enough = 2 ** math.ceil(math.log2(enough + 1))
        if any(memory(candidate.model, one).fits(device) for one in _layouts(request, candidate, enough)):
            change = f"{enough:,} of them would hold it"
            break
    else:
        change = "no number of them would hold it: take a device with more memory or a smaller model"
    return (
        f"cluster.devices={cluster.devices} of {device.name} cannot hold {candidate.name}: memory binds, the "
        f"smallest layout needs {smallest.total} a device, most of it {smallest.largest}, and there are "
        f"{device.memory}; {change}."
    )


def _nothing(refused: dict[str, str]) -> str:
    return f"Nothing is feasible; nearest: {min(refused.values(), key=_distance)}"


def _distance(sentence: str) -> float:
    """How many times over a refusal asks, as :func:`lab.planner.plans.nearest_change` says it."""
    before, found, _ = sentence.partition(" times over")
    return float(before.rsplit(" ", 1)[-1]) if found else math.inf


def _reasons(request: Request, plans: Sequence[Plan]) -> list[str]:
    best = plans[0]
    goal = "costs least" if request.target_loss is not None else "has the least predicted loss"
    reasons = [f"{best.candidate.name} {goal} of {len(plans)} feasible plans."] if len(plans) > 1 else []
    alike = [plan for plan in plans[1:] if plan.loss.central / best.loss.central - 1 < best.loss.spread]
    if request.target_loss is None and alike:
        reasons.append(
            f"The law cannot tell {len(alike)} of the others from it: they lie within its own spread."
        )
    if best.binds in best.limits:
        others = [name for name in best.limits if name != best.binds]
        left = "; ".join(
            f"{name} would allow {float(best.limits[name].central / best.device_time.central):.2g} times as much"
            for name in others
        )
        reasons.append(f"{best.binds} binds" + (f"; {left}." if left else "."))
    elif best.limits:
        name, limit = min(best.limits.items(), key=lambda item: item[1].central)
        used = float(best.device_time.central / limit.central)
        reasons.append(f"Nothing binds: {name} is the tightest, and {used:.0%} of it is used.")
    if best.layout.devices < request.cluster.devices:
        reasons.append(
            f"{best.layout.devices:,} of {request.cluster.devices:,} devices work: that many divide better."
        )
    shares = best.utilisation.shares()
    slowest = max(shares, key=lambda name: shares[name])
    reasons.append(
        f"Its layout is the fastest of those that fit; {slowest} takes {shares[slowest]:.0%} of a step, and the "
        f"fullest device holds {best.memory.total} of {request.device.memory}, most of it {best.memory.largest}."
    )
    return reasons
