"""One sheet of plots for the testbed: detection by kind, ROC, and the curve of partial reuse."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lab.independence.testbed.bench import TEN_TIMES_THE_RATE, Outcome
from lab.report.formats import count
from lab.report.testbed import SINCE, area_under_curve, by_kind, curve, exact_interval, scores_by_truth

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STYLE = {
    "svg.hashsalt": "lab.report",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a8f98",
    "axes.labelcolor": "#3c4048",
    "xtick.color": "#3c4048",
    "ytick.color": "#3c4048",
    "legend.framealpha": 0.92,
    "legend.edgecolor": "none",
    "legend.fancybox": False,
}
TRUTH_COLOURS = {"derived": "#3f57ad", "common draw": "#c48d20", "independent": "#8a8f98"}
SINCE_COLOURS = ("#0f1a4a", "#1d2b6b", "#3f57ad", "#7d93d8", "#b3c0ea")
FASTER_COLOURS = ("#e0b252", "#c48d20", "#a8552a", "#7a3415", "#4d1f0a")
DODGE = 1.04  # factor by which the lines of the curve stand apart, so that their intervals can be told


def draw_report(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write the sheet as SVG, on white, so that it reads in a dark document as well."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):  # type: ignore[arg-type]
        kinds = len(by_kind(outcomes))
        figure = Figure(figsize=(11, max(6.0, 0.21 * kinds + 1)), layout="constrained")
        left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(1.2, 1), wspace=0.04)[0]
        draw_kinds(left.subplots(), outcomes)
        above, below = right.subplots(2, 1)
        draw_roc(above, outcomes)
        draw_reuse(below, outcomes)
        figure.savefig(path, metadata={"Date": None}, facecolor="white")


def draw_kinds(axis: Axes, outcomes: Sequence[Outcome], level: float = 0.01) -> None:
    """The share of pairs found, kind by kind, with its interval."""
    groups = by_kind(outcomes)
    for place, ((truth, _), group) in enumerate(groups.items()):
        found = sum(outcome.p <= level for outcome in group)
        low, high = exact_interval(found, len(group))
        colour = TRUTH_COLOURS[truth]
        axis.plot([100 * low, 100 * high], [place, place], color=colour, lw=2.4, alpha=0.4)
        axis.plot([100 * found / len(group)], [place], "o", color=colour, ms=5)
    names = [f"{kind}  ({len(group)})" for (_, kind), group in groups.items()]
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.set(
        xlim=(-2, 102),
        ylim=(len(names) - 0.4, -0.6),
        xlabel="called \u201cshares weights\u201d, % of pairs, 95 % interval",
    )
    axis.set_title("Found, by kind of pair (how many)")
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x", color="#e3e5ea", lw=0.8)
    axis.set_axisbelow(True)
    for truth, colour in TRUTH_COLOURS.items():
        axis.plot([], [], "o", color=colour, label=truth)
    axis.legend(loc="center", bbox_to_anchor=(0.3, 0.5))


def draw_roc(axis: Axes, outcomes: Sequence[Outcome]) -> None:
    """Derived against independent pairs: the audit's p-value, and the cosine of norms beside it."""
    for key, label, colour in (("p", "the audit", "#3f57ad"), ("norm_cosine", "cosine of norms", "#c48d20")):
        scores = scores_by_truth(outcomes, key)
        derived, others = scores["derived"], scores["independent"]
        steps = sorted({*derived, *others}, reverse=True)
        x = [0.0, *(100 * sum(v >= s for v in others) / len(others) for s in steps)]
        y = [0.0, *(100 * sum(v >= s for v in derived) / len(derived) for s in steps)]
        name = f"{label}, area {area_under_curve(outcomes, key):.3f}"
        axis.plot(x, y, color=colour, lw=2, label=name, drawstyle="steps-post")
    axis.axvline(1, color="#8a8f98", lw=1, ls=":")
    axis.set_xscale("symlog", linthresh=1, linscale=0.6)
    axis.set_xticks([0, 1, 10, 100], ["0", "1", "10", "100"])
    axis.set(xlim=(0, 100), ylim=(0, 104), xlabel="false positives, %", ylabel="derivations found, %")
    axis.set_title("ROC, all kinds together")
    axis.legend(loc="lower right")


def draw_reuse(axis: Axes, outcomes: Sequence[Outcome], level: float = 0.01) -> None:
    """Detection rate against the fraction copied, a line for each number of tokens trained since."""
    lines = [
        (kind, tokens, cells)
        for kind in SINCE
        for cells in (curve(outcomes, kind, level),)
        for tokens in sorted({tokens for _, tokens in cells})
    ]
    fractions = sorted({fraction for _, _, cells in lines for fraction, _ in cells})
    for place, (kind, since, cells) in enumerate(lines):
        seen = [(fraction, cells[fraction, since]) for fraction in fractions if (fraction, since) in cells]
        rates = [100 * sum(found) / len(found) for _, found in seen]
        limits = [exact_interval(sum(found), len(found)) for _, found in seen]
        x = [100 * fraction * DODGE ** (place - (len(lines) - 1) / 2) for fraction, _ in seen]
        errors = [
            [rate - 100 * low for rate, (low, _) in zip(rates, limits, strict=True)],
            [100 * high - rate for rate, (_, high) in zip(rates, limits, strict=True)],
        ]
        faster = kind == TEN_TIMES_THE_RATE
        colour = (FASTER_COLOURS if faster else SINCE_COLOURS)[place % 5]
        label = f"{count(since)}{', rate x 10' if faster else ''}"
        axis.errorbar(x, rates, errors, color=colour, fmt="none", elinewidth=1.2, alpha=0.35)
        axis.plot(x, rates, "o--" if faster else "o-", color=colour, ms=4, lw=1.6, label=label)
    axis.set_xscale("log")
    axis.set_xticks([100 * f for f in fractions], [f"{round(100 * f, 2):g}" for f in fractions])
    axis.minorticks_off()
    axis.set(ylim=(0, 104), xlabel="rows copied, %", ylabel="found at 1 % false positives, % (95 %)")
    axis.set_title("Copied rows, by tokens trained since")
    axis.legend(title="tokens since", fontsize=8)
