"""The figure of suite ``growth``: time of a step against each size that grows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lab.benchmark.case import OURS
from lab.benchmark.growth import PEER, SERIES, Series
from lab.benchmark.results import Results
from lab.report.testbed_plots import STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OUR_COLOUR, OTHER_COLOUR = "#3f57ad", "#c48d20"
OUR_NAME = "this laboratory"


def draw_growth(path: Path, results: Results) -> None:
    """Write a panel a series as SVG, on white, so that it reads in a dark document as well."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(11, 6), layout="constrained")
        axes = list(figure.subplots(2, 3).flat)
        for axis, series in zip(axes, SERIES.values(), strict=False):
            _draw_series(axis, series, results)
        for axis in axes[len(SERIES) :]:
            axis.set_axis_off()
        figure.savefig(path, metadata={"Date": None}, facecolor="white")


def _draw_series(axis: Axes, series: Series, results: Results) -> None:
    for label, name, colour in ((OURS, OUR_NAME, OUR_COLOUR), (series.other, series.other, OTHER_COLOUR)):
        points = [
            (value, 1e3 * timing.median_seconds(label))
            for value in series.values
            if series.name(value) in results
            and label in (timing := results[series.name(value)].timing).seconds
            and timing.num_rounds
        ]
        if points:
            axis.plot(*zip(*points, strict=True), "o-", color=colour, ms=4, lw=1.8, label=name)
    from matplotlib.ticker import LogLocator

    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.set_xticks(series.values, [_short(value) for value in series.values])
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.minorticks_off()
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_title(f"{series.title[0].upper()}{series.title[1:]}")
    axis.set_ylabel("ms, forward and backward" if series.other != PEER else "ms a training step")
    axis.grid(color="#e3e5ea", lw=0.8)
    axis.set_axisbelow(True)
    if axis.lines:
        axis.legend(loc="upper left")


def _short(value: int) -> str:
    return f"{value // 1024}k" if value >= 1024 else str(value)
