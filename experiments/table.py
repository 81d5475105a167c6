"""The table of a sweep, from its run folders alone: finished or not.

python -m experiments.table sweep=runs/position_by_layer
python -m experiments.table sweep=runs/position_by_layer export=experiments/position_by_layer
"""

from dataclasses import dataclass

from omegaconf import DictConfig
from rich.console import Console

from experiments.command import run_command
from lab.checks import require_choice
from lab.config import typed
from lab.report.sweep_files import export_sweep, write_tables
from lab.report.sweep_jobs import Sweep
from lab.report.sweep_table import entry_table, sweep_markdown, sweep_table
from lab.report.sweep_verdicts import verdicts
from lab.report.tables import to_console, to_csv

FORMATS = ("table", "markdown", "csv")


@dataclass
class TableSettings:
    """``sweep`` is the folder of a sweep or of committed results; ``export``, a folder to commit its results in."""

    sweep: str
    export: str | None
    format: str

    def __post_init__(self) -> None:
        require_choice("format", self.format, FORMATS)


def show_table(container: DictConfig, overrides: list[str]) -> None:
    """Print the table and what it says; write table.md, table.csv and figure.svg beside the sweep."""
    settings: TableSettings = typed(container, TableSettings)
    sweep, written = write_tables(settings.sweep)
    if settings.export is not None:
        sweep, exported = export_sweep(sweep, settings.export)
        written += exported
    if settings.format == "markdown":
        print(sweep_markdown(sweep), end="")
    elif settings.format == "csv":
        print(to_csv(sweep_table(sweep)), end="")
    else:
        show(sweep, Console(highlight=False))
        print("written: " + ", ".join(map(str, written)))


def show(sweep: Sweep, console: Console) -> None:
    """The question, the table, the verdicts, and a table for each metric that is a mapping."""
    table = sweep_table(sweep)
    console.print(f"[bold]{sweep.question or sweep.name}[/bold]\n")
    console.print(to_console(table, console.width), "")
    for verdict in verdicts(sweep):
        console.print(verdict)
    for key in sweep.mappings:
        console.print("", to_console(entry_table(sweep, key), console.width))
    console.print()


if __name__ == "__main__":
    run_command(show_table, "table")
