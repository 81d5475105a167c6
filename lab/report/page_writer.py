"""A report as one self-contained page, in English, in Korean, or in both with a switch between them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from lab.report.language import Language, Text, say, translated
from lab.report.specification import Plot, Report
from lab.report.templates import csv_in_base64, render, table_values


def page(report: Report, language: Language) -> str:
    """The HTML of ``report``. It fetches nothing; ``both`` follows the reader's browser until the reader switches."""
    from markupsafe import Markup

    def drawn(plot: Plot) -> Mapping[str, Markup]:
        return {kind: Markup(_drawing(svg, language)) for kind, svg in plot.drawings.items()}

    return render(
        "report.html",
        report.identities,
        scripts=("script.js", "language.js") if language == "both" else ("script.js",),
        shown=lambda content: _spoken(translated(content) if isinstance(content, str) else content, language),
        spoken=partial(_spoken, language=language),
        report=report,
        language=language,
        labels={key: say(key) for key in ("theme", "claim", "download")},
        titles={identity.key: identity.title for identity in report.identities},
        kinds=lambda block: type(block).__name__,
        drawn=drawn,
        table_values=table_values,
        to_base64=csv_in_base64,
    )


def _spoken(content: str | Text, language: Language) -> Any:
    """A text as HTML: in a page of both languages, each in a ``span`` that the style sheet shows or hides."""
    from markupsafe import Markup, escape

    if isinstance(content, str):
        return content
    said = content.within(language)
    if len(said) == 1:
        return said[0]
    return Markup("").join(
        Markup('<span class="in-{0}" lang="{0}">{1}</span>').format(code, escape(text))
        for code, text in zip(("en", "ko"), said, strict=True)
    )


def _drawing(svg: str, language: Language) -> str:
    """The drawing with its words in ``language``: SVG has ``tspan`` where HTML has ``span``."""

    def replaced(match: re.Match[str]) -> str:
        said = translated(match[1]).within(language)
        if len(said) == 1:
            return f">{said[0]}</text>"
        return f'><tspan class="in-en">{said[0]}</tspan><tspan class="in-ko">{said[1]}</tspan></text>'

    return re.sub(r">([^<>]+)</text>", replaced, svg)
