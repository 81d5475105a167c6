"""From constraints to a plan: layouts and sizes are searched, and the best of what is feasible is recommended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lab.planner.export import free_overrides
from lab.planner.fastest import plan_for
from lab.planner.plans import Candidate, Infeasible, Plan, Request, title
from lab.planner.refusal import nearest_change, nothing_feasible
from lab.planner.training import sketch

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

    With a wanted loss the cheapest is best, otherwise the one of least predicted loss. Raises :class:`Infeasible`, one
    sentence, where nothing is feasible: that of the candidate that misses by least; and :class:`ConfigError` for what
    is wrong with every candidate.
    """
    plans: list[Plan] = []
    refused: dict[str, Infeasible] = {}
    for candidate in models:
        try:
            plan = plan_for(request, candidate)
        except Infeasible as error:
            refused[candidate.name] = error
            continue
        if plan.feasible:
            plans.append(plan)
        else:
            refused[candidate.name] = nearest_change(plan, request)
    if not plans:
        raise nothing_feasible(refused)
    if request.target_loss is None:
        plans.sort(key=lambda plan: plan.loss.central)
    else:
        plans.sort(key=lambda plan: plan.cost.central)
    sentences = {name: str(error) for name, error in refused.items()}
    return Found(tuple(plans), tuple(_reasons(request, plans)), sentences)


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


def _reasons(request: Request, plans: Sequence[Plan]) -> list[str]:
    best = plans[0]
    named = title(best.candidate.name)
    goal = "costs least" if request.target_loss is not None else "has the least predicted loss"
    reasons = [f"{named} {goal} of {len(plans)} feasible plans."] if len(plans) > 1 else []
    alike = [plan for plan in plans[1:] if plan.loss.central / best.loss.central - 1 < best.loss.spread]
    if request.target_loss is None and alike:
        cheapest = min([best, *alike], key=lambda plan: plan.cost.central)
        reasons.append(
            f"The law cannot tell {len(alike)} of the others from it, which lie within its own spread; the cheapest of "
            f"them is {title(cheapest.candidate.name)} on {cheapest.tokens}, for "
            f"{float(cheapest.cost.central / best.cost.central):.0%} of the cost."
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
