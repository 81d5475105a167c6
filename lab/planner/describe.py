"""Plans and services for readers: tables of ranges, and plain data for JSON. Units stand in titles and keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lab.planner.facts import failure_rate
from lab.planner.interval import Range, Uncertain
from lab.planner.memory import bytes_per_parameter
from lab.planner.money import in_dollars
from lab.planner.plans import Plan, Request, title
from lab.planner.quantity import (
    BYTE,
    DAY,
    DEVICE_HOUR,
    DOLLAR,
    FLOP,
    GB,
    GIB,
    MINUTE,
    MWH,
    SECOND,
    TOKEN,
    WON,
    Quantity,
)
from lab.planner.reliability import RATE_RANGE, Reliability, reliability
from lab.planner.search import Found
from lab.planner.serving import MOST_DEVICES, ServingCost
from lab.report.formats import count, percent, size_in_bytes
from lab.report.tables import Cell, Column, Row, Table

INTERVAL = "Brackets and dashes are 80% intervals."


def plan_table(found: Found) -> Table:
    """One row a feasible plan, best first."""
    columns = (
        Column("name", "Model"),
        Column("parameters", "Parameters", rank=5),
        Column("tokens", "Tokens"),
        Column("days", "Days"),
        Column("cost", "Cost, billion won"),
        Column("loss", "Predicted loss", rank=2),
        Column("layout", "Layout", rank=4),
        Column("memory", "Memory a device", rank=3),
        Column("binds", "Binds"),
        Column("chance", "Chance", rank=6),
    )
    rows = [
        Row(
            plan.candidate.name,
            {
                "name": Cell(title(plan.candidate.name), plan.candidate.name),
                "parameters": Cell(
                    count(plan.size.parameters_total), plan.size.parameters_total,
                    note=f"{count(plan.size.parameters_active)} active",
                ),
                "tokens": Cell(count(plan.tokens.to(TOKEN)), plan.tokens.to(TOKEN)),
                "days": ranged(plan.days, DAY),
                "cost": ranged(plan.cost, 1e9 * WON),
                "loss": ranged(plan.loss, None, 2),
                "layout": Cell(layout_words(plan)),
                "memory": Cell(size_in_bytes(plan.memory.total.to(BYTE)), plan.memory.total.to(BYTE)),
                "binds": Cell(plan.binds),
                "chance": Cell(percent(plan.chance, 0), plan.chance),
            },
        )
        for plan in found.plans
    ]  # fmt: skip
    notes = (
        INTERVAL,
        "Loss in nats per token of the law's own corpus: it ranks plans, it predicts no benchmark.",
        "Chance: that tokens, days and money all hold.",
    )
    return Table(columns, rows, notes=notes)


def serving_table(costs: Mapping[str, Mapping[int, ServingCost | None]], price: Uncertain) -> Table:
    """One row a model, a group of columns a context: devices, sequences at once, won per million tokens written."""
    contexts = list(next(iter(costs.values())))
    columns = [Column("name", "Model"), Column("weights", "Weights", rank=1)]
    for context in contexts:
        group = _length(context)
        columns += [
            Column(f"cache_{context}", "Cache", group, best="lower"),
            Column(f"devices_{context}", "Devices", group, rank=3),
            Column(f"batch_{context}", "At once", group, rank=4),
            Column(f"read_{context}", "₩/M read", group, rank=2),
            Column(f"written_{context}", "₩/M written", group, best="lower"),
        ]
    rows = []
    for name, by_context in costs.items():
        cells = {"name": Cell(title(name), name)}
        for context, cost in by_context.items():
            if cost is None:
                continue
            reading, writing = cost.per_million(price)
            cells["weights"] = Cell(size_in_bytes(cost.weights.to(BYTE)), cost.weights.to(BYTE))
            cached = cost.cache_per_sequence.to(BYTE)
            cells[f"cache_{context}"] = Cell(size_in_bytes(cached), cached)
            cells[f"devices_{context}"] = Cell(str(cost.devices), cost.devices)
            cells[f"batch_{context}"] = Cell(f"{cost.batch:,}", cost.batch)
            cells[f"read_{context}"] = ranged(reading, WON)
            cells[f"written_{context}"] = ranged(writing, WON)
        rows.append(Row(name, cells))
    notes = [
        "Weights and caches divided evenly over a replica's devices: a lower bound of what a real layout needs."
    ]
    if largest := _contributors(costs, price):
        notes.insert(0, f"{INTERVAL} Largest contributors: {', '.join(largest)}.")
    if any(cost is None for by_context in costs.values() for cost in by_context.values()):
        notes.append(
            f"–: no replica of up to {MOST_DEVICES} devices holds weights and a cache and writes as fast as asked."
        )
    return Table(columns, rows, notes=notes)


def _length(context: int) -> str:
    """``8k``, ``1M``, or the plain number where it is no multiple of these."""
    for unit, letter in ((2**20, "M"), (2**10, "k")):
        if context % unit == 0:
            return f"{context // unit}{letter}"
    return f"{context:,}"


def plan_lines(found: Found, request: Request) -> list[str]:
    """The recommended plan in sentences and figures, one line each."""
    plan = found.recommended
    kept = goodput(plan, request)
    seldom, often = (goodput(plan, request, rate) for rate in RATE_RANGE)
    dollars = in_dollars(plan.cost, request.budget)
    lines = [
        f"Recommended: {title(plan.candidate.name)} on {plan.tokens}.",
        *found.reasons,
        f"Layout: {layout_words(plan)}.",
        f"Speed: {plan.utilisation.tokens_per_second.value:,.0f} tokens a second and device in a step, "
        f"{percent(plan.utilisation.mfu)} of the peak, {percent(plan.utilisation.mfu_bf16)} of that of bf16.",
        f"Compute: {plan.flops.to(FLOP):.3g} FLOPs, {plan.utilisation.model_flops.value:.3g} a token.",
        f"Days: {words(plan.days, DAY)}; device-hours: {words(plan.device_time, DEVICE_HOUR)}.",
        f"Cost: {words(plan.cost, 1e9 * WON)} billion won, {words(dollars, 1e6 * DOLLAR)} million dollars.",
        f"Energy: {words(plan.energy, MWH)} MWh.",
        f"Failures: one in {kept.mean_time_between_failures}; a checkpoint of {kept.checkpoint} every {kept.interval} "
        f"keeps {percent(kept.goodput)} of the time, {percent(often.goodput)} to {percent(seldom.goodput)} if devices "
        f"fail {RATE_RANGE[1]:g} to {RATE_RANGE[0]:g} times as often (part of the all-in efficiency).",
        f"Unsure mostly because of: {', '.join(plan.cost.largest())}.",
    ]
    if plan.serving_cost is not None:
        lines.append(f"Serving: {words(plan.serving_cost, 1e9 * WON)} billion won, paid from the same money.")
    return lines


def as_data(found: Found, request: Request) -> dict[str, Any]:
    """Everything the tables show, as plain data: base units in the keys, ranges as low, central, high."""
    return {
        "recommended": found.recommended.candidate.name,
        "reasons": list(found.reasons),
        "plans": [_plan_data(plan, request) for plan in found.plans],
        "refused": found.refused,
    }


def serving_data(
    costs: Mapping[str, Mapping[int, ServingCost | None]], price: Uncertain
) -> dict[str, dict[int, dict[str, Any] | None]]:
    """The serving table as plain data."""
    return {
        name: {
            context: None
            if cost is None
            else {
                "weights_bytes": cost.weights.to(BYTE),
                "cache_bytes_per_sequence": cost.cache_per_sequence.to(BYTE),
                "devices": cost.devices,
                "batch": cost.batch,
                "binds": cost.binds,
                "step_seconds": _range(cost.step, SECOND),
                "won_per_million_read": _range(cost.per_million(price)[0], WON),
                "won_per_million_written": _range(cost.per_million(price)[1], WON),
            }
            for context, cost in by_context.items()
        }
        for name, by_context in costs.items()
    }


def goodput(plan: Plan, request: Request, rate: float = 1.0) -> Reliability:
    """Failures and checkpoints of a plan, at ``rate`` times the failure rate that Llama 3's report gives.

    A checkpoint holds weights and the optimizer's state, and training waits until it is written.
    """
    weight, _, state = bytes_per_parameter(request.precision, request.optimizer)
    held = plan.size.parameters_total * (weight + state) * BYTE
    written = held / (request.cluster.storage_gb_per_second * GB / SECOND)
    return reliability(request.cluster.devices, rate * failure_rate(), written)


def layout_words(plan: Plan) -> str:
    """``data 192, pipeline 4 x 2, experts over 8, optimizer sharded``."""
    layout = plan.layout
    parts = [f"data {layout.data}"]
    parts += [f"tensor {layout.tensor}"] if layout.tensor > 1 else []
    parts += [f"pipeline {layout.pipeline}x{layout.virtual_stages}"] if layout.pipeline > 1 else []
    parts += [f"context {layout.context}"] if layout.context > 1 else []
    parts += [f"expert {layout.expert}"] if layout.expert > 1 else []
    parts += [f"{layout.sharding} sharded"] if layout.sharding != "none" else []
    return ", ".join(parts) + (", full recomputation" if layout.recompute == "full" else "")


def ranged(value: Uncertain, unit: Quantity | None, places: int | None = None) -> Cell:
    """A cell with the central figure, its interval beside it, and both ends for the CSV."""
    ends = _range(value, unit)
    note = f"{_short(ends['low'], places)}–{_short(ends['high'], places)}"
    more = {"low": ends["low"], "high": ends["high"]}
    return Cell(_short(ends["central"], places), ends["central"], note=note, more=more)


def words(value: Uncertain, unit: Quantity) -> str:
    """``150 [102 to 220]`` in ``unit``."""
    ends = _range(value, unit)
    return f"{_short(ends['central'])} [{_short(ends['low'])} to {_short(ends['high'])}]"


def _plan_data(plan: Plan, request: Request) -> dict[str, Any]:
    kept = goodput(plan, request)
    return {
        "model": plan.candidate.name,
        "parameters_total": plan.size.parameters_total,
        "parameters_active": plan.size.parameters_active,
        "tokens": plan.tokens.to(TOKEN),
        "flops": plan.flops.to(FLOP),
        "days": _range(plan.days, DAY),
        "device_hours": _range(plan.device_time, DEVICE_HOUR),
        "cost_won": _range(plan.cost, WON),
        "cost_dollars": _range(in_dollars(plan.cost, request.budget), DOLLAR),
        "energy_mwh": _range(plan.energy, MWH),
        "serving_won": None if plan.serving_cost is None else _range(plan.serving_cost, WON),
        "loss": _range(plan.loss, None),
        "layout": vars(plan.layout),
        "memory_gib": {part: held.to(GIB) for part, held in plan.memory.parts().items()},
        "step_shares": plan.utilisation.shares(),
        "mfu": plan.utilisation.mfu,
        "mfu_bf16": plan.utilisation.mfu_bf16,
        "goodput": kept.goodput,
        "checkpoint_minutes": kept.interval.to(MINUTE),
        "contributors": plan.cost.largest(),
        "binds": plan.binds,
        "chance": plan.chance,
    }


def _range(value: Uncertain, unit: Quantity | None) -> dict[str, float]:
    span: Range = value.range
    ends = {"low": span.low, "central": span.central, "high": span.high}
    return {name: float(end) if unit is None else end.to(unit) for name, end in ends.items()}


def _short(value: float, places: int | None = None) -> str:
    if places is not None:
        return f"{value:.{places}f}"
    if value >= 100:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.3g}"


def _contributors(costs: Mapping[str, Mapping[int, ServingCost | None]], price: Uncertain) -> Sequence[str]:
    for by_context in costs.values():
        for cost in by_context.values():
            if cost is not None:
                return cost.per_million(price)[1].largest()
    return ()
