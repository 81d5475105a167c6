"""Pieces of HTML for a notebook's output: settings, figures and a learning curve, in the colours of the page around.

Text takes the colour it finds, rules and fills are shades of it, so that a light and a dark JupyterLab, VS Code and a
printed page all show the same. Nothing here loads a script, a font or a picture.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from lab.report import formats
from lab.report.curves import running_mean
from lab.report.tables import Table

ACCENT = "var(--jp-brand-color1, #4c7fd6)"
SMOOTHING = 0.03  # share of the points that the curve's running mean covers at most

_STYLE = f"""<style>
.lab-view {{ font-family: var(--jp-ui-font-family, system-ui, sans-serif); font-size: 13px; line-height: 1.5;
  color: inherit; overflow-x: auto; }}
.lab-view .lab-title {{ font-weight: 600; font-size: 15px; }}
.lab-view .lab-note {{ opacity: .68; }}
.lab-view .lab-bad {{ color: var(--jp-error-color1, #d0453b); }}
.lab-view .lab-columns {{ display: flex; flex-wrap: wrap; gap: 6px 36px; align-items: flex-start; }}
.lab-view.lab-view table {{ border-collapse: collapse; margin: 6px 0 8px; font-size: 13px; border: 0;
  color: inherit; font-variant-numeric: tabular-nums; table-layout: auto; }}
.lab-view.lab-view table td, .lab-view.lab-view table th {{ padding: 2px 18px 2px 0; border: 0; background: none;
  max-width: none; text-align: left; vertical-align: top; white-space: nowrap; }}
.lab-view.lab-view table tr:nth-child(n) {{ background: none; border: 0; }}
.lab-view.lab-view table tbody tr:nth-child(n):hover {{
  background: color-mix(in srgb, currentColor 8%, transparent); }}
.lab-view.lab-view table th {{ font-weight: 500; opacity: .68; }}
.lab-view.lab-view table .lab-number {{ text-align: right; }}
.lab-view.lab-view table .lab-sum td {{ font-weight: 600;
  border-top: 1px solid color-mix(in srgb, currentColor 25%, transparent); }}
.lab-view .lab-bar {{ display: inline-block; height: 9px; min-width: 1px; border-radius: 2px; background: {ACCENT}; }}
.lab-view details {{ margin: 1px 0; }}
.lab-view details > :not(summary) {{ margin-left: 15px; }}
.lab-view summary {{ cursor: pointer; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }}
.lab-view summary b {{ font-weight: 600; }}
.lab-view svg {{ display: block; max-width: 100%; height: auto; }}
.lab-view svg text {{ fill: currentColor; font-size: 11px; opacity: .75; }}
</style>"""


def view(*parts: str) -> str:
    """One output of ``parts``, with the style that they need."""
    return f'<div class="lab-view">{_STYLE}{"".join(parts)}</div>'


def title(text: str, note: str = "", bad: bool = False) -> str:
    """The first line: what this is, and how it stands."""
    colour = "lab-bad" if bad else "lab-note"
    return f'<div><span class="lab-title">{escape(text)}</span> <span class="{colour}">{escape(note)}</span></div>'


def note(text: str, bad: bool = False) -> str:
    """A line that stands back, or one that must not be missed."""
    return f'<div class="{"lab-bad" if bad else "lab-note"}">{escape(text)}</div>'


def columns(*parts: str) -> str:
    """``parts`` side by side where there is room."""
    return f'<div class="lab-columns">{"".join(f"<div>{part}</div>" for part in parts if part)}</div>'


def grid(
    rows: Iterable[Sequence[str]],
    heads: Sequence[str] = (),
    numbers: Iterable[int] = (),
    sums: Iterable[int] = (),
    markup: Iterable[int] = (),
) -> str:
    """A table of texts.

    Columns ``numbers`` are set to the right, rows ``sums`` stand below a rule, columns ``markup`` are HTML already.
    """
    right, below, given = set(numbers), set(sums), set(markup)
    lines = []
    if heads:
        cells = "".join(
            f"<th{_number(index in right)}>{escape(head)}</th>" for index, head in enumerate(heads)
        )
        lines.append(f"<thead><tr>{cells}</tr></thead>")
    lines.append("<tbody>")
    for number, row in enumerate(rows):
        cells = "".join(
            f"<td{_number(index in right)}>{text if index in given else escape(text)}</td>"
            for index, text in enumerate(row)
        )
        lines.append(f"<tr{' class=lab-sum' if number in below else ''}>{cells}</tr>")
    return f"<table>{''.join(lines)}</tbody></table>"


def table_html(table: Table) -> str:
    """A table of the reports: best values bold, reference rows in italics, notes beneath."""
    best = {column.key: table.best_rows(column) for column in table.columns}
    rows = []
    for row in (*table.rows, *table.references):
        cells = []
        for column in table.columns:
            cell = row[column.key]
            text = f"<b>{escape(cell.text)}</b>" if row.key in best[column.key] else escape(cell.text)
            cells.append(f'{text} <span class="lab-note">{escape(cell.note)}</span>' if cell.note else text)
        if row in table.references:
            cells[0] = f"<i>{cells[0]}</i>"
        rows.append(cells)
    every = range(len(table.columns))
    heads = [column.full_title for column in table.columns]
    return grid(rows, heads, numbers=every[1:], markup=every) + "".join(map(note, table.notes))


def bar(share: float, width: float = 120) -> str:
    """A bar of ``share`` of ``width`` pixels."""
    return f'<span class="lab-bar" style="width:{share * width:.0f}px"></span>'


def folded(name: str, digest: str, content: str, is_open: bool = False) -> str:
    """A part that a click unfolds, with ``digest`` beside its name."""
    return (
        f"<details{' open' if is_open else ''}><summary><b>{escape(name)}</b> "
        f'<span class="lab-note">{escape(digest)}</span></summary>{content}</details>'
    )


def settings_html(settings: Mapping[str, Any]) -> str:
    """Nested settings: single values as a table, every group below it folded, named by its kind."""
    single = {key: value for key, value in settings.items() if not isinstance(value, Mapping)}
    rows = [(key, written(value)) for key, value in single.items()]
    groups = [
        folded(key, digest_of(group), settings_html(group))
        for key, group in settings.items()
        if isinstance(group, Mapping)
    ]
    return (grid(rows) if rows else "") + "".join(groups)


def digest_of(settings: Mapping[str, Any]) -> str:
    """A group in a few words: its kind, else its first settings."""
    if "kind" in settings:
        return str(settings["kind"])
    single = [(key, value) for key, value in settings.items() if value not in (None, "", [], {})]
    return ", ".join(f"{key}={written(value)}" for key, value in single[:3] if not isinstance(value, Mapping))


def written(value: Any) -> str:
    """A setting as a YAML file would have it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, int) and abs(value) >= 10_000:
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(written, value))}]"
    return "null" if value is None else str(value)


