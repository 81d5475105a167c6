"""One plan: a model on a cluster in a layout, its tokens, days and won, and what binds."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from statistics import NormalDist
from typing import Any

from lab.errors import ConfigError
from lab.model.config import ModelConfig
from lab.model.size import Size, size
from lab.planner.config import BudgetConfig, ClusterConfig, LayoutConfig
from lab.planner.energy import energy
from lab.planner.facts import Device, device
from lab.planner.interval import Uncertain, certain
from lab.planner.memory import Memory
from lab.planner.money import money, price
from lab.planner.quantity import DAY, DEVICE, DEVICE_HOUR, TOKEN, Quantity
from lab.planner.scaling import CHINCHILLA_FAMILY, EfficiencyLeverage, LawFamily
from lab.planner.serving import Service, serve
from lab.planner.utilisation import Utilisation
from lab.report.contenders import KNOWN

MOST_TEXT = 20e12 * TOKEN
"""Tokens worth training on: Solar Open saw 19.7 trillion, the most of any contender (arXiv 2601.07022)."""
MOST_BATCH = 67e6 * TOKEN
"""Tokens that a step may hold: those of Kimi K2, the most that was published (arXiv 2507.20534)."""


class Infeasible(ConfigError):
    """A plan that no constraint allows: one sentence with what binds and the nearest change.

    ``miss`` orders refusals by how near they are: first constraints by how many times over a plan asks, then losses by
    the least that can be reached, then memory by the devices that would do.
    """

    BOUND, LOSS, MEMORY = range(3)

    def __init__(self, sentence: str, kind: int, amount: float) -> None:
        super().__init__(sentence)
        self.miss = (kind, amount)


def title(name: str) -> str:
    """A contender's name for readers; any other model's as it is."""
    return KNOWN[name].title if name in KNOWN else name


@dataclass(frozen=True)
class Candidate:
    """A model that may be trained; ``overrides`` compose the same model with :func:`lab.config.compose`."""

    name: str
    model: ModelConfig
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """What is asked: a cluster, a budget, and any of ``tokens``, ``target_loss`` and ``served`` tokens to serve.

    ``served`` tokens are written at ``service``'s context on devices of the cluster's kind, from the same money;
    where the tokens are open, no more than ``text`` are used, and so many that every bound holds with ``chance``. A
    step holds ``batch`` tokens at most, which is what limits how many devices can share a training.
    """

    cluster: ClusterConfig
    budget: BudgetConfig
    sequence: int = 4096
    precision: str = "bf16"
    optimizer: str = "adamw"
    tokens: Quantity | None = None
    target_loss: float | None = None
    served: Quantity | None = None
    text: Quantity = MOST_TEXT
    batch: Quantity = MOST_BATCH
    chance: float = 0.8
    service: Service = field(default_factory=lambda: Service(context=8192))
    law: LawFamily = CHINCHILLA_FAMILY

    @property
    def device(self) -> Device:
        """The cluster's device, with the cluster's own node and network where it states them."""
        cluster, usual = self.cluster, device(self.cluster.device)
        return replace(
            usual,
            node=cluster.devices_per_node or usual.node,
            scale_out=cluster.scale_out_gb_per_second or usual.scale_out,
        )


@dataclass(frozen=True)
class Plan:
    """A plan and its consequences; every figure that is not counted is a range with named contributors.

    ``binds`` is the constraint that ends the training; ``chance`` is the probability that the tokens are reached
    within every constraint. ``limits`` holds the device-time each constraint allows.
    """

    candidate: Candidate
    layout: LayoutConfig
    memory: Memory
    utilisation: Utilisation
    size: Size
    tokens: Quantity
    device_time: Uncertain
    days: Uncertain
    cost: Uncertain
    energy: Uncertain
    serving_cost: Uncertain | None
    loss: Uncertain
    limits: dict[str, Uncertain]
    binds: str
    chance: float

    @property
    def flops(self) -> Quantity:
        """Model FLOPs of the whole training."""
        return self.utilisation.model_flops * self.tokens

    @property
    def feasible(self) -> bool:
        """Whether the central estimate stays within every constraint."""
        return all(self.device_time.central <= limit.central * (1 + 1e-9) for limit in self.limits.values())


UNBOUND = "nothing"


def dense_equivalent(record: Size) -> Uncertain:
    """Parameters of the dense model of equal loss, multi-token blocks left out."""
    block = record.parts["multi_token"]
    return EfficiencyLeverage().dense_equivalent(
        record.parameters_active - block, record.parameters_total - block
    )


def limits(request: Request, each: Uncertain, serving: Uncertain | None = None) -> dict[str, Uncertain]:
    """Device-time that each constraint allows: calendar, money left after serving, device-hours, text there is.

    ``each`` is the device-time of a token. Text binds only where the tokens were not asked for themselves.
    """
    budget, found = request.budget, {}
    if budget.deadline_days is not None:
        found["calendar"] = certain(request.cluster.devices * DEVICE * budget.deadline_days * DAY)
    if (sum_ := money(budget)) is not None:
        left = sum_ - serving.central if serving else sum_
        if left.value <= 0:
            assert serving is not None
            over = float(serving.central / sum_)
            raise Infeasible(
                f"{sum_} do not even pay for serving, which costs {serving.central}: money binds, {over:.2g} times "
                f"over; give more, or serve {request.served / over} at most.",  # type: ignore[operator]
                Infeasible.BOUND,
                over,
            )
        found["money"] = certain(left) / price(request.cluster.device, budget)
    if budget.device_hours is not None:
        found["device-hours"] = certain(budget.device_hours * DEVICE_HOUR)
    if request.target_loss is not None or (found and request.tokens is None):
        found["text"] = each * request.text
    return found


def make_plan(
    request: Request, candidate: Candidate, layout: LayoutConfig, needed: Memory, used: Utilisation,
    time_per_token: Uncertain,
) -> Plan:  # fmt: skip
    """The plan of ``candidate`` in ``layout``, on as many tokens as are asked for, or as the constraints allow.

    ``time_per_token`` is all-in device-time per token. Raises :class:`Infeasible` where a wanted loss is beyond the
    model whatever the tokens, or the tokens are fewer than those of one step, and :class:`ConfigError` where neither
    tokens nor a constraint are given.
    """
    record = size(candidate.model, request.sequence)
    rent = price(request.cluster.device, request.budget)
    serving = _serving_cost(request, candidate, rent)
    allowed = limits(request, time_per_token, serving)
    tokens = _tokens(request, candidate, record, allowed, time_per_token)
    if tokens < layout.tokens_per_step * TOKEN:
        raise _less_than_a_step(request, candidate, layout, tokens)
    device_time = time_per_token * tokens
    binds, chance = _binding(allowed, device_time, request.chance)
    return Plan(
        candidate=candidate,
        layout=layout,
        memory=needed,
        utilisation=used,
        size=record,
        tokens=tokens,
        device_time=device_time,
        days=device_time / (request.cluster.devices * DEVICE),
        cost=device_time * rent,
        energy=energy_of(device_time, request),
        serving_cost=serving,
        loss=request.law.loss(dense_equivalent(record), certain(tokens)),
        limits=allowed,
        binds=binds,
        chance=chance,
    )


def energy_of(device_time: Uncertain, request: Request) -> Uncertain:
    """Joules of a training, its device-time's spreads and those of the power drawn together."""
    drawn = energy(device_time.central, request.device, request.cluster)
    return drawn * Uncertain(1.0, device_time.spreads)


