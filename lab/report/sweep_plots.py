"""The figures of a sweep: what the variants reached, how they learned, what the search saw, and further metrics.

Like those of a race they are drawn for desk and for phone, in the colours of the page around them;
:func:`lab.report.sweep_files.standalone` makes a file of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from statistics import fmean, stdev
from typing import TYPE_CHECKING

import numpy as np

from lab.report.contenders import Identity, palette
from lab.report.curves import Curve
from lab.report.dots import Dot, DotPanel, dot_figure
from lab.report.plots import PAGE_WIDTHS, Draw, curve_figure, draw
from lab.report.sheet import WIDE, Sheet, name_ends, names_width, series_colour
from lab.report.svg import Ink, belongs_to
from lab.report.sweep_jobs import Sweep, entry_number
from lab.report.sweep_verdicts import comparisons, decimal_places, metric_title, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BASELINE_COLOURS = ("#6f6b64", "#a8a49c")
REPEATED_DASH = (4, 1.5)  # of variants that wear a colour for the second time
SPAN_ALPHA = 0.14

Spans = dict[float, tuple[float, float, float]]
"""By place on the axis: mean, low, high."""


def variant_identities(sweep: Sweep) -> dict[str, Identity]:
    """Each variant's colours and key, the same in every figure: the baseline grey, the others in their order."""
    colours, found = palette(), {}
    others = [variant for variant in sweep.variants if variant != sweep.baseline]
    keys = [series_key(variant) for variant in sweep.variants]
    for variant in sweep.variants:
        key = series_key(variant)
        if keys.count(key) > 1:
            key = f"{key}-{list(sweep.variants).index(variant)}"
        if variant == sweep.baseline:
            found[variant] = Identity(key, variant, "baseline", *BASELINE_COLOURS)
        else:
            turn, place = divmod(others.index(variant), len(colours))
            found[variant] = Identity(key, variant, "", *colours[place], REPEATED_DASH if turn else ())
    return found


