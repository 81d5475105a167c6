"""How IPython shows our classes: as HTML in a notebook, as lines in a terminal.

IPython asks by a class's name, so the rooms that own these classes know nothing of notebooks and load nothing for them:
:func:`show_in` is all there is between the two. Without IPython every object prints as ever.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import yaml

from lab.report.display import (
    config_html,
    contender_title,
    cost_rows,
    headline,
    jobs_sentence,
    model_html,
    part_rows,
    run_html,
    size_html,
    state_sentence,
    sweep_html,
)
from lab.report.runs import Run
from lab.report.sweep_jobs import Sweep
from lab.report.sweep_table import sweep_table
from lab.report.tables import Table, to_console
from lab.report.views import table_html, view

if TYPE_CHECKING:
    from lab.model.size import Size


def _table_view(table: Table) -> str:
    return view(table_html(table))


HTML: dict[str, Callable[[Any], str]] = {
    "lab.config:Config": config_html,
    "lab.model.size:Size": size_html,
    "lab.model.decoder:Decoder": model_html,
    "lab.report.runs:Run": run_html,
    "lab.report.sweep_jobs:Sweep": sweep_html,
    "lab.report.tables:Table": _table_view,
}
"""How a class is shown in a notebook, by its name."""


def config_text(config: Any) -> str:
    """A typed configuration as the YAML it came from."""
    return yaml.safe_dump(dataclasses.asdict(config), sort_keys=False, allow_unicode=True).rstrip()


def size_text(size: Size) -> str:
    """A size record, one figure a line."""
    parts = [row for row in part_rows(size) if row[1]]
    rows = [(name, write(value)) for name, value, write in (*parts, *cost_rows(size))]
    wide, far = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(f"{name:<{wide}}  {figure:>{far}}" for name, figure in rows)


def run_text(run: Run) -> str:
    """A run, one figure a line."""
    lines = [f"{contender_title(run.contender)}, {state_sentence(run)}", str(run.folder)]
    return "\n".join([*lines, *(f"{name:<24} {figure}" for name, figure in headline(run))])


def sweep_text(sweep: Sweep) -> str:
    """A sweep: how far it is, and its table."""
    table = _table_text(sweep_table(sweep))
    return "\n".join([f"{sweep.name}, {jobs_sentence(sweep)}", str(sweep.folder), table])


def _table_text(table: Table) -> str:
    from rich.console import Console

    console = Console(force_jupyter=False)  # in a notebook rich would show the table itself
    with console.capture() as capture:
        console.print(to_console(table, console.width))
    return capture.get().rstrip()


TEXT: dict[str, Callable[[Any], str]] = {
    "lab.config:Config": config_text,
    "lab.model.size:Size": size_text,
    "lab.report.runs:Run": run_text,
    "lab.report.sweep_jobs:Sweep": sweep_text,
    "lab.report.tables:Table": _table_text,
}
"""How a class is shown where IPython runs in a terminal, by its name."""


def show_in(shell: Any) -> None:
    """Have an IPython shell show our classes; asking twice changes nothing, and no class is imported for it."""
    formatters = shell.display_formatter.formatters
    for path, to_html in HTML.items():
        formatters["text/html"].for_type_by_name(*path.split(":"), to_html)
    for path, to_text in TEXT.items():
        formatters["text/plain"].for_type_by_name(*path.split(":"), _printer(to_text))


def _printer(to_text: Callable[[Any], str]) -> Callable[[Any, Any, bool], None]:
    return lambda thing, printer, cycle: printer.text(to_text(thing))
