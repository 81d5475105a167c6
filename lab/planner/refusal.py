"""What cannot be, in one sentence: what binds, and the nearest change that would do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from lab.planner.fastest import MOST_DEVICES, plan_for
from lab.planner.plans import Infeasible, Plan, Request, title
from lab.planner.quantity import DAY, DEVICE_HOUR, WON


def nearest_change(plan: Plan, request: Request) -> Infeasible:
    """For a plan that asks too much: what binds, and the smallest change of each kind that would do."""
    name, limit = min(plan.limits.items(), key=lambda item: item[1].central)
    over = float(plan.device_time.central / limit.central)
    exceeded = [limit for limit, allowed in plan.limits.items() if plan.device_time.central > allowed.central]
    changes = ["give " + " and ".join(_needed(plan, limit) for limit in exceeded)]
    if exceeded == ["calendar"] and (devices := _enough_devices(plan, request, over)) is not None:
        changes.append(f"take {devices:,} devices")
    changes.append(f"train on {plan.tokens / over} at most")
    return Infeasible(
        f"{title(plan.candidate.name)} on {plan.tokens} is out of reach: {name} binds, {over:.2g} times over; "
        f"{', or '.join(changes)}.",
        Infeasible.BOUND,
        over,
    )


def _needed(plan: Plan, limit: str) -> str:
    """How much of what ``limit`` bounds the plan takes, rounded up."""
    if limit == "calendar":
        return f"{math.ceil(plan.days.central.to(DAY)):,} days"
    if limit == "money":
        paid = plan.cost + plan.serving_cost if plan.serving_cost else plan.cost
        return f"₩{math.ceil(paid.central.to(WON)):,}"
    if limit == "text":
        return f"{plan.tokens} of text"
    return f"{math.ceil(plan.device_time.central.to(DEVICE_HOUR)):,} device-hours"


def _enough_devices(plan: Plan, request: Request, over: float) -> int | None:
    """Devices, a multiple of a node's, with which the calendar does hold; None where no number is found."""
    node = request.device.node
    wanted = request.cluster.devices * over
    while wanted <= MOST_DEVICES:
        devices = math.ceil(wanted / node) * node
        try:
            larger = plan_for(
                replace(request, cluster=replace(request.cluster, devices=devices)), plan.candidate
            )
        except Infeasible:
            return None
        limit = larger.limits["calendar"].central
        if larger.device_time.central <= limit:
            return devices
        wanted = devices * max(1.1, float(larger.device_time.central / limit))
    return None


def nothing_feasible(refused: Mapping[str, Infeasible]) -> Infeasible:
    """The refusal of the candidate that misses by least."""
    nearest = min(refused.values(), key=lambda error: error.miss)
    if len(refused) == 1:
        return nearest
    return Infeasible(f"Nothing is feasible; nearest: {nearest}", *nearest.miss)
