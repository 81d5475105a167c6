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
from lab.report.plots import curve_figure, draw
from lab.report.sheet import WIDE, Sheet, name_ends, series_colour, text_width
from lab.report.svg import Ink, belongs_to
from lab.report.sweep_jobs import Sweep, entry_number
from lab.report.sweep_verdicts import comparisons, decimal_places, metric_title, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BASELINE_COLOURS = ("#6f6b64", "#a8a49c")
REPEATED_DASH = (4, 1.5)  # of variants that wear a colour for the second time
SPAN_ALPHA = 0.14


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


def sweep_figures(sweep: Sweep) -> dict[str, dict[str, str]]:
    """The figures that the sweep has something to show in: name to ``{"wide": svg, "narrow": svg}``.

    ``metric``: the deciding metric and its differences to the baseline; ``curves``: training loss; ``search``: the
    metric by option; and one named after each mapping among the further metrics.
    """
    title = metric_title(sweep.metric)
    figures = {
        "metric": draw(
            metric_figure, sweep, "metric", f"{title} by variant, and its difference to {sweep.baseline}"
        ),
        "curves": draw(training_figure, sweep, "curves", "Training loss against training FLOPs"),
        "search": draw(search_figure, sweep, "search", f"{title} by option of the search"),
    }
    for key in sweep.mappings:
        name = series_key(key.replace(".", "-"))
        figures[key] = draw(partial(_entry_figure, key), sweep, name, f"{key} by variant")
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
    options = list(sweep.options)
    panel, sheet = _line_panel(sweep, width, ink)
    ends = []
    for variant, identity in variant_identities(sweep).items():
        means = {float(options.index(option)): fmean(values) for option, values in lines[variant].items()}
        if not means:
            continue
        colour = series_colour(ink, identity)
        _line(panel, means, identity, colour)
        if sweep.chosen.get(variant) in lines[variant]:
            place = options.index(sweep.chosen[variant])
            panel.plot(
                [place], [means[place]], "o", markersize=13, markerfacecolor="none", markeredgecolor=colour,
                gid=belongs_to(identity.key),
            )  # fmt: skip
        ends.append((identity, max(means), means[max(means)], ""))
    panel.set_xticks(range(len(options)), options)
    panel.margins(x=0.06)
    panel.set_title(f"{metric_title(sweep.metric)} by option of the search")
    panel.set_xlabel("mean over the search's seeds; a ring marks the option chosen")
    name_ends(panel, ends, ink)
    return sheet.figure


def _entry_figure(key: str, sweep: Sweep, width: int, ink: Ink) -> Figure | None:
    """The mapping ``key`` against its entries, mean and ±1 standard deviation over seeds."""
    entries = sweep.entries(key)
    numbers = [number for entry in entries if (number := entry_number(entry)) is not None]
    places = numbers or [float(place) for place in range(len(entries))]
    panel, sheet = _line_panel(sweep, width, ink)
    ends = []
    for variant, identity in variant_identities(sweep).items():
        found = [
            (x, list(sweep.by_seed(variant, f"{key}.{entry}").values()))
            for x, entry in zip(places, entries, strict=True)
        ]
        spreads = {
            x: (fmean(values), stdev(values) if len(values) > 1 else 0.0) for x, values in found if values
        }
        if not spreads:
            continue
        colour = series_colour(ink, identity)
        means = {x: mean for x, (mean, _) in spreads.items()}
        panel.fill_between(
            list(means), [mean - sd for mean, sd in spreads.values()], [mean + sd for mean, sd in spreads.values()],
            color=colour, alpha=SPAN_ALPHA, linewidth=0, gid=belongs_to(identity.key),
        )  # fmt: skip
        _line(panel, means, identity, colour)
        ends.append((identity, max(means), means[max(means)], ""))
    if not ends:
        return None
    if numbers and min(numbers) > 0:
        panel.set_xscale("log", base=2)
    panel.minorticks_off()
    panel.set_xticks(places, entries)
    panel.set_title(key)
    panel.set_xlabel("mean and ±1 sd over seeds")
    name_ends(panel, ends, ink)
    return sheet.figure


def _line_panel(sweep: Sweep, width: int, ink: Ink) -> tuple[Axes, Sheet]:
    """One panel with room for the variants' names to its right."""
    names = max(text_width(variant) for variant in sweep.variants) + 30
    wide = width == WIDE
    axis, height = (52, 270) if wide else (44, 220)
    sheet = Sheet(width, height + 74, ink)
    return sheet.panel(axis, 34, width - axis - names, height), sheet


def _line(panel: Axes, points: Mapping[float, float], identity: Identity, colour: str) -> None:
    panel.plot(
        list(points), list(points.values()), marker="o", markersize=5, color=colour, linewidth=2,
        linestyle=(0, identity.dash) if identity.dash else "-", gid=belongs_to(identity.key),
    )  # fmt: skip
