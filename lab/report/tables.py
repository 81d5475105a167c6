"""A table once, shown four ways: console, Markdown, CSV and (through the page's template) HTML."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from lab.report.formats import MISSING

if TYPE_CHECKING:
    from rich.table import Table as ConsoleTable

CONSOLE_GAP = 2  # blanks between two console columns: one of padding, one of the box


@dataclass(frozen=True)
class Column:
    """One column.

    On the console ``under`` puts it beneath the column of that key, and ``rank`` says which columns are left
    out first where the console is narrow: the highest.
    """

    key: str
    title: str
    group: str = ""  # heading shared with the neighbours of the same group
    best: Literal["lower", "higher"] | None = None
    under: str = ""
    rank: int = 0

    @property
    def full_title(self) -> str:
        return f"{self.group} {self.title}".strip() if self.group else self.title


@dataclass(frozen=True)
class Cell:
    """What a reader sees (``text``, and ``note`` smaller beside it) and the numbers behind it.

    ``more`` holds further numbers for the CSV, as suffix -> number: ``{"sd": 0.01}``. ``faint`` marks a
    figure that says little, such as an accuracy that chance could explain: it is never called the best.
    """

    text: str = MISSING
    value: float | str | None = None
    note: str = ""
    more: Mapping[str, float | None] = field(default_factory=dict)
    faint: bool = False


@dataclass(frozen=True)
class Row:
    """Cells by column key; ``key`` links the row to the curves of the same name."""

    key: str
    cells: Mapping[str, Cell]

    def __getitem__(self, column: str) -> Cell:
        return self.cells.get(column, Cell())


@dataclass(frozen=True)
class Table:
    """Rows in their order, and reference rows that stand apart beneath them."""

    columns: Sequence[Column]
    rows: Sequence[Row]
    references: Sequence[Row] = ()
    notes: Sequence[str] = ()

    def best_rows(self, column: Column) -> frozenset[str]:
        """Keys of the rows that hold the best value of ``column``, empty where no row can be called best."""
        values = {row.key: row[column.key].value for row in self.rows if not row[column.key].faint}
        numbers = {key: float(value) for key, value in values.items() if isinstance(value, int | float)}
        if column.best is None or len(numbers) < 2:
            return frozenset()
        best = min(numbers.values()) if column.best == "lower" else max(numbers.values())
        return frozenset(key for key, number in numbers.items() if number == best)


def to_markdown(table: Table) -> str:
    """A GitHub-flavoured table: best values bold, reference rows in italics, notes beneath."""
    lines = [
        "| " + " | ".join(column.full_title for column in table.columns) + " |",
        "| " + " | ".join(":--" if index == 0 else "--:" for index, _ in enumerate(table.columns)) + " |",
    ]
    best = {column.key: table.best_rows(column) for column in table.columns}
    for row in (*table.rows, *table.references):
        texts = []
        for column in table.columns:
            cell = row[column.key]
            text = f"**{cell.text}**" if row.key in best[column.key] else cell.text
            texts.append(f"{text} {cell.note}".strip().replace("|", "\\|"))
        if row in table.references:
            texts[0] = f"_{texts[0]}_"
        lines.append("| " + " | ".join(texts) + " |")
    return "\n".join(lines + [f"\n{note}" for note in table.notes]) + "\n"


def to_csv(table: Table) -> str:
    """Numbers at full precision, one line a row; a cell's further numbers get columns of their own."""
    rows = (*table.rows, *table.references)
    suffixes = {
        column.key: list(dict.fromkeys(suffix for row in rows for suffix in row[column.key].more))
        for column in table.columns
    }
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(
        ["key", "kind"]
        + [name for column in table.columns for name in _csv_names(column.key, suffixes[column.key])]
    )
    for row in rows:
        values: list[float | str | None] = [row.key, "reference" if row in table.references else "row"]
        for column in table.columns:
            cell = row[column.key]
            values += [cell.value, *(cell.more.get(suffix) for suffix in suffixes[column.key])]
        writer.writerow(["" if value is None else value for value in values])
    return buffer.getvalue()


def to_console(table: Table, width: int) -> ConsoleTable:
    """A table for ``width`` character cells; the caption names the columns that don't fit."""
    from rich import box
    from rich.table import Table as ConsoleTable
    from rich.text import Text

    stacks = _fitting(table, width)
    shown = [column for stack in stacks for column in stack]
    left_out = [column.full_title for column in table.columns if column not in shown]
    notes = [f"Not shown at this width: {', '.join(left_out)}."] if left_out else []
    console_table = ConsoleTable(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, CONSOLE_GAP - 1),
        collapse_padding=True,
        pad_edge=False,
        caption="\n".join([*notes, *table.notes]) or None,
        caption_justify="left",
    )
    for index, stack in enumerate(stacks):
        console_table.add_column(
            _console_title(stack), justify="left" if index == 0 else "right", no_wrap=True
        )
    best = {column.key: table.best_rows(column) for column in shown}
    for row in (*table.rows, *table.references):
        if table.references and row is table.references[0]:
            console_table.add_section()
        texts = []
        for stack in stacks:
            lines = []
            for column in stack:
                cell = row[column.key]
                style = (
                    "bold"
                    if row.key in best[column.key]
                    else "dim"
                    if cell.faint or row in table.references
                    else ""
                )
                lines += (
                    [Text(cell.text, style), Text(cell.note, "dim")]
                    if cell.note
                    else [Text(cell.text, style)]
                )
            texts.append(Text("\n").join(lines if row in table.rows else lines[:1]))
        console_table.add_row(*texts)
    return console_table


def _csv_names(key: str, suffixes: Sequence[str]) -> list[str]:
    return [key, *(f"{key}_{suffix}" for suffix in suffixes)]


def _console_title(stack: Sequence[Column]) -> str:
    """The group, then the titles; without a group the titles alone, at the bottom."""
    titles = "\n".join(column.title for column in stack)
    return f"{stack[0].group}\n{titles}" if stack[0].group else titles


def _fitting(table: Table, width: int) -> list[list[Column]]:
    """Columns, with those beneath them, that fit ``width``: high ranks go first, the first column never."""
    from rich.cells import cell_len

    def needed(stack: list[Column]) -> int:
        cells = [row[column.key] for column in stack for row in (*table.rows, *table.references)]
        lines = [_console_title(stack), *(f"{cell.text}\n{cell.note}" for cell in cells)]
        return max(cell_len(line) for text in lines for line in text.splitlines())

    stacks = [
        [column, *(below for below in table.columns if below.under == column.key)]
        for column in table.columns
        if not column.under
    ]
    while len(stacks) > 1 and sum(map(needed, stacks)) + CONSOLE_GAP * (len(stacks) - 1) > width:
        stacks.remove(max(stacks[1:], key=lambda stack: (stack[0].rank, stacks.index(stack))))
    return stacks
