"""The frame that every page is made in: one base template, style sheet and script, all within the file."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml

from lab.report.contenders import Identity
from lab.report.tables import Table, to_csv

PAGE = Path(__file__).parent / "page"  # templates, style sheet and scripts


def render(
    template: str,
    identities: Iterable[Identity],
    scripts: Iterable[str] = ("script.js",),
    shown: Callable[[Any], Any] = str,
    spoken: Callable[[Any], Any] = str,
    **values: Any,
) -> str:
    """The page that ``template`` makes of ``values``, with the colours of ``identities`` and its scripts.

    Headings and notes of tables pass through ``shown``, their cells and all else that a page says in more than one
    language through ``spoken``. Every value is escaped, unless it is a ``markupsafe.Markup``; a value that the
    template misses is an error.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(PAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"shown": shown, "spoken": spoken}
    return environment.get_template(template).render(
        style=Markup(_read("style.css") + _series_colours(identities)),
        script=Markup("\n".join(_read(name) for name in scripts)),
        **values,
    )


def table_values(table: Table) -> dict[str, Any]:
    """What the sortable table's macro needs beside the table: its headings by group and its best rows."""
    return {
        "groups": [
            (group, len(list(columns)))
            for group, columns in groupby(table.columns, lambda column: column.group)
        ],
        "best": {column.key: table.best_rows(column) for column in table.columns},
    }


def csv_in_base64(table: Table) -> str:
    """The table as CSV, as a link within a page holds it."""
    return base64.b64encode(to_csv(table).encode()).decode()


def to_yaml(content: Mapping[str, Any]) -> str:
    """Settings as a reader likes them: in their order, short lists on one line, Korean as Korean."""
    return yaml.safe_dump(
        dict(content), sort_keys=False, allow_unicode=True, default_flow_style=None, width=100
    )


def _read(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")


def _series_colours(identities: Iterable[Identity]) -> str:
    """CSS variables ``--series-<key>``, for drawings, rows and swatches."""
    colours = [
        f"  --series-{identity.key}: light-dark({identity.light}, {identity.dark});\n"
        for identity in identities
    ]
    return f"\n:root {{\n{''.join(colours)}}}\n"