def _serving_cost(request: Request, candidate: Candidate, rent: Uncertain) -> Uncertain | None:
    if request.served is None:
        return None
    replica = serve(candidate.model, request.device, request.service)
    if replica is None:
        raise Infeasible(
            f"tokens_per_second={request.service.tokens_per_second:g} is out of reach for {title(candidate.name)} "
            f"on {request.device.name} at a context of {request.service.context:,} tokens: memory or bandwidth binds; "
            "ask for a slower stream or a shorter context.",
            Infeasible.MEMORY,
            math.inf,
        )
    return replica.decode * rent * request.served


def _tokens(
    request: Request, candidate: Candidate, record: Size, allowed: dict[str, Uncertain], each: Uncertain
) -> Quantity:
    if request.tokens is not None:
        return request.tokens
    if request.target_loss is not None:
        equivalent = dense_equivalent(record).central
        tokens = request.law.central.tokens_for(request.target_loss, equivalent)
        if tokens is None:
            least = request.law.central.loss(equivalent, 1e30 * TOKEN)
            raise Infeasible(
                f"target_loss={request.target_loss} is out of reach for {title(candidate.name)}: however many tokens "
                f"it sees, the law leaves it above {least:.4g}; ask for more than that.",
                Infeasible.LOSS,
                least,
            )
        return tokens
    if not allowed:
        raise ConfigError(
            "The plan has no end: give tokens, target_loss, deadline_days, budget_krw, budget_usd or "
            "budget.device_hours."
        )
    return min(_surely(limit / each, request.chance) for limit in allowed.values())


def _less_than_a_step(
    request: Request, candidate: Candidate, layout: LayoutConfig, tokens: Quantity
) -> Infeasible:
    step = layout.tokens_per_step * TOKEN
    return Infeasible(
        f"{title(candidate.name)} on {tokens} is out of reach: one step on {request.cluster.devices:,} devices holds "
        f"{step}; give more tokens, days or money, or fewer devices.",
        Infeasible.BOUND,
        step.to(TOKEN) / tokens.to(TOKEN) if tokens.value > 0 else math.inf,
    )


def _surely(value: Uncertain, chance: float) -> Any:
    """What ``value`` exceeds with probability ``chance``, a quantity or a plain ratio as it is itself."""
    return value.central * math.exp(-NormalDist().inv_cdf(chance) * value.spread)


def _binding(allowed: dict[str, Uncertain], needed: Uncertain, chance: float) -> tuple[str, float]:
    """The tightest constraint if it is met to the full, and the chance that it holds."""
    if not allowed:
        return UNBOUND, 1.0
    slacks = {name: limit / needed for name, limit in allowed.items()}
    name = min(slacks, key=lambda name: float(_surely(slacks[name], chance)))
    slack = slacks[name]
    held = NormalDist().cdf(math.log(float(slack.central)) / slack.spread) if slack.spread > 1e-9 else 1.0
    return (name if float(_surely(slack, chance)) < 1.02 else UNBOUND), held