def curve_html(
    x: Sequence[float],
    y: Sequence[float],
    x_title: str,
    y_title: str,
    end: float | None = None,
    width: int = 460,
    height: int = 170,
) -> str:
    """A curve as inline SVG: the points faint, their running mean on top; ``end`` is where the x-axis will end.

    Points that are not finite are left out; without two points there is no curve and the text is empty.
    """
    points = np.array([x, y], dtype=float)
    points = points[:, np.isfinite(points).all(axis=0)]
    if points.shape[1] < 2:
        return ""
    left, right, top, bottom = 40, 12, 22, 34
    last = max(end or 0.0, points[0].max()) or 1.0
    low, high = points[1].min(), points[1].max()
    spread = (high - low) or 1.0
    low, high = low - 0.05 * spread, high + 0.05 * spread

    def across(value: float) -> float:
        return left + (width - left - right) * value / last

    def down(value: float) -> float:
        return top + (height - top - bottom) * (high - value) / (high - low)

    def line(values: np.ndarray, stroke: str) -> str:
        path = " ".join(f"{across(a):.1f},{down(b):.1f}" for a, b in zip(points[0], values, strict=True))
        return f'<polyline fill="none" points="{path}" {stroke}/>'

    marks = [f'<text x="{left}" y="12">{escape(y_title)}</text>']
    for tick in ticks(low, high, 4):
        marks.append(
            f'<line x1="{left}" x2="{width - right}" y1="{down(tick):.1f}" y2="{down(tick):.1f}" '
            f'stroke="currentColor" stroke-opacity=".15"/>'
            f'<text x="{left - 6}" y="{down(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>'
        )
    for tick in ticks(0, last, 5):
        marks.append(
            f'<text x="{across(tick):.1f}" y="{height - bottom + 15}" text-anchor="middle">'
            f"{formats.count(tick)}</text>"
        )
    marks.append(f'<text x="{width - right}" y="{height - 4}" text-anchor="end">{escape(x_title)}</text>')
    smooth = running_mean(points[1], round(SMOOTHING * points.shape[1] / 2))
    raw = line(points[1], f'stroke="{ACCENT}" stroke-opacity=".3" stroke-width="1"')
    mean = line(smooth, f'stroke="{ACCENT}" stroke-width="2" stroke-linejoin="round"')
    return (
        f'<svg role="img" aria-label="{escape(y_title)} against {escape(x_title)}" width="{width}" '
        f'height="{height}" viewBox="0 0 {width} {height}">{"".join(marks)}{raw}{mean}</svg>'
    )


def ticks(low: float, high: float, most: int) -> list[float]:
    """Up to ``most`` round numbers from ``low`` to ``high``, evenly spaced."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10, 20) if power * factor >= rough)
    first = math.ceil(low / step)
    return [round(index * step, 12) for index in range(first, math.floor(high / step) + 1)]


def escape(text: object) -> str:
    """``text`` as HTML shows it."""
    return html.escape(str(text))


def _number(is_number: bool) -> str:
    return " class=lab-number" if is_number else ""
