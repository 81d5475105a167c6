"""Figures of dots with intervals, a row a contender, and reference lines across them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lab.report.contenders import Identity
from lab.report.sheet import WIDE, Sheet, name_rows, row_names_width, series_colour, spread_apart, text_width
from lab.report.svg import Ink, belongs_to

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW = 30  # points between rows


@dataclass(frozen=True)
class Dot:
    """A value, the interval around it and the single values behind it, in the units of its panel."""

    value: float
    low: float
    high: float
    singles: Sequence[float]


@dataclass(frozen=True)
class DotPanel:
    """Dots by contender, and reference lines by name, drawn within ``reach`` times the dots' extent."""

    title: str
    unit: str
    dots: Mapping[str, Dot]
    lines: Mapping[str, float]
    reach: float
    write: Callable[[float], str]


def dot_figure(
    identities: Sequence[Identity], panels: Sequence[DotPanel], width: int, ink: Ink
) -> Figure | None:
    """Panels of dots, side by side on a desk and beneath each other on a phone, one row an identity."""
    from matplotlib.ticker import MaxNLocator

    shown = [identity for identity in identities if any(identity.key in panel.dots for panel in panels)]
    if not shown:
        return None
    wide = width == WIDE
    names = row_names_width(shown, width)
    head, foot, between = 56, 46, 34
    height = ROW * len(shown)
    block = head + height + foot
    sheet = Sheet(width, block if wide else block * len(panels), ink)
    each = (width - names - between * (len(panels) - 1) - 8) / len(panels) if wide else width - names - 8
    for index, content in enumerate(panels):
        left = names + index * (each + between) if wide else names
        panel = sheet.panel(left, head + (0 if wide else index * block), each, height)
        rows = {identity.key: row for row, identity in enumerate(shown)}
        for identity in shown:
            if dot := content.dots.get(identity.key):
                _dot(
                    panel,
                    rows[identity.key],
                    dot,
                    content.write(dot.value),
                    identity.key,
                    series_colour(ink, identity),
                )
        panel.set_ylim(len(shown) - 0.5, -0.5)
        panel.grid(False, axis="y")
        panel.margins(x=0.08)
        panel.xaxis.set_major_locator(MaxNLocator(nbins=5, min_n_ticks=3))
        panel.set_xlabel(content.unit)
        if index == 0 or not wide:
            name_rows(panel, shown, ink, names)
        else:
            panel.set_yticks([])
        _reference_lines(panel, content, ink)
        panel.set_title(content.title, pad=30)
    return sheet.figure


def _dot(panel: Axes, row: int, dot: Dot, text: str, key: str, colour: str) -> None:
    gid = belongs_to(key)
    panel.plot([dot.low, dot.high], [row, row], color=colour, linewidth=2, alpha=0.45, gid=gid)
    if len(dot.singles) > 1:
        panel.plot(dot.singles, [row] * len(dot.singles), "|", color=colour, markersize=9, gid=gid)
    panel.plot([dot.value], [row], "o", color=colour, markersize=8, markeredgewidth=0, gid=gid)
    panel.annotate(
        text, (dot.value, row), xytext=(0, 7), textcoords="offset points", ha="center", va="bottom",
        fontsize="small", color=colour, gid=gid,
    )  # fmt: skip


def _reference_lines(panel: Axes, content: DotPanel, ink: Ink) -> None:
    """Dashed lines with names above the panel, moved apart; those out of reach are only named."""
    near, beyond = _in_reach(content)
    for value in near.values():
        panel.axvline(value, color=ink("muted"), linewidth=1, dashes=(3, 3), zorder=0)
    panel.autoscale_view()
    if beyond:
        centre = np.mean([dot.value for dot in content.dots.values()])
        rising = sorted(beyond.items(), key=lambda line: line[1])
        above = [f"{name} {content.write(value)}" for name, value in rising if value > centre]
        below = [f"{name} {content.write(value)}" for name, value in rising if value < centre]
        text = "   ".join([f"← {', '.join(below)}"] * bool(below) + [f"{', '.join(above)} →"] * bool(above))
        panel.annotate(
            text, (1, 1), xycoords="axes fraction", xytext=(0, 32), textcoords="offset points", ha="right",
            va="bottom", fontsize="small", color=ink("muted"), annotation_clip=False,
        )  # fmt: skip
    if not near:
        return
    wanted = np.array([panel.transData.transform((value, 0))[0] for value in near.values()])
    gap = max(map(text_width, near)) + 6
    places = spread_apart(wanted, gap, panel.bbox.x0 + 10, panel.bbox.x1 - 10)
    for (name, value), place in zip(near.items(), places, strict=True):
        panel.annotate(
            name, (value, 1), xycoords=("data", "axes fraction"), xytext=(place, panel.bbox.y1 + 8),
            textcoords="figure pixels", ha="center", va="bottom", fontsize="small", color=ink("muted"),
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": ink("muted"), "lw": 0.8, "shrinkA": 0, "shrinkB": 0},
        )  # fmt: skip


def _in_reach(content: DotPanel) -> tuple[dict[str, float], dict[str, float]]:
    """The reference lines no farther from the dots than the panel's reach, and those beyond."""
    low = min(dot.low for dot in content.dots.values())
    high = max(dot.high for dot in content.dots.values())
    reach = content.reach * max(high - low, 0.01 * abs(high))
    near = {name: value for name, value in content.lines.items() if low - reach <= value <= high + reach}
    return near, {name: value for name, value in content.lines.items() if name not in near}
