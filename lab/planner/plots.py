"""Figures of a plan: what money and days buy, where memory goes, what more devices or days would change, and doubt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lab.planner.fastest import plan_for
from lab.planner.interval import certain
from lab.planner.money import money, price
from lab.planner.plans import Plan, Request, dense_equivalent, title
from lab.planner.quantity import DAY, DEVICE, GIB, TOKEN, WON, Quantity
from lab.planner.search import Found
from lab.report.contenders import KNOWN
from lab.report.sheet import spread_apart

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axes._base import _AxesBase
    from matplotlib.figure import Figure

INK, MUTED, RULE, QUIET = "#23201d", "#6b6660", "#d9d5d0", "#b4aea7"
BINDS = "#b3261e"
PARTS = {
    "weights": "#1f4e79",
    "gradients": "#3b7dbd",
    "optimizer": "#8db9e0",
    "activations": "#a8620a",
    "head": "#dba34a",
    "communication": "#00795a",
    "fragmentation": "#7cc4a8",
    "reserved": "#b4aea7",
}
MOST_BARS = 12


def write_figures(found: Found, request: Request, folder: Path) -> list[Path]:
    """Every figure as PNG in ``folder``, which is made; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = {
        "frontier": frontier_figure(found, request),
        "memory": memory_figure(found.plans, request),
        "what_if": what_if_figure(found.recommended, request),
        "tornado": tornado_figure(found.recommended),
    }
    paths = []
    for name, figure in figures.items():
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], dpi=150)
    return paths


def frontier_figure(found: Found, request: Request) -> Figure:
    """Predicted loss against won (below) and days (above) as each model's tokens grow; the pale band is the frontier.

    On one cluster days are proportional to won, so one line tells both. Dots are the plans, whiskers the 80 % interval
    of their cost; the constraints are vertical lines.
    """
    import numpy as np

    figure, axis = _figure(9.5, 5.2)
    rent = price(request.cluster.device, request.budget)
    per_day = (request.cluster.devices * DEVICE * DAY * rent.central).to(1e9 * WON)
    tokens = np.geomspace(0.1e12, 20e12, 60)
    shown = found.plans[:MOST_BARS]
    lines: list[tuple[list[float], list[float]]] = []
    for plan in shown:
        each = plan.device_time.central / plan.tokens
        cost = [(each * (one * TOKEN) * rent.central).to(1e9 * WON) for one in tokens]
        size_ = dense_equivalent(plan.size)
        loss = [request.law.loss(size_, certain(one * TOKEN)).central for one in tokens]
        lines.append((cost, loss))
        colour = _colour(plan)
        axis.plot(cost, loss, color=colour, linewidth=1.4, alpha=0.75)
        span, at = plan.cost.range, plan.loss.central
        axis.plot(
            [span.low.to(1e9 * WON), span.high.to(1e9 * WON)], [at, at], color=colour, linewidth=3, alpha=0.35
        )
        axis.plot(span.central.to(1e9 * WON), at, "o", color=colour, markersize=6)
    axis.set(
        xscale="log", xlabel="cost, billion won", ylabel="predicted loss, nats per token of the law's corpus"
    )
    low, high = (
        min(plan.loss.central for plan in shown) - 0.02,
        max(plan.loss.central for plan in shown) + 0.1,
    )
    axis.set_ylim(low, high)
    grid = np.geomspace(min(cost[0] for cost, _ in lines), max(cost[-1] for cost, _ in lines), 200)
    frontier = np.min([np.interp(grid, cost, loss, np.inf, np.inf) for cost, loss in lines], axis=0)
    axis.plot(grid, frontier, color=RULE, linewidth=9, alpha=0.8, zorder=0.5, solid_capstyle="round")
    axis.set_xlim(
        grid[frontier < high][0], max(grid[-1], *(plan.cost.range.high.to(1e9 * WON) for plan in shown))
    )
    if request.budget.deadline_days is not None:
        _bound(axis, request.budget.deadline_days * per_day, "calendar")
    if (sum_ := money(request.budget)) is not None:
        _bound(axis, sum_.to(1e9 * WON), "money")
    above = axis.secondary_xaxis("top", functions=(lambda won: won / per_day, lambda days: days * per_day))
    above.set_xlabel(f"days on {request.cluster.devices:,} {request.device.name.upper()}", color=MUTED)
    above.spines["top"].set_visible(False)
    _plain_log(axis, above)
    axis.set_title(
        "What money and days buy: along the pale band, the best of these models", loc="left", color=INK
    )
    _names(axis, [(plan, plan.cost.central.to(1e9 * WON)) for plan in shown])
    return figure