def series_key(variant: str) -> str:
    """The variant's name as an identifier that a page may use."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", variant)


def sweep_figures(sweep: Sweep, widths: Mapping[str, int] = PAGE_WIDTHS) -> dict[str, dict[str, str]]:
    """The figures that the sweep has something to show in: name to SVG by width, ``{"wide": ..., "narrow": ...}``.

    ``metric``: the deciding metric and its differences to the baseline; ``curves``: training loss; ``search``: the
    metric by option; and one named after each of :attr:`Sweep.mappings`.
    """
    title = metric_title(sweep.metric)
    asked: dict[str, tuple[Draw[Sweep], str]] = {
        "metric": (metric_figure, f"{title} by variant, and its difference to {sweep.baseline}"),
        "curves": (training_figure, "Training loss against training FLOPs"),
        "search": (search_figure, f"{title} by option of the search"),
    }
    asked |= {key: (partial(_entry_figure, key), f"{metric_title(key)} by variant") for key in sweep.mappings}
    figures = {
        name: draw(figure, sweep, series_key(name), label, widths) for name, (figure, label) in asked.items()
    }
    return {name: drawings for name, drawings in figures.items() if drawings}


def metric_figure(sweep: Sweep, width: int, ink: Ink) -> Figure | None:
    """The deciding metric of each seed with its spread, and the differences to the baseline, paired by seed."""
    compared = comparisons(sweep, sweep.metric)
    known = variant_identities(sweep)
    places = decimal_places(*compared.values())
    reached, apart = {}, {}
    for variant, identity in known.items():
        values = list(sweep.by_seed(variant, sweep.metric).values())
        if values:
            mean, sd = fmean(values), stdev(values) if len(values) > 1 else 0.0
            reached[identity.key] = Dot(mean, mean - sd, mean + sd, values)
        if one := compared.get(variant):
            low, high = (one.mean if bound is None else bound for bound in (one.low, one.high))
            apart[identity.key] = Dot(one.mean, low, high, one.differences)
    title = metric_title(sweep.metric)
    panels = [DotPanel(title, "each seed, mean and ±1 sd", reached, {}, np.inf, lambda x: f"{x:.{places}f}")]
    if apart:
        panels.append(
            DotPanel(
                f"Difference to {sweep.baseline}",
                "paired by seed, mean and 95% interval",
                apart,
                {sweep.baseline: 0.0},
                np.inf,
                lambda x: signed(x, places),
            )
        )
    return dot_figure(list(known.values()), panels, width, ink)


def training_figure(sweep: Sweep, width: int, ink: Ink) -> Figure | None:
    """Training loss of each variant, mean and range over seeds: comparable, as all runs share a tokenizer."""
    known = variant_identities(sweep)
    curves = [Curve(**vars(band), identity=known[variant]) for variant, band in sweep.bands.items()]
    figure = curve_figure(curves, width, ink)
    if figure is not None:
        for panel in figure.axes:
            panel.set_title(f"{panel.get_title(loc='left')}: training loss, bits per token")
    return figure


def search_figure(sweep: Sweep, width: int, ink: Ink) -> Figure | None:
    """The deciding metric against the options of the search, in the order of the file; a ring marks the choice."""
    lines = {variant: sweep.searched(variant, sweep.metric) for variant in sweep.variants}
    if not any(lines.values()):
        return None
    options, known = list(sweep.options), variant_identities(sweep)
    sheet, (panel,) = _line_panels(1, known, width, ink)
    ends = []
    for variant, found in lines.items():
        if not found:
            continue
        identity, colour = known[variant], series_colour(ink, known[variant])
        means = {float(options.index(option)): fmean(values) for option, values in found.items()}
        _line(panel, means, identity, colour)
        if sweep.chosen.get(variant) in found:
            place = float(options.index(sweep.chosen[variant]))
            panel.plot(
                [place], [means[place]], "o", markersize=13, markerfacecolor="none", markeredgecolor=colour,
                gid=belongs_to(identity.key),
            )  # fmt: skip
        ends.append((identity, max(means), means[max(means)], ""))
    panel.set_xticks(range(len(options)), options)
    panel.margins(x=0.06)
    panel.set_title(f"{metric_title(sweep.metric)} in the search")
    panel.set_xlabel("option (ring: chosen)")
    name_ends(panel, ends, ink)
    return sheet.figure


def _entry_figure(key: str, sweep: Sweep, width: int, ink: Ink) -> Figure | None:
    """The mapping ``key`` against its entries, and its differences to the baseline, with bands over seeds."""
    entries, known = sweep.entries(key), variant_identities(sweep)
    numbers = [number for entry in entries if (number := entry_number(entry)) is not None]
    places = dict(zip(entries, numbers or map(float, range(len(entries))), strict=True))
    reached: dict[str, Spans] = {variant: {} for variant in known}
    apart: dict[str, Spans] = {variant: {} for variant in known}
    for entry, place in places.items():
        compared = comparisons(sweep, f"{key}.{entry}")
        for variant in known:
            if values := list(sweep.by_seed(variant, f"{key}.{entry}").values()):
                mean, sd = fmean(values), stdev(values) if len(values) > 1 else 0.0
                reached[variant][place] = (mean, mean - sd, mean + sd)
            if one := compared.get(variant):
                low, high = (
                    one.mean if one.low is None else one.low,
                    one.mean if one.high is None else one.high,
                )
                apart[variant][place] = (one.mean, low, high)
    if not any(reached.values()):
        return None
    titles = [metric_title(key), f"Difference to {sweep.baseline}"]
    notes = ["mean and ±1 sd over seeds", "paired by seed, mean and 95% interval"]
    sheet, panels = _line_panels(2, known, width, ink)
    for panel, spans, title, note in zip(panels, (reached, apart), titles, notes, strict=True):
        for variant, span in spans.items():
            _span(panel, span, known[variant], series_colour(ink, known[variant]))
        if numbers and min(numbers) > 0:
            panel.set_xscale("log", base=2)
        panel.minorticks_off()
        panel.set_xticks(list(places.values()), entries)
        panel.set(title=title, xlabel=note)
    panels[1].axhline(0, color=ink("muted"), linewidth=1, dashes=(3, 3), zorder=0)
    for panel, spans in zip(panels, (reached, apart), strict=True):
        ends = [
            (known[variant], max(span), span[max(span)][0], "") for variant, span in spans.items() if span
        ]
        if panel is panels[-1] or width != WIDE:
            name_ends(panel, ends, ink)
    return sheet.figure


def _line_panels(
    number: int, known: Mapping[str, Identity], width: int, ink: Ink
) -> tuple[Sheet, list[Axes]]:
    """Panels side by side on a desk and beneath each other on a phone, with room for the names of lines' ends."""
    wide = width == WIDE
    axis, height, block, names = 52, 250, 324, names_width(list(known.values()), width)
    sheet = Sheet(width, block if wide else number * block, ink)
    if not wide:
        each = width - axis - names
        return sheet, [sheet.panel(axis, 34 + index * block, each, height) for index in range(number)]
    each = (width - number * axis - names - 20 * (number - 1)) / number
    return sheet, [
        sheet.panel(axis + index * (each + axis + 20), 34, each, height) for index in range(number)
    ]


def _span(panel: Axes, span: Spans, identity: Identity, colour: str) -> None:
    if not span:
        return
    low, high = [low for _, low, _ in span.values()], [high for _, _, high in span.values()]
    panel.fill_between(
        list(span), low, high, color=colour, alpha=SPAN_ALPHA, linewidth=0, gid=belongs_to(identity.key)
    )
    _line(panel, {place: mean for place, (mean, _, _) in span.items()}, identity, colour)


def _line(panel: Axes, points: Mapping[float, float], identity: Identity, colour: str) -> None:
    panel.plot(
        list(points), list(points.values()), marker="o", markersize=5, color=colour, linewidth=2,
        linestyle=(0, identity.dash) if identity.dash else "-", gid=belongs_to(identity.key),
    )  # fmt: skip
