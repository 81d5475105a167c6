"""The paper a figure is drawn on: panels placed in points, names beside rows, labels that don't collide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lab.report.contenders import Identity
from lab.report.svg import Ink, belongs_to

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS_PER_INCH = 72
WIDE, NARROW = 1000, 340  # points: the page shows the wide drawing on a desk and the narrow one on a phone
NAMES = {WIDE: 118, NARROW: 96}  # room for contenders' names beside rows


class Sheet:
    """A figure of ``width`` times ``height`` points, measured from its top left corner."""

    def __init__(self, width: float, height: float, ink: Ink) -> None:
        from matplotlib.figure import Figure

        self.width, self.height, self.ink = width, height, ink
        self.figure: Figure = Figure(
            figsize=(width / POINTS_PER_INCH, height / POINTS_PER_INCH), dpi=POINTS_PER_INCH
        )

    def panel(self, left: float, top: float, width: float, height: float) -> Axes:
        bottom = self.height - top - height
        return self.figure.add_axes(
            (left / self.width, bottom / self.height, width / self.width, height / self.height)
        )

    def write(self, x: float, y: float, text: str, role: str = "ink", **style: object) -> None:
        """Text at ``x``, ``y`` points from the top left corner."""
        style = {"va": "center"} | style
        self.figure.text(x / self.width, 1 - y / self.height, text, color=self.ink(role), **style)  # type: ignore[arg-type]

    def legend(self, left: float, y: float, entries: Sequence[tuple[str, str]], right: float) -> None:
        """Little squares with names, from ``left`` to ``right`` in as many lines as needed."""
        from matplotlib.patches import Rectangle

        x = left
        for role, name in entries:
            needed = 16 + text_width(name) + 16
            if x > left and x + needed - 16 > right:
                x, y = left, y + 19
            square = Rectangle(
                (x / self.width, 1 - (y + 5) / self.height),
                10 / self.width,
                10 / self.height,
                transform=self.figure.transFigure,
                facecolor=self.ink(role),
                edgecolor=self.ink("rule") if role == "position-none" else "none",
            )
            self.figure.add_artist(square)
            self.write(x + 16, y, name, "muted")
            x += needed


def series_colour(ink: Ink, identity: Identity) -> str:
    return ink(f"series-{identity.key}")


def text_width(text: str) -> float:
    """About how many points ``text`` takes in the page's font, whichever that is."""
    return sum(3.6 if letter in "filjrt.,-' " else 9.5 if letter in "mwMW" else 6.6 for letter in text)


def names_width(identities: Sequence[Identity], width: float) -> float:
    """Points that :func:`name_ends` needs for the longest name, at most two fifths of the sheet's ``width``."""
    return min(30 + 1.15 * max(text_width(identity.title) for identity in identities), 0.4 * width)


def row_names_width(identities: Sequence[Identity], width: int) -> float:
    """Points that :func:`name_rows` needs on a sheet of ``width``."""
    return max(NAMES[width], *(1.15 * text_width(identity.title) + 8 for identity in identities))  # bold


def name_rows(panel: Axes, identities: Sequence[Identity], ink: Ink, width: float) -> None:
    """Contenders' names to the left of a panel whose rows are y = 0, 1, 2, ... from the top."""
    panel.set_yticks([])
    for row, identity in enumerate(identities):
        panel.annotate(
            identity.title,
            (0, row),
            xycoords=("axes fraction", "data"),
            xytext=(-width, 0),
            textcoords="offset points",
            va="center",
            color=series_colour(ink, identity),
            fontweight="bold",
            gid=belongs_to(identity.key),
            annotation_clip=False,
        )


def name_ends(
    panel: Axes, ends: Sequence[tuple[Identity, float, float, str]], ink: Ink, gap: float = 14
) -> None:
    """Labels to the right of a panel at the ends of curves, given as (identity, x, y, note), moved apart."""
    if not ends:
        return
    heights = np.array([panel.transData.transform((x, y))[1] for _, x, y, _ in ends])
    low, high = panel.bbox.y0, panel.bbox.y1
    right = panel.bbox.x1
    for (identity, x, y, note), height in zip(ends, spread_apart(heights, gap, low, high), strict=True):
        start = panel.transData.transform((x, y))[0]
        colour = series_colour(ink, identity)
        panel.annotate(
            f"{identity.title} {note}".strip(),
            (x, y),
            xytext=(right + 16, height),
            textcoords="figure pixels",
            va="center",
            color=colour,
            fontweight="bold",
            gid=belongs_to(identity.key),
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 0.8,
                "alpha": 0.6,
                "shrinkA": 1,
                "shrinkB": 2 if right - start < 40 else 4,
            },
        )


def spread_apart(wanted: np.ndarray, gap: float, low: float, high: float) -> np.ndarray:
    """Positions at least ``gap`` apart, within [low, high] where they fit, least squares from ``wanted``.

    With the order fixed, position i minus i * gap must not decrease: that is isotonic regression, solved
    exactly by pooling neighbours that violate it.
    """
    order = np.argsort(wanted, kind="stable")
    blocks: list[list[float]] = []  # mean, weight
    for rank, value in enumerate(wanted[order]):
        blocks.append([value - rank * gap, 1])
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            (mean_a, weight_a), (mean_b, weight_b) = blocks[-2:]
            total = weight_a + weight_b
            blocks[-2:] = [[(mean_a * weight_a + mean_b * weight_b) / total, total]]
    pooled = np.concatenate([np.full(int(weight), mean) for mean, weight in blocks])
    highest_start = max(low, high - gap * (len(wanted) - 1))
    placed = np.empty(len(wanted))
    placed[order] = np.clip(pooled, low, highest_start) + gap * np.arange(len(wanted))
    return placed