def memory_figure(plans: Sequence[Plan], request: Request) -> Figure:
    """GiB on the fullest device, stacked by part, a bar a plan; the device's memory is the line."""
    shown = plans[:MOST_BARS]
    figure, axis = _figure(9.5, 1.9 + 0.36 * len(shown))
    for row, plan in enumerate(shown):
        left = 0.0
        for part, colour in PARTS.items():
            held = plan.memory.parts()[part].to(GIB)
            axis.barh(row, held, left=left, color=colour, height=0.72, label=part if row == 0 else None)
            left += held
    axis.set_yticks(range(len(shown)), [title(plan.candidate.name) for plan in shown])
    axis.invert_yaxis()
    limit = request.device.memory.to(GIB)
    axis.axvline(limit, color=BINDS, linewidth=1.6)
    axis.text(
        limit,
        -0.75,
        f"{request.device.name.upper()} {limit:.0f} GiB ",
        color=BINDS,
        ha="right",
        fontsize="small",
    )
    axis.set(xlabel="GiB on the fullest device", xlim=(0, limit * 1.03), ylim=(len(shown) - 0.4, -1.1))
    axis.grid(False, axis="y")
    axis.tick_params(axis="y", length=0)
    figure.legend(ncols=8, loc="outside upper left", frameon=False, fontsize="small", handlelength=1)
    return figure


def what_if_figure(plan: Plan, request: Request) -> Figure:
    """Trillions of tokens for the planned model, over devices and deadline, reached with the request's chance.

    Money and text set no bound here: the figure shows what the cluster and the calendar allow.
    """
    import numpy as np

    figure, axis = _figure(8.2, 4.8)
    here = request.cluster.devices
    devices = sorted(
        {max(8, 8 * round(here * factor / 8)) for factor in (0.25, 0.375, 0.5, 0.75, 1, 1.5, 2, 3, 4)}
    )
    now = request.budget.deadline_days or plan.days.central.to(DAY)
    days = np.geomspace(now / 4, now * 3, 40)
    rates = [(count, rate) for count in devices if (rate := _tokens_a_day(plan, request, count)) is not None]
    counts = [count for count, _ in rates]
    grid = np.array([[rate * day for _, rate in rates] for day in days])
    levels = [level for level in (0.5, 1, 2, 5, 10, 20, 50, 100, 200) if grid.min() < level < grid.max()]
    axis.contourf(counts, days, np.log(grid), levels=24, cmap="YlGnBu", alpha=0.6)
    lines = axis.contour(counts, days, grid, levels=levels, colors=INK, linewidths=0.9)
    for text in axis.clabel(lines, fmt=lambda level: f"{level:g}T", fontsize="small"):
        text.set_rotation(0)
        text.set_fontweight("bold")
    axis.plot(here, now, "o", color=BINDS, markersize=8)
    axis.annotate(
        "asked", (here, now), xytext=(9, 5), textcoords="offset points", color=BINDS, fontweight="bold"
    )
    axis.set(xscale="log", yscale="log", xlabel=f"devices, {request.device.name.upper()}", ylabel="days")
    axis.set_title(
        f"{title(plan.candidate.name)}: tokens trained with a chance of {request.chance:.0%}",
        loc="left",
        color=INK,
    )
    axis.set_xticks(counts, [f"{count:,}" for count in counts], rotation=30, ha="right")
    ticks = [tick for tick in (7, 15, 30, 60, 90, 150, 300, 600) if days[0] <= tick <= days[-1]]
    axis.set_yticks(ticks, [f"{tick}" for tick in ticks])
    axis.minorticks_off()
    axis.grid(False)
    return figure


