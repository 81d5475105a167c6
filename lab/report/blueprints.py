"""Figures of how the contenders are built: their layers one by one, and where their parameters lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.report import formats
from lab.report.race import Race
from lab.report.sheet import WIDE, Sheet, name_rows, row_names_width
from lab.report.svg import Ink, belongs_to

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POSITIONS = {"rope": "RoPE", "yarn": "RoPE with YaRN", "none": "no position"}
MIXERS = {"local": "local attention", "global": "global attention", "linear": "linear attention"}
FEED_FORWARDS = {"dense": "dense feed-forward", "experts": "experts"}
PARTS = {
    "embedding": "embedding",
    "attention": "attention",
    "feed_forward": "dense feed-forward",
    "experts": "experts",
    "router": "router",
    "joins": "norms and joins",
    "multi_token": "multi-token",
    "head": "head",
}

# One layer from top to bottom: (what it shows, its role's prefix, top, height), in shares of the row.
_BANDS = (
    ("position", "position", -0.38, 0.1),
    ("mixer", "mixer", -0.24, 0.36),
    ("feed_forward", "feed-forward", 0.16, 0.22),
)
_WIDEST_LAYER, _LAYER_ROW = 72, 54  # points


def layer_figure(race: Race, width: int, ink: Ink) -> Figure | None:
    """Each contender's layers, input to output: position above, mixer with its window, feed-forward below."""
    standings = [standing for standing in race.standings if standing.architecture.get("layers")]
    if not standings:
        return None
    names = row_names_width([standing.identity for standing in standings], width)
    patterns = [standing.architecture["layers"] for standing in standings]
    deepest = max(map(len, patterns))
    layer_width = min(_WIDEST_LAYER, (width - names - 8) / deepest)
    height = _LAYER_ROW * len(standings)
    legend_height = 40 if width == WIDE else 100
    sheet = Sheet(width, height + legend_height, ink)
    panel = sheet.panel(names, 0, layer_width * deepest, height)
    panel.set(xlim=(0, deepest), ylim=(len(standings) - 0.5, -0.5), xticks=[])
    panel.axis("off")
    for row, (standing, layers) in enumerate(zip(standings, patterns, strict=True)):
        for depth, layer in enumerate(layers):
            _layer(panel, row, depth, layer, layer_width, standing.key, ink)
    name_rows(panel, [standing.identity for standing in standings], ink, names)
    used = {
        (prefix, str(layer[kind])) for layers in patterns for layer in layers for kind, prefix, _, _ in _BANDS
    }
    named = {"mixer": MIXERS, "feed-forward": FEED_FORWARDS, "position": POSITIONS}
    entries = [
        (f"{prefix}-{kind}", name)
        for prefix, kinds in named.items()
        for kind, name in kinds.items()
        if (prefix, kind) in used
    ]
    sheet.legend(names if width == WIDE else 0, height + 16, entries, width)
    return sheet.figure


def parameter_figure(race: Race, width: int, ink: Ink) -> Figure | None:
    """Parameters by part, stacked; a mark where the parameters active for one token would end."""
    standings = [s for s in race.standings if s.mean("size.parameters_total") or s.architecture.get("parts")]
    if not standings:
        return None
    names = row_names_width([standing.identity for standing in standings], width)
    labels = 150 if width == WIDE else 8
    height = (40 if width == WIDE else 50) * len(standings)
    legend_height = 40 if width == WIDE else 78
    sheet = Sheet(width, height + legend_height, ink)
    panel = sheet.panel(names, 0, width - names - labels, height)
    panel.set(ylim=(len(standings) - 0.5, -0.5), xticks=[])
    panel.grid(False)
    panel.spines["bottom"].set_visible(False)
    used: list[str] = []
    largest = 0.0
    for row, standing in enumerate(standings):
        total, active = standing.mean("size.parameters_total"), standing.mean("size.parameters_active")
        parts = standing.architecture.get("parts") or {"all": total}
        left = 0.0
        for part in (*PARTS, *(part for part in parts if part not in PARTS)):
            if size := parts.get(part):
                panel.barh(row, size, left=left, height=0.46, color=ink(f"part-{part.replace('_', '-')}"),
                           edgecolor=ink("surface"), linewidth=1, gid=belongs_to(standing.key))  # fmt: skip
                left += size
                used.append(part)
        largest = max(largest, left, total or 0.0)
        text = formats.count(total or left)
        if active and active < 0.999 * (total or left):
            panel.plot([active, active], [row - 0.33, row + 0.33], color=ink("ink"), linewidth=1.6,
                       gid=belongs_to(standing.key))  # fmt: skip
            text += f", {formats.count(active)} active"
        beside = width == WIDE
        panel.annotate(
            text, (left if beside else 0, row if beside else row - 0.27), xytext=(8 if beside else 0, 0),
            textcoords="offset points", va="center" if beside else "bottom", color=ink("muted"),
            gid=belongs_to(standing.key), annotation_clip=False,
        )  # fmt: skip
    panel.set_xlim(0, largest)
    name_rows(panel, [standing.identity for standing in standings], ink, names)
    entries = [(f"part-{part.replace('_', '-')}", PARTS.get(part, part)) for part in PARTS if part in used]
    sheet.legend(names if width == WIDE else 0, height + 16, entries, width)
    return sheet.figure


def _layer(
    panel: Axes, row: int, depth: int, layer: dict[str, Any], width: float, key: str, ink: Ink
) -> None:
    from matplotlib.patches import Rectangle

    gap = min(1.5 / width, 0.2)
    for kind, prefix, top, height in _BANDS:
        outlined = (kind, layer[kind]) == ("position", "none")
        panel.add_patch(
            Rectangle(
                (depth + gap, row + top), 1 - 2 * gap, height,
                facecolor=ink(f"{prefix}-{layer[kind]}"), edgecolor=ink("rule") if outlined else "none",
                linewidth=0.8, gid=belongs_to(key),
            )
        )  # fmt: skip
    if layer.get("window") and width >= 26:
        _, _, top, height = _BANDS[1]
        panel.annotate(
            str(layer["window"]), (depth + 0.5, row + top + height / 2), ha="center", va="center",
            fontsize="x-small", color=ink("on-mixer"), gid=belongs_to(key),
        )  # fmt: skip
