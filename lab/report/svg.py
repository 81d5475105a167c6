"""A matplotlib figure as inline SVG that takes its colours and its font from the page around it.

Matplotlib wants colours as hexadecimal numbers, a page wants CSS variables that change with the reader's
theme. So a figure is drawn with placeholders from an :class:`Ink`, each of which becomes ``var(--role)``.
"""

from __future__ import annotations

import html
import io
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.typing import RcKeyType

FONT_SIZE = 11.5  # points in matplotlib, and CSS pixels on the page: a figure is shown at its natural size

_FIRST_PLACEHOLDER = 0x0BAD00  # placeholders are consecutive from here; no figure uses a colour of its own
_NO_METADATA = {"Creator": None, "Date": None, "Format": None, "Type": None}


class Ink:
    """Gives each colour role a placeholder; ``ink("muted")`` is what matplotlib is told to draw with."""

    def __init__(self) -> None:
        self._placeholders: dict[str, str] = {}

    def __call__(self, role: str) -> str:
        return self._placeholders.setdefault(role, f"#{_FIRST_PLACEHOLDER + len(self._placeholders):06x}")

    def into_variables(self, svg: str) -> str:
        for role, placeholder in self._placeholders.items():
            svg = svg.replace(placeholder, f"var(--{role})")
        return svg


def settings(ink: Ink) -> dict[RcKeyType, Any]:
    """Matplotlib settings for a figure in this manner; use them with ``matplotlib.rc_context``."""
    return {
        "svg.fonttype": "none",
        "svg.hashsalt": "lab.report",
        "font.size": FONT_SIZE,
        "text.color": ink("ink"),
        "axes.labelcolor": ink("muted"),
        "axes.labelsize": FONT_SIZE,
        "axes.edgecolor": ink("rule"),
        "axes.facecolor": "none",
        "axes.titlesize": FONT_SIZE + 1,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.titlecolor": ink("ink"),
        "axes.titlepad": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": ink("grid"),
        "grid.linewidth": 1.0,
        "xtick.color": ink("rule"),
        "xtick.labelcolor": ink("muted"),
        "xtick.minor.visible": False,
        "xtick.major.size": 0,
        "xtick.minor.size": 0,
        "ytick.color": ink("rule"),
        "ytick.labelcolor": ink("muted"),
        "ytick.major.size": 0,
        "ytick.minor.size": 0,
        "figure.facecolor": "none",
        "lines.solid_capstyle": "round",
        "lines.solid_joinstyle": "round",
        "hatch.linewidth": 1.0,
    }


def belongs_to(key: str) -> str:
    """The gid that puts an artist in the series ``key``, which the page lights up with its table row."""
    return f"series:{key}"


def inline(figure: Figure, ink: Ink, identifier: str, label: str) -> str:
    """The figure as one ``<svg>`` whose ids begin with ``identifier``; ``label`` says what it shows."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata=_NO_METADATA)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<style type=\"text/css\">.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)
    svg = svg.replace("font-weight: 700", "font-weight: 600").replace("font-weight: bold", "font-weight: 600")
    svg = re.sub(r' transform="rotate\(-?0 [^"]*"', "", svg)
    svg = re.sub(r'id="series:([^"]+)"', r'class="series" data-series="\1"', svg)
    svg = re.sub(r'id="([^"]+)"', rf'id="{identifier}-\1"', svg)
    svg = re.sub(r'(xlink:href="#|url\(#)', rf"\1{identifier}-", svg)
    svg = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\d+\.\d{2})\d+", r"\1", tag.group()), svg)
    svg = re.sub(r'<svg ([^>]*?)width="[^"]*" height="[^"]*"', r"<svg \1", svg, count=1)
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{html.escape(label)}" ', 1)
    return ink.into_variables(svg)