def tornado_figure(plan: Plan, unit: Quantity = 1e9 * WON, label: str = "cost, billion won") -> Figure:
    """What the cost would be if one contributor alone sat at either end of its 80 % range; the widest on top."""
    bars, span = plan.cost.tornado(), plan.cost.range
    figure, axis = _figure(8.2, 1.6 + 0.5 * len(bars))
    central = span.central.to(unit)
    names = ["all together", *(bar.contributor for bar in bars)]
    ends = [(span.low.to(unit), span.high.to(unit)), *((bar.low.to(unit), bar.high.to(unit)) for bar in bars)]
    for row, (low, high) in enumerate(ends):
        axis.barh(row, high - central, left=central, color="#a8620a" if row else MUTED, height=0.6)
        axis.barh(row, low - central, left=central, color="#3b7dbd" if row else QUIET, height=0.6)
        axis.text(high, row, f" {high:.3g}", va="center", fontsize="small", color=MUTED)
        axis.text(low, row, f"{low:.3g} ", va="center", ha="right", fontsize="small", color=MUTED)
    axis.axvline(central, color=INK, linewidth=1)
    axis.set_yticks(range(len(names)), names)
    axis.invert_yaxis()
    room = 0.12 * (span.high.to(unit) - span.low.to(unit))
    axis.set(xlabel=label, xlim=(max(0.0, span.low.to(unit) - room), span.high.to(unit) + room))
    axis.set_title(
        f"{title(plan.candidate.name)} on {plan.tokens}: what {central:.3g} {label.split(', ')[-1]} hang on",
        loc="left",
        color=INK,
    )
    axis.grid(False, axis="y")
    axis.tick_params(axis="y", length=0)
    return figure


def _tokens_a_day(plan: Plan, request: Request, devices: int) -> float | None:
    """Trillions of tokens a day on ``devices``, with the request's chance; None where the model doesn't fit."""
    from lab.errors import ConfigError

    cluster = replace(request.cluster, devices=devices)
    budget = replace(request.budget, won=None, dollars=None, device_hours=None, deadline_days=1.0)
    asked = replace(
        request, cluster=cluster, budget=budget, tokens=None, target_loss=None, served=None, text=1e20 * TOKEN
    )
    try:
        return plan_for(asked, plan.candidate).tokens.to(1e12 * TOKEN)
    except ConfigError:
        return None


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axis = figure.add_subplot()
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(QUIET)
    axis.tick_params(colors=MUTED)
    axis.xaxis.label.set_color(MUTED)
    axis.yaxis.label.set_color(MUTED)
    axis.grid(True, color=RULE, linewidth=0.6)
    axis.set_axisbelow(True)
    return figure, axis


def _colour(plan: Plan) -> str:
    known = KNOWN.get(plan.candidate.name)
    return known.light if known else MUTED


def _bound(axis: Axes, at: float, name: str) -> None:
    axis.axvline(at, color=BINDS, linewidth=1.4, linestyle=(0, (4, 2)))
    axis.annotate(
        name, (at, 0.99), xycoords=("data", "axes fraction"), xytext=(-4, 0), textcoords="offset points",
        color=BINDS, rotation=90, va="top", ha="right", fontsize="small",
    )  # fmt: skip


def _plain_log(axis: Axes, above: _AxesBase) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    for ticks in (axis.xaxis, above.xaxis):
        ticks.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
        ticks.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ticks.set_minor_formatter(NullFormatter())
    above.tick_params(colors=MUTED)


def _names(axis: Axes, dots: Sequence[tuple[Plan, float]]) -> None:
    """Names to the right of the axes, moved apart where they would collide, each with a line to its dot."""
    import numpy as np

    figure = axis.get_figure()
    assert figure is not None
    figure.canvas.draw()
    scale = 72 / figure.dpi
    heights = np.array([axis.transData.transform((1.0, plan.loss.central))[1] * scale for plan, _ in dots])
    low, high = axis.bbox.y0 * scale, axis.bbox.y1 * scale
    for (plan, cost), placed in zip(dots, spread_apart(heights, 12, low, high), strict=True):
        axis.annotate(
            title(plan.candidate.name), (cost, plan.loss.central), xytext=(1.02, (placed - low) / (high - low)),
            textcoords="axes fraction", va="center", fontsize="small", color=_colour(plan), annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": _colour(plan), "linewidth": 0.5, "alpha": 0.6, "relpos": (0, 0.5)},
        )  # fmt: skip
