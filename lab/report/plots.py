"""The figures of a race: losses, bits per byte, probes and cache, each drawn for desk and for phone.

Every function takes a race, the width of the sheet in points (``WIDE`` or ``NARROW``) and an ink, and returns
a matplotlib figure, or None where the race has nothing to show. :func:`draw` turns one into inline SVG.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from lab.report import formats
from lab.report.curves import Curve, learning_curves
from lab.report.dots import Dot, DotPanel, dot_figure
from lab.report.race import LANGUAGES, PROBES, YARDSTICKS, Race
from lab.report.sheet import NARROW, WIDE, Sheet, name_ends, names_width, series_colour
from lab.report.svg import Ink, belongs_to, inline, settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Subject = TypeVar("Subject")
Draw = Callable[[Subject, int, Ink], "Figure | None"]

PAGE_WIDTHS = {"wide": WIDE, "narrow": NARROW}
LAST_STRETCH = 2 / 3  # where the second panel of the loss figure begins, as a share of the FLOPs
LONGEST_CONTEXT = 131_072
REACH = 1.5  # a yardstick farther from the dots than this times their extent is named beyond the panel's edge


def draw(
    figure: Draw[Subject],
    subject: Subject,
    identifier: str,
    label: str,
    widths: Mapping[str, int] = PAGE_WIDTHS,
) -> dict[str, str]:
    """The figure of a race or a sweep as SVG by width, ``{"wide": ..., "narrow": ...}`` for a page.

    Empty where it has nothing to show.
    """
    from matplotlib import rc_context

    drawings = {}
    for name, width in widths.items():
        ink = Ink()
        with rc_context(settings(ink)):
            drawn = figure(subject, width, ink)
            if drawn is None:
                return {}
            drawings[name] = inline(drawn, ink, f"{identifier}-{name}", label)
    return drawings


def loss_figure(race: Race, width: int, ink: Ink) -> Figure | None:
    """Training loss in bits per token against FLOPs: the whole run (log scale) and its last third."""
    return curve_figure(learning_curves(race), width, ink)


def curve_figure(curves: Sequence[Curve], width: int, ink: Ink) -> Figure | None:
    """Curves with the bands of their seeds: the whole run, and its last third with the names at the ends."""
    if not curves:
        return None
    wide = width == WIDE
    labels = max(112 if wide else 92, names_width([curve.identity for curve in curves], width))
    axis, height = 40, 270 if wide else 220
    sheet = Sheet(width, height + 92 if wide else 2 * height + 170, ink)
    if wide:
        each = (width - 2 * axis - labels - 30) / 2
        whole = sheet.panel(axis, 34, each, height)
        last = sheet.panel(2 * axis + each + 30, 34, each, height)
    else:
        whole = sheet.panel(axis, 34, width - axis - 8, height)
        last = sheet.panel(axis, height + 118, width - axis - labels, height)
    end = max(curve.flops[-1] for curve in curves)
    _loss_panel(whole, curves, ink, 0.0)
    whole.set(xscale="log", title="Whole run", xlabel="training FLOPs, log scale")
    _scientific_ticks(whole)
    _loss_panel(last, curves, ink, LAST_STRETCH * end)
    last.set(title="Last third", xlabel="training FLOPs")
    last.set_xlim(LAST_STRETCH * end, end)
    ticks = np.linspace(LAST_STRETCH * end, end, 3 if width - labels > NARROW / 2 + axis else 2)
    last.set_xticks(ticks, [formats.flops(tick) for tick in ticks])
    last.xaxis.get_majorticklabels()[-1].set_horizontalalignment("right")
    ends = [(curve.identity, curve.flops[-1], curve.mean[-1], "") for curve in curves]
    name_ends(last, [named for named in ends if named[1] > LAST_STRETCH * end], ink)
    for identity, flops, bits, _ in ends:
        if flops <= LAST_STRETCH * end:
            whole.annotate(
                f"{identity.title}, so far", (flops, bits), xytext=(4, 22), textcoords="offset points",
                color=series_colour(ink, identity), fontsize="small", gid=belongs_to(identity.key),
            )  # fmt: skip
    return sheet.figure


def language_figure(race: Race, width: int, ink: Ink) -> Figure | None:
    """Bits per byte by language, a dot a contender, with the yardsticks as lines."""
    panels = []
    for language, title in LANGUAGES.items():
        dots = {}
        for standing in race.standings:
            if spread := standing.bits_per_byte(language):
                sd = spread.sd or 0.0
                dots[standing.key] = Dot(spread.mean, spread.mean - sd, spread.mean + sd, spread.values)
        lines = {
            YARDSTICKS.get(name, name): bits[language]
            for name, bits in race.yardsticks.items()
            if language in bits
        }
        if dots:
            panels.append(DotPanel(title, "bits per byte", dots, lines, REACH, formats.decimal))
    return dot_figure([standing.identity for standing in race.standings], panels, width, ink)


def probe_figure(race: Race, width: int, ink: Ink) -> Figure | None:
    """Probe accuracies with their 95% intervals, and chance as a line."""
    panels = []
    for name in race.probes:
        probes = {standing.key: probe for standing in race.standings if (probe := standing.probe(name))}
        if probes:
            dots = {
                key: Dot(100 * probe.accuracy.mean, 100 * probe.low, 100 * probe.high, ())
                for key, probe in probes.items()
            }
            chance = 100 * next(iter(probes.values())).chance
            title = PROBES.get(name, name.replace("_", " ").capitalize())
            panels.append(
                DotPanel(title, "% correct", dots, {"chance": chance}, np.inf, lambda x: f"{x:.0f}%")
            )
    return dot_figure([standing.identity for standing in race.standings], panels, width, ink)


def cache_figure(race: Race, width: int, ink: Ink) -> Figure | None:
    """Cache bytes of one sequence against its length, both in powers of two."""
    standings = [standing for standing in race.standings if standing.cache_bytes(0) is not None]
    if not standings:
        return None
    wide = width == WIDE
    labels, axis, height = (210, 56, 300) if wide else (92, 52, 260)
    sheet = Sheet(width, height + 62, ink)
    panel = sheet.panel(axis, 10, width - axis - labels, height)
    windows = [
        layer.get("window") or 0
        for standing in standings
        for layer in standing.architecture.get("layers", [])
    ]
    contexts = np.geomspace(max([256, *windows]), LONGEST_CONTEXT, 120)
    ends = []
    for standing in standings:
        sizes = np.array([standing.cache_bytes(int(context)) for context in contexts], dtype=float)
        _line(
            panel,
            contexts,
            sizes,
            standing.identity.key,
            standing.identity.dash,
            series_colour(ink, standing.identity),
        )
        note = formats.size_in_bytes(sizes[-1]) if wide else ""
        ends.append((standing.identity, contexts[-1], sizes[-1], note))
    panel.set_xscale("log", base=2)
    panel.set_yscale("log", base=2)
    panel.set_xlim(contexts[0], contexts[-1])
    _power_ticks(panel.set_xticks, panel.get_xlim(), 2 if wide else 3, _context)
    _power_ticks(panel.set_yticks, panel.get_ylim(), 2, _round_bytes)
    panel.set_xlabel("context, tokens")
    name_ends(panel, ends, ink)
    return sheet.figure


def _loss_panel(panel: Axes, curves: Sequence[Curve], ink: Ink, start: float) -> None:
    for curve in curves:
        identity, shown = curve.identity, curve.flops >= start
        colour = series_colour(ink, identity)
        if curve.num_runs > 1:
            panel.fill_between(
                curve.flops[shown], curve.low[shown], curve.high[shown],
                color=colour, alpha=0.14, linewidth=0, gid=belongs_to(identity.key),
            )  # fmt: skip
        _line(panel, curve.flops[shown], curve.mean[shown], identity.key, identity.dash, colour)
    panel.set_ylabel("")
    panel.grid(False, axis="x")


def _line(panel: Axes, x: np.ndarray, y: np.ndarray, key: str, dash: tuple[float, ...], colour: str) -> None:
    style = (0, dash) if dash else "-"
    panel.plot(x, y, color=colour, linewidth=2, linestyle=style, gid=belongs_to(key))


def _scientific_ticks(panel: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    panel.xaxis.set_major_locator(LogLocator(base=10, subs=(1, 3)))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: formats.flops(x).replace(".00", "")))
    panel.xaxis.set_minor_locator(NullLocator())


def _power_ticks(
    set_ticks: Callable[..., object], limits: tuple[float, float], stride: int, write: Callable[[float], str]
) -> None:
    first, last = np.ceil(np.log2(limits[0])), np.floor(np.log2(limits[1]))
    ticks = [2.0**power for power in np.arange(first, last + 1) if power % stride == 0]
    set_ticks(ticks, [write(tick) for tick in ticks])


def _context(tokens: float) -> str:
    return f"{tokens / 1024:g}k" if tokens >= 1024 else f"{tokens:g}"


def _round_bytes(size: float) -> str:
    return formats.size_in_bytes(size).replace(".00", "").replace(".0", "")
