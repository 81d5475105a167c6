"""Two pictures of a design for a notebook: what each of its layers is, and what its cache costs as a text grows.

Both draw on axes they are given, in the colours of :mod:`lab.report.contenders` on light paper. They read the
configuration alone: no model is built.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

from lab.report import formats
from lab.report.contenders import identities
from lab.report.sheet import spread_apart

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from lab.model.config import ModelConfig
    from lab.model.leaves.base import CacheSize

INK, MUTED, RULE, QUIET = "#23201d", "#6b6660", "#d9d5d0", "#b4aea7"

FIRST_CONTEXT, LAST_CONTEXT = 2**13, 2**20  # tokens
_LABEL_GAP = 15  # points between the names at the ends of lines


def draw_layer_patterns(axis: Axes, models: Mapping[str, ModelConfig]) -> None:
    """One row a model, one column a layer, first to last.

    The height of a bar tells the mixer: full where attention sees everything, half where it has a window, a third
    where the layer is recurrent. A dot marks a rotary position signal, an underline a dense feed-forward.
    """
    known = identities(list(models))
    for row, (name, model) in enumerate(models.items()):
        colour = known[name].light
        for layer in model.plan():
            height = {"global": 0.62, "local": 0.31, "linear": 0.2}[layer.mixer]
            hollow = layer.mixer == "linear"
            axis.bar(
                layer.index, height, width=0.78, bottom=-row, color="none" if hollow else colour,
                edgecolor=colour, linewidth=1 if hollow else 0, alpha=1 if layer.mixer != "local" else 0.55,
            )  # fmt: skip
            if layer.rotation is not None:
                axis.plot(layer.index, 0.72 - row, ".", color=colour, markersize=4)
            if not layer.sparse:
                axis.plot(
                    [layer.index - 0.39, layer.index + 0.39], [-0.08 - row] * 2, color=INK, linewidth=1.6
                )
    deepest = max(model.layers.count for model in models.values())
    axis.set(xlim=(-0.8, deepest - 0.2), ylim=(0.85 - len(models), 1.0), xlabel="layer, first to last")
    axis.set_yticks(
        [0.3 - row for row in range(len(models))], [known[name].title for name in models], fontweight="bold"
    )
    _plain(axis)
    axis.spines["left"].set_visible(False)
    axis.tick_params(axis="y", length=0)
    for label, name in zip(axis.get_yticklabels(), models, strict=True):
        label.set_color(known[name].light)
    axis.set_title(
        "full bar: sees everything   half: a window   hollow: recurrent   dot: rotary   underline: dense feed-forward",
        loc="left", fontsize="small", color=MUTED,
    )  # fmt: skip


def draw_cache_growth(axis: Axes, caches: Mapping[str, CacheSize], house: Collection[str]) -> None:
    """What decoding keeps for one sequence, in bytes, from 8k to 1M tokens; the models of ``house`` stand out.

    A model that was never made for such a length is drawn all the same: the line says what its cache would cost.
    """
    known = identities(list(caches))
    contexts = np.geomspace(FIRST_CONTEXT, LAST_CONTEXT, 60)
    ends = {name: float(cache.at(LAST_CONTEXT)) for name, cache in caches.items()}
    for name, cache in caches.items():
        sizes = np.array([cache.at(int(context)) for context in contexts], dtype=float)
        stands_out = name in house
        axis.plot(
            contexts, sizes, color=known[name].light if stands_out else QUIET,
            linewidth=2.6 if stands_out else 1.1, zorder=3 if stands_out else 2,
            linestyle=(0, known[name].dash) if known[name].dash else "-",
        )  # fmt: skip
    axis.set_xscale("log", base=2)
    axis.set_yscale("log", base=2)
    axis.set_xlim(FIRST_CONTEXT, LAST_CONTEXT)
    axis.set_xlabel("context, tokens")
    axis.set_ylabel("cache of one sequence, bfloat16")
    powers = range(13, 21)
    names = [f"{2 ** (power - 10)}k" if power < 20 else "1M" for power in powers]
    axis.set_xticks([2.0**power for power in powers], names)
    low, high = (int(np.log2(limit)) for limit in axis.get_ylim())
    ticks = [2.0**power for power in range(low + 1, high + 1) if power % 2 == 0]
    axis.set_yticks(
        ticks, [formats.size_in_bytes(tick).replace(".00", "").replace(".0", "") for tick in ticks]
    )
    axis.minorticks_off()
    axis.grid(True, color=RULE, linewidth=0.6)
    axis.set_axisbelow(True)
    _plain(axis)
    _name_ends(axis, ends, house)


def _name_ends(axis: Axes, ends: Mapping[str, float], house: Collection[str]) -> None:
    """Names and sizes to the right of the lines' ends, moved apart where they would collide."""
    known = identities(list(ends))
    to_points = 72 / axis.get_figure(root=True).dpi  # type: ignore[union-attr]
    heights = np.array(
        [axis.transData.transform((LAST_CONTEXT, end))[1] * to_points for end in ends.values()]
    )
    low, high = axis.bbox.y0 * to_points, axis.bbox.y1 * to_points
    for (name, end), wanted, placed in zip(
        ends.items(), heights, spread_apart(heights, _LABEL_GAP, low, high), strict=True
    ):
        stands_out = name in house
        colour = known[name].light if stands_out else MUTED
        axis.annotate(
            f"{known[name].title}  {formats.size_in_bytes(end)}", (LAST_CONTEXT, end),
            xytext=(22, placed - wanted), textcoords="offset points", va="center", fontsize="small",
            color=colour, fontweight="bold" if stands_out else "normal", annotation_clip=False,
            arrowprops={
                "arrowstyle": "-", "color": colour, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 0, "relpos": (0, 0.5)
            },
        )  # fmt: skip


def _plain(axis: Axes) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(QUIET)
    axis.tick_params(colors=MUTED)
    axis.xaxis.label.set_color(MUTED)
    axis.yaxis.label.set_color(MUTED)
